"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Callable, Collection, Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import click

from catclf.atomic import check_replaceable
from catclf.config import MAX_PIXELS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])


def options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Combine several options into one decorator, in the order in which they are to be listed."""

    def decorate(command: Command) -> Command:
        return reduce(lambda wrapped, option: option(wrapped), reversed(decorators), command)

    return decorate


def check_file(path: str, option: str, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written, or standard output in its place, before any work is done.

    With `suffixes`, in small letters, also one that is called otherwise: it may be somebody's picture.
    """
    if path == "-":
        reason = "this cannot go to standard output; name a file (./- if it is to be called -)"
        raise click.BadParameter(reason, param_hint=option)
    if suffixes and not path.lower().endswith(suffixes):
        raise click.BadParameter(f"{path} does not end in {' or '.join(suffixes)}", param_hint=option)
    check_replaceable(path)


def refuse_binary_name(path: str) -> None:
    """Refuse to write rows or scores to what is called a picture, a model or an HDF5 file."""
    refuse_name_of_data(path, "a text file", (".npz",))


def refuse_name_of_data(path: str, content: str, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse to write `content` to what is called a picture or an HDF5 file, or ends in a suffix."""
    from catclf.images.folder import is_picture_name  # imports numpy, which --help does without
    from catclf.images.hdf5_process import is_hdf5_name

    if is_picture_name(path) or is_hdf5_name(path) or path.lower().endswith(suffixes):
        raise click.BadParameter(f"{path} would be {content}; name another", param_hint="--output")


def format_of(output: str, format_name: str, formats: Collection[str]) -> str:
    """Choose the format that the suffix of `output` names, unless one is given."""
    source = click.get_current_context().get_parameter_source("format_name")
    suffix = os.path.splitext(output)[1].lower().removeprefix(".")
    if source is click.core.ParameterSource.DEFAULT and suffix in formats:
        return suffix
    return format_name


def check_table(path: str | None, option: str) -> None:
    """Refuse a table of another kind as well; None is none."""
    if path is not None:
        if not path.endswith((".csv", ".jsonl")):
            raise click.BadParameter(f"{path} is neither .csv nor .jsonl", param_hint=option)
        check_file(path, option)


def refuse_overwriting(outputs: Iterable[str | None], inputs: Iterable[str | None]) -> None:
    """Stop if a file is to be written that is read, or written, under another option as well."""
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for path in outputs:
        if path in (None, "-") or (os.path.exists(path) and not os.path.isfile(path)):
            continue
        if os.path.realpath(path) in taken:
            raise click.UsageError(f"{path} would be overwritten: it is used otherwise in this command")
        taken.add(os.path.realpath(path))


class FiniteRange(click.FloatRange):
    """A range that NaN is not in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType`."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class NumberOrAuto(click.ParamType[Any]):
    """A number in a range, or the word auto."""

    name = "X|auto"

    def __init__(self, number: click.ParamType[Any]) -> None:
        self._number = number

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The name as it is: the word is typed in small letters."""
        del param, ctx
        return self.name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | Literal["auto"]:
        """See `click.ParamType`."""
        if value == "auto":
            return "auto"
        return float(self._number.convert(value, param, ctx))


class ByteSize(click.ParamType[Any]):
    """A number of bytes such as 300MB, 2GB or 1.5GiB."""

    name = "SIZE"
    _units: ClassVar = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    _binary_units: ClassVar = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType`."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGT]?)(i?)B?", value.strip(), re.IGNORECASE)
        unit = found[2].upper() if found else ""
        if not found or (found[3] and not unit) or float(found[1]) == 0:
            self.fail(f"{value!r} is not a size such as 300MB or 2GB", param, ctx)
        factor = (self._binary_units if found[3] else self._units)[unit]
        return int(float(found[1]) * factor)


class PathName(click.ParamType[Any]):
    """The name of a file or folder, for shells to complete; nothing looks whether it is there."""

    name = "PATH"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete it by itself."""
        del ctx, param
        from click.shell_completion import CompletionItem  # only shells need it

        return [CompletionItem(incomplete, type="file")]


class FractionOrPath(PathName):
    """A share between 0 and 1, or where other data is."""

    name = "FRACTION|DATA"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """See `click.ParamType`."""
        try:
            share = float(value)
        except ValueError:
            return str(value)
        if not 0 < share < 1:
            self.fail(f"{value} is not a share above 0 and below 1", param, ctx)
        return share


talk_options = options(
    click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors."),
    click.option("-v", "--verbose", is_flag=True, help="More about what happens."),
)

jobs_option = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many cores to use [default: all].",
)

max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    metavar="N",
    help="Refuse pictures of more pixels.",
)


def model_option(command: str) -> Callable[[Command], Command]:
    """The model, also from the environment: what is set for `command` comes first."""
    return click.option(
        "-m",
        "--model",
        type=PathName(),
        callback=_needed,
        metavar="MODEL",
        envvar=[f"CATCLF_{command.upper()}_MODEL", "CATCLF_MODEL"],
        help="The model file; or set CATCLF_MODEL.  [required]",
    )


def _needed(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None and not ctx.resilient_parsing:
        raise click.UsageError(
            "no model: name one with -m MODEL, or set CATCLF_MODEL; catclf train makes one", ctx
        )
    del param
    return value


threshold_option = click.option(
    "-t",
    "--threshold",
    type=FiniteRange(0, 1),
    metavar="X",
    help="Call a picture positive from this probability on [default: the model's].",
)


def require_report_extra(option: str) -> None:
    """Stop with the command that helps if the libraries for pages and curves are missing."""
    missing = [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        needs = f"{option} needs {' and '.join(missing)}: pip install 'catclf[report]'"
        raise click.UsageError(needs)


def require_dask_extra() -> None:
    """Stop with the command that helps if the libraries for clusters are missing."""
    names = ("dask", "distributed", "fsspec")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(f"--scheduler needs {', '.join(missing)}: pip install 'catclf[dask]'")


scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS|local",
    help="Have the work done by a Dask cluster: the address of its scheduler, or local for a process"
    " a core on this machine.",
)

prior_option = click.option(
    "--prior",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Share of positive pictures to expect, if it is another than in training.",
)

key_options = options(
    click.option("--x-key", metavar="NAME", help="Data set of the pictures in an HDF5 file."),
    click.option("--y-key", metavar="NAME", help="Data set of the labels in an HDF5 file."),
)
