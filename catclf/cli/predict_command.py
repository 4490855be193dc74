"""`catclf predict`: one row for each picture, in order, as soon as it is known."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from catclf.atomic import replacing
from catclf.cli.console import Console
from catclf.cli.group import ExampleFirst
from catclf.cli.options import (
    PathName,
    format_of,
    jobs_option,
    max_pixels_option,
    model_option,
    prior_option,
    refuse_binary_name,
    refuse_overwriting,
    require_dask_extra,
    scheduler_option,
    talk_options,
    threshold_option,
)
from catclf.cli.output import opened
from catclf.cli.rows import FORMATS, escaped
from catclf.cli.signals import signals
from catclf.errors import DataError, OutputError, system_reason
from catclf.printable import number_of

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


@click.command("predict", cls=ExampleFirst, epilog=_EPILOG)
@click.argument("paths", type=PathName(), nargs=-1, metavar="[PATH]...")
@model_option("predict")
@click.option(
    "--files-from", type=PathName(), metavar="FILE|-", help="Read more paths from a file, one a line."
)
@click.option("-0", "--null", is_flag=True, help="NUL ends the paths of --files-from and --only.")
@click.option(
    "-F", "--format", "format_name", envvar="CATCLF_PREDICT_FORMAT", type=click.Choice(tuple(FORMATS)),
    default="text", help="Of the rows [default: by the suffix of -o, or text].",
)  # fmt: skip
@click.option(
    "-o",
    "--output",
    type=PathName(),
    metavar="FILE",
    help="Write the rows there instead of stdout: without -F as text, or in the format of the suffix if"
    " it is .csv, .tsv, .json or .jsonl.",
)
@threshold_option
@prior_option
@click.option("--only", metavar="CLASS", help="Print just the paths predicted CLASS.")
@click.option(
    "--exit-status", is_flag=True, help="Exit 0 if every picture is positive, 1 if not, 2 on error."
)
@click.option(
    "--errors", type=click.Choice(("row", "fail")), default="row", show_default=True,
    help="Whether an unreadable picture is a row, or the end.",
)  # fmt: skip
@click.option(
    "--explain",
    type=PathName(),
    metavar="DIR",
    help="Write each picture beside the map of w * x there, as a PNG: where it is orange, the picture"
    " speaks for the positive class. For pixels the map adds up to z - b; for patches it has the"
    " part that belongs to a cell of the grid.",
)
@click.option("--x-key", metavar="NAME", help="Data set of the pictures in an HDF5 file.")
@max_pixels_option
@scheduler_option
@jobs_option
@talk_options
def command(
    paths: tuple[str, ...],
    model: str,
    files_from: str | None,
    null: bool,
    format_name: str,
    output: str | None,
    threshold: float | None,
    prior: float | None,
    only: str | None,
    exit_status: bool,
    errors: str,
    explain: str | None,
    x_key: str | None,
    max_pixels: int,
    scheduler: str | None,
    jobs: int | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Say for each PATH whether it is a cat.

    PATH is a picture, a folder (searched recursively), an HDF5 file, or - for one picture's bytes on
    stdin. Text rows are path, label and probability of the positive class, separated by tabs; for a
    picture that cannot be read they are path, ERROR and the reason.
    """
    if exit_status:  # 1 is an answer then, and 2 says that there is none
        click.get_current_context().obj["failed"] = 2
    if not paths and files_from is None:
        raise click.UsageError("name a picture, a folder, or --files-from")
    if _was_given("null") and only is None and files_from is None:
        raise click.UsageError("--null is about the paths of --files-from and --only; give one of them")
    if only is not None and _was_given("format_name"):
        raise click.UsageError("--only prints paths and nothing else; leave --format out")
    if "-" in paths and files_from == "-":
        raise click.UsageError("stdin can be a picture or a list of paths, not both")
    if explain is not None:
        _check_explain(explain, paths)
    if output is not None:
        refuse_overwriting((output,), (model, files_from, *paths))
        refuse_binary_name(output)
        format_name = format_of(output, format_name, FORMATS)
    if scheduler is not None:
        require_dask_extra()
    console = Console(quiet, verbose)

    from catclf.model import load
    from catclf.pipeline.prediction import predict

    classifier = load(model)
    if only is not None and only not in (classifier.positive, classifier.negative):
        known = f"{classifier.positive} or {classifier.negative}"
        raise click.BadParameter(f"{only!r} is not {known}", param_hint="--only")
    passed_over = _PassedOver(console)
    predictions = predict(
        classifier,
        _inputs(paths, files_from, null),
        threshold=threshold,
        prior=prior,
        jobs=jobs,
        x_key=x_key,
        keep_pixels=explain is not None,
        max_pixels=max_pixels,
        on_passed_over=passed_over.add,
        scheduler=scheduler,
        on_warning=console.warn,
        processes=True,
    )
    tally = _Tally(classifier.positive, console)
    with contextlib.closing(predictions), opened(output) as file:
        rows = tally.count(predictions, fail=errors == "fail")
        if explain is not None:
            rows = _explained(rows, classifier, explain)
        _write(file, _paths_of(rows, only, null) if only else _formatted(rows, format_name))
    passed_over.say()
    return tally.exit_code(exit_status)


