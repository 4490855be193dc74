"""Pictures that are known again: by their pixels, whatever their order and names."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from catclf import fingerprints
from catclf.fingerprints import Marks, count_new, duplicates, fingerprint, kept, overlap
from tests.pictures import noise

few_marks = st.lists(st.integers(0, 5), max_size=8)


def marks(*numbers: int) -> Marks:
    return np.array(numbers, np.uint64)


# --- the fingerprints ---


def test_a_fingerprint_is_the_beginning_of_the_sha_256_of_the_pixels() -> None:
    pictures = noise(3, 5, 5, 3)
    expected = [int.from_bytes(hashlib.sha256(one.tobytes()).digest()[:8], "little") for one in pictures]
    found = fingerprint(pictures)
    assert found.dtype == np.uint64
    assert found.tolist() == expected


def test_known_pictures_keep_their_fingerprints_for_ever() -> None:
    """Models have them in their files."""
    pictures = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    assert fingerprint(pictures).tolist() == [553991917361347917, 9229806500004668300]


def test_the_same_pixels_have_the_same_fingerprint_however_they_lie_in_memory() -> None:
    pictures = noise(4, 6, 6, 3)
    expected = fingerprint(pictures)
    assert_array_equal(fingerprint(np.asfortranarray(pictures)), expected)
    assert_array_equal(fingerprint(pictures[::-1])[::-1], expected)
    assert_array_equal(fingerprint(pictures[1:3]), expected[1:3])
    assert len({*expected.tolist(), *fingerprint(pictures[:, :, ::-1]).tolist()}) == 8


def test_no_pictures_have_no_fingerprints() -> None:
    found = fingerprint(noise(0, 4, 4, 3))
    assert found.shape == (0,)
    assert found.dtype == np.uint64


def test_a_model_remembers_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MOST_KEPT", 3)
    assert kept(marks(7, 8, 9)).tolist() == [7, 8, 9]
    found = kept(marks(6, 7, 8, 9))
    assert found.tolist() == []
    assert found.dtype == np.uint64


# --- what is known ---


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        ([5, 7], [7, 9, 5], [(0, 1), (2, 0)]),
        ([5, 7, 5], [5, 5], [(0, 0), (1, 0)]),  # the first of several
        ([], [5], []),
        ([5], [], []),
        ([5], [6], []),
        ([0, 2**64 - 1], [2**64 - 1, 0], [(0, 1), (1, 0)]),
    ],
)
def test_the_overlap_names_both_positions(
    known: list[int], found: list[int], expected: list[tuple[int, int]]
) -> None:
    assert overlap(marks(*known), marks(*found)) == expected


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], None),
        ([1, 2, 3], [3, 1, 2], None),
        ([1, 2, 3], [3, 1, 4], 1),
        ([1, 2, 3], [4, 5, 6], 3),
        ([1, 2, 2], [1, 1, 2], 0),  # none is new, but they are not the same
        ([1, 2, 3], [1, 2], 0),
        ([], [], None),
    ],
)
def test_new_pictures_are_counted_whatever_their_order(
    known: list[int], found: list[int], expected: int | None
) -> None:
    assert count_new(marks(*known), marks(*found)) == expected


@given(few_marks, few_marks)
def test_a_picture_is_either_new_or_in_the_overlap(known: list[int], found: list[int]) -> None:
    count = count_new(marks(*known), marks(*found)) or 0
    assert count + len(overlap(marks(*known), marks(*found))) == len(found)


# --- what is there more than once ---

HELD_OUT = "both held out and trained on, which makes the scores too good"


@pytest.mark.parametrize(
    ("numbers", "y", "held_out", "expected"),
    [
        ([1, 2, 3], [0, 1, 0], [], []),
        ([1, 2, 1], [0, 1, 0], [], ["1 picture found more than once; the first: c is a"]),
        ([1, 1, 1, 2], [0, 0, 0, 1], [], ["2 pictures found more than once; the first: b is a"]),
        (
            [1, 2, 2, 1],
            [0, 0, 1, 1],
            [],
            [
                "2 pictures found more than once; the first: c is b",
                "2 pictures found with different labels; the first: c is b",
            ],
        ),
        (
            [1, 2, 1],
            [0, 1, 0],
            [2],
            [
                "1 picture found more than once; the first: c is a",
                f"1 picture found {HELD_OUT}; the first: c is a",
            ],
        ),
        # the one that is trained on may come later
        (
            [1, 2, 1],
            [0, 1, 0],
            [0],
            [
                "1 picture found more than once; the first: c is a",
                f"1 picture found {HELD_OUT}; the first: a is c",
            ],
        ),
        # twice among those held out: they are not trained on
        ([1, 2, 1], [0, 1, 0], [0, 2], ["1 picture found more than once; the first: c is a"]),
    ],
)
def test_pictures_that_occur_again_are_told_of(
    numbers: list[int], y: list[float], held_out: list[int], expected: list[str]
) -> None:
    trained_on = ~np.isin(np.arange(len(numbers)), held_out)
    labels = np.array(y, np.float64)
    assert list(duplicates(marks(*numbers), "abcd"[: len(numbers)], labels, trained_on)) == expected
