"""Pictures with labels → fitted parameters: features, standardisation, engine, descent. No files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.config import ENGINES, USUAL_FOLDS, DescentSettings, FeatureKind, TrainSettings
from catclf.curvature import bounding
from catclf.descent import Descent, descending
from catclf.design import Design, Standardisation
from catclf.engines import Engine, MakeEngine, Sweeping, run, together
from catclf.engines.choice import choose_engine
from catclf.engines.standardised import Standardised
from catclf.errors import ConfigError, Setting, TooFewPicturesError, TrainingError
from catclf.features import Features, FeaturesClass
from catclf.folds import Groups, fold_numbers, most_folds
from catclf.logistic import Vector, sigmoid
from catclf.objective import Objective
from catclf.progress import Progress
from catclf.stores import Store
from catclf.stores.here import InMemory
from catclf.stores.stored import spooled

RANDOM_START_DEVIATION = 0.01
"""Standard deviation of the random start's weights: small enough for every p to begin near 1/2."""

_ENCODED = 256  # pictures between two reports of progress

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """All pictures at hand, of which any part can be trained on.

    Attributes
    ----------
    pictures : Store (m, s, s, 3) of uint8
    y : (m,) float64, 0 or 1
    settings : TrainSettings
    progress : Progress
    encoded : Encoded or None
        The rows, where they are known; then no pictures are needed.
    groups : (m,) intp or None
        Pictures with the same number stay together when some are held out.
    """

    pictures: Store
    y: Vector
    settings: TrainSettings
    progress: Progress = field(default_factory=Progress)
    encoded: Encoded | None = None
    groups: Groups | None = None

    @property
    def m(self) -> int:
        """Number of pictures."""
        return len(self.y)

    @property
    def descent(self) -> DescentSettings:
        """Settings of the descent, with what is usual for the features."""
        return self.settings.usual_descent

    def with_descent(self, **changes: Any) -> Problem:
        """Return the same with other settings of the descent."""
        descent = replace(self.settings.descent, **changes)
        return replace(self, settings=replace(self.settings, descent=descent))

    @property
    def has_groups(self) -> bool:
        """Whether any pictures stay together."""
        return self.groups is not None and len(np.unique(self.groups)) < self.m

    def groups_of(self, train: Mask) -> Groups | None:
        """Groups of the pictures `train` (m,)."""
        return None if self.groups is None else self.groups[train]

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
class Encoded:
    """The pictures of a problem as rows.

    Attributes
    ----------
    features : Features
    rows : Store (m, n_x)
        Of all m pictures, then, with ``flip``, of their m mirror images; before any standardisation.
    """

    features: Features
    rows: Store


@dataclass(frozen=True)
class Prepared:
    """A problem turned into numbers, with an engine over them.

    Attributes
    ----------
    problem : Problem
    encoded : Encoded
    standardisation : Standardisation or None
        Measured on the training pictures.
    engine : Engine
    engine_name : str
    resumed : bool
        Whether the start is a model's, which has seen pictures already.
    """

    problem: Problem
    encoded: Encoded
    standardisation: Standardisation | None
    engine: Engine
    engine_name: str
    resumed: bool

    @property
    def features(self) -> Features:
        """Features to train on."""
        return self.encoded.features

    @property
    def copies(self) -> int:
        """1, or 2 with mirror images."""
        return self.engine.m // self.problem.m

    def objective(self, train: Mask, l2: float, held_out: Mask | None = None) -> Objective:
        """Build the cost over the pictures `train` (m,) and their mirror images.

        The pictures `held_out` (m,) are for the validation cost, without their mirror images.
        """
        copies = self.copies
        shares = np.tile(self.problem.shares(train), copies) / copies
        held_out_shares = None
        if held_out is not None:
            held_out_shares = np.zeros(self.engine.m)
            held_out_shares[: self.problem.m] = held_out / held_out.sum()
        y = np.tile(self.problem.y, copies)
        return Objective(self.problem.descent.loss, y, shares, l2, held_out_shares)

    def probabilities(self, descent: Descent) -> Vector:
        """p (m,) of all pictures with the fitted parameters."""
        return sigmoid(self.engine.scores(descent.c)[: self.problem.m])

    def parameters(self, descent: Descent) -> tuple[Vector, float]:
        """w (n_x,) and b for the features themselves, standardisation undone."""
        w, b = self.engine.weights(descent.c), self.engine.bias(descent.c)
        if self.standardisation is None:
            return w, b
        return self.standardisation.fold(w, b)

    def mean_contributions(self, descent: Descent) -> Vector | None:
        """w ⊙ μ (n_x,), μ being the mean row of the pictures trained on, where that is known."""
        if self.standardisation is None:
            return None
        return self.parameters(descent)[0] * self.standardisation.mean


