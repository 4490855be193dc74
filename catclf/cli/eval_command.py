"""`catclf eval`: scores of a model on labelled pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from catclf.atomic import replacing
from catclf.cli.console import Console
from catclf.cli.group import OfOneDataSet
from catclf.cli.options import (
    FiniteRange,
    PathName,
    check_file,
    check_table,
    format_of,
    jobs_option,
    key_options,
    max_pixels_option,
    model_option,
    prior_option,
    refuse_binary_name,
    refuse_overwriting,
    require_report_extra,
    talk_options,
    threshold_option,
)
from catclf.cli.output import check_output, print_json, print_text
from catclf.config import ON_ERROR
from catclf.printable import number_of

if TYPE_CHECKING:
    from catclf.metrics import Scores

_EPILOG = """\b
Example:
  catclf eval -m cat.npz test.h5
  catclf eval -m cat.npz photos/ -F json | jq .accuracy_ci95"""


_FORMATS = ("text", "json")

GATES = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
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


@click.command("eval", cls=OfOneDataSet, epilog=_EPILOG)
@click.argument("data", type=PathName())
@model_option("eval")
@threshold_option
@click.option(
    "-F", "--format", "format_name", envvar="CATCLF_EVAL_FORMAT", type=click.Choice(_FORMATS),
    default="text", help="Of the report [default: by the suffix of -o, or text].",
)  # fmt: skip
@click.option(
    "-o", "--output", type=PathName(), metavar="FILE",
    help="Write the report there instead of stdout: without -F as text, or as JSON if it ends in .json.",
)  # fmt: skip
@click.option(
    "--errors", type=click.Choice(ON_ERROR), default="skip", show_default=True,
    help="What to do with a picture that cannot be read.",
)  # fmt: skip
@prior_option
@click.option(
    "--predictions",
    type=PathName(),
    metavar="FILE",
    help="Every picture as a row of a .csv or .jsonl file.",
)
@click.option(
    "--report", type=PathName(), metavar="FILE.html", help="A page with curves, mistakes and weights."
)
@click.option(
    "--against", type=PathName(), metavar="MODEL", help="Compare with another model, picture by picture."
)
@click.option(
    "--fail-under", metavar="METRIC=X", multiple=True, callback=_parse_gates,
    help="Exit 4 if a score is below X; may be repeated.",
)  # fmt: skip
@key_options
@max_pixels_option
@jobs_option
@talk_options
def command(
    data: str,
    model: str,
    threshold: float | None,
    format_name: str,
    output: str | None,
    errors: str,
    prior: float | None,
    predictions: str | None,
    report: str | None,
    against: str | None,
    fail_under: dict[str, float],
    x_key: str | None,
    y_key: str | None,
    max_pixels: int,
    jobs: int | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Score MODEL on DATA, labelled pictures as for train."""
    refuse_overwriting((output, predictions, report), (data, model, against))
    if output is not None:
        refuse_binary_name(output)
        check_output(output)
        format_name = format_of(output, format_name, _FORMATS)
    check_table(predictions, "--predictions")
    if report is not None:
        check_file(report, "--report", (".html", ".htm"))
        require_report_extra("--report")
    console = Console(quiet, verbose)

    from catclf.cli import evaluation_report
    from catclf.model import load
    from catclf.pipeline.evaluation import compare, evaluate

    classifier = load(model)
    rival = None if against is None else load(against)
    how: dict[str, Any] = {"prior": prior, "on_error": errors, "jobs": jobs}
    how |= {"max_pixels": max_pixels, "x_key": x_key, "y_key": y_key}
    evaluation = evaluate(classifier, data, threshold=threshold, **how)
    duel = (
        compare(evaluation, evaluate(rival, data, threshold=threshold, **how))
        if rival is not None
        else None
    )
    for failure in evaluation.failed:
        console.warn(f"{failure}; left out")
    if evaluation.passed_over:
        console.say(f"{number_of(evaluation.passed_over, 'other file')} passed over")
    if predictions is not None:
        evaluation_report.write_table(evaluation, predictions)
    if report is not None:
        from catclf.report.page import render

        with replacing(report) as file:
            file.write(render(classifier, evaluation, data).encode())
    if format_name == "json":
        facts = evaluation.to_dict() | ({} if duel is None else {"against": duel.to_dict()})
        print_json(facts, output)
    else:
        print_text("\n".join(evaluation_report.page(evaluation, duel)), output)
    missed = _missed(evaluation.scores, fail_under)
    for line in missed:
        console.warn(line)
    return 4 if missed else 3 if evaluation.failed else 0


def _missed(scores: Scores, gates: dict[str, float]) -> list[str]:
    found = {metric: getattr(scores, metric) for metric in gates}
    return [
        f"{metric} is {'undefined' if found[metric] is None else format(found[metric], '.4f')}, "
        f"below the {wanted:g} of --fail-under"
        for metric, wanted in gates.items()
        if found[metric] is None or found[metric] < wanted
    ]
