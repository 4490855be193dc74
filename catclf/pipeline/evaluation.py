"""The tool `evaluate`: a model and labelled pictures → scores, and a comparison of two models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.fingerprints import Marks, overlap
from catclf.images.dataset import opened
from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.labelled import Labelled
from catclf.logistic import Vector, cross_entropy, sigmoid
from catclf.metrics import Comparison, Scores, mcnemar, score, training_baseline
from catclf.model import Model
from catclf.near_duplicates import Thumbnails
from catclf.pipeline.classes import labels_by_name
from catclf.pipeline.gallery import Gallery, GalleryItem, others
from catclf.pipeline.scoring import Scored, Scorer, loaded, scored
from catclf.pipeline.seen import NearDuplicate, Overlap, training_pictures
from catclf.printable import html_table, number_of
from catclf.progress import Progress
from catclf.view import PREVIEW, THUMBNAIL, RgbArray, View
from catclf.work.spread import MOST


@dataclass(frozen=True)
class Duel:
    """Two models on the same pictures.

    Attributes
    ----------
    comparison : Comparison or None
        Paired: exact McNemar test, and the difference of the accuracies with its interval.
    differing : tuple of str
        Paths of the pictures on which their answers differ.
    """

    comparison: Comparison | None
    differing: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, ready for JSON."""
        facts = {} if self.comparison is None else self.comparison._asdict()
        return {**facts, "differing": list(self.differing)}


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The result of `evaluate`. No pixels are kept but those of the gallery.

    Attributes
    ----------
    model : Model
    labelled : Labelled
        The pictures that could be read, and those that could not.
    y : (m,) float64
    probabilities : (m,) float64
    losses : (m,) float64
        Cross entropy of each picture, in nats.
    scores : Scores
    overlap : tuple of Overlap
        The pictures that the model has seen with their labels.
    near_duplicates : tuple of NearDuplicate, or None
        Others that are like those; None if nobody looked.
    scores_without_overlap : Scores
        Of the pictures in neither.
    gallery : tuple of GalleryItem
        If they were asked for, the pictures called wrong, most surely wrong first, and then those that
        the model is least sure of.
    duel : Duel or None
        Against another model, if there was one.
    """

    model: Model
    labelled: Labelled
    y: Vector
    probabilities: Vector
    losses: Vector
    scores: Scores
    overlap: tuple[Overlap, ...]
    near_duplicates: tuple[NearDuplicate, ...] | None
    scores_without_overlap: Scores
    gallery: tuple[GalleryItem, ...]
    duel: Duel | None

    def __repr__(self) -> str:
        accuracy = f"accuracy {self.scores.accuracy_text}"
        return (
            f"<Evaluation: {number_of(self.scores.n, 'picture')}, {accuracy}; verdict: {self.verdict}>"
        )

    def _repr_html_(self) -> str:
        """Show the scores in a notebook, as a table."""
        c, (no, yes) = self.scores.confusion, (self.negative, self.positive)
        return html_table(
            (
                ("pictures", str(self.scores.n)),
                ("verdict", self.verdict),
                ("accuracy", self.scores.accuracy_text),
                (f"{yes}, called {yes} or {no}", f"{c.tp}, {c.fn}"),
                (f"{no}, called {no} or {yes}", f"{c.tn}, {c.fp}"),
            )
        )

    @property
    def positive(self) -> str:
        """Name of the class y = 1."""
        return self.model.positive

    @property
    def negative(self) -> str:
        """Name of the class y = 0."""
        return self.model.negative

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the pictures that could be read, (m,)."""
        return tuple(self.labelled.paths)

    @property
    def failed(self) -> tuple[DataError, ...]:
        """Pictures that could not be read."""
        return self.labelled.skipped

    @property
    def training_baseline(self) -> float | None:
        """Accuracy here of always answering with the more common class of the training data."""
        m, positives = self.model.training.m, self.model.training.positives
        if m is None or positives is None:
            return None
        return training_baseline(self.y, positives=positives, negatives=m - positives)

    @property
    def verdict(self) -> str:
        """What the accuracy says of pictures that the model was not trained on, as a phrase."""
        n, seen, near = self.scores.n, len(self.overlap), len(self.near_duplicates or ())
        if not seen + near:
            return self.scores.verdict
        count = f"all {n} of these" if seen + near == n else f"{seen + near} of these {n}"
        if not near:
            what = f"trained on {count} pictures"
        elif not seen:
            what = f"trained on near-duplicates of {count} pictures"
        else:
            what = f"trained on {count} pictures or on near-duplicates of them"
        rest = self.scores_without_overlap
        if not rest.n:
            return f"none: the model was {what}; score it on other pictures"
        return f"{what}; on the other {rest.n} {rest.verdict}"

    def _near_facts(self) -> dict[str, Any] | None:
        if self.near_duplicates is None:
            return None
        items = [{"path": o.path, "training_path": o.training_path} for o in self.near_duplicates]
        return {"count": len(items), "items": items}

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {
            "n": self.scores.n,
            "failed": len(self.failed),
            "positive": self.positive,
            "negative": self.negative,
            **self.scores.to_dict(),
            "verdict": self.verdict,
            "training_baseline_accuracy": self.training_baseline,
            "train_overlap": {
                "count": len(self.overlap),
                "items": [{"path": o.path, "training_index": o.training_index} for o in self.overlap],
                "accuracy_without": self.scores_without_overlap.accuracy,
            },
            "near_duplicates": self._near_facts(),
            **({} if self.duel is None else {"against": self.duel.to_dict()}),
        }


