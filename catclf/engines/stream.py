"""One fused pass a step over rows as they are stored: X never exists as floats."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.sweep import Summand, Sweep
from catclf.logistic import Vector
from catclf.parallel import ahead

# A block of rows as float32 that stays in a core's cache between its three uses: converted,
# multiplied for z, multiplied again for dw. Larger blocks spill, smaller ones pay more calls.
_BLOCK_BYTES = 1_500_000

# The sum over pictures is always cut into this many parts that are added in order, so that the
# result does not depend on how many threads there are to compute them.
_PARTS = 16

_BLOCKS_AHEAD = 8
"""Blocks that are read at a time where rows are not in memory: 3 MB of bytes."""


class StreamEngine:
    """Block by block z_B = wᵀX_B + b, r_B, and dw += X_B r_B; on all threads.

    Products are in float32 (relative error about 1e-6 of ‖x‖‖w‖), sums over blocks in float64. Needs
    ``rows`` as they are, and a block and a sum for each part. Rows that are not in memory are read
    while those before them are worked on; every thread then keeps two pieces of some 3 MB.

    Coordinates are w itself, (n_x,) float64.
    """

    def __init__(self, design: Design, w0: Vector, jobs: int = 1) -> None:
        self._design = design
        self._w0 = w0
        self.m, self.n_x = design.m, design.n_x
        self._height = max(1, _BLOCK_BYTES // (4 * design.n_x))
        bounds = np.linspace(0, design.m, _PARTS + 1).astype(int).tolist()
        self._parts = [slice(i, j) for i, j in itertools.pairwise(bounds) if i < j]
        self._pool = ThreadPoolExecutor(jobs)

    def start(self) -> Vector:
        """w₀."""
        return self._w0

    def sweep(self, c: Vector, b: float, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        scaled = self._scaled(c)

        @np.errstate(over="ignore", invalid="ignore")  # as in `descend`, which is another thread
        def sum_up(part: slice) -> Sweep:
            xr = np.zeros(self.n_x)
            z, r = np.empty(part.stop - part.start), np.empty(part.stop - part.start)
            for rows, block in self._blocks(part):
                here = slice(rows.start - part.start, rows.stop - part.start)
                np.add(block @ scaled, b, z[here])
                summand.residual(z[here], rows, r[here])
                xr += r[here].astype(np.float32) @ block
            return xr, float(r.sum()), summand.losses(z, part) if losses else None

        sums, r_sums, lost = zip(*self._pool.map(sum_up, self._parts), strict=True)
        xr = np.add.reduce(sums)
        xr *= self._design.scale
        return xr, sum(r_sums), np.add.reduce(lost) if losses else None

    def scores(self, c: Vector, b: float) -> Vector:
        """Z = wᵀX + b (m,)."""
        scaled = self._scaled(c)

        def product(part: slice) -> Vector:
            return np.concatenate([block @ scaled for _, block in self._blocks(part)]) + b

        return np.concatenate(list(self._pool.map(product, self._parts)))

    def _scaled(self, c: Vector) -> NDArray[np.float32]:
        return (c * self._design.scale).astype(np.float32)  # the scale of X, moved into w

    def _blocks(self, part: slice) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield the pictures of a part in blocks; each is gone when the next one comes."""
        buffer = np.empty((min(self._height, part.stop - part.start), self.n_x), np.float32)
        start = part.start
        for piece in self._pieces(part):
            for first in range(0, len(piece), self._height):
                stored = piece[first : first + self._height]
                block = buffer[: len(stored)]
                np.copyto(block, stored)
                yield slice(start, start + len(stored)), block
                start += len(stored)

    def _pieces(self, part: slice) -> Iterator[NDArray[Any]]:
        """Yield the rows of a part as they are stored, whole blocks at a time."""
        rows, step = self._design.rows, _BLOCKS_AHEAD * self._height
        if self._design.in_memory:
            yield rows[part]
        else:
            starts = range(part.start, part.stop, step)
            yield from ahead(lambda start: rows[start : min(start + step, part.stop)], starts)

    def dot(self, c1: Vector, c2: Vector) -> float:
        """w1ᵀ w2."""
        return float(c1 @ c2)

    def weights(self, c: Vector) -> Vector:
        """W."""
        return c
