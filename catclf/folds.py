"""Stratified random parts of labelled pictures, whole groups at a time. Fits nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from catclf.errors import TooFewPicturesError

Groups = NDArray[np.intp]
"""(m,): equal numbers for pictures that stay together."""

_CLASSES = (1.0, 0.0)


def fold_numbers(
    y: NDArray[np.float64], folds: int, seed: int, groups: Groups | None = None
) -> NDArray[np.intp]:
    """Deal every picture a fold, class by class.

    Without groups the folds differ by one picture of a class. Groups are dealt whole, the largest
    first, each to the fold that has the fewest pictures of its class so far.

    Parameters
    ----------
    y : (m,) 0 or 1
    folds : int
        At least 2.
    seed : int
    groups : (m,) intp or None
        None is a group for each picture.

    Returns
    -------
    (m,) intp in [0, folds)

    Raises
    ------
    TooFewPicturesError
        If a class has fewer groups than there are folds.
    """
    rng = np.random.default_rng(seed)
    parts = _Parts(y, groups)
    of_group = np.full(parts.count, -1)
    dealt = 0
    for value in _CLASSES:
        members = parts.of_class(value)
        if len(members) < folds:
            raise parts.too_few(value, f"for {folds} folds", "use fewer folds, or add")
        sizes = parts.sizes(value)
        # Those of the other class that have pictures of this one as well were dealt with it.
        filled = np.bincount(of_group[of_group >= 0], sizes[of_group >= 0], folds).tolist()
        shuffled = rng.permutation(members)
        for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
            fold = min(range(folds), key=lambda k: (filled[k], (k - dealt) % folds))
            of_group[group] = fold
            filled[fold] += sizes[group]
        dealt += int((y == value).sum())
    return np.asarray(of_group[parts.numbers])


def most_folds(y: NDArray[np.float64], groups: Groups | None = None) -> int:
    """Count the groups of the class that has fewer."""
    parts = _Parts(y, groups)
    return min(len(parts.of_class(value)) for value in _CLASSES)


def held_out_mask(
    y: NDArray[np.float64], share: float, seed: int, groups: Groups | None = None
) -> NDArray[np.bool_]:
    """Choose a share of the pictures of each class, at least one and not all, (m,) bool.

    Groups are held out whole: as many as do not exceed the share, but at least the smallest.

    Raises
    ------
    TooFewPicturesError
        If a class has fewer than two groups.
    """
    rng = np.random.default_rng(seed)
    parts = _Parts(y, groups)
    held_out = np.zeros(parts.count, dtype=bool)
    for value in _CLASSES:
        members, sizes = parts.of_class(value), parts.sizes(value)
        if len(members) < 2:
            raise parts.too_few(value, "to hold any out", "add")
        total = sizes[members].sum()
        left = min(max(1, round(share * total)), total - 1)
        shuffled = rng.permutation(members)
        chosen = list(_fitting(shuffled, sizes, left)) or [shuffled[sizes[shuffled].argmin()]]
        held_out[chosen] = True
    return np.asarray(held_out[parts.numbers])


def _fitting(groups: Groups, sizes: NDArray[np.intp], left: int) -> Iterator[int]:
    """Yield groups that are not more than what is left of a number of pictures."""
    for group in groups.tolist():
        if sizes[group] <= left:
            left -= sizes[group]
            yield group


class _Parts:
    """Groups with the class of most of their pictures.

    Attributes
    ----------
    count : int
    numbers : (m,) intp in [0, count)
        The group of each picture.
    """

    def __init__(self, y: NDArray[np.float64], groups: Groups | None) -> None:
        self._y = y
        found = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
        self.numbers, self.count = found, int(found.max(initial=-1)) + 1
        self._positive = 2 * self.sizes(1.0) >= np.bincount(found, minlength=self.count)

    def sizes(self, value: float) -> NDArray[np.intp]:
        """Count the pictures of a class in each group, (count,)."""
        return np.bincount(self.numbers[self._y == value], minlength=self.count)

    def of_class(self, value: float) -> Groups:
        """Groups of which most pictures are of a class; all pictures of the class are of some."""
        return np.flatnonzero(self._positive == bool(value))

    def too_few(self, value: float, purpose: str, advice: str) -> TooFewPicturesError:
        """Say that a class has too few groups."""
        found, pictures = len(self.of_class(value)), int((self._y == value).sum())
        if found == pictures:
            return TooFewPicturesError(found, bool(value), purpose, f"{advice} pictures of it")
        advice = f"{advice} pictures of other scenes"
        return TooFewPicturesError(found, bool(value), purpose, advice, pictures=pictures)
