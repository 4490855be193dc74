"""One fused pass a step over rows as they are stored: X never exists as floats."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.sweep import Request, Summand, Sweep, added
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


class Point(NamedTuple):
    """Where a pass is made, and whether it is to sum the losses.

    Attributes
    ----------
    scaled : (n_x,) float32
        w times the scale of X.
    b : float
    losses : bool
    """

    scaled: NDArray[np.float32]
    b: float
    losses: bool = False

    @classmethod
    def at(cls, c: Vector, scale: float, losses: bool = False) -> Point:
        """The point with coordinates `c`; `scale` is that of X."""
        return cls((c[:-1] * scale).astype(np.float32), float(c[-1]), losses)


@np.errstate(over="ignore", invalid="ignore")  # as in `run`, which is another thread
def sweep_part(
    rows: Store, part: slice, points: Sequence[Point], summands: Sequence[Summand]
) -> list[Sweep]:
    """Sweep over the pictures `part` of `rows`; its x are the rows themselves, for X without its scale.

    Parameters
    ----------
    rows : Store (m, n_x) of uint8, float16 or float32
    part : slice
    points, summands : sequence
        One for each sweep. Every block is multiplied by all points at once: five take the time of two.
    """
    m, n_x, k = part.stop - part.start, rows.shape[1], len(points)
    sums, z, r = np.zeros((k, n_x + 1)), np.empty((k, m)), np.empty((k, m))
    scaled, xr = np.stack([point.scaled for point in points], axis=1), sums[:, :-1]
    for these, block in _blocks(rows, part):
        here = slice(these.start - part.start, these.stop - part.start)
        # subtle: unlike `@`, `dot` lets the other threads run while it makes a few numbers of many.
        z[:, here] = block.dot(scaled).T
        for number, (point, summand) in enumerate(zip(points, summands, strict=True)):
            z[number, here] += point.b
            summand.residual(z[number, here], these, r[number, here])
        xr += r[:, here].astype(np.float32) @ block
    sums[:, -1] = r.sum(axis=1)
    return [
        (sums[number], summand.losses(z[number], part) if point.losses else None)
        for number, (point, summand) in enumerate(zip(points, summands, strict=True))
    ]


def score_part(rows: Store, part: slice, point: Point) -> Vector:
    """z of the pictures `part` of `rows`."""
    return np.concatenate([block.dot(point.scaled) for _, block in _blocks(rows, part)]) + point.b


def _blocks(rows: Store, part: slice) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the pictures of a part as blocks of float32, each gone when the next comes."""
    m, n_x = part.stop - part.start, rows.shape[1]
    blocks = -(-4 * m * n_x // _BLOCK_BYTES)
    height = -(-m // blocks)  # nearly equal for all of them
    buffer = _memory.floats(height * n_x).reshape(height, n_x)
    start = part.start
    for piece in rows.pieces(part, _BLOCKS_AHEAD * height):
        for first in range(0, len(piece), height):
            stored = piece[first : first + height]
            if stored.dtype == np.float32:
                block = stored
            else:
                block = buffer[: len(stored)]
                _convert(stored, block)
            yield slice(start, start + len(stored)), block
            start += len(stored)


def _convert(stored: NDArray[Any], block: NDArray[np.float32]) -> None:
    """Write numbers as float32; float16 must be finite, and take a seventh of NumPy's own time.

    The exponent and the fraction of a half, moved to where a float has them, are the number times
    2⁻¹¹²: exactly, and subnormal numbers as well.
    """
    if stored.dtype != np.float16:
        np.copyto(block, stored)
        return
    bits = block.view(np.int32)
    np.copyto(bits, stored.view(np.int16))  # the sign fills what it is moved through …
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, -0x70000001, out=bits)  # … and is taken from there again
    np.multiply(block, np.float32(2.0**112), out=block)


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
        return self.sweeps([Request(c, summand, losses)])[0]

    def sweeps(self, requests: Sequence[Request]) -> list[Sweep]:
        """See `catclf.engines.Engine`; all in one pass."""
        rows, scale = self._design.rows, self._design.scale
        points = [Point.at(request.c, scale, request.losses) for request in requests]
        summands = [request.summand for request in requests]
        found = added(self._each(lambda part: sweep_part(rows, part, points, summands)))
        for sums, _ in found:
            sums[:-1] *= scale
        return found

    def scores(self, c: Vector) -> Vector:
        """Compute z = wᵀX + b, (m,)."""
        rows, point = self._design.rows, Point.at(c, self._design.scale)
        return np.concatenate(list(self._each(lambda part: score_part(rows, part, point))))

    def _each(self, function: Callable[[slice], Result]) -> Iterator[Result]:
        """Yield ``function(part)`` for every part, in order, computed on all threads."""
        return ordered_on(self._threads, function, self._parts, len(self._parts))
