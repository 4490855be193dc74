"""`catclf next`: which pictures to label next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from catclf import config
from catclf.cli.console import Console
from catclf.cli.group import ExampleFirst
from catclf.cli.options import (
    compared_option,
    console_option,
    format_option,
    read_options,
    seed_option,
    with_encoder,
)
from catclf.cli.output import result_stream
from catclf.cli.parameters import PathName, gathered, option
from catclf.printable import number_of

if TYPE_CHECKING:
    from catclf.cli.tables import Table
    from catclf.pipeline.suggesting import Suggested

_EPILOG = """\b
Example:
  catclf next -n 4 album/ --labels labels.csv -F csv >> labels.csv     # fill in, and repeat
  catclf next -n 4 album/                                              # only their paths"""


@click.command("next", cls=ExampleFirst, epilog=_EPILOG)
@click.argument("paths", type=PathName(), nargs=-1, required=True, metavar="PATH...")
@option("-n", "--count", type=click.IntRange(min=1), default=10, help="Number of pictures to suggest.")
@option(
    "--labels",
    type=PathName(),
    metavar="FILE.csv",
    help="The labels so far (path,label); the file need not exist yet.",
)
@option("-m", "--model", type=PathName(), metavar="MODEL", help="A model trained on the labels so far.")
@option("-0", "--null", is_flag=True, help="End each path with NUL instead of a newline.")
@format_option("text", "csv")
@gathered(
    "settings",
    config.NextSettings,
    option(
        "--positive", metavar="NAME", help="The positive class (y = 1); without it, each class in turn."
    ),
    compared_option,
    seed_option,
    read_options(
        *("encoder", "encoder_output", "size", "x_key", "exclude", "follow"),
        *("max_pixels", "memory", "jobs"),
    ),
)
@console_option
def command(
    paths: tuple[str, ...],
    count: int,
    labels: str | None,
    model: str | None,
    null: bool,
    format_name: str,
    settings: config.NextSettings,
    console: Console,
) -> int:
    """Say which pictures among PATH are worth labelling next, the most useful first.

    They stand for many others that are not labelled yet, above all for those whose class is in doubt.
    There need be no labels at all. With -F csv they come as rows of a sheet to be filled in: a label is
    a word, - leaves a picture out, and rows without a label are skipped.
    """
    if labels is not None and model is not None:
        raise click.UsageError("--labels and --model cannot be used together")
    if model is not None and settings.features is not None:
        raise click.UsageError("--features cannot be used with --model, which has its own")
    if null and format_name == "csv":
        raise click.UsageError("-0 cannot be used with -F csv")
    needed = settings.features is None or config.FEATURES[settings.features].own_view
    settings = replace(settings, read=with_encoder(settings.read, needed))

    from catclf.cli.live import LiveProgress
    from catclf.cli.tables import path_lines, written
    from catclf.pipeline.suggesting import suggest

    ignored: list[str] = []
    with LiveProgress(console) as progress:
        found = suggest(
            paths,
            count,
            settings,
            labels=labels,
            model=model,
            on_ignored=ignored.append,
            progress=progress,
            processes=True,
        )
        progress.ignored(ignored)
    for failure in found.skipped:
        console.failed(failure, "skipped")
    _tell(console, found)
    stream = result_stream()
    if format_name == "csv":
        stream.writelines(written(_table(), [found.paths], format_name))
    else:
        stream.write(path_lines(found.paths, null))
    return 3 if found.skipped else 0


def _table() -> Table:
    from catclf.cli.tables import Column, Table

    return Table([Column("path", str, is_path=True), Column("label", lambda path: None)])


def _tell(console: Console, found: Suggested) -> None:
    known = ", ".join(f"{name} {count}" for name, count in found.counts.items()) or "none"
    console.say(
        f"labelled: {known}; {number_of(found.m, 'picture')} without a label; features: {found.features}"
    )
