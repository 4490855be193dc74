"""One fused pass a step over rows as they are stored: X never exists as floats."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.sweep import Summand, Sweep, added
from catclf.engines.w_and_b import WeightsAndBias
from catclf.logistic import Vector
from catclf.stores import Store
from catclf.work.parts import parts
from catclf.work.threads import Threads, ordered_on

Result = TypeVar("Result")

# A block of rows as float32 that stays in the cache between its three uses: converted, multiplied
# for z, multiplied again for dw. Larger blocks spill; with smaller ones there are more calls, and
# threads wait for each other at every call.
_BLOCK_BYTES = 6_000_000

_BLOCKS_AHEAD = 2
"""Blocks that are read at a time where rows are not in memory: 3 MB of bytes."""


@np.errstate(over="ignore", invalid="ignore")  # as in `descend`, which is another thread
def sweep_part(
    rows: Store,
    part: slice,
    scaled: NDArray[np.float32],
    b: float,
    summand: Summand,
    losses: bool,
) -> Sweep:
    """Sweep over the pictures `part` of `rows`; its x are the rows themselves, for X without its scale.

    Parameters
    ----------
    rows : Store (m, n_x) of uint8 or float32
    scaled : (n_x,)
        w times the scale of X.
    """
    m, n_x = part.stop - part.start, rows.shape[1]
    sums, z, r = np.zeros(n_x + 1), np.empty(m), np.empty(m)
    xr = sums[:-1]
    for these, block in _blocks(rows, part):
        here = slice(these.start - part.start, these.stop - part.start)
        # subtle: unlike `@`, `dot` lets the other threads run while it makes a few numbers of many.
        np.add(block.dot(scaled), b, z[here])
        summand.residual(z[here], these, r[here])
        xr += r[here].astype(np.float32) @ block
    sums[-1] = r.sum()
    return sums, summand.losses(z, part) if losses else None


def score_part(rows: Store, part: slice, scaled: NDArray[np.float32], b: float) -> Vector:
    """z of the pictures `part` of `rows`; parameters as of `sweep_part`."""
    return np.concatenate([block.dot(scaled) for _, block in _blocks(rows, part)]) + b


def _blocks(rows: Store, part: slice) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the pictures of a part in blocks; each is gone when the next one comes."""
    m, n_x = part.stop - part.start, rows.shape[1]
    blocks = -(-4 * m * n_x // _BLOCK_BYTES)
    height = -(-m // blocks)  # nearly equal for all of them
    buffer = _memory.floats(height * n_x).reshape(height, n_x)
    start = part.start
    for piece in rows.pieces(part, _BLOCKS_AHEAD * height):
        for first in range(0, len(piece), height):
            stored = piece[first : first + height]
            block = buffer[: len(stored)]
            np.copyto(block, stored)
            yield slice(start, start + len(stored)), block
            start += len(stored)


class _Memory(threading.local):
    """Memory for a block of each thread, used again by the next sweep.

    A worker of Dask gives memory back at once, and the system fills new memory with zeros: together that
    takes as long as half a sweep.
    """

    def __init__(self) -> None:
        self._floats = np.empty(0, np.float32)

    def floats(self, count: int) -> NDArray[np.float32]:
        """Any numbers (count,); they change when it is called again."""
        if len(self._floats) < count:
            self._floats = np.empty(count, np.float32)
        return self._floats[:count]


_memory = _Memory()


def scaled_weights(c: Vector, scale: float) -> NDArray[np.float32]:
    """w of the coordinates, with the scale of X moved into it (n_x,)."""
    return (c[:-1] * scale).astype(np.float32)


class StreamEngine(WeightsAndBias):
    """Block by block z_B = wᵀX_B + b, r_B, and dw += X_B r_B; on all threads.

    Products are in float32 (relative error about 1e-6 of ‖x‖‖w‖), sums over blocks in float64. Needs
    ``rows`` as they are, and a block and a sum for each part. Rows that are not in memory are read
    while those before them are worked on; every thread then keeps two pieces of some 3 MB.

    Coordinates are w and then b, (n_x + 1,) float64.
    """

    def __init__(
        self, design: Design, w0: Vector, jobs: int = 1, *, b0: float = 0.0, own_bias: bool = True
    ) -> None:
        del own_bias
        self._design = design
        self._start = np.append(w0, b0)
        self.m, self.n_x = design.m, design.n_x
        self._parts = parts(design.m, design.n_x)
        self._threads = Threads(jobs)

    def start(self) -> Vector:
        """(w₀, b₀)."""
        return self._start

    def sweep(self, c: Vector, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        rows, scaled, b = self._design.rows, scaled_weights(c, self._design.scale), self.bias(c)
        sums, lost = added(self._each(lambda part: sweep_part(rows, part, scaled, b, summand, losses)))
        sums[:-1] *= self._design.scale
        return sums, lost

    def scores(self, c: Vector) -> Vector:
        """Z = wᵀX + b (m,)."""
        rows, scaled, b = self._design.rows, scaled_weights(c, self._design.scale), self.bias(c)
        return np.concatenate(list(self._each(lambda part: score_part(rows, part, scaled, b))))

    def _each(self, function: Callable[[slice], Result]) -> Iterator[Result]:
        """Yield ``function(part)`` for every part, in order, computed on all threads."""
        return ordered_on(self._threads, function, self._parts, len(self._parts))
