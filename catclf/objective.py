"""What a descent makes small: the mean loss of the pictures with a penalty. Knows no X."""

from __future__ import annotations

from typing import Any

import numpy as np

from catclf.logistic import LOSSES, Vector


class Objective:
    """J(w, b) = Σᵢ shareᵢ · loss(zᵢ, yᵢ) + λ/2 ‖w‖², with z = wᵀX + b.

    Parameters
    ----------
    loss : str
        One of `catclf.config.LOSS_NAMES`.
    y : (m,) float64, 0 or 1
    shares : (m,) float64, ≥ 0, with sum 1
        Each picture's share in the cost: 1/m in the lecture. A picture with share 0 has no influence on
        the descent, but is scored: so pictures are held out.
    l2 : float
        λ; the bias is not penalised.
    held_out : (m,) float64 or None
        Shares of the held-out pictures in the validation cost; sum 1.

    Attributes
    ----------
    residual : (z, part, out) -> None
        Writes dz · share: what each picture's x is multiplied with in the gradient.
    loss_curvature : float
        Bound of the second derivative of the loss by z.
    """

    def __init__(
        self, loss: str, y: Vector, shares: Vector, l2: float, held_out: Vector | None = None
    ) -> None:
        self.shares = shares
        self.l2 = l2
        self._loss, self._y, self._held_out = loss, y, held_out
        self._value = LOSSES[loss].value
        self._both_shares = np.stack([shares, np.full(len(y), np.nan) if held_out is None else held_out])
        self.loss_curvature = LOSSES[loss].curvature
        self.residual = LOSSES[loss].residual(y, shares)

    def __reduce__(self) -> tuple[Any, ...]:  # the residual itself cannot be pickled
        return Objective, (self._loss, self._y, self.shares, self.l2, self._held_out)

    @property
    def has_held_out(self) -> bool:
        """Whether there is a validation cost."""
        return self._held_out is not None

    def losses(self, z: Vector, part: slice) -> Vector:
        """Sum the losses of some pictures: (2,), by their shares and by their held-out shares."""
        sums: Vector = self._both_shares[:, part] @ self._value(z, self._y[part])
        return sums

    def costs(self, losses: Vector, squared_norm: float) -> tuple[float, float]:
        """J and the validation cost (NaN without held-out pictures), from `losses` and ‖w‖²."""
        return float(losses[0]) + 0.5 * self.l2 * squared_norm, float(losses[1])

    def of(self, part: slice) -> Objective:
        """The terms of some pictures alone."""
        held_out = None if self._held_out is None else self._held_out[part]
        return Objective(self._loss, self._y[part], self.shares[part], self.l2, held_out)
