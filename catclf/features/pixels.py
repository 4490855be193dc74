"""The lecture's features: the pixels themselves, each divided by 255."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from catclf.config import FEATURES, FeatureKind
from catclf.features import checked_integer
from catclf.features.onnx_graph import Graph

Numbers = NDArray[np.float64]


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
    kind: ClassVar[FeatureKind] = FEATURES["pixels"]
    scale: ClassVar[float] = 1.0 / 255.0

    @classmethod
    def of_size(cls, size: int) -> Pixels:
        """Nothing is learned."""
        return cls(size)

    @property
    def n_x(self) -> int:
        """Number of features of a picture."""
        return 3 * self.size**2

    def rows(self, images: NDArray[np.uint8], jobs: int = 1) -> NDArray[np.uint8]:
        """Return (m, n_x) uint8, one picture a row: a view of `images` (m, size, size, 3)."""
        del jobs
        return images.reshape(len(images), self.n_x)

    def export(self, graph: Graph, pixels: str) -> str:
        """Add nodes that flatten pixels (1, 3, size, size) as `rows` does; the scale is left out."""
        last = graph.add("Transpose", pixels, perm=[0, 2, 3, 1])
        return graph.add("Reshape", last, graph.whole(1, self.n_x))

    def map_of(self, w: Numbers) -> Numbers:
        """Sum `w` (n_x,) over the colours: a map (size, size)."""
        places: Numbers = w.reshape(self.size, self.size, 3).sum(axis=2)
        return places

    def contributions(self, w: Numbers, image: NDArray[np.uint8], w_mean: float) -> Numbers:
        """w ⊙ x, summed over the colours: a map (size, size) that adds up to z − b."""
        del w_mean
        return self.map_of(w * (image.reshape(-1) * self.scale))

    def settings(self) -> dict[str, Any]:
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
        size = checked_integer(settings, "size", 1)
        if arrays:
            raise ValueError(f"expected no arrays of pixel features, found {', '.join(arrays)}")
        return cls(size)
