"""Folds and held-out parts: fair to both classes, following from the seed, refused if impossible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from catclf.errors import TooFewPicturesError
from catclf.folds import fold_numbers, held_out_mask
from catclf.logistic import Vector
from tests import reference


def classes(ones: int, zeros: int, seed: int = 0) -> Vector:
    return np.random.default_rng(seed).permutation(np.repeat([1.0, 0.0], [ones, zeros]))


@given(st.integers(2, 10), st.integers(0, 30), st.integers(0, 30), st.integers(0, 9))
def test_folds_differ_by_one_picture_of_each_class_and_in_all(
    folds: int, ones: int, zeros: int, seed: int
) -> None:
    y = classes(folds + ones, folds + zeros, seed)
    numbers = fold_numbers(y, folds, seed)
    for some in (numbers[y == 1], numbers[y == 0], numbers):
        counts = np.bincount(some, minlength=folds)
        assert len(counts) == folds
        assert counts.max() - counts.min() <= 1


def test_folds_follow_from_the_seed() -> None:
    y = reference.labels(60)
    assert_array_equal(fold_numbers(y, 5, seed=3), fold_numbers(y, 5, seed=3))
    assert (fold_numbers(y, 5, seed=3) != fold_numbers(y, 5, seed=4)).any()


@pytest.mark.parametrize(("ones", "zeros"), [(4, 20), (20, 4), (0, 20)])
def test_a_class_smaller_than_the_number_of_folds_is_refused(ones: int, zeros: int) -> None:
    name = "positive" if ones < zeros else "negative"
    message = rf"the {name} class has too few pictures for 5 folds \({min(ones, zeros)}\): take fewer"
    with pytest.raises(TooFewPicturesError, match=message):
        fold_numbers(classes(ones, zeros), 5, seed=0)


@given(st.integers(2, 40), st.integers(2, 40), st.floats(0.001, 0.999), st.integers(0, 9))
def test_the_held_out_part_is_the_share_of_each_class_and_leaves_some(
    ones: int, zeros: int, share: float, seed: int
) -> None:
    y = classes(ones, zeros, seed)
    mask = held_out_mask(y, share, seed)
    for value in (0.0, 1.0):
        members, count = int((y == value).sum()), int(mask[y == value].sum())
        assert 1 <= count < members
        assert count in (1, members - 1) or abs(count - share * members) <= 0.5


def test_the_held_out_part_follows_from_the_seed() -> None:
    y = reference.labels(60)
    assert_array_equal(held_out_mask(y, 0.2, seed=3), held_out_mask(y, 0.2, seed=3))
    assert (held_out_mask(y, 0.2, seed=3) != held_out_mask(y, 0.2, seed=4)).any()


@pytest.mark.parametrize(("ones", "zeros"), [(1, 20), (20, 1), (0, 5)])
def test_no_picture_is_held_out_of_a_class_of_one(ones: int, zeros: int) -> None:
    message = rf"too few pictures to hold any out \({min(ones, zeros)}\): add pictures"
    with pytest.raises(TooFewPicturesError, match=message):
        held_out_mask(classes(ones, zeros), 0.5, seed=0)
