"""From pictures to parameters: shares, mirror images, the choice of λ, and no leak between folds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from catclf import fitting
from catclf.config import FEATURES, DescentSettings, FeatureKind, ReadOptions, TrainSettings
from catclf.descent import Descent, Step
from catclf.descent import descending as descending_of_fitting
from catclf.engines import Sweeping, run
from catclf.engines.sweep import Request
from catclf.errors import ConfigError, TooFewPicturesError, TrainingError
from catclf.features.pixels import Pixels
from catclf.fitting import Mask, Prepared, Problem, choose_l2, cross_validate, encode, fit, prepare
from catclf.folds import fold_numbers
from catclf.logistic import LOSSES, Vector, sigmoid
from catclf.progress import Progress
from catclf.stores.here import InFile, InMemory
from tests import reference
from tests.engines import LOCAL_ENGINES

M = 30


class Centred(Pixels):
    """Pixels in the place of patches: features to be standardised, without the work of learning."""

    scale: ClassVar[float] = 1.0
    kind: ClassVar[FeatureKind] = replace(FEATURES["patches"], code="tests.test_fitting:Centred")

    @classmethod
    def learn(cls, images: NDArray[np.uint8], *, seed: int = 0, jobs: int = 1) -> Centred:
        del seed, jobs
        return cls(images.shape[1])


@pytest.fixture(autouse=True)
def less_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is learned in the place of patches, and penalties are compared after fewer steps."""
    monkeypatch.setitem(FEATURES, "patches", Centred.kind)
    monkeypatch.setattr(fitting, "_L2_DESCENT", replace(fitting._L2_DESCENT, iterations=60))


features = pytest.mark.parametrize("kind", ["pixels", "patches"])
flips = pytest.mark.parametrize("flip", [False, True])
engines = pytest.mark.parametrize("name", LOCAL_ENGINES)

SHORT = DescentSettings(iterations=60, stop="none", l2=0.0)


def problem(settings: TrainSettings | None = None, m: int = M, jobs: int = 1, seed: int = 0) -> Problem:
    pictures, y = reference.pictures(m, seed=seed)
    settings = replace(settings or TrainSettings(descent=SHORT), read=ReadOptions(jobs=jobs))
    return Problem(InMemory(pictures), y, settings)


def pixels_of(some: Problem) -> NDArray[np.uint8]:
    return some.pictures[:]


def all_of(some: Problem) -> Mask:
    return np.ones(some.m, dtype=bool)


def with_other_pixels(some: Problem, where: Mask) -> Problem:
    pixels = pixels_of(some).copy()
    pixels[where] = 255 - pixels[where]
    return replace(some, pictures=InMemory(pixels))


def only(some: Problem, where: Mask) -> Problem:
    return replace(some, pictures=InMemory(pixels_of(some)[where]), y=some.y[where])


def fitted_parameters(some: Problem, train: Mask) -> tuple[Vector, float]:
    prepared = prepare(some, train)
    return prepared.parameters(fit(prepared, train).descent)


# --- shares ---


def test_shares_are_equal_by_default() -> None:
    assert_allclose(problem().shares(all_of(problem())), np.full(M, 1 / M), rtol=1e-14)


def test_balanced_shares_give_each_class_half_of_the_cost() -> None:
    some = problem(TrainSettings(class_weight="balanced"))
    train = np.arange(M) % 3 != 0
    shares = some.shares(train)
    assert_array_equal(shares[~train], 0.0)
    assert_allclose(shares[train], reference.balanced_shares(some.y[train]), rtol=1e-14)


def test_balanced_classes_draw_the_bias_to_the_rarer_class() -> None:
    plain, balanced = (
        problem(TrainSettings(class_weight=weight, descent=SHORT)) for weight in ("none", "balanced")
    )
    means = []
    for some in (plain, balanced):
        prepared = prepare(some, all_of(some))
        means.append(prepared.probabilities(fit(prepared, all_of(some)).descent).mean())
    assert means[1] > means[0]  # a third are ones


# --- the fit ---


@engines
@features
@flips
def test_parameters_score_the_features_as_documented(name: str, kind: str, flip: bool) -> None:
    some = problem(TrainSettings(features=kind, flip=flip, engine=name, descent=SHORT), jobs=2)
    prepared = prepare(some, all_of(some))
    descent = fit(prepared, all_of(some)).descent
    w, b = prepared.parameters(descent)
    z = FEATURES[kind].load().scale * pixels_of(some).reshape(M, -1) @ w + b
    assert_allclose(prepared.probabilities(descent), sigmoid(z), rtol=0, atol=1e-5)


