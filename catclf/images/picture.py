"""The value that travels from disk to the features: one picture, or the reason why there is none."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.errors import DataError

Pixels = NDArray[np.uint8]


class Picture(NamedTuple):
    """One input. Exactly one of `pixels` and `error` is set once it has been decoded.

    Attributes
    ----------
    path : str
        As the user named it; bytes that are not UTF-8 are kept by surrogate escapes. Row k of an HDF5
        file is ``FILE.h5[k]``.
    stream : binary file or None
        Where to read the encoded picture, if not at `path`.
    pixels : (h, w, 3) uint8 or None
    error : DataError or None
    """

    path: str
    stream: BinaryIO | None = None
    pixels: Pixels | None = None
    error: DataError | None = None
