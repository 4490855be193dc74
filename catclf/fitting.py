"""Pictures with labels → fitted parameters: features, standardisation, engine, descent. No files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.config import USUAL_FOLDS, DescentSettings, TrainSettings
from catclf.curvature import largest_curvature
from catclf.descent import Descent, descend
from catclf.design import Design, Encoded, Rows, Standardisation, joined
from catclf.engines import ENGINES, Engine
from catclf.engines.choice import choose_engine
from catclf.errors import ConfigError, TooFewPicturesError, TrainingError
from catclf.features import FEATURES, Features
from catclf.features.pixels import Pixels
from catclf.folds import fold_numbers
from catclf.images.remote import RemotePictures, RemoteRows
from catclf.logistic import Vector, sigmoid
from catclf.objective import Objective
from catclf.progress import Progress

RANDOM_START_DEVIATION = 0.01
"""Standard deviation of the random start's weights: small enough for every p to begin near 1/2."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """All pictures at hand, of which any part can be trained on.

    Attributes
    ----------
    pixels : (m, s, s, 3) uint8
        An array, `RemotePictures`, or what else gives arrays of some neighbouring ones.
    y : (m,) float64, 0 or 1
    settings : TrainSettings
    jobs : int
        Threads.
    """

    pixels: Any
    y: Vector
    settings: TrainSettings
    jobs: int

    @property
    def m(self) -> int:
        """Number of pictures."""
        return len(self.y)

    def shares(self, train: Mask) -> Vector:
        """Each picture's share in the cost (m,), sum 1: equal, or equal for the two classes."""
        weights = train.astype(np.float64)
        if self.settings.class_weight == "balanced":
            for value in (0.0, 1.0):
                members = train & (self.y == value)
                weights[members] = 0.5 / max(1, members.sum())
        shares: Vector = weights / weights.sum()
        return shares


@dataclass(frozen=True)
class Prepared:
    """A problem turned into numbers by features that were learned on its training pictures.

    Attributes
    ----------
    problem : Problem
    features : Features
    standardisation : Standardisation or None
    engine : Engine
        Over the rows of all m pictures, then, with ``flip``, of their m mirror images.
    engine_name : str
    resumed : bool
        Whether the start is a model's, which has seen pictures already.
    """

    problem: Problem
    features: Features
    standardisation: Standardisation | None
    engine: Engine
    engine_name: str
    resumed: bool

    @property
    def copies(self) -> int:
        """1, or 2 with mirror images."""
        return self.engine.m // self.problem.m

    def objective(self, train: Mask, l2: float, held_out: Mask | None = None) -> Objective:
        """Build the cost over the pictures `train` (m,) and their mirror images.

        The pictures `held_out` (m,) are for the validation cost, without their mirror images.
        """
        settings, copies = self.problem.settings, self.copies
        shares = np.tile(self.problem.shares(train), copies) / copies
        held_out_shares = None
        if held_out is not None:
            held_out_shares = np.zeros(self.engine.m)
            held_out_shares[: self.problem.m] = held_out / held_out.sum()
        y = np.tile(self.problem.y, copies)
        return Objective(settings.descent.loss, y, shares, l2, held_out_shares)

    def probabilities(self, descent: Descent) -> Vector:
        """p (m,) of all pictures with the fitted parameters."""
        return sigmoid(self.engine.scores(descent.c)[: self.problem.m])

    def parameters(self, descent: Descent) -> tuple[Vector, float]:
        """w (n_x,) and b for the features themselves, standardisation undone."""
        w, b = self.engine.weights(descent.c), self.engine.bias(descent.c)
        if self.standardisation is None:
            return w, b
        return self.standardisation.fold(w, b)


