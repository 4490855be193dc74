"""`catclf eval`: scores of a model on labelled pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from catclf.cli.console import Console
from catclf.cli.group import OfOneDataSet
from catclf.cli.live import LiveProgress
from catclf.cli.options import (
    check_report,
    check_table,
    console_option,
    format_of,
    format_option,
    memory_option,
    model_option,
    read_options,
    refuse_binary_name,
    refuse_existing,
    refuse_overwriting,
    report_option,
    shifts,
    with_encoder_of,
)
from catclf.cli.output import check_output, is_file, write_page
from catclf.cli.parameters import FiniteRange, PathName, option
from catclf.config import ReadOptions
from catclf.printable import number_of

if TYPE_CHECKING:
    from catclf.pipeline.evaluation import Evaluation

_EPILOG = """\b
Example:
  catclf eval -m cat.npz test.h5
  catclf eval -m cat.npz photos/ -F json | jq .accuracy_ci95"""


_FORMATS = ("text", "json")

GATES = (
    *("accuracy", "accuracy_low", "balanced_accuracy", "precision", "recall", "f1", "roc_auc"),
    "average_precision",
)


def _parse_gates(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    """Take METRIC=X apart."""
    gates = {}
    for value in values:
        metric, _, bound = value.partition("=")
        if metric not in GATES:
            raise click.BadParameter(f"{metric!r} is not one of {', '.join(GATES)}", ctx, param)
        gates[metric] = FiniteRange(0, 1)(bound, param, ctx)
    return gates


_memory_option = memory_option("Memory for the pictures that are worked on at a time.")


@click.command("eval", cls=OfOneDataSet, epilog=_EPILOG)
@click.argument("data", type=PathName())
@model_option("eval")
@option(
    "--positive", metavar="NAME",
    help="The class of DATA that is the model's positive class, if it has another name.",
)  # fmt: skip
@shifts
@format_option(*_FORMATS, by_suffix=True)
@option(
    "-o", "--output", type=PathName(), metavar="FILE",
    help="Write the report to FILE instead of stdout; as JSON if it ends in .json, unless -F is given.",
)  # fmt: skip
@option("-f", "--force", is_flag=True, help="Replace FILE if it exists.")
@option(
    "--predictions",
    type=PathName(),
    metavar="FILE",
    help="Write each picture with its label, probability and loss to a .csv or .jsonl file.",
)
@report_option("Write a page with curves, mistakes to look at, and weights.")
@option(
    "--against", type=PathName(), metavar="MODEL", help="Compare with another model, picture by picture."
)
@option(
    "--training-data", type=PathName(), metavar="DATA",
    help="What the model was trained on: near-duplicates of it are listed and kept out of the verdict.",
)  # fmt: skip
@option(
    "--fail-under", metavar="METRIC=X", multiple=True, callback=_parse_gates,
    help="Exit 4 if METRIC is below X on the pictures that the model was not trained on; accuracy_low is"
    " the lower end of the accuracy's interval. Repeatable.",
)  # fmt: skip
@read_options(
    *("encoder", "encoder_output", "x_key", "y_key", "on_error", "exclude", "follow"),
    *("max_pixels", "scheduler", "jobs"),
    others=[_memory_option],
)
@console_option
def command(
    data: str,
    model: str,
    positive: str | None,
    shifts: dict[str, Any],
    format_name: str,
    output: str | None,
    force: bool,
    predictions: str | None,
    report: str | None,
    against: str | None,
    training_data: str | None,
    fail_under: dict[str, float],
    read: ReadOptions,
    console: Console,
) -> int:
    """Score MODEL on DATA, labelled pictures as for train."""
    refuse_overwriting((output, predictions, report), (data, model, against, training_data))
    _check_outputs(output, force, predictions, report)
    format_name = format_of(output, format_name, _FORMATS)

    from catclf.cli import evaluation_report
    from catclf.model import load
    from catclf.pipeline.evaluation import evaluate

    models = [load(path) for path in (model, against) if path is not None]
    with LiveProgress(console) as progress:
        evaluation = evaluate(
            models[0],
            data,
            **shifts,
            against=models[1] if against is not None else None,
            read=with_encoder_of(read, models),
            positive=positive,
            training_data=training_data,
            gallery=report is not None,
            progress=progress,
            processes=True,
        )
    _tell(console, evaluation)
    if predictions is not None:
        evaluation_report.write_predictions(evaluation, predictions)
    if report is not None:
        from catclf.report.evaluation_page import evaluation_page

        write_page(evaluation_page(evaluation), report)
    gates = _judged(evaluation, fail_under)
    evaluation_report.show(evaluation, format_name, output, gates)
    missed = _missed(evaluation, gates, console)
    return 4 if missed else 3 if evaluation.failed else 0


def _check_outputs(output: str | None, force: bool, predictions: str | None, report: str | None) -> None:
    """Find out before the work starts whether its results can be kept."""
    if output is not None:
        refuse_binary_name(output)
        check_output(output)
        if is_file(output):
            refuse_existing(output, force)
    check_table(predictions, "--predictions")
    check_report(report, "matplotlib", "jinja2")


def _tell(console: Console, evaluation: Evaluation) -> None:
    """Say which pictures are not among those that were scored."""
    for failure in evaluation.failed:
        console.failed(failure, "skipped")
    if evaluation.labelled.ignored:
        console.say(f"{number_of(len(evaluation.labelled.ignored), 'other file')} ignored")


def _judged(evaluation: Evaluation, wanted: dict[str, float]) -> dict[str, Any]:
    """What was found for each score that is wanted, of pictures that the model was not trained on."""
    scores = evaluation.scores_without_overlap
    judged: dict[str, Any] = {}
    for metric, bound in wanted.items():
        if metric == "accuracy_low":
            found = None if scores.accuracy_ci95 is None else scores.accuracy_ci95[0]
        else:
            found = getattr(scores, metric)
        passed = found is not None and found >= bound
        judged[metric] = {"wanted": bound, "found": found, "n": scores.n, "passed": passed}
    return judged


def _missed(evaluation: Evaluation, gates: dict[str, Any], console: Console) -> int:
    """Count the scores that are too low, and say which."""
    missed = 0
    count = evaluation.scores.n - evaluation.scores_without_overlap.n
    seen = f" (without the {count} trained on)" if count else ""
    for metric, gate in gates.items():
        if not gate["passed"]:
            shown = "undefined" if gate["found"] is None else format(gate["found"], ".4f")
            of = f"of {number_of(gate['n'], 'picture')}{seen}"
            console.warn(f"{metric} {of} is {shown}, below the {gate['wanted']:g} of --fail-under")
            missed += 1
    return missed
