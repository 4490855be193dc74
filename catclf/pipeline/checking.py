"""The tool `check`: labelled pictures → what may be wrong with them, the most doubtful first."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from catclf.config import FEATURES, USUAL_FOLDS, CheckSettings, DescentSettings, TrainSettings
from catclf.design import Design, Standardisation
from catclf.doubt import PENALTY, label_errors, left_out_scores, margins_of
from catclf.engines.gram import gram_matrix
from catclf.errors import DataError
from catclf.fitting import cross_validate, encode, feasible_folds, prepare
from catclf.images.corrections import Corrections
from catclf.images.dataset import opened
from catclf.images.inputs import pictures_of
from catclf.images.listing import list_labelled
from catclf.images.paths import kind_of
from catclf.images.picture import Picture
from catclf.images.thumbnails import encoded
from catclf.logistic import Vector, sigmoid
from catclf.near_duplicates import half_linked, nearest, pairs_within
from catclf.pipeline.classes import negative_class
from catclf.pipeline.gallery import SHOWN, GalleryItem, others
from catclf.pipeline.scoring import RowMaker, rows_of
from catclf.pipeline.seen import looked_at
from catclf.pipeline.training_data import Sources, Task, read_all, usual_features
from catclf.printable import number_of
from catclf.progress import Progress
from catclf.unusual import FLAT, flat_shares, least_usual, likeness_to_others
from catclf.view import PREVIEW, THUMBNAIL, View
from catclf.work.spread import Waiting

Issue = Literal["label", "duplicate", "unusual", "unreadable"]

_AT_ONCE = 3000
"""Up to so many pictures are left out one by one; of more a model is fitted for each of some folds."""

_TRUSTED = 0.95
"""Below this accuracy, where labels are right, a model cannot tell how many of them are wrong."""


class Finding(NamedTuple):
    """Something that may be wrong with a picture.

    Attributes
    ----------
    path : str
    label : str
        What the picture is labelled as; empty where it could not be read.
    issue : str
        label | duplicate | unusual | unreadable
    score : float or None
        Of a label its probability, by a model that has not seen the picture nor its near-duplicates;
        of a duplicate how alike the two are, up to 1; of an unusual picture how like others it is.
    other : str
        The picture that a duplicate is most like.
    group : int or None
        Number of the group of near-duplicates, from 1; pictures of other data are in none.
    reason : str
        Why a picture is unusual, or could not be read.
    """

    path: str
    label: str
    issue: Issue
    score: float | None = None
    other: str = ""
    group: int | None = None
    reason: str = ""


@dataclass(frozen=True, repr=False)
class Check:
    """The result of `check`.

    Attributes
    ----------
    m : int
        Pictures read.
    counts : dict
        Of each class.
    ignored : int
        Files not tried because of their names.
    features : str
    positive : str
    findings : tuple of Finding
        By issue, then by doubt.
    accuracy : float
        Share of the labels that the model agrees with.
    expected_errors : float or None
        How many labels are wrong, as far as such a model can tell; None where it is too often wrong.
    groups : int
        Of near-duplicates.
    across : int
        Of these, groups with pictures of more than one class.
    corrections : Corrections or None
        What became of the labels that were laid over those of the data.
    learned_before : bool
        Whether features had been learned from all pictures, those left out too.
    shots : tuple of GalleryItem
        If they were asked for, the pictures of the findings in their order, but for those that could
        not be read.
    seconds : float
    """

    m: int
    counts: dict[str, int]
    ignored: int
    features: str
    positive: str
    findings: tuple[Finding, ...]
    accuracy: float
    expected_errors: float | None
    groups: int
    across: int
    corrections: Corrections | None
    learned_before: bool
    shots: tuple[GalleryItem, ...]
    seconds: float

    def __repr__(self) -> str:
        found = number_of(len(self.findings), "finding")
        return f"<Check: {number_of(self.m, 'picture')}, {self.features}, {found}>"

    def of(self, issue: Issue) -> tuple[Finding, ...]:
        """The findings of an issue."""
        return tuple(finding for finding in self.findings if finding.issue == issue)


def check(
    data: str | os.PathLike[str],
    settings: CheckSettings | None = None,
    *,
    gallery: bool = False,
    progress: Progress | None = None,
    processes: bool = False,
) -> Check:
    """Look for wrong labels, near-duplicates, unusual and unreadable pictures among labelled ones.

    Nothing is changed. A label is doubted by a model that has seen neither the picture nor its
    near-duplicates.

    Parameters
    ----------
    data : path
        As in `catclf.train`.
    settings : CheckSettings or None
        None is the defaults.
    gallery : bool
        Whether to keep the pictures of the findings to be looked at. They are read once more.
    progress : Progress or None
    processes : bool
        As in `catclf.train`.

    Raises
    ------
    DataError
        If the data cannot be read, or has pictures of one class only.
    TooFewPicturesError
        If a class is too small for folds.
    """
    begun = time.perf_counter()
    settings, progress = settings or CheckSettings(), progress or Progress()
    features = settings.features or usual_features(os.fspath(data), settings.read)
    kind, read = FEATURES[features], settings.read
    descent = DescentSettings(seed=settings.seed)
    training = TrainSettings(
        read=read,
        positive=settings.positive,
        features=features,
        descent=descent,
        labels=settings.labels,
        cv=USUAL_FOLDS,
    )
    sources = read_all(Task(os.fspath(data), training, None, progress, processes, True), None)
    labelled, problem = sources.labelled[0], sources.problem
    progress.note(f"{labelled.m} pictures read; looking for labels to doubt")
    progress.began("looking for labels to doubt")
    margins = margins_of(_scores(sources), problem.y)
    errors, accuracy = label_errors(margins), float((margins > 0).mean())
    names = [labelled.classes[label] for label in labelled.labels.tolist()]
    findings = _doubtful(sources, names, sigmoid(margins))
    duplicates, groups, across = _duplicates(sources, names)
    findings += duplicates
    if settings.other is not None:
        findings += _in_other_data(sources, names, settings, processes, progress)
    findings += _unusual(sources, names)
    findings += [
        Finding(error.path, "", "unreadable", reason=str(error).removeprefix(f"{error.path}: "))
        for error in labelled.skipped
    ]
    shots: list[GalleryItem] = []
    if gallery:
        looked = [finding for finding in findings if finding.issue != "unreadable"]
        place = {path: k for k, path in enumerate(sources.paths)}
        thumbnails = _thumbnails(looked, sources, place, os.fspath(data), processes)
        shots = _gallery_items(looked, sources, place, margins, thumbnails)
    return Check(
        m=labelled.m,
        counts=labelled.counts(),
        ignored=len(labelled.ignored),
        features=features,
        positive=sources.positive,
        findings=tuple(findings),
        accuracy=accuracy,
        expected_errors=errors.share * labelled.m if errors.accuracy >= _TRUSTED else None,
        groups=groups,
        across=across,
        corrections=sources.corrections,
        learned_before=sources.packed and kind.learns,
        shots=tuple(shots),
        seconds=time.perf_counter() - begun,
    )


def _scores(sources: Sources) -> Vector:
    """Scores of all pictures, each by a model that has seen neither it nor its near-duplicates."""
    problem, kind = sources.problem, sources.problem.settings.kind
    every = np.ones(problem.m, dtype=bool)
    assert problem.groups is not None
    if not kind.learns:
        encoded = encode(problem, every)
        rows, scale = encoded.rows, encoded.features.scale
        if problem.m <= _AT_ONCE:
            design = Design(rows, 1.0, Standardisation.fit(rows))
            gram = gram_matrix(design, problem.settings.read.cores)
            return left_out_scores(gram, problem.y, problem.groups)
        length = 1.0 if kind.standardised else scale * Standardisation.fit(rows, True).deviation[0]
        descent = replace(problem.settings.descent, l2=PENALTY / problem.m * float(length) ** 2)
        problem = replace(problem, settings=replace(problem.settings, descent=descent))
    p = cross_validate(prepare(problem, every), every, feasible_folds(problem, every))
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return np.log(p) - np.log1p(-p)


def _doubtful(sources: Sources, names: list[str], of_label: Vector) -> list[Finding]:
    paths = sources.paths
    doubtful = np.flatnonzero(of_label < 0.5)
    return [
        Finding(paths[k], names[k], "label", float(of_label[k]))
        for k in doubtful[np.argsort(of_label[doubtful], kind="stable")].tolist()
    ]


def _duplicates(sources: Sources, names: list[str]) -> tuple[list[Finding], int, int]:
    """Pictures with near-duplicates; how many groups they form, and how many of several classes."""
    assert sources.thumbnails is not None
    assert sources.problem.groups is not None
    pairs = pairs_within(sources.thumbnails, sources.marks, sources.problem.groups)
    best: dict[int, tuple[float, int]] = {}
    for first, second, score in pairs:
        for one, other in ((first, second), (second, first)):
            best[one] = max(best.get(one, (0.0, -1)), (score, other))
    groups = half_linked(pairs, sources.marks)
    mixed = [len({names[k] for k in group}) > 1 for group in groups]
    # Groups of several classes are the doubtful ones: one of their labels is wrong, or it says nothing.
    order = sorted(range(len(groups)), key=lambda g: (not mixed[g], groups[g][0]))
    findings = [
        Finding(
            sources.paths[k],
            names[k],
            "duplicate",
            best[k][0],
            sources.paths[best[k][1]],
            number,
        )
        for number, g in enumerate(order, 1)
        for k in groups[g]
    ]
    return findings, len(groups), sum(mixed)


def _in_other_data(
    sources: Sources,
    names: list[str],
    settings: CheckSettings,
    processes: bool,
    progress: Progress,
) -> list[Finding]:
    """Pictures with a near-duplicate in other data."""
    assert sources.thumbnails is not None
    other = os.fspath(settings.other or "")
    view, options = View(FEATURES["pixels"].size), settings.read
    read = replace(options, size=view.side, encoder=None, encoder_output=None, x_key=None, y_key=None)
    if kind_of(other) == "csv":
        pictures: Iterable[Picture | Waiting] = list_labelled(other).pictures
    else:
        pictures = pictures_of(other, read)
    there = looked_at(pictures, 0, view, read, processes, progress)
    if not there.paths:
        raise DataError(other, "has no picture that can be read")
    pairs = nearest(sources.thumbnails, there.thumbnails, progress.advanced)
    return [
        Finding(
            sources.paths[pair.first],
            names[pair.first],
            "duplicate",
            None,
            there.paths[pair.second],
        )
        for pair in pairs
    ]


def _unusual(sources: Sources, names: list[str]) -> list[Finding]:
    """Pictures unlike all others, the least like them first."""
    problem, found = sources.problem, dict[int, tuple[float, str]]()
    assert sources.thumbnails is not None
    flat = flat_shares(sources.thumbnails)
    for k in np.flatnonzero(flat > FLAT).tolist():
        found[k] = 1 - float(flat[k]), f"{flat[k]:.0%} of it is one shade of grey"
    if problem.encoded is not None and problem.settings.kind.tells_unusual:
        assert problem.groups is not None
        likeness = likeness_to_others(
            problem.encoded.rows[:], problem.groups, problem.settings.descent.seed
        )
        for k in np.flatnonzero(likeness < least_usual(likeness)).tolist():
            found[k] = float(likeness[k]), "unlike the other pictures"
    return [
        Finding(sources.paths[k], names[k], "unusual", score, reason=reason)
        for k, (score, reason) in sorted(found.items(), key=lambda item: item[1][0])
    ]


def _gallery_items(
    findings: Sequence[Finding],
    sources: Sources,
    place: dict[str, int],
    margins: Vector,
    thumbnails: dict[str, bytes],
) -> list[GalleryItem]:
    """The pictures of findings, with what a model that has not seen them calls them."""
    classes, positive = sources.labelled[0].classes, sources.positive
    negative = negative_class(classes, positive)
    shots = []
    for number, one in enumerate(findings):
        of_label = float(sigmoid(margins[place[one.path]]))
        doubted = of_label < 0.5
        called = positive if (one.label == positive) != doubted else negative
        shots.append(
            GalleryItem(
                one.path,
                called,
                1 - of_label if doubted else of_label,
                one.label,
                others(classes, one.label, called),
                thumbnails[one.path] if number < SHOWN else None,
                one.issue == "unusual",
                one.issue,
                one.reason or (one.other and f"like {one.other}"),
            )
        )
    return shots


def _thumbnails(
    findings: Sequence[Finding],
    sources: Sources,
    place: dict[str, int],
    data: str,
    processes: bool,
) -> dict[str, bytes]:
    """Read the pictures of the first findings again; of those that are gone, what is known is small."""
    paths = list(dict.fromkeys(finding.path for finding in findings[:SHOWN]))
    read, progress = sources.problem.settings.read, sources.problem.progress
    found: dict[str, bytes] = {}
    maker = RowMaker(None, THUMBNAIL, read, (PREVIEW,))
    with contextlib.ExitStack() as stack:
        if sources.packed:
            pictures: Iterable[Picture | Waiting] = map(Picture, paths)
        else:
            listed = stack.enter_context(opened(data, read, THUMBNAIL))
            wanted = set(paths)
            pictures = (picture for picture in listed.pictures() if picture.path in wanted)
        chunks = stack.enter_context(closing(rows_of(maker, pictures, processes, progress)))
        for row in itertools.chain.from_iterable(chunks):
            if row.error is None:
                found[row.path] = encoded(row.views[0])
            progress.advanced("pictures for the page", len(found), len(paths))
    assert sources.thumbnails is not None
    for path in paths:
        if path not in found:
            found[path] = encoded(sources.thumbnails[place[path]])
    return found
