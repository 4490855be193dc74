"""The mathematics of logistic regression: sigmoid, losses and their derivatives. Knows no files.

Conventions, used in every numerical module
-------------------------------------------
``m`` pictures, ``n_x`` features a picture. ``X`` is (n_x, m): one picture per **column**.
An array of pictures (m, s, s, 3) becomes X by ``pictures.reshape(m, -1).T``, a free view in Fortran
order; a copy in C order would only make the two products below slower.

Everything else is 1-D: ``y`` (m,) with values 0 and 1, ``z`` (m,), ``p`` (m,), ``w`` (n_x,); ``b`` is
a float. (A row (1, m) minus a column (m, 1) would be (m, m) without any error.)

``y = 1`` is the positive class. A picture is flattened in C order over (row, column, channel).

The model
---------
z = wᵀX + b and p = σ(z), the probability of y = 1. As a Bernoulli variable y has the likelihood
p^y (1 − p)^(1 − y), so the negative log-likelihood of a picture is its *cross entropy*
−(y log p + (1 − y) log(1 − p)), and the cost J is the mean over the pictures.

The derivatives, by the chain rule from J back to the parameters, with ``da`` for ∂loss/∂p and so on::

    da = −y/p + (1 − y)/(1 − p)
    dz = da · p (1 − p) = p − y                            (cross entropy)
    dw = X dz / m        db = mean(dz)

Squared error, ½ (p − y)², has da = p − y and dz = (p − y) p (1 − p). It is the wrong cost: as a function
of w and b it is not convex, and where the model is surely wrong (p near 1 − y) its slope vanishes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def sigmoid(z: Vector) -> Vector:
    """σ(z) = 1 / (1 + e⁻ᶻ), without overflow and with full relative precision for any finite z.

    Parameters
    ----------
    z : (m,) float64

    Returns
    -------
    (m,) float64 in [0, 1]
        For z < 0 it is computed as eᶻ / (1 + eᶻ), so only numbers ≤ 1 are ever exponentiated.

    Examples
    --------
    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def cross_entropy(z: Vector, y: Vector) -> Vector:
    """−(y log p + (1 − y) log(1 − p)) with p = σ(z), from z itself so that no logarithm sees a zero.

    With s = max(z, 0), the loss is s − y z + log(1 + e^−|z|): exact for any finite z, where the
    textbook form gives log(0) beyond |z| ≈ 37.

    Parameters
    ----------
    z : (m,) float64
    y : (m,) float64, 0 or 1

    Returns
    -------
    (m,) float64, ≥ 0, in nats
    """
    return np.maximum(z, 0.0) - y * z + np.log1p(np.exp(-np.abs(z)))


def squared_error(z: Vector, y: Vector) -> Vector:
    """½ (p − y)² with p = σ(z); shapes as in `cross_entropy`."""
    return 0.5 * np.square(sigmoid(z) - y)


Residual = Callable[[Vector, slice, Vector], None]
"""(z of some pictures, which pictures, out): writes dz times each picture's share in J to `out`."""

EVERY_PICTURE = slice(None)

_HALF = np.array(0.5)  # an array, since a number would be made into one in every step


def cross_entropy_residual(y: Vector, shares: Vector) -> Residual:
    """Return dz · share as a function of z alone, dz = p − y being the derivative of `cross_entropy`.

    With p = ½ (1 + tanh(z/2)) it is share · (½ tanh(z/2) − (y − ½)): one transcendental function that
    cannot overflow, and what does not depend on z is computed once, not in every step. The error of tanh
    is absolute, about 1e-16, which is all that a sum over pictures can keep.
    """
    half, offset = 0.5 * shares, shares * (y - 0.5)

    def residual(z: Vector, part: slice, out: Vector) -> None:
        np.multiply(z, _HALF, out)
        np.tanh(out, out)
        if part is EVERY_PICTURE:  # in a short step even a slice takes time
            factor, constant = half, offset
        else:
            factor, constant = half[part], offset[part]
        out *= factor
        out -= constant

    return residual


def squared_error_residual(y: Vector, shares: Vector) -> Residual:
    """Return dz · share, dz = (p − y) p (1 − p) being the derivative of `squared_error`."""

    def residual(z: Vector, part: slice, out: Vector) -> None:
        p = sigmoid(z)
        np.multiply((p - y[part]) * p * (1.0 - p), shares[part], out)

    return residual


class Loss(NamedTuple):
    """A loss of one picture as a function of its z.

    Attributes
    ----------
    value : (z, y) -> (m,)
    residual : (y, shares) -> Residual
        dz, the derivative of `value` by z, times the pictures' shares in the cost.
    curvature : float
        The largest |second derivative| by z, over all z and y. It bounds the Hessian of the mean loss
        by ``curvature · X̃ X̃ᵀ / m``, X̃ being X with a row of ones.
    """

    value: Callable[[Vector, Vector], Vector]
    residual: Callable[[Vector, Vector], Residual]
    curvature: float


# p (1 − p) is at most 1/4. For the squared error and y = 0 the second derivative is
# p² (1 − p) (2 − 3p), largest at p = (15 − √33) / 24; y = 1 mirrors it.
_P_STEEPEST = (15.0 - 33.0**0.5) / 24.0

LOSSES = {
    "cross-entropy": Loss(cross_entropy, cross_entropy_residual, 0.25),
    "squared-error": Loss(
        squared_error,
        squared_error_residual,
        _P_STEEPEST**2 * (1 - _P_STEEPEST) * (2 - 3 * _P_STEEPEST),
    ),
}
