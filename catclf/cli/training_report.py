"""What `catclf train` shows: a live line, a summary, JSON, and the history as a file."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator
from operator import attrgetter

from catclf.atomic import replacing
from catclf.cli.console import Console
from catclf.cli.live import LiveProgress, clock, counted, tell_corrections
from catclf.cli.output import print_json, write_table
from catclf.cli.parameters import current_spelling
from catclf.cli.tables import Column, Table
from catclf.config import DescentSettings
from catclf.descent import Step
from catclf.errors import TrainingError, spelled
from catclf.pipeline.training import Fit
from catclf.printable import number_of
from catclf.progress import T
from catclf.work.signals import Interrupted, signals


class TrainingProgress(LiveProgress):
    """A live line on a terminal, lines at doubling steps in a verbose log, and deferred signals.

    While the descent runs, a signal is kept: the descent stops, and its best point is saved.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._descent_begun = 0.0
        self._iterations = 0
        self._next_line = 1
        self._told_cost = math.nan
        self._guard = signals.deferred()

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        if self._descent_begun:
            self._guard.__exit__(None, None, None)

    @property
    def exit_code(self) -> int:
        """0, or that of the signal that ended the descent."""
        return 0 if signals.received is None else 128 + signals.received

    def descending(self, iterations: int) -> None:
        """See `Progress`."""
        if not self._descent_begun:
            self._guard.__enter__()
        self._descent_begun = time.monotonic()
        self._iterations = iterations

    def interrupted(self) -> bool:
        """See `Progress`."""
        return signals.received is not None

    def optional(self, work: Callable[[], T]) -> T | None:
        """See `Progress`."""
        try:
            with signals.at_once():
                return super().optional(work)
        except Interrupted as exc:
            if exc.again:
                raise
            return None

    def step(self, step: Step) -> None:
        """See `Progress`."""
        if self._console.verbose and step.step >= self._next_line:
            self.erase()
            self._console.detail(self._log_line(step))
            self._told_cost = step.cost
            self._next_line = 2 * step.step
        rate = step.step / max(time.monotonic() - self._descent_begun, 1e-9)
        left = (self._iterations - step.step) / rate if rate else math.inf
        numbers = f"cost {step.cost:.6f}  |gradient| {step.gradient_norm:.2e}"
        self.draw(
            f"step {step.step}/{self._iterations}  {numbers}  {rate:.0f} steps/s  {clock(left)} left"
        )

    def _log_line(self, step: Step) -> str:
        change = step.cost - self._told_cost
        since = "" if math.isnan(change) else f" ({change:+.6f})"
        held_out = step.validation_cost
        validation = "" if math.isnan(held_out) else f", validation cost {held_out:.6f}"
        norm = f"|gradient| {step.gradient_norm:.3e}"
        return f"step {step.step}: cost {step.cost:.6f}{since}, {norm}{validation}"


_FEW = 20  # pictures of a class: the 95 % interval of an accuracy of them is wider than 0.15

_VERY_FEW = 10  # pictures of a class

_REASONS = {
    "gradient": "converged: the gradient is below epsilon",
    "step": "converged: the step is below epsilon",
    "patience": "stopped: the validation cost no longer fell; the best is kept",
    "interrupted": "interrupted: the best so far is kept",
}


_MEASURES = {"gradient": "|gradient|", "step": "|step|"}


def _reason(fit: Fit, settings: DescentSettings) -> str:
    if fit.stop_reason != "iterations":
        return _REASONS[fit.stop_reason]
    before = ""
    if settings.stop in _MEASURES:
        before = f", before {_MEASURES[settings.stop]} fell to epsilon = {settings.epsilon:g}"
    return f"stopped after the given number of iterations{before}"


def tell(console: Console, fit: Fit, settings: DescentSettings, output: str) -> None:
    """Say what people should know of a training that has ended."""
    for warning in fit.warnings:
        console.warn(warning)
    if fit.corrections is not None:
        tell_corrections(console, fit.corrections)
    for failure in fit.skipped:
        console.failed(failure, "skipped")
    for line in _summary(fit, settings, output):
        console.say(line)


