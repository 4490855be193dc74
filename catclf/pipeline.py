"""The three tools: train, evaluate, predict. Settings in, result values out; prints nothing."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import TrainSettings
from catclf.descent import Descent, Step
from catclf.errors import ConfigError, DataError, TrainingError
from catclf.fitting import Fitted, Mask, Prepared, Problem, cross_validate, fit, prepare
from catclf.folds import held_out_mask
from catclf.images.decode import decode
from catclf.images.folder import OnPassedOver
from catclf.images.inputs import Input, pictures_of
from catclf.images.labelled import LabelledPictures, read_labelled
from catclf.images.picture import Picture
from catclf.logistic import Vector, sigmoid
from catclf.metrics import Scores, score
from catclf.model import Model, load
from catclf.parallel import core_count, ordered_map
from catclf.progress import Progress

PREDICT_CHUNK = 16
"""Pictures that one thread decodes and scores at a time: one matrix product for all of them."""


# --- train ---


@dataclass(frozen=True)
class Fit:
    """What `train` gives back.

    Attributes
    ----------
    model : Model
    m, n_x : int
        Pictures trained on (without mirror images) and features.
    counts : dict
        Number of pictures read of each class of the data.
    skipped : tuple of DataError
        Pictures that could not be read.
    passed_over : int
        Files not tried because of their names.
    engine : str
    last : Step
        Cost and norms at the parameters of `model`.
    stop_reason : str
        gradient | step | iterations | patience | interrupted
    iterations : int
        Number of updates made.
    converged : bool
    learning_rate, learning_rate_limit, l2 : float
        α, the limit of stability 2/L, and λ.
    train_accuracy : float
    history : tuple of Step
    validation : Scores or None
        Of the held-out pictures.
    cv : Scores or None
        Cross-validated.
    warnings : tuple of str
        Sentences that the user should read.
    seconds : float
    """

    model: Model
    m: int
    n_x: int
    counts: dict[str, int]
    skipped: tuple[DataError, ...]
    passed_over: int
    engine: str
    last: Step
    stop_reason: str
    iterations: int
    converged: bool
    learning_rate: float
    learning_rate_limit: float
    l2: float
    train_accuracy: float
    history: tuple[Step, ...]
    validation: Scores | None
    cv: Scores | None
    warnings: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, ready for JSON."""
        summary = {
            "m": self.m,
            "n_x": self.n_x,
            "classes": self.counts,
            "skipped": len(self.skipped),
            "passed_over": self.passed_over,
            "engine": self.engine,
            "iterations": self.iterations,
            "stop_reason": self.stop_reason,
            "converged": self.converged,
            "cost": self.last.cost,
            "gradient_norm": self.last.gradient_norm,
            "step_norm": None if math.isnan(self.last.step_norm) else self.last.step_norm,
            "learning_rate": self.learning_rate,
            "learning_rate_limit": self.learning_rate_limit,
            "l2": self.l2,
            "train_accuracy": self.train_accuracy,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }
        if self.validation is not None:
            summary["validation"] = self.validation.to_dict()
        if self.cv is not None:
            summary["cv"] = self.cv.to_dict()
        return summary


