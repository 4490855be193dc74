"""The same descent in m dimensions: w is a sum of pictures, and only K = XᵀX is ever needed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from itertools import product as product_of
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from catclf.design import Design
from catclf.engines.sweep import Request, Summand, Sweep
from catclf.logistic import EVERY_PICTURE, Vector
from catclf.work.threads import ordered_map

_BLOCK_BYTES = 2_000_000

# The blocks of the Gram matrix depend on the design alone: for float rows the last bits of a product
# depend on its shape, and results must not depend on the number of threads.
_FLOAT_BLOCK_BYTES = 16_000_000
_FLOAT_BLOCKS = 4

# Sums of products of 256 pairs of bytes are whole numbers below 2²⁴, which float32 has all of.
_SPAN = 256
_BYTE_BLOCK_ROWS = 1024
_BYTE_GROUPS = 8


class GramEngine:
    """z = K a, and a changes by r: 2 m² flops a step instead of 4 n_x m, 8 m² bytes.

    Gradient descent never leaves (w₀, b₀) + span(columns of X̃), X̃ being X with a row of ones. The
    columns are the basis V, joined by the bias itself, (0, 1), if that is to move on its own, and by
    (w₀, b₀) if it is not zero. With (w, b) = V a, the gradient X̃ r is V (r, 0), and the lengths that
    the stopping tests need follow from K = VᵀV: ‖V a‖² = aᵀK a.

    Coordinates are (2, k) float64: a, and K a beside it. Linear operations keep the two in step, so
    the scores of a new point come without a product, and each sweep needs one: K r.
    """

    def __init__(
        self, design: Design, w0: Vector, jobs: int = 1, *, b0: float = 0.0, own_bias: bool = True
    ) -> None:
        self._design = design
        self._w0, self._b0 = w0, b0
        self.m, self.n_x = design.m, design.n_x
        gram = gram_matrix(design, jobs)
        gram += 1.0  # the row of ones
        self._bias_at = self._start_at = 0  # in the basis, after the pictures; 0 is none
        if own_bias:
            self._bias_at = len(gram)
            gram = _bordered(gram, np.ones(self.m), 1.0)
        if b0 or np.any(w0):
            self._start_at = len(gram)
            edge = _products(design, w0) + b0
            if own_bias:
                edge = np.append(edge, b0)
            gram = _bordered(gram, edge, float(w0 @ w0) + b0 * b0)
        self._gram = gram
        self._has_others = len(gram) > design.m  # members of the basis other than pictures

    def start(self) -> NDArray[np.float64]:
        """Coordinates of (w₀, b₀): zero, or the last member of the basis."""
        c = np.zeros((2, len(self._gram)))
        if self._start_at:
            self._add(c, self._start_at, 1.0)
        return c

    def sweep(self, c: NDArray[np.float64], summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        xr = np.empty(c.shape)
        a = r = xr[0]
        z = c[1]
        if self._has_others:
            a[self.m :] = 0.0  # they have no part in a gradient
            r, z = a[: self.m], z[: self.m]
        summand.residual(z, EVERY_PICTURE, r)
        self._gram.dot(a, xr[1])
        return xr, summand.losses(z, EVERY_PICTURE) if losses else None

    def sweeps(self, requests: Sequence[Request]) -> list[Sweep]:
        """See `catclf.engines.Engine`; one product K R for all of them."""
        xr = np.zeros((2, len(requests), len(self._gram)))
        losses = []
        for (c, summand, wanted), a in zip(requests, xr[0], strict=True):
            z = self.scores(c)
            summand.residual(z, EVERY_PICTURE, a[: self.m])
            losses.append(summand.losses(z, EVERY_PICTURE) if wanted else None)
        xr[0].dot(self._gram, xr[1])  # K is symmetric
        return [(np.ascontiguousarray(xr[:, k]), loss) for k, loss in enumerate(losses)]

    def scores(self, c: NDArray[np.float64]) -> Vector:
        """Compute z (m,), the pictures' part of K a."""
        return c[1, : self.m]

    def dot(self, c1: NDArray[np.float64], c2: NDArray[np.float64]) -> float:
        """w1ᵀ w2 + b1 b2 = a1ᵀ K a2."""
        return float(c1[0].dot(c2[1]))

    def weights(self, c: NDArray[np.float64]) -> Vector:
        """Compute w = X a + s w₀, in one pass over the rows."""
        w = _combination(self._design, c[0, : self.m])
        return w + c[0, self._start_at] * self._w0 if self._start_at else w

    def bias(self, c: NDArray[np.float64]) -> float:
        """Compute b = Σ a + s b₀, which is a member of K a where the bias is one of the basis."""
        if self._bias_at:
            return float(c[1, self._bias_at])
        b = float(c[0, : self.m].sum())
        return b + float(c[0, self._start_at]) * self._b0 if self._start_at else b

    def shift(self, c: NDArray[np.float64], b: float) -> None:
        """Add `b` to the bias, in place; only if made with ``own_bias``."""
        if not self._bias_at:
            raise ValueError("made without a bias of its own")
        self._add(c, self._bias_at, b)

    def _add(self, c: NDArray[np.float64], member: int, factor: float) -> None:
        """Add a member of the basis."""
        c[0, member] += factor
        c[1] += factor * self._gram[member]


