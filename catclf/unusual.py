"""Pictures unlike all others: by rows of features that tell, and by what a small picture shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.folds import Groups
from catclf.logistic import Vector
from catclf.near_duplicates import SIDE, Thumbnails

FLAT = 0.8
"""Of a thumbnail, share of pixels of nearly one grey. Of 3650 photographs none has as much; blank
pictures, screenshots of text and drawings on white do."""

_NEARLY = 6  # grey levels to either side

_NTH = 5  # likest: one may be a copy, a few a series
_COMPARED = 2000  # pictures that each is compared with
_DEVIATIONS = 3.0
_FEWEST = 30  # pictures, for a mean and a deviation
_BLOCK = 1024


def flat_shares(thumbnails: Thumbnails) -> Vector:
    """Largest share of pixels within 6 levels of one grey, (m,), of thumbnails (m, 32, 32, 3)."""
    grey = np.rint(thumbnails @ np.array([0.299, 0.587, 0.114])).astype(np.intp)
    window = np.ones(2 * _NEARLY + 1)
    counts = (np.convolve(np.bincount(one.ravel(), minlength=256), window, "same").max() for one in grey)
    shares: Vector = np.fromiter(counts, float, len(grey)) / SIDE**2
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
    others = _unit(rows[chosen])
    found = np.empty(m)
    for start in range(0, m, _BLOCK):
        part = slice(start, start + _BLOCK)
        cosines = _unit(rows[part]) @ others.T
        cosines[groups[part, None] == groups[chosen]] = -1
        nth = min(_NTH, cosines.shape[1])
        found[part] = np.partition(cosines, -nth, axis=1)[:, -nth]
    return found


def _unit(rows: NDArray[np.generic]) -> NDArray[np.float32]:
    some = rows.astype(np.float32)
    some /= np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-12)
    return some


def least_usual(likeness: Vector) -> float:
    """Return what a picture must be like others to be usual: three deviations below the mean.

    Of photographs of the same kind 0.5 % fall below it, fewer where there are under 200.
    """
    if len(likeness) < _FEWEST:
        return -1.0
    return float(likeness.mean() - _DEVIATIONS * likeness.std())
