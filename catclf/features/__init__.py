"""uint8 pictures → rows of features. Has never heard of files, weights or engines.

`catclf.config.FEATURES` has all kinds, with what each needs and can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.config import FeatureKind

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]


class Features(Protocol):
    """What every kind of features can do. X is ``scale · rows(images).T``.

    Attributes
    ----------
    kind : FeatureKind
    size : int
        Side in pixels of the pictures that it takes.
    n_x : int
        Number of features of a picture.
    scale : float
    """

    @property
    def kind(self) -> FeatureKind: ...
    @property
    def size(self) -> int: ...
    @property
    def n_x(self) -> int: ...
    @property
    def scale(self) -> float: ...

    def rows(self, images: Pixels, jobs: int = 1) -> NDArray[Any]:
        """Return (m, n_x), one row a picture of `images` (m, size, size, 3)."""

    def settings(self) -> dict[str, int | float | str]:
        """What a model file says of these features, ready for JSON."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file."""


class FeaturesClass(Protocol):
    """What the class of a kind has beyond that: ways to make features."""

    def of_size(self, size: int) -> Features:
        """Make features of pictures of a size; only where nothing is learned."""

    def learn(self, images: Pixels, *, seed: int = 0, jobs: int = 1) -> Features:
        """Learn features from training pictures (m, s, s, 3); only where the kind says so."""

    def restore(self, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Features:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """


class Mapped(Features, Protocol):
    """Features whose weights are drawn as a map of the picture: `FeatureKind.drawn` is "map"."""

    def map_of(self, w: Numbers) -> Numbers:
        """Sum w (n_x,) by place: (rows, columns)."""


class Patterned(Features, Protocol):
    """Features that look for small patterns: `FeatureKind.drawn` is "patterns"."""

    def patterns(self, w: Numbers) -> tuple[Numbers, Numbers]:
        """Patterns (k, h, w, 3), of any scale around 0, and how much each speaks for z (k,)."""


class Explained(Features, Protocol):
    """Features that know their places: `FeatureKind.explained`."""

    def contributions(self, w: Numbers, image: Pixels) -> Numbers:
        """What each place of a picture (size, size, 3) adds to z: (rows, columns)."""


def checked_integer(settings: Mapping[str, Any], name: str, least: int) -> int:
    """Return a whole number among the settings of a model file; a ValueError says what it is instead."""
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"expected a {name} of at least {least}, found {value!r}")
    return value
