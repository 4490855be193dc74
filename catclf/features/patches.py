"""What a picture is made of: how often, where and how strongly small learned patterns occur in it,
and which of them occur together.

The patterns come from `dictionary`, their statistics from `responses`. Nothing here fits weights or
standardises. Source: Coates, Lee & Ng 2011, "An analysis of single-layer networks in unsupervised
feature learning" (dense patches, pooled in quadrants).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from catclf.errors import ConfigError
from catclf.features.dictionary import (
    CONTRAST,
    FILTERS,
    PATCH,
    PIXELS,
    Floats,
    Pictures,
    learn_filters,
)
from catclf.features.responses import CELLS, STATISTICS, THRESHOLD, Responses
from catclf.parallel import ordered_map

GRID, GRID_OF_MANY, MANY = 2, 3, 250
"""Responses are pooled over grid × grid overlapping cells: 3 × 3 from MANY training pictures on.

In cross-validation 3 × 3 loses half a point of accuracy on 167 pictures at 64 × 64, and gains one
on 320 at 64 × 64 and one on 792 at 32 × 32.
"""
COMPONENTS = 32
"""Principal components of the local statistics, of either parity, whose products are pooled."""
LOCAL_PICTURES = 1000
"""The components are learned from at most so many training pictures."""

_TASK = 16  # pictures a thread takes at a time
_CHANNELS = STATISTICS * FILTERS
_PAIRS = np.triu_indices(COMPONENTS)


@dataclass(frozen=True, eq=False)
class Patches:
    """Pooled responses of a learned dictionary, the same for a picture and its mirror image.

    A patch p (108 numbers) at each position is normalised, q = (p − mean p) / √(var p + CONTRAST),
    and a filter f of the dictionary responds z = fᵀq + f₀. With t = THRESHOLD and means taken over all
    positions with the triangular weights of a cell, a picture has for a filter and a cell ::

        √mean(max(z − t, 0))   √mean(max(−z − t, 0))   √mean([z > t])   √mean([−z > t])

    and a feature is the average of such a number over the picture and its mirror image. A penalised
    regression trained on pictures and mirrored copies has symmetric weights, its cost being convex;
    so these features lose nothing against it, with half the pictures and half the n_x.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.
    grid : int
        Cells along each side of the picture.
    filters : (109, FILTERS) float32
        108 pixel weights and f₀, with the removal of the mean, whitening and dictionary folded in.
    """

    size: int
    grid: int
    filters: Floats
    name: ClassVar[str] = "patches"
    scale: ClassVar[float] = 1.0
    standardised: ClassVar[bool] = True
    mirror_invariant: ClassVar[bool] = True

    @classmethod
    def learn(
        cls, images: Pictures, *, seed: int = 0, jobs: int = 1, grid: int | None = None
    ) -> Patches:
        """Learn a dictionary from the training pictures `images` (m, s, s, 3), m ≥ 1.

        Labels play no part. `grid` None follows the rule at `GRID`.

        Raises
        ------
        ConfigError
            If the pictures are smaller than a patch, or have fewer positions than cells.
        """
        m, size = images.shape[:2]
        if size < PATCH:
            raise ConfigError("size", size, f"at least {PATCH} for patch features")
        side = size - PATCH + 1
        if grid is None:
            grid = min(GRID_OF_MANY if m >= MANY else GRID, side)
        if not 1 <= grid <= side:
            raise ConfigError("grid", grid, f"between 1 and {side} for pictures of size {size}")
        return cls(size, grid, learn_filters(images, seed, jobs))

    @property
    def n_x(self) -> int:
        """Number of features of a picture."""
        return _STATISTICS * FILTERS * self.grid**2

    def rows(self, images: Pictures, jobs: int = 1) -> Floats:
        """Return (m, n_x) float32, one picture a row, in C order over (statistic, filter, cell).

        The numbers of a picture depend neither on `jobs` nor on the pictures around it. The threads
        are over pictures: for speed, BLAS should have one only (``OPENBLAS_NUM_THREADS=1``).

        Parameters
        ----------
        images : (m, size, size, 3) uint8
        jobs : int
            Number of threads.
        """
        encoder = _Encoder(self.size, self.grid, self.filters)
        rows = np.empty((len(images), self.n_x), np.float32)

        def encode(first: int) -> None:
            encoder.encode(images[first : first + _TASK], rows[first : first + _TASK])

        for _ in ordered_map(encode, range(0, len(images), _TASK), jobs):
            pass
        return rows

    def settings(self) -> dict[str, int | float | str]:
        """What a model file says of these features, ready for JSON."""
        return {"size": self.size, "grid": self.grid} | _CONSTANTS

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file."""
        return {"filters": self.filters}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Patches:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """
        grid = _checked_integer(settings, "grid", 1)
        size = _checked_integer(settings, "size", PATCH + grid - 1)
        for name, expected in _CONSTANTS.items():
            if settings.get(name) != expected:
                raise ValueError(f"expected {name} = {expected}, found {settings.get(name)!r}")
        if set(arrays) != {"filters"}:
            found = ", ".join(sorted(arrays)) or "none"
            raise ValueError(f"expected one array of patch features, filters; found {found}")
        return cls(size, grid, _checked_filters(arrays["filters"]))


_CONSTANTS: dict[str, int | float | str] = {
    "patch": PATCH,
    "contrast": CONTRAST,
    "threshold": THRESHOLD,
}


def _checked_integer(settings: Mapping[str, Any], name: str, least: int) -> int:
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"expected a {name} of at least {least}, found {value!r}")
    return value


def _checked_filters(filters: NDArray[Any]) -> Floats:
    shape = (PIXELS + 1, FILTERS)
    if filters.dtype != np.float32 or filters.shape != shape:
        found = f"{filters.dtype} {filters.shape}"
        raise ValueError(f"expected filters of float32 {shape}, found {found}")
    if not np.isfinite(filters).all():
        count = int((~np.isfinite(filters)).sum())
        raise ValueError(f"expected finite filters, found {count} numbers that are not")
    return filters


