"""Paths given for prediction → a stream of pictures, still to be decoded, in order. Keeps no list."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.decoding import Decoding
from catclf.errors import DataError
from catclf.features import Features
from catclf.images.folder import OnIgnored, walk
from catclf.images.paths import kind_of
from catclf.images.picture import Picture
from catclf.images.taken import Taken
from catclf.images.urls import files_below
from catclf.work.spread import Waiting

if TYPE_CHECKING:
    from catclf.images.hdf5_channel import Hdf5Channel


class Taker(Protocol):
    """A model, as far as packed files must fit it."""

    @property
    def features(self) -> Features: ...
    @property
    def decoding(self) -> Decoding: ...


Input = str | os.PathLike[str] | BinaryIO | NDArray[Any] | Picture | Waiting
Inputs = str | os.PathLike[str] | Iterable[Input]


def pictures_of(
    inputs: Inputs,
    options: ReadOptions,
    on_ignored: OnIgnored = lambda path: None,
    takers: Collection[Taker] = (),
    whole: bool = False,
    named: bool = False,
) -> Iterator[Picture | Waiting]:
    """Yield every picture that `inputs` stand for, lazily and in order.

    Parameters
    ----------
    inputs : path, or iterable of paths, binary files and arrays
        A folder stands for the pictures below it, sorted; an HDF5 file for its rows, named
        ``FILE.h5[k]``; a binary file for one encoded picture, named ``-``; an array (h, w, 3) uint8 for
        the picture itself, named ``inputs[k]``; any other path for itself. So an array (m, h, w, 3)
        is m pictures. With a scheduler a path may be a URL for fsspec; if it ends with a slash it
        stands for the pictures below it. A `Picture` stands for itself, as of a path that is none,
        and a `Waiting` for there being no more right now.
    options : ReadOptions
    on_ignored : (path) -> None
        Called for each file in a folder that is not tried.
    takers : collection of Taker
        The models that a packed file must fit.
    whole : bool
        Whether the pictures themselves are needed, and not only their rows.
    named : bool
        Whether packed rows go by the paths of their pictures.

    Yields
    ------
    Picture
        What cannot be opened comes as a picture with an error.
    """
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    for number, item in enumerate(inputs):
        if isinstance(item, Picture | Waiting):
            yield item
        elif isinstance(item, np.ndarray):
            yield _array(f"inputs[{number}]", item)
        elif isinstance(item, str | os.PathLike):
            yield from _at(os.fspath(item), options, on_ignored, takers, whole, named)
        else:
            yield Picture("-", stream=item)


def number_in(inputs: Iterable[Input], options: ReadOptions) -> int:
    """Count the pictures that paths stand for and open nothing; 0 if that cannot be known so."""
    taken, total = Taken(options.exclude, options.follow), 0
    for item in inputs:
        path = os.fspath(item) if isinstance(item, str | os.PathLike) else None
        kind = None if path is None else kind_of(path)
        if path is None or kind not in ("folder", "file"):
            return 0
        pictures = walk(path, lambda ignored: None, taken) if kind == "folder" else (path,)
        total += sum(1 for _ in pictures)
    return total


def _at(
    path: str,
    options: ReadOptions,
    on_ignored: OnIgnored,
    takers: Collection[Taker],
    whole: bool,
    named: bool,
) -> Iterator[Picture]:
    kind = kind_of(path)
    if kind == "hdf5":
        yield from _rows_of_hdf5(path, options, takers, whole, named)
    elif kind == "folder":
        yield from walk(path, on_ignored, Taken(options.exclude, options.follow))
    elif kind == "url" and path.endswith("/") and options.scheduler is not None:
        yield from _below(path, Taken(options.exclude), on_ignored)
    else:
        yield Picture(path)


def _array(name: str, array: NDArray[Any]) -> Picture:
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.size:
        return Picture(name, pixels=array)
    found = f"is an array {array.shape} {array.dtype}"
    return Picture(name, error=DataError(name, f"{found}; expected (h, w, 3) uint8"))


def _rows_of_hdf5(
    path: str, options: ReadOptions, takers: Collection[Taker], whole: bool, named: bool
) -> Iterator[Picture]:
    from catclf.images.hdf5_channel import Hdf5Channel  # only where it is needed

    try:
        with Hdf5Channel(path, options) as channel:
            channel.check_decoded(taker.decoding for taker in takers)
            if channel.holds_rows:
                yield from _rows_of_features(channel, takers, whole, named)
                return
            from catclf.images.hdf5 import Hdf5Pictures

            yield from Hdf5Pictures(path, options, channel).pictures()
    except DataError as exc:
        yield Picture(path, error=exc)


def _rows_of_features(
    channel: Hdf5Channel, takers: Collection[Taker], whole: bool, named: bool
) -> Iterator[Picture]:
    from catclf.images.hdf5_rows import Hdf5Rows

    rows = Hdf5Rows(channel)
    if whole:
        reason = f"has rows of {rows.features.kind.name!r} features, and no pictures to be shown"
        raise DataError(channel.path, reason)
    for taker in takers:
        rows.check_features(taker.features)
    yield from rows.pictures(named=named)


def _below(url: str, taken: Taken, on_ignored: OnIgnored) -> Iterator[Picture]:
    try:
        for file in files_below(url):
            if taken.excludes_any(file.removeprefix(url)):
                on_ignored(file)
            else:
                yield Picture(file)
    except DataError as exc:
        yield Picture(url, error=exc)
