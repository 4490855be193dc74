"""`catclf export`: a model as an ONNX file."""

from __future__ import annotations

import click

from catclf.cli.console import Console
from catclf.cli.group import ExampleFirst
from catclf.cli.options import (
    check_file,
    console_option,
    read_options,
    refuse_existing,
    refuse_overwriting,
    with_encoder_of,
)
from catclf.cli.parameters import PathName, option
from catclf.config import ReadOptions

_EPILOG = """\b
Example:
  catclf export cat.npz cat.onnx"""


@click.command("export", cls=ExampleFirst, epilog=_EPILOG)
@click.argument("model", type=PathName())
@click.argument("output", type=PathName(), metavar="OUT.onnx")
@option("-f", "--force", is_flag=True, help="Replace OUT.onnx if it exists.")
@read_options("encoder", "encoder_output")
@console_option
def command(model: str, output: str, force: bool, read: ReadOptions, console: Console) -> int:
    """Write MODEL as an ONNX file, to be used without catclf.

    It takes a picture of any size, (height, width, 3) uint8, and gives the probability of the positive
    class. Models of pixels and of network features can be exported.
    """
    refuse_overwriting((output,), (model, None if read.encoder is None else str(read.encoder)))
    check_file(output, "OUT.onnx", (".onnx",))
    refuse_existing(output, force)

    from catclf.cli.live import LiveProgress
    from catclf.model import load
    from catclf.pipeline.exporting import export

    found = load(model)
    with LiveProgress(console) as progress:
        progress.began(f"exporting {found.features.kind.name}")
        written = export(found, output, read=with_encoder_of(read, [found]))
    what = f"{written.features} of {written.size}×{written.size}, {written.file_size / 1e6:.1f} MB"
    console.say(f"saved {output}: {what}")
    return 0
