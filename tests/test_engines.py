"""Every engine is the same descent: against the loops of `tests.reference`, and against each other."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from catclf.config import ENGINES, LOSS_NAMES, STOP_RULES, DescentSettings, Place
from catclf.curvature import largest_curvature
from catclf.descent import Descent, descend, descending
from catclf.design import Design, Standardisation
from catclf.engines import Engine, gram, stream, together
from catclf.engines import run as run_computation
from catclf.engines.choice import choose_engine
from catclf.engines.gram import gram_matrix
from catclf.engines.standardised import Standardised
from catclf.engines.stream import Point, score_part, sweep_part
from catclf.engines.sweep import Request
from catclf.logistic import Vector, sigmoid
from catclf.objective import Objective
from catclf.stores.here import InMemory
from tests import reference
from tests.engines import LOCAL_ENGINES, engine_class

# Relative to the largest entry. An engine that is not named here computes in float64.
TOLERANCES = {"stream": 1e-5}
EXACT = 1e-10

engines = pytest.mark.parametrize("name", LOCAL_ENGINES)
kinds = pytest.mark.parametrize("kind", ["uint8", "float32"])
starts = pytest.mark.parametrize("start", ["zeros", "random"])
biases = pytest.mark.parametrize(
    ("b0", "own_bias"), [(0.0, True), (0.0, False), (0.4, True), (0.4, False)]
)

SHAPES = {
    "two pictures": (2, 9),
    "fewer pictures than parts": (5, 20),
    "more features than pictures": (12, 30),
    "more pictures than features": (45, 6),
    "one feature": (20, 1),
}


def make_design(kind: str, m: int, n_x: int) -> Design:
    rng = np.random.default_rng(m + n_x)
    if kind == "uint8":
        return Design(InMemory(rng.integers(0, 256, (m, n_x), dtype=np.uint8)), 1 / 255)
    return Design(InMemory((0.5 * rng.standard_normal((m, n_x))).astype(np.float32)), 1.0)


def matrix(design: Design) -> Vector:
    """X (n_x, m) as floats."""
    X: Vector = design.rows[:].T.astype(np.float64) * design.scale
    return X


def start_weights(start: str, n_x: int) -> Vector:
    if start == "zeros":
        return np.zeros(n_x)
    return 0.3 * np.random.default_rng(7).standard_normal(n_x)


def assert_close(actual: Any, expected: Any, name: str) -> None:
    tolerance = TOLERANCES.get(name, EXACT)
    largest = float(np.nan_to_num(np.abs(expected)).max())  # the first step norm is NaN
    assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * largest)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two or three rows of 30 features, so that even little data has many."""
    monkeypatch.setattr(stream, "_BLOCK_BYTES", 2 * 4 * 30)
    monkeypatch.setattr(gram, "_BLOCK_BYTES", 3 * 8 * 30)
    monkeypatch.setattr(gram, "_FLOAT_BLOCK_BYTES", 3 * 8 * 30)
    monkeypatch.setattr(gram, "_BYTE_BLOCK_ROWS", 3)
    monkeypatch.setattr(gram, "_SPAN", 4)
    monkeypatch.setattr(gram, "_BYTE_GROUPS", 2)


class Case(NamedTuple):
    """Everything that a descent can be asked for."""

    loss: str
    start: str
    l2: float
    momentum: float
    class_weight: str
    kind: str = "uint8"
    shape: str = "more features than pictures"

    @property
    def design(self) -> Design:
        return make_design(self.kind, *SHAPES[self.shape])

    @property
    def y(self) -> Vector:
        return reference.labels(self.design.m)

    @property
    def shares(self) -> Vector:
        y = self.y
        balanced = self.class_weight == "balanced"
        return reference.balanced_shares(y) if balanced else np.full(len(y), 1 / len(y))


RATE, UPDATES, B0 = 0.3, 24, -0.2


