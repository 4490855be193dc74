"""The lecture's engine: X as one matrix of floats, two products a step."""

from __future__ import annotations

import numpy as np

from catclf.design import Design
from catclf.engines.sweep import EVERY_PICTURE, Summand, Sweep
from catclf.logistic import Vector


class PrimalEngine:
    """z = wᵀX + b and dw = X r, with X in float64: 4 n_x m flops a step, 8 n_x m bytes.

    Coordinates are w itself, (n_x,).
    """

    def __init__(self, design: Design, w0: Vector, jobs: int = 1) -> None:
        del jobs
        self._w0 = w0
        self._xt = np.multiply(design.rows[:], design.scale, dtype=np.float64)  # (m, n_x) = Xᵀ
        self.m, self.n_x = design.m, design.n_x

    def start(self) -> Vector:
        """w₀."""
        return self._w0

    def sweep(self, c: Vector, b: float, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        z = self.scores(c, b)
        r = np.empty(self.m)
        summand.residual(z, EVERY_PICTURE, r)
        return r @ self._xt, float(r.sum()), summand.losses(z, EVERY_PICTURE) if losses else None

    def scores(self, c: Vector, b: float) -> Vector:
        """Z = wᵀX + b (m,)."""
        z: Vector = self._xt @ c + b
        return z

    def dot(self, c1: Vector, c2: Vector) -> float:
        """w1ᵀ w2."""
        return float(c1 @ c2)

    def weights(self, c: Vector) -> Vector:
        """W."""
        return c
