"""Pictures that stay in their file and are read some at a time. Knows nothing of the file's format."""

from __future__ import annotations

import os
import weakref

import numpy as np
from numpy.typing import NDArray

from catclf.errors import DataError, system_reason
from catclf.images.picture import Pixels
from catclf.stores.here import InFile


class StoredPixels(InFile):
    """Pictures (m, h, w, 3) uint8 as plain bytes of a file; safe in several threads.

    Parameters
    ----------
    path : str
        For messages.
    handle : int
        The open file. It is closed with the last reference to this object.
    offsets : (k,) int64
        Where in the file each group of pictures begins.
    together : int
        Number of pictures in a group; the last one may have fewer.
    shape : (int, int, int, int)
    """

    def __init__(
        self,
        path: str,
        handle: int,
        offsets: NDArray[np.int64],
        together: int,
        shape: tuple[int, int, int, int],
    ) -> None:
        self.path = path
        self.shape = shape
        self._handle = handle
        self._offsets = offsets.astype(np.int64)
        self._together = together
        self._picture_bytes = int(np.prod(shape[1:]))
        weakref.finalize(self, os.close, handle)

    @property
    def complete(self) -> bool:
        """Whether every picture lies within the file."""
        counts = np.full(len(self._offsets), self._together)
        counts[-1] = len(self) - self._together * (len(counts) - 1)
        # subtle: what the file says may be any number, to which nothing can be added.
        latest = os.fstat(self._handle).st_size - counts * self._picture_bytes
        return bool(((self._offsets >= 0) & (self._offsets <= latest)).all())

    def __getitem__(self, part: slice, /) -> Pixels:
        """Read the pictures of a slice without a step.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        start, stop, _ = part.indices(len(self))
        pixels = np.empty((max(0, stop - start), *self.shape[1:]), dtype=np.uint8)
        bytes_left = memoryview(pixels.reshape(-1).data)
        while start < stop:
            group, first = divmod(start, self._together)
            count = min(stop - start, self._together - first)
            size = count * self._picture_bytes
            self._read(bytes_left[:size], int(self._offsets[group]) + first * self._picture_bytes)
            bytes_left, start = bytes_left[size:], start + count
        return pixels

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
