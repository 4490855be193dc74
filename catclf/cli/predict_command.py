"""`catclf predict`: one row for each picture, in order, as soon as it is known."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from catclf.atomic import replacing
from catclf.cli.console import Console
from catclf.cli.group import ExampleFirst, Invocation
from catclf.cli.kept_rows import Counts, KeptRows
from catclf.cli.live import LiveProgress
from catclf.cli.options import (
    check_report,
    console_option,
    format_of,
    format_option,
    model_option,
    read_options,
    refuse_binary_name,
    refuse_existing,
    refuse_overwriting,
    report_option,
    shifts,
    with_encoder_of,
)
from catclf.cli.output import check_output, is_file, opened, write_page
from catclf.cli.parameters import PathName, current_spelling, option
from catclf.cli.tables import (
    FORMATS,
    Column,
    RowsOfFile,
    Table,
    joined,
    path_lines,
    rows_of_file,
    six_digits,
)
from catclf.config import ReadOptions
from catclf.errors import DataError, OutputError, system_reason
from catclf.partial import SUFFIX
from catclf.printable import number_of
from catclf.unread import sentences
from catclf.work.signals import signals

if TYPE_CHECKING:
    from catclf.images.inputs import Input
    from catclf.images.picture import Picture
    from catclf.model import Model
    from catclf.pipeline.prediction import Prediction
    from catclf.progress import Progress
    from catclf.work.spread import Waiting

_EPILOG = """\b
Example:
  catclf predict -m cat.npz album/ photo.jpg
  find . -name '*.jpg' -print0 | catclf predict -m cat.npz --files-from - -0 -F csv
  catclf predict -m cat.npz album/ --only cat --copy-to cats/
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
    callback=_rows_or_end, help="On an unreadable picture: report it as a row, or stop.",
)  # fmt: skip


