"""Pictures unlike all others, or unlike those of a training: by rows that tell, or as they look."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.cosines import directions
from catclf.folds import Groups
from catclf.logistic import Vector

FLAT = 0.8
"""Of a small picture, share of pixels of nearly one grey. Of 3650 photographs none has as much; blank
pictures, screenshots of text and drawings on white do."""

_NEARLY = 6  # grey levels to either side

_NTH = 5  # likest: one may be a copy, a few a series
_COMPARED = 2000  # pictures that each is compared with
_DEVIATIONS = 3.0
_FEWEST = 30  # pictures, for a mean and a deviation
_BLOCK = 1024


def flat_shares(pictures: NDArray[np.uint8]) -> Vector:
    """Largest share of pixels within 6 levels of one grey, (m,), of pictures (m, s, s, 3)."""
    grey = np.rint(pictures @ np.array([0.299, 0.587, 0.114])).astype(np.intp)
    window = np.ones(2 * _NEARLY + 1)
    counts = (np.convolve(np.bincount(one.ravel(), minlength=256), window, "same").max() for one in grey)
    shares: Vector = np.fromiter(counts, float, len(grey)) / max(1, grey[:1].size)
    return shares


def likeness_to_others(rows: NDArray[np.generic], groups: Groups, seed: int = 0) -> Vector:
    """Cosine of each picture with the one that is fifth like it, near-duplicates left out, (m,).

    Parameters
    ----------
    rows : (m, n_x)
        Not standardised.
    groups : (m,) intp
        Near-duplicates have the same number.
    seed : int
        Of the 2000 pictures that each is compared with, where there are more.
    """
    m = len(rows)
    chosen = np.arange(m)
    if m > _COMPARED:
        chosen = np.sort(np.random.default_rng(seed).choice(m, _COMPARED, replace=False))
    others = directions(rows[chosen])
    found = np.empty(m)
    for start in range(0, m, _BLOCK):
        part = slice(start, start + _BLOCK)
        cosines = directions(rows[part]) @ others.T
        cosines[groups[part, None] == groups[chosen]] = -1
        nth = min(_NTH, cosines.shape[1])
        found[part] = np.partition(cosines, -nth, axis=1)[:, -nth]
    return found


def least_usual(likeness: Vector) -> float:
    """Return what a picture must be like others to be usual: three deviations below the mean.

    Of photographs of the same kind 0.5 % fall below it, fewer where there are under 200.
    """
    if len(likeness) < _FEWEST:
        return -1.0
    return float(likeness.mean() - _DEVIATIONS * likeness.std())


_CENTRES = 64
_PICTURES_OF_ONE = 4  # at least, so that a centre stands for several
_ROUNDS = 20
LEARNED_FROM = 4000
"""Pictures that are enough to learn from."""


class Usual(NamedTuple):
    """What the training pictures are like: centres of their rows, and how near to one a picture must be.

    Attributes
    ----------
    centres : (k, n_x) int8
        Directions, each divided by its largest number and multiplied by 127.
    least : float
        Cosine with the nearest centre below which a picture is unusual.
    """

    centres: NDArray[np.int8]
    least: float

    @classmethod
    def learn(cls, rows: NDArray[np.generic], seed: int = 0) -> Usual | None:
        """Learn from rows (m, n_x), not standardised; None if they are too few.

        The centres are those of spherical k-means (I. S. Dhillon, D. S. Modha, Concept Decompositions
        for Large Sparse Text Data Using Clustering, 2001). How near pictures are to the centres of
        others is measured on either half of them, with centres of the other half.
        """
        if len(rows) < _FEWEST:
            return None
        rng = np.random.default_rng(seed)
        unit = directions(rows)
        half = rng.permutation(len(unit)) % 2 == 0
        near = [(unit[~part] @ _centres_of(unit[part], rng).T).max(axis=1) for part in (half, ~half)]
        centres = _centres_of(unit, rng)
        quantised = np.rint(127 * centres / np.abs(centres).max(axis=1, keepdims=True)).astype(np.int8)
        return cls(quantised, least_usual(np.concatenate(near)))

    def are_unusual(self, rows: NDArray[np.generic]) -> NDArray[np.bool_]:
        """Whether pictures are unlike those of the training, (m,), by their rows (m, n_x)."""
        # subtle: one by one, for the last bits of a product depend on its shape.
        centres = directions(self.centres).T
        near = [(directions(row) @ centres).max() for row in rows[:, np.newaxis]]
        return np.array(near, np.float64) < self.least


def _centres_of(unit: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Unit directions (k, n_x), each the mean of the rows that are nearest to it."""
    k = min(_CENTRES, max(1, len(unit) // _PICTURES_OF_ONE))
    centres = unit[rng.choice(len(unit), k, replace=False)]
    for _ in range(_ROUNDS):
        nearest = (unit @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, unit)
        filled = np.bincount(nearest, minlength=k) > 0
        centres[filled] = directions(sums[filled])
    return centres
