"""Standardised pictures for engines that know w and b: a change of coordinates, and no second matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catclf.design import Standardisation
from catclf.engines import Engine, Result, Sweeping
from catclf.engines.sweep import Request, Summand, Sweep
from catclf.engines.w_and_b import WeightsAndBias
from catclf.logistic import Vector


class Standardised(WeightsAndBias):
    """As an engine over rows (x − μ) / σ, while the one that sweeps has the rows x as they are.

    With w' = w / σ and b' = b − w'ᵀμ the scores are z = w'ᵀx + b', and Σ (x − μ) r / σ follows from the
    sums Σ x r and Σ r. Several standardisations of the same rows can so share their passes.

    Coordinates are w and then b, (n_x + 1,) float64.

    Parameters
    ----------
    engine : Engine
        Its coordinates are w and b, for the rows as they are; its start is not used.
    standardisation : Standardisation
    w0 : (n_x,) float64
    b0 : float
    """

    def __init__(
        self, engine: Engine, standardisation: Standardisation, w0: Vector, b0: float = 0.0
    ) -> None:
        self.engine, self._standardisation = engine, standardisation
        self._start = np.append(w0, b0)
        self.m, self.n_x = engine.m, engine.n_x

    def start(self) -> Vector:
        """(w₀, b₀)."""
        return self._start

    def sweep(self, c: Vector, summand: Summand, losses: bool = False) -> Sweep:
        """See `catclf.engines.Engine`."""
        return self._inside(self.engine.sweep(self._outside(c), summand, losses))

    def sweeps(self, requests: Sequence[Request]) -> list[Sweep]:
        """See `catclf.engines.Engine`."""
        return [*map(self._inside, self.engine.sweeps(self._asked(requests)))]

    def scores(self, c: Vector) -> Vector:
        """Compute z = wᵀX + b, (m,)."""
        return self.engine.scores(self._outside(c))

    def through(self, computation: Sweeping[Result]) -> Sweeping[Result]:
        """Run a computation with this engine's coordinates, asking for what `engine` is to do."""
        try:
            requests = next(computation)
            while True:
                answers = yield self._asked(requests)
                requests = computation.send([*map(self._inside, answers)])
        except StopIteration as end:
            result: Result = end.value
            return result

    def _asked(self, requests: Sequence[Request]) -> list[Request]:
        return [request._replace(c=self._outside(request.c)) for request in requests]

    def _outside(self, c: Vector) -> Vector:
        w, b = self._standardisation.fold(c[:-1], float(c[-1]))
        return np.append(w, b)

    def _inside(self, sweep: Sweep) -> Sweep:
        sums, losses = sweep
        xr = sums[:-1] - self._standardisation.mean * sums[-1]
        xr /= self._standardisation.deviation
        return np.append(xr, sums[-1]), losses