@cache
def expected_rows(case: Case) -> list[reference.Row]:
    return reference.descend(
        matrix(case.design),
        case.y,
        loss=case.loss,
        rate=RATE,
        updates=UPDATES,
        l2=case.l2,
        momentum=case.momentum,
        shares=case.shares,
        w0=start_weights(case.start, case.design.n_x),
        b0=B0,
    )


def run(name: str, case: Case, stop: str = "none", epsilon: float = 1.0) -> tuple[Engine, Descent]:
    engine = engine_class(name)(case.design, start_weights(case.start, case.design.n_x), 2, b0=B0)
    settings = DescentSettings(iterations=UPDATES, stop=stop, epsilon=epsilon, momentum=case.momentum)
    objective = Objective(case.loss, case.y, case.shares, case.l2)
    return engine, descend(engine, objective, settings, RATE)


def assert_same_descent(name: str, engine: Engine, descent: Descent, rows: list[reference.Row]) -> None:
    assert len(descent.history) == len(rows)
    for norm in ("cost", "gradient_norm", "step_norm"):
        actual = [getattr(row, norm) for row in descent.history]
        assert_close(actual, [getattr(row, norm) for row in rows], name)
    assert_close(engine.weights(descent.c), rows[-1].w, name)
    assert_close(engine.bias(descent.c), rows[-1].b, name)


@engines
@kinds
@pytest.mark.parametrize("loss", LOSS_NAMES)
@starts
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_every_stopping_rule_of_every_engine_agrees_with_the_reference(
    name: str, kind: str, loss: str, start: str, l2: float, momentum: float, class_weight: str
) -> None:
    case = Case(loss, start, l2, momentum, class_weight, kind)
    rows = expected_rows(case)
    norms = {
        "gradient": [row.gradient_norm for row in rows],
        "step": [row.step_norm for row in rows],
        "none": [math.inf] * len(rows),
    }
    for stop in STOP_RULES:
        epsilon = 1.001 * norms[stop][12] if stop != "none" else 1.0  # reached in the middle
        last = next((k for k, norm in enumerate(norms[stop]) if norm <= epsilon), UPDATES)
        engine, descent = run(name, case, stop, epsilon)
        assert descent.stop_reason == ("iterations" if stop == "none" else stop)
        assert_same_descent(name, engine, descent, rows[: last + 1])


@engines
@kinds
@starts
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("small_blocks")
def test_every_shape_in_small_blocks_agrees_with_the_reference(
    name: str, kind: str, start: str, shape: str
) -> None:
    case = Case("cross-entropy", start, 0.1, 0.9, "balanced", kind, shape)
    engine, descent = run(name, case)
    assert_same_descent(name, engine, descent, expected_rows(case))


@dataclass
class Summed:
    """r and losses as any functions of a picture's z and number."""

    r: Callable[[Vector, Vector], Vector]
    numbers: Vector = field(default_factory=lambda: np.arange(21.0))
    seen: list[float] = field(default_factory=list)

    def residual(self, z: Vector, part: slice, out: Vector) -> None:
        self.seen.extend(self.numbers[part])
        out[:] = self.r(z, self.numbers[part])

    def losses(self, z: Vector, part: slice) -> Vector:
        return np.array([z.sum(), (z * self.numbers[part]).sum()])

    def of(self, part: slice) -> Summed:
        return Summed(self.r, self.numbers[part], self.seen)


@engines
@kinds
@starts
@biases
def test_a_sweep_sums_over_all_pictures(
    name: str, kind: str, start: str, b0: float, own_bias: bool
) -> None:
    design = make_design(kind, 21, 30)
    X, w0 = matrix(design), start_weights(start, 30)
    engine = engine_class(name)(design, w0, 2, b0=b0, own_bias=own_bias)
    summand = Summed(lambda z, numbers: z * z + numbers)
    sums, losses = engine.sweep(engine.start(), summand, losses=True)
    assert sorted(summand.seen) == list(range(21))  # each picture once
    z = w0 @ X + b0
    r = z * z + np.arange(21)
    assert_close(engine.scores(engine.start()), z, name)
    assert_close(engine.weights(sums), X @ r, name)
    assert_close(engine.bias(sums), r.sum(), name)
    assert_close(losses, [z.sum(), (z * np.arange(21)).sum()], name)
    assert engine.sweep(engine.start(), summand)[1] is None


