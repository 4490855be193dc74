"""The tool `train`: labelled pictures and settings → a model and how it came about."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import catclf
from catclf.config import USUAL_FOLDS, TrainSettings, parse_threshold_goal
from catclf.descent import Step
from catclf.errors import ClusterError, ConfigError, DataError, Setting, TrainingError
from catclf.features import Features, FeaturesClass, Viewing
from catclf.fingerprints import MOST_KEPT, Marks, duplicates, fingerprint, kept
from catclf.fitting import (
    Encoded,
    Fitted,
    Mask,
    Prepared,
    Problem,
    cross_validate,
    divergence,
    encode,
    fit,
    prepare,
)
from catclf.folds import held_out_mask
from catclf.images.dataset import DataSet, opened
from catclf.images.labelled import Labelled
from catclf.logistic import Vector
from catclf.metrics import Scores, choose_threshold, score
from catclf.model import HISTORY_COLUMNS, Model
from catclf.pipeline.classes import binary, labels_by_name, negative_class, positive_class
from catclf.pipeline.classifier import Classifier
from catclf.pipeline.resuming import check_resumable, check_same_rows
from catclf.progress import Progress
from catclf.provenance import Provenance
from catclf.stores import Store
from catclf.stores.here import InMemory
from catclf.view import View
from catclf.work.cluster import Cluster, connected


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
    ignored : int
        Files not tried because of their names, likewise.
    enlarged : int
        Pictures trained on that are smaller than what the features take, and were enlarged.
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
    tuned : Scores or None
        The same at the threshold that was tuned on them, which flatters.
    warnings : tuple of str
        Sentences that the user should read.
    seconds : float
    """

    model: Classifier
    m: int
    n_x: int
    counts: dict[str, int]
    skipped: tuple[DataError, ...]
    ignored: int
    enlarged: int
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
    tuned: Scores | None
    warnings: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, ready for JSON."""
        summary = {
            "m": self.m,
            "n_x": self.n_x,
            "classes": self.counts,
            "skipped": len(self.skipped),
            "ignored": self.ignored,
            "enlarged": self.enlarged,
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
        if self.tuned is not None:
            summary["tuned"] = self.tuned.to_dict()
        return summary


def train(
    data: str | os.PathLike[str],
    settings: TrainSettings | None = None,
    *,
    resume: Model | None = None,
    progress: Progress | None = None,
    processes: bool = False,
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
        Hears of every phase and recorded step.
    processes : bool
        Whether features that are computed once may be computed in worker processes: the program that
        calls it has no threads of its own, or can be imported anew by them.

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
    settings, progress = settings or TrainSettings(), progress or Progress()
    task = _Task(os.fspath(data), settings, resume, progress, processes)
    scheduler = settings.read.scheduler
    if scheduler is None:
        return _train(task, None)
    with connected(scheduler, settings.read.jobs, progress.warning) as cluster:
        return _train(task, cluster)


class _Task(NamedTuple):
    """What `train` was asked to do."""

    data: str
    settings: TrainSettings
    resume: Model | None
    progress: Progress
    processes: bool


class _Sources(NamedTuple):
    """The pictures of the data, with those of other data to validate with.

    Attributes
    ----------
    problem : Problem
    trained_on : (m,) bool
        The others are held out.
    marks : (m,) uint64
        Fingerprints.
    labelled : tuple of Labelled
        Of the data, and of other data if there is any.
    positive : str
    enlarged : int
        Pictures of the data that are smaller than what the features take.
    """

    problem: Problem
    trained_on: Mask
    marks: Marks
    labelled: tuple[Labelled, ...]
    positive: str
    enlarged: int

    @property
    def held_out(self) -> Mask | None:
        """The pictures held out (m,), or None if there are none."""
        return None if self.trained_on.all() else ~self.trained_on

    @property
    def paths(self) -> list[str]:
        """Of all m pictures."""
        return [path for labelled in self.labelled for path in labelled.paths]


class _Validated(NamedTuple):
    """What cross-validation has found, if it was asked for.

    Attributes
    ----------
    scores : Scores or None
        At the threshold 1/2.
    threshold : float
        For the model.
    tuned : Scores or None
        At that threshold, where it was tuned.
    diverged : list of TrainingError
        What happened in folds whose descent diverged.
    """

    scores: Scores | None
    threshold: float
    tuned: Scores | None
    diverged: list[TrainingError]


def _train(task: _Task, cluster: Cluster | None) -> Fit:
    begun = time.perf_counter()
    differences = cluster.differences() if cluster is not None else []
    settings, progress, resume = task.settings, task.progress, task.resume
    sources = _read_all(task, cluster)
    problem, trained_on = sources.problem, sources.trained_on
    if resume is not None:
        size, marks = problem.pictures.shape[1], sources.marks[trained_on]
        check_resumable(resume, settings, sources.labelled[0], size, sources.positive, marks)
        if problem.encoded is not None:
            check_same_rows(resume.features, problem.encoded.features)
    computing = f"; computing {settings.features}" if problem.encoded is None else ""
    progress.note(f"{problem.m} pictures read{computing}")
    prepared = _prepared(problem, trained_on, resume)
    cv = _cross_validated(prepared, trained_on)
    progress.note(f"descending with the engine {prepared.engine_name}")
    fitted = fit(prepared, trained_on, held_out=sources.held_out, watched=True)
    if fitted.descent.stop_reason == "diverged":
        raise divergence(fitted)
    model = _model(sources, prepared, fitted, cv, resume)
    try:
        scored = prepared.probabilities(fitted.descent)
    except ClusterError as exc:
        exc.model = model
        raise
    warnings = (*differences, *_warnings(sources, fitted, cv))
    return _fit(sources, prepared, fitted, model, scored, cv, warnings, begun)


class _Read(NamedTuple):
    """Pictures that could be read, or their rows where the pictures themselves are not needed.

    Attributes
    ----------
    pictures : Store (m, s, s, 3) of uint8
        Of rows none, but of their shape.
    encoded : Encoded or None
    marks : (m,) uint64
    labelled : Labelled
    shorter : tuple of int
        With rows, the shorter side of each picture.
    """

    pictures: Store
    encoded: Encoded | None
    marks: Marks
    labelled: Labelled
    shorter: tuple[int, ...] = ()

    def joined(self, other: _Read) -> _Read:
        """Return these, then the others; `labelled` is of these alone."""
        encoded = self.encoded
        if encoded is not None and other.encoded is not None:
            encoded = Encoded(encoded.features, encoded.rows.joined(other.encoded.rows))
        pictures, marks = self.pictures.joined(other.pictures), np.append(self.marks, other.marks)
        return self._replace(pictures=pictures, encoded=encoded, marks=marks)


def _read_all(task: _Task, cluster: Cluster | None) -> _Sources:
    """Read the data, unless its classes do not fit, and other data to validate with."""
    settings, progress, read = task.settings, task.progress, task.settings.read
    features = _own_view(settings)
    usual = View(settings.kind.size) if features is None else features.view
    if features is not None:
        read = replace(read, size=features.size)  # whatever that of the data is
    with opened(task.data, read, usual, cluster) as listed:
        progress.ignored(listed.labelled.ignored)
        progress.warnings(listed.labelled.warnings)
        positive_class(listed.labelled, settings.positive)  # before anything is decoded
        found = _load(listed, task, features)
    enlarged = 0
    if features is not None:
        found, enlarged = _of_their_size(found, features)
    labelled = found.labelled
    positive = positive_class(labelled, settings.positive)  # one side may have been unreadable
    y = binary(labelled, positive)
    sources: tuple[Labelled, ...] = (labelled,)
    trained_on = np.ones(len(y), dtype=bool)
    if isinstance(settings.validation, float):
        trained_on = ~held_out_mask(y, settings.validation, settings.descent.seed)
    elif settings.validation is not None:
        size, left = found.pictures.shape[1], max(1, read.memory - found.pictures.nbytes)
        with opened(
            os.fspath(settings.validation), replace(read, size=size, memory=left), usual, cluster
        ) as listed:
            progress.ignored(listed.labelled.ignored)
            progress.warnings(listed.labelled.warnings)
            labels_by_name(listed.labelled, positive)
            made = None if found.encoded is None else found.encoded.features
            other = _load(listed, task, made)
        progress.note(f"{other.labelled.m} pictures read for validation")
        found, sources = found.joined(other), (labelled, other.labelled)
        y = np.append(y, labels_by_name(other.labelled, positive))
        trained_on = np.arange(len(y)) < labelled.m
    problem = Problem(found.pictures, y, settings, progress, found.encoded)
    return _Sources(problem, trained_on, found.marks, sources, positive, enlarged)


def _own_view(settings: TrainSettings) -> Viewing | None:
    """Features that say how pictures are cut, ready before any is read; None if those do not."""
    if not settings.kind.own_view:
        return None
    code: FeaturesClass = settings.kind.load()
    return code.chosen(settings.read)


def _load(listed: DataSet, task: _Task, features: Features | None) -> _Read:
    """Decode all pictures, and keep them or, where that is enough, their rows by `features`."""
    kind = task.settings.kind
    if kind.at_reading:
        code: FeaturesClass = kind.load()
        return _load_rows(listed, task, features or code.of_size(listed.view.side))
    pictures, labelled = listed.load(task.progress.advanced)
    task.progress.endless(labelled.endless)
    return _Read(pictures, None, pictures.each(fingerprint), labelled)


def _load_rows(listed: DataSet, task: _Task, features: Features) -> _Read:
    from catclf.pipeline.scoring import Row, RowMaker, rows_of  # only here: Pillow takes time to import

    progress, m = task.progress, listed.labelled.m
    maker = RowMaker(features, task.settings.read)
    empty = np.empty((0, features.size, features.size, 3), np.uint8)
    dtype = features.rows(empty).dtype
    if m * features.n_x * dtype.itemsize > task.settings.read.memory:
        needed = f"{m * features.n_x * dtype.itemsize / 1e6:.1f} MB"
        reason = f"has {m} pictures, whose rows take {needed}; allow more "
        raise DataError(listed.labelled.source, reason, Setting("memory"))
    rows = np.empty((m, features.n_x), dtype)
    good: dict[int, Row] = {}
    skipped: list[DataError] = []
    done = 0
    with closing(rows_of(maker, listed.pictures(), task.processes, progress)) as chunks:
        for chunk in chunks:
            for k, row in enumerate(chunk, done):
                if row.error is None:
                    rows[len(good)] = row.numbers
                    good[k] = row._replace(numbers=None)
                elif task.settings.read.on_error == "fail":
                    raise row.error
                else:
                    skipped.append(row.error)
            done += len(chunk)
            progress.advanced("pictures encoded", done, m)
    progress.endless(sum(row.endless for row in good.values()))
    return _Read(
        pictures=InMemory(empty),
        encoded=Encoded(features, InMemory(rows[: len(good)])),
        marks=np.array([row.mark for row in good.values()], np.uint64),
        labelled=listed.labelled.only([*good], skipped),
        shorter=tuple(row.shorter for row in good.values()),
    )


def _of_their_size(found: _Read, features: Viewing) -> tuple[_Read, int]:
    """Have the features remember the size of small pictures; and how many were enlarged.

    If all are smaller than what the network takes, a model of them shrinks larger ones to their size.
    """
    assert found.encoded is not None
    largest, needed = max(found.shorter, default=0), features.view.needed
    enlarged = sum(shorter < needed for shorter in found.shorter)
    if 0 < largest < needed:
        small = Encoded(features.of_small(largest), found.encoded.rows)
        found = found._replace(encoded=small)
    return found, enlarged


def _prepared(problem: Problem, trained_on: Mask, resume: Model | None) -> Prepared:
    kind, cv = problem.settings.kind, problem.settings.cv
    fits = 1 if kind.learns or kind.standardised else 1 + (cv or 0)
    if resume is None:
        return prepare(problem, trained_on, fits)
    encoded = encode(problem, trained_on, resume.features)
    return prepare(problem, trained_on, fits, (resume.w, resume.b), encoded)


def _cross_validated(prepared: Prepared, trained_on: Mask) -> _Validated:
    problem, settings = prepared.problem, prepared.problem.settings
    if settings.cv is None and settings.tune_threshold is None:
        return _Validated(None, 0.5, None, [])
    folds = settings.cv or USUAL_FOLDS
    problem.progress.note(f"cross-validating in {folds} folds")
    diverged: list[TrainingError] = []
    probabilities = cross_validate(prepared, trained_on, folds, diverged.append)
    y, threshold, at_it = problem.y[trained_on], 0.5, None
    if settings.tune_threshold is not None:
        goal, at = parse_threshold_goal(settings.tune_threshold)
        tuned = choose_threshold(y, probabilities, goal, at)
        if tuned is None:
            rule = "within reach: no threshold gives that in cross-validation"
            raise ConfigError("tune_threshold", settings.tune_threshold, rule)
        threshold, at_it = tuned, score(y, probabilities, tuned)
    return _Validated(score(y, probabilities), threshold, at_it, diverged)


def _model(
    sources: _Sources, prepared: Prepared, fitted: Fitted, cv: _Validated, resume: Model | None
) -> Classifier:
    w, b = prepared.parameters(fitted.descent)
    positive = sources.positive
    return Classifier(
        w=w,
        b=b,
        features=prepared.features,
        positive=positive,
        negative=negative_class(sources.labelled[0].classes, positive),
        threshold=cv.threshold,
        training=_provenance(sources, prepared, fitted, cv.scores, resume),
        fingerprints=kept(sources.marks[sources.trained_on]),
        history=_history_table(fitted.descent.history),
    )


def _provenance(
    sources: _Sources, prepared: Prepared, fitted: Fitted, cv: Scores | None, resume: Model | None
) -> Provenance:
    problem, trained_on, descent = sources.problem, sources.trained_on, fitted.descent
    settings, before = problem.settings, 0 if resume is None else resume.training.iterations or 0
    return Provenance(
        catclf=catclf.__version__,
        m=int(trained_on.sum()),
        classes=sources.labelled[0].counts(),
        loss=problem.descent.loss,
        class_weight=settings.class_weight,
        flip=settings.flip,
        l2=fitted.l2,
        momentum=problem.descent.momentum,
        learning_rate=fitted.learning_rate,
        iterations=descent.last.step + before,
        stop_reason=descent.stop_reason,
        cost=descent.last.cost,
        gradient_norm=descent.last.gradient_norm,
        seed=problem.descent.seed,
        positives=int(problem.y[trained_on].sum()),
        positive_share=float(problem.shares(trained_on) @ problem.y),
        w_mean=prepared.w_mean(fitted.descent),
        cv=None if cv is None else _cv_facts(cv, settings.cv or USUAL_FOLDS),
    )


def _cv_facts(cv: Scores, folds: int) -> dict[str, Any]:
    facts = cv.to_dict()
    return {"folds": folds, **{name: facts[name] for name in ("accuracy", "accuracy_ci95", "roc_auc")}}


def _fit(
    sources: _Sources,
    prepared: Prepared,
    fitted: Fitted,
    model: Classifier,
    scored: Vector,
    cv: _Validated,
    warnings: tuple[str, ...],
    begun: float,
) -> Fit:
    descent, y, held_out = fitted.descent, sources.problem.y, sources.held_out
    called, limit = scored >= model.threshold, model.threshold
    accuracy = float((called == y)[sources.trained_on].mean())
    return Fit(
        model=replace(model, training=replace(model.training, train_accuracy=accuracy)),
        m=int(sources.trained_on.sum()),
        n_x=len(model.w),
        counts=sources.labelled[0].counts(),
        skipped=tuple(error for labelled in sources.labelled for error in labelled.skipped),
        ignored=sum(len(labelled.ignored) for labelled in sources.labelled),
        enlarged=sources.enlarged,
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
        validation=None if held_out is None else score(y[held_out], scored[held_out], limit),
        cv=cv.scores,
        tuned=cv.tuned,
        warnings=warnings,
        seconds=time.perf_counter() - begun,
    )


def _warnings(sources: _Sources, fitted: Fitted, cv: _Validated) -> Iterator[str]:
    problem, trained_on = sources.problem, sources.trained_on
    yield from duplicates(sources.marks, sources.paths, problem.y, trained_on)
    limit, rate = 2.0 / fitted.curvature, fitted.learning_rate
    last, epsilon = fitted.descent.last, problem.descent.epsilon
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
    if cv.diverged:
        first = cv.diverged[0]
        yield (
            f"in cross-validation {len(cv.diverged)} folds are scored at a point before the end: the "
            f"descent diverged at step {first.step} (cost {first.cost:.6g})"
        )
    if not len(kept(sources.marks[trained_on])):
        yield (
            f"the model does not remember its pictures, which are more than {MOST_KEPT}: "
            "eval will not know them again"
        )
    if cv.scores is not None and not cv.scores.beats_baseline:
        yield "in cross-validation these features are no better than always naming the more common class"


def _history_table(history: tuple[Step, ...]) -> NDArray[np.float64]:
    """Recorded steps as `HISTORY_COLUMNS`, without a validation cost that does not exist."""
    table = np.array([[getattr(step, name) for name in HISTORY_COLUMNS] for step in history])
    return table[:, np.isfinite(table).all(axis=0)]
