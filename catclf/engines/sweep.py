"""What one pass over the pictures takes and gives, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numpy.typing import NDArray

from catclf.logistic import Vector

Residual = Callable[[Vector, slice], Vector]
"""(z of some pictures, which pictures) → the factor of each picture's x in the sum that is wanted.

For the gradient it is dz times the picture's share in the cost.
"""

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