def train(
    data: str | os.PathLike[str],
    settings: TrainSettings | None = None,
    *,
    resume: Model | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Train a classifier on labelled pictures.

    Parameters
    ----------
    data : path
        ``DIR`` with a sub-folder for each class, ``FILE.h5``, or a CSV file with columns path and label.
    settings : TrainSettings or None
        None is the defaults.
    resume : Model or None
        A model to go on from.
    progress : Progress or None
        Told of every phase and recorded step.

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        If the data cannot be read or does not have both classes.
    ConfigError
        If settings do not fit the data.
    TrainingError
        If the descent diverges.
    """
    begun = time.perf_counter()
    settings = settings or TrainSettings()
    progress = progress or Progress()
    data = os.fspath(data)
    labelled = _read(data, settings, progress)
    positive = positive_class(labelled, settings.positive, data)
    problem, trained_on = _problem(labelled, positive, settings, progress)
    if resume is not None:
        _check_resumable(resume, problem, int(trained_on.sum()), labelled.counts())
    fits = 1 + (settings.cv or 0) * (settings.features == "pixels")
    start = None if resume is None else (resume.w, resume.b)
    progress.note(f"{problem.m} pictures read; computing {settings.features}")
    prepared = prepare(problem, trained_on, fits, start)
    cv = _cross_validated(prepared, trained_on, progress) if settings.cv is not None else None
    progress.note(f"descending with the engine {prepared.engine_name}")
    held_out = ~trained_on if not trained_on.all() else None
    fitted = fit(prepared, trained_on, held_out=held_out, progress=progress)
    descent = fitted.descent
    if descent.stop_reason == "diverged":
        raise _divergence(fitted)
    scored = sigmoid(descent.z[: problem.m])
    w, b = prepared.parameters(descent)
    accuracy = float(((scored >= 0.5) == problem.y)[trained_on].mean())
    m = int(trained_on.sum())
    model = Model(
        w=w,
        b=b,
        features=prepared.features,
        positive=positive,
        negative=negative_class(labelled.classes, positive),
        training=_provenance(problem, m, labelled, fitted, accuracy, resume),
    )
    return Fit(
        model=model,
        m=m,
        n_x=len(w),
        counts=labelled.counts(),
        skipped=labelled.skipped,
        passed_over=labelled.passed_over,
        engine=prepared.engine_name,
        last=descent.last,
        stop_reason=descent.stop_reason,
        iterations=descent.iterations,
        converged=descent.converged,
        learning_rate=fitted.learning_rate,
        learning_rate_limit=2.0 / fitted.curvature,
        l2=fitted.l2,
        train_accuracy=accuracy,
        history=descent.history,
        validation=None if held_out is None else score(problem.y[held_out], scored[held_out]),
        cv=cv,
        warnings=tuple(_warnings(settings, fitted, cv)),
        seconds=time.perf_counter() - begun,
    )


def positive_class(labelled: LabelledPictures, wanted: str | None, data: str) -> str:
    """Name of the class y = 1: the one wanted, or the usual one.

    Raises
    ------
    DataError
        If there is no such class, if nobody says which it is, or if a side has no pictures.
    """
    classes = ", ".join(labelled.classes)
    if wanted is not None and wanted not in labelled.classes:
        raise DataError(data, f"has no class {wanted!r}; it has {classes}")
    positive = wanted or labelled.usual_positive
    if positive is None:
        raise DataError(data, f"has the classes {classes}; say which is positive with --positive")
    count = labelled.counts()[positive]
    if count in (0, len(labelled.labels)):
        found = "no picture" if count == 0 else "only pictures"
        raise DataError(data, f"has {found} of {positive!r}; training needs both classes")
    return positive


def negative_class(classes: tuple[str, ...], positive: str) -> str:
    """Name of the class y = 0: the other one, or ``non-`` and the positive one if there are several."""
    others = [name for name in classes if name != positive]
    return others[0] if len(others) == 1 else f"non-{positive}"


def _read(data: str, settings: TrainSettings, progress: Progress) -> LabelledPictures:
    return read_labelled(
        data,
        size=settings.size,
        on_error=settings.on_error,
        jobs=settings.jobs or core_count(),
        x_key=settings.x_key,
        y_key=settings.y_key,
        on_read=progress.reading,
    )


def _binary(labelled: LabelledPictures, positive: str) -> Vector:
    is_positive = np.equal(labelled.labels, labelled.classes.index(positive))
    return is_positive.astype(np.float64)


def _problem(
    labelled: LabelledPictures, positive: str, settings: TrainSettings, progress: Progress
) -> tuple[Problem, Mask]:
    """All pictures, with those held out for validation, and which of them are trained on."""
    pixels, y = labelled.pixels, _binary(labelled, positive)
    trained_on = np.ones(len(y), dtype=bool)
    validation = settings.validation
    if isinstance(validation, float):
        try:
            trained_on = ~held_out_mask(y, validation, settings.descent.seed)
        except ValueError as exc:
            raise ConfigError("validation", validation, f"possible: {exc}") from exc
    elif validation is not None:
        other = read_labelled(
            validation, pixels.shape[1], settings.on_error, settings.jobs or core_count()
        )
        progress.note(f"{len(other.labels)} pictures read for validation")
        pixels = np.concatenate([pixels, other.pixels])
        y = np.concatenate([y, labels_by_name(other, positive, None, validation)])
        trained_on = np.arange(len(y)) < len(labelled.labels)
    return Problem(pixels, y, settings, settings.jobs or core_count()), trained_on


def _check_resumable(model: Model, problem: Problem, m: int, counts: dict[str, int]) -> None:
    """Refuse to go on with other data or another cost than the model was trained with."""
    settings = problem.settings
    if settings.descent.start == "random":
        raise ConfigError("init", "random", "left out: a resumed model is the start")
    now: dict[str, Any] = {
        "features": settings.features,
        "size": problem.pixels.shape[1],
        "loss": settings.descent.loss,
        "class_weight": settings.class_weight,
        "flip": settings.flipped,
        "classes": counts,
        "m": m,
    }
    if settings.penalty != "auto":
        now["l2"] = settings.penalty
    before = {**model.training, "features": model.features.name, "size": model.size}
    for name, value in now.items():
        if before.get(name) != value:
            raise ConfigError(name, value, f"{before.get(name)}, as of the model to be resumed")


def _cross_validated(prepared: Prepared, trained_on: Mask, progress: Progress) -> Scores:
    problem = prepared.problem
    folds = problem.settings.cv or 2
    progress.note(f"cross-validating in {folds} folds")
    shared = None if prepared.features.standardised else prepared
    try:
        probabilities = cross_validate(problem, trained_on, folds, shared)
    except ValueError as exc:
        raise ConfigError("cv", folds, f"possible: {exc}") from exc
    return score(problem.y[trained_on], probabilities)


def _divergence(fitted: Fitted) -> TrainingError:
    rate, last = fitted.learning_rate, fitted.descent.history[-1]
    advice = (
        f"The learning rate {rate:.6g} is too large for these features: use --learning-rate auto or "
        f"{1 / fitted.curvature:.3g} (the limit of stability is {2 / fitted.curvature:.3g})."
    )
    return TrainingError(last.step, last.cost, advice)


def _warnings(settings: TrainSettings, fitted: Fitted, cv: Scores | None) -> Iterator[str]:
    limit, rate = 2.0 / fitted.curvature, fitted.learning_rate
    last, epsilon = fitted.descent.last, settings.descent.epsilon
    if rate > limit:
        yield (
            f"the learning rate {rate:.6g} is above the limit of stability 2/L = {limit:.6g}: "
            "the cost may swing or grow"
        )
    # ‖step‖ = α ‖gradient‖: would the test have fired with α = 1/L as well?
    if fitted.descent.stop_reason == "step" and last.gradient_norm > epsilon * fitted.curvature:
        yield (
            f"the step became smaller than {epsilon:.6g} only because the learning rate "
            f"{rate:.6g} is small: the gradient is still {last.gradient_norm:.3g}"
        )
    if cv is not None and not cv.beats_baseline:
        yield (
            f"cross-validated, these features are no better than always saying the commoner class: "
            f"{cv.verdict}"
        )


def _provenance(
    problem: Problem,
    m: int,
    labelled: LabelledPictures,
    fitted: Fitted,
    accuracy: float,
    resumed: Model | None,
) -> dict[str, Any]:
    descent, settings = fitted.descent, problem.settings
    before = 0 if resumed is None else int(resumed.training.get("iterations", 0))
    return {
        "m": m,
        "classes": labelled.counts(),
        "loss": settings.descent.loss,
        "class_weight": settings.class_weight,
        "flip": settings.flipped,
        "l2": fitted.l2,
        "momentum": settings.descent.momentum,
        "learning_rate": fitted.learning_rate,
        "iterations": descent.last.step + before,
        "stop_reason": descent.stop_reason,
        "cost": descent.last.cost,
        "gradient_norm": descent.last.gradient_norm,
        "train_accuracy": accuracy,
        "seed": settings.descent.seed,
    }


# --- evaluate ---


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


def labels_by_name(labelled: LabelledPictures, positive: str, negative: str | None, data: str) -> Vector:
    """Y (m,) of pictures whose classes carry the names that a model knows.

    Case and a plural s do not matter. Every class other than the positive one counts as negative, but
    one of the model's two names must be there.

    Raises
    ------
    DataError
        With the names of both, if they do not match.
    """
    names = [_bare(name) for name in labelled.classes]
    known = {_bare(positive)} | ({_bare(negative)} if negative is not None else set())
    if not known & set(names):
        wanted = positive if negative is None else f"{positive}, {negative}"
        found = ", ".join(labelled.classes)
        raise DataError(data, f"has the classes {found}; expected those of the model, {wanted}")
    y_of_class = np.array([name == _bare(positive) for name in names], dtype=np.float64)
    y: Vector = y_of_class[labelled.labels]
    return y


def _bare(name: str) -> str:
    return name.casefold().removesuffix("s")


# --- predict ---


class Prediction(NamedTuple):
    """The answer for one input, or the reason why there is none.

    Attributes
    ----------
    path : str
    label : str or None
    probability : float or None
        Of the positive class.
    error : DataError or None
    """

    path: str
    label: str | None
    probability: float | None
    error: DataError | None


def predict(
    model: Model | str | os.PathLike[str],
    inputs: Iterable[Input],
    *,
    threshold: float | None = None,
    jobs: int | None = None,
    x_key: str | None = None,
    on_passed_over: OnPassedOver = lambda path: None,
) -> Generator[Prediction, None, None]:
    """Yield one prediction for each input, in order, as soon as it is there.

    Parameters
    ----------
    model : Model or path
    inputs : iterable of paths or binary files
        See `catclf.images.inputs.pictures_of`. It is read as needed and no list of it is kept.
    threshold : float or None
        Replaces the model's.
    jobs : int or None
        Threads; None is one for each core.
    x_key : str or None
        Name of the pictures' data set in HDF5 files.
    on_passed_over : (path) -> None
        Called for each file in a folder that is not tried.
    """
    model = model if isinstance(model, Model) else load(os.fspath(model))
    fitted_model = model

    def work(chunk: list[Picture]) -> list[Prediction]:
        return _predict_chunk(fitted_model, chunk, threshold)

    pictures = pictures_of(inputs, on_passed_over, x_key)
    for answers in ordered_map(work, _chunks(pictures), jobs or core_count()):
        yield from answers


def _chunks(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    while chunk := list(islice(pictures, PREDICT_CHUNK)):
        yield chunk


def _predict_chunk(model: Model, chunk: list[Picture], threshold: float | None) -> list[Prediction]:
    decoded = [decode(picture, model.size) for picture in chunk]
    good = [picture.pixels for picture in decoded if picture.pixels is not None]
    images: NDArray[np.uint8] = np.array(good, dtype=np.uint8).reshape(-1, model.size, model.size, 3)
    probabilities = iter(model.probabilities(images).tolist())
    answers = []
    for picture in decoded:
        if picture.error is not None:
            answers.append(Prediction(picture.path, None, None, picture.error))
        else:
            p = next(probabilities)
            answers.append(Prediction(picture.path, model.label(p, threshold), p, None))
    return answers


__all__ = ["Descent", "Evaluation", "Fit", "Prediction", "evaluate", "predict", "train"]
