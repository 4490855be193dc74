"""The lecture's features: the pixels themselves, each divided by 255."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pixels:
    """x = pixels / 255, flattened in C order over (row, column, channel): n_x = 3 size².

    The rows stay uint8 and the division is left to `scale`, so that X need never exist as floats.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.

    Examples
    --------
    >>> Pixels(size=64).n_x
    12288
    """

    size: int
    name: ClassVar[str] = "pixels"
    scale: ClassVar[float] = 1.0 / 255.0
    standardised: ClassVar[bool] = False

    @classmethod
    def learn(
        cls,
        images: NDArray[np.uint8],
        train: NDArray[np.bool_] | None = None,
        *,
        seed: int = 0,
        jobs: int = 1,
    ) -> Pixels:
        """Take the size from `images` (m, s, s, 3); nothing else is learned, nothing is random.

        Other features learn from those of `train` (m,), or from all of them.
        """
        del train, seed, jobs
        return cls(images.shape[1])

    @property
    def n_x(self) -> int:
        """Number of features of a picture."""
        return 3 * self.size**2

    def rows(self, images: NDArray[np.uint8], jobs: int = 1) -> NDArray[np.uint8]:
        """Return (m, n_x) uint8, one picture a row: a view of `images` (m, size, size, 3)."""
        del jobs
        return images.reshape(len(images), self.n_x)

    @property
    def placed(self) -> int:
        """Number of features that belong to a place of the picture: all of them."""
        return self.n_x

    def by_place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum `values` (n_x,) over the colours: a map (size, size)."""
        places: NDArray[np.float64] = values.reshape(self.size, self.size, 3).sum(axis=2)
        return places

    def settings(self) -> dict[str, int | float | str]:
        """What a model file says of these features, ready for JSON."""
        return {"size": self.size}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file: none."""
        return {}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Pixels:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If a setting is missing or impossible, with what was expected and found.
        """
        size = settings.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"expected a size of at least 1, found {size!r}")
        if arrays:
            raise ValueError(f"expected no arrays of pixel features, found {', '.join(arrays)}")
        return cls(size)
