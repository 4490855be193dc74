"""Scores of pictures left out, and the number of wrong labels, against what fitting again gives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from catclf import doubt
from catclf.doubt import label_errors, left_out_scores, margins_of
from catclf.logistic import Vector, sigmoid


def two_clouds(m: int, n: int, seed: int = 0) -> tuple[NDArray[np.float64], Vector]:
    """Rows (m, n) of mean squared length about 1, of two classes that overlap a little."""
    rng = np.random.default_rng(seed)
    y = (np.arange(m) % 2).astype(float)
    rows = rng.standard_normal((m, n)) / np.sqrt(n)
    rows[:, 0] += 1.2 * (y - 0.5)
    return rows, y


def fitted(rows: NDArray[np.float64], y: Vector, at: NDArray[np.float64]) -> Vector:
    """z of other rows by a model fitted with Newton's method in the primal form."""
    x = np.column_stack([rows, np.full(len(rows), 10.0)])
    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = sigmoid(x @ w)
        slope = x.T @ (p - y) + doubt.PENALTY * w
        bend = (x * (p * (1 - p))[:, None]).T @ x + doubt.PENALTY * np.eye(len(w))
        w -= np.linalg.solve(bend, slope)
    z: Vector = np.column_stack([at, np.full(len(at), 10.0)]) @ w
    return z


@pytest.mark.parametrize("together", [1, 3])
def test_scores_are_nearly_those_of_models_fitted_without_the_group(together: int) -> None:
    rows, y = two_clouds(60, 8)
    groups = np.arange(60) // together
    found = left_out_scores(rows @ rows.T, y, groups)
    expected = np.empty(60)
    for group in range(groups.max() + 1):
        here = groups == group
        expected[here] = fitted(rows[~here], y[~here], rows[here])
    assert_allclose(found, expected, atol=0.05 * together)
    assert np.corrcoef(found, expected)[0, 1] > 0.999
    seen = fitted(rows, y, rows)
    assert np.abs(found - expected).max() < 0.3 * np.abs(seen - expected).max()


def test_twins_left_out_together_do_not_vouch_for_each_other() -> None:
    rows, y = two_clouds(40, 30)
    rows, y = np.vstack([rows, rows[:1]]), np.append(y, y[0])
    y[[0, 40]] = 1 - y[0]  # both wrong
    alone = left_out_scores(rows @ rows.T, y, np.arange(41))
    groups = np.arange(41)
    groups[40] = 0
    together = left_out_scores(rows @ rows.T, y, groups)
    assert margins_of(together, y)[0] < margins_of(alone, y)[0] - 0.2
    assert together[0] == pytest.approx(together[40])


@pytest.mark.parametrize("wrong", [0, 10, 40, 100])
def test_the_number_of_wrong_labels_is_estimated(wrong: int) -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(6, 2.5, 1000)
    like_their_class = rng.random(1000) < sigmoid(scores)
    margins = np.where(like_their_class, scores, -scores)
    flipped = rng.choice(1000, wrong, replace=False)
    margins[flipped] *= -1
    found = label_errors(margins)
    assert found.share * 1000 == pytest.approx(wrong, abs=max(8, 0.15 * wrong))
    assert (found.doubts >= 0).all()
    assert (found.doubts <= 1).all()
    if wrong:
        assert found.doubts[flipped].mean() > 20 * np.delete(found.doubts, flipped).mean()


def test_margins_speak_for_the_label() -> None:
    assert margins_of(np.array([2.0, 2.0]), np.array([1.0, 0.0])).tolist() == [2.0, -2.0]
