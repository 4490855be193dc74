"""Options that several commands share, and checks of where results go."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from catclf.atomic import check_replaceable
from catclf.cli.console import Console
from catclf.cli.parameters import ByteSize, Decorator, FiniteRange, OneOf, PathName, gathered, option
from catclf.config import FEATURES, LARGEST_SIZE, ON_ERROR, ReadOptions

if TYPE_CHECKING:
    from catclf.model import Model


def check_file(path: str, option: str, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written, or standard output in its place, before any work is done.

    With `suffixes`, in small letters, also one that is called otherwise: it may be somebody's picture.
    """
    if path == "-":
        reason = "cannot be written to standard output; name a file (./- for one called -)"
        raise click.BadParameter(reason, param_hint=option)
    if suffixes and not path.lower().endswith(suffixes):
        raise click.BadParameter(f"{path} does not end in {' or '.join(suffixes)}", param_hint=option)
    check_replaceable(path)


def refuse_binary_name(path: str) -> None:
    """Refuse to write rows or scores to what is called a picture, a model or an HDF5 file."""
    refuse_name_of_data(path, "a text file", (".npz",))


def refuse_name_of_data(
    path: str, content: str, suffixes: tuple[str, ...] = (), option: str = "--output"
) -> None:
    """Refuse to write `content` to what is called a picture or an HDF5 file, or ends in a suffix."""
    from catclf.images.folder import is_picture_name  # imports numpy, which --help does without
    from catclf.images.hdf5_process import is_hdf5_name

    if is_picture_name(path) or is_hdf5_name(path) or path.lower().endswith(suffixes):
        raise click.BadParameter(f"{path} would be {content}; choose another name", param_hint=option)


def format_of(output: str | None, format_name: str, formats: Collection[str]) -> str:
    """Choose the format that the suffix of `output` names, unless one is given."""
    if output is None:
        return format_name
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


def refuse_existing(output: str, force: bool) -> None:
    """Stop if the file exists, unless it is to be replaced by force."""
    if os.path.lexists(output) and not os.path.isdir(output) and not force:
        raise click.UsageError(f"{output} exists; use --force to replace it, or name another file")


def refuse_overwriting(
    outputs: Iterable[str | None], inputs: Iterable[str | os.PathLike[str] | None]
) -> None:
    """Stop if a file is to be written that is read, or written, under another option as well."""
    taken = {os.path.realpath(path) for path in inputs if path is not None}
    for path in outputs:
        if path in (None, "-") or (os.path.exists(path) and not os.path.isfile(path)):
            continue
        if os.path.realpath(path) in taken:
            raise click.UsageError(f"{path} would be overwritten: this command also reads it")
        taken.add(os.path.realpath(path))


