"""The tool `train`: labelled pictures and settings → a model and how it came about."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.cluster import Cluster, connected
from catclf.config import USUAL_FOLDS, TrainSettings, parse_threshold_goal
from catclf.descent import Step
from catclf.design import Rows, joined
from catclf.errors import ClusterError, ConfigError, DataError, TrainingError
from catclf.fitting import Fitted, Mask, Prepared, Problem, cross_validate, divergence, fit, prepare
from catclf.folds import held_out_mask
from catclf.images.labelled import Check, LabelledPictures, read_within
from catclf.images.remote import RemotePictures
from catclf.logistic import Vector
from catclf.metrics import Scores, choose_threshold, score
from catclf.model import HISTORY_COLUMNS, MOST_FINGERPRINTS, Model, fingerprint
from catclf.parallel import core_count
from catclf.pipeline.classes import labels_by_name, negative_class, positive_class
from catclf.pipeline.classifier import Classifier
from catclf.printable import number_of
from catclf.progress import Progress

_BLOCK_BYTES = 4_000_000


@dataclass(frozen=True)
class Fit:
    """What `train` gives back.

    Attributes
    ----------
    model : Classifier
    m, n_x : int
        Pictures trained on (without mirror images) and features.
    counts : dict
        Number of pictures read of each class of the data.
    skipped : tuple of DataError
        Pictures that could not be read, here and in other data for validation.
    passed_over : int
        Files not tried because of their names, likewise.
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
        Cross-validated, at the threshold 1/2 even if another one was tuned on the same probabilities.
    warnings : tuple of str
        Sentences that the user should read.
    seconds : float
    """

    model: Classifier
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
    TooFewPicturesError
        If a class is too small to be divided as the settings say.
    TrainingError
        If the descent diverges.
    ClusterError
        If the settings' scheduler cannot be reached or is lost; its `model` is then the best so far.
    """
    settings = settings or TrainSettings()
    progress = progress or Progress()
    data = os.fspath(data)
    if settings.scheduler is None:
        return _train(data, settings, resume, progress, None)
    with connected(settings.scheduler, settings.jobs, progress.warning) as cluster:
        return _train(data, settings, resume, progress, cluster)


def _train(
    data: str,
    settings: TrainSettings,
    resume: Model | None,
    progress: Progress,
    cluster: Cluster | None,
) -> Fit:
    begun = time.perf_counter()
    differences = cluster.differences() if cluster is not None else []

    def positive_of(pictures: LabelledPictures[Any]) -> str:
        return positive_class(pictures, settings.positive, data)

    labelled = _read(data, settings, settings.size, settings.memory, progress, cluster, positive_of)
    positive = positive_of(labelled)  # those of one side may all have been unreadable
    others = _validation_data(settings, positive, labelled.pixels, progress, cluster)
    sources = (labelled, *others)
    problem, trained_on = _problem(sources, positive, settings)
    marks = _fingerprints(problem.pixels)
    if resume is not None:
        _check_resumable(resume, problem, marks[trained_on], labelled.counts(), positive, data)
    fits = 1 + (settings.cv or 0) * (settings.features == "pixels")
    start = None if resume is None else (resume.w, resume.b)
    progress.note(f"{problem.m} pictures read; computing {settings.features}")
    features = None if resume is None else resume.features
    prepared = prepare(problem, trained_on, fits, start, features)
    cv, threshold, diverged = _cross_validated(prepared, trained_on, progress)
    progress.note(f"descending with the engine {prepared.engine_name}")
    held_out = ~trained_on if not trained_on.all() else None
    fitted = fit(prepared, trained_on, held_out=held_out, progress=progress)
    descent = fitted.descent
    if descent.stop_reason == "diverged":
        raise divergence(fitted)
    w, b = prepared.parameters(descent)
    m = int(trained_on.sum())
    model = Classifier(
        w=w,
        b=b,
        features=prepared.features,
        positive=positive,
        negative=negative_class(labelled.classes, positive),
        threshold=threshold,
        training=_provenance(problem, trained_on, labelled, fitted, resume),
        fingerprints=marks[trained_on] if m <= MOST_FINGERPRINTS else marks[:0],
        history=_history_table(descent.history),
    )
    try:
        scored = prepared.probabilities(descent)
    except ClusterError as exc:
        exc.model = model
        raise
    accuracy = float(((scored >= threshold) == problem.y)[trained_on].mean())
    return Fit(
        model=replace(model, training={**model.training, "train_accuracy": accuracy}),
        m=m,
        n_x=len(w),
        counts=labelled.counts(),
        skipped=tuple(error for source in sources for error in source.skipped),
        passed_over=sum(len(source.passed_over) for source in sources),
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
        validation=None if held_out is None else score(problem.y[held_out], scored[held_out], threshold),
        cv=cv,
        warnings=(
            *differences,
            *_duplicates(
                [path for source in sources for path in source.paths],
                problem.y,
                trained_on,
                marks.tolist(),
            ),
            *_warnings(settings, fitted, cv, m, diverged),
        ),
        seconds=time.perf_counter() - begun,
    )