def prepare(
    problem: Problem,
    train: Mask,
    fits: int = 1,
    resumed: tuple[Vector, float] | None = None,
    features: Features | None = None,
) -> Prepared:
    """Learn features on the pictures `train`, compute those of all, and build an engine.

    Parameters
    ----------
    problem : Problem
    train : (m,) bool
    fits : int
        Number of descents that the engine is expected to make.
    resumed : ((n_x,) float64, float) or None
        w and b to start from, in place of the settings' start.
    features : Features or None
        Those that the resumed w belongs to; None learns them from the pictures.
    """
    settings, jobs = problem.settings, problem.jobs
    seed = settings.descent.seed
    pixels = problem.pixels
    standardisation = None
    if isinstance(pixels, RemotePictures):
        features = Pixels(pixels.shape[1])
        design = Design(_remote_rows(pixels, settings.flip), features.scale)
    elif not isinstance(pixels, np.ndarray):
        _check_streamable(pixels, settings)
        features = Pixels(pixels.shape[1])
        design = Design(_rows_as_needed(pixels, features, settings.flip), features.scale)
    else:
        if features is None:
            features = FEATURES[settings.features].learn(pixels, train, seed=seed, jobs=jobs)
        rows = features.rows(pixels, jobs)
        if settings.flip:
            mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
            rows = np.concatenate([rows, features.rows(mirrored, jobs)])
        if features.standardised:
            used = np.tile(train, len(rows) // problem.m)
            standardisation = Standardisation.fit(rows[used])
            rows = standardisation.apply(rows)
        design = Design(rows, features.scale)
    name = settings.engine
    if isinstance(pixels, RemotePictures):
        name = "dask"
    elif name == "auto":
        sweeps = fits * (settings.descent.iterations + 1)
        name = choose_engine(
            design.m, design.n_x, sweeps, settings.memory, isinstance(pixels, np.ndarray)
        )
    w0, b0 = resumed or (start_weights(settings.descent, design.n_x), 0.0)
    if resumed is not None and standardisation is not None:
        w0, b0 = standardisation.unfold(w0, b0)
    own_bias = standardisation is not None or settings.penalty != 0.0
    engine = ENGINES[name](design, w0, jobs, b0=b0, own_bias=own_bias)
    return Prepared(problem, features, standardisation, engine, name, resumed is not None)


def _remote_rows(pixels: RemotePictures, flip: bool) -> RemoteRows:
    return (pixels.joined(pixels.mirrored()) if flip else pixels).rows()


def _check_streamable(pixels: Rows, settings: TrainSettings) -> None:
    if settings.features != "pixels" or settings.engine not in ("auto", "stream"):
        needed = math.prod(pixels.shape)
        what = f"{needed} or more for these features and this engine: they need all pixels at once"
        raise ConfigError("memory", settings.memory, what)


def _rows_as_needed(pixels: Rows, features: Pixels, flip: bool) -> Rows:
    """Rows of pictures that are not in memory, then with `flip` of their mirror images."""
    rows = Encoded(pixels, features.rows)
    if not flip:
        return rows
    return joined([rows, Encoded(pixels, lambda images: features.rows(images[:, :, ::-1]))])


def start_weights(settings: DescentSettings, n_x: int) -> Vector:
    """w₀: zeros, or seeded normal numbers."""
    if settings.start == "zeros":
        return np.zeros(n_x)
    rng = np.random.default_rng(settings.seed)
    return RANDOM_START_DEVIATION * rng.standard_normal(n_x)


@dataclass(frozen=True)
class Fitted:
    """One descent with the numbers that it was run with."""

    descent: Descent
    l2: float
    learning_rate: float
    curvature: float


def fit(
    prepared: Prepared,
    train: Mask,
    *,
    held_out: Mask | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Fit the pictures `train` as the settings say, choosing λ and α where they are "auto"."""
    settings, penalty = prepared.problem.settings.descent, prepared.problem.settings.penalty
    progress = progress or Progress()
    l2 = choose_l2(prepared, train) if penalty == "auto" else penalty
    objective = prepared.objective(train, l2, held_out)
    bias_factor = _bias_factor(prepared, objective)
    curvature = largest_curvature(prepared.engine, objective, bias_factor)
    rate = 1.0 / curvature if settings.learning_rate == "auto" else settings.learning_rate
    progress.descending(settings.iterations)
    descent = descend(
        prepared.engine,
        objective,
        settings,
        rate,
        bias_factor=bias_factor,
        observer=progress.step,
        interrupted=progress.interrupted,
    )
    return Fitted(descent, l2, rate, curvature)


def divergence(fitted: Fitted) -> TrainingError:
    """Say of a descent that diverged what would have worked."""
    rate, last = fitted.learning_rate, fitted.descent.history[-1]
    advice = (
        f"The learning rate {rate:.6g} is too large for these features: use --learning-rate auto or "
        f"{1 / fitted.curvature:.3g} (the limit of stability is {2 / fitted.curvature:.3g})."
    )
    return TrainingError(last.step, last.cost, advice)


def _bias_factor(prepared: Prepared, objective: Objective) -> float:
    """1 for the lecture's simultaneous update; for standardised features a step of its own for b.

    Centred columns decouple w from b, whose curvature is 1 where that of w is λmax(X diag(shares) Xᵀ).
    Scaling b's step to the latter lets the one α be as large as w allows.
    """
    if prepared.standardisation is None:
        return 1.0
    without_bias = largest_curvature(prepared.engine, objective, 0.0) - objective.l2
    return float(without_bias / objective.loss_curvature) or 1.0


_L2_EXPONENTS = tuple(3.0 - 0.5 * k for k in range(10))
_L2_DESCENT = DescentSettings(iterations=300, momentum=0.9, epsilon=1e-5)


def choose_l2(prepared: Prepared, train: Mask) -> float:
    """Choose λ by cross-validated loss on the pictures `train`: the largest within one standard error.

    The path goes from strong to weak penalties, λ = L/m · 10ᵉ, e = 3, 2.5 … −1.5, L being the curvature
    of the mean loss; each fit starts where the last one ended. A fold is only a change of shares.

    Raises
    ------
    TooFewPicturesError
        If a class has fewer than two pictures.
    """
    problem = prepared.problem
    try:
        masks = list(_fold_masks(problem, train, _feasible_folds(problem.y[train])))
    except TooFewPicturesError as exc:  # with patches "auto" may be nobody's wish
        advice = "add pictures of it, or give --l2 a number, such as 0.001"
        raise TooFewPicturesError(exc.found, exc.positive, "to choose the penalty l2", advice) from exc
    plain = prepared.objective(train, 0.0)
    bias_factor = _bias_factor(prepared, plain)
    largest = largest_curvature(prepared.engine, plain, bias_factor)
    path = [largest / int(train.sum()) * 10.0**e for e in _L2_EXPONENTS]
    losses = np.array(  # (folds, penalties)
        [_path_losses(prepared, rest, fold, path) for rest, fold in masks]
    )
    mean = losses.mean(axis=0)
    best = int(mean.argmin())
    # Paired by fold: folds differ more from each other than penalties do on the same fold.
    worse = losses - losses[:, [best]]
    within = worse.mean(axis=0) <= worse.std(axis=0, ddof=1) / math.sqrt(len(losses))
    return float(path[int(within.argmax())])  # the first, so the largest


def _feasible_folds(y: Vector) -> int:
    smallest = int(min(y.sum(), (1 - y).sum()))
    return max(2, min(USUAL_FOLDS, smallest))


def _path_losses(prepared: Prepared, train: Mask, held_out: Mask, path: list[float]) -> list[float]:
    """Mean loss of the pictures `held_out` for each penalty of `path`, fitted on `train`."""
    settings = replace(_L2_DESCENT, loss=prepared.problem.settings.descent.loss)
    plain = prepared.objective(train, 0.0)
    bias_factor = _bias_factor(prepared, plain)
    curvature = largest_curvature(prepared.engine, plain, bias_factor)
    start = np.zeros_like(prepared.engine.start())
    losses = []
    for l2 in path:
        objective = prepared.objective(train, l2, held_out)
        rate = 1.0 / (curvature + l2)
        descent = descend(
            prepared.engine, objective, settings, rate, start=start, bias_factor=bias_factor
        )
        start = descent.c
        losses.append(descent.last.validation_cost)
    return losses


def cross_validate(
    problem: Problem,
    train: Mask,
    folds: int,
    shared: Prepared | None,
    on_divergence: Callable[[TrainingError], None] = lambda error: None,
) -> Vector:
    """Out-of-fold probabilities of the pictures `train`, in order.

    Everything that is learned is learned anew in each fold from the other folds' pictures: features,
    standardisation, penalty and parameters.

    Parameters
    ----------
    problem : Problem
    train : (m,) bool
    folds : int
    shared : Prepared or None
        Used for every fold if its features learn nothing from pictures; not if it is resumed.
    on_divergence : (error) -> None
        Called for a fold whose descent diverged; its pictures are scored at the best point.

    Returns
    -------
    (train.sum(),) float64

    Raises
    ------
    TooFewPicturesError
        If a class has fewer pictures than there are folds.
    """
    if shared is not None and shared.resumed:  # its w and b have seen every fold
        shared = None
    probabilities = np.full(problem.m, np.nan)
    for rest, fold in _fold_masks(problem, train, folds):
        prepared = shared if shared is not None else prepare(problem, rest)
        fitted = fit(prepared, rest)
        if fitted.descent.stop_reason == "diverged":
            on_divergence(divergence(fitted))
        probabilities[fold] = prepared.probabilities(fitted.descent)[fold]
    return probabilities[train]


def _fold_masks(problem: Problem, train: Mask, folds: int) -> Iterator[tuple[Mask, Mask]]:
    """Yield for each fold the pictures `train` of the others, and its own: (m,) each."""
    members = np.flatnonzero(train)
    numbers = np.full(problem.m, -1)
    numbers[members] = fold_numbers(problem.y[members], folds, problem.settings.descent.seed)
    for fold in range(folds):
        yield train & (numbers != fold), numbers == fold
