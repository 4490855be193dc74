"""uint8 pictures → rows of features. Has never heard of files, weights or engines.

`catclf.config.FEATURES` has all kinds, with what each needs and can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from catclf.config import FeatureKind, ReadOptions
from catclf.view import RgbArray, View

if TYPE_CHECKING:
    from catclf.features.onnx_graph import Graph
    from catclf.stores import Store

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

    def rows(self, images: RgbArray, jobs: int = 1) -> NDArray[Any]:
        """Return (m, n_x), one row a picture of `images` (m, size, size, 3)."""

    def settings(self) -> dict[str, Any]:
        """What a model file says of these features, ready for JSON."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file."""


class FeaturesClass(Protocol):
    """What the class of a kind has beyond that: ways to make features."""

    def of_size(self, size: int) -> Features:
        """Make features of pictures of a size; where nothing is learned and no view is their own."""

    def chosen(self, read: ReadOptions) -> Viewing:
        """Make features that say how a picture is cut; only where `FeatureKind.own_view`."""

    def learn(self, images: RgbArray | Store, *, seed: int = 0, jobs: int = 1) -> Features:
        """Learn features from training pictures (m, s, s, 3); only where the kind says so.

        They come as a store, of which slices can be asked for, where `FeatureKind.learns_from_files`.
        """

    def restore(self, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Features:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """


class Viewing(Features, Protocol):
    """Features that say themselves how a picture is cut and resized: `FeatureKind.own_view`."""

    @property
    def view(self) -> View: ...

    @property
    def wants_file(self) -> bool:
        """Whether somebody has to name a file before rows can be made."""

    def of_small(self, side: int) -> Viewing:
        """Return the same for a model of pictures up to `side`: larger ones are shrunk to it first."""

    def at_hand(self, read: ReadOptions) -> Viewing:
        """Return the same, ready to make rows, or raise what is missing for that."""

    def carried(self) -> Viewing:
        """Return the same with all that it needs on another machine, beside installed packages."""


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

    def contributions(self, w: Numbers, image: RgbArray, w_mean: float) -> Numbers:
        """What each place of a picture (size, size, 3) adds to z: (rows, columns).

        `w_mean` is wᵀμ, μ being the mean row of the training pictures, for features that are compared
        with it.
        """


class Placed(Features, Protocol):
    """Features of which each belongs to a place: `FeatureKind.explained` is "beside"."""

    def by_place(self, values: Numbers) -> Numbers:
        """Sum numbers (n_x,) by place: (rows, columns)."""


class Exported(Features, Protocol):
    """Features that can be nodes of an ONNX graph: `FeatureKind.exported`."""

    def export(self, graph: Graph, pixels: str) -> str:
        """Add what makes a row (1, n_x) float32 of pixels (1, 3, size, size), and return its name.

        Raises
        ------
        DataError
            If the file of a network cannot be put into another.
        """


def view_of(features: Features) -> View:
    """What features see of a picture."""
    return cast(Viewing, features).view if features.kind.own_view else View(features.size)


def remembering(features: Viewing, largest: int) -> Viewing:
    """Have features remember small pictures, the largest of whose shorter sides is given.

    If all are smaller than what the network takes, a model of them shrinks larger ones to their size.
    """
    return features.of_small(largest) if 0 < largest < features.view.needed else features


def wants_file(features: Features) -> bool:
    """Whether somebody has to name a file before these features can make rows."""
    return features.kind.own_view and cast(Viewing, features).wants_file


def carried(features: Features) -> Features:
    """Return the same with all that it needs on another machine, beside installed packages."""
    return cast(Viewing, features).carried() if features.kind.own_view else features


def checked_integer(settings: Mapping[str, Any], name: str, least: int, most: int | None = None) -> int:
    """Return a whole number among the settings of a model file; a ValueError says what it is instead."""
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"expected a {name} of at least {least}, found {value!r}")
    if most is not None and value > most:
        raise ValueError(f"expected a {name} of at most {most}, found {value!r}")
    return value