@features
def test_automatic_rate_is_one_over_the_curvature_and_the_fit_descends(kind: str) -> None:
    settings = DescentSettings(iterations=200, stop="none", l2=0.01)
    some = problem(TrainSettings(features=kind, flip=False, descent=settings))
    fitted = fit(prepare(some, all_of(some)), all_of(some))
    assert fitted.learning_rate == 1 / fitted.curvature
    costs = [row.cost for row in fitted.descent.history]
    assert (np.diff(costs) <= 1e-12).all()


@features
def test_a_resumed_fit_goes_on_where_the_first_ended(kind: str) -> None:
    def settings(iterations: int) -> TrainSettings:
        descent = replace(SHORT, iterations=iterations)
        return TrainSettings(features=kind, flip=False, descent=descent)

    whole, half = problem(settings(60)), problem(settings(30))
    every = all_of(whole)
    resumed = prepare(half, every, resumed=fitted_parameters(half, every))
    w, b = resumed.parameters(fit(resumed, every).descent)
    expected_w, expected_b = fitted_parameters(whole, every)
    assert_allclose(w, expected_w, rtol=0, atol=1e-9 * float(np.abs(expected_w).max()))
    assert_allclose(b, expected_b, rtol=1e-8)


# --- mirror images ---


@features
def test_flip_doubles_the_engine_and_halves_the_shares(kind: str) -> None:
    some = problem(TrainSettings(features=kind, flip=True, descent=SHORT))
    train = np.arange(M) % 3 != 0
    prepared = prepare(some, train)
    assert prepared.engine.m == 2 * M
    objective = prepared.objective(train, 0.0, held_out=~train)
    shares = objective.shares
    assert_array_equal(shares[:M], shares[M:])
    assert_array_equal(shares[:M] > 0, train)
    assert_allclose(shares.sum(), 1, rtol=1e-14)
    z = np.arange(2.0 * M)  # mirror images have no part in the validation cost
    losses = LOSSES["cross-entropy"].value(z[:M], some.y)
    _, validation_cost = objective.costs(objective.losses(z, slice(None)), 0.0)
    assert_allclose(validation_cost, losses[~train].mean(), rtol=1e-14)


def test_weights_of_mirrored_training_are_symmetric() -> None:
    w, _ = fitted_parameters(problem(TrainSettings(flip=True, descent=SHORT)), np.arange(M) < M)
    picture = w.reshape(4, 4, 3)
    assert_allclose(picture, picture[:, ::-1], rtol=0, atol=1e-12)


def test_mirrored_training_is_training_on_the_mirror_images_as_well() -> None:
    flipped = problem(TrainSettings(flip=True, descent=SHORT))
    pixels = pixels_of(flipped)
    both = InMemory(np.concatenate([pixels, pixels[:, :, ::-1]]))
    doubled = replace(problem(), pictures=both, y=np.tile(flipped.y, 2))
    w, b = fitted_parameters(flipped, all_of(flipped))
    expected_w, expected_b = fitted_parameters(doubled, all_of(doubled))
    assert_allclose(w, expected_w, rtol=1e-9, atol=1e-12)
    assert_allclose(b, expected_b, rtol=1e-9)


# --- nothing held out has an influence ---


@features
@flips
@pytest.mark.parametrize("l2", [0.0, "auto"])
def test_held_out_pictures_and_their_mirror_images_have_no_influence(
    kind: str, flip: bool, l2: float
) -> None:
    settings = TrainSettings(features=kind, flip=flip, descent=replace(SHORT, l2=l2))
    some, train = problem(settings), np.arange(M) % 3 != 0
    w, b = fitted_parameters(some, train)
    other = replace(with_other_pixels(some, ~train), y=np.where(train, some.y, 1 - some.y))
    other_w, other_b = fitted_parameters(other, train)
    assert_allclose(other_w, w, rtol=0, atol=1e-10 * float(np.abs(w).max()))
    assert_allclose(other_b, b, rtol=1e-9, atol=1e-12)


def out_of_fold(some: Problem) -> Vector:
    every = all_of(some)
    return cross_validate(prepare(some, every), every, 3)


