"""An HDF5 file that a child process reads for us: what is asked, and what can go wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.decoding import BEFORE, Decoding, decoding_of
from catclf.errors import DataError, Setting, system_reason
from catclf.images import hdf5_process
from catclf.regular import open_regular
from catclf.stores.stored import StoredItems
from catclf.work.guarded import ChildError, GuardedChild

MEMORY_LIMIT = 1_000_000_000
"""Bytes of address space that the child process gets; the libraries alone take 120 MB of it."""

SECONDS_LIMIT = 10.0
"""How long the child may take to understand the structure of a file, or for one block."""

_REMEDY = {True: "pack the pictures again", False: "train the model again"}


class Hdf5Channel:
    """An open file and the child process that reads it.

    Parameters
    ----------
    path : str
    options : ReadOptions
        The keys are used.

    Attributes
    ----------
    m : int
        Number of pictures or rows.
    structure : dict
        What the child says of the file.
    decoding : Decoding or None
        By which rule files became these pictures, if it was `catclf pack` that made them.

    Raises
    ------
    DataError
        If the file is not HDF5, not in a known layout, or cannot be read within the limits.
    """

    def __init__(self, path: str, options: ReadOptions) -> None:
        self.path = path
        self._is_open = True
        self.handle = _opened(path)
        try:
            self._child = _start(path, self.handle, options)
        except BaseException:
            os.close(self.handle)
            raise
        try:
            self.structure = self.ask("structure")
            self.decoding = self._decoding()
            self.m = self.shape[0]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child and close the file."""
        if self._is_open:
            self._is_open = False
            self._child.close()
            os.close(self.handle)

    @property
    def holds_rows(self) -> bool:
        """Whether it has rows of features and not pictures."""
        return "features" in self.structure

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the pictures as they are stored, or of the rows."""
        try:
            m, *rest = map(int, self.structure["shape"])
            if not rest:
                raise ValueError(rest)
            return m, *rest
        except (ValueError, TypeError, KeyError) as exc:  # a file that has taken the child over
            raise self.broken() from exc

    def _decoding(self) -> Decoding | None:
        packed, text = self.structure.get("packed"), self.structure.get("decoding")
        if text is None:
            return BEFORE if packed else None
        try:
            return decoding_of(str(text))
        except ValueError as exc:
            raise DataError(self.path, str(exc)) from exc

    def check_decoded(self, wanted: Iterable[Decoding]) -> None:
        """Raise a DataError if the file says that its pictures were decoded by another rule."""
        for decoding in wanted:
            if self.decoding not in (None, decoding):
                reason = f"was packed with {self.decoding}, but the model is trained with {decoding}"
                raise DataError(self.path, f"{reason}: {_REMEDY[decoding.profiles]}")

    def labels(self) -> NDArray[np.intp]:
        """Class number of every picture, (m,)."""
        labels = np.empty(self.m, dtype="<i8")
        self.read("labels", into=labels)
        return labels.astype(np.intp)

    def classes(self) -> tuple[str, ...]:
        """Class names by number; "0" and "1" where the file has none."""
        listed = self.ask("classes")["classes"]
        if listed is None:
            return ("0", "1")
        classes = tuple(map(str, listed))
        if len(set(classes)) < len(classes):
            shown = ", ".join(classes[:12])
            raise DataError(self.path, f"list_classes has a name twice: {shown}")
        return classes

    def stored(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> StoredItems | None:
        """Return the items as they lie in the file, to be read when they are asked for.

        None if they do not lie there as they are: only the library can read them then.
        """
        together = self.ask("together")["together"]
        if together is None:
            return None
        offsets = np.empty(-(-self.m // int(together)), dtype="<i8")
        self.read("offsets", into=offsets)
        items = StoredItems(self.path, os.dup(self.handle), offsets, int(together), shape, dtype)
        return items if items.complete else None

    def read(self, *question: Any, into: NDArray[Any]) -> None:
        """Fill an array with the bytes of an answer; raises as `ask` does."""
        self.ask(*question, size=into.nbytes)
        try:
            self._child.read_into(into.reshape(-1).view(np.uint8).data)
        except ChildError as exc:
            raise self._failure(exc) from exc

    def ask(self, *question: Any, size: int = 0) -> dict[str, Any]:
        """Return the answer to a question, after which `size` bytes must come.

        Raises
        ------
        DataError
            If the child refuses, crashes, takes too long, or answers as it should not.
        """
        try:
            answer = self._child.ask(question)
        except ChildError as exc:
            raise self._failure(exc) from exc
        if "error" in answer:
            known = [Setting(key) for key in ("x_key", "y_key") if answer.get("setting") == key]
            raise DataError(self.path, str(answer["error"]), *known)
        if answer.get("bytes", 0) != size:  # subtle: a child that a file has taken over may say so
            raise self.broken()
        return answer

    def broken(self) -> DataError:
        """Say that the file makes no sense."""
        return DataError(self.path, "is a broken HDF5 file")

    def _failure(self, exc: ChildError) -> DataError:
        return DataError(self.path, f"is a broken HDF5 file (the library {exc} while reading it)")


def _opened(path: str) -> int:
    try:
        return open_regular(path)[0]
    except (OSError, ValueError) as exc:
        raise DataError(path, system_reason(exc)) from exc


def _start(path: str, handle: int, options: ReadOptions) -> GuardedChild:
    order: dict[str, Any] = {"x_key": options.x_key, "y_key": options.y_key}
    order |= {"memory": MEMORY_LIMIT, "alarm": int(2 * SECONDS_LIMIT)}
    try:
        child = hdf5_process.take()
        try:
            child.begin(order, handle, SECONDS_LIMIT)
        except BaseException:
            child.close()
            raise
        return child
    except (OSError, ChildError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise DataError(path, f"the process that reads HDF5 files cannot start ({reason})") from exc
