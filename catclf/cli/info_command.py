"""`catclf info`: what is in a model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from catclf.atomic import replacing
from catclf.cli.group import ExampleFirst
from catclf.cli.options import check_file, format_option, refuse_overwriting
from catclf.cli.output import print_json, print_text
from catclf.cli.parameters import PathName, option
from catclf.images.hdf5_process import is_hdf5_name
from catclf.printable import printable, shown

_EPILOG = """\b
Example:
  catclf info cat.npz"""


@click.command("info", cls=ExampleFirst, epilog=_EPILOG)
@click.argument("model", type=PathName(), envvar=["CATCLF_INFO_MODEL", "CATCLF_MODEL"])
@format_option("text", "json", synonym=True)
@option("--weights", type=PathName(), metavar="FILE.png", help="Draw the weights as a picture.")
def command(model: str, format_name: str, weights: str | None) -> int:
    """Show what is in the file MODEL: classes, features, and how it was trained.

    It may also be an HDF5 file of pictures or of rows of features.
    """
    if weights is not None:
        refuse_overwriting((weights,), (model,))
        check_file(weights, "--weights", (".png",))

    if is_hdf5_name(model):
        from catclf.pipeline.packing import describe_packed

        if weights is not None:
            raise click.UsageError("--weights needs a model file")
        _show(describe_packed(model), format_name)
        return 0

    from catclf.model import describe, load

    classifier = load(model)
    if weights is not None:
        from catclf.images.thumbnails import png
        from catclf.report.weights import titled_weights

        drawing = png(titled_weights(classifier))
        with replacing(weights) as file:
            file.write(drawing)
    _show(describe(classifier), format_name)
    return 0


def _show(facts: Mapping[str, Any], format_name: str) -> None:
    if format_name == "json":
        print_json(facts)
    else:
        print_text("\n".join(_lines(facts)))


def _lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A line for each fact; those of a group are indented below its name."""
    for name, value in facts.items():
        label = printable(indent + str(name))
        if isinstance(value, Mapping):
            yield label
            yield from _lines(value, indent + "  ")
        else:
            yield f"{label:<17} {shown(value)}"
