"""Folds and held-out parts: fair to both classes, following from the seed, refused if impossible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from catclf.errors import TooFewPicturesError
from catclf.folds import fold_numbers, held_out_mask, most_folds
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
    message = rf"the {name} class has too few pictures for 5 folds \({min(ones, zeros)}\): use fewer"
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


def test_single_pictures_are_dealt_in_turn() -> None:
    y = np.array([1.0, 0, 0, 1, 0, 1, 0, 0])
    rng = np.random.default_rng(7)
    expected = np.empty(8, np.intp)
    expected[rng.permutation([0, 3, 5])] = np.arange(3) % 3
    expected[rng.permutation([1, 2, 4, 6, 7])] = (3 + np.arange(5)) % 3
    for groups in (None, np.arange(8), 10 * np.arange(8)):
        assert_array_equal(fold_numbers(y, 3, 7, groups), expected)
    rng = np.random.default_rng(7)
    held_out = [*rng.permutation([0, 3, 5])[:1], *rng.permutation([1, 2, 4, 6, 7])[:2]]
    assert np.flatnonzero(held_out_mask(y, 0.4, 7)).tolist() == sorted(held_out)


def test_groups_stay_whole_and_fill_the_folds_evenly() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), rng.integers(1, 6, 30))
    y = (groups % 2).astype(float)
    for seed in range(5):
        numbers = fold_numbers(y, 4, seed, groups)
        assert all(len(set(numbers[groups == group])) == 1 for group in range(30))
        for value in (0.0, 1.0):
            counts = np.bincount(numbers[y == value], minlength=4)
            assert counts.max() - counts.min() <= 2
        mask = held_out_mask(y, 0.3, seed, groups)
        assert all(len(set(mask[groups == group])) == 1 for group in range(30))
        for value in (0.0, 1.0):
            total = int((y == value).sum())
            assert 0.3 * total - 5 < mask[y == value].sum() <= round(0.3 * total)


def test_a_group_of_both_classes_is_of_that_of_most_of_its_pictures() -> None:
    groups = np.array([0, 0, 0, 1, 2, 3, 3])
    y = np.array([1.0, 1, 0, 1, 0, 0, 1])
    assert most_folds(y, groups) == 1
    assert most_folds(y) == 3
    with pytest.raises(TooFewPicturesError, match=r"negative class .* \(1, of 3 pictures\)"):
        fold_numbers(y, 2, 0, groups)
    more = np.append(y, [0.0, 0.0]), np.append(groups, [4, 5])
    numbers = fold_numbers(more[0], 2, 0, more[1])
    assert len(set(numbers[:3])) == len(set(numbers[5:7])) == 1


def test_a_group_larger_than_the_share_is_held_out_only_if_none_is_smaller() -> None:
    groups = np.array([0] * 6 + [1] * 5 + [2] * 9)
    y = np.ones(20)
    y[11:] = 0.0
    other = np.append(groups, [3, 4]), np.append(y, [0.0, 1.0])
    for seed in range(4):
        mask = held_out_mask(other[1], 0.1, seed, other[0])
        assert np.flatnonzero(mask).tolist() == [20, 21]
    two = np.array([0] * 4 + [1] * 6 + [2, 3]), np.array([1.0] * 10 + [0.0, 0.0])
    assert held_out_mask(two[1], 0.1, 0, two[0])[:10].tolist() == [True] * 4 + [False] * 6


def test_the_sum_of_folds_is_of_classes_not_of_groups() -> None:
    y = np.array([1.0, 1, 0, 0])
    assert sorted(fold_numbers(y, 2, 0).tolist()) == [0, 0, 1, 1]
