"""HDF5 data sets of pictures → blocks of uint8 and labels. The reading itself is in `hdf5_child`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.decoding import BEFORE, Decoding, decoding_of
from catclf.errors import DataError, Setting, system_reason
from catclf.images import hdf5_process
from catclf.images.float_scale import full_scale, spread_of
from catclf.images.picture import Picture, Pixels
from catclf.images.stored import StoredPixels
from catclf.progress import Advanced, silent
from catclf.regular import open_regular
from catclf.view import View
from catclf.work.guarded import ChildError, GuardedChild

MEMORY_LIMIT = 1_000_000_000
"""Bytes of address space that the child process gets; the libraries alone take 120 MB of it."""

SECONDS_LIMIT = 10.0
"""How long the child may take to understand the structure of a file, or for one block."""

_BLOCK_BYTES = 16_000_000

_REMEDY = {True: "pack the pictures again", False: "train the model again"}

_SAMPLED_BLOCKS, _SAMPLED_VALUES = 64, 100_000
"""How much of floating-point pictures says what white is: blocks, and values of each."""


class Hdf5Pictures:
    """An HDF5 file of pictures, in the layout of the course's files, open in a child process.

    One data set of pictures (m, h, w, 3) named ``*_set_x``; for training and evaluation one of
    labels, (m,) or (1, m) integers, named ``*_set_y``; and the class names ``list_classes``.

    Pictures are uint8, or floating-point numbers from 0 to 1, 255 or 65535, which nearly all pixels of
    the file decide: see `catclf.images.float_scale`. Grey ones, (m, h, w) or (m, h, w, 1),
    become RGB.

    Parameters
    ----------
    path : str
    options : ReadOptions
        The keys and `max_pixels` are used.

    Attributes
    ----------
    decoding : Decoding or None
        By which rule files became these pictures, if it was `catclf pack` that made them.

    Raises
    ------
    DataError
        If the file is not HDF5, not in this layout, or cannot be read within the limits.
    """

    def __init__(self, path: str, options: ReadOptions) -> None:
        self.path = path
        self._handle = _opened(path)
        try:
            self._child = _start(path, self._handle, options)
        except BaseException:
            os.close(self._handle)
            raise
        try:
            self._stored_shape, kind, self.decoding = self._structure()
            _, height, width, _ = self.shape
            most = options.max_pixels
            if height * width > most:
                found = f"has pictures of {width}×{height} pixels, more than the {most} allowed"
                raise DataError(path, found)
            self._factor = self._scale() if kind == "f" else 1.0
        except BaseException:
            self._close()
            raise

    def _structure(self) -> tuple[tuple[int, ...], str, Decoding | None]:
        structure = self._ask("structure")
        try:
            m, height, width, *channels = map(int, structure["shape"])
            shape, kind = (m, height, width, *channels), str(structure["kind"])
            packed, decoding = structure.get("packed"), structure.get("decoding")
        except (ValueError, TypeError, KeyError) as exc:  # a file that has taken the child over
            raise DataError(self.path, "is a broken HDF5 file") from exc
        if decoding is None:
            return shape, kind, BEFORE if packed else None
        try:
            return shape, kind, decoding_of(str(decoding))
        except ValueError as exc:
            raise DataError(self.path, str(exc)) from exc

    def check_decoded(self, wanted: Iterable[Decoding]) -> None:
        """Raise a DataError if the file says that its pictures were decoded by another rule."""
        for decoding in wanted:
            if self.decoding not in (None, decoding):
                reason = f"was packed with {self.decoding}, but the model is trained with {decoding}"
                raise DataError(self.path, f"{reason}: {_REMEDY[decoding.profiles]}")

    def __enter__(self) -> Hdf5Pictures:
        return self

    def __exit__(self, *raised: object) -> None:
        self._close()

    def _close(self) -> None:
        self._child.close()
        os.close(self._handle)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(m, h, w, 3)."""
        m, height, width = self._stored_shape[:3]
        return m, height, width, 3

    def blocks(self, rows: slice = slice(None)) -> Iterator[Pixels]:
        """Yield the pictures (k, h, w, 3) uint8 of `rows` in order, some 16 MB at a time."""
        for start, stop in self._spans(rows):
            yield self._block(start, stop)

    def pictures(self, rows: slice = slice(None)) -> Iterator[Picture]:
        """Yield the same one by one."""
        names = (f"{self.path}[{k}]" for k in range(*rows.indices(self.shape[0])))
        decoded = (pixels for block in self.blocks(rows) for pixels in block)
        return (Picture(name, pixels=pixels) for name, pixels in zip(names, decoded, strict=True))

    def resized(self, view: View, rows: slice = slice(None), advanced: Advanced = silent) -> Pixels:
        """Read some pictures (k, side, side, 3) in a square view."""
        first, last, _ = rows.indices(self.shape[0])
        pixels = np.empty((last - first, view.side, view.side, 3), dtype=np.uint8)
        done = 0
        for block in self.blocks(rows):
            stop = done + len(block)
            as_they_are = block.shape[1:3] == (view.side, view.side)
            pixels[done:stop] = block if as_they_are else _viewed(block, view)
            done = stop
            advanced("pictures read", done, len(pixels))
        return pixels

    def stored(self) -> StoredPixels | None:
        """Return the pictures as they lie in the file, to be read when they are asked for.

        None if they are compressed, or not RGB of 8 bits: only the library can read them then.
        """
        together = self._ask("together")["together"]
        if together is None:
            return None
        m = self.shape[0]
        offsets = np.empty(-(-m // int(together)), dtype="<i8")
        self._read("offsets", into=offsets)
        pixels = StoredPixels(self.path, os.dup(self._handle), offsets, int(together), self.shape)
        # What the library finds at both ends must be there.
        ends = [(0, 1), (m - 1, m)]
        same = pixels.complete and all(np.array_equal(pixels[i:j], self._block(i, j)) for i, j in ends)
        return pixels if same else None

    def labels(self) -> NDArray[np.intp]:
        """Class number of every picture, (m,)."""
        labels = np.empty(self.shape[0], dtype="<i8")
        self._read("labels", into=labels)
        return labels.astype(np.intp)

    def classes(self) -> tuple[str, ...]:
        """Class names by number; "0" and "1" where the file has none."""
        listed = self._ask("classes")["classes"]
        if listed is None:
            return ("0", "1")
        classes = tuple(map(str, listed))
        if len(set(classes)) < len(classes):
            shown = ", ".join(classes[:12])
            raise DataError(self.path, f"list_classes has a name twice: {shown}")
        return classes

    def _block(self, start: int, stop: int) -> Pixels:
        _, height, width, channels = self.shape
        stored_channels = self._stored_shape[3] if len(self._stored_shape) == 4 else 1
        block = np.empty((stop - start, height, width, stored_channels), dtype=np.uint8)
        self._read("rows", start, stop, self._factor, into=block)
        return block if stored_channels == channels else np.repeat(block, channels, axis=3)

    def _spans(self, rows: slice = slice(None)) -> Iterator[tuple[int, int]]:
        m, height, width, channels = self.shape
        many = max(1, _BLOCK_BYTES // (height * width * channels))
        first, last, _ = rows.indices(m)
        for start in range(first, last, many):
            yield start, min(last, start + many)

    def _scale(self) -> float:
        """What floating-point pictures are multiplied by, as nearly all pixels of the file show it."""
        spans = list(self._spans())
        sampled = set(
            np.linspace(0, len(spans) - 1, min(len(spans), _SAMPLED_BLOCKS)).round().astype(int)
        )
        least, most, some = 0.0, 0.0, []
        for k, (start, stop) in enumerate(spans):
            span = self._ask("span", start, stop)["span"]
            if span is None:
                raise DataError(self.path, "has pixels that are not finite")
            least, most = min(least, float(span[0])), max(most, float(span[1]))
            if k in sampled:
                some.append(self._some(start, stop))
        try:
            return 255.0 / full_scale(spread_of(np.concatenate(some), least, most))
        except ValueError as exc:
            raise DataError(self.path, str(exc)) from exc

    def _some(self, start: int, stop: int) -> NDArray[np.float64]:
        """Some values of these pictures."""
        count = (stop - start) * int(np.prod(self._stored_shape[1:]))
        step = max(1, -(-count // _SAMPLED_VALUES))
        values = np.empty(-(-count // step), dtype="<f8")
        self._read("some", start, stop, _SAMPLED_VALUES, into=values)
        return values

    def _read(self, *question: Any, into: NDArray[Any]) -> None:
        self._ask(*question, size=into.nbytes)
        try:
            self._child.read_into(into.reshape(-1).view(np.uint8).data)
        except ChildError as exc:
            raise self._failure(exc) from exc

    def _ask(self, *question: Any, size: int = 0) -> dict[str, Any]:
        try:
            answer = self._child.ask(question)
        except ChildError as exc:
            raise self._failure(exc) from exc
        if "error" in answer:
            known = [Setting(key) for key in ("x_key", "y_key") if answer.get("setting") == key]
            raise DataError(self.path, str(answer["error"]), *known)
        if answer.get("bytes", 0) != size:  # subtle: a child that a file has taken over may say so
            raise DataError(self.path, "is a broken HDF5 file")
        return answer

    def _failure(self, exc: ChildError) -> DataError:
        return DataError(self.path, f"is a broken HDF5 file (the library {exc} while reading it)")


def _opened(path: str) -> int:
    try:
        return open_regular(path)[0]
    except (OSError, ValueError) as exc:
        raise DataError(path, system_reason(exc)) from exc


def _viewed(block: Pixels, view: View) -> Pixels:
    from catclf.images.decode import seen  # only where it is needed: it takes time to import

    return seen(block, view)


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
