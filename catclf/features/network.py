"""What a pretrained network makes of a picture: a linear probe is logistic regression on such numbers.

The network stays as it is. Nothing is learned from the pictures, downloaded or written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from catclf.config import FEATURES, FeatureKind, ReadOptions
from catclf.errors import ConfigError, DataError
from catclf.features import encoder
from catclf.features.encoder import Encoder
from catclf.features.onnx_graph import Graph
from catclf.view import RgbArray, View

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """Rows (n_x,) float16 that a frozen network makes of pictures.

    Each picture is run by itself, so its row does not depend on others or on the number of cores; on
    another machine the last bits may differ.

    Parameters
    ----------
    encoder : Encoder
    """

    encoder: Encoder
    kind: ClassVar[FeatureKind] = FEATURES["network"]
    scale: ClassVar[float] = 1.0

    @classmethod
    def chosen(cls, read: ReadOptions) -> Network:
        """Make what the options say; see `catclf.features.encoder.chosen` for what may be wrong."""
        return cls(encoder.chosen(_path(read), read.size, read.encoder_output))

    @property
    def view(self) -> View:
        """What the network sees of a picture."""
        return self.encoder.view

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return self.view.side

    @property
    def n_x(self) -> int:
        """Numbers of a picture."""
        return self.encoder.n_x

    @property
    def wants_file(self) -> bool:
        """Whether the network is not the package's, or the package is not installed."""
        return not (self.encoder.is_built_in and encoder.is_installed())

    def of_small(self, side: int) -> Network:
        """Return the same for a model of pictures up to `side`: larger ones are shrunk to it first."""
        return Network(replace(self.encoder, view=self.view._replace(through=side)))

    def at_hand(self, read: ReadOptions) -> Network:
        """Return the same, ready to make rows; see `Encoder.from_file` for what may be wrong."""
        return Network(self.encoder.from_file(_path(read), read.encoder_output))

    def carried(self) -> Network:
        """Return the same with the file of the network, for a machine that does not have it."""
        return Network(self.encoder.carried())

    def rows(self, images: RgbArray, jobs: int = 1) -> NDArray[np.float16]:
        """Return (m, n_x) float16, one picture a row, of `images` (m, size, size, 3).

        Raises
        ------
        DataError
            If the network gives another number of numbers, or some that are not finite as float16.
        """
        del jobs
        rows = np.empty((len(images), self.n_x), np.float16)
        for k, image in enumerate(images):
            found = self.encoder.row(image)
            if found.shape != (self.n_x,):
                reason = f"gives {len(found)} numbers for a picture; expected {self.n_x}"
                raise DataError(self.encoder.network, reason)
            with np.errstate(over="ignore"):
                rows[k] = found
            if not np.isfinite(rows[k]).all():
                reason = "gives numbers for a picture that are not finite or are beyond ±65504"
                raise DataError(self.encoder.network, reason)
        return rows

    def export(self, graph: Graph, pixels: str) -> str:
        """Add the network, and the rounding of its row to float16."""
        row = self.encoder.export(graph, pixels)
        return graph.cast(graph.cast(row, np.float16), np.float32)

    def contributions(self, w: Numbers, image: RgbArray, w_mean: float) -> Numbers:
        """What each place adds to z beyond what it adds in the mean training picture, (rows, columns).

        wᵀ(map − μ) / places: with b + wᵀμ these add up to z, up to the rounding of rows.

        Raises
        ------
        ConfigError
            If the network's output has no places.
        """
        places = self.encoder.map(image)
        if places is None:
            found = f"{self.encoder.output} of {self.encoder.network}"
            raise ConfigError(
                "explain", found, "cannot be explained: this output has no places in the picture"
            )
        added: Numbers = (places.astype(np.float64) @ w - w_mean) / (places.shape[0] * places.shape[1])
        return added

    def settings(self) -> dict[str, Any]:
        """What a model file says of these features, ready for JSON."""
        return self.encoder.settings()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file: none."""
        return {}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Network:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """
        if arrays:
            raise ValueError(f"expected no arrays of network features, found {', '.join(arrays)}")
        return cls(Encoder.restore(settings))


def _path(read: ReadOptions) -> str | None:
    return None if read.encoder is None else os.fspath(read.encoder)
