"""`catclf predict`: one row for each picture, in order, as soon as it is known."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from catclf.atomic import replacing
from catclf.cli.console import Console
from catclf.cli.group import ExampleFirst, Invocation
from catclf.cli.live import LiveProgress
from catclf.cli.options import (
    check_report,
    console_option,
    format_of,
    format_option,
    model_option,
    read_options,
    refuse_binary_name,
    refuse_overwriting,
    report_option,
    shifts,
    with_encoder_of,
)
from catclf.cli.output import opened, write_page
from catclf.cli.parameters import PathName, current_spelling, option
from catclf.cli.tables import FORMATS, Column, Table, path_lines, six_digits, written
from catclf.config import ReadOptions
from catclf.errors import DataError, OutputError, system_reason
from catclf.printable import number_of
from catclf.unread import sentences
from catclf.work.signals import signals

if TYPE_CHECKING:
    from catclf.images.inputs import Input
    from catclf.model import Model
    from catclf.pipeline.prediction import Prediction

_EPILOG = """\b
Example:
  catclf predict -m cat.npz album/ photo.jpg
  find . -name '*.jpg' -print0 | catclf predict -m cat.npz --files-from - -0 -F csv
  catclf predict -m cat.npz album/ --only cat -0 | xargs -0 -r cp --backup=numbered -t cats/
  if catclf predict -m cat.npz photo.jpg --exit-status -q; then echo meow; fi"""


def _rows_or_end(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Turn the words of the command line into those of `ReadOptions`."""
    del ctx, param
    return "skip" if value == "row" else value


