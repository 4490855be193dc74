"""Stratified random parts of labelled pictures. Fits nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.errors import TooFewPicturesError


def fold_numbers(y: NDArray[np.float64], folds: int, seed: int) -> NDArray[np.intp]:
    """Deal every picture a fold, class by class, so that the folds differ by one picture of a class.

    Parameters
    ----------
    y : (m,) 0 or 1
    folds : int
        At least 2.
    seed : int

    Returns
    -------
    (m,) intp in [0, folds)

    Raises
    ------
    TooFewPicturesError
        If a class has fewer pictures than there are folds.
    """
    rng = np.random.default_rng(seed)
    numbers = np.empty(len(y), dtype=np.intp)
    dealt = 0
    for value in (1.0, 0.0):
        members = np.flatnonzero(y == value)
        if len(members) < folds:
            advice = "take fewer folds, or add pictures of it"
            raise TooFewPicturesError(len(members), bool(value), f"for {folds} folds", advice)
        numbers[rng.permutation(members)] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return numbers


def held_out_mask(y: NDArray[np.float64], share: float, seed: int) -> NDArray[np.bool_]:
    """Choose a share of the pictures of each class, at least one and not all, (m,) bool.

    Raises
    ------
    TooFewPicturesError
        If a class has fewer than two pictures.
    """
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(y), dtype=bool)
    for value in (1.0, 0.0):
        members = np.flatnonzero(y == value)
        if len(members) < 2:
            raise TooFewPicturesError(len(members), bool(value), "to hold any out")
        count = min(max(1, round(share * len(members))), len(members) - 1)
        mask[rng.permutation(members)[:count]] = True
    return mask
