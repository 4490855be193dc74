"""Which class is positive: found by name, never by order. Opens no files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from catclf.errors import DataError, Setting
from catclf.images.labelled import Labelled, usual_positive
from catclf.images.listing import folders_with
from catclf.logistic import Vector


def positive_class(labelled: Labelled, wanted: str | None) -> str:
    """Name of the class y = 1: the one wanted, or the usual one.

    Raises
    ------
    DataError
        If there is no such class, if nobody says which it is, or if a side has no pictures.
    """
    positive = named_class(labelled, wanted)
    count = labelled.counts()[positive]
    if count in (0, labelled.m):
        readable = "readable " if labelled.skipped else ""
        found = f"no {readable}picture" if count == 0 else f"only {readable}pictures"
        raise DataError(labelled.source, f"has {found} of {positive!r}; training needs both classes")
    return positive


def named_class(labelled: Labelled, wanted: str | None) -> str:
    """Name of the class wanted, or of the usual one, whether or not it has pictures.

    Raises
    ------
    DataError
        If there is no such class, or if nobody says which it is.
    """
    classes, data = labelled.classes, labelled.source
    shown = ", ".join(classes)
    if wanted is not None and wanted not in classes:
        meant = did_you_mean(data, lambda names: wanted in names)
        raise DataError(data, f"has no class {wanted!r}; it has {shown}{meant}")
    positive = wanted or labelled.usual_positive
    if positive is None:
        meant = did_you_mean(data)
        if len(classes) == 1:
            raise DataError(data, f"has only the class {shown}{meant or '; training needs another one'}")
        ways = [part for name in classes[:5] for part in (" or ", Setting("positive", name))]
        way_out = f"{meant} If not, say" if meant else "; say"
        raise DataError(data, f"has the classes {shown}{way_out} which is positive: ", *ways[1:])
    return positive


def did_you_mean(
    data: str, fits: Callable[[tuple[str, ...]], bool] = lambda names: usual_positive(names) is not None
) -> str:
    """End a sentence about a folder with those one level below that have the classes looked for."""
    folders = folders_with(data, fits)
    return f"; did you mean {' or '.join(folders[:5])}?" if folders else ""


def binary(labelled: Labelled, positive: str) -> Vector:
    """y (m,): 1 for the pictures of the class `positive`."""
    is_positive = np.equal(labelled.labels, labelled.classes.index(positive))
    return is_positive.astype(np.float64)


def negative_class(classes: tuple[str, ...], positive: str) -> str:
    """Name of the class y = 0: the other one, or ``non-`` and the positive one if there are several."""
    others = [name for name in classes if name != positive]
    return others[0] if len(others) == 1 else f"non-{positive}"


def labels_by_name(labelled: Labelled, positive: str, negative: str | None) -> Vector:
    """y (m,) of pictures whose classes carry the names that a model knows.

    Case and a plural s do not matter. Every class other than the positive one counts as negative, but
    one of the model's two names must be there.

    Raises
    ------
    DataError
        With the names of both, if they do not match.
    """
    data = labelled.source
    names = [_bare(name) for name in labelled.classes]
    known = {_bare(positive)} | ({_bare(negative)} if negative is not None else set())
    if not known & set(names):
        wanted = positive if negative is None else f"{positive}, {negative}"
        found = f"has the classes {', '.join(labelled.classes)}; expected those of the model, {wanted}"
        meant = did_you_mean(data, lambda names: bool(known & {_bare(name) for name in names}))
        raise DataError(data, found + (meant or ": rename the folders, or use a CSV with path,label"))
    y_of_class = np.array([name == _bare(positive) for name in names], dtype=np.float64)
    y: Vector = y_of_class[labelled.labels]
    return y


def _bare(name: str) -> str:
    return name.casefold().removesuffix("s")
