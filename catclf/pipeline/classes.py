"""Which class is positive: found by name, never by order. Opens no files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from catclf.class_names import bare, is_same
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
        needed = f"; training needs both classes{labelled.unnamed}"
        raise DataError(labelled.source, f"has {found} of {positive!r}{needed}")
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
    if wanted is not None:
        wanted = alike_name(classes, wanted) or wanted
    if wanted is not None and wanted not in classes:
        meant = did_you_mean(data, lambda names: wanted in names)
        raise DataError(data, f"has no class {wanted!r}; it has {shown}{meant}")
    positive = wanted or labelled.usual_positive
    if positive is None:
        meant = did_you_mean(data)
        if len(classes) == 1:
            raise DataError(data, f"has only the class {shown}{meant or _NEEDS_TWO}")
        ways = [part for name in classes[:5] for part in (" or ", Setting("positive", name))]
        way_out = f"{meant} If not, say" if meant else "; say"
        raise DataError(data, f"has the classes {shown}{way_out} which is positive: ", *ways[1:])
    return positive


_NEEDS_TWO = "; training needs two: a sub-folder for each, or a CSV with path,label"


def alike_name(classes: Sequence[str], wanted: str) -> str | None:
    """Find the class that is called so, or so but for case, space and Unicode form."""
    alike = (name for name in classes if bare(name) == bare(wanted))
    return wanted if wanted in classes else next(alike, None)


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
    """Name of the class y = 0: the other one, or ``not`` and the positive one if there are several."""
    others = [name for name in classes if name != positive]
    return others[0] if len(others) == 1 else f"not {positive}"


def labels_by_name(
    labelled: Labelled,
    positive: str,
    negatives: Iterable[str] = (),
    named: str | None = None,
    nameable: bool = False,
) -> Vector:
    """y (m,) of pictures whose classes carry the names that a model knows.

    Case, space around a name and a plural s do not matter. If the positive class is there all others
    count as negative; otherwise each must be one that the model knows as negative.

    Parameters
    ----------
    labelled : Labelled
    positive : str
        The model's positive class.
    negatives : iterable of str
        Names that the model knows for the other classes.
    named : str or None
        The class of the data that is the positive one, if its name is another.
    nameable : bool
        Whether the user can name it.

    Raises
    ------
    DataError
        With the names of both, if they do not match.
    """
    data, classes = labelled.source, labelled.classes
    wanted = positive if named is None else named
    is_positive = [is_same(name, wanted) for name in classes]
    known = [*negatives]
    if named is not None and not any(is_positive):
        raise DataError(data, f"has no class {named!r}; it has {', '.join(classes)}")
    if not any(is_positive) and not all(any(is_same(name, one) for one in known) for name in classes):
        found = f"has the classes {', '.join(classes)}; the model knows {', '.join([positive, *known])}"
        meant = did_you_mean(data, lambda names: any(is_same(name, positive) for name in names))
        if meant or not nameable:
            raise DataError(
                data, found + (meant or ": rename the folders, or use a CSV with path,label")
            )
        name = Setting("positive", "NAME")
        raise DataError(data, f"{found}: name the class that is {positive!r} with ", name)
    y: Vector = np.array(is_positive, dtype=np.float64)[labelled.labels]
    return y
