"""The tool `compare_rates`: labelled pictures and several learning rates → how each descent goes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from catclf.config import TrainSettings
from catclf.descent import Step
from catclf.errors import ConfigError
from catclf.fitting import Fitted, Prepared, fit, prepare
from catclf.metrics import Scores, score
from catclf.pipeline.training_data import Sources, Task, read_all
from catclf.printable import number_of
from catclf.progress import Progress


@dataclass(frozen=True, repr=False)
class RateResult:
    """How the descent went with one learning rate.

    Attributes
    ----------
    learning_rate : float
    stop_reason : str
        As in `Fit`, or diverged.
    iterations : int
        Number of updates made.
    last : Step
        Cost and norms at the end, or at the best point if it diverged.
    train_accuracy : float
        There, at the threshold 1/2.
    validation : Scores or None
        Likewise, of the pictures held out.
    history : tuple of Step
    """

    learning_rate: float
    stop_reason: str
    iterations: int
    last: Step
    train_accuracy: float
    validation: Scores | None
    history: tuple[Step, ...]

    def __repr__(self) -> str:
        done = f"{number_of(self.iterations, 'update')}, cost {self.last.cost:.6f}"
        return f"<RateResult: {self.learning_rate:g}, {done}, {self.stop_reason}>"

    @property
    def diverged(self) -> bool:
        """Whether the cost rose without end."""
        return self.stop_reason == "diverged"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, ready for JSON."""
        return {
            "learning_rate": self.learning_rate,
            "stop_reason": self.stop_reason,
            "iterations": self.iterations,
            "cost": self.last.cost,
            "gradient_norm": self.last.gradient_norm,
            "train_accuracy": self.train_accuracy,
            "validation": None if self.validation is None else self.validation.to_dict(),
        }


def compare_rates(
    data: str | os.PathLike[str],
    rates: Sequence[float],
    settings: TrainSettings | None = None,
    *,
    progress: Progress | None = None,
    processes: bool = False,
) -> list[RateResult]:
    """Descend from the same start with several learning rates; no model comes of it.

    Parameters
    ----------
    data : path
        As for `train`.
    rates : sequence of float
        α of each descent, above 0.
    settings : TrainSettings or None
        Everything else; None is the defaults. Pictures are held out as `validation` says.
    progress : Progress or None
        Hears of every phase and recorded step.
    processes : bool
        As for `train`.

    Returns
    -------
    list of RateResult
        One for each rate, in order. A descent that diverges is one of them.

    Raises
    ------
    DataError
        If the data cannot be read or does not have both classes.
    ConfigError
        If a rate is not above 0, or the settings do not fit the data.
    """
    settings, progress = settings or TrainSettings(), progress or Progress()
    for rate in rates:
        if not (math.isfinite(rate) and rate > 0):
            raise ConfigError("compare_rates", rate, "must be a positive number")
    task = Task(os.fspath(data), settings, None, progress, processes)
    with task.connected() as cluster:
        return _compared(read_all(task, cluster), rates, progress)


def _compared(sources: Sources, rates: Sequence[float], progress: Progress) -> list[RateResult]:
    prepared = prepare(sources.problem, sources.trained_on, len(rates))
    problem, results = prepared.problem, list[RateResult]()
    for rate in rates:
        if progress.interrupted():
            break
        progress.note(f"running gradient descent with the learning rate {rate:g}")
        problem = problem.with_descent(learning_rate=rate)
        fitted = fit(
            replace(prepared, problem=problem),
            sources.trained_on,
            held_out=sources.held_out,
            watched=True,
        )
        problem = problem.with_descent(l2=fitted.l2)  # a penalty that is chosen is the same for all
        results.append(_result(sources, prepared, fitted))
    return results


def _result(sources: Sources, prepared: Prepared, fitted: Fitted) -> RateResult:
    descent, y, held_out = fitted.descent, sources.problem.y, sources.held_out
    p = prepared.probabilities(descent)
    return RateResult(
        learning_rate=fitted.learning_rate,
        stop_reason=descent.stop_reason,
        iterations=descent.iterations,
        last=descent.last,
        train_accuracy=float(((p >= 0.5) == y)[sources.trained_on].mean()),
        validation=None if held_out is None else score(y[held_out], p[held_out], names=sources.names),
        history=descent.history,
    )
