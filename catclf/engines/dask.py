"""The streaming pass on the workers of a Dask cluster, each over the pictures that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.stream import scaled_weights, score_part, sweep_part
from catclf.engines.sweep import FAN_IN, Summand, Sweep, added
from catclf.engines.w_and_b import WeightsAndBias
from catclf.logistic import Vector
from catclf.stores.here import InMemory
from catclf.work.cluster import Cluster
from catclf.work.parts import parts

if TYPE_CHECKING:
    from distributed import Future

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
        terms = self._sent(summand)
        point = self._point(c, losses)
        sums = self._cluster.submit_each(_swept, self._rows, terms, [point] * len(terms))
        while len(sums) > _ADDED_AT_ONCE:
            groups = range(0, len(sums), _ADDED_AT_ONCE)
            sums = [self._cluster.submit(_added, sums[k : k + _ADDED_AT_ONCE]) for k in groups]
        # Subtle: to let go of the last sweep's takes a message. The client sends one in 10 ms, and the
        # next sweep should not have to wait for that.
        self._sums = sums
        whole, lost = added(self._cluster.gather(sums))
        whole[:-1] *= self._scale
        return whole, lost

    def scores(self, c: Vector) -> Vector:
        """Z = wᵀX + b (m,)."""
        point = self._point(c, losses=False)
        inner = [shard.inner for shard in self._shards]
        scores = self._cluster.submit_each(_scored, self._rows, inner, [point] * len(inner))
        return np.concatenate(self._cluster.gather(scores))

    def _point(self, c: Vector, losses: bool) -> _Point | Future[Any]:
        """The point for every task; to many it is sent through the workers, which takes longer."""
        point = _Point(scaled_weights(c, self._scale), self.bias(c), losses)
        few = len(self._shards) <= _SENT_AT_ONCE
        return point if few else self._cluster.send(point)

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


class _Point(NamedTuple):
    """Where a sweep is made, and whether it is to sum the losses."""

    scaled: NDArray[np.float32]
    b: float
    losses: bool


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


def _swept(rows: NDArray[Any], terms: _Terms, point: _Point) -> Sweep:
    kept = InMemory(rows)
    return added(
        sweep_part(kept, part, point.scaled, point.b, terms.summand, point.losses)
        for part in terms.inner
    )


def _scored(rows: NDArray[Any], inner: list[slice], point: _Point) -> Vector:
    kept = InMemory(rows)
    return np.concatenate([score_part(kept, part, point.scaled, point.b) for part in inner])


def _added(sums: list[Sweep]) -> Sweep:
    return added(sums)
