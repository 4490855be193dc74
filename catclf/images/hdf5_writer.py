"""Writes pictures as an HDF5 file in the layout of the course's files. Reads none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from catclf.images.picture import Pixels

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
) -> None:
    """Write ``train_set_x``, ``train_set_y``, ``list_classes`` and ``paths``; the same each time.

    Parameters
    ----------
    file : binary file
        Open for writing, and empty; only its descriptor is used.
    size : int
        Side of the pictures in pixels.
    blocks : iterable of (k, size, size, 3) uint8
        m pictures in all.
    labels : (m,) intp
    classes : sequence of str
    paths : iterable of str, m of them
        Bytes that are not UTF-8 stay what they are.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    m, rows = len(labels), rows_of_chunk(size)
    # A name of the open file, because the library wants one. Nobody else knows it: no lock is needed.
    name = f"/dev/fd/{file.fileno()}"
    try:
        with h5py.File(name, "w", locking=False, rdcc_nbytes=4 * CHUNK_BYTES) as out:
            shape = (size, size, 3)
            x = out.create_dataset(
                "train_set_x", (m, *shape), np.uint8, chunks=(min(m, rows), *shape), track_times=False
            )
            done = 0
            for block in blocks:
                x[done : done + len(block)] = block
                done += len(block)
            plain = {"track_times": False}
            out.create_dataset("train_set_y", data=labels.astype("<i8"), **plain)
            out.create_dataset("list_classes", data=[os.fsencode(name) for name in classes], **plain)
            text = out.create_dataset("paths", (m,), h5py.string_dtype("utf-8"), **plain)
            encoded = [os.fsencode(path) for path in paths]
            for first in range(0, m, _PATHS_AT_A_TIME):
                some = slice(first, first + _PATHS_AT_A_TIME)
                text[some] = encoded[some]
    except RuntimeError as exc:  # what h5py makes of a disk that becomes full while a file is closed
        raise OSError(str(exc)) from exc