def encode(problem: Problem, train: Mask, features: Features | None = None) -> Encoded:
    """Compute the rows of all pictures.

    Parameters
    ----------
    problem : Problem
    train : (m,) bool
        The pictures that features may be learned from.
    features : Features or None
        None makes those of the settings.

    Raises
    ------
    ConfigError
        If the pictures are not where the features need them.
    """
    if problem.encoded is not None:
        return problem.encoded
    settings, pictures = problem.settings, problem.pictures
    kind = settings.kind if features is None else features.kind
    from_file = pictures.place == "file" and kind.learns_from_files and settings.spool is not None
    if pictures.place != "memory" and not (kind.anywhere or from_file):
        _refuse_memory(settings, pictures, f"the features {kind.name!r} need all pixels")
    if features is None:
        if kind.learns:
            problem.progress.began(f"learning {kind.name}")
        features = _made(kind, pictures, train, settings)
    if settings.flip:
        pictures = pictures.joined(pictures.mapped(_mirrored))
    if kind.anywhere:
        return Encoded(features, pictures.mapped(features.rows))
    return Encoded(features, _computed(features, pictures, problem))


def _refuse_memory(settings: TrainSettings, items: Store, what: str) -> None:
    needed = math.prod(items.shape) * items[:0].itemsize
    rule = f"must be {needed} or more: {what} at once"
    raise ConfigError("memory", settings.read.memory, rule)


def _made(kind: FeatureKind, pictures: Store, train: Mask, settings: TrainSettings) -> Features:
    code: FeaturesClass = kind.load()
    if not kind.learns:
        return code.of_size(pictures.shape[1])
    seed, jobs = settings.descent.seed, settings.read.cores
    if pictures.place != "memory":
        return code.learn(pictures.chosen(train), seed=seed, jobs=jobs)
    images = pictures[:]
    if not train.all():
        images = images[train]
    return code.learn(images, seed=seed, jobs=jobs)


