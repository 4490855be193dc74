"""The formulas against finite differences, likelihoods and the definition of convexity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from catclf.config import LOSS_NAMES
from catclf.logistic import LOSSES, Loss, Vector, cross_entropy, sigmoid, squared_error
from tests import reference

losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
labels = pytest.mark.parametrize("label", [0.0, 1.0])


def slope(loss: Loss, z: Vector, y: Vector) -> Vector:
    """dz: the residual where every picture has the share 1."""
    dz = np.empty(z.shape)
    loss.residual(y, np.ones(y.shape))(z, slice(None), dz)
    return dz


EXTREME = np.array([-1e4, -745.2, -709.8, -37.0, 0.0, 37.0, 709.8, 745.2, 1e4])


def test_every_name_of_a_loss_is_defined() -> None:
    assert tuple(LOSSES) == LOSS_NAMES


def test_sigmoid_of_extreme_scores_is_exact_and_silent() -> None:
    p = sigmoid(EXTREME)
    assert_array_equal(p[[0, 4, 8]], [0.0, 0.5, 1.0])
    assert_allclose(p[3], math.exp(-37) / (1 + math.exp(-37)), rtol=1e-15)
    assert_allclose(p[2], math.exp(-709.8), rtol=1e-14)


@given(st.floats(-1e4, 1e4))
@example(0.0)
@example(-1e4)
def test_sigmoid_is_a_probability_and_mirrors_itself(z: float) -> None:
    p, q = sigmoid(np.array([z, -z]))
    assert 0 <= p <= 1
    assert_allclose(p + q, 1, rtol=1e-15)


@losses
@labels
def test_losses_and_slopes_of_extreme_scores_are_finite(loss: Loss, label: float) -> None:
    y = np.full(EXTREME.shape, label)
    value, dz = loss.value(EXTREME, y), slope(loss, EXTREME, y)
    assert np.isfinite(value).all()
    assert (value >= 0).all()
    assert (np.abs(dz) <= 1).all()


def test_cross_entropy_grows_by_one_a_unit_where_the_answer_is_surely_wrong() -> None:
    z, y = np.array([1e4, 1e4 + 1, -1e4]), np.array([0.0, 0.0, 1.0])
    assert_array_equal(cross_entropy(z, y), [1e4, 1e4 + 1, 1e4])


def test_squared_error_has_no_slope_where_the_answer_is_surely_wrong() -> None:
    z, y = np.array([1e4, -1e4]), np.array([0.0, 1.0])
    assert_array_equal(squared_error(z, y), [0.5, 0.5])
    assert_array_equal(slope(LOSSES["squared-error"], z, y), [0.0, 0.0])


@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=20))
def test_cross_entropy_is_the_negative_bernoulli_log_likelihood(rows: list[tuple[float, bool]]) -> None:
    likelihood = [math.log(1 / (1 + math.exp(-z if y else z))) for z, y in rows]  # p or 1 − p = σ(−z)
    z = np.array([z for z, _ in rows])
    y = np.array([y for _, y in rows], dtype=np.float64)
    assert_allclose(float(cross_entropy(z, y).sum()), -math.fsum(likelihood), rtol=1e-12, atol=1e-14)


@losses
@labels
def test_dz_is_the_derivative_of_the_value(loss: Loss, label: float) -> None:
    z, h = np.linspace(-30, 30, 601), 1e-5
    y = np.full(z.shape, label)
    numeric = (loss.value(z + h, y) - loss.value(z - h, y)) / (2 * h)
    assert_allclose(slope(loss, z, y), numeric, rtol=0, atol=1e-8)


@losses
@labels
def test_dz_leaves_its_arguments_alone(loss: Loss, label: float) -> None:
    z, y = np.linspace(-3, 3, 7), np.full(7, label)
    slope(loss, z, y)
    assert_array_equal(z, np.linspace(-3, 3, 7))
    assert_array_equal(y, np.full(7, label))


@losses
def test_curvature_is_the_largest_second_derivative(loss: Loss) -> None:
    z, h = np.linspace(-12, 12, 240_001), 1e-4
    largest = 0.0
    for label in (0.0, 1.0):
        y = np.full(z.shape, label)
        second = (slope(loss, z + h, y) - slope(loss, z - h, y)) / (2 * h)
        largest = max(largest, float(np.abs(second).max()))
    assert_allclose(loss.curvature, largest, rtol=1e-6)


def mean_loss(loss: Loss, X: Vector, y: Vector, parameters: Vector) -> float:
    """J as a function of (w, b) in one vector."""
    return float(loss.value(parameters[:-1] @ X + parameters[-1], y).mean())


@losses
@pytest.mark.parametrize("seed", range(5))
def test_dw_and_db_are_the_gradient_of_the_cost(loss: Loss, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((4, 9)), reference.labels(9, seed)
    at = rng.standard_normal(5)
    dz = slope(loss, at[:-1] @ X + at[-1], y)
    h = 1e-6
    numeric = [
        (mean_loss(loss, X, y, at + h * one) - mean_loss(loss, X, y, at - h * one)) / (2 * h)
        for one in np.eye(5)
    ]
    assert_allclose(X @ dz / 9, numeric[:-1], rtol=1e-7, atol=1e-9)
    assert_allclose(dz.mean(), numeric[-1], rtol=1e-7, atol=1e-9)


points = st.lists(st.floats(-50, 50), min_size=4, max_size=4).map(np.array)


@settings(deadline=None)
@given(points, points, st.floats(0, 1), st.integers(0, 20))
def test_cross_entropy_is_convex_along_every_segment(
    start: Vector, end: Vector, t: float, seed: int
) -> None:
    loss, X, y = (
        LOSSES["cross-entropy"],
        np.random.default_rng(seed).standard_normal((3, 12)),
        reference.labels(12, seed),
    )
    between = mean_loss(loss, X, y, (1 - t) * start + t * end)
    chord = (1 - t) * mean_loss(loss, X, y, start) + t * mean_loss(loss, X, y, end)
    assert between <= chord + 1e-12 * (1 + chord)


def test_squared_error_is_not_convex_between_undecided_and_surely_wrong() -> None:
    # y = 0, b from 0 to 10: ½ σ(5)² = 0.493 lies above the chord's middle, 0.312
    y = np.zeros(1)
    left, middle, right = (float(squared_error(np.array([z]), y)[0]) for z in (0.0, 5.0, 10.0))
    assert middle > (left + right) / 2 + 0.1


def test_random_segments_find_squared_error_not_convex_and_cross_entropy_convex() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3, 12)), reference.labels(12)
    bumps = dict.fromkeys(LOSSES, 0)
    for _ in range(200):
        start, end = 5 * rng.standard_normal((2, 4))
        for name, loss in LOSSES.items():
            chord = (mean_loss(loss, X, y, start) + mean_loss(loss, X, y, end)) / 2
            bumps[name] += mean_loss(loss, X, y, (start + end) / 2) > chord + 1e-9
    assert bumps["cross-entropy"] == 0
    assert bumps["squared-error"] > 20