@features
@flips
@pytest.mark.parametrize("l2", [0.0, "auto"])
def test_a_fold_is_predicted_without_the_pictures_of_that_fold(kind: str, flip: bool, l2: float) -> None:
    some = problem(TrainSettings(features=kind, flip=flip, descent=replace(SHORT, l2=l2)))
    folds = fold_numbers(some.y, 3, some.settings.descent.seed)
    changed = folds == 0
    changed[np.flatnonzero(changed)[0]] = False  # one of the fold stays as it was
    before, after = out_of_fold(some), out_of_fold(with_other_pixels(some, changed))
    kept = (folds == 0) & ~changed
    assert kept.sum() == 1
    assert_allclose(after[kept], before[kept], rtol=1e-9)
    assert (np.abs(after - before)[folds != 0] > 1e-6).all()  # the others do learn from fold 0


@features
def test_a_pictures_label_has_no_influence_on_its_own_prediction(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fixed_folds(y: Vector, folds: int, seed: int, groups: None) -> NDArray[np.intp]:
        del seed, groups
        return np.arange(len(y), dtype=np.intp) % folds  # whatever the labels

    monkeypatch.setattr(fitting, "fold_numbers", fixed_folds)
    some = problem(TrainSettings(features=kind, flip=False, descent=SHORT))
    fold = np.arange(M) % 3 == 1
    other = replace(some, y=np.where(fold, 1 - some.y, some.y))
    before, after = out_of_fold(some), out_of_fold(other)
    assert_allclose(after[fold], before[fold], rtol=1e-10)
    assert (np.abs(after - before)[~fold] > 1e-6).all()


@features
def test_cross_validation_equals_fits_from_the_remaining_pictures_alone(kind: str) -> None:
    some = problem(TrainSettings(features=kind, flip=False, descent=SHORT))
    folds = fold_numbers(some.y, 3, some.settings.descent.seed)
    probabilities = out_of_fold(some)
    for fold in range(3):
        rest, here = folds != fold, folds == fold
        alone = only(some, rest)
        w, b = fitted_parameters(alone, all_of(alone))
        x = FEATURES[kind].load().scale * pixels_of(some)[here].reshape(here.sum(), -1)
        assert_allclose(probabilities[here], sigmoid(x @ w + b), rtol=1e-4)


def test_only_the_training_pictures_are_cross_validated() -> None:
    some, train = problem(), np.arange(M) % 4 != 0
    inside = cross_validate(prepare(some, train), train, 3)
    assert_allclose(inside, out_of_fold(only(some, train)), rtol=1e-9)


@features
def test_cross_validation_does_not_start_from_a_resumed_model(kind: str) -> None:
    some = problem(TrainSettings(features=kind, flip=False, descent=SHORT))
    every = all_of(some)
    resumed = prepare(some, every, resumed=fitted_parameters(some, every))
    assert_allclose(cross_validate(resumed, every, 3), out_of_fold(some), rtol=1e-9)


# --- the choice of λ ---


def penalties(prepared: Prepared, train: Mask) -> list[float]:
    """L/m · 10ᵉ, e = 3, 2.5 … −1.5, by eigenvalues; features that are not standardised."""
    pixels = pixels_of(prepared.problem)[train]
    X = np.vstack([pixels.reshape(train.sum(), -1).T / 255, np.ones(train.sum())])
    m = X.shape[1]
    largest = 0.25 * float(np.linalg.eigvalsh(X @ X.T / m)[-1])
    return [largest / m * 10 ** (3 - k / 2) for k in range(10)]


def automatic(kind: str, seed: int = 0, jobs: int = 1, name: str = "auto") -> Problem:
    descent = DescentSettings(l2="auto")
    settings = TrainSettings(features=kind, engine=name, flip=False, descent=descent)
    return problem(settings, jobs=jobs, seed=seed)


def test_the_chosen_penalty_is_a_member_of_the_path() -> None:
    some = automatic("pixels")
    train = np.arange(M) % 5 != 0
    prepared = prepare(some, train)
    path = np.array(penalties(prepared, train))
    assert np.min(np.abs(choose_l2(prepared, train) / path - 1)) < 1e-5


@features
def test_the_chosen_penalty_is_the_same_every_time_and_for_any_number_of_threads(kind: str) -> None:
    chosen = {
        choose_l2(prepare(some, all_of(some)), all_of(some))
        for some in (automatic(kind, jobs=jobs) for jobs in (1, 1, 2, 3))
    }
    assert len(chosen) == 1


@engines
def test_every_engine_chooses_the_same_penalty(name: str) -> None:
    expected, some = automatic("pixels", name="primal"), automatic("pixels", name=name)
    every = all_of(some)
    assert_allclose(
        choose_l2(prepare(some, every), every), choose_l2(prepare(expected, every), every), rtol=1e-4
    )


def test_labels_without_a_reason_ask_for_a_stronger_penalty_than_labels_with_one() -> None:
    clear = automatic("pixels")
    pixels = pixels_of(clear).copy()
    pixels[clear.y == 1] = np.maximum(pixels[clear.y == 1], 120)
    clear = replace(clear, pictures=InMemory(pixels))
    blind = replace(clear, y=np.random.default_rng(3).permutation(clear.y))
    chosen = [choose_l2(prepare(some, all_of(some)), all_of(some)) for some in (clear, blind)]
    assert chosen[0] < chosen[1]


def test_a_class_of_one_picture_cannot_choose_a_penalty() -> None:
    some = automatic("pixels")
    some = replace(some, y=np.eye(M)[4])
    with pytest.raises(TooFewPicturesError) as caught:
        fit(prepare(some, all_of(some)), all_of(some))
    assert str(caught.value) == (
        "the positive class has too few pictures to choose the penalty l2 (1): "
        "add pictures of it, or choose the penalty yourself, as in l2=0.001"
    )


def test_pixels_held_out_are_not_copied() -> None:
    some = problem(TrainSettings(descent=SHORT, engine="stream"), m=400)
    tracemalloc.start()
    prepare(some, np.arange(some.m) < 390)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < some.pictures.nbytes / 2


def test_the_automatic_penalty_is_what_the_fit_uses() -> None:
    some = automatic("patches")
    prepared = prepare(some, all_of(some))
    fitted = fit(prepared, all_of(some))
    assert fitted.l2 == choose_l2(prepared, all_of(some)) > 0


# --- what is told meanwhile ---


class Log(Progress):
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.steps = 0

    def advanced(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))

    def step(self, step: Step) -> None:
        del step
        self.steps += 1


