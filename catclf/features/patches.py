"""What a picture is made of: where small learned patterns occur, and which occur together.

The patterns come from `dictionary`, their statistics from `responses`. Nothing here fits weights or
standardises. Source: Coates, Lee & Ng 2011, "An analysis of single-layer networks in unsupervised
feature learning" (dense patches, pooled in quadrants).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from catclf.config import FEATURES, FeatureKind
from catclf.errors import ConfigError
from catclf.features import checked_integer
from catclf.features.dictionary import (
    CONTRAST,
    FILTERS,
    PATCH,
    PIXELS,
    Floats,
    Pictures,
    learn_filters,
)
from catclf.features.responses import ROW_STEP, STATISTICS, THRESHOLD, Responses, cells_of
from catclf.work.threads import ordered_map

if TYPE_CHECKING:
    from catclf.stores import Store

Numbers = NDArray[np.float64]

GRID, GRID_OF_MANY, MANY = 2, 3, 250
"""Responses are pooled over grid × grid larger cells: 3 × 3 from MANY training pictures on.

In cross-validation 3 × 3 loses half a point of accuracy on 167 pictures at 64 × 64, and gains one
on 320 at 64 × 64 and one on 792 at 32 × 32 (of the first group of features alone).
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

    A patch p (108 numbers) at each position, every ROW_STEP rows, is normalised,
    q = (p − mean p) / √(var p + CONTRAST), and a filter f of the dictionary responds z = fᵀq + f₀. With
    t = THRESHOLD, each of cells × cells boxes of the picture has four means for each filter: of
    max(z − t, 0), max(−z − t, 0), [z > t] and [−z > t]. From these there are two groups of features:

    - what is where: the means over grid × grid larger cells, triangular weights, square root; averaged
      over the picture and its mirror image, STATISTICS · FILTERS · grid² in all;
    - what goes together: in each box the square roots are projected on the principal components of
      the training pictures, and the products of every two components are averaged over the boxes;
      the root of that with its sign, COMPONENTS · (COMPONENTS + 1) in all. Even components are of the
      average of a filter and its mirror image, odd ones of half their difference: products of the one
      with the other vanish on average over a picture and its mirror image and are left out.

    A penalised regression trained on pictures and mirrored copies has symmetric weights, its cost
    being convex: mirror-invariant features give the same at half the pictures and half the n_x.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.
    grid : int
        Larger cells along each side of the picture.
    filters : (109, FILTERS) float32
        108 pixel weights and f₀, with the removal of the mean, whitening and dictionary folded in.
    centre : (STATISTICS · FILTERS,) float32
        Mean of the even local statistics over the training pictures; that of the odd ones is 0.
    components : (2, STATISTICS · FILTERS, COMPONENTS) float32
        Principal components of the even and of the odd local statistics.
    """

    size: int
    grid: int
    filters: Floats
    centre: Floats
    components: Floats
    kind: ClassVar[FeatureKind] = FEATURES["patches"]
    scale: ClassVar[float] = 1.0

    @classmethod
    def learn(
        cls,
        images: Pictures | Store,
        *,
        seed: int = 0,
        jobs: int = 1,
        grid: int | None = None,
    ) -> Patches:
        """Learn a dictionary from `images` (m, s, s, 3), m ≥ 1, wherever they are.

        Labels play no part. `grid` None follows the rule at `GRID`.

        Raises
        ------
        ConfigError
            If the pictures are smaller than a patch, or have fewer boxes than `grid` along a side.
        """
        m, size = images.shape[:2]
        if size < PATCH:
            raise ConfigError("size", size, f"must be at least {PATCH} for patch features")
        cells = cells_of(size)
        if grid is None:
            grid = min(GRID_OF_MANY if m >= MANY else GRID, cells)
        if not 1 <= grid <= cells:
            raise ConfigError("grid", grid, f"must be between 1 and {cells} for pictures of size {size}")
        filters = learn_filters(images, seed, jobs)
        few = _some(images, seed)
        return cls(size, grid, filters, *_principal_components(few, filters, jobs))

    @property
    def n_x(self) -> int:
        """Number of features of a picture."""
        return _CHANNELS * self.grid**2 + COMPONENTS * (COMPONENTS + 1)

    def rows(self, images: Pictures, jobs: int = 1) -> Floats:
        """Return (m, n_x) float32, one picture a row.

        First what is where, in C order over (row and column of the cell, statistic, filter), then the
        pairs of even and of odd components, first component first. The numbers of a picture depend
        neither on `jobs` nor on the pictures around it. The threads are over pictures: for speed,
        BLAS should have one only (``OPENBLAS_NUM_THREADS=1``).

        Parameters
        ----------
        images : (m, size, size, 3) uint8
        jobs : int
            Number of threads.
        """
        responses = self._responses
        weights = _pooling(responses.cells, self.grid)
        rows = np.empty((len(images), self.n_x), np.float32)

        def encode(first: int) -> None:
            last = first
            for means, parities in responses.maps(images[first : first + _TASK]):
                some = slice(last, last := last + len(means))
                rows[some, : self.placed] = _where(means, weights, self.grid)
                rows[some, self.placed :] = _together(parities, self.centre, self.components)

        for _ in ordered_map(encode, range(0, len(images), _TASK), jobs):
            pass
        return rows

    @cached_property
    def _responses(self) -> Responses:
        return Responses(self.size, self.filters)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the buffers: in a copy their parts would not share memory any more."""
        return {name: value for name, value in self.__dict__.items() if name != "_responses"}

    @property
    def placed(self) -> int:
        """Number of features that belong to a cell of the grid; they come first."""
        return _CHANNELS * self.grid**2

    def contributions(self, w: Numbers, image: Pictures, w_mean: float) -> Numbers:
        """w ⊙ x of the placed features, summed over statistics and filters: a map (grid, grid)."""
        del w_mean
        return self.by_place(w * self.rows(image[None])[0])

    def by_place(self, values: Numbers) -> Numbers:
        """Sum the placed ones of `values` (n_x,) over statistics and filters: (grid, grid)."""
        cells: Numbers = values[: self.placed].reshape(self.grid, self.grid, -1).sum(axis=2)
        return cells

    def patterns(self, w: Numbers) -> tuple[Numbers, Numbers]:
        """Patterns of the dictionary, then their negatives, and the mean weight of their strength.

        A response below 0 is that of the negative.
        """
        patterns = self.filters[:PIXELS].T.reshape(FILTERS, PATCH, PATCH, 3).astype(np.float64)
        strength = w[: self.placed].reshape(self.grid**2, STATISTICS, FILTERS)[:, :2]
        return np.concatenate([patterns, -patterns]), strength.mean(axis=0).ravel()

    def settings(self) -> dict[str, Any]:
        """What a model file says of these features, ready for JSON."""
        return {"size": self.size, "grid": self.grid} | _not_chosen(self.size)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file."""
        return {name: getattr(self, name) for name in _SHAPES}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Patches:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """
        grid = checked_integer(settings, "grid", 1)
        size = checked_integer(settings, "size", PATCH)
        if grid > cells_of(size):
            raise ValueError(f"expected a grid of at most {cells_of(size)}, found {grid}")
        for name, expected in _not_chosen(size).items():
            if settings.get(name) != expected:
                raise ValueError(f"expected {name} = {expected}, found {settings.get(name)!r}")
        if set(arrays) != set(_SHAPES):
            found = ", ".join(sorted(arrays)) or "none"
            raise ValueError(f"expected the arrays {', '.join(_SHAPES)}; found {found}")
        return cls(size, grid, *(_checked_array(name, arrays[name]) for name in _SHAPES))


