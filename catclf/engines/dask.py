"""The streaming pass on the workers of a Dask cluster, each over the pictures that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from catclf.cluster import Cluster
from catclf.design import Design
from catclf.engines.stream import scaled_weights, score_part, sweep_part
from catclf.engines.sweep import FAN_IN, Summand, Sweep, added
from catclf.images.remote import RemoteRows
from catclf.logistic import Vector
from catclf.parallel import parts

if TYPE_CHECKING:
    from distributed import Future

# Sums that one task adds up: two levels of the tree, so that few tasks wait for others.
_ADDED_BY_A_TASK = FAN_IN**2


class DaskEngine:
    """As `StreamEngine`, bit for bit, with the rows on the workers of a Dask scheduler.

    A shard is `FAN_IN` neighbouring parts of the pictures. It stays on one worker, as uint8, together
    with the summand's terms for it. A sweep sends w and b, and gets one sum a shard, added up in a tree
    on the way: O(n_x) numbers a worker. If a worker dies, Dask has its shards made again elsewhere, and
    the sums are the same.

    Coordinates are w itself, (n_x,) float64.

    Parameters
    ----------
    design : Design
        With rows on the workers; rows that are here are sent to the workers of the current client.
    """

    def __init__(self, design: Design, w0: Vector, jobs: int = 1) -> None:
        del jobs  # each worker has threads of its own
        self.m, self.n_x = design.m, design.n_x
        self._w0, self._scale = w0, design.scale
        cut = parts(design.m, design.n_x)
        self._shards = [_Shard.of(cut[k : k + FAN_IN]) for k in range(0, len(cut), FAN_IN)]
        rows = design.rows
        if isinstance(rows, RemoteRows):
            self._cluster = rows.cluster
            self._rows = [rows.part(shard.rows) for shard in self._shards]
        else:
            self._cluster = Cluster.current()
            self._rows = [self._cluster.submit(_same, rows[shard.rows]) for shard in self._shards]
        self._terms: WeakKeyDictionary[Summand, list[Future[Any]]] = WeakKeyDictionary()

    def start(self) -> Vector:
        """w₀."""
        return self._w0

    def sweep(self, c: Vector, b: float, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        terms = self._sent(summand)
        point = self._cluster.submit(_same, _Point(scaled_weights(c, self._scale), b, losses))
        sums = self._cluster.submit_each(_swept, self._rows, terms, [point] * len(terms))
        while len(sums) > 1:
            groups = range(0, len(sums), _ADDED_BY_A_TASK)
            sums = [self._cluster.submit(_added, sums[k : k + _ADDED_BY_A_TASK]) for k in groups]
        ((xr, r_sum, lost),) = self._cluster.gather(sums)
        return xr * self._scale, r_sum, lost

    def scores(self, c: Vector, b: float) -> Vector:
        """Z = wᵀX + b (m,)."""
        point = self._cluster.submit(_same, _Point(scaled_weights(c, self._scale), b, False))
        inner = [shard.inner for shard in self._shards]
        scores = self._cluster.submit_each(_scored, self._rows, inner, [point] * len(inner))
        return np.concatenate(self._cluster.gather(scores))

    def dot(self, c1: Vector, c2: Vector) -> float:
        """w1ᵀ w2."""
        return float(c1 @ c2)

    def weights(self, c: Vector) -> Vector:
        """W."""
        return c

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


# What the workers do. Rows may come in the shape of pictures.


def _same(value: Any) -> Any:
    return value


def _beside(rows: NDArray[Any], terms: _Terms) -> _Terms:
    del rows  # an argument only to be where the rows are
    return terms


def _swept(rows: NDArray[Any], terms: _Terms, point: _Point) -> Sweep:
    flat = rows.reshape(len(rows), -1)
    return added(
        sweep_part(flat, part, point.scaled, point.b, terms.summand, point.losses)
        for part in terms.inner
    )


def _scored(rows: NDArray[Any], inner: list[slice], point: _Point) -> Vector:
    flat = rows.reshape(len(rows), -1)
    return np.concatenate([score_part(flat, part, point.scaled, point.b) for part in inner])


def _added(sums: list[Sweep]) -> Sweep:
    return added(sums)