@engines
@kinds
@starts
@biases
def test_linear_operations_on_coordinates_are_those_on_weights_and_bias(
    name: str, kind: str, start: str, b0: float, own_bias: bool
) -> None:
    design = make_design(kind, 21, 30)
    engine = engine_class(name)(design, start_weights(start, 30), 1, b0=b0, own_bias=own_bias)
    assert (engine.m, engine.n_x) == (21, 30)
    one = engine.start()
    assert_close(engine.weights(one), start_weights(start, 30), name)
    assert_close(engine.bias(one), b0, name)
    other, _ = engine.sweep(one, Summed(lambda z, numbers: numbers - 9))
    w, v = engine.weights(one), engine.weights(other)
    mixed = 2.0 * one - 0.5 * other
    bias = 2.0 * b0 - 0.5 * engine.bias(other)
    assert_close(engine.bias(mixed), bias, name)
    if own_bias:
        engine.shift(mixed, 0.7)
        bias += 0.7
        assert_close(engine.bias(mixed), bias, name)
    assert_close(engine.weights(mixed), 2.0 * w - 0.5 * v, name)
    dot = (2.0 * w - 0.5 * v) @ v + bias * engine.bias(other)
    assert_close(engine.dot(mixed, other), dot, name)
    assert_close(engine.dot(other, mixed), dot, name)
    assert_close(engine.scores(mixed), (2.0 * w - 0.5 * v) @ matrix(design) + bias, name)


def test_a_gram_engine_without_a_bias_of_its_own_moves_it_with_the_pictures_only() -> None:
    engine = engine_class("gram")(make_design("uint8", 21, 30), np.zeros(30), own_bias=False)
    with pytest.raises(ValueError, match="bias of its own"):
        engine.shift(engine.start(), 0.1)


@engines
def test_a_sweep_leaves_its_coordinates_alone(name: str) -> None:
    engine = engine_class(name)(make_design("uint8", 21, 30), start_weights("random", 30), 2)
    c = engine.start()
    before = c.copy()
    sums, _ = engine.sweep(c, Summed(lambda z, numbers: z))
    sums += 1.0  # they are the caller's own
    assert_array_equal(c, before)
    assert_array_equal(engine.start(), before)


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_terms_of_some_pictures_are_those_of_the_whole_objective(loss: str) -> None:
    y, z = reference.labels(20), np.linspace(-3, 3, 20)
    shares = reference.balanced_shares(y)
    for held_out in (None, np.full(20, 0.05)):
        whole = Objective(loss, y, shares, 0.0, held_out)
        part = slice(5, 12)
        some = pickle.loads(pickle.dumps(whole.of(part)))
        expected, actual = np.empty(7), np.empty(7)
        whole.residual(z[part], part, expected)
        some.residual(z[part], slice(None), actual)
        assert_array_equal(actual, expected)
        assert_array_equal(some.losses(z[part], slice(None)), whole.losses(z[part], part))


def fitted_bytes(name: str, kind: str, jobs: int) -> bytes:
    design = make_design(kind, 50, 700)
    y = reference.labels(50)
    engine = engine_class(name)(design, start_weights("random", 700), jobs)
    objective = Objective("cross-entropy", y, np.full(50, 1 / 50), 0.01)
    rate = 1 / largest_curvature(engine, objective)
    settings = DescentSettings(iterations=10, stop="none", momentum=0.5)
    descent = descend(engine, objective, settings, rate)
    return engine.weights(descent.c).tobytes() + np.float64(engine.bias(descent.c)).tobytes()