def told_of(some: Problem, folds: int | None = None) -> Log:
    """Fit, or cross-validate, and return what was told after everything had been prepared."""
    log, every = Log(), all_of(some)
    prepared = prepare(replace(some, progress=log), every)
    log.told.clear()
    if folds is None:
        fit(prepared, every)
    else:
        cross_validate(prepared, every, folds)
    return log


def test_progress_hears_of_the_pictures_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_ENCODED", 12)
    log = Log()
    some = replace(problem(TrainSettings(features="patches", descent=SHORT)), progress=log)
    prepare(some, all_of(some))
    assert log.told == [("pictures encoded", done, M) for done in (12, 24, M)]


def test_progress_hears_of_each_fold() -> None:
    penalty = [("fits to choose the penalty", k, 50) for k in range(1, 51)]
    assert told_of(automatic("pixels")).told == penalty
    plain = told_of(problem(), folds=3)
    assert plain.told == [("folds cross-validated", k, 3) for k in range(1, 4)]


def test_the_descents_of_folds_are_not_watched() -> None:
    some, every = replace(problem(), progress=(log := Log())), all_of(problem())
    prepared = prepare(some, every)
    cross_validate(prepared, every, 3)
    assert log.steps == 0
    fitted = fit(prepared, every, watched=True)
    assert log.steps == len(fitted.descent.history)


# --- pictures that are not in memory ---


