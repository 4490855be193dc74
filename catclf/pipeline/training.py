"""The tool `train`: labelled pictures and settings → a model and how it came about."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

import catclf
from catclf.config import TrainSettings, parse_threshold_goal
from catclf.descent import Step
from catclf.errors import ClusterError, ConfigError, DataError, TrainingError
from catclf.features import Features, Placed
from catclf.fingerprints import MOST_KEPT, duplicates, kept
from catclf.fitting import (
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
from catclf.folds import fold_numbers
from catclf.images.corrections import Corrections
from catclf.logistic import Vector
from catclf.metrics import Scores, choose_threshold, score
from catclf.model import HISTORY_COLUMNS, Model
from catclf.pipeline.classifier import Classifier
from catclf.pipeline.resuming import check_resumable, check_same_rows
from catclf.pipeline.training_data import NearDuplicates, Sources, Task, read_all
from catclf.printable import html_table, number_of
from catclf.progress import Progress
from catclf.provenance import Provenance
from catclf.unusual import LEARNED_FROM, Usual
from catclf.work.cluster import Cluster

_LARGE_GROUP = 0.05
"""Share of the pictures from which on a group of near-duplicates is worth a word."""


@dataclass(frozen=True, repr=False)
class Fit:
    """The result of `train`.

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
        Files not tried because of their names, in both as well.
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
    corrections : Corrections or None
        What became of the labels that were laid over those of the data.
    near_duplicates : NearDuplicates or None
        Pictures of the same scenes; None where no picture was held out, and so nobody looked.
    validation : Scores or None
        Of the held-out pictures.
    cv : Scores or None
        Cross-validated, at the threshold 1/2 even if another one was tuned on the same probabilities.
    tuned : Scores or None
        The same at the threshold that was tuned on them, which is too good.
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
    corrections: Corrections | None
    near_duplicates: NearDuplicates | None
    validation: Scores | None
    cv: Scores | None
    tuned: Scores | None
    warnings: tuple[str, ...]
    seconds: float

    def __repr__(self) -> str:
        return f"<Fit: {'; '.join(f'{name} {value}' for name, value in self._facts())}>"

    def _repr_html_(self) -> str:
        """Show the same in a notebook, as a table."""
        return html_table(self._facts())

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "pictures", ", ".join(f"{name} {count}" for name, count in self.counts.items())
        yield "features", f"{self.model.features.kind.name} ({self.n_x})"
        yield "descent", f"{number_of(self.iterations, 'update')}, cost {self.last.cost:.6f}"
        yield "training accuracy", f"{self.train_accuracy:.3f}"
        for name, scores in (("validation", self.validation), ("cross-validated", self.cv)):
            if scores is not None:
                yield f"{name} accuracy", scores.accuracy_text

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
        if self.corrections is not None:
            summary["corrections"] = self.corrections.counts()
        if self.near_duplicates is not None:
            found = self.near_duplicates
            summary["near_duplicates"] = {"groups": found.groups, "pictures": found.pictures}
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
        calls it has no threads of its own, or can be imported again by them.

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
    task = Task(os.fspath(data), settings, resume, progress, processes)
    with task.connected() as cluster:
        return _train(task, cluster)


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


_UNVALIDATED = _Validated(None, 0.5, None, [])


def _train(task: Task, cluster: Cluster | None) -> Fit:
    begun = time.perf_counter()
    differences = cluster.differences() if cluster is not None else []
    settings, progress, resume = task.settings, task.progress, task.resume
    sources = read_all(task, cluster)
    problem, trained_on = sources.problem, sources.trained_on
    if resume is not None:
        size, marks = problem.pictures.shape[1], sources.marks[trained_on]
        check_resumable(resume, settings, sources.labelled[0], size, sources.positive, marks)
        if problem.encoded is not None:
            check_same_rows(resume.features, problem.encoded.features)
    computing = f"; computing {settings.features}" if problem.encoded is None else ""
    progress.note(f"{problem.m} pictures read{computing}")
    folds = settings.folds
    if folds is not None:  # said before the work, if there are too few pictures
        fold_numbers(problem.y[trained_on], folds, settings.descent.seed, problem.groups_of(trained_on))
    prepared = _prepared(problem, trained_on, resume)
    progress.note(f"running gradient descent with the engine {prepared.engine_name}")
    fitted = fit(prepared, trained_on, held_out=sources.held_out, watched=True)
    if fitted.descent.stop_reason == "diverged":
        raise divergence(fitted)
    try:
        scored = prepared.probabilities(fitted.descent)
        # Last, so that there is a model to save if somebody stops it.
        cv: _Validated | None = _UNVALIDATED
        if folds is not None:
            cv = progress.optional(lambda: _cross_validated(prepared, trained_on, folds, sources.names))
    except ClusterError as exc:
        exc.model = _model(sources, prepared, fitted, _UNVALIDATED, resume)
        raise
    validated = cv or _UNVALIDATED
    model = _model(sources, prepared, fitted, validated, resume)
    warnings = (*differences, *_warnings(sources, fitted, cv))
    return _fit(sources, prepared, fitted, model, scored, validated, warnings, begun)


