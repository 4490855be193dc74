"""`catclf info`: what is in a model file."""

from __future__ import annotations

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
@click.argument("model", type=PathName())
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
        print_text("\n".join(f"{name:<15} {_shown(value)}" for name, value in facts.items()))
    return 0


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{printable(str(key))} {_shown(item)}" for key, item in value.items())
    return printable(f"{value:.6g}" if isinstance(value, float) else str(value))
