"""The largest curvature of an objective, which bounds the learning rate."""

from __future__ import annotations

import math

import numpy as np

from catclf.engines import Coordinates, Engine, Sweeping, run
from catclf.engines.sweep import Request
from catclf.logistic import Vector
from catclf.objective import Objective

_ITERATIONS = 300
_TOLERANCE = 1e-6


def largest_curvature(engine: Engine, objective: Objective, bias_factor: float = 1.0) -> float:
    """L: the largest eigenvalue of a bound of the Hessian of J, by power iteration.

    The bound is ``curvature · X̃ diag(shares) X̃ᵀ + λ``, X̃ being X with a row of ones (scaled by
    √bias_factor; unless that is 1, the engine needs a bias of its own). Gradient descent is stable below
    2/L, and 1/L is the largest step for which the cost is sure to fall by half the square of the
    gradient's length.

    It needs one sweep an iteration, whatever the engine.
    """
    return run(engine, bounding(engine, objective, bias_factor))


def bounding(engine: Engine, objective: Objective, bias_factor: float = 1.0) -> Sweeping[float]:
    """Do as `largest_curvature`, but leave it to the caller to have the engine sweep."""
    noise = np.random.default_rng(0).standard_normal(engine.m)
    v = np.zeros_like(engine.start())
    begin, multiply = _Shares(objective.shares, noise), _Shares(objective.shares)
    largest = 0.0
    for _ in range(_ITERATIONS):
        [(v, _)] = yield [Request(v, multiply if largest else begin)]
        if bias_factor != 1.0:
            engine.shift(v, (bias_factor - 1.0) * engine.bias(v))
        stretched = _length(engine, v, bias_factor)
        if stretched == 0.0:  # X is zero and so is the curvature
            break
        v /= stretched
        done = largest > 0 and abs(stretched - largest) <= _TOLERANCE * stretched
        largest = stretched
        if done:
            break
    return objective.loss_curvature * largest + objective.l2


def _length(engine: Engine, v: Coordinates, bias_factor: float) -> float:
    """‖v‖ where b is measured in units of √bias_factor, in which the bound is a symmetric matrix."""
    squared = engine.dot(v, v)
    if bias_factor:
        squared += (1.0 / bias_factor - 1.0) * engine.bias(v) ** 2
    return math.sqrt(max(squared, 0.0))


class _Shares:
    """r = z · shares, or values of our own instead of z; there are no losses."""

    def __init__(self, shares: Vector, values: Vector | None = None) -> None:
        self._shares = shares
        self._values = values

    def residual(self, z: Vector, part: slice, out: Vector) -> None:
        np.multiply(z if self._values is None else self._values[part], self._shares[part], out)

    def losses(self, z: Vector, part: slice) -> Vector:
        del z, part
        return np.zeros(0)

    def of(self, part: slice) -> _Shares:
        return _Shares(self._shares[part], None if self._values is None else self._values[part])
