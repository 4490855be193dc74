"""`catclf check`: what may be wrong with labelled pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

import click

from catclf import config
from catclf.cli.console import Console
from catclf.cli.group import OfOneDataSet
from catclf.cli.options import (
    check_report,
    compared_option,
    console_option,
    format_of,
    format_option,
    labels_option,
    positive_option,
    read_options,
    refuse_binary_name,
    refuse_existing,
    refuse_overwriting,
    report_option,
    seed_option,
    with_encoder,
)
from catclf.cli.output import check_output, opened, print_text, write_page
from catclf.cli.parameters import PathName, gathered, option
from catclf.printable import number_of, printable

if TYPE_CHECKING:
    from catclf.cli.tables import Table
    from catclf.pipeline.checking import Check, Finding

_EPILOG = """\b
Example:
  catclf check photos/                              # photos/cat/*.jpg, photos/other/*.jpg
  catclf check photos/ -o found.csv                 # the most doubtful labels first"""

_FORMATS = ("text", "csv", "jsonl")

_SHOWN = 20  # of each kind, on the page


@click.command("check", cls=OfOneDataSet, epilog=_EPILOG)
@click.argument("data", type=PathName())
@format_option(*_FORMATS, by_suffix=True)
@option(
    "-o", "--output", type=PathName(), metavar="FILE",
    help="Write the findings to FILE instead of stdout, in the format of its suffix.",
)  # fmt: skip
@option("-f", "--force", is_flag=True, help="Replace FILE if it exists.")
@report_option(
    "Write a page to review the findings on: answer in a browser, then download the corrections."
)
@option("--exit-status", is_flag=True, help="Exit 1 if anything was found.")
@gathered(
    "settings",
    config.CheckSettings,
    option(
        "--other",
        type=PathName(),
        metavar="DATA2",
        help="Other pictures, labelled or not: also find those that are in both.",
    ),
    labels_option,
    positive_option,
    compared_option,
    seed_option,
    read_options(
        *("encoder", "encoder_output", "size", "x_key", "y_key", "exclude", "follow"),
        *("max_pixels", "memory", "jobs"),
    ),
)
@console_option
def command(
    data: str,
    format_name: str,
    output: str | None,
    force: bool,
    report: str | None,
    exit_status: bool,
    settings: config.CheckSettings,
    console: Console,
) -> int:
    """Find labels in DATA that are probably wrong, near-duplicates, unusual and unreadable pictures.

    DATA is what train takes; nothing in it is changed. Labels that a model doubts come first, then
    near-duplicates, pictures unlike all others, and those that cannot be read. The model that doubts a
    label has seen neither the picture nor its near-duplicates.
    """
    refuse_overwriting((output, report), (data, settings.other, settings.labels))
    if output is not None:
        refuse_binary_name(output)
        check_output(output)
        refuse_existing(output, force)
    check_report(report, "jinja2")
    format_name = format_of(output, format_name, _FORMATS)

    from catclf.cli.live import LiveProgress, counted, report_corrections
    from catclf.pipeline.checking import check
    from catclf.pipeline.training_data import usual_features

    features = settings.features or usual_features(data, with_encoder(settings.read, needed=True))
    read = with_encoder(settings.read, config.FEATURES[features].own_view)
    settings = replace(settings, features=features, read=read)
    with LiveProgress(console) as progress:
        found = check(data, settings, gallery=report is not None, progress=progress, processes=True)
    unreadable = len(found.of("unreadable"))
    console.say(f"{counted(found.counts, unreadable, found.ignored)}; features: {features}")
    if found.corrections is not None:
        report_corrections(console, found.corrections)
    if found.learned_before:
        console.say(f"{features} were learned from all of these pictures when they were packed")
    if format_name == "text":
        print_text("\n".join(_page(found)), output)
    else:
        from catclf.cli.tables import written

        with opened(output) as file:
            file.writelines(written(_table(), [found.findings], format_name))
    if report is not None:
        from catclf.report.review import findings_page

        shown = len({shot.path for shot in found.shots})
        write_page(findings_page(data, found, _doubts(found)), report)
        console.say(f"saved {report}: {number_of(shown, 'picture')} to review")
    if output is not None:
        console.say(f"saved {output}: {number_of(len(found.findings), 'finding')}")
    return 3 if unreadable else int(exit_status and bool(found.findings))


def _table() -> Table:
    from catclf.cli.tables import Column, Table, six_digits

    return Table(
        [
            Column("path", attrgetter("path"), is_path=True),
            Column("label", attrgetter("label")),
            Column("issue", attrgetter("issue")),
            Column("score", attrgetter("score"), six_digits),
            Column("other", attrgetter("other"), is_path=True),
            Column("group", attrgetter("group")),
        ]
    )


def _page(found: Check) -> Iterator[str]:
    """Yield the lines of the page: what was found of each kind, and the most doubtful of it."""
    labels, duplicates = found.of("label"), found.of("duplicate")
    yield f"labels: {_doubts(found)}"
    yield from _shown([f"  {finding.score:.3f}  {_named(finding)}" for finding in labels])
    yield ""
    within = [finding for finding in duplicates if finding.group is not None]
    groups = f"{number_of(found.groups, 'group')} of {number_of(len(within), 'picture')}"
    across = f", {found.across} with more than one label" if found.across else ""
    yield f"near-duplicates: {groups}{across}" if within else "near-duplicates: none"
    yield from _shown([f"  {finding.group:>5}  {_named(finding)}" for finding in within])
    beyond = [finding for finding in duplicates if finding.group is None]
    if beyond:
        yield ""
        yield f"also in the other data: {number_of(len(beyond), 'picture')}"
        lines = [f"  {_named(finding)} is like {printable(finding.other)}" for finding in beyond]
        yield from _shown(lines)
    for issue in ("unusual", "unreadable"):
        if some := found.of(issue):
            yield ""
            yield f"{issue}: {number_of(len(some), 'picture')}"
            yield from _shown([f"  {printable(f'{one.path}: {one.reason}')}" for one in some])


def _doubts(found: Check) -> str:
    count = len(found.of("label"))
    doubted = f"{count} of {number_of(found.m, 'picture')} look more like the other class"
    agrees = f"the model agrees with {found.accuracy:.1%} of the labels"
    if found.expected_errors is None:
        return f"{doubted}; {agrees}, too few to say how many are wrong"
    wrong = round(found.expected_errors)
    are = "is" if wrong == 1 else "are"
    return f"{doubted}; about {number_of(wrong, 'label')} {are} wrong ({agrees})"


def _named(finding: Finding) -> str:
    return f"{printable(finding.label)}  {printable(finding.path)}"


def _shown(lines: list[str]) -> Iterator[str]:
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"  … and {len(lines) - _SHOWN} more: write all of them with -o FILE.csv"