@engines
@kinds
def test_results_are_the_same_bytes_for_any_number_of_threads(name: str, kind: str) -> None:
    one = fitted_bytes(name, kind, jobs=1)
    assert [fitted_bytes(name, kind, jobs) for jobs in (2, 3)] == [one, one]


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 9), (7, 30), (45, 6), (50, 700)])
@pytest.mark.usefixtures("small_blocks")
def test_gram_matrix_of_bytes_is_exact(shape: tuple[int, int], jobs: int) -> None:
    design = make_design("uint8", *shape)
    rows: NDArray[np.int64] = design.rows[:].astype(np.int64)
    assert_array_equal(gram_matrix(design, jobs), (rows @ rows.T).astype(np.float64) * design.scale**2)


def test_gram_matrix_of_floats_is_symmetric_and_near() -> None:
    design = make_design("float32", 37, 50)
    K, X = gram_matrix(design, 2), matrix(design)
    assert_array_equal(K, K.T)
    assert_allclose(K, X.T @ X, rtol=0, atol=1e-12)


@engines
@kinds
def test_pictures_without_a_share_have_no_influence_but_a_score(name: str, kind: str) -> None:
    design, y = make_design(kind, 20, 30), reference.labels(20)
    train = np.arange(20) < 14
    X = matrix(design)
    rows = reference.descend(X[:, train], y[train], loss="cross-entropy", rate=RATE, updates=10)
    engine: Engine = engine_class(name)(design, np.zeros(30), 2)
    objective = Objective("cross-entropy", y, train / 14, 0.0)
    descent = descend(engine, objective, DescentSettings(iterations=10, stop="none"), RATE)
    assert_same_descent(name, engine, descent, rows)
    assert_close(engine.scores(descent.c), rows[-1].w @ X + rows[-1].b, name)


GIGABYTE = 10**9


@pytest.mark.parametrize(
    ("m", "n_x", "sweeps", "memory", "expected"),
    [
        pytest.param(209, 12288, 2000, GIGABYTE, "gram", id="few pictures of many features"),
        pytest.param(2000, 12288, 2000, GIGABYTE, "gram", id="many steps pay for the Gram matrix"),
        pytest.param(2000, 12288, 2, GIGABYTE, "stream", id="two steps do not"),
        pytest.param(2000, 30, 2000, GIGABYTE, "primal", id="few features and X fits in the cache"),
        pytest.param(50_000, 64, 2000, GIGABYTE, "stream", id="few features of many pictures"),
        pytest.param(20_000, 12288, 2000, GIGABYTE, "stream", id="neither K nor X fits"),
        pytest.param(100_000, 12288, 10**6, 10**15, "stream", id="K fits but is too much work"),
        pytest.param(209, 12288, 2000, 10**6, "gram", id="K fits where X does not"),
        pytest.param(209, 12288, 2000, 10**5, "stream", id="tight memory excludes gram and primal"),
        pytest.param(2000, 30, 2000, 10**5, "stream", id="tight memory excludes a small X"),
        pytest.param(2, 3, 0, 1, "stream", id="no memory at all"),
    ],
)
def test_auto_chooses_the_engine(m: int, n_x: int, sweeps: int, memory: int, expected: str) -> None:
    assert choose_engine(m, n_x, sweeps, memory) == expected


sizes = st.integers(1, 10**6)


places = st.sampled_from(get_args(Place))


@given(sizes, sizes, st.integers(0, 10**8), st.integers(1, 10**12), places)
def test_the_chosen_engine_exists_and_fits_and_can_read_the_rows(
    m: int, n_x: int, sweeps: int, memory: int, place: Place
) -> None:
    chosen = choose_engine(m, n_x, sweeps, memory, place)
    assert place in ENGINES[chosen].reads
    assert {"gram": 8 * m * m, "primal": 8 * m * n_x, "stream": 0, "dask": 0}[chosen] <= memory
    assert (chosen == "dask") == (place == "workers")


