"""The descent: cost, gradient, simultaneous update, stopping tests, history. Knows no files."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from catclf.config import DescentSettings
from catclf.engines import Coordinates, Engine, Sweeping, length, run
from catclf.engines.sweep import Request
from catclf.errors import ClusterError
from catclf.objective import Objective

# The descent is given up when the cost has passed this many times that of a blind guess …
_EXPLODED = 100.0
# … or has for so many updates been more than 1 % above the lowest one. A learning rate somewhat above
# the limit of stability makes the cost swing for up to 350 updates and then works all the same.
_RISING_STEPS = 500
# Late in a long descent few steps are recorded: one that is high by chance is no trend.
_RISING_ROWS = 5


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


class _Point(NamedTuple):
    """A point of the descent with everything that was measured there."""

    c: Coordinates
    row: Step


@dataclass(frozen=True)
class Descent:
    """Where a descent ended.

    Attributes
    ----------
    c : coordinates of (w, b)
        ``engine.weights(c)`` is w itself, and ``engine.bias(c)`` is b.
    last : Step
        The record of the parameters returned.
    stop_reason : str
        gradient | step | iterations | patience | diverged | interrupted | lost
    iterations : int
        Number of updates made, which is more than ``last.step`` if an earlier point was the best.
    history : tuple of Step
    """

    c: Coordinates
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
    start: Coordinates | None = None,
    bias_factor: float = 1.0,
    swings: bool = False,
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
    start : coordinates of (w, b) or None
        Where to start; None is the engine's start.
    bias_factor : float
        The bias moves by ``α · bias_factor · db``; 1 is the lecture's simultaneous update. Otherwise, or
        if there is a penalty, the engine needs a bias of its own.
    swings : bool
        Whether the cost may go up and down from step to step, as above the limit of stability. Then the
        step after each recorded one is recorded as well: every tenth step alone would be on one side.
    observer : (Step) -> None
        Called at each recorded step.
    interrupted : () -> bool
        Asked at each step whether to stop and return the best so far.

    Returns
    -------
    Descent
        At the last point; at the point of the lowest cost if diverged, interrupted, or if the machines
        that the engine computes on are lost; at that of the lowest validation cost if there is a
        patience.

    Raises
    ------
    ClusterError
        If they are lost before there is a first point.
    """
    descent = descending(
        engine,
        objective,
        settings,
        learning_rate,
        start=start,
        bias_factor=bias_factor,
        swings=swings,
        observer=observer,
        interrupted=interrupted,
    )
    return run(engine, descent)