def evaluate(
    model: Model | str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    threshold: float | None = None,
    prior: float | None = None,
    against: Model | str | os.PathLike[str] | None = None,
    read: ReadOptions | None = None,
    positive: str | None = None,
    training_data: str | os.PathLike[str] | None = None,
    gallery: bool = False,
    progress: Progress | None = None,
    processes: bool = False,
) -> Evaluation:
    """Score a model on labelled pictures.

    Parameters
    ----------
    model : Model or path
    data : path
        As in `train`.
    threshold : float or None
        Replaces the model's, and that of `against`.
    prior : float or None
        Expected share of positive pictures, if it differs from the training data.
    against : Model, path or None
        Another model to compare with, picture by picture.
    read : ReadOptions or None
        How the pictures are read; None is the defaults. Only some are in memory at a time.
    positive : str or None
        The class of the data that is the model's positive one, if it is called otherwise.
    training_data : path or None
        What the model was trained on, as in `train`, to look for near-duplicates of it.
    gallery : bool
        Whether to keep mistakes and doubtful pictures to be looked at.
    progress : Progress or None
        Hears of every picture.
    processes : bool
        Whether many pictures may be scored in worker processes: the program that calls it then has no
        threads of its own, or can be imported again by them.

    Raises
    ------
    DataError
        If the data cannot be read, or its classes are not those of the model.
    """
    read = read or ReadOptions()
    chosen = (one for one in (model, against) if one is not None)
    models = loaded(chosen, prior, read, is_hdf5_name(os.fspath(data)))
    limits = [one.threshold if threshold is None else threshold for one in models]
    read, progress = read.of_size(models[0].size), progress or Progress()
    marked, shown = len(models[0].fingerprints) > 0, Gallery[int]() if gallery else None
    kept = ((PREVIEW,) if gallery else ()) + ((THUMBNAIL,) if training_data is not None else ())
    scorer = _scorer(models, read, marked, kept)
    decodings = [one.decoding for one in models]
    with opened(os.fspath(data), read, models[0].view, decodings=decodings) as pictures:
        progress.ignored(pictures.labelled.ignored)
        progress.warnings(pictures.labelled.warnings)
        y = _labels(models, pictures.labelled, positive)  # before anything is decoded
        if pictures.rows is not None:
            for one in models:
                pictures.rows.check_features(one.features)
        with closing(scored(scorer, pictures.pictures(), processes, progress)) as answers:
            found = _collected(answers, scorer, len(y), shown, _ranked(y, limits[0]), progress)
    labelled, y = pictures.labelled.only(found.read, found.skipped), y[found.read]
    z, p = found.scores[0], sigmoid(found.scores[0])
    known = overlap(models[0].fingerprints, found.marks)
    seen, near, paths = {k for k, _ in known}, None, list(labelled.paths)
    if training_data is not None:
        source = os.fspath(training_data)
        trained = training_pictures(source, models[0], scorer.options, processes, progress)
        near = trained.near(paths, found.thumbnails, seen, progress)
        seen |= {one.position for one in near}
    unseen, names = ~np.isin(np.arange(len(y)), list(seen)), (models[0].negative, models[0].positive)
    return Evaluation(
        model=models[0],
        labelled=labelled,
        y=y,
        probabilities=p,
        losses=cross_entropy(z, y),
        scores=score(y, p, limits[0], names),
        overlap=tuple(Overlap(k, paths[k], index) for k, index in known),
        near_duplicates=near,
        scores_without_overlap=score(y[unseen], p[unseen], limits[0], names),
        gallery=()
        if shown is None
        else tuple(_gallery_items(shown, models[0], labelled, y, p, limits[0])),
        duel=_duel(found.scores, limits, y, paths) if len(models) > 1 else None,
    )