@click.command("predict", cls=ExampleFirst, epilog=_EPILOG)
@click.argument("paths", type=PathName(), nargs=-1, metavar="[PATH]...")
@model_option("predict")
@option(
    "--files-from", type=PathName(), metavar="FILE|-", help="Read more paths from a file, one per line."
)
@option("-0", "--null", is_flag=True, help="Paths of --files-from and --only end with NUL.")
@format_option(*FORMATS, by_suffix=True)
@option(
    "-o",
    "--output",
    type=PathName(),
    metavar="FILE",
    help="Write the rows to FILE instead of stdout; without -F, a suffix .csv, .tsv, .json or .jsonl"
    " chooses the format.",
)
@option(
    "-f", "--force", is_flag=True,
    help="Replace FILE if it exists, and start over even if FILE.partial has rows.",
)  # fmt: skip
@option(
    "--append", is_flag=True,
    help="Keep the rows in FILE, and add only those of inputs that it does not have yet.",
)  # fmt: skip
@option(
    "--resume", is_flag=True,
    help="Continue from FILE.partial, as happens anyway, and say so if there is none.",
)  # fmt: skip
@shifts
@option("--only", metavar="CLASS", help="Print just the paths predicted CLASS.")
@option(
    "--link-to", type=PathName(), metavar="DIR",
    help="Sort the pictures into DIR/CLASS/ as links; with --only, just those of its class.",
)  # fmt: skip
@option("--copy-to", type=PathName(), metavar="DIR", help="Sort them as copies instead.")
@report_option(
    "Write a page to review the predictions on, the least sure first (with --only, those of its class):"
    " answer in a browser, then download the labels."
)
@option(
    "--exit-status", is_flag=True, callback=_errors_are_2,
    help="Exit 0 if every picture is positive, 1 if not, 2 on error.",
)  # fmt: skip
@option("--fail-if-empty", is_flag=True, help="Exit 1 if no picture was found.")
@option(
    "--explain",
    type=PathName(),
    metavar="DIR",
    help="Write each picture to DIR as a PNG, with a map of what speaks for the positive class (orange)"
    " and against it (blue), the verdict, and what the probability is made of.",
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
    force: bool,
    append: bool,
    resume: bool,
    shifts: dict[str, Any],
    only: str | None,
    link_to: str | None,
    copy_to: str | None,
    report: str | None,
    exit_status: bool,
    fail_if_empty: bool,
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
    _check_replacing(output, force, append, resume, only)
    check_report(report, "jinja2")
    if link_to is not None and copy_to is not None:
        raise click.UsageError("--link-to and --copy-to cannot be used together")
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
    in_file = output is not None and is_file(output)
    progress = LiveProgress(console, live=in_file or sys.stdout is None or not sys.stdout.isatty())
    ignored = _Ignored(console, progress)
    before = rows_of_file(output, format_name) if append and output is not None else None
    kept = None
    once = "-" in paths or report is not None or explain is not None  # there is more to it than rows
    if in_file and not once:
        printed = (only, null, format_name)
        kept = KeptRows(str(output), _depends_on(model, read, shifts, printed, before), force)
    if resume and (kept is None or not kept.resumed.total):
        console.say(f"nothing to resume: there are no rows in {output}{SUFFIX}")

    def watch(pictures: Iterator[Picture | Waiting]) -> Iterator[Picture | Waiting]:
        new = pictures if before is None else before.without(pictures)
        return new if kept is None else kept.watched(new)

    chunks = predict_chunks(
        classifier,
        inputs,
        threshold=shifts["threshold"],
        read=read,
        keep_pixels=explain is not None,
        previews=report is not None,
        on_ignored=ignored.add,
        progress=progress,
        watch=watch,
        total=_total(paths, files_from, null, read) if progress.shown else 0,
    )
    done = "read" if link_to is None and copy_to is None else "read or sorted"
    tally = _Tally(classifier.positive, console, done, Counts() if kept is None else kept.resumed)
    album = None if report is None else Album(classifier, shifts["threshold"], only)
    with contextlib.closing(chunks), progress:
        rows = _explained(tally.count(_sorted(chunks, link_to, copy_to, only)), classifier, explain)
        rows = rows if album is None else album.watched(rows)
        begun = (before is not None and before.has_rows) or (kept is not None and kept.has_rows)
        parts = _paths_of(rows, only, null) if only else joined(_TABLE, rows, format_name, begun)
        style = FORMATS[format_name]
        head, tail = (b"", b"") if only else (style.head(_TABLE), style.tail)
        head = head if before is None else before.body
        if kept is None:
            with opened(output) as file:
                _write(file, chain([head], parts, [tail]))
        else:
            _keep(kept, head, parts, tail, tally, progress)
    ignored.say()
    if report is not None and album is not None:
        from catclf.report.review import album_page

        write_page(album_page(_title(paths, files_from), album), report)
        console.say(f"saved {report}: {number_of(sum(album.counts.values()), 'picture')} to review")
    met = 0 if before is None else before.met
    if met:
        console.say(f"already in {output}: {number_of(met, 'picture')}")
    return tally.exit_code(exit_status, fail_if_empty, met)


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
        raise click.UsageError("-0 requires --files-from or --only")
    if only is not None and _was_given("format_name"):
        raise click.UsageError("--only prints just paths; it cannot be used with --format")
    if "-" in paths and files_from == "-":
        raise click.UsageError("stdin can be a picture or a list of paths, not both")


def _check_model(model: Model, only: str | None, explain: str | None) -> None:
    """Refuse what the model cannot do."""
    if only is not None and only not in (model.positive, model.negative):
        known = f"neither {model.positive!r} nor {model.negative!r}"
        raise click.BadParameter(f"{only!r} is {known}", param_hint="--only")
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


def _total(paths: Iterable[str], files_from: str | None, null: bool, read: ReadOptions) -> int:
    """How many pictures there are; 0 if only reading them would say."""
    from catclf.images.inputs import number_in

    if "-" in paths or (files_from is not None and not os.path.isfile(files_from)):
        return 0  # what comes through a pipe comes once
    return number_in(_inputs(paths, files_from, null), read)


class _Ignored:
    """Counts the files of folders that are not tried because of their names."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._count = 0
        self._pictures: list[str] = []

    def add(self, path: str) -> None:
        self._progress.note(f"{path}: ignored")
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
    """Counts what passes, for the exit code.

    Attributes
    ----------
    counts : Counts
        Those of an earlier run included.
    """

    def __init__(self, positive: str, console: Console, done: str, begun: Counts) -> None:
        self._positive, self._done = positive, done
        self._console = console
        self.counts = begun

    def count(self, chunks: Iterable[list[Prediction]]) -> Iterator[list[Prediction]]:
        for chunk in self._until_stdin_fails(chunks):
            failed = [row for row in chunk if row.error is not None]
            answered, negative, failures = self.counts
            self.counts = Counts(
                answered + len(chunk) - len(failed),
                negative + sum(row.label != self._positive for row in chunk) - len(failed),
                failures + len(failed),
            )
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
                    "stdin (-) is read as one picture; for a list of paths, use --files-from -"
                )

    def exit_code(self, exit_status: bool, fail_if_empty: bool, met: int) -> int:
        """Say what was not found or read; `met` pictures have a row already."""
        answered, negative, failed = self.counts
        found = self.counts.total + met
        if failed:
            self._console.say(f"{failed} of {self.counts.total} could not be {self._done}")
        if not found:
            self._console.say("no pictures found")
        if exit_status:
            return 2 if failed or not answered else int(negative > 0)
        if not found and fail_if_empty:
            return 1
        return 3 if failed else 0


def _check_output(output: str | None, report: str | None, inputs: Iterable[str | None]) -> None:
    """Refuse to write where something is read."""
    refuse_overwriting((output, report), inputs)
    if output is not None:
        refuse_binary_name(output)
        check_output(output)


def _check_replacing(
    output: str | None, force: bool, append: bool, resume: bool, only: str | None
) -> None:
    """Refuse to replace a file unasked, and to go on where there is none to go on with."""
    goes_on = "--append" if append else "--resume"
    if (append or resume) and (output is None or not is_file(output)):
        raise click.UsageError(f"{goes_on} requires -o FILE")
    if append and only is not None:
        raise click.UsageError("--append cannot be used with --only")
    if output is not None and is_file(output) and not append:
        refuse_existing(output, force)


def _check_folder(option: str, folder: str | None, paths: Iterable[str]) -> None:
    """Refuse a folder that cannot be one, or in which pictures are looked for."""
    if folder is None:
        return
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(folder, "is a file; name a folder")
    target = os.path.realpath(folder)
    for path in paths:
        if os.path.isdir(path) and f"{target}/".startswith(f"{os.path.realpath(path)}/"):
            raise click.BadParameter(f"{folder} is inside {path}, which is an input", param_hint=option)


def _explained(
    chunks: Iterator[list[Prediction]], model: Model, folder: str | None
) -> Iterator[list[Prediction]]:
    """Pass the rows on, and write NUMBER-name.png for each picture into `folder`, if there is one."""
    if folder is None:
        yield from chunks
        return
    from catclf.images.thumbnails import png
    from catclf.report.weights import explanation

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
        raise OutputError(folder, f"cannot be created ({exc.strerror})") from exc


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


def _keep(
    kept: KeptRows, head: bytes, parts: Iterable[bytes], tail: bytes, tally: _Tally, progress: Progress
) -> None:
    """Do so with rows that are kept, and say where they are if they do not all come to their place."""
    if kept.resumed.total:
        went_on = number_of(kept.resumed.total, "picture")
        progress.hint(f"continuing after the {went_on} of an interrupted run")
    try:
        for part in parts:
            with signals.deferred():
                kept.add(part, tally.counts)
            signals.raise_received()
        kept.finish(head, tail)
    except BaseException:
        if kept.counts.total:
            rows = number_of(kept.counts.total, "picture")
            progress.hint(
                f"the rows of {rows} are kept in {kept.path}; run the same command to continue"
            )
        raise
    finally:
        kept.close()


def _depends_on(
    model: str,
    read: ReadOptions,
    shifts: dict[str, Any],
    printed: tuple[str | None, bool, str],
    before: RowsOfFile | None,
) -> dict[str, Any]:
    """What rows depend on but their pictures: two runs with the same go on from one another."""
    import catclf
    from catclf.images.decode import PILLOW
    from catclf.images.file_state import sha256_of

    encoder = None if read.encoder is None else sha256_of(os.fspath(read.encoder)).hex()
    return {
        **shifts,
        "catclf": catclf.__version__,
        "decoder": PILLOW,
        "model": sha256_of(model).hex(),
        "encoder": [encoder, read.encoder_output],
        "read": [read.max_pixels, read.x_key, read.exclude, read.follow],
        "printed": printed,
        "appended to": None if before is None else hashlib.sha256(before.body).hexdigest(),
    }
