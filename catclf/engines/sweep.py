"""What one pass over the pictures takes and gives, the same for every engine."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from catclf.logistic import Vector

EVERY_PICTURE = slice(None)


class Summand(Protocol):
    """What is summed over the pictures, as functions of their scores z. It may be sent elsewhere."""

    def residual(self, z: Vector, part: slice, out: Vector) -> None:
        """Write r, the factor of each picture's x in X r, for the pictures `part`."""

    def losses(self, z: Vector, part: slice) -> Vector:
        """Sums of losses over the pictures `part`."""

    def of(self, part: slice) -> Summand:
        """The same for the pictures `part` alone."""


Sweep = tuple[NDArray[Any], float, Vector | None]
"""What a pass gives: coordinates of X r, the caller's own; Σ r; the losses where they were asked for."""
