"""X as the engines take it: rows of features, wherever they are, a scale, and standardisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.config import Place
from catclf.logistic import Vector
from catclf.stores import Store

_MEASURED = 4096  # rows at a time, wherever they are: results do not depend on that


@dataclass(frozen=True)
class Standardisation:
    """x → (x − mean) / deviation: an affine change of features that folds into w and b.

    Attributes
    ----------
    mean, deviation : (n_x,) float64
        `deviation` already holds √n_x, so that a standardised picture has ‖x‖ ≈ 1 whatever n_x, and
        penalties and step sizes mean the same for every kind of features.
    """

    mean: Vector
    deviation: Vector

    @classmethod
    def fit(
        cls,
        rows: Store,
        one_scale: bool = False,
        used: NDArray[np.bool_] | None = None,
    ) -> Standardisation:
        """Measure `rows` (m, n_x), or those `used` (m,), in one pass over blocks, wherever they are.

        1 % of the mean σ is added to each σ against division by zero. With `one_scale` every number is
        divided by the same one, the root mean square of ‖row − mean‖: where pictures are few, to divide
        each by its own makes noise as loud as what matters.

        Means and variances of blocks are merged as in T. F. Chan, G. H. Golub, R. J. LeVeque, Updating
        Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979.
        """
        m, n_x = rows.shape
        tasks = []
        for start in range(0, m, _MEASURED):
            part = slice(start, min(start + _MEASURED, m))
            tasks.append((part, partial(_moments, used=None if used is None else used[part])))
        count, mean, variance = 0, np.zeros(n_x), np.zeros(n_x)
        for found, new, spread in rows.of_parts(tasks):
            share, apart = found / max(1, count + found), new - mean
            variance = variance * (1 - share) + spread * share + apart**2 * (share * (1 - share))
            mean = mean + apart * share
            count += found
        if one_scale:
            return cls(mean, np.full(n_x, math.sqrt(float(variance.sum())) or 1.0))
        sigma = np.sqrt(variance)
        floor = 0.01 * float(sigma.mean()) or 1.0  # all pictures alike: any divisor will do
        return cls(mean, (sigma + floor) * np.sqrt(n_x))

    def apply(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return the standardised rows (m, n_x) float32."""
        centred = rows - self.mean.astype(np.float32)
        centred /= self.deviation.astype(np.float32)
        return centred

    def fold(self, w: Vector, b: float) -> tuple[Vector, float]:
        """Turn parameters for standardised features into those for the features themselves."""
        folded = w / self.deviation
        return folded, b - float(folded @ self.mean)

    def unfold(self, w: Vector, b: float) -> tuple[Vector, float]:
        """Undo `fold`."""
        return w * self.deviation, b + float(w @ self.mean)


def _moments(rows: NDArray[Any], used: NDArray[np.bool_] | None) -> tuple[int, Vector, Vector]:
    """Number, mean and variance of some rows."""
    if used is not None and not used.all():
        rows = rows[used]
    if not len(rows):
        return 0, np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    return len(rows), rows.mean(axis=0, dtype=np.float64), rows.var(axis=0, dtype=np.float64)


@dataclass(frozen=True)
class Design:
    """X (n_x, m) = scale · rows.T, or those rows standardised; kept as small as it comes.

    Parameters
    ----------
    rows : Store (m, n_x) of uint8, float16, float32 or float64, C order
        One picture a row; of an array, its transpose is a free view with one picture a column.
    scale : float
        Factor from rows to X, such as 1/255 for uint8 pixels.
    standardisation : Standardisation or None
        What the rows go through first.
    """

    rows: Store
    scale: float
    standardisation: Standardisation | None = None

    def __getitem__(self, part: slice) -> NDArray[Any]:
        """Some neighbouring pictures: Xᵀ without its scale."""
        rows = self.rows[part]
        return rows if self.standardisation is None else self.standardisation.apply(rows)

    @property
    def exact(self) -> bool:
        """Whether all numbers are whole, from 0 to 255."""
        return self.standardisation is None and self.rows[:0].dtype == np.uint8

    @property
    def place(self) -> Place:
        """Where the rows are."""
        return self.rows.place

    @property
    def m(self) -> int:
        """Number of pictures."""
        return int(self.rows.shape[0])

    @property
    def n_x(self) -> int:
        """Number of features a picture."""
        return int(self.rows.shape[1])
