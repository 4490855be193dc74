"""The same descent in m dimensions: w = w₀ s + X a, where only K = XᵀX is ever needed."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.sweep import EVERY_PICTURE, Summand, Sweep
from catclf.logistic import Vector
from catclf.parallel import ordered_map

_BLOCK_BYTES = 64_000_000

# The blocks of the Gram matrix depend on the design alone: for float rows the last bits of a product
# depend on its shape, and results must not depend on the number of threads.
_GRAM_BLOCK_BYTES = 16_000_000
_GRAM_BLOCKS = 4


class GramEngine:
    """z = K a + b, and a changes by r: 2 m² flops a step instead of 4 n_x m, 8 m² bytes.

    Gradient descent never leaves w₀ + span(columns of X). With the basis V = [X, w₀] (only X if
    w₀ = 0) and w = V a, the gradient X r is V (r, 0), and the lengths that the stopping tests need
    follow from K = VᵀV: ‖V a‖² = aᵀK a.

    Coordinates are (2, k) float64: a, and K a beside it. Linear operations keep the two in step, so
    the scores of a new point come without a product, and each sweep needs one: K r.
    """

    def __init__(self, design: Design, w0: Vector, jobs: int = 1) -> None:
        self._design = design
        self._w0 = w0 if np.any(w0) else None
        self._jobs = jobs
        self.m, self.n_x = design.m, design.n_x
        self._ones = np.ones(design.m)
        gram = gram_matrix(design, jobs)
        if self._w0 is not None:
            gram = _bordered(gram, _products(design, self._w0), float(self._w0 @ self._w0))
        self._gram = gram

    def start(self) -> NDArray[np.float64]:
        """Coordinates of w₀: zero, or the last member of the basis."""
        c = np.zeros((2, len(self._gram)))
        if self._w0 is not None:
            c[0, -1] = 1.0
            c[1] = self._gram[-1]
        return c

    def sweep(self, c: NDArray[np.float64], b: float, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        z = self.scores(c, b)
        xr = np.empty(c.shape)
        if self._w0 is None:
            r = xr[0]
        else:
            r = xr[0, : self.m]
            xr[0, self.m :] = 0.0  # w₀ has no part in a gradient
        summand.residual(z, EVERY_PICTURE, r)
        np.dot(self._gram, xr[0], xr[1])
        return xr, float(self._ones.dot(r)), summand.losses(z, EVERY_PICTURE) if losses else None

    def scores(self, c: NDArray[np.float64], b: float) -> Vector:
        """Z = K a + b (m,)."""
        return c[1, : self.m] + b

    def dot(self, c1: NDArray[np.float64], c2: NDArray[np.float64]) -> float:
        """w1ᵀ w2 = a1ᵀ K a2."""
        return float(c1[0].dot(c2[1]))

    def weights(self, c: NDArray[np.float64]) -> Vector:
        """W = X a + s w₀, in one pass over the rows."""
        w = _combination(self._design, c[0, : self.m])
        return w if self._w0 is None else w + c[0, -1] * self._w0


def gram_matrix(design: Design, jobs: int = 1) -> NDArray[np.float64]:
    """K = XᵀX (m, m) in float64, from two blocks of rows at a time for each thread.

    For uint8 rows every product and sum is a whole number below 2⁵³, so K is exact but for its last
    multiplication by scale², whatever the order of summation and the number of threads.
    """
    m = design.m
    height = min(_rows_in(design, _GRAM_BLOCK_BYTES), -(-m // _GRAM_BLOCKS))
    blocks = [slice(i, min(i + height, m)) for i in range(0, m, height)]
    gram = np.empty((m, m))

    def fill(pair: tuple[slice, slice]) -> None:
        one, other = pair
        left = design.rows[one].astype(np.float64)
        right = left if one == other else design.rows[other].astype(np.float64)
        product = left @ right.T
        product *= design.scale**2
        gram[one, other] = product
        gram[other, one] = product.T

    for _ in ordered_map(fill, combinations_with_replacement(blocks, 2), jobs):
        pass
    return gram


def _rows_in(design: Design, size: int) -> int:
    return max(1, size // (8 * design.n_x))


def _row_blocks(design: Design) -> list[slice]:
    height = _rows_in(design, _BLOCK_BYTES)
    return [slice(i, i + height) for i in range(0, design.m, height)]


def _products(design: Design, w: Vector) -> Vector:
    """Xᵀ w (m,)."""
    parts = [design.rows[part].astype(np.float64) @ w for part in _row_blocks(design)]
    return np.concatenate(parts) * design.scale


def _combination(design: Design, a: Vector) -> Vector:
    """X a (n_x,)."""
    w = np.zeros(design.n_x)
    for part in _row_blocks(design):
        w += a[part] @ design.rows[part].astype(np.float64)
    return w * design.scale


def _bordered(gram: NDArray[np.float64], edge: Vector, corner: float) -> NDArray[np.float64]:
    """[[gram, edge], [edgeᵀ, corner]]."""
    return np.block([[gram, edge[:, np.newaxis]], [edge, np.array([corner])]])
