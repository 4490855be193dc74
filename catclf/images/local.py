"""Labelled pictures that this process reads: in files of their own, or in an HDF5 file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.decoding import USUAL, Decoding
from catclf.errors import DataError, Setting
from catclf.features import view_of
from catclf.images.labelled import Labelled, classes_of, usual_positive
from catclf.images.listing import Listing
from catclf.images.picture import Picture
from catclf.progress import Advanced
from catclf.stores import Store
from catclf.stores.here import InMemory
from catclf.view import View
from catclf.work.threads import ordered_map

if TYPE_CHECKING:
    from catclf.images.hdf5 import Hdf5Pictures
    from catclf.images.hdf5_rows import Hdf5Rows

_LARGE = 16_000_000  # bytes


class Loaded(NamedTuple):
    """Pictures that could be read.

    Attributes
    ----------
    pictures : Store (m, size, size, 3) of uint8
    labelled : Labelled
        Of the same length.
    """

    pictures: Store
    labelled: Labelled


class FileDataSet:
    """Pictures in files of their own."""

    def __init__(self, listing: Listing, options: ReadOptions, view: View) -> None:
        self.labelled = listing.labelled
        self.options = options
        self.view = view
        self.decoding: Decoding | None = view.decoding
        self.rows: Hdf5Rows | None = None
        self._listed = listing.pictures

    def pictures(self, first: int = 0) -> Iterator[Picture]:
        """See `catclf.images.dataset.DataSet`."""
        return iter(self._listed[first:])

    def identity(self, position: int) -> bytes:
        """See `catclf.images.dataset.DataSet`."""
        return _state(self.labelled.paths[position])

    def load(self, advanced: Advanced) -> Loaded:
        """See `catclf.images.dataset.DataSet`."""
        from catclf.images.decode import Decoder  # only where it is needed: it takes time to import

        m, size = self.labelled.m, self.view.side
        if _needed(m, size) > self.options.memory:
            raise _too_many(self.labelled, size)
        decoder = Decoder((self.view,), self.options.max_pixels)
        pixels = np.empty((m, size, size, 3), dtype=np.uint8)
        read: list[int] = []
        skipped: list[DataError] = []
        endless = 0
        with contextlib.closing(ordered_map(decoder.one, self._listed, self.options.cores)) as decoded:
            for number, found in enumerate(decoded):
                if found.error is None:
                    pixels[len(read)] = found.views[0]
                    read.append(number)
                    endless += found.endless
                elif self.options.on_error == "fail":
                    raise found.error
                else:
                    skipped.append(found.error)
                advanced("pictures read", number + 1, m)
        labelled = replace(self.labelled.only(read, skipped), endless=endless)
        return Loaded(InMemory(pixels[: len(read)]), labelled)


class Hdf5DataSet:
    """Pictures of an open HDF5 file, of their own size where `options` have none.

    Raises
    ------
    DataError
        If there is no side, or a label without a class.
    """

    def __init__(self, file: Hdf5Pictures, options: ReadOptions, view: View) -> None:
        self.options = options
        self.decoding = file.decoding
        self.rows: Hdf5Rows | None = None
        self._file = file
        path, (_, height, width, _) = file.path, file.shape
        if options.size is None and height != width:
            raise DataError(
                path, f"has pictures of {height}×{width}; choose a side with ", Setting("size")
            )
        self.view = view if options.size is not None else view._replace(side=height)
        self.labelled = _labelled(path, file.labels(), file.classes())

    def pictures(self, first: int = 0) -> Iterator[Picture]:
        """See `catclf.images.dataset.DataSet`."""
        return self._file.pictures(slice(first, None))

    def identity(self, position: int) -> bytes:
        """See `catclf.images.dataset.DataSet`."""
        return b"%b %d" % (_state(self._file.path), position)

    def load(self, advanced: Advanced) -> Loaded:
        """See `catclf.images.dataset.DataSet`."""
        m, size = self.labelled.m, self.view.side
        as_they_are = self._file.shape[1:3] == (size, size)
        too_many = _needed(m, size) > self.options.memory
        # Much of it is read faster than it can come through the other process.
        much = too_many or _needed(m, size) > _LARGE
        stored = self._file.stored() if as_they_are and much else None
        if too_many:
            if stored is None:
                raise _too_many(self.labelled, size)
            return Loaded(stored, self.labelled)
        pixels = self._file.resized(self.view, advanced=advanced) if stored is None else stored[:]
        return Loaded(InMemory(pixels), self.labelled)


class RowDataSet:
    """Rows of features of an open HDF5 file, instead of pictures."""

    def __init__(self, rows: Hdf5Rows, options: ReadOptions) -> None:
        self.options = options
        self.rows: Hdf5Rows | None = rows
        self.decoding = rows.decoding
        self.view = view_of(rows.features)._replace(decoding=rows.decoding or USUAL)
        self.labelled = _labelled(rows.path, rows.labels(), rows.classes())

    def pictures(self, first: int = 0) -> Iterator[Picture]:
        """See `catclf.images.dataset.DataSet`; each has its row."""
        assert self.rows is not None
        return self.rows.pictures(first)

    def identity(self, position: int) -> bytes:
        """See `catclf.images.dataset.DataSet`."""
        return b"%b %d" % (_state(self.labelled.source), position)

    def load(self, advanced: Advanced) -> Loaded:
        """Refuse: there are no pictures."""
        del advanced
        assert self.rows is not None
        found = f"has rows of {self.rows.features.kind.name!r} features, and no pictures"
        raise DataError(self.labelled.source, found)


def _labelled(path: str, labels: NDArray[np.intp], classes: tuple[str, ...]) -> Labelled:
    """What an HDF5 file says of its items."""
    if labels.min() < 0 or labels.max() >= len(classes):
        found = f"labels from {labels.min()} to {labels.max()}"
        raise DataError(path, f"has {found} and {len(classes)} class names")
    known = classes_of(path, classes)
    names = known.names
    return Labelled(
        source=path,
        labels=np.array([known.numbers[name] for name in classes], np.intp)[labels],
        classes=names,
        paths=tuple(f"{path}[{k}]" for k in range(len(labels))),
        usual_positive=usual_positive(names) or (names[1] if len(names) == 2 else None),
        warnings=known.warnings,
    )


def _needed(m: int, size: int) -> int:
    return 3 * m * size * size


def _too_many(labelled: Labelled, size: int) -> DataError:
    needed = f"{_needed(labelled.m, size) / 1e6:.1f} MB"
    return DataError(
        labelled.source,
        f"has {labelled.m} pictures, which need {needed} at {size}×{size}; raise ",
        Setting("memory"),
        ", or pack them first with catclf pack",
    )


def _state(path: str) -> bytes:
    """Name, size and time of the last change of a file, be it one of who may read it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # there is nothing that could change; ValueError: a NUL in the path
        return os.fsencode(path)
    return b"%b\0%d %d" % (os.fsencode(path), status.st_size, status.st_ctime_ns)
