"""`catclf pack`: options, one call, a summary."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from catclf import config
from catclf.cli.console import Console
from catclf.cli.group import OfOneDataSet
from catclf.cli.options import (
    console_option,
    format_option,
    labels_option,
    read_options,
    refuse_existing,
    refuse_overwriting,
    with_encoder,
)
from catclf.cli.output import print_json
from catclf.cli.parameters import OneOf, PathName, gathered, option
from catclf.images.hdf5_process import HDF5_SUFFIXES, is_hdf5_name
from catclf.partial import SUFFIX
from catclf.printable import number_of

if TYPE_CHECKING:
    from catclf.pipeline.packing import Packed

_EPILOG = """\b
Example:
  catclf pack photos/ photos.h5            # photos/cat/*.jpg, photos/other/*.jpg
  catclf train photos.h5 -o cat.npz        # the same model as from photos/
  catclf pack photos/ rows.h5 --features network"""


@click.command("pack", cls=OfOneDataSet, epilog=_EPILOG)
@click.argument("data", type=PathName())
@click.argument("output", type=PathName(), metavar="OUT.h5")
@option("-f", "--force", is_flag=True, help="Replace OUT.h5 if it exists.")
@option(
    "--update",
    is_flag=True,
    help="Update the rows in OUT.h5: compute only those of new and changed pictures.",
)
@gathered(
    "settings",
    config.PackSettings,
    option(
        "--positive",
        metavar="NAME",
        help="Of two classes, the positive one (y = 1) [default: cat or cats].",
    ),
    option(
        "--features",
        type=OneOf(config.FEATURES),
        help="Store pictures (pixels), or rows of features, which are then computed only once.",
    ),
    labels_option,
    option(
        "--seed",
        type=click.IntRange(min=0),
        help="Random seed for features that are learned.",
    ),
    read_options(
        *("size", "encoder", "encoder_output", "x_key", "y_key", "on_error", "max_pixels"),
        *("exclude", "follow", "scheduler", "jobs"),
    ),
)
@format_option("text", "json", synonym=True)
@console_option
def command(
    data: str,
    output: str,
    force: bool,
    update: bool,
    settings: config.PackSettings,
    format_name: str,
    console: Console,
) -> int:
    """Decode all pictures of DATA into one HDF5 file, from which training starts at once.

    With --features the file has rows of features: train, eval and predict take it instead of
    pictures, for models of the same features. DATA is what train takes. The file is not compressed:
    data that is larger than memory is trained from it block by block. An interrupted run leaves
    OUT.h5.partial behind, and the same command continues from it; while OUT.h5 is written, twice the
    space is needed.
    """
    if not is_hdf5_name(output):
        raise click.UsageError(
            f"{output} must end in one of {', '.join(HDF5_SUFFIXES)}: train goes by the suffix"
        )
    settings = replace(settings, read=with_encoder(settings.read, settings.kind.own_view))
    refuse_overwriting((output,), (data, settings.labels))
    if update and settings.kind.anywhere:
        raise click.UsageError("--update requires --features patches or network")
    refuse_existing(output, force or update)

    from catclf.cli.live import LiveProgress, report_corrections
    from catclf.pipeline.packing import pack

    with LiveProgress(console) as progress:
        try:
            packed = pack(data, output, settings, update=update, progress=progress, processes=True)
        except BaseException:
            partial = output + SUFFIX
            if progress.begun and os.path.exists(partial):  # else it is somebody else's
                progress.erase()
                console.say(f"what was read is kept in {partial}; run the same command to continue")
            raise
    if packed.corrections is not None:
        report_corrections(console, packed.corrections)
    for failure in packed.skipped:
        console.failed(failure, "skipped")
    for sentence in _summary(packed, output):
        console.say(sentence)
    if format_name == "json":
        print_json({"output": output, **packed.to_dict()})
    return 0


def _summary(packed: Packed, output: str) -> Iterator[str]:
    from catclf.cli.live import counted

    yield counted(packed.counts, len(packed.skipped), packed.ignored)
    if packed.resumed:
        yield f"continued after the {number_of(packed.resumed, 'picture')} of an interrupted run"
    if packed.reused:
        new = packed.m - packed.reused
        yield f"{number_of(packed.reused, 'picture')} unchanged, {number_of(new, 'row')} computed"
    what, features = f"{number_of(packed.m, 'picture')} of {packed.size}×{packed.size}", ""
    if packed.n_x is not None:
        what = f"{number_of(packed.m, 'row')} of {packed.n_x} features ({packed.features})"
        features = f" --features {packed.features}"
    yield f"saved {output}: {what}, {packed.file_size / 1e6:.1f} MB"
    if len(packed.counts) == 1:
        yield f"next: catclf next -n 10 {shlex.quote(output)} --labels labels.csv -F csv >> labels.csv"
    else:
        yield f"next: catclf train {shlex.quote(output)} -o MODEL.npz{features}"
