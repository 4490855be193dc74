"""The tool `evaluate`: a model and labelled pictures → scores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from catclf.errors import DataError
from catclf.images.labelled import read_labelled
from catclf.logistic import Vector
from catclf.metrics import Scores, score
from catclf.model import Model, load
from catclf.parallel import core_count
from catclf.pipeline.classes import labels_by_name


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` gives back.

    Attributes
    ----------
    scores : Scores
    positive, negative : str
    paths : tuple of str, m of them
    y : (m,) float64
    probabilities : (m,) float64
    failed : tuple of DataError
        Pictures that could not be read.
    passed_over : int
    """

    scores: Scores
    positive: str
    negative: str
    paths: tuple[str, ...]
    y: Vector
    probabilities: Vector
    failed: tuple[DataError, ...]
    passed_over: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {
            "n": self.scores.n,
            "failed": len(self.failed),
            "positive": self.positive,
            "negative": self.negative,
            **{key: value for key, value in self.scores.to_dict().items() if key != "n"},
        }


def evaluate(
    model: Model | str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    threshold: float | None = None,
    on_error: str = "skip",
    jobs: int | None = None,
    x_key: str | None = None,
    y_key: str | None = None,
) -> Evaluation:
    """Score a model on labelled pictures; parameters as in `train` and `predict`.

    Raises
    ------
    DataError
        If the data cannot be read, or its classes are not those of the model.
    """
    model = model if isinstance(model, Model) else load(os.fspath(model))
    data, jobs = os.fspath(data), jobs or core_count()
    labelled = read_labelled(data, model.size, on_error, jobs, x_key, y_key)
    y = labels_by_name(labelled, model.positive, model.negative, data)
    probabilities = model.probabilities(labelled.pixels, jobs)
    limit = model.threshold if threshold is None else threshold
    return Evaluation(
        scores=score(y, probabilities, limit),
        positive=model.positive,
        negative=model.negative,
        paths=labelled.paths,
        y=y,
        probabilities=probabilities,
        failed=labelled.skipped,
        passed_over=labelled.passed_over,
    )
