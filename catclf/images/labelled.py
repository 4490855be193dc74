"""DATA of the command line → all pictures with their labels: class folders, HDF5, or labels.csv."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import MAX_PIXELS
from catclf.errors import DataError
from catclf.images.folder import class_folders, walk
from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.picture import Picture, Pixels
from catclf.images.stored import StoredPixels
from catclf.parallel import ordered_map

if TYPE_CHECKING:
    from catclf.images.hdf5 import Hdf5Pictures

DEFAULT_SIZE = 64

OnRead = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with their classes.

    Attributes
    ----------
    pixels : (m, size, size, 3) uint8
        In memory, or in their file if that was allowed and they are too many.
    labels : (m,) intp
        Index into `classes`.
    classes : tuple of str
    paths : tuple of str, m of them
    skipped : tuple of DataError
        The pictures that could not be read.
    passed_over : int
        Number of files that were not tried because of their names.
    usual_positive : str or None
        The class that is positive if nobody says otherwise.
    """

    pixels: Pixels | StoredPixels
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    skipped: tuple[DataError, ...]
    passed_over: int
    usual_positive: str | None

    @property
    def m(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def counts(self) -> dict[str, int]:
        """Number of pictures of each class."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, numbers.tolist(), strict=True))


def read_labelled(
    source: str,
    size: int | None = None,
    on_error: str = "skip",
    jobs: int = 1,
    x_key: str | None = None,
    y_key: str | None = None,
    max_pixels: int = MAX_PIXELS,
    on_read: OnRead = lambda done, total: None,
    memory: int | None = None,
) -> LabelledPictures:
    """Read every picture of `source` with its label.

    Parameters
    ----------
    source : str
        ``DIR`` with one sub-folder a class, ``FILE.h5``, or a CSV file with columns path and label.
    size : int or None
        Side in pixels; None is 64, or an HDF5 file's own.
    on_error : {"skip", "fail"}
        Whether a picture that cannot be read is collected in `skipped` or raised.
    jobs : int
        Decoding threads.
    x_key, y_key : str or None
        Names of the data sets in an HDF5 file.
    max_pixels : int
        Largest width × height of a picture that is decoded.
    on_read : (done, total) -> None
        Called after each file.
    memory : int or None
        Largest number of bytes that the pixels may take; None reads them whatever their number. More
        than that stay in their file, if it is an HDF5 file that is not compressed.

    Raises
    ------
    DataError
        If the source is none of the three, is malformed, holds no picture, or needs more memory.
    """
    if is_hdf5_name(source) and not os.path.isdir(source):
        return _read_hdf5(source, size, x_key, y_key, max_pixels, memory)
    listing = list_files(source)
    if _exceeds(memory, len(listing.pictures), size or DEFAULT_SIZE):
        raise _too_many(source, len(listing.pictures), size or DEFAULT_SIZE)
    from catclf.images.decode import decode  # only where it is needed: it takes time to import

    pictures = ordered_map(
        lambda picture: decode(picture, size or DEFAULT_SIZE, max_pixels), listing.pictures, jobs
    )
    with contextlib.closing(pictures):
        return _collect(source, listing, size or DEFAULT_SIZE, pictures, on_error, on_read)


class Listing(NamedTuple):
    """Files of pictures with their classes, none of them opened yet."""

    pictures: list[Picture]
    class_names: list[str]  # of each picture
    classes: tuple[str, ...]
    passed_over: int


def list_files(source: str) -> Listing:
    """Find the pictures of a folder or a CSV file; raises as `read_labelled` does."""
    if os.path.isdir(source):
        return _list_folders(source)
    if source.lower().endswith(".csv"):
        return _list_csv(source)
    if os.path.exists(source):
        raise DataError(source, "is neither a folder, nor an .h5 file, nor a .csv of paths and labels")
    raise DataError(source, "no such file or directory")


def usual_positive(classes: tuple[str, ...]) -> str | None:
    """Find the class that is positive if nobody says otherwise."""
    return next((name for name in ("cat", "cats") if name in classes), None)


def _list_folders(folder: str) -> Listing:
    passed_over: list[str] = []
    classes = class_folders(folder, passed_over.append)
    pictures: list[Picture] = []
    names: list[str] = []
    for name in classes:
        found = list(walk(os.path.join(folder, name), passed_over.append))
        pictures += found
        names += [name] * len(found)
    return Listing(pictures, names, tuple(classes), len(passed_over))


def _list_csv(path: str) -> Listing:
    pictures: list[Picture] = []
    names: list[str] = []
    folder = os.path.dirname(path)
    for line, row in _csv_rows(path):
        if None in row:
            raise DataError(path, f"line {line}: more fields than columns; quote a path with commas")
        if not row["path"] or not row["label"]:
            raise DataError(path, f"line {line}: expected a path and a label")
        pictures.append(Picture(os.path.join(folder, row["path"])))
        names.append(row["label"])
    return Listing(pictures, names, tuple(sorted(set(names))), 0)


def _csv_rows(path: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"path", "label"} <= set(reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise DataError(path, f"has the columns {found}; expected path,label")
            for row in reader:
                yield reader.line_num, row
    except OSError as exc:
        raise DataError(path, (exc.strerror or str(exc)).lower()) from exc
    except csv.Error as exc:
        raise DataError(path, f"is not a CSV file ({exc})") from exc


def _collect(
    source: str,
    listing: Listing,
    size: int,
    decoded: Iterator[Picture],
    on_error: str,
    on_read: OnRead,
) -> LabelledPictures:
    pixels = np.empty((len(listing.pictures), size, size, 3), dtype=np.uint8)
    number = {name: k for k, name in enumerate(listing.classes)}
    labels: list[int] = []
    paths: list[str] = []
    skipped: list[DataError] = []
    for picture, name in zip(decoded, listing.class_names, strict=True):
        on_read(len(labels) + len(skipped) + 1, len(listing.pictures))
        if picture.pixels is not None:
            pixels[len(labels)] = picture.pixels
            labels.append(number[name])
            paths.append(picture.path)
        elif picture.error is not None:
            if on_error == "fail":
                raise picture.error
            skipped.append(picture.error)
    if not labels:
        found = f"none of {len(skipped)} pictures could be read" if skipped else "has no pictures"
        raise DataError(source, found)
    return LabelledPictures(
        pixels=pixels[: len(labels)],
        labels=np.array(labels, dtype=np.intp),
        classes=listing.classes,
        paths=tuple(paths),
        skipped=tuple(skipped),
        passed_over=listing.passed_over,
        usual_positive=usual_positive(listing.classes),
    )


def _read_hdf5(
    path: str,
    size: int | None,
    x_key: str | None,
    y_key: str | None,
    max_pixels: int,
    memory: int | None,
) -> LabelledPictures:
    from catclf.images.hdf5 import Hdf5Pictures  # only where it is needed: it takes time to import

    with Hdf5Pictures(path, x_key, y_key, max_pixels) as file:
        m, height, width, _ = file.shape
        side = side_of_hdf5(file, size)
        labels, classes = labels_of_hdf5(file)
        pixels: Pixels | StoredPixels | None
        if not _exceeds(memory, m, side):
            pixels = _all_pixels(file, side)
        else:
            pixels = file.stored() if (height, width) == (side, side) else None
            if pixels is None:
                raise _too_many(path, m, side)
    return LabelledPictures(
        pixels=pixels,
        labels=labels,
        classes=classes,
        paths=tuple(f"{path}[{k}]" for k in range(m)),
        skipped=(),
        passed_over=0,
        usual_positive=classes[1] if len(classes) == 2 else usual_positive(classes),
    )


def _exceeds(memory: int | None, m: int, side: int) -> bool:
    return memory is not None and 3 * m * side * side > memory


def _too_many(source: str, m: int, side: int) -> DataError:
    size = f"{3 * m * side * side / 1e6:.1f} MB"
    advice = "allow more with --memory, or train from what `catclf pack` makes of them"
    return DataError(source, f"has {m} pictures, which take {size} at {side}×{side}; {advice}")


def _all_pixels(file: Hdf5Pictures, side: int) -> Pixels:
    m, height, width, _ = file.shape
    pixels = np.empty((m, side, side, 3), dtype=np.uint8)
    done = 0
    for block in file.blocks():
        stop = done + len(block)
        pixels[done:stop] = block if (height, width) == (side, side) else _resized(block, side)
        done = stop
    return pixels


def side_of_hdf5(file: Hdf5Pictures, size: int | None) -> int:
    """Side of the pictures in pixels: the one wanted, or their own if they are square."""
    _, height, width, _ = file.shape
    if size is None and height != width:
        raise DataError(file.path, f"has pictures of {height}×{width}; give a side with --size")
    return size or height


def labels_of_hdf5(file: Hdf5Pictures) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Labels (m,), and the classes that they are numbers of."""
    labels, classes = file.labels(), file.classes()
    if labels.min() < 0 or labels.max() >= len(classes):
        found = f"labels from {labels.min()} to {labels.max()}"
        raise DataError(file.path, f"has {found} and {len(classes)} class names")
    return labels, classes


def _resized(block: Pixels, side: int) -> Pixels:
    from catclf.images.decode import resize  # as above

    return np.stack([resize(picture, side) for picture in block])