def _scorer(models: list[Model], read: ReadOptions, marked: bool, kept: tuple[View, ...]) -> Scorer:
    """Build a scorer that uses no more cores than the budget of memory allows."""
    sides = [*(model.size for model in models), *(view.side for view in kept)]
    # For each core two chunks are under way, as pixels and, for the products, as floating-point numbers.
    needed = 2 * MOST * (10 * 3 * sum(side**2 for side in sides))
    cores = max(1, min(read.cores, read.memory // needed))
    return Scorer(tuple(models), replace(read, jobs=cores), marked, kept)


def _labels(models: list[Model], labelled: Labelled, positive: str | None) -> Vector:
    """y (m,) of the pictures listed, the same by the names of all models."""
    y, *others = (
        labels_by_name(labelled, one.positive, _negatives(one), positive, nameable=True)
        for one in models
    )
    if any(not np.array_equal(y, other) for other in others):
        found = " and ".join(repr(one.positive) for one in models)
        raise DataError(
            labelled.source, f"the positive classes of the models are {found}; expected the same class"
        )
    return y


def _negatives(model: Model) -> list[str]:
    """Names of the classes that a model knows as negative."""
    trained = model.training.classes or {}
    return [model.negative, *(name for name in trained if name not in (model.positive, model.negative))]


class _Found(NamedTuple):
    """What became of the pictures: which could be read, and what is known of these.

    Attributes
    ----------
    read : list of int, m of them
        Positions among the pictures listed.
    scores : (models, m) float64
        z of each model.
    marks : (m,) uint64
        Fingerprints, or zeros.
    skipped : list of DataError
        Why the others could not be read.
    thumbnails : (m, 32, 32, 3) uint8
        As many, or none where they are not wanted.
    """

    read: list[int]
    scores: NDArray[np.float64]
    marks: Marks
    skipped: list[DataError]
    thumbnails: Thumbnails


def _ranked(y: Vector, limit: float) -> Callable[[int, float], tuple[float, float]]:
    """Rank picture k of score z: those called wrong first, the surest first; then the least sure."""
    with np.errstate(divide="ignore"):
        border = float(np.log(limit) - np.log1p(-limit))

    def rank(k: int, z: float) -> tuple[float, float]:
        (p,) = sigmoid(np.array([z]))
        right = (p >= limit) == (y[k] == 1)
        return float(right), abs(z - border) if right else -abs(z - border)

    return rank


def _gallery_items(
    gallery: Gallery[int], model: Model, labelled: Labelled, y: Vector, p: Vector, limit: float
) -> Iterator[GalleryItem]:
    for count, (k, thumbnail) in enumerate(gallery.kept()):
        label, called = labelled.classes[labelled.labels[k]], model.label(p[k], limit)
        right = (called == model.positive) == (y[k] == 1)
        if right and count >= _LEAST_SHOWN:
            return
        probability = float(p[k] if called == model.positive else 1 - p[k])
        instead = others(labelled.classes, label, label if right else called)
        yield GalleryItem(labelled.paths[k], called, probability, label, instead, thumbnail)


_LEAST_SHOWN = 24


def _collected(
    answers: Iterable[list[Scored]],
    scorer: Scorer,
    m: int,
    shown: Gallery[int] | None,
    rank: Callable[[int, float], tuple[float, float]],
    progress: Progress,
) -> _Found:
    """Go through all m answers, in order, and forget their pictures."""
    read: list[int] = []
    skipped: list[DataError] = []
    scores: list[tuple[float, ...]] = []
    marks: list[int] = []
    thumbnails: list[RgbArray] = []
    done = 0
    for some in answers:
        for _, z, error, mark, views, *_ in some:
            if error is None:
                read.append(done)
                scores.append(z)
                marks.append(mark or 0)
                if shown is not None:
                    shown.add(rank(done, z[0]), len(read) - 1, views[0])
                if THUMBNAIL in scorer.kept:
                    thumbnails.append(views[-1])
            elif scorer.options.on_error == "fail":
                raise error
            else:
                skipped.append(error)
            done += 1
        progress.advanced("pictures scored", done, m)
    z_of = np.array(scores, np.float64).reshape(-1, len(scorer.models)).T
    return _Found(
        read,
        z_of,
        np.array(marks, np.uint64),
        skipped,
        np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL.side, THUMBNAIL.side, 3),
    )


def _duel(scores: NDArray[np.float64], limits: list[float], y: Vector, paths: Sequence[str]) -> Duel:
    called = [sigmoid(z) >= limit for z, limit in zip(scores, limits, strict=True)]
    differs = np.not_equal(*called)
    return Duel(
        comparison=mcnemar(y, *called),
        differing=tuple(path for path, other in zip(paths, differs, strict=True) if other),
    )
