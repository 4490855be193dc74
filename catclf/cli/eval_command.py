"""`catclf eval`: scores of a model on labelled pictures."""

from __future__ import annotations

import json

import click

from catclf.cli.console import Console
from catclf.cli.options import (
    jobs_option,
    key_options,
    model_option,
    talk_options,
    threshold_option,
)

_EPILOG = """\b
Example:
  catclf eval -m cat.npz test.h5
  catclf eval -m cat.npz photos/ -F json | jq .accuracy_ci95"""


@click.command("eval", epilog=_EPILOG)
@click.argument("data")
@model_option
@threshold_option
@click.option(
    "-F", "--format", "format_name", type=click.Choice(("text", "json")), default="text",
    show_default=True, help="Of the report.",
)  # fmt: skip
@click.option("-o", "--output", metavar="FILE", help="Write the report there instead of stdout.")
@click.option(
    "--errors", type=click.Choice(("skip", "fail")), default="skip", show_default=True,
    help="What to do with a picture that cannot be read.",
)  # fmt: skip
@key_options
@jobs_option
@talk_options
def command(
    data: str,
    model: str,
    threshold: float | None,
    format_name: str,
    output: str | None,
    errors: str,
    x_key: str | None,
    y_key: str | None,
    jobs: int | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Score MODEL on DATA, labelled pictures as for train."""
    console = Console(quiet, verbose)

    from catclf.atomic import replacing
    from catclf.cli.evaluation_report import page
    from catclf.pipeline.evaluation import evaluate

    evaluation = evaluate(
        model, data, threshold=threshold, on_error=errors, jobs=jobs, x_key=x_key, y_key=y_key
    )
    for failure in evaluation.failed:
        console.warn(f"{failure}; left out")
    if format_name == "json":
        text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    else:
        text = "\n".join(page(evaluation))
    if output is None:
        click.echo(text)
    else:
        with replacing(output) as file:
            file.write((text + "\n").encode("utf-8", "surrogateescape"))
    return 3 if evaluation.failed else 0
