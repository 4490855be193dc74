"""An evaluation as a page of text that fits a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from catclf.cli.console import printable
from catclf.pipeline.evaluation import Evaluation


def page(evaluation: Evaluation) -> Iterator[str]:
    """Yield the lines of the report: the verdict first, then what it rests on."""
    scores = evaluation.scores
    extras = f", {len(evaluation.failed)} unreadable" if evaluation.failed else ""
    yield f"{scores.n} pictures{extras}; positive is {printable(evaluation.positive)}"
    yield f"verdict: {scores.verdict}"
    yield ""
    yield from _confusion(evaluation)
    yield ""
    yield _line("accuracy", scores.accuracy, scores.accuracy_ci95)
    yield _line("baseline", scores.baseline_accuracy, note="always the commoner class")
    yield _line("balanced accuracy", scores.balanced_accuracy)
    yield _line("precision", scores.precision)
    yield _line("recall", scores.recall)
    yield _line("F1", scores.f1)
    yield _line("ROC AUC", scores.roc_auc, scores.roc_auc_ci95)
    yield _line("average precision", scores.average_precision)
    yield _line("log-loss", scores.log_loss, note="nats a picture")
    yield _line("log-likelihood", scores.log_likelihood)
    yield _line("Brier score", scores.brier)
    yield f"{'threshold':<18}{scores.threshold:>9.4g}"


def _confusion(evaluation: Evaluation) -> Iterator[str]:
    names = [printable(evaluation.positive), printable(evaluation.negative)]
    c = evaluation.scores.confusion
    width = max(8, *(len(name) for name in names)) + 2
    yield f"{'actual / predicted':<20}" + "".join(f"{name:>{width}}" for name in names)
    for name, counts in zip(names, ((c.tp, c.fn), (c.fp, c.tn)), strict=True):
        yield f"{name:<20}" + "".join(f"{count:>{width}}" for count in counts)


def _line(
    name: str,
    value: float | None,
    interval: tuple[float, float] | None = None,
    note: str = "",
) -> str:
    number = f"{'-':>9}" if value is None else f"{value:>9.4f}"
    spread = f"   95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
    return f"{name:<18}{number}{spread}" + (f"   {note}" if note else "")
