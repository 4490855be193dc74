"""Pictures or rows that stay in their file and are read some at a time. Knows nothing of its format."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from catclf.errors import DataError, OutputError, system_reason
from catclf.stores.here import InFile


class StoredItems(InFile):
    """Items of one shape and dtype as plain bytes of a file; safe in several threads.

    Parameters
    ----------
    path : str
        For messages.
    handle : int
        The open file. It is closed with the last reference to this object.
    offsets : (k,) int64
        Where in the file each group of items begins.
    together : int
        Number of items in a group; the last one may have fewer.
    shape : (int, …)
        (m, …), as of pictures (m, h, w, 3).
    dtype : numpy.dtype
    """

    def __init__(
        self,
        path: str,
        handle: int,
        offsets: NDArray[np.int64],
        together: int,
        shape: tuple[int, ...],
        dtype: DTypeLike = np.uint8,
    ) -> None:
        self.path = path
        self.shape = shape
        self._handle = handle
        self._offsets = offsets.astype(np.int64)
        self._together = together
        self._dtype = np.dtype(dtype)
        self._item_bytes = math.prod(shape[1:]) * self._dtype.itemsize
        weakref.finalize(self, os.close, handle)

    @property
    def complete(self) -> bool:
        """Whether every item lies within the file."""
        counts = np.full(len(self._offsets), self._together)
        counts[-1] = len(self) - self._together * (len(counts) - 1)
        # subtle: what the file says may be any number, to which nothing can be added.
        latest = os.fstat(self._handle).st_size - counts * self._item_bytes
        return bool(((self._offsets >= 0) & (self._offsets <= latest)).all())

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        """Read the items of a slice without a step.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        start, stop, _ = part.indices(len(self))
        items = np.empty((max(0, stop - start), *self.shape[1:]), self._dtype)
        bytes_left = memoryview(items.reshape(-1).view(np.uint8).data)
        while start < stop:
            group, first = divmod(start, self._together)
            count = min(stop - start, self._together - first)
            size = count * self._item_bytes
            self._read(bytes_left[:size], int(self._offsets[group]) + first * self._item_bytes)
            bytes_left, start = bytes_left[size:], start + count
        return items

    def _read(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer`; a system may give less than what it is asked for."""
        while len(buffer):
            try:
                count = os.preadv(self._handle, [buffer], offset)
            except OSError as exc:
                raise DataError(self.path, system_reason(exc)) from exc
            if count == 0:
                raise DataError(self.path, "has become shorter while it was read")
            buffer, offset = buffer[count:], offset + count


def spooled(
    path: str | os.PathLike[str],
    blocks: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: DTypeLike,
) -> StoredItems:
    """Keep items in a file that has no name any more when this returns, and is gone with the last use.

    Parameters
    ----------
    path : path
        Where it is made; nothing must be there.
    blocks : iterable of arrays
        The items, in order; only one block is in memory at a time.
    shape : (int, …)
        Of an item.
    dtype : numpy.dtype

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path, m = os.fspath(path), 0
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise OutputError(path, f"cannot be written ({exc.strerror})") from exc
    try:
        os.unlink(path)
        with open(handle, "wb", closefd=False) as file:
            for block in blocks:
                m += len(block)
                file.write(np.ascontiguousarray(block, dtype).reshape(-1).view(np.uint8).data)
    except OSError as exc:
        os.close(handle)
        raise OutputError(path, f"cannot be written ({exc.strerror})") from exc
    except BaseException:
        os.close(handle)
        raise
    return StoredItems(path, handle, np.zeros(1, np.int64), max(1, m), (m, *shape), dtype)