def _prepared(problem: Problem, trained_on: Mask, resume: Model | None) -> Prepared:
    kind, cv = problem.settings.kind, problem.settings.cv
    fits = 1 if kind.learns or kind.standardised else 1 + (cv or 0)
    if resume is None:
        return prepare(problem, trained_on, fits)
    encoded = encode(problem, trained_on, resume.features)
    return prepare(problem, trained_on, fits, (resume.w, resume.b), encoded)


def _cross_validated(
    prepared: Prepared, trained_on: Mask, folds: int, names: tuple[str, str]
) -> _Validated:
    problem, settings = prepared.problem, prepared.problem.settings
    problem.progress.note(f"cross-validating in {folds} folds")
    diverged: list[TrainingError] = []
    probabilities = cross_validate(prepared, trained_on, folds, diverged.append)
    y, threshold, at_it = problem.y[trained_on], 0.5, None
    if problem.progress.wants_details and problem.has_groups:
        apart = replace(prepared, problem=replace(problem, groups=None))
        verdict = score(y, cross_validate(apart, trained_on, folds), names=names).verdict
        problem.progress.note(f"with near-duplicates in different folds it would be: {verdict}")
    if settings.tune_threshold is not None:
        goal, at = parse_threshold_goal(settings.tune_threshold)
        tuned = choose_threshold(y, probabilities, goal, at)
        if tuned is None:
            rule = "cannot be reached: no threshold gives that in cross-validation"
            raise ConfigError("tune_threshold", settings.tune_threshold, rule)
        threshold, at_it = tuned, score(y, probabilities, tuned, names)
    return _Validated(score(y, probabilities, names=names), threshold, at_it, diverged)


def _model(
    sources: Sources, prepared: Prepared, fitted: Fitted, cv: _Validated, resume: Model | None
) -> Classifier:
    w, b = prepared.parameters(fitted.descent)
    positive = sources.positive
    return Classifier(
        w=w,
        b=b,
        features=prepared.features,
        positive=positive,
        negative=sources.names[0],
        threshold=cv.threshold,
        training=_provenance(sources, prepared, fitted, cv.scores, resume),
        decoding=sources.decoding,
        fingerprints=kept(sources.marks[sources.trained_on]),
        history=history_table(fitted.descent.history),
        usual=_usual(prepared, sources.trained_on),
    )


def _usual(prepared: Prepared, trained_on: Mask) -> Usual | None:
    """What the training pictures are like, by no more of their rows than are needed."""
    if not prepared.features.kind.tells_unusual:
        return None
    seed = prepared.problem.settings.descent.seed
    chosen = np.flatnonzero(trained_on)
    if len(chosen) > LEARNED_FROM:
        chosen = np.random.default_rng(seed).choice(chosen, LEARNED_FROM, replace=False)
    mask = np.zeros(prepared.encoded.rows.shape[0], dtype=bool)
    mask[chosen] = True
    return Usual.learn(prepared.encoded.rows.chosen(mask)[:], seed)


def _provenance(
    sources: Sources, prepared: Prepared, fitted: Fitted, cv: Scores | None, resume: Model | None
) -> Provenance:
    problem, trained_on, descent = sources.problem, sources.trained_on, fitted.descent
    settings, before = problem.settings, 0 if resume is None else resume.training.iterations or 0
    mean = prepared.mean_contributions(descent)
    return Provenance(
        catclf=catclf.__version__,
        m=int(trained_on.sum()),
        classes=sources.labelled[0].counts(),
        corrections=None if sources.corrections is None else sources.corrections.counts(),
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
        w_mean=None if mean is None else float(mean.sum()),
        mean_places=None if mean is None else _by_place(prepared.features, mean),
        cv=None if cv is None else _cv_facts(cv, settings.folds, _learned_before(sources)),
    )


