"""What floating-point pixels are measured in: 0 to 1, 0 to 255 or 0 to 65535. Reads no files."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_FULL_SCALES = ((1.0, 0.0), (255.0, 24.0), (65535.0, 20000.0))
"""What white may be, and what the brightest pixels must reach at least to mean it."""

_OVER, _UNDER = 0.12, 0.06
"""Beyond black and white, as a share: what resampling with bicubic and Lanczos filters overshoots."""

_FURTHEST_OVER, _FURTHEST_UNDER = 0.6, 0.5
"""The same for a single pixel."""

_RARE = 0.001  # share of the pixels that say nothing about the scale


class Spread(NamedTuple):
    """How the pixels of a picture, or of many, are spread.

    Attributes
    ----------
    low, high : float
        All but a thousandth of the pixels lie above, and below.
    least, most : float
        Of all pixels.
    """

    low: float
    high: float
    least: float
    most: float


def spread_of(some: NDArray[np.floating], least: float, most: float) -> Spread:
    """Take the quantiles of `some` pixels, and the extremes of all.

    Of few pixels one at each end is left out: a single one is no evidence.
    """
    count = some.size
    left_out = min((count - 1) // 2, math.ceil(_RARE * count))
    ends = np.partition(some.reshape(-1), (left_out, count - 1 - left_out))
    return Spread(float(ends[left_out]), float(ends[count - 1 - left_out]), least, most)


def full_scale(spread: Spread) -> float:
    """What white is.

    Raises
    ------
    ValueError
        If no scale fits, with what was found.
    """
    for full, floor in _FULL_SCALES:
        if spread.high > (1 + _OVER) * full:
            continue
        fits = (
            spread.high >= floor
            and spread.low >= -_UNDER * full
            and spread.least >= -_FURTHEST_UNDER * full
            and spread.most <= (1 + _FURTHEST_OVER) * full
        )
        if fits:
            return full
        break
    found = (
        f"has pixels from {spread.least:g} to {spread.most:g}, mostly {spread.low:g} to {spread.high:g}"
    )
    raise ValueError(f"{found}; expected 0 to 1, 0 to 255 or 0 to 65535")