def _was_given(parameter: str) -> bool:
    """Whether an option stands on the command line itself, and not in the environment."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise DataError("standard input", "is closed")
    return sys.stdin.buffer


def _inputs(paths: Iterable[str], files_from: str | None, null: bool) -> Iterator[Input]:
    for path in paths:
        yield _stdin() if path == "-" else path
    if files_from == "-":
        yield from _listed(_stdin(), "standard input", null)
    elif files_from is not None:
        try:
            with open(files_from, "rb") as file:
                yield from _listed(file, files_from, null)
        except OSError as exc:
            raise DataError(files_from, system_reason(exc)) from exc


def _listed(file: BinaryIO, name: str, null: bool) -> Iterator[str]:
    if not null and isinstance(file, io.BufferedReader):
        _check_list(file.peek(), name)  # subtle: with NUL its number is read from, and not its buffer
    lines = _split_at_nul(file) if null else (line.removesuffix(b"\n") for line in file)
    return (os.fsdecode(line) for line in lines if line)


def _check_list(head: bytes, name: str) -> None:
    """Refuse by its first bytes what cannot be paths, one a line: in paths there is no NUL."""
    from catclf.images.decode import begins_like_picture

    if b"\0" in head:
        if begins_like_picture(head):
            raise DataError(name, "is a picture and no list of paths; leave --files-from out")
        found = "is no list of paths, one a line: it has NUL bytes"
        raise DataError(name, f"{found}; if they end its paths, say -0")


def _split_at_nul(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := os.read(file.fileno(), 65536):  # as much as is there, without waiting for more
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
    yield rest


class _PassedOver:
    """Counts the files of folders that are not tried because of their names."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._count = 0
        self._heic = 0

    def add(self, path: str) -> None:
        self._console.detail(f"{path}: passed over")
        self._count += 1
        self._heic += path.lower().endswith((".heic", ".heif"))

    def say(self) -> None:
        if self._count:
            heic = f" ({self._heic} HEIC: convert them to JPEG first)" if self._heic else ""
            more = "" if self._console.verbose else "; -v names them"
            self._console.say(f"{number_of(self._count, 'other file')} passed over{heic}{more}")


class _Tally:
    """Counts what passes, for the exit code."""

    def __init__(self, positive: str, console: Console) -> None:
        self._positive = positive
        self._console = console
        self._answered = 0
        self._negative = 0
        self._failed = 0

    def count(self, predictions: Iterable[Prediction], fail: bool) -> Iterator[Prediction]:
        from catclf.images.decode import UNKNOWN_FORMAT

        for prediction in predictions:
            if prediction.error is not None:
                if prediction.path == "-" and prediction.error.reason == UNKNOWN_FORMAT:
                    self._console.say(
                        "- is the bytes of one picture; for a list of paths use --files-from -"
                    )
                if fail:
                    raise prediction.error
                self._failed += 1
            else:
                self._answered += 1
                self._negative += prediction.label != self._positive
            yield prediction

    def exit_code(self, exit_status: bool) -> int:
        if self._failed:
            self._console.say(f"{self._failed} of {self._failed + self._answered} could not be read")
        if not self._failed + self._answered:
            self._console.say("no pictures found")
        if exit_status:
            return 2 if self._failed or not self._answered else int(self._negative > 0)
        return 3 if self._failed else 0


def _check_explain(folder: str, paths: Iterable[str]) -> None:
    """Refuse to write explanations into a file, or into a folder that is being read."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(folder, "is a file; name a folder")
    target = os.path.realpath(folder)
    for path in paths:
        if os.path.isdir(path) and f"{target}/".startswith(f"{os.path.realpath(path)}/"):
            raise click.BadParameter(f"{folder} is inside {path}, which is read", param_hint="--explain")


def _explained(rows: Iterable[Prediction], model: Model, folder: str) -> Iterator[Prediction]:
    """Pass the rows on, and write NUMBER-name.png for each picture into `folder`."""
    from catclf.report.weights import explanation, png

    for number, row in enumerate(rows, start=1):
        if row.pixels is not None:
            _make_folder(folder)  # not before there is something to put in
            stem = os.path.splitext(os.path.basename(row.path))[0]
            safe = re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:40]
            with replacing(os.path.join(folder, f"{number:06d}-{safe}.png")) as file:
                file.write(png(explanation(model, row.pixels)))
        yield row


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as exc:
        raise OutputError(folder, f"cannot be made ({exc.strerror})") from exc


def _formatted(rows: Iterable[Prediction], format_name: str) -> Iterator[bytes]:
    style = FORMATS[format_name]
    yield style.head
    for number, row in enumerate(rows):
        yield (style.between if number else b"") + style.row(row)
    yield style.tail


def _paths_of(rows: Iterable[Prediction], wanted: str, null: bool) -> Iterator[bytes]:
    for row in rows:
        if row.error is None and row.label == wanted:
            yield os.fsencode(row.path) + b"\0" if null else escaped(row.path) + b"\n"
        else:
            yield b""


def _write(file: BinaryIO, chunks: Iterable[bytes]) -> None:
    """Write some rows at a time; a signal that comes while they are on their way waits for them."""
    from catclf.parallel import batches
    from catclf.pipeline.prediction import PREDICT_CHUNK

    for waiting in batches(chunks, PREDICT_CHUNK):
        with signals.deferred():
            file.write(b"".join(waiting))
            file.flush()
        signals.raise_received()
