"""The streaming pass on the workers of a Dask cluster, each over the pictures that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.stream import Point, score_part, sweep_part
from catclf.engines.sweep import FAN_IN, Request, Summand, Sweep, added
from catclf.engines.w_and_b import WeightsAndBias
from catclf.logistic import Vector
from catclf.stores.here import InMemory
from catclf.work.cluster import Cluster
from catclf.work.parts import parts

if TYPE_CHECKING:
    from distributed import Future

Result = TypeVar("Result")

# Sums that one task adds up, or we do: two levels of the tree, so that few wait for others.
_ADDED_AT_ONCE = FAN_IN**2
# Tasks that each get w and b from us. It saves a journey, of which a step has three.
_SENT_AT_ONCE = FAN_IN**2


class DaskEngine(WeightsAndBias):
    """As `StreamEngine`, bit for bit, with the rows on the workers of a Dask scheduler.

    A shard is `FAN_IN` neighbouring parts of the pictures. It stays on one worker, as uint8, together
    with the summand's terms for it. A sweep sends w and b, and gets one sum a shard, of which many are
    added up in a tree on the way: O(n_x) numbers a worker. If a worker dies, Dask has its shards made
    again elsewhere, and the sums are the same.

    Coordinates are w and then b, (n_x + 1,) float64.

    Parameters
    ----------
    design : Design
        Rows that are not on workers are sent to those of the cluster that is connected.
    """

    def __init__(
        self, design: Design, w0: Vector, jobs: int = 1, *, b0: float = 0.0, own_bias: bool = True
    ) -> None:
        del jobs, own_bias  # each worker has threads of its own
        self.m, self.n_x = design.m, design.n_x
        self._start, self._scale = np.append(w0, b0), design.scale
        cut = parts(design.m, design.n_x)
        self._shards = [_Shard.of(cut[k : k + FAN_IN]) for k in range(0, len(cut), FAN_IN)]
        self._cluster = Cluster.current()
        self._rows = [design.rows.sent(shard.rows) for shard in self._shards]
        self._sums: list[Future[Any]] = []
        self._terms: WeakKeyDictionary[Summand, list[Future[Any]]] = WeakKeyDictionary()

    def start(self) -> Vector:
        """(w₀, b₀)."""
        return self._start

    def sweep(self, c: Vector, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        return self.sweeps([Request(c, summand, losses)])[0]

    def sweeps(self, requests: Sequence[Request]) -> list[Sweep]:
        """See `catclf.engines.Engine`; all in one pass."""
        terms = [list(of) for of in zip(*(self._sent(each.summand) for each in requests), strict=True)]
        points = self._known([Point.at(request.c, self._scale, request.losses) for request in requests])
        sums = self._cluster.submit_each(_swept, self._rows, terms, [points] * len(terms))
        while len(sums) > _ADDED_AT_ONCE:
            groups = range(0, len(sums), _ADDED_AT_ONCE)
            sums = [self._cluster.submit(added, sums[k : k + _ADDED_AT_ONCE]) for k in groups]
        # Subtle: to let go of the last sweep's takes a message. The client sends one in 10 ms, and the
        # next sweep should not have to wait for that.
        self._sums = sums
        found = added(self._cluster.gather(sums))
        for whole, _ in found:
            whole[:-1] *= self._scale
        return found

    def scores(self, c: Vector) -> Vector:
        """Compute z = wᵀX + b, (m,)."""
        point = self._known(Point.at(c, self._scale))
        inner = [shard.inner for shard in self._shards]
        scores = self._cluster.submit_each(_scored, self._rows, inner, [point] * len(inner))
        return np.concatenate(self._cluster.gather(scores))

    def _known(self, value: Result) -> Result | Future[Result]:
        """A value for every task; to many it is sent through the workers, which takes longer."""
        return value if len(self._shards) <= _SENT_AT_ONCE else self._cluster.send(value)

    def _sent(self, summand: Summand) -> list[Future[Any]]:
        """Send each shard's terms to where its rows are, once for each summand."""
        terms = self._terms.get(summand)
        if terms is None:
            terms = [
                self._cluster.submit(_beside, rows, shard.terms(summand))
                for rows, shard in zip(self._rows, self._shards, strict=True)
            ]
            self._terms[summand] = terms
        return terms


class _Terms(NamedTuple):
    """What is summed over the pictures of a shard: a summand for them alone, and the parts to cut."""

    summand: Summand
    inner: list[slice]


class _Shard(NamedTuple):
    """Neighbouring parts of all pictures: together, and each counted from the first picture."""

    rows: slice
    inner: list[slice]

    @classmethod
    def of(cls, cut: Sequence[slice]) -> _Shard:
        first, last = cut[0].start, cut[-1].stop
        return cls(slice(first, last), [slice(part.start - first, part.stop - first) for part in cut])

    def terms(self, summand: Summand) -> _Terms:
        return _Terms(summand.of(self.rows), self.inner)


# What the workers do.


def _beside(rows: NDArray[Any], terms: _Terms) -> _Terms:
    del rows  # an argument only to be where the rows are
    return terms


def _swept(rows: NDArray[Any], terms: list[_Terms], points: list[Point]) -> list[Sweep]:
    kept, summands = InMemory(rows), [each.summand for each in terms]
    return added(sweep_part(kept, part, points, summands) for part in terms[0].inner)


def _scored(rows: NDArray[Any], inner: list[slice], point: Point) -> Vector:
    kept = InMemory(rows)
    return np.concatenate([score_part(kept, part, point) for part in inner])
