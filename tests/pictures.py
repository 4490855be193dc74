"""Makers of small pictures and data sets for the tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from catclf.config import ReadOptions
from catclf.images.dataset import opened
from catclf.images.local import Loaded
from catclf.progress import Advanced
from catclf.view import View

Pixels = NDArray[np.uint8]

_STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def noise(*shape: int, seed: int = 0) -> Pixels:
    """Independent random pixels of any shape."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ramps(height: int, width: int) -> Pixels:
    """A smooth picture (height, width, 3) in which no two corners are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = 255 * rows / max(1, height - 1), 255 * columns / max(1, width - 1)
    return np.stack([red, green, (red + green) / 4], axis=-1).astype(np.uint8)


def save_picture(path: Path, pixels: Pixels) -> Path:
    """Write pixels to a file of the format that its suffix names, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_turned(path: Path, pixels: Pixels, orientation: int) -> Path:
    """Write pixels in one of the eight EXIF orientations, so that a viewer sees them upright."""
    image, turn = Image.fromarray(pixels), _STORED_AS[orientation]
    if turn is not None:
        image = image.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if path.suffix == ".webp":
        image.save(path, exif=exif, lossless=True)
    else:
        image.save(path, exif=exif)
    return path


def cats_and_dogs(m: int, size: int = 8, seed: int = 0) -> tuple[Pixels, NDArray[np.int64]]:
    """Pictures (m, size, size, 3) and labels (m,): cats (1) are bright at the top, dogs (0) below."""
    y = np.arange(m) % 2
    pixels = noise(m, size, size, 3, seed=seed) // 4
    half = size // 2
    pixels[y == 1, :half] += 150
    pixels[y == 0, half:] += 150
    return pixels, y


def class_folder(folder: Path, m: int = 12, size: int = 8, seed: int = 0) -> Path:
    """Write `cats_and_dogs` as PNG files in cat/ and dog/."""
    pixels, y = cats_and_dogs(m, size, seed)
    for k in range(m):
        save_picture(folder / ("dog", "cat")[y[k]] / f"{k:02}.png", pixels[k])
    return folder


def save_h5(path: Path, **datasets: ArrayLike | None) -> Path:
    """Write each data set that is not None under its name."""
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            if values is not None:
                file[name] = values
    return path


def course_h5(path: Path, m: int = 12, size: int = 8, seed: int = 0) -> Path:
    """Write `cats_and_dogs` in the layout of the course's files."""
    pixels, y = cats_and_dogs(m, size, seed)
    classes = np.array([b"non-cat", b"cat"])
    return save_h5(path, train_set_x=pixels, train_set_y=y, list_classes=classes)


def load_labelled(
    source: str | os.PathLike[str],
    size: int | None = None,
    advanced: Advanced = lambda what, done, total: None,
    **options: Any,
) -> Loaded:
    """Decode every picture of a folder, an HDF5 file or a CSV file, read with these options."""
    read = ReadOptions(size=size, **options)
    with opened(os.fspath(source), read, View(64)) as data:
        return data.load(advanced)


def open_files() -> int:
    """Number of files that this process has open."""
    return len(os.listdir("/dev/fd"))
