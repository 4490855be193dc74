"""HDF5 data sets of pictures → blocks of uint8 and labels. The only module that knows h5py."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from catclf.errors import DataError
from catclf.images.picture import Pixels

_BLOCK_BYTES = 16_000_000


class Hdf5Pictures:
    """An open HDF5 file of pictures, in the layout of the course's files.

    One data set of pictures (m, h, w, 3) uint8 named ``*_set_x``; for training and evaluation one of
    labels, (m,) or (1, m) integers, named ``*_set_y``; and the class names ``list_classes``.

    Parameters
    ----------
    path : str
    x_key, y_key : str or None
        Names of the data sets, where they are others.

    Raises
    ------
    DataError
        If the file is not HDF5 or not in this layout.
    """

    def __init__(self, path: str, x_key: str | None = None, y_key: str | None = None) -> None:
        self.path = path
        self._y_key = y_key
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # opening a FIFO would wait for ever
                raise DataError(path, "is not a regular file")
            self._file = h5py.File(path, "r")
        except (OSError, ValueError) as exc:  # ValueError: the path has a NUL
            strerror = getattr(exc, "strerror", None)
            reason = strerror.lower() if strerror else "is not an HDF5 file"
            raise DataError(path, reason) from exc
        try:
            with self._reading():
                self._x = self._dataset(x_key, "_set_x", "--x-key")
                self._check_pictures()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Hdf5Pictures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(m, h, w, 3)."""
        m, height, width, channels = self._x.shape
        return m, height, width, channels

    def blocks(self) -> Iterator[Pixels]:
        """Yield the pictures (k, h, w, 3) uint8 in order, some 16 MB at a time."""
        m, height, width, channels = self.shape
        rows = max(1, _BLOCK_BYTES // (height * width * channels))
        for start in range(0, m, rows):
            with self._reading():
                block = self._x[start : start + rows]
            yield block

    def labels(self) -> NDArray[np.intp]:
        """Class number of every picture, (m,)."""
        m = self.shape[0]
        with self._reading():
            labels = self._dataset(self._y_key, "_set_y", "--y-key")
            if labels.dtype.kind not in "iu" or labels.shape not in ((m,), (1, m), (m, 1)):
                found = f"{labels.shape} {labels.dtype}"
                raise DataError(self.path, f"{labels.name} is {found}; expected ({m},) integers")
            flat: NDArray[Any] = labels[:].reshape(-1)
        return flat.astype(np.intp)

    def classes(self) -> tuple[str, ...]:
        """Class names by number; "0" and "1" where the file has none."""
        if "list_classes" not in self._file:
            return ("0", "1")
        with self._reading():
            listed = self._file.get("list_classes")
            if not isinstance(listed, h5py.Dataset) or listed.shape is None or len(listed.shape) != 1:
                raise DataError(self.path, "list_classes is not a list; expected one name a class")
            names = listed[:].tolist()
        classes = tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in names)
        if len(set(classes)) < len(classes):
            raise DataError(self.path, f"list_classes has a name twice: {', '.join(classes)}")
        return classes

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except Exception as exc:  # subtle: in a broken file h5py can raise anything at all
            detail = " ".join(str(exc).split()) or type(exc).__name__
            raise DataError(self.path, f"is a broken HDF5 file ({detail})") from exc

    def _check_pictures(self) -> None:
        shape, dtype = self._x.shape, self._x.dtype
        if shape is None or len(shape) != 4 or shape[3] != 3 or dtype != np.uint8 or 0 in shape:
            expected = "expected (m, height, width, 3) uint8"
            raise DataError(self.path, f"{self._x.name} is {shape} {dtype}; {expected}")

    def _dataset(self, key: str | None, suffix: str, option: str) -> Any:
        if key is None:
            found = [name for name in sorted(self._file) if name.endswith(suffix)]
            if len(found) != 1:
                has = ", ".join(sorted(self._file)) or "nothing"
                wanted = f"expected one data set *{suffix}, or its name by {option}"
                raise DataError(self.path, f"contains {has}; {wanted}")
            key = found[0]
        node = self._file.get(key)
        if not isinstance(node, h5py.Dataset):
            has = ", ".join(sorted(self._file)) or "nothing"
            raise DataError(self.path, f"has no data set {key!r}; it contains {has}")
        return node
