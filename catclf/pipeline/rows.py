"""The tool `rows`: pictures → the matrix that logistic regression gets, for any other classifier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from catclf.config import FEATURES, FeatureKind, ReadOptions
from catclf.errors import ConfigError
from catclf.features import Features, FeaturesClass, view_of
from catclf.images.inputs import Inputs, pictures_of
from catclf.model import Model
from catclf.pipeline.scoring import RowMaker, loaded, rows_of
from catclf.progress import Progress


def rows(
    inputs: Inputs,
    features: str | Model | os.PathLike[str] = "network",
    *,
    read: ReadOptions | None = None,
    progress: Progress | None = None,
    processes: bool = False,
) -> NDArray[np.float32]:
    """Compute the features of pictures.

    Parameters
    ----------
    inputs : path, array, or iterable of paths, binary files and arrays
        As for `predict`: a folder stands for the pictures below it, sorted.
    features : str, Model or path
        A kind that learns nothing, ``pixels`` or ``network``; or a model, whose features are taken.
    read : ReadOptions or None
        How pictures are read, of what size, with which network, on how many cores or on which cluster.
    progress : Progress or None
        Hears how many are done.
    processes : bool
        Whether they may be computed in worker processes: the program that calls it has no threads of its
        own, or can be imported again by them.

    Returns
    -------
    (m, n_x) float32
        A picture a row, in order; of pixels in [0, 1].

    Raises
    ------
    ConfigError
        If the kind learns from pictures, or the settings do not fit it.
    DataError
        At the first picture that cannot be read, with its path: each row belongs to its input.
    """
    read, progress = read or ReadOptions(), progress or Progress()
    made = _features(features, read)
    view, found = view_of(made), list[NDArray[np.float32]]()
    maker = RowMaker(made, view, replace(read, size=view.side))
    done = 0
    with closing(rows_of(maker, pictures_of(inputs, maker.options), processes, progress)) as chunks:
        for chunk in chunks:
            for row in chunk:
                if row.error is not None:
                    raise row.error
                found.append(_scaled(row.numbers, made))
            done += len(chunk)
            progress.advanced("pictures encoded", done, 0)
    return np.array(found) if found else np.empty((0, made.n_x), np.float32)


def _scaled(numbers: NDArray[Any] | None, features: Features) -> NDArray[np.float32]:
    assert numbers is not None
    return numbers.astype(np.float32) * np.float32(features.scale)


def _features(features: str | Model | os.PathLike[str], read: ReadOptions) -> Features:
    if not isinstance(features, str) or features not in FEATURES:
        (model,) = loaded([features], None, read)
        return model.features
    kind: FeatureKind = FEATURES[features]
    if kind.learns:
        usable = " or ".join(_unlearned())
        rule = f"must be {usable}, or a model: {kind.name} are learned from pictures"
        raise ConfigError("features", kind.name, rule)
    code = cast(FeaturesClass, kind.load())
    return code.chosen(read) if kind.own_view else code.of_size(read.size or kind.size)


def _unlearned() -> Iterator[str]:
    return (kind.name for kind in FEATURES.values() if not kind.learns)
