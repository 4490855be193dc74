"""DATA of the command line → all pictures with their labels: class folders, HDF5, or labels.csv."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.config import MAX_PIXELS
from catclf.errors import DataError, system_reason
from catclf.images.folder import class_folders, walk
from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.picture import Picture, Pixels
from catclf.images.urls import NEEDS_SCHEDULER, class_files, is_url, read
from catclf.parallel import ordered_map
from catclf.printable import number_of

if TYPE_CHECKING:
    from catclf.images.hdf5 import Hdf5Pictures

DEFAULT_SIZE = 64

_MUCH = 16_000_000  # bytes

OnRead = Callable[[int, int], None]
Held = TypeVar("Held")
Other = TypeVar("Other")
Check = Callable[["LabelledPictures[int]"], object]


@dataclass(frozen=True)
class LabelledPictures(Generic[Held]):
    """Pictures with their classes.

    Attributes
    ----------
    pixels : (m, size, size, 3) uint8
        `Pixels` in memory, or what stands for them.
    labels : (m,) intp
        Index into `classes`.
    classes : tuple of str
    paths : tuple of str, m of them
    skipped : tuple of DataError
        The pictures that could not be read.
    passed_over : tuple of str
        The files that were not tried because of their names.
    usual_positive : str or None
        The class that is positive if nobody says otherwise.
    """

    pixels: Held
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    skipped: tuple[DataError, ...]
    passed_over: tuple[str, ...]
    usual_positive: str | None

    @property
    def m(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def holding(self, pixels: Other) -> LabelledPictures[Other]:
        """Return the same with `pixels`."""
        return LabelledPictures(
            pixels=pixels,
            labels=self.labels,
            classes=self.classes,
            paths=self.paths,
            skipped=self.skipped,
            passed_over=self.passed_over,
            usual_positive=self.usual_positive,
        )

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
    check: Check = lambda listed: None,
) -> LabelledPictures[Pixels]:
    """Read every picture of `source` with its label into memory.

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
    check : (LabelledPictures) -> object
        Called before anything is decoded, with classes, labels and paths, and the side instead of the
        pixels. What it returns is ignored; what it raises comes before the work.

    Raises
    ------
    DataError
        If the source is none of the three, is malformed, or holds no picture.
    """
    return read_within(None, source, size, on_error, jobs, x_key, y_key, max_pixels, on_read, check)


def read_within(
    memory: int | None,
    source: str,
    size: int | None = None,
    on_error: str = "skip",
    jobs: int = 1,
    x_key: str | None = None,
    y_key: str | None = None,
    max_pixels: int = MAX_PIXELS,
    on_read: OnRead = lambda done, total: None,
    check: Check = lambda listed: None,
) -> LabelledPictures[Any]:
    """Read as `read_labelled` does, but no more pixels than fit.

    Parameters
    ----------
    memory : int or None
        Largest number of bytes that the pixels may take. More than that stay in their file, as
        `StoredPixels`, if it is an HDF5 file that is not compressed; in others they are an error.
    """
    if is_hdf5_name(source) and not os.path.isdir(source):
        return _read_hdf5(source, size, x_key, y_key, max_pixels, memory, check)
    side = size or DEFAULT_SIZE
    listing = list_local(source)
    check(described_files(source, listing, side))
    if _exceeds(memory, len(listing.pictures), side):
        raise _too_many(source, len(listing.pictures), side)
    from catclf.images.decode import decode  # only where it is needed: it takes time to import

    pictures = ordered_map(lambda picture: decode(picture, side, max_pixels), listing.pictures, jobs)
    with contextlib.closing(pictures):
        return _collect(source, listing, side, pictures, on_error, on_read)


class Listing(NamedTuple):
    """Pictures with their labels, not yet decoded.

    Attributes
    ----------
    pictures : list of Picture
    class_names : list of str
        Of each picture.
    classes : tuple of str
    passed_over : tuple of str
    """

    pictures: list[Picture]
    class_names: list[str]
    classes: tuple[str, ...]
    passed_over: tuple[str, ...]


def list_labelled(source: str) -> Listing:
    """List the pictures of a folder or a CSV file; opens none of them. Raises as `read_labelled`.

    Either may be a URL for fsspec, and so may the paths of a CSV file.
    """
    if os.path.isdir(source):
        return _list_folders(source)
    if source.lower().endswith(".csv"):
        return _list_csv(source)
    if is_url(source):
        return _list_store(source)
    if os.path.exists(source):
        raise DataError(source, "is neither a folder, nor an .h5 file, nor a .csv of paths and labels")
    raise DataError(source, "no such file or directory")


def list_local(source: str) -> Listing:
    """List as `list_labelled` does, but nothing at a URL: no workers will read that."""
    if is_url(source) and not os.path.exists(source):
        raise DataError(source, NEEDS_SCHEDULER)
    return list_labelled(source)


def usual_positive(classes: tuple[str, ...]) -> str | None:
    """Find the class that is positive if nobody says otherwise: cat or cats, in any case."""
    exact = [name for name in ("cat", "cats") if name in classes]
    alike = [name for name in classes if name.casefold() in ("cat", "cats")]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None


def folders_with(source: str, fits: Callable[[tuple[str, ...]], bool]) -> list[str]:
    """Find the sub-folders of the folder `source` that are data themselves, of classes that fit.

    For those who named the folder above the one that they meant. Reads no pictures, and nothing at all
    if `source` is not a folder.
    """
    found = []
    with contextlib.suppress(DataError):  # such as no sub-folders
        for name in class_folders(source, lambda path: None) if os.path.isdir(source) else ():
            below = os.path.join(source, name)
            with contextlib.suppress(DataError):
                if fits(tuple(class_folders(below, lambda path: None))):
                    found.append(below)
    return found


def _list_folders(folder: str) -> Listing:
    passed_over: list[str] = []
    classes = class_folders(folder, passed_over.append)
    pictures: list[Picture] = []
    names: list[str] = []
    for name in classes:
        found = list(walk(os.path.join(folder, name), passed_over.append))
        pictures += found
        names += [name] * len(found)
    return Listing(pictures, names, tuple(classes), tuple(passed_over))


def _list_store(url: str) -> Listing:
    found, passed_over = class_files(url)
    pictures = [Picture(file) for files in found.values() for file in files]
    names = [name for name, files in found.items() for _ in files]
    return Listing(pictures, names, tuple(found), tuple(passed_over))


def _list_csv(path: str) -> Listing:
    pictures: list[Picture] = []
    names: list[str] = []
    folder = os.path.dirname(path)
    for line, row in _csv_rows(path):
        if None in row:
            raise DataError(path, f"line {line}: more fields than columns; quote a path with commas")
        if not row["path"] or not row["label"]:
            raise DataError(path, f"line {line}: expected a path and a label")
        beside = not is_url(row["path"])
        pictures.append(Picture(os.path.join(folder, row["path"]) if beside else row["path"]))
        names.append(row["label"])
    return Listing(pictures, names, tuple(sorted(set(names))), ())


def _csv_rows(path: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    try:
        with _opened_text(path) as file:
            reader = csv.DictReader(file, strict=True)
            if not {"path", "label"} <= set(reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise DataError(path, f"has the columns {found}; expected path,label")
            for row in reader:
                yield reader.line_num, row
    except OSError as exc:
        raise DataError(path, system_reason(exc)) from exc
    except csv.Error as exc:
        raise DataError(path, f"is not a CSV file ({exc})") from exc


def _opened_text(path: str) -> io.TextIOWrapper:
    raw = io.BytesIO(read(path)) if is_url(path) else open(path, "rb")  # noqa: SIM115 - the caller's
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _collect(
    source: str,
    listing: Listing,
    size: int,
    decoded: Iterator[Picture],
    on_error: str,
    on_read: OnRead,
) -> LabelledPictures[Pixels]:
    pixels = np.empty((len(listing.pictures), size, size, 3), dtype=np.uint8)
    read: list[int] = []
    skipped: list[DataError] = []
    for number, picture in enumerate(decoded):
        on_read(number + 1, len(listing.pictures))
        if picture.pixels is not None:
            pixels[len(read)] = picture.pixels
            read.append(number)
        elif picture.error is not None:
            if on_error == "fail":
                raise picture.error
            skipped.append(picture.error)
    return labelled(source, listing, pixels[: len(read)], read, skipped)


def _no_pictures(source: str, listing: Listing) -> DataError:
    """Make the error of a source without pictures, with a file that is not taken for one."""
    others = listing.passed_over
    seen = f", but {number_of(len(others), 'other file')}, such as {others[-1]}" if others else ""
    return DataError(source, f"has no pictures{seen}")


def labelled(
    source: str, listing: Listing, pixels: Held, read: Sequence[int], skipped: Sequence[DataError]
) -> LabelledPictures[Held]:
    """Put together `pixels`, which hold the pictures of `listing` that could be read, and labels.

    Raises
    ------
    DataError
        If there are none.
    """
    if not listing.pictures:
        raise _no_pictures(source, listing)
    if not len(read):
        raise DataError(source, f"has no picture that can be read ({len(skipped)} tried)")
    number = {name: k for k, name in enumerate(listing.classes)}
    return LabelledPictures(
        pixels=pixels,
        labels=np.array([number[listing.class_names[k]] for k in read], dtype=np.intp),
        classes=listing.classes,
        paths=tuple(listing.pictures[k].path for k in read),
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
    check: Check,
) -> LabelledPictures[Any]:
    from catclf.images.hdf5 import Hdf5Pictures  # only where it is needed: it takes time to import

    with Hdf5Pictures(path, x_key, y_key, max_pixels) as file:
        described = described_hdf5(file, size)
        check(described)
        m, side = described.m, described.pixels
        as_they_are = file.shape[1:3] == (side, side)
        if _exceeds(memory, m, side):
            stored = file.stored() if as_they_are else None
            if stored is None:
                raise _too_many(path, m, side)
            return described.holding(stored)
        # Much of it is read faster than it can come through the other process.
        stored = file.stored() if as_they_are and _exceeds(_MUCH, m, side) else None
        pixels = hdf5_pixels(file, side, slice(0, m)) if stored is None else stored[:]
    return described.holding(pixels)


def _exceeds(memory: int | None, m: int, side: int) -> bool:
    return memory is not None and 3 * m * side * side > memory


def _too_many(source: str, m: int, side: int) -> DataError:
    size = f"{3 * m * side * side / 1e6:.1f} MB"
    advice = "allow more with --memory, or train from what `catclf pack` makes of them"
    return DataError(source, f"has {m} pictures, which take {size} at {side}×{side}; {advice}")


def described_files(source: str, listing: Listing, side: int) -> LabelledPictures[int]:
    """What is known of a listing before a picture is read; the side wanted stands for the pixels.

    Raises
    ------
    DataError
        If it has no pictures.
    """
    return labelled(source, listing, side, range(len(listing.pictures)), ())


def described_hdf5(file: Hdf5Pictures, size: int | None) -> LabelledPictures[int]:
    """What is known of an open HDF5 file before a picture is read, as `described_files` gives it.

    Raises
    ------
    DataError
        If there is no side, or a label without a class.
    """
    path, (m, height, width, _) = file.path, file.shape
    if size is None and height != width:
        raise DataError(path, f"has pictures of {height}×{width}; give a side with --size")
    labels, classes = file.labels(), file.classes()
    if labels.min() < 0 or labels.max() >= len(classes):
        found = f"labels from {labels.min()} to {labels.max()}"
        raise DataError(path, f"has {found} and {len(classes)} class names")
    return LabelledPictures(
        pixels=size or height,
        labels=labels,
        classes=classes,
        paths=tuple(f"{path}[{k}]" for k in range(m)),
        skipped=(),
        passed_over=(),
        usual_positive=classes[1] if len(classes) == 2 else usual_positive(classes),
    )


def hdf5_pixels(file: Hdf5Pictures, side: int, rows: slice) -> Pixels:
    """Read some pictures of an open HDF5 file (k, side, side, 3)."""
    pixels = np.empty((rows.stop - rows.start, side, side, 3), dtype=np.uint8)
    done = 0
    for block in file.blocks(rows):
        stop = done + len(block)
        pixels[done:stop] = block if block.shape[1:3] == (side, side) else _resized(block, side)
        done = stop
    return pixels


def _resized(block: Pixels, side: int) -> Pixels:
    from catclf.images.decode import resize  # as above

    return np.stack([resize(picture, side) for picture in block])