def descending(
    engine: Engine,
    objective: Objective,
    settings: DescentSettings,
    learning_rate: float,
    *,
    start: Coordinates | None = None,
    bias_factor: float = 1.0,
    swings: bool = False,
    observer: Observer | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Sweeping[Descent]:
    """Do as `descend`, but leave it to the caller to have the engine sweep."""
    watch = _Watch(settings.patience if objective.has_held_out else None, observer)
    stop = _Stop(settings, interrupted)
    rate, l2 = learning_rate, objective.l2
    minus_rate = np.array(-rate)  # a number would be made into an array in every step
    c = before = engine.start() if start is None else start
    momentum = _Momentum(settings.momentum, c) if settings.momentum else None
    step = planned = due = 0
    gradient_norm = step_norm = math.nan
    reason: str | None = None
    while True:
        recorded = step == due
        try:
            [(dc, losses)] = yield [Request(c, objective, recorded or momentum is not None)]
        except ClusterError:
            if step == 0:
                raise
            return watch.result("lost")
        if l2:
            dc += l2 * c
            engine.shift(dc, -l2 * engine.bias(c))
        if recorded or stop.by_gradient:
            gradient_norm = length(engine, dc)
        if (recorded or stop.by_step) and step > 0:
            step_norm = length(engine, c - before)
        reason = reason or stop.reason(step, gradient_norm, step_norm)
        if reason is not None and not recorded:
            due = step  # the last point is recorded wherever it is: measure it once more
            continue
        if losses is not None:
            squared_norm = engine.dot(c, c) - engine.bias(c) ** 2 if l2 else 0.0
            cost, validation_cost = objective.costs(losses, squared_norm)
        if recorded:
            row = Step(step, cost, gradient_norm, step_norm, rate, validation_cost)
            beside = []
            if step == planned or reason is not None:
                reason = watch.record(_Point(c, row), reason)
                planned = next_recorded(step)
                if swings:
                    beside.append(step + 1)
            else:
                watch.note(row)
            if reason is not None:
                return watch.result(reason)
            if settings.record_every is not None:
                beside.append(step + settings.record_every - step % settings.record_every)
            due = min([planned, *beside])
        before = c
        if bias_factor != 1.0:
            engine.shift(dc, (bias_factor - 1.0) * engine.bias(dc))
        dc *= minus_rate  # in place: the gradient has done its duty
        dc += c
        c = dc
        if momentum is not None:
            c = momentum.carry_on(c, cost)
        step += 1


class _Stop:
    """The stopping tests of the settings."""

    def __init__(self, settings: DescentSettings, interrupted: Callable[[], bool]) -> None:
        self.by_gradient, self.by_step = settings.stop == "gradient", settings.stop == "step"
        self._epsilon, self._iterations = settings.epsilon, settings.iterations
        self._interrupted = interrupted

    def reason(self, step: int, gradient_norm: float, step_norm: float) -> str | None:
        """Return why to stop here, if so."""
        if self.by_gradient and gradient_norm <= self._epsilon:
            return "gradient"
        if self.by_step and step_norm <= self._epsilon:
            return "step"
        if step >= self._iterations:
            return "iterations"
        return "interrupted" if self._interrupted() else None


class _Momentum:
    """Nesterov's method: v⁺ = c⁺ + β (c⁺ − c), where c⁺ = v − α ∇J(v) is the plain step from v.

    It is restarted whenever the cost has risen (O'Donoghue and Candès 2015).
    """

    def __init__(self, beta: float, c: Coordinates) -> None:
        self._beta = beta
        self._c, self._cost = c, math.inf

    def carry_on(self, c: Coordinates, cost: float) -> Coordinates:
        """Return the next point, from the plain step's and the cost where that step began."""
        beta = self._beta if cost <= self._cost else 0.0
        further: Coordinates = c + beta * (c - self._c)
        self._c, self._cost = c, cost
        return further


class _Watch:
    """The memory of a descent: its history, its best point, and whether it still makes sense."""

    def __init__(self, patience: int | None, observer: Observer | None) -> None:
        self._patience = patience
        self._observer = observer
        self._history: list[Step] = []
        self._best: tuple[float, _Point] | None = None
        self._last: _Point
        self._lowest_at = 0
        self._rows_since = 0

    def record(self, point: _Point, reason: str | None) -> str | None:
        """Keep the point, tell the observer, and return why to stop: above all if it has diverged."""
        self.note(point.row)
        self._last = point
        return self._judge(point, met=reason in ("gradient", "step")) or reason

    def note(self, row: Step) -> None:
        """Keep a row, and tell the observer of it."""
        self._history.append(row)
        if self._observer is not None:
            self._observer(row)

    def _judge(self, point: _Point, met: bool) -> str | None:
        row = point.row
        if not (math.isfinite(row.cost) and math.isfinite(row.gradient_norm)):
            return "diverged"
        by_validation = self._patience is not None
        score = row.validation_cost if by_validation else row.cost
        lowest = self._best[0] if self._best is not None else math.inf
        if score < lowest:
            self._best = score, point
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
        point = self._last
        keep_best = self._patience is not None or reason in ("diverged", "interrupted", "lost")
        if keep_best and self._best is not None:
            _, point = self._best
        return Descent(
            c=point.c,
            last=point.row,
            stop_reason=reason,
            iterations=self._history[-1].step,
            history=tuple(self._history),
        )
