"""DATA of the command line → its pictures one after the other, with their classes. Keeps no pixels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catclf.config import MAX_PIXELS
from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.labelled import (
    DEFAULT_SIZE,
    described_files,
    described_hdf5,
    list_local,
)
from catclf.images.picture import Picture


@dataclass(frozen=True)
class LabelledSource:
    """Pictures with their classes, of which none has been decoded yet.

    Attributes
    ----------
    size : int
        Side in pixels that they are to get.
    labels : (m,) intp
        Index into `classes`.
    classes : tuple of str
    paths : sequence of str, m of them
    passed_over : tuple of str
        The files that were not tried because of their names.
    usual_positive : str or None
        The class that is positive if nobody says otherwise.
    pictures : (first) -> iterator of Picture
        Those from a position on, in order, to be decoded.
    identity : (position) -> bytes
        What changes when somebody replaces the picture.
    """

    size: int
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    paths: Sequence[str]
    passed_over: tuple[str, ...]
    usual_positive: str | None
    pictures: Callable[[int], Iterator[Picture]]
    identity: Callable[[int], bytes]

    @property
    def m(self) -> int:
        """Number of pictures, readable or not."""
        return len(self.labels)


@contextlib.contextmanager
def labelled_source(
    path: str,
    size: int | None = None,
    x_key: str | None = None,
    y_key: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[LabelledSource]:
    """Open what `catclf.images.labelled.read_labelled` reads; the parameters and errors are the same."""
    if is_hdf5_name(path) and not os.path.isdir(path):
        with _hdf5_source(path, size, x_key, y_key, max_pixels) as source:
            yield source
    else:
        yield _file_source(path, size or DEFAULT_SIZE)


def _file_source(path: str, size: int) -> LabelledSource:
    listing = list_local(path)
    described = described_files(path, listing, size)
    return LabelledSource(
        size=size,
        labels=described.labels,
        classes=described.classes,
        paths=described.paths,
        passed_over=described.passed_over,
        usual_positive=described.usual_positive,
        pictures=lambda first: iter(listing.pictures[first:]),
        identity=lambda k: _state(described.paths[k]),
    )


@contextlib.contextmanager
def _hdf5_source(
    path: str, size: int | None, x_key: str | None, y_key: str | None, max_pixels: int
) -> Iterator[LabelledSource]:
    from catclf.images.hdf5 import Hdf5Pictures  # only where it is needed: it takes time to import

    state = _state(path)
    with Hdf5Pictures(path, x_key, y_key, max_pixels) as file:
        described = described_hdf5(file, size)
        names = described.paths

        def pictures(first: int) -> Iterator[Picture]:
            rows = (row for block in file.blocks(slice(first, None)) for row in block)
            yield from (Picture(names[k], pixels=row) for k, row in enumerate(rows, first))

        yield LabelledSource(
            size=described.pixels,
            labels=described.labels,
            classes=described.classes,
            paths=names,
            passed_over=(),
            usual_positive=described.usual_positive,
            pictures=pictures,
            identity=lambda k: b"%b %d" % (state, k),
        )


def _state(path: str) -> bytes:
    """Name, size and time of the last change of a file, be it one of who may read it."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # there is nothing that could change; ValueError: a NUL in the path
        return os.fsencode(path)
    return b"%b\0%d %d" % (os.fsencode(path), status.st_size, status.st_ctime_ns)
