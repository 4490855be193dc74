"""Which pictures a model has seen in training, or near-duplicates of which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from catclf.config import ReadOptions
from catclf.fingerprints import Marks
from catclf.images.dataset import opened
from catclf.images.picture import Picture
from catclf.model import Model
from catclf.near_duplicates import Thumbnails, nearest
from catclf.pipeline.scoring import Row, RowMaker, rows_of
from catclf.printable import number_of
from catclf.progress import Progress
from catclf.view import THUMBNAIL, View
from catclf.work.spread import Waiting


class Overlap(NamedTuple):
    """A picture that the model was trained on.

    Attributes
    ----------
    position : int
        In the data that is evaluated.
    path : str
    training_index : int
        Number of the picture among those of the training, from 0.
    """

    position: int
    path: str
    training_index: int


class NearDuplicate(NamedTuple):
    """A picture that is not one the model was trained on, but of the same scene as one of these.

    Attributes
    ----------
    position : int
        In the data that is evaluated.
    path : str
    training_path : str
    """

    position: int
    path: str
    training_path: str


class Pictures(NamedTuple):
    """What the pictures of some data look like.

    Attributes
    ----------
    paths : sequence of str, m of them
    thumbnails : (m, 32, 32, 3) uint8
    marks : (m,) uint64
        Fingerprints.
    """

    paths: Sequence[str]
    thumbnails: Thumbnails
    marks: Marks

    def near(
        self, paths: list[str], thumbnails: Thumbnails, seen: set[int], progress: Progress
    ) -> tuple[NearDuplicate, ...]:
        """Find near-duplicates among other pictures, those at the positions `seen` left out."""
        others = [k for k in range(len(paths)) if k not in seen]
        pairs = nearest(thumbnails[others], self.thumbnails, progress.advanced)
        return tuple(
            NearDuplicate(others[pair.first], paths[others[pair.first]], self.paths[pair.second])
            for pair in pairs
        )


def training_pictures(
    data: str, model: Model, read: ReadOptions, processes: bool, progress: Progress
) -> Pictures:
    """Read the pictures of a training again, and say which of those of the model are not among them.

    Parameters
    ----------
    data : str
        As in `train`.
    model : Model
    read : ReadOptions
    processes, progress
        As in `catclf.pipeline.scoring.scored`.

    Raises
    ------
    DataError
        If the data cannot be read.
    """
    read = replace(read, size=model.size, x_key=None, y_key=None)
    with opened(data, read, model.view, decodings=[model.decoding]) as listed:
        if listed.rows is not None:
            thumbnails, marks = listed.rows.thumbnails(), listed.rows.marks()
            found = Pictures(listed.labelled.paths, thumbnails, marks)
        else:
            m = listed.labelled.m
            found = looked_at(listed.pictures(), m, model.view, read, processes, progress)
    missing = int((~np.isin(np.unique(model.fingerprints), found.marks)).sum())
    if missing:
        progress.warning(
            f"the model was trained on {number_of(missing, 'picture')} that {data} does not have:"
            " near-duplicates of these are not found"
        )
    return found


def looked_at(
    pictures: Iterable[Picture | Waiting],
    m: int,
    view: View,
    read: ReadOptions,
    processes: bool,
    progress: Progress,
) -> Pictures:
    """Look at some pictures, m of them or, if it is 0, nobody knows; unreadable ones are noted."""
    good: list[Row] = []
    done = 0
    maker = RowMaker(None, view, read, (THUMBNAIL,))
    with closing(rows_of(maker, pictures, processes, progress)) as chunks:
        for chunk in chunks:
            for row in chunk:
                if row.error is None:
                    good.append(row)
                else:
                    progress.note(f"{row.path}: {row.error.reason}")
            done += len(chunk)
            progress.advanced("other pictures read", done, max(done, m))
    shape = (-1, THUMBNAIL.side, THUMBNAIL.side, 3)
    return Pictures(
        [row.path for row in good],
        np.array([row.views[0] for row in good], np.uint8).reshape(shape),
        np.array([row.mark for row in good], np.uint64),
    )