def _not_chosen(size: int) -> dict[str, int | float | str]:
    """Settings by which a model file shows that it was made by the same rules."""
    return {
        "patch": PATCH,
        "row_step": ROW_STEP,
        "cells": cells_of(size),
        "contrast": CONTRAST,
        "threshold": THRESHOLD,
    }


_SHAPES = {
    "filters": (PIXELS + 1, FILTERS),
    "centre": (_CHANNELS,),
    "components": (2, _CHANNELS, COMPONENTS),
}


def _checked_array(name: str, array: NDArray[Any]) -> Floats:
    shape = _SHAPES[name]
    if array.dtype != np.float32 or array.shape != shape:
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"expected {name} of float32 {shape}, found {found}")
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise ValueError(f"expected finite {name}, found {wrong} numbers that are not")
    return array


def _pooling(cells: int, grid: int) -> Floats:
    """Weights (grid², cells²) of the boxes in each larger cell; every row sums to 1.

    A product of triangles along rows and columns: 1 at the centre, 0 at the next centre.
    """
    position = (np.arange(cells) + 0.5) / cells
    centre = (np.arange(grid) + 0.5) / grid
    hats = np.maximum(1 - grid * np.abs(position[:, None] - centre), 0)  # (cells, grid)
    hats /= hats.sum(axis=0)
    return np.kron(hats, hats).T.astype(np.float32)


