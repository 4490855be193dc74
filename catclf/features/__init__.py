"""uint8 pictures → rows of features. Has never heard of files, weights or engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.features.pixels import Pixels


class Features(Protocol):
    """What every kind of features can do. X is ``scale · rows(images).T``.

    ``standardised`` says whether the rows are to be centred and scaled before they are fitted.
    The other members are described at `catclf.features.pixels.Pixels`.
    """

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def n_x(self) -> int: ...
    @property
    def scale(self) -> float: ...
    @property
    def standardised(self) -> bool: ...
    @property
    def placed(self) -> int: ...
    def by_place(self, values: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def rows(self, images: NDArray[np.uint8], jobs: int = 1) -> NDArray[Any]: ...
    def settings(self) -> dict[str, int | float | str]: ...
    def arrays(self) -> dict[str, NDArray[Any]]: ...


class FeatureKind(Protocol):
    """How features come into being: learned from training pictures, or restored from a model."""

    def learn(
        self,
        images: NDArray[np.uint8],
        train: NDArray[np.bool_] | None = None,
        *,
        seed: int = 0,
        jobs: int = 1,
    ) -> Features: ...
    def restore(self, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Features: ...


class _Patches:
    """`Patches`, imported only where they are used: that takes time."""

    @staticmethod
    def learn(
        images: NDArray[np.uint8],
        train: NDArray[np.bool_] | None = None,
        *,
        seed: int = 0,
        jobs: int = 1,
    ) -> Features:
        from catclf.features.patches import Patches

        return Patches.learn(images, train, seed=seed, jobs=jobs)

    @staticmethod
    def restore(settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Features:
        from catclf.features.patches import Patches

        return Patches.restore(settings, arrays)


FEATURES: dict[str, FeatureKind] = {"pixels": Pixels, "patches": _Patches}