def _read(
    data: str,
    settings: TrainSettings,
    size: int | None,
    memory: int,
    progress: Progress,
    cluster: Cluster | None,
    accept: Check,
) -> LabelledPictures[Any]:
    """Read the pictures, unless `accept` refuses them before any is decoded."""

    def check(listed: LabelledPictures[int]) -> None:
        progress.passed_over(listed.passed_over)
        accept(listed)

    if cluster is not None:
        from catclf.images.on_workers import read_on_workers  # it takes time to import

        return read_on_workers(
            cluster,
            data,
            size=size,
            on_error=settings.on_error,
            max_pixels=settings.max_pixels,
            x_key=settings.x_key,
            y_key=settings.y_key,
            check=check,
        )
    return read_within(
        memory,
        data,
        size=size,
        on_error=settings.on_error,
        jobs=settings.jobs or core_count(),
        max_pixels=settings.max_pixels,
        x_key=settings.x_key,
        y_key=settings.y_key,
        on_read=progress.reading,
        check=check,
    )


def _validation_data(
    settings: TrainSettings, positive: str, pixels: Any, progress: Progress, cluster: Cluster | None
) -> Iterator[LabelledPictures[Any]]:
    """Yield the pictures of other data to validate with, if there is any."""
    if isinstance(settings.validation, str | os.PathLike):
        left = settings.memory - (pixels.nbytes if isinstance(pixels, np.ndarray) else 0)
        path = os.fspath(settings.validation)

        def y_of(pictures: LabelledPictures[Any]) -> Vector:
            return labels_by_name(pictures, positive, None, path)

        other = _read(path, settings, pixels.shape[1], left, progress, cluster, y_of)
        progress.note(f"{other.m} pictures read for validation")
        yield other


def _binary(labelled: LabelledPictures[Any], positive: str) -> Vector:
    is_positive = np.equal(labelled.labels, labelled.classes.index(positive))
    return is_positive.astype(np.float64)


def _problem(
    sources: tuple[LabelledPictures[Any], ...], positive: str, settings: TrainSettings
) -> tuple[Problem, Mask]:
    """All pictures, with those held out for validation, and which of them are trained on."""
    labelled, *others = sources
    pixels, y = labelled.pixels, _binary(labelled, positive)
    trained_on = np.ones(len(y), dtype=bool)
    validation = settings.validation
    if isinstance(validation, float):
        trained_on = ~held_out_mask(y, validation, settings.descent.seed)
    for other in others:
        pixels = _joined(pixels, other.pixels)
        y = np.concatenate([y, labels_by_name(other, positive, None, str(validation))])
        trained_on = np.arange(len(y)) < labelled.m
    return Problem(pixels, y, settings, settings.jobs or core_count()), trained_on


def _check_resumable(
    model: Model,
    problem: Problem,
    marks: NDArray[np.uint64],
    counts: dict[str, int],
    positive: str,
    data: str,
) -> None:
    """Refuse to go on with other data or another cost than the model was trained with.

    `marks` are the fingerprints of the pictures to be trained on.
    """
    settings, before, m = problem.settings, dict(model.training), len(marks)
    facts: tuple[tuple[str, Any, str], ...] = (
        ("classes", counts, "classes"),
        ("m", m, "number of training pictures"),
    )
    for name, found, what in facts:
        if before.get(name) != found:
            expected = f"{before.get(name)}, as of the model to be resumed"
            raise DataError(data, f"has the {what} {found}; expected {expected}")
    if settings.descent.start == "random":
        raise ConfigError("init", "random", "left out: a resumed model is the start")
    now: dict[str, Any] = {
        "features": settings.features,
        "size": problem.pixels.shape[1],
        "loss": settings.descent.loss,
        "class_weight": settings.class_weight,
        "flip": settings.flip,
        "positive": positive,
    }
    if isinstance(settings.validation, float):
        now["seed"] = settings.descent.seed  # another one would hold out pictures trained on
    if settings.penalty != "auto":
        now["l2"] = settings.penalty
    before |= {"features": model.features.name, "size": model.size, "positive": model.positive}
    for name, value in now.items():
        if before.get(name) != value:
            raise ConfigError(name, value, f"{before.get(name)}, as of the model to be resumed")
    known = model.fingerprints
    if len(known) and not np.array_equal(np.sort(marks), np.sort(known)):
        count = int((~np.isin(marks, known)).sum())
        what = f"other pictures than the model to be resumed was trained on: {count} of {m} are new"
        raise DataError(data, f"has {what}; train anew")