def _mirrored(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(images[:, :, ::-1])


def _computed(features: Features, pictures: Store, problem: Problem) -> Store:
    m, read, spool = pictures.shape[0], problem.settings.read, problem.settings.spool
    empty = features.rows(pictures[:0])
    shape = m, *empty.shape[1:]

    def blocks() -> Iterator[NDArray[Any]]:
        for start in range(0, m, _ENCODED):
            part = slice(start, min(start + _ENCODED, m))
            yield features.rows(pictures[part], read.cores)
            problem.progress.advanced("pictures encoded", part.stop, m)

    if spool is not None and math.prod(shape) * empty.dtype.itemsize > read.memory:
        return spooled(spool, blocks(), empty.shape[1:], empty.dtype)
    rows, done = np.empty(shape, empty.dtype), 0
    for block in blocks():
        rows[done : done + len(block)] = block
        done += len(block)
    return InMemory(rows)


def prepare(
    problem: Problem,
    train: Mask,
    fits: int = 1,
    resumed: tuple[Vector, float] | None = None,
    encoded: Encoded | None = None,
) -> Prepared:
    """Measure rows for standardisation if the features want that, and build an engine over them.

    Parameters
    ----------
    problem : Problem
    train : (m,) bool
        The pictures that are learned from.
    fits : int
        Number of descents that the engine is expected to make.
    resumed : ((n_x,) float64, float) or None
        w and b to start from, in place of the settings' start.
    encoded : Encoded or None
        None encodes the pictures.
    """
    settings, descent = problem.settings, problem.descent
    encoded = encoded or encode(problem, train)
    kind, rows = encoded.features.kind, encoded.rows
    standardisation = None
    if kind.standardised:
        standardisation = _measured(encoded, train)
    name = settings.engine
    if name == "auto":
        m, n_x = rows.shape
        sweeps = fits * (descent.iterations + 1)
        place = rows.place if settings.read.scheduler is None else "workers"  # to which rows can be sent
        name = choose_engine(m, n_x, sweeps, settings.read.memory, place)
    engine_kind = ENGINES[name]
    if rows.place not in engine_kind.reads:
        _refuse_memory(settings, rows, f"the engine {name!r} needs all rows")
    w0, b0 = resumed or (start_weights(descent, rows.shape[1]), 0.0)
    if resumed is not None and standardisation is not None:
        w0, b0 = standardisation.unfold(w0, b0)
    make: MakeEngine = engine_kind.load()
    design = Design(rows, encoded.features.scale, standardisation if engine_kind.standardises else None)
    own_bias = standardisation is not None or descent.l2 != 0.0
    engine = make(design, w0, settings.read.cores, b0=b0, own_bias=own_bias)
    if standardisation is not None and not engine_kind.standardises:
        engine = Standardised(engine, standardisation, w0, b0)
    return Prepared(problem, encoded, standardisation, engine, name, resumed is not None)


def _measured(encoded: Encoded, train: Mask) -> Standardisation:
    used = np.tile(train, encoded.rows.shape[0] // len(train))
    return Standardisation.fit(encoded.rows, encoded.features.kind.one_scale, used)


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
    watched: bool = False,
) -> Fitted:
    """Fit the pictures `train` as the settings say, choosing λ and α where they are "auto".

    If it is `watched`, every recorded step is reported to the problem's progress, which may interrupt.
    """
    return run(prepared.engine, _fitting(prepared, train, held_out, watched))


def _fitting(
    prepared: Prepared, train: Mask, held_out: Mask | None = None, watched: bool = False
) -> Sweeping[Fitted]:
    problem = prepared.problem
    settings = problem.settings.descent.usual_for(problem.settings.kind, int(train.sum()))
    assert settings.l2 is not None  # `usual_for` has replaced it
    progress = problem.progress if watched else Progress()
    l2 = (yield from _choosing_l2(prepared, train)) if settings.l2 == "auto" else settings.l2
    objective = prepared.objective(train, l2, held_out)
    bias_factor = yield from _bias_factor(prepared, objective)
    curvature = yield from bounding(prepared.engine, objective, bias_factor)
    rate = 1.0 / curvature if settings.learning_rate == "auto" else settings.learning_rate
    progress.descending(settings.iterations)
    descent = yield from descending(
        prepared.engine,
        objective,
        settings,
        rate,
        bias_factor=bias_factor,
        swings=rate * curvature > 2.0,
        observer=progress.step,
        interrupted=progress.interrupted,
    )
    return Fitted(descent, l2, rate, curvature)


def divergence(fitted: Fitted) -> TrainingError:
    """Say of a descent that diverged what would have worked."""
    rate, last = fitted.learning_rate, fitted.descent.history[-1]
    return TrainingError(
        last.step,
        last.cost,
        f"The learning rate {rate:.6g} is too large for these features: use ",
        Setting("learning_rate", "auto"),
        f" or {1 / fitted.curvature:.3g} (the limit of stability is {2 / fitted.curvature:.3g}).",
        history=fitted.descent.history,
    )


def _bias_factor(prepared: Prepared, objective: Objective) -> Sweeping[float]:
    """1 for the lecture's simultaneous update; for standardised features a step of its own for b.

    Centred columns decouple w from b, whose curvature is 1 where that of w is λmax(X diag(shares) Xᵀ).
    Scaling b's step to the latter lets the one α be as large as w allows.
    """
    if prepared.standardisation is None:
        return 1.0
    without_bias = (yield from bounding(prepared.engine, objective, 0.0)) - objective.l2
    return float(without_bias / objective.loss_curvature) or 1.0


_L2_EXPONENTS = tuple(3.0 - 0.5 * k for k in range(10))
_L2_DESCENT = DescentSettings(iterations=300, momentum=0.9, epsilon=1e-5)
_L2_WAYS = 2  # every second penalty of the path is on the same way: fewer passes for the same choice


def choose_l2(prepared: Prepared, train: Mask) -> float:
    """Choose λ by cross-validated loss on the pictures `train`: the largest within one standard error.

    The path goes from strong to weak penalties, λ = L/m · 10ᵉ, e = 3, 2.5 … −1.5, L being the curvature
    of the mean loss. It is walked in two ways, each over every second penalty, and each fit starts where
    the last one on its way ended. A fold is only a change of shares: all go their ways side by side.

    Raises
    ------
    TooFewPicturesError
        If a class has fewer than two pictures.
    """
    return run(prepared.engine, _choosing_l2(prepared, train))


def _choosing_l2(prepared: Prepared, train: Mask) -> Sweeping[float]:
    problem = prepared.problem
    try:
        masks = list(_fold_masks(problem, train, feasible_folds(problem, train)))
    except TooFewPicturesError as exc:  # "auto" may be nobody's wish, but usual for the features
        advice = ("add pictures of it, or choose the penalty yourself, as in ", Setting("l2", 0.001))
        purpose = "to choose the penalty l2"
        raise TooFewPicturesError(
            exc.found, exc.positive, purpose, *advice, pictures=exc.pictures
        ) from exc
    _, largest = yield from _steepness(prepared, train)
    path = [largest / int(train.sum()) * 10.0**e for e in _L2_EXPONENTS]
    done = itertools.count(1)
    problem.progress.began("choosing the penalty")

    def fitted() -> None:
        problem.progress.advanced("fits to choose the penalty", next(done), len(masks) * len(path))

    ways = [path[k::_L2_WAYS] for k in range(_L2_WAYS)]
    fits = [_path_losses(prepared, *fold, way, fitted) for way in ways for fold in masks]
    found = yield from together(fits)
    losses = np.empty((len(masks), len(path)))
    for k in range(_L2_WAYS):
        losses[:, k::_L2_WAYS] = found[k * len(masks) : (k + 1) * len(masks)]
    mean = losses.mean(axis=0)
    best = int(mean.argmin())
    # Paired by fold: folds differ more from each other than penalties do on the same fold.
    worse = losses - losses[:, [best]]
    within = worse.mean(axis=0) <= worse.std(axis=0, ddof=1) / math.sqrt(len(losses))
    return float(path[int(within.argmax())])  # the first, so the largest


def feasible_folds(problem: Problem, train: Mask) -> int:
    """As many as are usual, or fewer where a class has fewer groups; at least 2."""
    return max(2, min(USUAL_FOLDS, most_folds(problem.y[train], problem.groups_of(train))))


def _steepness(prepared: Prepared, train: Mask) -> Sweeping[tuple[float, float]]:
    """Compute the factor of the bias's step and the largest curvature, without a penalty."""
    plain = prepared.objective(train, 0.0)
    bias_factor = yield from _bias_factor(prepared, plain)
    curvature = yield from bounding(prepared.engine, plain, bias_factor)
    return bias_factor, curvature


def _path_losses(
    prepared: Prepared,
    train: Mask,
    held_out: Mask,
    path: list[float],
    fitted: Callable[[], None],
) -> Sweeping[list[float]]:
    """Mean loss of the pictures `held_out` for each penalty of `path`, fitted on `train`."""
    settings = replace(_L2_DESCENT, loss=prepared.problem.descent.loss)
    bias_factor, curvature = yield from _steepness(prepared, train)
    start = np.zeros_like(prepared.engine.start())
    losses = []
    for l2 in path:
        objective = prepared.objective(train, l2, held_out)
        rate = 1.0 / (curvature + l2)
        descent = yield from descending(
            prepared.engine, objective, settings, rate, start=start, bias_factor=bias_factor
        )
        fitted()
        start = descent.c
        losses.append(descent.last.validation_cost)
    return losses


def cross_validate(
    whole: Prepared,
    train: Mask,
    folds: int,
    on_divergence: Callable[[TrainingError], None] = lambda error: None,
) -> Vector:
    """Out-of-fold probabilities of the pictures `train`, in order.

    Everything that is learned is learned again in each fold from the other folds' pictures: features,
    standardisation, penalty and parameters.

    Parameters
    ----------
    whole : Prepared
        All pictures. What of it has learned nothing from them is used for every fold.
    train : (m,) bool
    folds : int
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
    problem = whole.problem
    masks = list(_fold_masks(problem, train, folds))
    done = itertools.count(1)
    problem.progress.began(f"cross-validating in {folds} folds")

    def of_fold(prepared: Prepared, rest: Mask) -> Sweeping[tuple[Fitted, Vector]]:
        fitted = yield from _fitting(prepared, rest)
        problem.progress.advanced("folds cross-validated", next(done), folds)
        return fitted, prepared.probabilities(fitted.descent)

    engine, learned_again = whole.engine, whole.features.kind.learns and problem.encoded is None
    if isinstance(engine, Standardised) and not learned_again:
        w0 = start_weights(problem.descent, engine.n_x)
        fits = []
        for rest, _ in masks:
            standardisation = _measured(whole.encoded, rest)
            on_same_rows = Standardised(engine.engine, standardisation, w0)
            fold = replace(whole, standardisation=standardisation, engine=on_same_rows)
            fits.append(on_same_rows.through(of_fold(fold, rest)))
        found = run(engine.engine, together(fits))
    elif learned_again or whole.resumed or whole.standardisation is not None:
        encoded, found = None if learned_again else whole.encoded, []
        for rest, _ in masks:
            fold = prepare(problem, rest, encoded=encoded)
            found.append(run(fold.engine, of_fold(fold, rest)))
    else:
        found = run(engine, together([of_fold(whole, rest) for rest, _ in masks]))
    probabilities = np.full(problem.m, np.nan)
    for (_, members), (fitted, scored) in zip(masks, found, strict=True):
        if fitted.descent.stop_reason == "diverged":
            on_divergence(divergence(fitted))
        probabilities[members] = scored[members]
    return probabilities[train]


def _fold_masks(problem: Problem, train: Mask, folds: int) -> Iterator[tuple[Mask, Mask]]:
    """Yield for each fold the pictures `train` of the others, and its own: (m,) each."""
    members = np.flatnonzero(train)
    numbers = np.full(problem.m, -1)
    seed, groups = problem.settings.descent.seed, problem.groups_of(train)
    numbers[members] = fold_numbers(problem.y[members], folds, seed, groups)
    for fold in range(folds):
        yield train & (numbers != fold), numbers == fold