class Elsewhere(InFile):
    """The same pictures, a slice at a time."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.shape = array.shape
        self._array = array

    def __getitem__(self, part: slice, /) -> NDArray[np.uint8]:
        return self._array[part].copy()


def elsewhere(settings: TrainSettings) -> Problem:
    some = problem(settings)
    return replace(some, pictures=Elsewhere(pixels_of(some)))


@flips
def test_pictures_in_a_file_are_fitted_as_those_in_memory(flip: bool) -> None:
    settings = TrainSettings(flip=flip, descent=replace(SHORT, l2=0.1), engine="stream")
    far, near = elsewhere(settings), problem(settings)
    w, b = fitted_parameters(far, all_of(far))
    expected_w, expected_b = fitted_parameters(near, all_of(near))
    assert_array_equal(w, expected_w)
    assert b == expected_b
    assert_array_equal(out_of_fold(far), out_of_fold(near))


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (TrainSettings(features="patches"), "the features 'patches' need all pixels"),
        (TrainSettings(engine="gram"), "the engine 'gram' needs all rows"),
        (TrainSettings(engine="primal"), "the engine 'primal' needs all rows"),
    ],
)
def test_who_needs_everything_at_once_says_how_much_memory(settings: TrainSettings, what: str) -> None:
    some = elsewhere(settings)
    needed = M * 4 * 4 * 3
    rule = rf"memory = 2000000000: must be {needed} or more: {what} at once"
    with pytest.raises(ConfigError, match=rule):
        prepare(some, all_of(some))


# --- what is chosen, number by number ---


def test_the_path_of_penalties_and_what_they_are_compared_by(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, list[float]]] = []
    losses = np.arange(10.0)[::-1] + np.array([[0.0], [0.1], [0.0], [0.1], [0.0]])
    losses[:, 6:] = 0.0
    losses[:, 5] = [0.1, -0.1, 0.05, 0.0, 0.0]  # within one standard error of the best
    # A little further than one standard error from it.
    losses[:, 4] = 0.1 + 0.2694 * np.array([1, -1, 0.5, -0.5, 0])

    def path_losses(
        prepared: Prepared,
        train: Mask,
        held_out: Mask,
        path: list[float],
        fitted: Callable[[], None],
    ) -> Sweeping[list[float]]:
        yield [Request(prepared.engine.start(), prepared.objective(train, 0.0))]
        assert not (train & held_out).any()
        seen.append((int(held_out.sum()), path))
        way, fold = divmod(len(seen) - 1, 5)
        for _ in path:
            yield [Request(prepared.engine.start(), prepared.objective(train, 0.0))]
            fitted()
        return [float(loss) for loss in losses[fold, way::2]]

    monkeypatch.setattr(fitting, "_path_losses", path_losses)
    some = problem(TrainSettings(features="patches", descent=replace(SHORT, l2="auto")))
    heard: list[tuple[str, int, int]] = []
    some = replace(some, progress=Hearing(heard))
    train = np.arange(M) < 25
    prepared = prepare(some, train)
    chosen = choose_l2(prepared, train)
    _, largest = run(prepared.engine, fitting._steepness(prepared, train))
    expected = [largest / 25 * 10**e for e in (3, 2.5, 2, 1.5, 1, 0.5, 0, -0.5, -1, -1.5)]
    assert len(seen) == 10
    assert sum(count for count, _ in seen) == 2 * 25
    for number, (_, path) in enumerate(seen):
        assert_allclose(path, expected[number // 5 :: 2], rtol=1e-12)
    assert chosen == pytest.approx(expected[5], rel=1e-12)
    said = "fits to choose the penalty"
    assert [each for each in heard if each[0] == said] == [(said, k, 50) for k in range(1, 51)]


def losses_of_path(prepared: fitting.Prepared, train: fitting.Mask, path: list[float]) -> list[float]:
    return run(prepared.engine, fitting._path_losses(prepared, train, ~train, path, lambda: None))


class Hearing(Progress):
    def __init__(self, heard: list[tuple[str, int, int]]) -> None:
        self.heard = heard

    def advanced(self, what: str, done: int, total: int) -> None:
        self.heard.append((what, done, total))


def test_losses_of_a_path_are_those_of_single_fits() -> None:
    some = problem(TrainSettings(features="patches", descent=SHORT))
    train = np.arange(M) % 3 > 0
    prepared = prepare(some, train)
    settings = replace(fitting._L2_DESCENT, iterations=2000, epsilon=1e-9)
    path = [0.3, 0.1]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fitting, "_L2_DESCENT", settings)
        found = losses_of_path(prepared, train, path)
    for l2, loss in zip(path, found, strict=True):
        exact = replace(some.settings, descent=replace(settings, l2=l2))
        fitted = fit(replace(prepared, problem=replace(some, settings=exact)), train, held_out=~train)
        assert loss == pytest.approx(fitted.descent.last.validation_cost, rel=1e-5)


def test_the_bias_of_standardised_rows_has_the_curvature_of_w() -> None:
    some = problem(TrainSettings(features="patches", descent=SHORT))
    every = np.ones(M, dtype=bool)
    prepared = prepare(some, every)
    assert prepared.standardisation is not None
    x = prepared.standardisation.apply(prepared.encoded.rows[:])
    curvature = float(np.linalg.eigvalsh(x.astype(float).T @ x / M)[-1])
    for l2 in (0.0, 0.7):
        objective = prepared.objective(every, l2)
        factor = run(prepared.engine, fitting._bias_factor(prepared, objective))
        assert factor == pytest.approx(curvature, rel=1e-3)
    plain = prepare(problem(), every)
    assert run(plain.engine, fitting._bias_factor(plain, plain.objective(every, 0.0))) == 1.0


def test_an_engine_is_chosen_for_all_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def choose(m: int, n_x: int, sweeps: int, memory: int, place: str) -> str:
        assert (m, n_x, memory, place) == (M, 48, ReadOptions().memory, "memory")
        seen.append(sweeps)
        return "primal"

    monkeypatch.setattr(fitting, "choose_engine", choose)
    every = np.ones(M, dtype=bool)
    prepared = prepare(problem(), every, fits=3)
    assert seen == [3 * 61]
    assert prepared.engine.bias(prepared.engine.start()) == 0.0
    resumed = prepare(problem(), every, resumed=(np.full(48, 0.5), 0.25))
    assert resumed.engine.bias(resumed.engine.start()) == 0.25


def test_above_the_limit_a_descent_swings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every, seen = np.ones(M, dtype=bool), []
    descend = descending_of_fitting

    def watched(*arguments: object, swings: bool, **named: object) -> object:
        seen.append(swings)
        return descend(*arguments, swings=swings, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "descending", watched)
    limit = 2 / fit(prepare(problem(), every), every).curvature
    for share in (0.5, 0.99, 1.01):
        settings = TrainSettings(descent=replace(SHORT, learning_rate=share * limit))
        fit(prepare(problem(settings), every), every)
    assert seen == [False, False, False, True]


def test_as_many_folds_as_the_smaller_class_has_groups_and_five_at_most() -> None:
    every = np.ones(M, dtype=bool)
    some = problem()
    for positives, expected in ((2, 2), (3, 3), (5, 5), (9, 5), (1, 2)):
        y = (np.arange(M) < positives).astype(float)
        assert fitting.feasible_folds(replace(some, y=y), every) == expected
    grouped = replace(some, y=(np.arange(M) < 9).astype(float), groups=np.arange(M) // 3)
    assert fitting.feasible_folds(grouped, every) == 3


def test_every_fit_of_a_path_has_the_rate_of_its_own_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    some = problem(TrainSettings(features="patches", descent=SHORT))
    train, rates = np.arange(M) % 3 > 0, list[float]()
    prepared = prepare(some, train)
    _, curvature = run(prepared.engine, fitting._steepness(prepared, train))

    def watched(*arguments: Any, **named: Any) -> Sweeping[Descent]:
        rates.append(arguments[3])
        return descending_of_fitting(*arguments, **named)

    monkeypatch.setattr(fitting, "descending", watched)
    losses_of_path(prepared, train, [3.0, 0.2, 0.01])
    assert_allclose(rates, [1 / (curvature + l2) for l2 in (3.0, 0.2, 0.01)], rtol=1e-9)


def test_what_diverged_is_told_what_would_have_worked() -> None:
    every = np.ones(M, dtype=bool)
    settings = TrainSettings(descent=replace(SHORT, learning_rate=1e6))
    fitted = fit(prepare(problem(settings), every), every)
    assert fitted.descent.stop_reason == "diverged"
    one, two = (f"{number / fitted.curvature:.3g}" for number in (1, 2))
    assert f"or {one} (the limit of stability is {two})" in str(fitting.divergence(fitted))


def test_folds_that_did_not_diverge_are_not_told() -> None:
    every, told = np.ones(M, dtype=bool), list[TrainingError]()
    cross_validate(prepare(problem(), every), every, 3, told.append)
    assert told == []
    settings = TrainSettings(descent=replace(SHORT, learning_rate=1e6))
    cross_validate(prepare(problem(settings), every), every, 3, told.append)
    assert len(told) == 3


def test_a_random_start_is_small_and_follows_from_the_seed() -> None:
    settings = replace(SHORT, start="random", seed=5)
    expected = 0.01 * np.random.default_rng(5).standard_normal(7)
    assert_array_equal(fitting.start_weights(settings, 7), expected)
    assert_array_equal(fitting.start_weights(SHORT, 7), np.zeros(7))


def test_pictures_stay_together_only_where_groups_have_several() -> None:
    some, half = problem(), np.arange(M) < 10
    assert not some.has_groups
    assert some.groups_of(half) is None
    assert not replace(some, groups=np.arange(M)).has_groups
    grouped = replace(some, groups=np.arange(M) // 2)
    assert grouped.has_groups
    assert_array_equal(grouped.groups_of(half), np.arange(10) // 2)


def test_rows_stay_in_memory_where_nobody_says_where_else() -> None:
    some = problem(TrainSettings(features="patches", descent=SHORT))
    tight = replace(some, settings=replace(some.settings, read=ReadOptions(memory=1)))
    assert isinstance(encode(tight, np.ones(M, dtype=bool)).rows, InMemory)