def _cross_validated(
    prepared: Prepared, trained_on: Mask, progress: Progress
) -> tuple[Scores | None, float, list[TrainingError]]:
    """Cross-validated scores at 1/2, if they are wanted, and the threshold for the model.

    And what happened in folds whose descent diverged.
    """
    problem, settings = prepared.problem, prepared.problem.settings
    if settings.cv is None and settings.tune_threshold is None:
        return None, 0.5, []
    folds = settings.cv or USUAL_FOLDS
    progress.note(f"cross-validating in {folds} folds")
    shared = None if prepared.features.standardised else prepared
    diverged: list[TrainingError] = []
    probabilities = cross_validate(problem, trained_on, folds, shared, diverged.append)
    y, threshold = problem.y[trained_on], 0.5
    if settings.tune_threshold is not None:
        goal, at = parse_threshold_goal(settings.tune_threshold)
        tuned = choose_threshold(y, probabilities, goal, at)
        if tuned is None:
            rule = "within reach: no threshold gives that in cross-validation"
            raise ConfigError("tune_threshold", settings.tune_threshold, rule)
        threshold = tuned
    return score(y, probabilities), threshold, diverged


def _warnings(
    settings: TrainSettings, fitted: Fitted, cv: Scores | None, m: int, diverged: list[TrainingError]
) -> Iterator[str]:
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
    if diverged:
        yield (
            f"in cross-validation {len(diverged)} folds are scored at a point before the end: "
            f"{diverged[0]}"
        )
    if m > MOST_FINGERPRINTS:
        yield (
            f"the model does not remember its pictures, which are more than {MOST_FINGERPRINTS}: "
            "eval will not know them again"
        )
    if cv is not None and not cv.beats_baseline:
        yield "in cross-validation these features are no better than always saying the commoner class"


def _joined(pixels: Any, others: Any) -> Any:
    if isinstance(pixels, RemotePictures):
        return pixels.joined(others)
    return joined([pixels, others])


def _fingerprints(pixels: Rows | RemotePictures) -> NDArray[np.uint64]:
    if isinstance(pixels, RemotePictures):
        return pixels.each(fingerprint)
    height = max(1, _BLOCK_BYTES // math.prod(pixels.shape[1:]))
    blocks = [fingerprint(pixels[k : k + height]) for k in range(0, pixels.shape[0], height)]
    return np.concatenate(blocks)


def _duplicates(paths: list[str], y: Vector, trained_on: Mask, marks: list[int]) -> Iterator[str]:
    """Sentences about pictures that occur more than once."""
    first: dict[int, int] = {}
    again = [(k, first.setdefault(mark, k)) for k, mark in enumerate(marks)]
    pairs = [(k, earlier) for k, earlier in again if k != earlier]
    torn = [pair for pair in pairs if y[pair[0]] != y[pair[1]]]
    seen = {mark: k for k, mark in enumerate(marks) if trained_on[k]}
    held_out = np.flatnonzero(~trained_on).tolist()
    leaked = [(k, seen[marks[k]]) for k in held_out if marks[k] in seen]
    for found, what in (
        (pairs, "more than once"),
        (torn, "with different labels"),
        (leaked, "both held out and trained on, which flatters the validation"),
    ):
        if found:
            k, other = found[0]
            count = number_of(len(found), "picture")
            yield f"{count} found {what}; the first: {paths[k]} is {paths[other]}"


def _history_table(history: tuple[Step, ...]) -> NDArray[np.float64]:
    """Recorded steps as `HISTORY_COLUMNS`, without a validation cost that does not exist."""
    table = np.array([[getattr(step, name) for name in HISTORY_COLUMNS] for step in history])
    return table[:, np.isfinite(table).all(axis=0)]


def _provenance(
    problem: Problem,
    trained_on: Mask,
    labelled: LabelledPictures[Any],
    fitted: Fitted,
    resumed: Model | None,
) -> dict[str, Any]:
    descent, settings = fitted.descent, problem.settings
    before = 0 if resumed is None else resumed.training.get("iterations")
    return {
        "m": int(trained_on.sum()),
        "classes": labelled.counts(),
        "loss": settings.descent.loss,
        "class_weight": settings.class_weight,
        "flip": settings.flip,
        "l2": fitted.l2,
        "momentum": settings.descent.momentum,
        "learning_rate": fitted.learning_rate,
        "iterations": descent.last.step + (before if isinstance(before, int) else 0),
        "stop_reason": descent.stop_reason,
        "cost": descent.last.cost,
        "gradient_norm": descent.last.gradient_norm,
        "seed": settings.descent.seed,
        "positives": int(problem.y[trained_on].sum()),
        "positive_share": float(problem.shares(trained_on) @ problem.y),
    }
