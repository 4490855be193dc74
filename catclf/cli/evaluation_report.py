"""An evaluation as a page of text that fits a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from catclf.cli.output import print_json, print_text, write_table
from catclf.cli.tables import Column, Table, six_digits
from catclf.metrics import calibration
from catclf.pipeline.evaluation import Duel, Evaluation
from catclf.printable import number_of, printable


def show(
    evaluation: Evaluation, format_name: str, output: str | None, gates: dict[str, Any] | None = None
) -> None:
    """Write the report to `output`, or print it; JSON with what became of the `gates`."""
    if format_name == "json":
        print_json({**evaluation.to_dict(), "fail_under": gates or None}, output)
    else:
        print_text("\n".join(_page(evaluation)), output)


def _page(evaluation: Evaluation) -> Iterator[str]:
    """Yield the lines of the report: the verdict first, then what it rests on."""
    scores = evaluation.scores
    extras = f", {len(evaluation.failed)} unreadable" if evaluation.failed else ""
    yield f"{number_of(scores.n, 'picture')}{extras}; positive is {printable(evaluation.positive)}"
    yield f"verdict: {evaluation.verdict}"
    yield ""
    yield from _confusion(evaluation)
    yield ""
    yield _line("accuracy", scores.accuracy, scores.accuracy_ci95)
    yield _line("baseline", scores.baseline_accuracy, note="always the more common class here")
    yield _line("baseline", evaluation.training_baseline, note=_training_note(evaluation))
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
    yield ""
    yield from _calibration(evaluation)
    yield ""
    yield from _leak(evaluation)
    if evaluation.duel is not None:
        yield ""
        yield from _duel(evaluation.duel)


def _training_note(evaluation: Evaluation) -> str:
    training = evaluation.model.training
    if evaluation.training_baseline is not None:
        return "always the more common class of the training data"
    if training.m is None or training.positives is None:
        return "the model does not record which class was more common in training"
    return "both classes were equally common in training"


def _confusion(evaluation: Evaluation) -> Iterator[str]:
    names = [printable(evaluation.positive), printable(evaluation.negative)]
    c = evaluation.scores.confusion
    width = max(8, *(len(name) for name in names)) + 2
    yield f"{'actual / predicted':<20}" + "".join(f"{name:>{width}}" for name in names)
    for name, counts in zip(names, ((c.tp, c.fn), (c.fp, c.tn)), strict=True):
        yield f"{name:<20}" + "".join(f"{count:>{width}}" for count in counts)


_LISTED = 5


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    yield "probability         pictures   mean   share positive"
    for bin_ in calibration(evaluation.y, evaluation.probabilities):
        if bin_.mean_p is not None and bin_.share_positive is not None:
            spread = f"{bin_.low:.1f} to {bin_.high:.1f}"
            yield f"{spread:<18}{bin_.count:>10}{bin_.mean_p:>7.2f}{bin_.share_positive:>17.2f}"


def _leak(evaluation: Evaluation) -> Iterator[str]:
    """Which of the pictures are no evidence, for the model has seen them or others like them."""
    exact, near, rest = evaluation.overlap, evaluation.near_duplicates, evaluation.scores_without_overlap
    accuracy = "undefined" if rest.accuracy is None else f"{rest.accuracy:.4f} of {rest.n}"
    without = f"; accuracy without them {accuracy}"
    if exact:
        yield f"the model was trained on {len(exact)} of these pictures{'' if near else without}"
        yield from _listed(
            f"{printable(item.path)} is training picture {item.training_index} (counted from 0)"
            for item in exact
        )
    if near:
        others = "others" if exact else "of these pictures"
        yield f"the model was trained on near-duplicates of {len(near)} {others}{without}"
        yield from _listed(
            f"{printable(one.path)} is like {printable(one.training_path)}" for one in near
        )
    if near is None:
        yield "near-duplicates of training pictures: not checked (add --training-data)"
    elif not near:
        yield "near-duplicates of training pictures: none found"


def _listed(lines: Iterable[str]) -> Iterator[str]:
    """Yield the first lines, indented, and how many more there are."""
    every = list(lines)
    yield from (f"  {line}" for line in every[:_LISTED])
    if len(every) > _LISTED:
        yield f"  and {len(every) - _LISTED} more; --format json has them all"


def _duel(duel: Duel) -> Iterator[str]:
    facts = duel.comparison
    if facts is None:
        yield "against the other model: no pictures to compare"
        return
    yield (
        f"against the other model: only this model is right: {facts.only_a_right};"
        f" only the other: {facts.only_b_right}; exact McNemar p = {facts.p_value:.3g}"
    )
    low, high = facts.difference_ci95
    yield f"difference in accuracy {facts.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    yield from _listed(f"they differ on {printable(path)}" for path in duel.differing)


class _Row(NamedTuple):
    path: str
    actual: str
    predicted: str
    probability: float
    loss: float


_PREDICTIONS = Table(
    [
        Column("path", attrgetter("path"), is_path=True),
        Column("label", attrgetter("predicted")),  # what a row proposes, as in the rows of predict
        Column("actual", attrgetter("actual")),
        Column("predicted", attrgetter("predicted")),
        Column("probability", attrgetter("probability"), six_digits),
        Column("loss", attrgetter("loss"), six_digits),
    ]
)


def write_predictions(evaluation: Evaluation, path: str) -> None:
    """Write every picture with its label, probability and loss to a .csv or .jsonl file."""
    names, limit = (evaluation.negative, evaluation.positive), evaluation.scores.threshold
    actual = (names[int(value)] for value in evaluation.y)
    predicted = (names[int(p >= limit)] for p in evaluation.probabilities)
    numbers = evaluation.probabilities.tolist(), evaluation.losses.tolist()
    write_table(_PREDICTIONS, map(_Row, evaluation.paths, actual, predicted, *numbers), path)


def _line(
    name: str,
    value: float | None,
    interval: tuple[float, float] | None = None,
    note: str = "",
) -> str:
    number = f"{'-':>9}" if value is None else f"{value:>9.4f}"
    spread = f"   95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
    return f"{name:<18}{number}{spread}" + (f"   {note}" if note else "")