def _refuse_log_of_data(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Messages are appended: to a text file, and never to somebody's data."""
    del ctx, param
    if path is not None:
        refuse_name_of_data(path, "a log", (".npz", ".csv", ".html", ".json", ".partial"), "--log-file")
        check_file(path, "--log-file")
    return path


console_option = gathered(
    "console",
    Console,
    option("-q", "--quiet", is_flag=True, help="Show only warnings and errors."),
    option("-v", "--verbose", is_flag=True, help="Show more details."),
    option(
        "--log-file", type=PathName(), metavar="FILE", callback=_refuse_log_of_data,
        help="Also append all messages, with the time, to FILE.",
    ),
)  # fmt: skip


def memory_option(purpose: str) -> Decorator[Any]:
    """A budget of memory, for a purpose that is the help."""
    return option("--memory", type=ByteSize(), default="2GB", help=purpose)


def _needs_dask(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Stop with the command that helps if the libraries for clusters are missing."""
    del param
    if value is None or ctx.resilient_parsing:
        return value
    names = ("dask", "distributed", "fsspec")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise click.UsageError(f"--scheduler needs {', '.join(missing)}: pip install 'catclf[dask]'")
    return value


def read_options(*names: str, others: Collection[Decorator[Any]] = ()) -> Decorator[Any]:
    """Those of `_READING` that a command has, and some of its own, as one argument ``read``."""
    return gathered("read", ReadOptions, *(_READING[name] for name in names), *others)


_READING: dict[str, Decorator[Any]] = {
    "size": option(
        "--size",
        type=click.IntRange(1, LARGEST_SIZE),
        help="Side of the pictures in pixels [default: 64, or what the features need; an HDF5 file keeps"
        " its own].",
    ),
    "x_key": option("--x-key", metavar="NAME", help="Name of the data set of pictures in an HDF5 file."),
    "y_key": option("--y-key", metavar="NAME", help="Name of the data set of labels in an HDF5 file."),
    "on_error": option(
        "--errors",
        "on_error",
        type=click.Choice(ON_ERROR),
        help="On an unreadable picture: skip it, or stop.",
    ),
    "max_pixels": option(
        "--max-pixels", type=click.IntRange(min=1), help="Reject pictures with more than N pixels."
    ),
    "jobs": option(
        "-j", "--jobs", type=click.IntRange(min=1), help="Number of cores to use [default: all]."
    ),
    "scheduler": option(
        "--scheduler",
        metavar="ADDRESS|local",
        callback=_needs_dask,
        help="Run on a Dask cluster: the address of its scheduler, or local for one process per core on"
        " this machine.",
    ),
    "exclude": option(
        "--exclude",
        metavar="PATTERN",
        multiple=True,
        help="Ignore files and folders that match, as in .gitignore: '*_small.jpg', 'drafts/', or a path"
        " below the data's folder. Repeatable.",
    ),
    "follow": option("--follow", is_flag=True, help="Follow symbolic links to folders."),
    "encoder": option(
        "--encoder",
        type=PathName(),
        metavar="FILE.onnx|DIR",
        help="Use another network for network features; or set CATCLF_ENCODER.",
    ),
    "encoder_output": option(
        "--encoder-output",
        metavar="NAME",
        help="Output of that network to use; NAME:first takes its first token, NAME:mean the mean of its"
        " tokens or places.",
    ),
    "memory": memory_option(
        "Memory for the pixels, and as much again for the engine; pixels that do not fit are read from"
        " their packed file (see catclf pack) in every step."
    ),
}


def with_encoder(read: ReadOptions, needed: bool) -> ReadOptions:
    """Take the network that the environment names, where one is needed and none is named otherwise."""
    found = os.environ.get("CATCLF_ENCODER")
    return replace(read, encoder=found) if needed and found and read.encoder is None else read


def with_encoder_of(read: ReadOptions, models: Iterable[Model]) -> ReadOptions:
    """Do so for models that do not find their network by themselves."""
    from catclf.features import wants_file  # imports numpy, which --help does without

    return with_encoder(read, any(wants_file(model.features) for model in models))


def format_option(*formats: str, by_suffix: bool = False, synonym: bool = False) -> Decorator[Any]:
    """Choose one of the `formats`, the first by default.

    With `synonym`, ``--json`` says so as well, without being shown.
    """
    default = f"by the suffix of -o, or {formats[0]}" if by_suffix else formats[0]
    plain = option(
        "-F",
        "--format",
        "format_name",
        type=click.Choice(formats),
        default=formats[0],
        help=f"Output format [default: {default}].",
    )
    if not synonym:
        return plain

    def chosen(format_name: str, as_json: bool) -> str:
        return "json" if as_json else format_name

    return gathered("format_name", chosen, plain, option("--json", "as_json", is_flag=True, hidden=True))


positive_option = option(
    "--positive",
    metavar="NAME",
    help="The positive class (y = 1) [default: cat or cats; of an HDF5 file list_classes[1]].",
)

compared_option = option(
    "--features",
    type=OneOf(FEATURES),
    help="Features to compare pictures by [default: network if installed, else patches].",
)

seed_option = option("--seed", type=click.IntRange(min=0), help="Random seed.")

labels_option = option(
    "--labels",
    type=PathName(),
    metavar="FILE.csv",
    help="Corrections to the labels of DATA (path,label); the label - leaves a picture out.",
)


def model_option(command: str) -> Decorator[Any]:
    """The model, also from the environment: what is set for `command` comes first."""
    return option(
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


_threshold_option = option(
    "-t",
    "--threshold",
    type=FiniteRange(0, 1),
    help="Predict the positive class from this probability on [default: the model's].",
)


def report_option(what: str) -> Decorator[Any]:
    """A page for people."""
    return option("--report", type=PathName(), metavar="FILE.html", help=what)


def check_report(path: str | None, *libraries: str) -> None:
    """Refuse a page that cannot be made, before any work is done."""
    if path is not None:
        check_file(path, "--report", (".html", ".htm"))
        require_report_extra("--report", *libraries)


def require_report_extra(option: str, *libraries: str) -> None:
    """Stop with the command that helps if libraries for pages and curves are missing."""
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        needs = f"{option} needs {' and '.join(missing)}: pip install 'catclf[report]'"
        raise click.UsageError(needs)


_prior_option = option(
    "--prior",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Expected share of positive pictures, if it differs from the training data.",
)

shifts = gathered("shifts", dict, _threshold_option, _prior_option)
"""What moves the border between the classes: `threshold` and `prior`, as arguments for a tool."""
