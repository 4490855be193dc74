"""Writes pictures as an HDF5 file in the layout of the course's files. Reads none."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from catclf.view import RgbArray
from catclf.work.signals import kept_until_asked

CHUNK_BYTES = 1_000_000
"""Pixels that lie together. They are not compressed, so that any of them can be read at once."""

_PATHS_AT_A_TIME = 10_000
_LEARNED = "feature_"  # as those who read it have it


def of_chunk(itemsize: int) -> int:
    """Number of items of so many bytes in a chunk."""
    return max(1, CHUNK_BYTES // itemsize)


def write_hdf5(
    file: BinaryIO,
    size: int,
    blocks: Iterable[RgbArray],
    labels: NDArray[np.intp],
    classes: Sequence[str],
    paths: Iterable[str],
    decoding: str,
) -> None:
    """Write ``train_set_x``, ``train_set_y``, ``list_classes`` and ``paths``; the same each time.

    A signal, such as Ctrl-C, takes effect after the block that is being written.

    Parameters
    ----------
    file : binary file
        Open for writing and reading, and empty.
    size : int
        Side of the pictures in pixels.
    blocks : iterable of (k, size, size, 3) uint8
        m pictures in all.
    labels : (m,) intp
    classes : sequence of str
    paths : iterable of str, m of them
        Bytes that are not UTF-8 stay what they are.
    decoding : str
        What the file says of it, as JSON.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    m, shape = len(labels), (size, size, 3)
    with _written(file) as out:
        create = partial(out.file.create_dataset, track_times=False)
        out.fill({"": create("train_set_x", (m, *shape), np.uint8, chunks=_chunk(m, shape, 1))}, blocks)
        out.file.attrs["decoding"] = decoding
        create("train_set_y", data=labels.astype("<i8"))
        _write_names(create, classes, paths, m)


def write_rows(
    file: BinaryIO,
    item: np.dtype[Any],
    blocks: Iterable[NDArray[Any]],
    labels: NDArray[np.intp],
    classes: Sequence[str],
    paths: Iterable[str],
    attributes: Callable[[], Mapping[str, str]],
    learned: Mapping[str, NDArray[Any]],
) -> None:
    """Write a data set for each field of `item`, ``y``, ``list_classes``, ``paths``, and what made them.

    Parameters
    ----------
    file, labels, classes, paths
        As of `write_hdf5`.
    item : structured numpy.dtype
        Its fields are the data sets: what there is of each picture.
    blocks : iterable of (k,) of that dtype
        m items in all.
    attributes : () -> mapping
        Texts that the file has; asked for after the last item.
    learned : mapping
        Arrays that the features have learned; their names get a prefix.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    m = len(labels)
    with _written(file) as out:
        create = partial(out.file.create_dataset, track_times=False)
        fields = {}
        for name in item.names or ():
            kind, shape = item[name].base, item[name].shape
            fields[name] = create(name, (m, *shape), kind, chunks=_chunk(m, shape, kind.itemsize))
        out.fill(fields, blocks)
        out.file.attrs.update(attributes())
        for name, array in learned.items():
            create(_LEARNED + name, data=array)
        create("y", data=labels.astype("<i8"))
        _write_names(create, classes, paths, m)


def _chunk(m: int, shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return min(m, of_chunk(math.prod(shape) * itemsize)), *shape


def _write_names(
    create: Callable[..., Any], classes: Sequence[str], paths: Iterable[str], m: int
) -> None:
    create("list_classes", data=[os.fsencode(name) for name in classes])
    text = create("paths", (m,), h5py.string_dtype("utf-8"))
    encoded = map(os.fsencode, paths)
    for first in range(0, m, _PATHS_AT_A_TIME):
        some = list(islice(encoded, _PATHS_AT_A_TIME))
        text[first : first + len(some)] = some


class _Written:
    """A file that is being written."""

    def __init__(self, target: _Target, file: h5py.File, handle_signals: Callable[[], None]) -> None:
        self.file = file
        self._target, self._handle_signals = target, handle_signals

    def fill(self, fields: Mapping[str, Any], blocks: Iterable[NDArray[Any]]) -> None:
        """Write blocks of items, each field into a data set; one without a name is all of an item."""
        done = 0
        for block in blocks:
            for name, data in fields.items():
                data[done : done + len(block)] = block[name] if name else block
            done += len(block)
            self._handle_signals()
            if self._target.error is not None:
                break


@contextlib.contextmanager
def _written(file: BinaryIO) -> Iterator[_Written]:
    target = _Target(file)
    cache = 4 * CHUNK_BYTES
    with kept_until_asked() as handle_signals, h5py.File(target, "w", rdcc_nbytes=cache) as out:
        yield _Written(target, out, handle_signals)
    if target.error is not None:
        raise target.error


class _Target:
    """The file as the library sees it: one on which every call succeeds.

    HDF5 crashes when it closes a file on a disk that has become full.

    Attributes
    ----------
    error : OSError or None
        The first that was kept from it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None
        self.seek, self.tell, self.read = file.seek, file.tell, file.read

    def readinto(self, buffer: memoryview) -> int:
        found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def write(self, data: memoryview) -> int:
        self._try(self._file.write, data)
        return len(data)

    def truncate(self, size: int) -> int:
        self._try(self._file.truncate, size)
        return size

    def flush(self) -> None:
        self._try(self._file.flush)

    def _try(self, call: Callable[..., Any], *arguments: Any) -> None:
        if self.error is None:
            try:
                call(*arguments)
            except OSError as exc:
                self.error = exc
