"""The tool `evaluate`: a model and labelled pictures → scores, and a comparison of two models."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import MAX_PIXELS
from catclf.errors import DataError
from catclf.images.labelled import LabelledPictures, read_labelled
from catclf.logistic import Vector, cross_entropy, sigmoid
from catclf.metrics import Comparison, Scores, mcnemar, score, training_baseline
from catclf.model import Model, fingerprint, load
from catclf.parallel import core_count
from catclf.pipeline.classes import labels_by_name


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


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` gives back.

    Attributes
    ----------
    scores : Scores
    positive, negative : str
    paths : tuple of str, m of them
    pixels : (m, size, size, 3) uint8
        The pictures as the model sees them.
    y : (m,) float64
    probabilities : (m,) float64
    losses : (m,) float64
        Cross entropy of each picture, in nats.
    overlap : tuple of Overlap
        The pictures that the model has seen with their labels.
    scores_without_overlap : Scores
        Of the other pictures.
    training_baseline : float or None
        Accuracy here of always saying the commoner class of the training data.
    failed : tuple of DataError
        Pictures that could not be read.
    passed_over : int
    """

    scores: Scores
    positive: str
    negative: str
    paths: tuple[str, ...]
    pixels: NDArray[np.uint8]
    y: Vector
    probabilities: Vector
    losses: Vector
    overlap: tuple[Overlap, ...]
    scores_without_overlap: Scores
    training_baseline: float | None
    failed: tuple[DataError, ...]
    passed_over: int

    @property
    def verdict(self) -> str:
        """What the accuracy says of pictures that the model was not trained on, as a phrase."""
        n, seen, rest = self.scores.n, len(self.overlap), self.scores_without_overlap
        if not seen:
            return self.scores.verdict
        if seen == n:
            return f"none: the model was trained on all {n} of these pictures; score it on others"
        return f"trained on {seen} of these {n} pictures; on the other {rest.n} {rest.verdict}"

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
        }


def evaluate(
    model: Model | str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    threshold: float | None = None,
    prior: float | None = None,
    on_error: str = "skip",
    jobs: int | None = None,
    max_pixels: int = MAX_PIXELS,
    x_key: str | None = None,
    y_key: str | None = None,
) -> Evaluation:
    """Score a model on labelled pictures.

    Parameters
    ----------
    model : Model or path
    data : path
        As in `train`.
    threshold : float or None
        Replaces the model's.
    prior : float or None
        Share of positive pictures to expect, if it is another than in training.
    on_error, jobs, max_pixels, x_key, y_key
        As in `train`.

    Raises
    ------
    DataError
        If the data cannot be read, or its classes are not those of the model.
    """
    model = model if isinstance(model, Model) else load(os.fspath(model))
    if prior is not None:
        model = model.with_prior(prior)
    data, jobs = os.fspath(data), jobs or core_count()

    def y_of(pictures: LabelledPictures[Any]) -> Vector:
        return labels_by_name(pictures, model.positive, model.negative, data)

    labelled = read_labelled(data, model.size, on_error, jobs, x_key, y_key, max_pixels, check=y_of)
    y = y_of(labelled)  # of the pictures that could be read
    z = model.scores(labelled.pixels, jobs)
    p, limit = sigmoid(z), model.threshold if threshold is None else threshold
    overlap = _overlap(model, labelled.pixels, labelled.paths)
    unseen = np.ones(len(y), dtype=bool)
    unseen[[item.position for item in overlap]] = False
    return Evaluation(
        scores=score(y, p, limit),
        positive=model.positive,
        negative=model.negative,
        paths=labelled.paths,
        pixels=labelled.pixels,
        y=y,
        probabilities=p,
        losses=cross_entropy(z, y),
        overlap=overlap,
        scores_without_overlap=score(y[unseen], p[unseen], limit),
        training_baseline=_training_baseline(model, y),
        failed=labelled.skipped,
        passed_over=len(labelled.passed_over),
    )


def _overlap(model: Model, images: NDArray[np.uint8], paths: tuple[str, ...]) -> tuple[Overlap, ...]:
    trained_on = {mark: k for k, mark in reversed(list(enumerate(model.fingerprints.tolist())))}
    marks = fingerprint(images).tolist() if trained_on else []
    return tuple(
        Overlap(k, paths[k], trained_on[mark]) for k, mark in enumerate(marks) if mark in trained_on
    )


def _training_baseline(model: Model, y: Vector) -> float | None:
    m, positives = model.training.get("m"), model.training.get("positives")
    if not isinstance(m, int) or not isinstance(positives, int):
        return None
    return training_baseline(y, positives=positives, negatives=m - positives)


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


def compare(first: Evaluation, second: Evaluation) -> Duel:
    """Compare two evaluations of the same data, picture by picture.

    Raises
    ------
    DataError
        If they are not of the same pictures, or not about the same class.
    """
    if first.paths == second.paths and not np.array_equal(first.y, second.y):
        found = f"of the one model is {first.positive!r}, of the other {second.positive!r}"
        raise DataError("comparison", f"the positive class {found}; expected the same")
    if first.paths != second.paths:
        found = f"{first.scores.n} and {second.scores.n} pictures"
        raise DataError("comparison", f"the models were not scored on the same pictures ({found})")
    called = [e.probabilities >= e.scores.threshold for e in (first, second)]
    differs = np.not_equal(*called)
    return Duel(
        comparison=mcnemar(first.y, *called),
        differing=tuple(path for path, other in zip(first.paths, differs, strict=True) if other),
    )
