"""The loop: its update, its stopping tests, what it keeps, and the numbers of the course."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from catclf.config import LOSS_NAMES, STARTS, STOP_RULES, DescentSettings, ReadOptions, TrainSettings
from catclf.curvature import largest_curvature
from catclf.descent import Descent, Step, _Point, _Watch, descend
from catclf.design import Design
from catclf.engines import Engine
from catclf.fitting import Fitted, Prepared, Problem, fit, prepare
from catclf.logistic import LOSSES, Vector, sigmoid
from catclf.objective import Objective
from catclf.stores.here import InMemory
from tests import reference
from tests.engines import LOCAL_ENGINES, engine_class

NEVER = DescentSettings(iterations=60, stop="none")
engines = pytest.mark.parametrize("name", LOCAL_ENGINES)
losses = pytest.mark.parametrize("loss", LOSS_NAMES)


class Made(NamedTuple):
    """A small problem: X of normal numbers and an engine over it."""

    X: Vector
    y: Vector
    engine: Engine
    objective: Objective
    rate: float


def make(
    loss: str = "cross-entropy",
    l2: float = 0.0,
    name: str = "primal",
    m: int = 24,
    n_x: int = 8,
    start: tuple[Vector, float] | None = None,
) -> Made:
    rows = np.random.default_rng(5).standard_normal((m, n_x)).astype(np.float32)
    y = reference.labels(m)
    w0, b0 = start or (np.zeros(n_x), 0.0)
    engine = engine_class(name)(Design(InMemory(rows), 1.0), w0, 1, b0=b0)
    objective = Objective(loss, y, np.full(m, 1 / m), l2)
    return Made(
        rows.T.astype(np.float64), y, engine, objective, 1 / largest_curvature(engine, objective)
    )


def run(made: Made, settings: DescentSettings = NEVER, rate: float | None = None) -> Descent:
    return descend(made.engine, made.objective, settings, made.rate if rate is None else rate)


def parameters(made: Made, descent: Descent) -> tuple[Vector, float]:
    return made.engine.weights(descent.c), made.engine.bias(descent.c)


# --- the update ---


def test_w_and_b_are_updated_from_the_same_old_point() -> None:
    w0, b0, alpha = np.linspace(-1, 1, 8), 0.5, 0.1
    made = make(start=(w0, b0))
    descent = run(made, DescentSettings(iterations=1, stop="none"), alpha)
    residual = sigmoid(w0 @ made.X + b0) - made.y
    w1 = w0 - alpha * made.X @ residual / 24
    w, b = parameters(made, descent)
    assert_allclose(w, w1, rtol=1e-13)
    assert_allclose(b, b0 - alpha * residual.mean(), rtol=1e-13)
    in_turn = b0 - alpha * (sigmoid(w1 @ made.X + b0) - made.y).mean()
    assert abs(b - in_turn) > 1e-5


def test_bias_factor_scales_the_step_of_b_and_the_reported_step_norm() -> None:
    made = make()
    settings = DescentSettings(iterations=1, stop="none")
    descent = descend(made.engine, made.objective, settings, 0.1, bias_factor=9.0)
    residual = 0.5 - made.y
    dw, db = made.X @ residual / 24, residual.mean()
    w, b = parameters(made, descent)
    assert_allclose(w, -0.1 * dw, rtol=1e-13)
    assert_allclose(b, -0.9 * db, rtol=1e-13)
    moved = math.sqrt(float(w @ w) + b**2)
    assert_allclose(descent.last.step_norm, moved, rtol=1e-13)


def test_zero_iterations_measure_the_start() -> None:
    made = make()
    descent = run(made, DescentSettings(iterations=0, stop="none"))
    assert (descent.stop_reason, descent.iterations) == ("iterations", 0)
    assert parameters(made, descent)[1] == 0.0
    assert len(descent.history) == 1
    assert_allclose(descent.last.cost, math.log(2), rtol=1e-15)
    assert math.isnan(descent.last.step_norm)


# --- stopping ---


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("stop", ["gradient", "step"])
def test_a_stopping_test_fires_at_the_first_point_within_its_bound(stop: str, momentum: float) -> None:
    made = make(l2=0.05)
    epsilon = 1e-4
    settings = DescentSettings(iterations=5000, stop=stop, epsilon=epsilon, momentum=momentum)
    descent = run(made, settings)
    norms = {"gradient": "gradient_norm", "step": "step_norm"}
    assert descent.stop_reason == stop
    assert descent.converged
    assert getattr(descent.last, norms[stop]) <= epsilon
    shorter = run(made, replace(settings, stop="none", iterations=descent.iterations - 1))
    assert getattr(shorter.last, norms[stop]) > epsilon
    assert not shorter.converged
    if not momentum:  # ‖step‖ = α ‖gradient‖ of the point before
        assert_allclose(descent.last.step_norm, made.rate * shorter.last.gradient_norm, rtol=1e-12)


def test_a_start_at_the_minimum_stops_at_once() -> None:
    made = make(l2=0.05)
    settings = DescentSettings(iterations=5000, epsilon=1e-6)
    first = run(made, settings)
    again = descend(made.engine, made.objective, settings, made.rate, start=first.c)
    assert (again.stop_reason, again.iterations) == ("gradient", 0)


def interrupt_after(calls: int) -> Callable[[], bool]:
    counter = itertools.count(1)
    return lambda: next(counter) > calls


def test_an_interrupted_descent_returns_the_best_so_far() -> None:
    made = make()
    descent = descend(
        made.engine, made.objective, NEVER, 2.5 * made.rate, interrupted=interrupt_after(17)
    )
    assert (descent.stop_reason, descent.iterations) == ("interrupted", 17)
    assert descent.last.cost == min(row.cost for row in descent.history)
    assert_cost_is_that_of(made, descent)


def assert_cost_is_that_of(made: Made, descent: Descent) -> None:
    """The parameters and the record that are returned belong together."""
    w, b = parameters(made, descent)
    losses = made.objective.losses(w @ made.X + b, slice(None))
    cost, _ = made.objective.costs(losses, float(w @ w))
    assert_allclose(descent.last.cost, cost, rtol=1e-12)


@engines
@pytest.mark.parametrize("factor", [1e3, 1e6, 1e12])
def test_a_rate_far_too_large_diverges_and_keeps_the_best(name: str, factor: float) -> None:
    made = make(name=name)
    descent = run(made, rate=factor * made.rate)
    assert descent.stop_reason == "diverged"
    assert not descent.converged
    assert np.isfinite(made.engine.weights(descent.c)).all()
    assert math.isfinite(descent.last.cost)
    assert descent.last.cost <= descent.history[0].cost


@engines
def test_numbers_that_overflow_are_divergence_and_no_warning(name: str) -> None:
    made = make(name=name)
    assert run(made, rate=1e300).stop_reason == "diverged"


def test_a_penalty_too_large_for_the_rate_diverges() -> None:
    made = make(l2=1e3)
    descent = run(made, rate=0.01)
    assert descent.stop_reason == "diverged"
    assert np.isfinite(descent.c).all()


@pytest.fixture
def one_sided() -> Made:
    """Squared error of features ≥ 0, as pixels are: a huge first step makes every p zero for good."""
    made = make("squared-error")
    rows = np.abs(made.X.T).astype(np.float32)
    engine = engine_class("primal")(Design(InMemory(rows), 1.0), np.zeros(8), 1)
    return made._replace(X=rows.T.astype(np.float64), engine=engine)


@pytest.mark.parametrize("stop", ["gradient", "step"])
def test_a_plateau_of_squared_error_above_the_start_is_no_convergence(
    one_sided: Made, stop: str
) -> None:
    settings = DescentSettings(iterations=60, stop=stop, epsilon=1e-4)
    descent = run(one_sided, settings, rate=1e6 * one_sided.rate)
    assert descent.stop_reason == "diverged"
    assert descent.last.cost <= descent.history[0].cost


def test_a_cost_that_stays_high_for_long_is_divergence(one_sided: Made) -> None:
    settings = DescentSettings(iterations=3000, stop="none")
    descent = run(one_sided, settings, rate=1e6 * one_sided.rate)
    assert descent.stop_reason == "diverged"
    assert descent.iterations == 500 + descent.last.step


class HeldOut(NamedTuple):
    """Data without any signal, half of it held out: the longer the fit, the worse there."""

    engine: Engine
    objective: Objective
    rate: float


@pytest.fixture
def overfitting() -> HeldOut:
    m, n_x = 40, 30
    rows = np.random.default_rng(1).standard_normal((m, n_x)).astype(np.float32)
    rows[:, 0] += 3 * reference.labels(m)  # a little signal, so that the first steps do help
    train = np.arange(m) % 2 == 0
    engine = engine_class("gram")(Design(InMemory(rows), 1.0), np.zeros(n_x), 1)
    objective = Objective("cross-entropy", reference.labels(m), train / 20, 0.0, ~train / 20)
    return HeldOut(engine, objective, 1 / largest_curvature(engine, objective))


def run_held_out(problem: HeldOut, settings: DescentSettings) -> Descent:
    return descend(problem.engine, problem.objective, settings, problem.rate)


def test_patience_stops_and_keeps_the_lowest_validation_cost(overfitting: HeldOut) -> None:
    settings = DescentSettings(iterations=5000, stop="none", patience=20)
    descent = run_held_out(overfitting, settings)
    costs = [row.validation_cost for row in descent.history]
    assert descent.stop_reason == "patience"
    assert 0 < descent.last.step < descent.iterations
    assert descent.iterations == descent.last.step + 20
    assert descent.last.validation_cost == min(costs)
    z = overfitting.engine.scores(descent.c)[1::2]
    score = LOSSES["cross-entropy"].value(z, reference.labels(40)[1::2]).mean()
    assert_allclose(score, min(costs), rtol=1e-12)


def test_without_patience_the_last_point_is_kept(overfitting: HeldOut) -> None:
    descent = run_held_out(overfitting, DescentSettings(iterations=200, stop="none"))
    assert (descent.stop_reason, descent.last.step) == ("iterations", 200)
    assert descent.last.validation_cost > min(row.validation_cost for row in descent.history)


# --- history ---


def test_a_longer_history_begins_with_the_shorter_and_has_a_hundred_rows_a_decade() -> None:
    made = make(l2=0.1, m=6, n_x=2)
    long, short = (run(made, replace(NEVER, iterations=n)) for n in (12_000, 3_000))
    assert str(long.history[: len(short.history)]) == str(short.history)  # NaN included
    steps = [row.step for row in long.history]
    assert steps[:101] == list(range(101))
    assert steps[101:191] == list(range(110, 1001, 10))
    assert steps[191:] == [*range(1100, 10_001, 100), 11_000, 12_000]


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_of_a_cost_that_swings_both_sides_are_recorded(momentum: float) -> None:
    made = make()
    limit = 2 / largest_curvature(made.engine, made.objective)
    settings = replace(NEVER, iterations=2500, momentum=momentum)
    descents = {
        swings: descend(made.engine, made.objective, settings, 1.05 * limit, swings=swings)
        for swings in (False, True)
    }
    plain, both = (
        {row.step: (row.cost, row.gradient_norm) for row in descents[swings].history}
        for swings in (False, True)
    )
    assert {step: both[step] for step in plain} == plain
    beside = {step + 1 for step in plain if step >= 100} - {2501}
    assert set(both) == set(plain) | beside
    assert descents[True].last.cost == descents[False].last.cost
    sooner = replace(settings, iterations=121)
    assert descend(made.engine, made.objective, sooner, 1.05 * limit).last.cost == both[121][0]


def test_the_last_step_is_recorded_wherever_the_descent_ends() -> None:
    descent = run(make(), replace(NEVER, iterations=1234))
    assert [row.step for row in descent.history][-2:] == [1200, 1234]


def test_the_observer_sees_every_row_of_the_history() -> None:
    made, seen = make(), list[Step]()
    descent = descend(made.engine, made.objective, NEVER, made.rate, observer=seen.append)
    assert tuple(seen) == descent.history


# --- step size ---


@engines
@losses
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("bias_factor", [0.0, 1.0, 40.0])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_curvature_is_the_largest_eigenvalue_of_the_bound(
    name: str, loss: str, l2: float, bias_factor: float, class_weight: str
) -> None:
    made = make(loss, l2, name)
    shares = np.full(24, 1 / 24)
    if class_weight == "balanced":
        shares = reference.balanced_shares(made.y)
    objective = Objective(loss, made.y, shares, l2)
    extended = np.vstack([made.X, np.full(24, math.sqrt(bias_factor))])
    bound = objective.loss_curvature * (extended * shares) @ extended.T
    expected = float(np.linalg.eigvalsh(bound)[-1]) + l2
    assert_allclose(largest_curvature(made.engine, objective, bias_factor), expected, rtol=1e-4)


@engines
def test_curvature_of_black_pictures_is_that_of_the_bias(name: str) -> None:
    black = InMemory(np.zeros((6, 4), np.uint8))
    engine = engine_class(name)(Design(black, 1 / 255), np.zeros(4), 1)
    objective = Objective("cross-entropy", reference.labels(6), np.full(6, 1 / 6), 0.0)
    assert_allclose(largest_curvature(engine, objective), 0.25, rtol=1e-12)
    assert largest_curvature(engine, objective, bias_factor=0.0) == 0.0


@engines
@losses
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_at_one_over_l_every_step_lowers_the_cost_as_promised(name: str, loss: str, l2: float) -> None:
    made = make(loss, l2, name)
    history = run(made, replace(NEVER, iterations=100)).history
    for before, after in itertools.pairwise(history):
        promised = 0.5 * made.rate * before.gradient_norm**2
        assert after.cost <= before.cost - promised + (1e-6 if name == "stream" else 1e-13)


# --- what it finds ---


@engines
def test_probabilities_of_a_known_model_are_recovered(name: str) -> None:
    rng = np.random.default_rng(0)
    w, b, m = np.array([2.0, -1.0, 0.5]), 0.3, 10_000
    rows = rng.standard_normal((m, 3)).astype(np.float32)
    if name == "gram":  # m² numbers
        m = 1_000
        rows = rows[:m]
    p = sigmoid(rows @ w + b)
    y = (rng.random(m) < p).astype(np.float64)
    engine = engine_class(name)(Design(InMemory(rows), 1.0), np.zeros(3), 2)
    objective = Objective("cross-entropy", y, np.full(m, 1 / m), 0.0)
    settings = DescentSettings(iterations=500, epsilon=1e-5, momentum=0.9)
    descent = descend(engine, objective, settings, 1 / largest_curvature(engine, objective))
    assert descent.converged
    # ≈ 4 standard errors of m observations
    assert_allclose(engine.weights(descent.c), w, atol=12 / math.sqrt(m))
    z = engine.scores(descent.c)
    assert np.abs(sigmoid(z) - p).mean() < 1.5 / math.sqrt(m)


def train(pixels: NDArray[np.uint8], y: Vector, settings: TrainSettings) -> tuple[Prepared, Fitted]:
    every = np.ones(len(y), dtype=bool)
    settings = replace(settings, read=ReadOptions(jobs=1))
    prepared = prepare(Problem(InMemory(pixels), y, settings), every)
    return prepared, fit(prepared, every)


@engines
@losses
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("stop", STOP_RULES)
def test_every_combination_of_loss_start_and_stop_trains(
    name: str, loss: str, start: str, stop: str
) -> None:
    pixels, y = reference.pictures(30)
    descent_settings = DescentSettings(
        loss=loss, start=start, stop=stop, iterations=400, epsilon=1e-3, momentum=0.9
    )
    prepared, fitted = train(pixels, y, TrainSettings(descent=descent_settings, engine=name))
    descent = fitted.descent
    assert descent.stop_reason in ("iterations", stop)
    assert descent.last.cost < 0.8 * descent.history[0].cost
    assert ((prepared.probabilities(descent) >= 0.5) == y).mean() > 0.8


def test_the_seed_decides_the_random_start() -> None:
    pixels, y = reference.pictures(12)

    def first_cost(seed: int) -> float:
        settings = DescentSettings(start="random", seed=seed, iterations=0)
        return train(pixels, y, TrainSettings(descent=settings))[1].descent.last.cost

    assert first_cost(1) == first_cost(1)
    assert first_cost(1) != first_cost(2)


# --- the course's data ---


@pytest.fixture(scope="module")
def course() -> tuple[NDArray[np.uint8], Vector]:
    folder = Path(os.environ.get("CATCLF_REAL_DATA", "../shared/data"))
    path = folder / "catvnoncat" / "train_catvnoncat.h5"
    if not path.exists():
        pytest.skip(f"the course's data is not there: {path} (set CATCLF_REAL_DATA)")
    import h5py

    with h5py.File(path) as file:
        return file["train_set_x"][()], file["train_set_y"][()].astype(np.float64)


def test_the_numbers_of_the_course_are_reproduced(course: tuple[NDArray[np.uint8], Vector]) -> None:
    pixels, y = course
    settings = DescentSettings(learning_rate=0.005, iterations=2000, stop="none")
    prepared, fitted = train(pixels, y, TrainSettings(descent=settings, engine="gram"))
    descent = fitted.descent
    # α is beyond 2/L here: the cost swings at first, which is not divergence
    assert_allclose(1 / fitted.curvature, 0.001806, rtol=1e-3)
    assert fitted.learning_rate > 2 / fitted.curvature
    costs = {row.step: row.cost for row in descent.history}
    assert max(costs.values()) > costs[0]
    assert (descent.stop_reason, descent.iterations) == ("iterations", 2000)

    expected = {0: 0.693147, 100: 0.584508, 1000: 0.214820, 1900: 0.140872, 2000: 0.135608}
    assert_allclose([costs[step] for step in expected], list(expected.values()), rtol=0, atol=1e-6)
    rows = {row.step: row for row in descent.history}
    assert_allclose([rows[k].gradient_norm for k in (1000, 2000)], [0.158, 0.101], atol=5e-4)
    assert_allclose([rows[k].step_norm for k in (1000, 2000)], [7.9e-4, 5.0e-4], atol=5e-6)

    w, b = prepared.parameters(descent)
    p = sigmoid(pixels.reshape(209, -1) / 255 @ w + b)
    assert_allclose(p, prepared.probabilities(descent), rtol=0, atol=1e-12)
    assert_allclose(100 * ((p >= 0.5) == y).mean(), 99.043, atol=1e-3)


def test_engines_agree_on_the_course_data(course: tuple[NDArray[np.uint8], Vector]) -> None:
    pixels, y = course
    settings = DescentSettings(iterations=40, stop="none")
    weights = {}
    for name in LOCAL_ENGINES:
        prepared, fitted = train(pixels, y, TrainSettings(descent=settings, engine=name))
        weights[name], _ = prepared.parameters(fitted.descent)
    size = float(np.abs(weights["primal"]).max())
    assert_allclose(weights["gram"], weights["primal"], rtol=0, atol=1e-11 * size)
    assert_allclose(weights["stream"], weights["primal"], rtol=0, atol=1e-4 * size)


def test_a_rate_of_ten_diverges_on_the_course_data(course: tuple[NDArray[np.uint8], Vector]) -> None:
    for loss in LOSS_NAMES:
        settings = DescentSettings(loss=loss, learning_rate=10.0)
        _, fitted = train(*course, TrainSettings(descent=settings, engine="gram"))
        assert fitted.descent.stop_reason == "diverged"


# --- borders of the rules ---


def test_a_norm_that_is_the_bound_is_within_it() -> None:
    made = make(l2=0.1)
    norms = {
        row.step: (row.gradient_norm, row.step_norm)
        for row in run(made, replace(NEVER, iterations=20)).history
    }
    for stop, epsilon in (("gradient", norms[7][0]), ("step", norms[7][1])):
        settings = replace(NEVER, stop=stop, epsilon=epsilon, iterations=20)
        assert run(made, settings).iterations == 7


def rows_of_costs(*costs: tuple[int, float]) -> list[str | None]:
    """What the memory of a descent says to these costs at these steps."""
    watch = _Watch(None, None)
    return [
        watch.record(_Point(np.zeros(1), Step(step, cost, 1.0, 1.0, 0.1, math.nan)), None)
        for step, cost in costs
    ]


def test_a_cost_is_rising_after_so_many_steps_and_rows() -> None:
    few_rows = [(0, 1.0), (100, 1.1), (200, 1.1), (300, 1.1), (499, 1.1)]
    assert rows_of_costs(*few_rows, (500, 1.1))[-1] == "diverged"
    assert rows_of_costs(*few_rows)[-1] is None
    assert rows_of_costs(*few_rows[:4], (500, 1.1))[-1] is None  # four rows
    assert rows_of_costs(*few_rows, (500, 1.005))[-1] is None  # within a hundredth of the lowest
    assert rows_of_costs(*few_rows[:3], (300, 0.9), (499, 1.1), (500, 1.1))[-1] is None


def test_a_cost_far_above_the_first_has_exploded() -> None:
    assert rows_of_costs((0, 1.0), (1, 100.1))[-1] == "diverged"
    assert rows_of_costs((0, 1.0), (1, 99.9))[-1] is None
    assert rows_of_costs((0, 0.01), (1, 69.2))[-1] is None  # of a first cost near 0 it is said by ln 2
    assert rows_of_costs((0, 0.01), (1, 69.4))[-1] == "diverged"


def test_of_equal_costs_the_first_is_the_best() -> None:
    watch = _Watch(None, None)
    for step, cost in enumerate((1.0, 0.5, 0.5)):
        watch.record(_Point(np.array([step]), Step(step, cost, 1.0, 1.0, 0.1, math.nan)), None)
    assert watch.result("interrupted").last.step == 1


def test_what_swings_is_judged_in_every_early_step() -> None:
    made = make(l2=0.1)
    limit = 2 / largest_curvature(made.engine, made.objective)
    plain = descend(made.engine, made.objective, NEVER, 50 * limit)
    swinging = descend(made.engine, made.objective, NEVER, 50 * limit, swings=True)
    assert plain.stop_reason == swinging.stop_reason == "diverged"
    assert [row.step for row in plain.history] == [row.step for row in swinging.history]
