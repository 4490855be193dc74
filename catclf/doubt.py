"""How much a label is to be doubted: scores of pictures left out, and how many labels are wrong.

Knows no files and no features; rows come as the Gram matrix of the pictures.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.folds import Groups
from catclf.logistic import Vector, sigmoid

PENALTY = 0.5
"""λ of the sum of losses, for rows whose mean squared length is 1. More than for predicting: a model
that follows single labels believes the wrong ones."""

_LIGHT = 0.03

_BIAS = 100.0
"""b is the weight of a constant of this square, so that its penalty is next to nothing."""

_STEPS = 50
_TOLERANCE = 1e-8
_LEAST_WEIGHT = 1e-10  # p (1 − p)


def left_out_scores(gram: NDArray[np.float64], y: Vector, groups: Groups) -> Vector:
    """Scores of the pictures by models that have not seen them nor their groups.

    One model of all pictures is fitted by Newton's method. Then what it would be without a group G
    follows without fitting again, from the last step's weighted least squares:

        z_G = r_G − (A_GG)⁻¹ (A r)_G,    A = (K + λ W⁻¹)⁻¹,    r = z + (y − p) / W,    W = p (1 − p)

    That is exact for least squares (R. D. Cook, S. Weisberg, Residuals and Influence in Regression,
    1982, 2.2), and here but for what would become of W.

    Parameters
    ----------
    gram : (m, m) float64
        K = XᵀX, without the bias.
    y : (m,) float64, 0 or 1
    groups : (m,) intp
        Pictures with the same number are left out together.

    Returns
    -------
    (m,) float64
        z of each picture.
    """
    _, inverse, response = _fitted(gram + _BIAS, y, PENALTY)
    residual = inverse @ response
    left_out = response - residual / np.diag(inverse)
    _, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
    for number in np.flatnonzero(counts > 1).tolist():
        group = np.flatnonzero(numbers == number)
        left_out[group] = response[group] - np.linalg.solve(
            inverse[np.ix_(group, group)], residual[group]
        )
    return left_out


def fitted_scores(
    rows: NDArray[Any], y: Vector, others: NDArray[Any], penalty: float | None = None
) -> Vector:
    """Scores of other pictures by a model of few, fitted by Newton's method in as many dimensions.

    Parameters
    ----------
    rows : (m, n_x)
        Of mean squared length 1, about.
    y : (m,) float64, 0 or 1
    others : (k, n_x)
    penalty : float or None
        λ of the sum of losses; None is that of the network's features.

    Returns
    -------
    (k,) float64
    """
    x = rows.astype(np.float64)
    _, inverse, response = _fitted(
        x @ x.T + _BIAS, y, _LIGHT * min(1.0, len(y) / 300) if penalty is None else penalty
    )
    a = inverse @ response
    z: Vector = others @ (a @ x) + _BIAS * a.sum()
    return z


def _fitted(
    k: NDArray[np.float64], y: Vector, penalty: float
) -> tuple[Vector, NDArray[np.float64], Vector]:
    """z at the optimum, with A and r there."""
    z = np.zeros(len(y))
    for _ in range(_STEPS):
        inverse, response = _weighted(k, z, y, penalty)
        before, z = z, k @ (inverse @ response)
        if np.abs(z - before).max() <= _TOLERANCE * max(1.0, np.abs(z).max()):
            break
    return z, *_weighted(k, z, y, penalty)


def _weighted(
    k: NDArray[np.float64], z: Vector, y: Vector, penalty: float
) -> tuple[NDArray[np.float64], Vector]:
    """A and r at the scores z."""
    p = sigmoid(z)
    weights = np.maximum(p * (1 - p), _LEAST_WEIGHT)
    root = np.sqrt(weights)
    # (K + λ W⁻¹)⁻¹ = S (λ I + S K S)⁻¹ S with S = √W, whose inner matrix is well conditioned.
    inner = root[:, None] * k * root
    inner[np.diag_indices_from(inner)] += penalty
    inverse = root[:, None] * np.linalg.inv(inner) * root
    return inverse, z + (y - p) / weights


class Errors(NamedTuple):
    """What the scores say of the labels as a whole.

    Attributes
    ----------
    share : float
        Of the labels, that are wrong.
    doubts : (m,) float64
        Probability of each label to be wrong.
    accuracy : float
        Of the scores, where labels are right.
    """

    share: float
    doubts: Vector
    accuracy: float


def label_errors(margins: Vector) -> Errors:
    """Estimate how many labels are wrong, from the scores that speak for them.

    A label is right with the probability 1 − ε, and then has the probability q = σ(s g), g being its
    margin; or it is wrong, and has 1 − q. ε and s are those of the largest likelihood, by EM.

    Parameters
    ----------
    margins : (m,) float64
        z of pictures of the positive class, −z of others, by a model that has not seen them.
    """
    share, scale = 0.05, 1.0
    for _ in range(500):
        q = sigmoid(scale * margins)
        wrong = share * (1 - q) / np.maximum((1 - share) * q + share * (1 - q), 1e-300)
        new = float(wrong.mean())
        scale = _scale(margins, 1 - 2 * wrong, scale)
        done = abs(new - share) <= 1e-7
        share = new
        if done:
            break
    right = 1 - wrong
    return Errors(share, wrong, float(right[margins > 0].sum() / max(right.sum(), 1e-300)))


def _scale(margins: Vector, signs: Vector, scale: float) -> float:
    """Step s by Newton's method towards what fits labels that are right with these signs' shares."""
    right = (1 + signs) / 2
    for _ in range(20):
        q = sigmoid(scale * margins)
        slope = float((margins * (right - q)).sum())
        bend = float((margins**2 * q * (1 - q)).sum()) + 1e-12
        step = float(np.clip(slope / bend, -0.5 * scale, scale))
        scale = min(max(scale + step, 1e-3), 1e3)
        if abs(step) <= 1e-9 * scale:
            break
    return scale


def margins_of(scores: Vector, y: Vector) -> Vector:
    """How much scores speak for the labels given: z, or −z where y is 0."""
    return np.where(y > 0.5, scores, -scores)
