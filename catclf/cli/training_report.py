"""What `catclf train` shows: a live line, a summary, JSON, and the history as a file."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator
from operator import attrgetter

from catclf.atomic import replacing
from catclf.cli.console import Console
from catclf.cli.live import LiveProgress, clock, counted, report_corrections
from catclf.cli.output import print_json, print_text, write_table
from catclf.cli.parameters import current_spelling
from catclf.cli.tables import Column, Table
from catclf.config import DescentSettings
from catclf.descent import Step
from catclf.errors import TrainingError, spelled
from catclf.pipeline.rates import RateResult
from catclf.pipeline.training import Fit
from catclf.printable import number_of
from catclf.progress import T
from catclf.work.signals import Interrupted, signals


class TrainingProgress(LiveProgress):
    """A live line on a terminal, lines at doubling steps in a verbose log, and deferred signals.

    While the descent runs, a signal is kept: the descent stops, and its best point is saved.
    """

    def __init__(self, console: Console, print_every: int | None = None) -> None:
        super().__init__(console)
        self._print_every = print_every
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
        if self._print_every is not None and step.step % self._print_every == 0:
            self.erase()
            self._console.say(f"step {step.step}: cost {step.cost:.6f}{_validation(step)}")
        elif self._console.verbose and step.step >= self._next_line:
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
        norm = f"|gradient| {step.gradient_norm:.3e}"
        return f"step {step.step}: cost {step.cost:.6f}{since}, {norm}{_validation(step)}"


def _validation(step: Step) -> str:
    cost = step.validation_cost
    return "" if math.isnan(cost) else f", validation cost {cost:.6f}"


_FEW = 20  # pictures of a class: the 95 % interval of an accuracy of them is wider than 0.15

_VERY_FEW = 10  # pictures of a class


def _ended(fit: Fit, settings: DescentSettings) -> str:
    """How and why the descent ended."""
    after, gradient, limit = (
        number_of(fit.iterations, "update"),
        fit.last.gradient_norm,
        settings.epsilon,
    )
    match fit.stop_reason:
        case "gradient":
            return f"converged after {after}: the gradient is below {limit:g}"
        case "step" if gradient <= limit:
            return f"converged after {after}: the step is below {limit:g}"
        case "step":
            below = f"the step is below {limit:g}; the gradient, {gradient:.3g}, is not"
            return f"stopped after {after}: {below}"
        case "patience":
            return f"stopped after {after}: the validation cost no longer fell; the best model is kept"
        case "interrupted":
            return f"interrupted after {after}: the best model so far is kept"
    if settings.stop == "none":
        return f"stopped after {after}"
    length = gradient if settings.stop == "gradient" else fit.last.step_norm
    return (
        f"stopped at the limit of {after}; the {settings.stop} ({length:.3g}) is still above {limit:g}"
    )


def print_summary(console: Console, fit: Fit, settings: DescentSettings, output: str) -> None:
    """Say what people should know of a training that has ended."""
    for warning in fit.warnings:
        console.warn(warning)
    if fit.corrections is not None:
        report_corrections(console, fit.corrections)
    for failure in fit.skipped:
        console.failed(failure, "skipped")
    for line in _summary(fit, settings, output):
        console.say(line)


def _summary(fit: Fit, settings: DescentSettings, output: str) -> Iterator[str]:
    yield counted(fit.counts, len(fit.skipped), fit.ignored)
    last = fit.last
    yield _ended(fit, settings)
    yield (
        f"cost {last.cost:.6f}, |gradient| {last.gradient_norm:.3g}, "
        f"learning rate {fit.learning_rate:.4g}, l2 {fit.l2:.4g}, engine {fit.engine}"
    )
    yield f"accuracy on the {fit.m} training pictures: {100 * fit.train_accuracy:.3f} %"
    near = fit.near_duplicates
    if near is not None and near.groups:
        found = f"{number_of(near.groups, 'group')} of near-duplicates ({near.pictures} pictures)"
        yield f"{found}: each group is kept together, trained on or held out"
    if fit.validation is not None:
        yield f"held-out pictures: {fit.validation.verdict}"
    if fit.cv is not None:
        yield f"cross-validated, at the threshold {fit.cv.threshold:g}: {fit.cv.verdict}"
    if fit.validation is None and fit.cv is None:
        better = fit.model.features.kind.on_photographs
        hint = "" if better is None else f", and --features {better} for photographs"
        yield f"this says nothing about new pictures; add --cv 5{hint}"
    yield from _small_pictures(fit)
    yield from _few_pictures(fit)
    if min(fit.counts.values()) < _FEW:
        yield f"with fewer than {_FEW} pictures in a class, no score is reliable: add more"
    if fit.tuned is not None:
        names = ("precision", "recall", "accuracy")
        at = ", ".join(f"{name} {_share(getattr(fit.tuned, name))}" for name in names)
        yield f"threshold tuned to {fit.model.threshold:.4g}; cross-validated {at}"
    yield f"saved {output}: predicts {fit.model.positive!r} or {fit.model.negative!r}"
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
    right = f"{share:.0%} of other photographs of cats and dogs right"
    yield f"with {pictures} per class, the package's network got {right}"
    if larger >= 2 * smaller:
        rare, common = fit.model.positive, fit.model.negative
        if positives > m - positives:
            rare, common = common, rare
        yield (
            f"{rare!r} has far fewer pictures than {common!r}, so many of its kind will be called"
            f" {common!r}; --prior 0.5 of predict and eval corrects for that"
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


def write_history(history: tuple[Step, ...], loss: str, table: str | None, plot: str | None) -> None:
    """Write the recorded steps: a row each to a .csv or .jsonl file, and as a curve to a PNG."""
    if table is not None:
        write_table(_HISTORY, history, table)
    if plot is not None:
        from catclf.pipeline.training import history_table
        from catclf.report.figures import learning_curve_png

        with replacing(plot) as file:
            rate = history[0].learning_rate if history else None
            file.write(learning_curve_png(history_table(history), rate, loss))


def print_rates(results: list[RateResult], format_name: str) -> None:
    """Print how the descent went with each learning rate."""
    if format_name == "json":
        print_json([result.to_dict() for result in results])
        return
    print_text("\n".join(_rates(results)))


_ENDS = {
    "diverged": "  diverged; scores at its best point",
    "interrupted": "  interrupted; scores at its best point",
}


def _rates(results: list[RateResult]) -> Iterator[str]:
    with_validation = any(result.validation is not None for result in results)
    held_out = "  validation" if with_validation else ""
    yield f"{'learning rate':>13}  {'updates':>7}  {'cost':>9}  {'training':>9}{held_out}"
    for one in results:
        scores = one.validation
        share = None if scores is None else scores.accuracy
        validation = "" if share is None else f"  {100 * share:8.3f} %"
        ended = _ENDS.get(one.stop_reason, "")
        numbers = f"{one.learning_rate:>13g}  {one.iterations:>7}  {one.last.cost:9.6f}"
        yield f"{numbers}  {100 * one.train_accuracy:7.3f} %{validation}{ended}"


def write_rates(results: list[RateResult], loss: str, plot: str) -> None:
    """Draw the cost of each against the updates, as a PNG."""
    from catclf.report.figures import rates_png

    curves = [(one.learning_rate, one.history, one.diverged) for one in results]
    with replacing(plot) as file:
        file.write(rates_png(curves, loss))
