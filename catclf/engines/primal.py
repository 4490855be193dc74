"""The lecture's engine: X as one matrix of floats, two products a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catclf.design import Design
from catclf.engines.sweep import Request, Summand, Sweep
from catclf.engines.w_and_b import WeightsAndBias
from catclf.logistic import EVERY_PICTURE, Vector


class PrimalEngine(WeightsAndBias):
    """z = wᵀX + b and dw = X r, with X in float64: 4 n_x m flops a step, 8 n_x m bytes.

    Coordinates are w and then b, (n_x + 1,).
    """

    def __init__(
        self, design: Design, w0: Vector, jobs: int = 1, *, b0: float = 0.0, own_bias: bool = True
    ) -> None:
        del jobs, own_bias
        self._start = np.append(w0, b0)
        self._xt = np.multiply(design[:], design.scale, dtype=np.float64)  # (m, n_x) = Xᵀ
        self.m, self.n_x = design.m, design.n_x

    def start(self) -> Vector:
        """(w₀, b₀)."""
        return self._start

    def sweep(self, c: Vector, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        z = self.scores(c)
        r = np.empty(self.m)
        summand.residual(z, EVERY_PICTURE, r)
        sums = np.append(r @ self._xt, r.sum())
        return sums, summand.losses(z, EVERY_PICTURE) if losses else None

    def sweeps(self, requests: Sequence[Request]) -> list[Sweep]:
        """See `catclf.engines.Engine`; one after the other."""
        return [self.sweep(*request) for request in requests]

    def scores(self, c: Vector) -> Vector:
        """Compute z = wᵀX + b, (m,)."""
        z: Vector = self._xt @ c[:-1] + c[-1]
        return z