def gram_matrix(design: Design, jobs: int = 1) -> NDArray[np.float64]:
    """K = XᵀX (m, m) in float64, from a block for each thread.

    For uint8 rows every product and sum is a whole number, so K is exact but for its last
    multiplication by scale², whatever the order of summation and the number of threads.
    """
    m = design.m
    if design.exact:
        height, product, groups = _BYTE_BLOCK_ROWS, _byte_product, _groups(design.n_x)
    else:
        height = min(_rows_in(design, _FLOAT_BLOCK_BYTES), -(-m // _FLOAT_BLOCKS))
        product, groups = _float_product, [slice(None)]
    blocks = [slice(i, i + height) for i in range(0, m, height)]
    tasks = product_of(combinations_with_replacement(blocks, 2), groups)
    gram = np.zeros((m, m))
    lock = Lock()

    def add(task: tuple[tuple[slice, slice], slice]) -> None:
        (one, other), group = task
        part = product(design[one][:, group], None if one == other else design[other][:, group])
        with lock:
            gram[one, other] += part

    for _ in ordered_map(add, tasks, jobs):
        pass
    gram *= design.scale**2
    for one, other in combinations(blocks, 2):
        gram[other, one] = gram[one, other].T
    return gram


def _groups(n_x: int) -> list[slice]:
    """Cut the features into parts of whole spans, of which there are enough for all threads."""
    width = _SPAN * -(-n_x // (_SPAN * _BYTE_GROUPS))
    return [slice(i, i + width) for i in range(0, n_x, width)]


def _byte_product(left: NDArray[Any], right: NDArray[Any] | None) -> NDArray[Any]:
    """left · rightᵀ of whole numbers, exact in float64; None is `left` itself."""
    total = np.zeros((len(left), len(left) if right is None else len(right)))
    for start in range(0, left.shape[1], _SPAN):
        span = slice(start, start + _SPAN)
        total += _product(left[:, span], None if right is None else right[:, span], np.float32)
    return total


def _float_product(left: NDArray[Any], right: NDArray[Any] | None) -> NDArray[Any]:
    return _product(left, right, np.float64)


def _product(left: NDArray[Any], right: NDArray[Any] | None, dtype: DTypeLike) -> NDArray[Any]:
    a = left.astype(dtype)
    whole: NDArray[Any] = a @ (a if right is None else right.astype(dtype)).T
    return whole


def _rows_in(design: Design, size: int) -> int:
    return max(1, size // (8 * design.n_x))


def _row_blocks(design: Design) -> list[slice]:
    height = _rows_in(design, _BLOCK_BYTES)
    return [slice(i, i + height) for i in range(0, design.m, height)]


def _products(design: Design, w: Vector) -> Vector:
    """Xᵀ w (m,)."""
    parts = [design[part].astype(np.float64) @ w for part in _row_blocks(design)]
    return np.concatenate(parts) * design.scale


def _combination(design: Design, a: Vector) -> Vector:
    """Compute X a, (n_x,)."""
    w = np.zeros(design.n_x)
    for part in _row_blocks(design):
        w += a[part] @ design[part].astype(np.float64)
    return w * design.scale


def _bordered(gram: NDArray[np.float64], edge: Vector, corner: float) -> NDArray[np.float64]:
    """[[gram, edge], [edgeᵀ, corner]]."""
    return np.block([[gram, edge[:, np.newaxis]], [edge, np.array([corner])]])
