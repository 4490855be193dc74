"""What one pass over the pictures takes and gives, the same for every engine."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from catclf.logistic import Vector

EVERY_PICTURE = slice(None)


class Sweep(NamedTuple):
    """Result of one pass.

    Attributes
    ----------
    xr : coordinates of X r
    z : (m,) float64
    r : (m,) float64
    """

    xr: NDArray[Any]
    z: Vector
    r: Vector
