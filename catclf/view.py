"""A size and shape in which a picture is wanted: what is cut out of it. Opens none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.decoding import USUAL, Decoding

RgbArray = NDArray[np.uint8]
"""Pixels of one picture (h, w, 3), or of several (m, h, w, 3)."""


class View(NamedTuple):
    """A size and shape in which a picture is wanted. One decoding can give several.

    A picture is resized, and the centre square of `side` is cut out.

    Attributes
    ----------
    side : int
        In pixels.
    whole : bool
        Whether nothing is cut and the aspect ratio is kept: then `side` is the longer side, and smaller
        pictures stay as they are.
    squashed : bool
        Whether a picture is resized to a square, whatever its aspect ratio. Otherwise the ratio is kept.
    edge : int or None
        Side of that square, or the shorter side of a picture that keeps its ratio, before the centre is
        cut out; None is `side`.
    resample : str
        Filter: one of `RESAMPLES`. All are antialiased but "nearest".
    through : int or None
        If given, pictures whose shorter side is larger are shrunk to this one first.
    decoding : Decoding
    unopened : int or None
        Takes the place of `side` for pictures in formats that browsers do not open.
    """

    side: int
    whole: bool = False
    squashed: bool = True
    edge: int | None = None
    resample: str = "bilinear"
    through: int | None = None
    decoding: Decoding = USUAL
    unopened: int | None = None

    @property
    def of_unopened(self) -> View:
        """The view of pictures that browsers do not open."""
        return self if self.unopened is None else self._replace(side=self.unopened)

    @property
    def needed(self) -> int:
        """The shorter side that a picture must have, or it is enlarged."""
        return self.through or self.edge or self.side

    def shrunk(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height to shrink a picture to first, or None."""
        shorter = min(width, height)
        if self.through is None or shorter <= self.through:
            return None
        share = self.through / shorter
        return round(share * width), round(share * height)

    def shape(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the view of a picture."""
        if not self.whole:
            return self.side, self.side
        share = min(1.0, self.side / max(width, height))
        return max(1, round(share * width)), max(1, round(share * height))

    def box(self, width: int, height: int) -> tuple[float, float, float, float] | None:
        """Left, top, right and bottom of what is seen of a picture; None is all of it.

        To resize this part to `side` is to resize all of the picture and cut out the centre.
        """
        if not self.cuts:
            return None
        wide, high = self.resized(width, height)
        left, top, right, bottom = self.centre(wide, high)
        return (
            left * width / wide,
            top * height / high,
            min(width, right * width / wide),
            min(height, bottom * height / high),
        )

    @property
    def cuts(self) -> bool:
        """Whether something of a picture is left out."""
        return not self.whole and not (self.squashed and self.edge in (None, self.side))

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of all of a picture before its centre is cut out, rounded down."""
        edge, shorter = self.edge or self.side, min(width, height)
        return (edge, edge) if self.squashed else (edge * width // shorter, edge * height // shorter)

    def centre(self, wide: int, high: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the centre in whole pixels."""
        left, top = (wide - self.side) // 2, (high - self.side) // 2
        return left, top, left + self.side, top + self.side


RESAMPLES = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Filters, in the order of Pillow's numbers."""

PREVIEW = View(256, whole=True, unopened=512)
"""For pages. Where a click does not show the picture itself, there is more to see."""

THUMBNAIL = View(32, resample="box")
"""By which near-duplicates are found."""
