"""X as the engines take it: rows of features, in memory or made when they are asked for, and a scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Vector


class Rows(Protocol):
    """Rows that need not be in memory: an array, or what gives arrays of some neighbouring rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, part: slice, /) -> NDArray[Any]: ...


class Encoded:
    """Rows that are made of pictures whenever they are asked for.

    Parameters
    ----------
    images : Rows (m, s, s, 3)
    encode : (images) -> rows
        For some of them.
    """

    def __init__(self, images: Rows, encode: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self.shape = (images.shape[0], *encode(images[:0]).shape[1:])
        self._images = images
        self._encode = encode

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        return self._encode(self._images[part])


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of several sources, one after the other: in memory if all of them are."""
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    return np.concatenate(arrays) if len(arrays) == len(parts) else _Joined(parts)


class _Joined:
    def __init__(self, parts: Sequence[Rows]) -> None:
        self.shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        self._parts = parts

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        start, stop, _ = part.indices(self.shape[0])
        found = []
        for rows in self._parts:
            m = rows.shape[0]
            if start < m and stop > 0:
                found.append(rows[max(start, 0) : min(stop, m)])
            start, stop = start - m, stop - m
        return found[0] if len(found) == 1 else np.concatenate(found or [self._parts[0][:0]])


@dataclass(frozen=True)
class Design:
    """X (n_x, m) = scale · rows.T, kept as small as it comes.

    Parameters
    ----------
    rows : (m, n_x) uint8, float32 or float64, C order
        One picture a row; of an array, ``rows.T`` is a free view with one picture a column.
    scale : float
        Factor from rows to X, such as 1/255 for uint8 pixels.
    """

    rows: Rows
    scale: float

    @property
    def m(self) -> int:
        """Number of pictures."""
        return int(self.rows.shape[0])

    @property
    def n_x(self) -> int:
        """Number of features a picture."""
        return int(self.rows.shape[1])


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
    def fit(cls, rows: NDArray[Any]) -> Standardisation:
        """Measure `rows` (m, n_x); 1 % of the mean σ is added to each σ against division by zero."""
        mean = rows.mean(axis=0, dtype=np.float64)
        sigma = rows.std(axis=0, dtype=np.float64)
        floor = 0.01 * float(sigma.mean()) or 1.0  # all pictures alike: any divisor will do
        return cls(mean, (sigma + floor) * np.sqrt(rows.shape[1]))

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
