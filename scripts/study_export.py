"""How far probabilities of exported models are from those of catclf, on photographs.

    python scripts/study_export.py ../shared/data > docs/export.md

DATA has the folders pets/train and pets/test with a sub-folder for each class.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import onnxruntime
from bench import machine
from numpy.typing import NDArray
from PIL import Image

import catclf
from catclf.features.onnx_session import options
from catclf.images.decode import viewed

HEAD = """\
# Exported models, measured

Written by `python scripts/study_export.py DATA` (`$CATCLF_REAL_DATA`).

Models are trained on the 400 photographs of pets/train, exported, and asked about these and the 200 of
pets/test. *predict* reads a large JPEG at a reduced size, *in full* decodes it as a browser does, *of
the model's size* are the pictures as the model sees them.
"""

Numbers = NDArray[np.float64]


def compared(features: str, data: Path, folder: Path) -> Iterator[str]:
    """Rows of the table for a kind of features."""
    settings = catclf.TrainSettings(features=features)
    model = catclf.train(data / "train", settings).model
    file = folder / f"{features}.onnx"
    size = catclf.export(model, file).file_size
    session = onnxruntime.InferenceSession(str(file), options(), providers=["CPUExecutionProvider"])

    def asked(picture: NDArray[np.uint8]) -> float:
        return float(session.run(None, {"picture": picture})[0][0])

    paths = sorted(str(path) for path in data.glob("t*/*/*.jpg"))
    full = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    own = [viewed(picture, model.view) for picture in full]
    exported = np.array([asked(picture) for picture in full])
    pairs = {
        "predict": (model.predict_proba(paths)[:, 1], exported),
        "in full": (model.predict_proba(full)[:, 1], exported),
        "of the model's size": (model.predict_proba(own)[:, 1], np.array([asked(one) for one in own])),
    }
    for name, (ours, theirs) in pairs.items():
        off = np.abs(ours - theirs)
        same = int(((ours >= model.threshold) == (theirs >= model.threshold)).sum())
        yield (
            f"| {features}, {size / 1e6:.2f} MB | {name} | {off.mean():.1e} | {off.max():.1e} |"
            f" {same} of {len(paths)} |"
        )


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(data: Path) -> None:
    """Print the page."""
    click.echo(HEAD)
    click.echo(f"{machine()}\n")
    click.echo("| model | against | mean difference of p | largest | same label |")
    click.echo("|---|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for features in ("pixels", "network"):
            for row in compared(features, data / "pets", Path(folder)):
                click.echo(row)


if __name__ == "__main__":
    main()
