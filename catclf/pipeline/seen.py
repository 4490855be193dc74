"""Which pictures a model has seen in training, or near-duplicates of which."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from catclf.config import ReadOptions
from catclf.fingerprints import Marks
from catclf.images.dataset import opened
from catclf.model import Model
from catclf.near_duplicates import Thumbnails, nearest
from catclf.pipeline.scoring import RowMaker, rows_of
from catclf.printable import number_of
from catclf.progress import Progress
from catclf.view import THUMBNAIL


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


class TrainingPictures(NamedTuple):
    """What the pictures of a training look like.

    Attributes
    ----------
    paths : list of str, m of them
    thumbnails : (m, 32, 32, 3) uint8
    """

    paths: list[str]
    thumbnails: Thumbnails

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
) -> TrainingPictures:
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
    maker = RowMaker(None, model.view, read, (THUMBNAIL,))
    paths, thumbnails, marks, done = [], [], [], 0
    with opened(data, read, model.view, decodings=[model.decoding]) as listed:
        if listed.rows is not None:
            _check_known(data, model.fingerprints, listed.rows.marks(), progress)
            return TrainingPictures([*listed.labelled.paths], listed.rows.thumbnails())
        m = listed.labelled.m
        with closing(rows_of(maker, listed.pictures(), processes, progress)) as chunks:
            for chunk in chunks:
                for row in chunk:
                    if row.error is None:
                        paths.append(row.path)
                        thumbnails.append(row.views[0])
                        marks.append(row.mark or 0)
                    else:
                        progress.note(f"{row.path}: {row.error.reason}")
                done += len(chunk)
                progress.advanced("training pictures read", done, m)
    _check_known(data, model.fingerprints, np.array(marks, np.uint64), progress)
    shape = (-1, THUMBNAIL.side, THUMBNAIL.side, 3)
    return TrainingPictures(paths, np.array(thumbnails, np.uint8).reshape(shape))


def _check_known(data: str, known: Marks, marks: Marks, progress: Progress) -> None:
    missing = int((~np.isin(np.unique(known), marks)).sum())
    if missing:
        progress.warning(
            f"the model was trained on {number_of(missing, 'picture')} that {data} does not have:"
            " near-duplicates of these are not found"
        )