def _errors_are_2(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """1 is an answer then, and 2 says that there is none."""
    del param
    if value and isinstance(ctx.obj, Invocation):
        ctx.obj.failed = 2
    return value


_errors_option = option(
    "--errors", "on_error", type=click.Choice(("row", "fail")), default="row",
    callback=_rows_or_end, help="Whether an unreadable picture is a row, or the end.",
)  # fmt: skip


@click.command("predict", cls=ExampleFirst, epilog=_EPILOG)
@click.argument("paths", type=PathName(), nargs=-1, metavar="[PATH]...")
@model_option("predict")
@option(
    "--files-from", type=PathName(), metavar="FILE|-", help="Read more paths from a file, one a line."
)
@option("-0", "--null", is_flag=True, help="NUL ends the paths of --files-from and --only.")
@format_option(*FORMATS, by_suffix=True)
@option(
    "-o",
    "--output",
    type=PathName(),
    metavar="FILE",
    help="Write the rows there instead of stdout: without -F as text, or in the format of the suffix if"
    " it is .csv, .tsv, .json or .jsonl.",
)
@shifts
@option("--only", metavar="CLASS", help="Print just the paths predicted CLASS.")
@option(
    "--link-to", type=PathName(), metavar="DIR",
    help="Sort the pictures: make DIR/CLASS/ with a link to each, of --only those of its class.",
)  # fmt: skip
@option("--copy-to", type=PathName(), metavar="DIR", help="Do so with copies.")
@report_option(
    "A page to review the answers with, the least sure first, of --only those of its class: answer"
    " there, and download the labels."
)
@option(
    "--exit-status", is_flag=True, callback=_errors_are_2,
    help="Exit 0 if every picture is positive, 1 if not, 2 on error.",
)  # fmt: skip
@option(
    "--explain",
    type=PathName(),
    metavar="DIR",
    help="Write each picture there as a PNG, with a map of what speaks for the positive class (orange)"
    " and against it (blue). For pixels the map adds up to z - b; for patches it has what belongs to a"
    " cell of the grid; for a network it lies over the picture, and the rest of z is written below.",
)
@read_options(
    *("encoder", "encoder_output", "x_key", "exclude", "follow", "max_pixels", "scheduler", "jobs"),
    others=[_errors_option],
)
@console_option
def command(
    paths: tuple[str, ...],
    model: str,
    files_from: str | None,
    null: bool,
    format_name: str,
    output: str | None,
    shifts: dict[str, Any],
    only: str | None,
    link_to: str | None,
    copy_to: str | None,
    report: str | None,
    exit_status: bool,
    explain: str | None,
    read: ReadOptions,
    console: Console,
) -> int:
    """Say for each PATH whether it is a cat.

    PATH is a picture, a folder (searched recursively), an HDF5 file, or - for one picture's bytes on
    stdin. Text rows are path, label and probability of the positive class, separated by tabs; for a
    picture that cannot be read they are path, ERROR and the reason. Tables say of each picture too
    whether it is unlike those that the model was trained on.
    """
    _check_inputs(paths, files_from, null, only)
    _check_output(output, report, (model, files_from, *paths))
    check_report(report, "jinja2")
    if link_to is not None and copy_to is not None:
        raise click.UsageError("--link-to and --copy-to both sort the pictures: give one of them")
    for name, folder in (("--explain", explain), ("--link-to", link_to), ("--copy-to", copy_to)):
        _check_folder(name, folder, paths)
    format_name = format_of(output, format_name, FORMATS)

    from catclf.model import load
    from catclf.pipeline.album import Album
    from catclf.pipeline.prediction import may_be_rows, predict_chunks
    from catclf.pipeline.scoring import loaded

    found = load(model)
    _check_model(found, only, explain)
    read = with_encoder_of(read, [found])
    plain = files_from is None and "-" not in paths
    inputs = [*paths] if plain else _inputs(paths, files_from, null)
    (classifier,) = loaded([found], shifts["prior"], read, may_be_rows(inputs))
    ignored = _Ignored(console)
    chunks = predict_chunks(
        classifier,
        inputs,
        threshold=shifts["threshold"],
        read=read,
        keep_pixels=explain is not None,
        previews=report is not None,
        on_ignored=ignored.add,
        progress=LiveProgress(console),
    )
    done = "read" if link_to is None and copy_to is None else "read or sorted"
    tally = _Tally(classifier.positive, console, done)
    album = None if report is None else Album(classifier, shifts["threshold"], only)
    with contextlib.closing(chunks), opened(output) as file:
        rows = _explained(tally.count(_sorted(chunks, link_to, copy_to, only)), classifier, explain)
        rows = rows if album is None else album.watched(rows)
        _write(file, _paths_of(rows, only, null) if only else written(_TABLE, rows, format_name))
    ignored.say()
    if report is not None and album is not None:
        from catclf.report.review import album_page

        write_page(album_page(_title(paths, files_from), album), report)
        console.say(f"saved {report}: {number_of(sum(album.counts.values()), 'picture')} to review")
    return tally.exit_code(exit_status)


def _title(paths: tuple[str, ...], files_from: str | None) -> str:
    """What was looked at, for people."""
    named = ["standard input" if path == "-" else path for path in paths]
    if files_from is not None:
        named.append("a list of paths" if files_from == "-" else f"the paths in {files_from}")
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more


_NAMED = 3


def _check_inputs(paths: tuple[str, ...], files_from: str | None, null: bool, only: str | None) -> None:
    """Refuse what does not go together."""
    if not paths and files_from is None:
        raise click.UsageError("name a picture, a folder, or --files-from")
    if null and _was_given("null") and only is None and files_from is None:
        raise click.UsageError("--null is about the paths of --files-from and --only; give one of them")
    if only is not None and _was_given("format_name"):
        raise click.UsageError("--only prints paths and nothing else; leave --format out")
    if "-" in paths and files_from == "-":
        raise click.UsageError("stdin can be a picture or a list of paths, not both")


def _check_model(model: Model, only: str | None, explain: str | None) -> None:
    """Refuse what the model cannot do."""
    if only is not None and only not in (model.positive, model.negative):
        known = f"{model.positive} or {model.negative}"
        raise click.BadParameter(f"{only!r} is not {known}", param_hint="--only")
    if explain is not None:
        from catclf.report.weights import check_explained

        check_explained(model)


def _reason(prediction: Prediction) -> str | None:
    if prediction.error is None:
        return None
    return prediction.error.reason_as(current_spelling())


_PATH = Column("path", attrgetter("path"), is_path=True)
_LABEL = Column("label", attrgetter("label"))
_PROBABILITY = Column("probability", lambda row: _rounded(row.probability), six_digits)
_ERROR = Column("error", _reason)
_UNUSUAL = Column("unusual", attrgetter("unusual"), lambda unusual: "yes" if unusual else "")


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)


def _fields(row: Prediction) -> list[str]:
    """What a row has as text."""
    if row.error is not None:
        return [row.path, "ERROR", _ERROR.text(row)]
    return [row.path, _LABEL.text(row), _PROBABILITY.text(row)]


_TABLE = Table([_PATH, _LABEL, _PROBABILITY, _ERROR, _UNUSUAL], _fields)


def _was_given(parameter: str) -> bool:
    """Whether an option stands on the command line itself, and not in the environment."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise DataError("standard input", "is closed")
    return sys.stdin.buffer


def _inputs(paths: Iterable[str], files_from: str | None, null: bool) -> Iterator[Input]:
    from catclf.cli.lists import listed  # it imports numpy, which --help does without

    for path in paths:
        yield _stdin() if path == "-" else path
    if files_from == "-":
        yield from listed(_stdin(), "standard input", null)
    elif files_from is not None:
        try:
            with open(files_from, "rb", buffering=0) as file:
                yield from listed(file, files_from, null)
        except OSError as exc:
            raise DataError(files_from, system_reason(exc)) from exc


class _Ignored:
    """Counts the files of folders that are not tried because of their names."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._count = 0
        self._pictures: list[str] = []

    def add(self, path: str) -> None:
        self._console.detail(f"{path}: ignored")
        self._count += 1
        if sentences([path]):
            self._pictures.append(path)

    def say(self) -> None:
        if self._count:
            more = "" if self._console.verbose else "; -v names them"
            self._console.say(f"{number_of(self._count, 'other file')} ignored{more}")
        for sentence in sentences(self._pictures):
            self._console.say(sentence)


