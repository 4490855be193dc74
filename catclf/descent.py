"""The descent: cost, gradient, simultaneous update, stopping tests, history. Knows no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from catclf.config import DescentSettings
from catclf.engines import Coordinates, Engine
from catclf.logistic import LOSSES, Vector

# The descent is given up when the cost has passed this many times that of a blind guess …
_EXPLODED = 100.0
# … or has for so many updates been more than 1 % above the lowest one. A learning rate somewhat above
# the limit of stability makes the cost swing for up to 350 updates and then works all the same.
_RISING_STEPS = 500
# Late in a long descent few steps are recorded: one that is high by chance is no trend.
_RISING_ROWS = 5

_POWER_ITERATIONS = 300
_POWER_TOLERANCE = 1e-6


class Step(NamedTuple):
    """What is recorded of a step; `step` counts the updates made before it.

    Attributes
    ----------
    step : int
    cost : float
        With the penalty, in nats.
    gradient_norm : float
        ‖(dw, db)‖ at this point.
    step_norm : float
        ‖(w, b) − (w, b) before the last update‖; NaN before the first.
    learning_rate : float
    validation_cost : float
        Mean loss of the held-out pictures, without penalty; NaN where there are none.
    """

    step: int
    cost: float
    gradient_norm: float
    step_norm: float
    learning_rate: float
    validation_cost: float


Observer = Callable[[Step], None]


class Objective:
    """J(w, b) = Σᵢ shareᵢ · loss(zᵢ, yᵢ) + λ/2 ‖w‖², with z = wᵀX + b.

    Parameters
    ----------
    loss : str
        One of `catclf.config.LOSS_NAMES`.
    y : (m,) float64, 0 or 1
    shares : (m,) float64, ≥ 0, with sum 1
        Each picture's share in the cost: 1/m in the lecture. A picture with share 0 has no influence on
        the descent, but is scored: so pictures are held out.
    l2 : float
        λ; the bias is not penalised.

    Attributes
    ----------
    residual : (z, part) -> r
        dz · share: what each picture's x is multiplied with in the gradient.
    """

    def __init__(self, loss: str, y: Vector, shares: Vector, l2: float) -> None:
        self.l2 = l2
        self.shares = shares
        self._y = y
        self._loss = LOSSES[loss]
        self.loss_curvature = self._loss.curvature
        self.residual = self._loss.residual(y, shares)

    def cost(self, z: Vector, squared_norm: float) -> float:
        """J, from the scores z (m,) and ‖w‖²."""
        return self.mean_loss(z, self.shares) + 0.5 * self.l2 * squared_norm

    def mean_loss(self, z: Vector, shares: Vector) -> float:
        """Σᵢ shareᵢ · loss(zᵢ, yᵢ)."""
        return float(shares.dot(self._loss.value(z, self._y)))

    def curvature(self, engine: Engine, bias_factor: float = 1.0) -> float:
        """L: the largest eigenvalue of a bound of the Hessian of J, by power iteration.

        The bound is ``curvature · X̃ diag(shares) X̃ᵀ + λ``, X̃ being X with a row of ones (scaled by
        √bias_factor). Gradient descent is stable below 2/L, and 1/L is the largest step for which the
        cost is sure to fall by half the square of the gradient's length.

        It needs one sweep an iteration, whatever the engine.
        """
        noise = np.random.default_rng(0).standard_normal(engine.m)
        kappa = math.sqrt(bias_factor)
        v, beta = np.zeros_like(engine.start()), 0.0
        largest = 0.0

        def residual(z: Vector, part: slice) -> Vector:
            return (z if largest else noise[part]) * self.shares[part]

        for _ in range(_POWER_ITERATIONS):
            sweep = engine.sweep(v, kappa * beta, residual)
            v, beta = sweep.xr, kappa * float(sweep.r.sum())
            length = _distance(engine, v, beta)
            if length == 0.0:  # X is zero and so is the curvature
                break
            v, beta = v / length, beta / length
            done = largest > 0 and abs(length - largest) <= _POWER_TOLERANCE * length
            largest = length
            if done:
                break
        return self.loss_curvature * largest + self.l2


class _Point(NamedTuple):
    """A point of the descent with everything that was measured there."""

    c: Coordinates
    b: float
    z: Vector
    gradient_norm: float
    step_norm: float


@dataclass(frozen=True)
class Descent:
    """Where a descent ended.

    Attributes
    ----------
    c : coordinates of w
        ``engine.weights(c)`` is w itself.
    b : float
    z : (m,) float64
        Scores of all pictures with these parameters.
    last : Step
        The record of the parameters returned.
    stop_reason : str
        gradient | step | iterations | patience | diverged | interrupted
    iterations : int
        Number of updates made, which is more than ``last.step`` if an earlier point was the best.
    history : tuple of Step
    """

    c: Coordinates
    b: float
    z: Vector
    last: Step
    stop_reason: str
    iterations: int
    history: tuple[Step, ...]

    @property
    def converged(self) -> bool:
        """Whether a stopping test of the settings was met."""
        return self.stop_reason in ("gradient", "step")


def next_recorded(step: int) -> int:
    """Return the recorded step after `step`: every one up to 100, every 10th up to 1000, and so on.

    So a history is some 100 rows a power of ten, and the longer of two runs begins with the shorter.

    Examples
    --------
    >>> next_recorded(0), next_recorded(100), next_recorded(1990), next_recorded(2000)
    (1, 110, 2000, 2100)
    """
    stride: int = 10 ** max(0, len(str(step)) - 2)
    return step + stride - step % stride


def descend(
    engine: Engine,
    objective: Objective,
    settings: DescentSettings,
    learning_rate: float,
    *,
    start: tuple[Coordinates, float] | None = None,
    bias_factor: float = 1.0,
    held_out: Vector | None = None,
    observer: Observer | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Descent:
    """Minimise `objective` from the engine's start by full-batch gradient descent.

    Parameters
    ----------
    engine : Engine
    objective : Objective
    settings : DescentSettings
        Iterations, stopping test, momentum and patience are used; the rest is in the other arguments.
    learning_rate : float
        α > 0.
    start : (coordinates of w, b) or None
        Where to start; None is the engine's start and b = 0.
    bias_factor : float
        The bias moves by ``α · bias_factor · db``; 1 is the lecture's simultaneous update.
    held_out : (m,) float64 or None
        Shares of the held-out pictures in the validation cost; sum 1.
    observer : (Step) -> None
        Called at each recorded step.
    interrupted : () -> bool
        Asked at each step whether to stop and return the best so far.

    Returns
    -------
    Descent
        At the last point; at the point of the lowest cost if diverged or interrupted; at that of the
        lowest validation cost if there is a patience.
    """
    watch = _Watch(engine, objective, settings, learning_rate, held_out, observer)
    reason: str | None = None
    due, last = 0, settings.iterations
    smallest_gradient = settings.epsilon if settings.stop == "gradient" else -1.0
    smallest_step = settings.epsilon if settings.stop == "step" else -1.0
    begin = start or (engine.start(), 0.0)
    points = _iterates(engine, objective, learning_rate, settings.momentum, begin, bias_factor)
    for step, point in enumerate(points):
        if point.gradient_norm <= smallest_gradient or point.step_norm <= smallest_step:
            reason = settings.stop
        elif step >= last:
            reason = "iterations"
        elif interrupted():
            reason = "interrupted"
        if reason is not None or step == due:
            due = next_recorded(step)
            reason = watch.record(step, point, reason) or reason
        if reason is not None:
            break
    return watch.result(str(reason))


def _iterates(
    engine: Engine,
    objective: Objective,
    rate: float,
    momentum: float,
    start: tuple[Coordinates, float],
    bias_factor: float,
) -> Iterator[_Point]:
    """Yield the points of the descent without end, each with its gradient.

    With momentum β the points are those of Nesterov's method: v⁺ = c⁺ + β (c⁺ − c), c⁺ = v − α ∇J(v),
    begun anew whenever the cost has risen (O'Donoghue and Candès 2015).
    """
    l2, ones = objective.l2, np.ones(engine.m)
    bias_rate = rate * bias_factor
    c, c_b = v, b = start
    previous = math.inf
    step_norm = math.nan
    while True:
        xr, z, r = engine.sweep(v, b, objective.residual)
        dc = xr + l2 * v if l2 else xr
        db = float(ones.dot(r))
        dw_squared = max(engine.dot(dc, dc), 0.0)
        gradient_norm = math.sqrt(dw_squared + db * db)
        yield _Point(v, b, z, gradient_norm, step_norm)
        dc *= -rate  # in place: the gradient has done its duty
        new_c, new_b = dc + v, b - bias_rate * db  # both from the old v and b
        if momentum:
            cost = objective.cost(z, engine.dot(v, v))
            beta = momentum if cost <= previous else 0.0
            previous = cost
            new_v, new_vb = new_c + beta * (new_c - c), new_b + beta * (new_b - c_b)
            step_norm = _distance(engine, new_v - v, new_vb - b)
        else:
            new_v, new_vb = new_c, new_b
            step_norm = rate * math.sqrt(dw_squared + (bias_factor * db) ** 2)
        c, c_b, v, b = new_c, new_b, new_v, new_vb


def _distance(engine: Engine, c: Coordinates, b: float) -> float:
    return math.sqrt(max(engine.dot(c, c), 0.0) + b * b)


class _Watch:
    """The memory of a descent: its history, its best point, and whether it still makes sense."""

    def __init__(
        self,
        engine: Engine,
        objective: Objective,
        settings: DescentSettings,
        learning_rate: float,
        held_out: Vector | None,
        observer: Observer | None,
    ) -> None:
        self._engine = engine
        self._objective = objective
        self._patience = settings.patience if held_out is not None else None
        self._learning_rate = learning_rate
        self._held_out = held_out
        self._observer = observer
        self._history: list[Step] = []
        self._best: tuple[float, Step, _Point] | None = None
        self._last: tuple[Step, _Point]
        self._lowest_at = 0
        self._rows_since = 0

    def record(self, step: int, point: _Point, reason: str | None) -> str | None:
        """Measure the point, tell the observer, and return a reason to stop above that of the tests."""
        cost = self._objective.cost(point.z, self._engine.dot(point.c, point.c))
        validation = math.nan
        if self._held_out is not None:
            validation = self._objective.mean_loss(point.z, self._held_out)
        norms = (point.gradient_norm, point.step_norm)
        row = Step(step, cost, *norms, self._learning_rate, validation)
        self._history.append(row)
        self._last = row, point
        if self._observer is not None:
            self._observer(row)
        return self._judge(row, point, met=reason in ("gradient", "step"))

    def _judge(self, row: Step, point: _Point, met: bool) -> str | None:
        if not (math.isfinite(row.cost) and math.isfinite(row.gradient_norm)):
            return "diverged"
        by_validation = self._patience is not None
        score = row.validation_cost if by_validation else row.cost
        lowest = self._best[0] if self._best is not None else math.inf
        if score < lowest:
            self._best = score, row, point
        if score <= 1.01 * lowest + 1e-12 if not by_validation else score < lowest:
            self._lowest_at, self._rows_since = row.step, 0
        else:
            self._rows_since += 1
        waited = row.step - self._lowest_at
        first = self._history[0].cost
        exploded = row.cost > _EXPLODED * max(first, math.log(2))
        # subtle: where every p is 0 or 1 the slope of the squared error is nothing, and a test is met
        # on a plateau above the start.
        stranded = met and row.cost > 1.01 * first + 1e-12
        rising = waited >= _RISING_STEPS and self._rows_since >= _RISING_ROWS
        if exploded or stranded or (rising and not by_validation):
            return "diverged"
        return "patience" if self._patience is not None and waited >= self._patience else None

    def result(self, reason: str) -> Descent:
        row, point = self._last
        keep_best = self._patience is not None or reason in ("diverged", "interrupted")
        if keep_best and self._best is not None:
            _, row, point = self._best
        return Descent(
            c=point.c,
            b=point.b,
            z=point.z,
            last=row,
            stop_reason=reason,
            iterations=self._history[-1].step,
            history=tuple(self._history),
        )
