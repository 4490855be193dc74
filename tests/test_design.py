"""X as the engines take it, and standardisation as a change of w and b."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from catclf import design
from catclf.design import Design, Standardisation
from catclf.stores.here import InMemory

Rows = NDArray[np.float32]


def uneven_rows(m: int, n_x: int, seed: int = 0) -> Rows:
    """Columns with means and deviations of their own."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((m, n_x)) * rng.uniform(0.1, 10, n_x) + rng.uniform(-5, 5, n_x)
    return rows.astype(np.float32)


def test_a_design_has_a_picture_a_row_and_a_feature_a_column() -> None:
    design = Design(InMemory(np.zeros((3, 7), np.uint8)), 1 / 255)
    assert (design.m, design.n_x, design.place) == (3, 7, "memory")


def test_standardised_rows_are_centred_and_of_length_about_one() -> None:
    rows = uneven_rows(400, 30)
    standardised = Standardisation.fit(InMemory(rows)).apply(rows)
    assert standardised.dtype == np.float32
    assert_allclose(standardised.mean(axis=0), 0, atol=1e-6)
    assert_allclose((standardised**2).sum(axis=1).mean(), 1, rtol=0.1)


def test_by_one_scale_rows_are_only_moved_and_divided_by_a_number() -> None:
    rows = uneven_rows(400, 30).astype(np.float16)
    standardisation = Standardisation.fit(InMemory(rows), one_scale=True)
    standardised = standardisation.apply(rows)
    assert standardised.dtype == np.float32
    assert len(set(standardisation.deviation.tolist())) == 1
    assert_allclose(standardised.mean(axis=0), 0, atol=1e-6)
    assert_allclose((standardised**2).sum(axis=1).mean(), 1, rtol=1e-5)
    exact = rows.astype(np.float64)
    centred = exact - exact.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=1).mean())
    assert_allclose(standardised, centred / scale, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 3.5, 0.1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_pictures_that_are_all_alike_become_zero_by_one_scale(value: float, dtype: type) -> None:
    rows: NDArray[Any] = np.full((7, 4), value, dtype)
    standardisation = Standardisation.fit(InMemory(rows), one_scale=True)
    assert_array_equal(standardisation.apply(rows), np.zeros((7, 4)))


@settings(deadline=None)
@given(st.integers(2, 20), st.integers(1, 10), st.integers(0, 99))
def test_unfold_undoes_fold(m: int, n_x: int, seed: int) -> None:
    standardisation = Standardisation.fit(InMemory(uneven_rows(m, n_x, seed)))
    w, b = np.random.default_rng(seed).standard_normal(n_x), 0.7
    again, again_b = standardisation.unfold(*standardisation.fold(w, b))
    assert_allclose(again, w, rtol=1e-12)
    assert_allclose(again_b, b, rtol=1e-9, atol=1e-9)


def test_folded_parameters_score_the_features_as_the_unfolded_score_the_standardised() -> None:
    rows = uneven_rows(50, 8)
    standardisation = Standardisation.fit(InMemory(rows))
    w, b = np.random.default_rng(1).standard_normal(8), -0.3
    folded, folded_b = standardisation.fold(w, b)
    assert_allclose(rows @ folded + folded_b, standardisation.apply(rows) @ w + b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_pictures_that_are_all_alike_become_zero(value: float) -> None:
    rows = np.full((5, 4), value, np.float32)
    assert_array_equal(Standardisation.fit(InMemory(rows)).apply(rows), np.zeros((5, 4)))


def test_a_feature_that_never_varies_is_not_blown_up() -> None:
    rows = uneven_rows(50, 8)
    rows[:, 3] = 2.0
    standardised = Standardisation.fit(InMemory(rows)).apply(rows)
    assert_array_equal(standardised[:, 3], np.zeros(50))
    assert np.isfinite(standardised).all()


def test_deviations_have_a_floor_and_are_measured_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    used = np.arange(50) % 3 > 0
    sigma = rows[used].std(axis=0, dtype=np.float64)
    expected = (sigma + 0.01 * sigma.mean()) * 2
    whole = Standardisation.fit(InMemory(rows), False, used)
    assert_allclose(whole.deviation, expected, rtol=1e-12)
    assert_allclose(whole.mean, rows[used].mean(axis=0, dtype=np.float64), rtol=1e-12)
    length = np.sqrt(((rows - rows.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=1).mean())
    assert_allclose(Standardisation.fit(InMemory(rows), True).deviation, [length] * 4, rtol=1e-6)
    for step in (1, 7, 49, 50):
        monkeypatch.setattr(design, "_MEASURED", step)
        found = Standardisation.fit(InMemory(rows), False, used)
        assert_allclose(found.deviation, expected, rtol=1e-12)
        assert_allclose(found.mean, whole.mean, rtol=1e-12)


def test_a_design_standardises_what_is_asked_of_it() -> None:
    rows = uneven_rows(9, 4)
    standardisation = Standardisation.fit(InMemory(rows))
    design = Design(InMemory(rows), 1.0, standardisation)
    assert_array_equal(design[2:5], standardisation.apply(rows[2:5]))
    whole = Design(InMemory((rows * 0).astype(np.uint8)), 1.0)
    assert whole.exact and not replace(whole, standardisation=standardisation).exact
    assert not replace(design, standardisation=None).exact
