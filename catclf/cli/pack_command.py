"""`catclf pack`: options, one call, a summary."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from catclf import config
from catclf.cli.console import Console
from catclf.cli.group import OfOneDataSet
from catclf.cli.options import (
    PathName,
    jobs_option,
    key_options,
    max_pixels_option,
    refuse_overwriting,
    talk_options,
)
from catclf.cli.output import print_json
from catclf.images.hdf5_process import HDF5_SUFFIXES, is_hdf5_name
from catclf.printable import number_of

if TYPE_CHECKING:
    from catclf.pipeline.packing import Packed

_EPILOG = """\b
Example:
  catclf pack photos/ photos.h5            # photos/cat/*.jpg, photos/other/*.jpg
  catclf train photos.h5 -o cat.npz        # the same model as from photos/"""


@click.command("pack", cls=OfOneDataSet, epilog=_EPILOG)
@click.argument("data", type=PathName())
@click.argument("output", type=PathName(), metavar="OUT.h5")
@click.option("-f", "--force", is_flag=True, help="Replace OUT.h5 if it exists.")
@click.option(
    "--size",
    type=click.IntRange(1, config.LARGEST_SIZE),
    metavar="N",
    help="Side in pixels [default: 64; an HDF5 file keeps its own].",
)
@click.option(
    "--positive",
    metavar="NAME",
    help="Of two classes the one that comes second, as y = 1 [default: cat or cats].",
)
@key_options
@click.option(
    "--errors",
    type=click.Choice(config.ON_ERROR),
    default="skip",
    show_default=True,
    help="What to do with a picture that cannot be read.",
)
@max_pixels_option
@jobs_option
@click.option(
    "--json", "as_json", envvar="CATCLF_PACK_JSON", is_flag=True, help="Print the summary as JSON."
)
@talk_options
def command(
    data: str,
    output: str,
    force: bool,
    errors: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **choices: Any,
) -> int:
    """Decode all pictures of DATA into one HDF5 file, from which training starts at once.

    DATA is what train takes. The file is not compressed: data that is larger than memory is trained
    from it block by block. An interrupted run leaves OUT.h5.partial behind, and the next one goes on
    from there; while OUT.h5 is written from it, twice the space is needed.
    """
    if not is_hdf5_name(output):
        raise click.UsageError(
            f"{output} must end in one of {', '.join(HDF5_SUFFIXES)}: train goes by the name"
        )
    refuse_overwriting((output,), (data,))
    if os.path.lexists(output) and not force:
        raise click.UsageError(f"{output} exists; replace it with --force, or name another file")
    console = Console(quiet, verbose)
    settings = config.PackSettings(on_error=errors, **choices)

    from catclf.cli.live import LiveLine
    from catclf.pipeline.packing import PARTIAL_SUFFIX, pack
    from catclf.progress import Progress

    class PackProgress(Progress):
        begun = False

        def reading(self, done: int, total: int) -> None:
            self.begun = True
            line.draw(f"reading {done}/{total} pictures")

        def note(self, message: str) -> None:
            line.erase()
            console.detail(message)

    progress = PackProgress()
    try:
        with LiveLine(console) as line:
            packed = pack(data, output, settings, progress=progress)
    except BaseException:
        if progress.begun and os.path.exists(output + PARTIAL_SUFFIX):  # else it is somebody else's
            console.say(f"what was read is kept in {output + PARTIAL_SUFFIX}; the same command goes on")
        raise
    for failure in packed.skipped:
        console.warn(f"{failure}; skipped")
    for sentence in _summary(packed, output):
        console.say(sentence)
    if as_json:
        print_json({"output": output, **packed.to_dict()})
    return 0


def _summary(packed: Packed, output: str) -> Iterator[str]:
    from catclf.cli.live import counted

    yield counted(packed.counts, len(packed.skipped), packed.passed_over)
    if packed.resumed:
        yield f"went on after the {number_of(packed.resumed, 'picture')} of an interrupted run"
    size = f"{packed.size}×{packed.size}"
    yield f"saved {output}: {number_of(packed.m, 'picture')} of {size}, {packed.file_size / 1e6:.1f} MB"
    yield f"next: catclf train {shlex.quote(output)} -o MODEL.npz"
