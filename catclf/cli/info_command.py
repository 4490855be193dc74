"""`catclf info`: what is in a model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from catclf.atomic import replacing
from catclf.cli.group import ExampleFirst
from catclf.cli.options import PathName, check_file, refuse_overwriting
from catclf.cli.output import print_json, print_text
from catclf.printable import printable

_EPILOG = """\b
Example:
  catclf info cat.npz"""


@click.command("info", cls=ExampleFirst, epilog=_EPILOG)
@click.argument("model", type=PathName(), envvar=["CATCLF_INFO_MODEL", "CATCLF_MODEL"])
@click.option("--json", "as_json", envvar="CATCLF_INFO_JSON", is_flag=True, help="Print it as JSON.")
@click.option("--weights", type=PathName(), metavar="FILE.png", help="Draw what the model looks for.")
def command(model: str, as_json: bool, weights: str | None) -> int:
    """Show what is in the file MODEL: classes, features, and how it was trained."""
    if weights is not None:
        refuse_overwriting((weights,), (model,))
        check_file(weights, "--weights", (".png",))

    from catclf.model import describe, load

    classifier = load(model)
    if weights is not None:
        from catclf.report.weights import png, weights_picture

        with replacing(weights) as file:
            file.write(png(weights_picture(classifier)))
    facts = describe(classifier)
    if as_json:
        print_json(facts)
    else:
        print_text("\n".join(_lines(facts)))
    return 0


def _lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A line for each fact; those of a group are indented below its name."""
    for name, value in facts.items():
        label = printable(indent + str(name))
        if isinstance(value, Mapping):
            yield label
            yield from _lines(value, indent + "  ")
        else:
            shown = printable(f"{value:.6g}" if isinstance(value, float) else str(value))
            yield f"{label:<17} {shown}"
