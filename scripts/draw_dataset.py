"""Writes sets of drawn pictures, of cats and of other things, to HDF5 files and class folders.

The pictures themselves come from the package ``drawing`` next to this file. Picture ``k`` of a
seed is the same however many pictures are drawn and however many processes draw them.

    python scripts/draw_dataset.py cats.h5 --count 20000        course layout, 64 x 64
    python scripts/draw_dataset.py cats/ --count 50000          cats/cat/*.jpg, cats/non-cat/*.jpg
    python scripts/draw_dataset.py data --shipped               exactly what lies in data/
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

import click
import h5py
import numpy as np
from drawing.picture import CLASSES, Picture, draw
from numpy.typing import NDArray
from PIL import Image, ImageDraw

BLOCK_BYTES = 32 * 2**20  # pixels held in memory while an HDF5 file is written
CHUNK_BYTES = 2**18  # pixels compressed together
LARGEST = 4096  # side in pixels


@dataclass(frozen=True)
class Series:
    """The first `count` pictures of one seed."""

    seed: int
    count: int
    size: int = 64

    def draw(self, k: int) -> Picture:
        """Picture `k`, square."""
        return draw(self.seed, k, self.size, self.size)


Mapper = Callable[..., Iterator[object]]


@contextmanager
def workers(jobs: int) -> Iterator[Mapper]:
    """A ``map`` that keeps the order and spreads its calls over `jobs` processes."""
    if jobs == 1:
        yield map
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield partial(pool.imap, chunksize=16)


# ---------------------------------------------------------------- HDF5


def _labelled_pixels(series: Series, k: int) -> tuple[NDArray[np.uint8], int]:
    picture = series.draw(k)
    return np.asarray(picture.image), picture.label


def write_h5(path: Path, series: Series, split: str = "train", jobs: int = 1) -> None:
    """Write `series` in the layout of the course's files, block by block.

    The file gets ``{split}_set_x`` uint8 (m, s, s, 3), ``{split}_set_y`` int64 (m,) and
    ``list_classes``; it has no time stamps, so the same series gives the same bytes.
    """
    shape = (series.size, series.size, 3)
    step, chunk = (
        min(series.count, max(1, space // (3 * series.size**2))) for space in (BLOCK_BYTES, CHUNK_BYTES)
    )
    with h5py.File(path, "w") as file, workers(jobs) as mapped:
        create = partial(file.create_dataset, track_times=False)
        x = create(
            f"{split}_set_x", (series.count, *shape), np.uint8,
            chunks=(chunk, *shape), compression="gzip", compression_opts=9,
        )  # fmt: skip
        y = create(f"{split}_set_y", (series.count,), np.int64)
        create("list_classes", data=np.array([name.encode() for name in CLASSES]))
        for start in range(0, series.count, step):
            ks = range(start, min(start + step, series.count))
            pixels, labels = zip(*mapped(partial(_labelled_pixels, series), ks), strict=True)
            x[ks.start : ks.stop] = np.stack(pixels)
            y[ks.start : ks.stop] = labels


# ---------------------------------------------------------------- folders


def _jpeg(image: Image.Image, stem: Path) -> Path:
    path = stem.with_suffix(".jpg")
    image.save(path, quality=88)
    return path


def _png(image: Image.Image, stem: Path) -> Path:
    path = stem.with_suffix(".png")
    image.save(path, optimize=True)
    return path


def _grey(image: Image.Image, stem: Path) -> Path:
    return _jpeg(image.convert("L"), stem)


def _palette(image: Image.Image, stem: Path) -> Path:
    return _png(image.quantize(64, dither=Image.Dither.NONE), stem)


def _transparent(image: Image.Image, stem: Path) -> Path:
    """An RGBA picture whose corners are cut off by the alpha channel."""
    alpha = Image.new("L", image.size)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, *image.size), min(image.size) // 6, fill=255)
    cut = image.convert("RGBA")
    cut.putalpha(alpha)
    return _png(cut, stem)


def _on_its_side(image: Image.Image, stem: Path) -> Path:
    """A JPEG stored as the camera was held, with the EXIF orientation that puts it upright."""
    path = stem.with_suffix(".jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    image.transpose(Image.Transpose.ROTATE_90).save(path, quality=88, exif=exif)
    return path


FORMS: dict[str, Callable[[Image.Image, Path], Path]] = {
    "jpeg": _jpeg, "png": _png, "grey": _grey, "palette": _palette,
    "transparent": _transparent, "on its side": _on_its_side,
}  # fmt: skip


def make_class_folders(folder: Path) -> None:
    """One sub-folder a class in `folder`."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)


def _write_file(folder: Path, series: Series, k: int) -> Path:
    picture = series.draw(k)
    return _jpeg(picture.image, folder / CLASSES[picture.label] / f"{k:06d}")


def write_folder(folder: Path, series: Series, jobs: int = 1) -> None:
    """Write `series` as JPEG files ``folder/<class>/<k>.jpg``."""
    make_class_folders(folder)
    with workers(jobs) as mapped:
        for _ in mapped(partial(_write_file, folder, series), range(series.count)):
            pass


# ---------------------------------------------------------------- what lies in data/

SHIPPED_H5 = {"train": Series(seed=1, count=600), "test": Series(seed=2, count=200)}
SHIPPED_FOLDER_SEED = 3
SHIPPED_FORMS = {"jpeg": 24, "png": 3, "grey": 3, "palette": 3, "transparent": 2, "on its side": 1}


def shipped_file(k: int, form: str, folder: Path) -> Path:
    """Write file `k` of the shipped folder, of a size of its own, and return its path."""
    rng = Random(f"size {SHIPPED_FOLDER_SEED} {k}")
    width, height = rng.randint(150, 400), rng.randint(150, 400)
    picture = draw(SHIPPED_FOLDER_SEED, k, width, height)
    return FORMS[form](picture.image, folder / CLASSES[picture.label] / f"drawing{k:02d}")


def write_shipped(folder: Path, jobs: int = 1) -> None:
    """Write the two HDF5 files and the folder of pictures that are part of the repository."""
    make_class_folders(folder / "drawings")
    for split, series in SHIPPED_H5.items():
        write_h5(folder / f"drawings_{split}.h5", series, split, jobs)
    forms = [form for form, count in SHIPPED_FORMS.items() for _ in range(count)]
    for k, form in enumerate(forms):
        shipped_file(k, form, folder / "drawings")


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--size", type=click.IntRange(8, LARGEST), default=64, show_default=True,
              help="Side in pixels.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True,
              help="Which names the arrays of an HDF5 file get.")  # fmt: skip
@click.option("--format", "layout", type=click.Choice(["h5", "folder"]),
              help="Default: h5 if OUT ends in .h5, else folder.")  # fmt: skip
@click.option("-j", "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1,
              help="Processes; the pictures do not depend on it.  [default: all cores]")  # fmt: skip
@click.option("--shipped", is_flag=True, help="Write into OUT exactly what lies in data/.")
def main(
    out: Path, count: int, size: int, seed: int, split: str, layout: str | None, jobs: int, shipped: bool
) -> None:
    """Draw pictures of cats and of other things into OUT, an .h5 file or a folder."""
    series = Series(seed, count, size)
    if shipped:
        write_shipped(out, jobs)
    elif (layout or ("h5" if out.suffix == ".h5" else "folder")) == "h5":
        out.parent.mkdir(parents=True, exist_ok=True)
        write_h5(out, series, split, jobs)
    else:
        write_folder(out, series, jobs)


if __name__ == "__main__":
    main()
