"""The values that travel from disk to the features: a picture, and what decoding it gave."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from numpy.typing import NDArray

from catclf.errors import DataError
from catclf.view import RgbArray


class Picture(NamedTuple):
    """One input that is still to be decoded, or the reason why it cannot be.

    Attributes
    ----------
    path : str
        As the user named it; bytes that are not UTF-8 are kept by surrogate escapes. Row k of an HDF5
        file is ``FILE.h5[k]``.
    stream : binary file or None
        Where to read the encoded picture, if not at `path`.
    pixels : (h, w, 3) uint8 or None
        What is decoded already; with a row, the thumbnail.
    error : DataError or None
    row : (n_x,) or None
        Its features, where these are known, and pixels are not.
    mark : int
        Fingerprint that belongs to a row.
    """

    path: str
    stream: BinaryIO | None = None
    pixels: RgbArray | None = None
    error: DataError | None = None
    row: NDArray[Any] | None = None
    mark: int = 0


class Decoded(NamedTuple):
    """A picture in the views that were asked for, or the reason why there are none.

    Attributes
    ----------
    path : str
    views : tuple of (h, w, 3) uint8
    error : DataError or None
    shorter : int
        The shorter side of the picture as it is stored, in pixels.
    endless : bool
        Whether the file lacks its end, but nothing of the picture.
    """

    path: str
    views: tuple[RgbArray, ...] = ()
    error: DataError | None = None
    shorter: int = 0
    endless: bool = False
