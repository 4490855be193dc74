"""Writes pictures as an HDF5 file in the layout of the course's files. Reads none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from catclf.images.picture import Pixels
from catclf.work.signals import kept_until_asked

CHUNK_BYTES = 1_000_000
"""Pixels that lie together. They are not compressed, so that any of them can be read at once."""

_PATHS_AT_A_TIME = 10_000


def rows_of_chunk(size: int) -> int:
    """Number of pictures of that side in a chunk."""
    return max(1, CHUNK_BYTES // (3 * size * size))


def write_hdf5(
    file: BinaryIO,
    size: int,
    blocks: Iterable[Pixels],
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
    m, rows, shape = len(labels), rows_of_chunk(size), (size, size, 3)
    target = _Target(file)
    cache = 4 * CHUNK_BYTES
    with kept_until_asked() as handle_signals, h5py.File(target, "w", rdcc_nbytes=cache) as out:
        create = partial(out.create_dataset, track_times=False)
        x = create("train_set_x", (m, *shape), np.uint8, chunks=(min(m, rows), *shape))
        done = 0
        for block in blocks:
            x[done : done + len(block)] = block
            done += len(block)
            handle_signals()
            if target.error is not None:
                break
        out.attrs["decoding"] = decoding
        create("train_set_y", data=labels.astype("<i8"))
        create("list_classes", data=[os.fsencode(name) for name in classes])
        text = create("paths", (m,), h5py.string_dtype("utf-8"))
        encoded = map(os.fsencode, paths)
        for first in range(0, m, _PATHS_AT_A_TIME):
            some = list(islice(encoded, _PATHS_AT_A_TIME))
            text[first : first + len(some)] = some
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
