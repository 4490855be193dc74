"""The pictures of an evaluation that are worth looking at. Draws nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from catclf.images.picture import Pixels
from catclf.logistic import sigmoid

SHOWN = 12
"""Pictures of a kind."""


class Shot(NamedTuple):
    """A picture to be shown.

    Attributes
    ----------
    position : int
        In the data that is evaluated.
    thumbnail : (h, w, 3) uint8
    """

    position: int
    thumbnail: Pixels


class Gallery:
    """Keeps the worst mistakes and the most doubtful of a stream of pictures, and forgets the others.

    Attributes
    ----------
    worst : list of Shot
        Pictures that are called wrong, most surely wrong first.
    doubtful : list of Shot
        Nearest to the threshold first.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._worst: list[tuple[float, Shot]] = []
        self._doubtful: list[tuple[float, Shot]] = []

    def add(self, position: int, y: float, z: float, thumbnail: Pixels) -> None:
        """Look at a picture with its label and its score z."""
        shot, (p,) = Shot(position, thumbnail), sigmoid(np.array([z]))
        if (p >= self._threshold) != (y == 1):
            _keep(self._worst, z if y == 1 else -z, shot)
        _keep(self._doubtful, abs(float(p) - self._threshold), shot)

    @property
    def worst(self) -> list[Shot]:
        """See `Gallery`."""
        return [shot for _, shot in self._worst]

    @property
    def doubtful(self) -> list[Shot]:
        """See `Gallery`."""
        return [shot for _, shot in self._doubtful]


def _keep(shots: list[tuple[float, Shot]], rank: float, shot: Shot) -> None:
    """Keep the `SHOWN` of the lowest ranks, in order; of equal ones the first."""
    if len(shots) < SHOWN or rank < shots[-1][0]:
        shots.append((rank, shot))
        shots.sort(key=lambda ranked: (ranked[0], ranked[1].position))
        del shots[SHOWN:]