class _Tally:
    """Counts what passes, for the exit code."""

    def __init__(self, positive: str, console: Console, done: str) -> None:
        self._positive, self._done = positive, done
        self._console = console
        self._answered = 0
        self._negative = 0
        self._failed = 0

    def count(self, chunks: Iterable[list[Prediction]]) -> Iterator[list[Prediction]]:
        for chunk in self._until_stdin_fails(chunks):
            failed = [row for row in chunk if row.error is not None]
            self._failed += len(failed)
            self._answered += len(chunk) - len(failed)
            self._negative += sum(row.label != self._positive for row in chunk) - len(failed)
            for row in failed:
                self._explain_stdin(row.error)
            yield chunk

    def _until_stdin_fails(self, chunks: Iterable[list[Prediction]]) -> Iterator[list[Prediction]]:
        try:
            yield from chunks
        except DataError as exc:
            self._explain_stdin(exc)
            raise

    def _explain_stdin(self, error: DataError | None) -> None:
        if error is not None and error.path == "-":
            from catclf.images.decode import UNKNOWN_FORMAT

            if error.reason == UNKNOWN_FORMAT:
                self._console.say(
                    "- is the bytes of one picture; for a list of paths use --files-from -"
                )

    def exit_code(self, exit_status: bool) -> int:
        if self._failed:
            total = self._failed + self._answered
            self._console.say(f"{self._failed} of {total} could not be {self._done}")
        if not self._failed + self._answered:
            self._console.say("no pictures found")
        if exit_status:
            return 2 if self._failed or not self._answered else int(self._negative > 0)
        return 3 if self._failed else 0


def _check_output(output: str | None, report: str | None, inputs: Iterable[str | None]) -> None:
    """Refuse to write where something is read."""
    refuse_overwriting((output, report), inputs)
    if output is not None:
        refuse_binary_name(output)


def _check_folder(option: str, folder: str | None, paths: Iterable[str]) -> None:
    """Refuse a folder that cannot be one, or in which pictures are looked for."""
    if folder is None:
        return
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(folder, "is a file; name a folder")
    target = os.path.realpath(folder)
    for path in paths:
        if os.path.isdir(path) and f"{target}/".startswith(f"{os.path.realpath(path)}/"):
            raise click.BadParameter(f"{folder} is inside {path}, which is read", param_hint=option)


def _explained(
    chunks: Iterator[list[Prediction]], model: Model, folder: str | None
) -> Iterator[list[Prediction]]:
    """Pass the rows on, and write NUMBER-name.png for each picture into `folder`, if there is one."""
    if folder is None:
        yield from chunks
        return
    from catclf.report.weights import explanation, png

    numbers = count(1)
    for chunk in chunks:
        for row, number in zip(chunk, numbers, strict=False):
            if row.pixels is not None:
                drawing = png(explanation(model, row.pixels))
                _make_folder(folder)  # not before there is something to put in
                stem = os.path.splitext(os.path.basename(row.path))[0]
                safe = re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:40]
                with replacing(os.path.join(folder, f"{number:06d}-{safe}.png")) as file:
                    file.write(drawing)
        yield chunk


def _sorted(
    chunks: Iterator[list[Prediction]], links: str | None, copies: str | None, only: str | None
) -> Iterator[list[Prediction]]:
    """Pass the rows on, and put the pictures into the folder to be sorted into, if there is one."""
    folder = links or copies
    if folder is None:
        yield from chunks
        return
    from catclf.pipeline.sorting import Sorter

    sorter = Sorter(folder, copies is not None)
    for chunk in chunks:
        yield [sorter.sorted(row) if only in (None, row.label) else row for row in chunk]


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as exc:
        raise OutputError(folder, f"cannot be made ({exc.strerror})") from exc


def _paths_of(chunks: Iterable[list[Prediction]], wanted: str, null: bool) -> Iterator[bytes]:
    for chunk in chunks:
        paths = (row.path for row in chunk if row.error is None and row.label == wanted)
        yield path_lines(paths, null)


def _write(file: BinaryIO, parts: Iterable[bytes]) -> None:
    """Write what is there at once; a signal that comes while it is on its way waits for it."""
    for part in parts:
        with signals.deferred():
            file.write(part)
            file.flush()
        signals.raise_received()
