"""The lecture's algorithm as loops over single pictures: the oracle. Imports nothing of the package."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Row(NamedTuple):
    """One point of the descent and what was measured there."""

    cost: float
    gradient_norm: float
    step_norm: float
    w: Vector
    b: float


def descend(
    X: Vector,
    y: Vector,
    *,
    loss: str,
    rate: float,
    updates: int,
    l2: float = 0.0,
    momentum: float = 0.0,
    shares: Vector | None = None,
    w0: Vector | None = None,
    b0: float = 0.0,
) -> list[Row]:
    """Return the points before each of the `updates` and after the last; X is (n_x, m)."""
    n_x, m = X.shape
    w, b = (np.zeros(n_x) if w0 is None else w0.copy()), b0
    plain_w, plain_b = w, b  # the last point without momentum
    cost_before, step_norm = math.inf, math.nan
    rows = []
    for update in range(updates + 1):
        J, dw, db = 0.0, np.zeros(n_x), 0.0  # again in every repetition
        for i in range(m):
            share = 1 / m if shares is None else float(shares[i])
            x, yi = X[:, i], float(y[i])
            z = sum(float(wj) * float(xj) for wj, xj in zip(w, x, strict=True)) + b
            p = 1 / (1 + math.exp(-z))
            if loss == "cross-entropy":
                J += -share * (yi * math.log(p) + (1 - yi) * math.log(1 - p))
                dz = p - yi
            else:
                J += share * (p - yi) ** 2 / 2
                dz = (p - yi) * p * (1 - p)
            dw += share * dz * x
            db += share * dz
        J += l2 / 2 * float(np.sum(w**2))
        dw += l2 * w
        norm = math.sqrt(float(np.sum(dw**2)) + db**2)
        rows.append(Row(J, norm, step_norm, w, b))
        if update == updates:
            break
        next_w, next_b = w - rate * dw, b - rate * db
        beta = momentum if cost_before >= J else 0.0
        new_w, new_b = next_w + beta * (next_w - plain_w), next_b + beta * (next_b - plain_b)
        step_norm = math.sqrt(float(np.sum((new_w - w) ** 2)) + (new_b - b) ** 2)
        plain_w, plain_b, w, b, cost_before = next_w, next_b, new_w, new_b, J
    return rows


def balanced_shares(y: Vector) -> Vector:
    """Half of the cost for each class."""
    return np.array([0.5 / np.count_nonzero(y == label) for label in y])


def labels(m: int, seed: int = 0) -> Vector:
    """About a third ones, at least one of each value, in random places: (m,)."""
    y = np.zeros(m)
    y[: max(1, m // 3)] = 1
    return np.random.default_rng(seed).permutation(y)


def pictures(m: int, size: int = 4, seed: int = 0) -> tuple[NDArray[np.uint8], Vector]:
    """Noise, in which the left half of a picture with y = 1 is somewhat brighter, and the labels."""
    y = labels(m, seed)
    noise = np.random.default_rng(seed).integers(0, 200, (m, size, size, 3))
    noise[y == 1, :, : size // 2] += 50
    return noise.astype(np.uint8), y
