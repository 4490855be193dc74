"""What engines share whose coordinates are w and then b."""

from __future__ import annotations

from catclf.logistic import Vector


class WeightsAndBias:
    """The linear operations on coordinates (n_x + 1,) float64: w, then b."""

    def dot(self, c1: Vector, c2: Vector) -> float:
        """w1ᵀ w2 + b1 b2."""
        return float(c1 @ c2)

    def weights(self, c: Vector) -> Vector:
        """The weights w, (n_x,)."""
        return c[:-1]

    def bias(self, c: Vector) -> float:
        """The bias b."""
        return float(c[-1])

    def shift(self, c: Vector, b: float) -> None:
        """Add `b` to the bias, in place."""
        c[-1] += b