def test_a_sweep_over_a_part_is_that_of_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_BLOCK_BYTES", 4 * 5 * 3)  # three pictures at a time
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(20, 5)).astype(np.float32), rng.integers(0, 2, 20).astype(float)
    shares, weights = np.full(20, 1 / 20), rng.normal(size=5).astype(np.float32)
    objective = Objective("cross-entropy", y, shares, 0.0)
    part = slice(6, 17)
    point = Point(weights, 0.5, losses=True)
    ((sums, losses),) = sweep_part(InMemory(rows), part, [point], [objective])
    z = rows[part] @ weights + 0.5
    residual = (1 / (1 + np.exp(-z)) - y[part]) * shares[part]
    assert_allclose(sums, [*(residual @ rows[part]), residual.sum()], rtol=1e-5)
    assert losses is not None
    assert_allclose(losses[0], ((np.logaddexp(0, z) - y[part] * z) * shares[part]).sum(), rtol=1e-6)
    assert_allclose(score_part(InMemory(rows), part, point), z, rtol=1e-6)


def test_the_faster_engine_is_chosen() -> None:
    assert choose_engine(m=209, n_x=12288, sweeps=2000, memory=10**9) == "gram"
    assert choose_engine(m=209, n_x=12288, sweeps=1, memory=10**9) == "stream"
    assert choose_engine(m=5000, n_x=20, sweeps=2000, memory=10**9) == "primal"
    assert choose_engine(m=8000, n_x=100, sweeps=2000, memory=10**9) == "primal"
    assert choose_engine(m=12_000, n_x=100, sweeps=2000, memory=10**9) == "stream"
    fits = 8 * 5000 * 20
    assert choose_engine(m=5000, n_x=20, sweeps=2000, memory=fits) == "primal"
    assert choose_engine(m=5000, n_x=20, sweeps=2000, memory=fits - 1) == "stream"
    assert choose_engine(m=209, n_x=12288, sweeps=2000, memory=2 * 8 * 209**2) == "gram"
    assert choose_engine(m=209, n_x=12288, sweeps=2000, memory=2 * 8 * 209**2 - 1) == "stream"
    assert choose_engine(m=10, n_x=10, sweeps=9, memory=10**9, place="workers") == "dask"


# --- several sweeps in one pass ---


@engines
@kinds
@pytest.mark.parametrize("own_bias", [True, False])
def test_several_sweeps_are_those_that_are_asked_for_one_by_one(
    name: str, kind: str, own_bias: bool
) -> None:
    design, rng = make_design(kind, 45, 20), np.random.default_rng(3)
    engine = engine_class(name)(design, start_weights("random", 20), 2, b0=0.4, own_bias=own_bias)
    y, shares = reference.labels(45), np.full(45, 1 / 45)
    requests = []
    for k, loss in enumerate(LOSS_NAMES):
        held_out = rng.random(45) if k else None
        objective = Objective(loss, y, shares * rng.random(45), 0.0, held_out)
        requests += [Request((1 + k) * engine.start(), objective, losses) for losses in (True, False)]
    for (sums, losses), request in zip(engine.sweeps(requests), requests, strict=True):
        expected, expected_losses = engine.sweep(*request)
        assert_close(engine.weights(sums), engine.weights(expected), name)
        assert_close(engine.bias(sums), engine.bias(expected), name)
        assert (losses is None) == (not request.losses)
        if losses is not None:
            assert_close(losses, expected_losses, name)