# The next two functions take what `Responses.maps` gives of some pictures. Stacked matrix products are
# made one by one, so pictures do not mix.


def _where(means: Floats, weights: Floats, grid: int) -> Floats:
    """Square roots of pooled `means`, averaged with those of the mirror image."""
    roots = np.sqrt(weights @ means.reshape(len(means), -1, 2 * _CHANNELS))
    cells = roots.reshape(-1, grid, grid, 2, _CHANNELS)
    features: Floats = (cells[:, :, :, 0] + cells[:, :, ::-1, 1]) * np.float32(0.5)
    return features.reshape(len(means), -1)


def _together(parities: Floats, centre: Floats, components: Floats) -> Floats:
    """Signed roots of the mean products of every two components, even pairs first.

    Takes `centre` from the even part of `parities` (2, pictures, cells², STATISTICS · FILTERS) in place.
    """
    parities[0] -= centre
    products = []
    for part, directions in zip(parities, components, strict=True):
        scores = part @ directions  # (pictures, cells², COMPONENTS)
        pairs = (scores.transpose(0, 2, 1) @ scores)[:, *_PAIRS]
        products.append(pairs / np.float32(scores.shape[1]))
    both = np.concatenate(products, axis=1)
    features: Floats = np.copysign(np.sqrt(np.abs(both)), both)
    return features


def _some(images: Pictures | Store, seed: int) -> Pictures:
    """At most LOCAL_PICTURES of `images`, in their order."""
    m = images.shape[0]
    if m <= LOCAL_PICTURES:
        return images[:]
    chosen = np.random.default_rng(seed).choice(m, LOCAL_PICTURES, replace=False)
    return np.concatenate([images[k : k + 1] for k in np.sort(chosen).tolist()])


def _principal_components(images: Pictures, filters: Floats, jobs: int) -> tuple[Floats, Floats]:
    """Centre (channels,) and components (2, channels, COMPONENTS) of the local statistics."""
    responses = Responses(images.shape[1], filters)

    def moments(first: int) -> tuple[Any, Any]:
        total, products = np.zeros(_CHANNELS), np.zeros((2, _CHANNELS, _CHANNELS))
        for _, parities in responses.maps(images[first : first + _TASK]):
            parts = parities.reshape(2, -1, _CHANNELS)
            total += parts[0].sum(axis=0)
            products += parts.transpose(0, 2, 1) @ parts
        return total, products

    total, products = np.zeros(_CHANNELS), np.zeros((2, _CHANNELS, _CHANNELS))
    for some_total, some_products in ordered_map(moments, range(0, len(images), _TASK), jobs):
        total += some_total
        products += some_products
    count = len(images) * responses.cells**2
    centre = total / count
    products[0] -= count * np.outer(centre, centre)
    axes = np.linalg.eigh(products / count).eigenvectors[..., ::-1]  # largest variance first
    components = np.ascontiguousarray(axes[..., :COMPONENTS], dtype=np.float32)
    return centre.astype(np.float32), components
