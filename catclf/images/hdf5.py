"""HDF5 data sets of pictures → blocks of uint8. The reading itself is in `hdf5_child`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.images.float_scale import full_scale, spread_of
from catclf.images.hdf5_channel import Hdf5Channel
from catclf.images.picture import Picture
from catclf.progress import Advanced, silent
from catclf.stores.stored import StoredItems
from catclf.view import RgbArray, View

_BLOCK_BYTES = 16_000_000

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
    channel : Hdf5Channel or None
        Of that file, if it is open already; it is closed with this.

    Attributes
    ----------
    decoding : Decoding or None
        By which rule files became these pictures, if it was `catclf pack` that made them.

    Raises
    ------
    DataError
        If the file is not HDF5, not in this layout, or cannot be read within the limits.
    """

    def __init__(self, path: str, options: ReadOptions, channel: Hdf5Channel | None = None) -> None:
        self.path = path
        self._channel = channel = channel or Hdf5Channel(path, options)
        try:
            if channel.holds_rows:
                raise DataError(path, "has rows of features, not pictures")
            if len(channel.shape) < 3:  # a file that has taken the child over
                raise channel.broken()
            self._stored_shape = channel.shape
            self.decoding = channel.decoding
            self.labels, self.classes = channel.labels, channel.classes
            _, height, width, _ = self.shape
            most = options.max_pixels
            if height * width > most:
                found = f"has pictures of {width}×{height} pixels, more than the {most} allowed"
                raise DataError(path, found)
            self._factor = self._scale() if channel.structure.get("kind") == "f" else 1.0
        except BaseException:
            channel.close()
            raise

    def __enter__(self) -> Hdf5Pictures:
        return self

    def __exit__(self, *raised: object) -> None:
        self._channel.close()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(m, h, w, 3)."""
        m, height, width = self._stored_shape[:3]
        return m, height, width, 3

    def blocks(self, rows: slice = slice(None)) -> Iterator[RgbArray]:
        """Yield the pictures (k, h, w, 3) uint8 of `rows` in order, some 16 MB at a time."""
        for start, stop in self._spans(rows):
            yield self._block(start, stop)

    def pictures(self, rows: slice = slice(None)) -> Iterator[Picture]:
        """Yield the same one by one."""
        names = (f"{self.path}[{k}]" for k in range(*rows.indices(self.shape[0])))
        decoded = (pixels for block in self.blocks(rows) for pixels in block)
        return (Picture(name, pixels=pixels) for name, pixels in zip(names, decoded, strict=True))

    def resized(self, view: View, rows: slice = slice(None), advanced: Advanced = silent) -> RgbArray:
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

    def stored(self) -> StoredItems | None:
        """Return the pictures as they lie in the file, to be read when they are asked for.

        None if they are compressed, or not RGB of 8 bits: only the library can read them then.
        """
        items = self._channel.stored(self.shape, np.dtype(np.uint8))
        if items is None:
            return None
        m = self.shape[0]
        # What the library finds at both ends must be there.
        ends = [(0, 1), (m - 1, m)]
        same = all(np.array_equal(items[i:j], self._block(i, j)) for i, j in ends)
        return items if same else None

    def _block(self, start: int, stop: int) -> RgbArray:
        _, height, width, channels = self.shape
        stored_channels = self._stored_shape[3] if len(self._stored_shape) == 4 else 1
        block = np.empty((stop - start, height, width, stored_channels), dtype=np.uint8)
        self._channel.read("rows", start, stop, self._factor, into=block)
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
            span = self._channel.ask("span", start, stop)["span"]
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
        self._channel.read("some", start, stop, _SAMPLED_VALUES, into=values)
        return values


def _viewed(block: RgbArray, view: View) -> RgbArray:
    from catclf.images.decode import seen  # only where it is needed: it takes time to import

    return seen(block, view)