@engines
def test_descents_side_by_side_end_where_each_would_alone(name: str) -> None:
    design, y = make_design("float32", 45, 6), reference.labels(45)
    engine = engine_class(name)(design, np.zeros(6), 2)
    settings = DescentSettings(iterations=400, momentum=0.5, stop="gradient", epsilon=1e-3)
    shares = [np.full(45, 1 / 45), np.where(np.arange(45) < 30, 1 / 30, 0.0)]
    objectives = [Objective("cross-entropy", y, share, l2) for share in shares for l2 in (0.5, 0.01)]
    whole = run_computation(
        engine, together([descending(engine, objective, settings, 0.5) for objective in objectives])
    )
    assert len({descent.iterations for descent in whole}) > 1  # the others go on
    for found, objective in zip(whole, objectives, strict=True):
        alone = descend(engine, objective, settings, 0.5)
        assert (found.stop_reason, found.iterations) == (alone.stop_reason, alone.iterations)
        assert_close(engine.weights(found.c), engine.weights(alone.c), name)


def test_what_folds_ask_for_together_is_one_pass_over_rows() -> None:
    passes: list[slice] = []

    class Counted(InMemory):
        def pieces(self, part: slice, step: int) -> Iterator[NDArray[Any]]:
            passes.append(part)
            return super().pieces(part, step)

    design = make_design("uint8", 45, 20)
    engine = stream.StreamEngine(Design(Counted(design.rows[:]), design.scale), np.zeros(20))
    objective = Objective("cross-entropy", reference.labels(45), np.full(45, 1 / 45), 0.1)
    settings = DescentSettings(iterations=7, stop="none")
    run_computation(engine, together([descending(engine, objective, settings, 0.1) for _ in range(5)]))
    assert len(passes) == 8 * len(engine._parts)
    assert run_computation(engine, together([])) == []


def test_float16_becomes_float32_exactly() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 64)
    block = np.empty(finite.shape, np.float32)
    stream._convert(finite, block)
    assert_array_equal(block.view(np.int32), finite.astype(np.float32).view(np.int32))


@pytest.mark.parametrize("name", [name for name in LOCAL_ENGINES if not ENGINES[name].standardises])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("one_scale", [False, True])
def test_to_standardise_is_a_change_of_coordinates(name: str, dtype: type, one_scale: bool) -> None:
    rng, m, n_x = np.random.default_rng(3), 60, 25
    rows: NDArray[Any] = rng.normal(rng.uniform(-5, 5, n_x), rng.uniform(0.1, 3, n_x), (m, n_x))
    rows = rows.astype(dtype)
    standardisation = Standardisation.fit(InMemory(rows), one_scale)
    w0, make = rng.standard_normal(n_x), engine_class(name)
    plain = make(Design(InMemory(standardisation.apply(rows)), 1.0), w0, b0=0.2)
    folded = Standardised(make(Design(InMemory(rows), 1.0), np.zeros(n_x)), standardisation, w0, 0.2)
    assert_array_equal(folded.start(), plain.start())
    objective = Objective("cross-entropy", reference.labels(m), np.full(m, 1 / m), 0.1)
    c = rng.standard_normal(n_x + 1)
    requests = [Request(plain.start(), objective), Request(c, objective, losses=True)]
    for found, wanted in zip(folded.sweeps(requests), plain.sweeps(requests), strict=True):
        assert_allclose(found[0], wanted[0], rtol=0, atol=1e-6)
    assert_allclose(folded.sweep(c, objective)[0], plain.sweep(c, objective)[0], rtol=0, atol=1e-6)
    assert_allclose(folded.scores(c), plain.scores(c), rtol=0, atol=1e-5)
    settings = DescentSettings(iterations=500, momentum=0.9, stop="none")
    one = descend(folded, objective, settings, 1.0)
    other = run_computation(folded.engine, folded.through(descending(folded, objective, settings, 1.0)))
    assert_array_equal(one.c, other.c)
    expected = descend(plain, objective, settings, 1.0)
    p, wanted_p = (sigmoid(plain.scores(descent.c)) for descent in (one, expected))
    assert_allclose(p, wanted_p, rtol=0, atol=1e-6)