def _summary(fit: Fit, settings: DescentSettings, output: str) -> Iterator[str]:
    yield counted(fit.counts, len(fit.skipped), fit.ignored)
    last = fit.last
    yield f"{_reason(fit, settings)} ({number_of(fit.iterations, 'update')}, engine {fit.engine})"
    yield (
        f"cost {last.cost:.6f}, |gradient| {last.gradient_norm:.3g}, "
        f"learning rate {fit.learning_rate:.4g}, l2 {fit.l2:.4g}"
    )
    yield f"accuracy on the {fit.m} training pictures {100 * fit.train_accuracy:.3f} %"
    near = fit.near_duplicates
    if near is not None and near.groups:
        found = f"{number_of(near.groups, 'group')} of near-duplicates ({near.pictures} pictures)"
        yield f"{found}: no group is both trained on and held out"
    if fit.validation is not None:
        yield f"held-out pictures: {fit.validation.verdict}"
    if fit.cv is not None:
        yield f"cross-validated, at the threshold {fit.cv.threshold:g}: {fit.cv.verdict}"
    if fit.validation is None and fit.cv is None:
        better = fit.model.features.kind.on_photographs
        hint = "" if better is None else f", and --features {better} for photographs"
        yield f"that says nothing about other pictures: try --cv 5{hint}"
    yield from _small_pictures(fit)
    yield from _few_pictures(fit)
    if min(fit.counts.values()) < _FEW:
        yield f"with fewer than {_FEW} pictures of a class no score is worth much: add more"
    if fit.tuned is not None:
        at = [
            f"{name} {_share(getattr(fit.tuned, name))}" for name in ("precision", "recall", "accuracy")
        ]
        yield f"threshold tuned to {fit.model.threshold:.4g}: there {', '.join(at)}, cross-validated"
    yield f"saved {output}: says {fit.model.positive!r} or {fit.model.negative!r}"
    yield f"next: catclf eval -m {shlex.quote(output)} OTHER_DATA"


def _small_pictures(fit: Fit) -> Iterator[str]:
    if not fit.enlarged:
        return
    view = fit.model.view
    what = f"{fit.enlarged} of {number_of(fit.m, 'picture')} are smaller than {view.side}×{view.side}"
    through = view.through
    rest = "" if through is None else f"; the model shrinks larger ones to {through}×{through} first"
    yield f"{what} and are enlarged{rest}"


def _few_pictures(fit: Fit) -> Iterator[str]:
    """What to expect of so few, and of classes of different sizes, where that has been measured."""
    training = fit.model.training
    positives, m = training.positives or 0, training.m or 0
    smaller, larger = sorted((positives, m - positives))
    measured = [(n, share) for n, share in fit.model.features.kind.right_with_few if n <= smaller]
    if not measured or smaller >= _VERY_FEW:
        return
    n, share = measured[-1]
    pictures = number_of(n, "picture")
    network = "the package's network got"
    yield f"with {pictures} a class {network} {share:.0%} of other photographs of cats and dogs right"
    if larger >= 2 * smaller:
        rare, common = fit.model.positive, fit.model.negative
        if positives > m - positives:
            rare, common = common, rare
        yield (
            f"{rare!r} has so much fewer pictures than {common!r} that many of it will be called"
            f" {common!r}: --prior 0.5 of predict and eval makes up for that"
        )


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _exact(number: float) -> str:
    return repr(number) if math.isfinite(number) else ""


def print_fit(fit: Fit, output: str) -> None:
    """Print the summary as one JSON object."""
    print_json({"model": output, **fit.to_dict()})


def print_divergence(error: TrainingError) -> None:
    """Print what is known of a descent that diverged, as one JSON object."""
    facts = {"model": None, "stop_reason": "diverged", "converged": False}
    advice = spelled(error.advice, current_spelling())
    print_json({**facts, "iterations": error.step, "cost": error.cost, "advice": advice})


_HISTORY = Table([Column(name, attrgetter(name), _exact) for name in Step._fields])


def write_history(fit: Fit, table: str | None, plot: str | None) -> None:
    """Write the recorded steps: a row each to a .csv or .jsonl file, and as a curve to a PNG."""
    if table is not None:
        write_table(_HISTORY, fit.history, table)
    if plot is not None:
        from catclf.report.figures import learning_curve_png

        with replacing(plot) as file:
            file.write(learning_curve_png(fit.model.history, fit.learning_rate))