def _by_place(features: Features, mean: Vector) -> list[float] | None:
    """What the mean picture adds at each place, for features that keep it."""
    if features.kind.explained != "beside":
        return None
    places: list[float] = cast(Placed, features).by_place(mean).ravel().tolist()
    return places


def _cv_facts(cv: Scores, folds: int | None, learned_before: bool) -> dict[str, Any]:
    facts, said = cv.to_dict(), {"features_learned_anew": False} if learned_before else {}
    scores = {name: facts[name] for name in ("accuracy", "accuracy_ci95", "roc_auc")}
    return {"folds": folds, **scores, **said}


def _learned_before(sources: Sources) -> bool:
    """Whether features were learned from all pictures, those held out too."""
    return sources.packed and sources.problem.settings.kind.learns


def _fit(
    sources: Sources,
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
        corrections=sources.corrections,
        near_duplicates=sources.near_duplicates,
        validation=None
        if held_out is None
        else score(y[held_out], scored[held_out], limit, sources.names),
        cv=cv.scores,
        tuned=cv.tuned,
        warnings=warnings,
        seconds=time.perf_counter() - begun,
    )


def _warnings(sources: Sources, fitted: Fitted, cv: _Validated | None) -> Iterator[str]:
    problem, trained_on = sources.problem, sources.trained_on
    yield from duplicates(sources.marks, sources.paths, problem.y, trained_on)
    yield from _near_duplicates(sources)
    limit, rate = 2.0 / fitted.curvature, fitted.learning_rate
    last, epsilon = fitted.descent.last, problem.descent.epsilon
    if rate > limit:
        yield (
            f"the learning rate {rate:.6g} is above the limit of stability 2/L = {limit:.6g}: "
            "the cost may oscillate or grow"
        )
    # ‖step‖ = α ‖gradient‖: would the test have fired with α = 1/L as well?
    if fitted.descent.stop_reason == "step" and last.gradient_norm > epsilon * fitted.curvature:
        yield (
            f"the step fell below epsilon only because the learning rate {rate:.6g} is small: raise it,"
            " or stop by the gradient"
        )
    if _learned_before(sources) and problem.settings.holds_out:
        name = problem.settings.features
        yield (
            f"the features {name!r} in {sources.labelled[0].source} were learned from all its pictures:"
            " scores of those held out may be too good"
        )
    if cv is None:
        without = "" if problem.settings.tune_threshold is None else ", and its threshold is 0.5"
        yield f"interrupted before cross-validation was done: the model has no scores of it{without}"
    elif cv.diverged:
        first, folds = cv.diverged[0], number_of(len(cv.diverged), "fold")
        yield (
            f"the descent diverged in {folds} of cross-validation, first at"
            f" step {first.step} (cost {first.cost:.6g}): the scores there are of the best point before"
        )
    if not len(kept(sources.marks[trained_on])):
        yield (
            f"more than {MOST_KEPT} pictures are too many to store fingerprints of: eval cannot detect"
            " overlap with training"
        )
    if cv is not None and cv.scores is not None and not cv.scores.beats_baseline:
        yield "in cross-validation these features are no better than always answering with one class"


def _near_duplicates(sources: Sources) -> Iterator[str]:
    paths, near = sources.paths, sources.near_duplicates
    if near is not None and near.groups and near.largest > _LARGE_GROUP * sources.labelled[0].m:
        first, second = (paths[k] for k in near.examples)
        yield (
            f"the largest group of near-duplicates has {near.largest} of {sources.labelled[0].m}"
            f" pictures, such as {first} and {second}: they are kept together when some are held out"
        )
    if sources.leaks:
        held_out, other = (paths[k] for k in sources.leaks[0])
        are = "is" if len(sources.leaks) == 1 else "are"
        count = f"{number_of(len(sources.leaks), 'validation picture')} {are}"
        yield (
            f"{count} like pictures trained on, which makes the scores too good; the first:"
            f" {held_out} is like {other}"
        )


def history_table(history: tuple[Step, ...]) -> NDArray[np.float64]:
    """Recorded steps as `HISTORY_COLUMNS`, without a validation cost that does not exist."""
    table = np.array([[getattr(step, name) for name in HISTORY_COLUMNS] for step in history])
    return table[:, np.isfinite(table).all(axis=0)]
