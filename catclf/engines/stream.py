"""One fused pass a step over rows as they are stored: X never exists as floats."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.sweep import Sweep
from catclf.logistic import Residual, Vector

# A block of rows as float32 that stays in a core's cache between its three uses: converted,
# multiplied for z, multiplied again for dw. Larger blocks spill, smaller ones pay more calls.
_BLOCK_BYTES = 1_500_000

# The sum over pictures is always cut into this many parts that are added in order, so that the
# result does not depend on how many threads there are to compute them.
_PARTS = 16


class StreamEngine:
    """Block by block z_B = wᵀX_B + b, r_B, and dw += X_B r_B; on all threads.

    Products are in float32 (relative error about 1e-6 of ‖x‖‖w‖), sums over blocks in float64. Needs
    ``rows`` as they are, and a block and a sum for each part.

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

    def sweep(self, c: Vector, b: float, residual: Residual) -> Sweep:
        """See `catclf.engines.Engine`."""
        scaled = (c * self._design.scale).astype(np.float32)  # the scale of X, moved into w
        z, r = np.empty(self.m), np.empty(self.m)

        def add_up(part: slice) -> Vector:
            return self._sweep_part(part, scaled, b, residual, z, r)

        xr = np.zeros(self.n_x)
        for partial in self._pool.map(add_up, self._parts):
            xr += partial
        return Sweep(xr * self._design.scale, z, r)

    def _sweep_part(
        self,
        part: slice,
        scaled: NDArray[np.float32],
        b: float,
        residual: Residual,
        z: Vector,
        r: Vector,
    ) -> Vector:
        total = np.zeros(self.n_x)
        buffer = np.empty((min(self._height, part.stop - part.start), self.n_x), np.float32)
        for start in range(part.start, part.stop, self._height):
            rows = slice(start, min(start + self._height, part.stop))
            block = buffer[: rows.stop - rows.start]
            np.copyto(block, self._design.rows[rows])
            z[rows] = block @ scaled
            z[rows] += b
            r[rows] = residual(z[rows], rows)
            total += r[rows].astype(np.float32) @ block
        return total

    def dot(self, c1: Vector, c2: Vector) -> float:
        """w1ᵀ w2."""
        return float(c1 @ c2)

    def weights(self, c: Vector) -> Vector:
        """W."""
        return c
