"""Which part of a picture is wanted, in which size: arithmetic alone."""

from __future__ import annotations

import pytest

from catclf.view import PREVIEW, THUMBNAIL, View


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 80), (100, 80)),  # smaller ones stay
        ((256, 100), (256, 100)),
        ((512, 300), (256, 150)),
        ((300, 512), (150, 256)),
        ((1000, 1), (256, 1)),
        ((1, 1000), (1, 256)),
    ],
)
def test_a_whole_picture_keeps_its_ratio(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert PREVIEW.shape(*size) == expected
    assert not PREVIEW.cuts
    assert PREVIEW.box(*size) is None


def test_a_squashed_picture_is_a_square_of_all_of_it() -> None:
    assert THUMBNAIL.shape(500, 300) == (32, 32)
    assert THUMBNAIL.box(500, 300) is None
    assert (THUMBNAIL.needed, View(8, edge=12).needed, View(8, edge=12, through=4).needed) == (32, 12, 4)
    assert View(8, edge=8).box(50, 30) is None


def test_the_centre_is_cut_out_of_whole_pixels() -> None:
    view = View(4, squashed=False)
    assert view.resized(10, 6) == (6, 4)
    assert view.centre(6, 4) == (1, 0, 5, 4)
    assert view.box(10, 6) == (10 / 6, 0, 50 / 6, 6)
    assert View(4, edge=8).resized(10, 6) == (8, 8)
    assert View(4, edge=8).box(16, 32) == (4, 8, 12, 24)
    assert View(4, squashed=False, edge=5).resized(7, 11) == (5, 7)


def test_large_pictures_are_shrunk_to_what_a_model_knows() -> None:
    view = View(8, through=30)
    assert view.shrunk(30, 40) is None
    assert view.shrunk(31, 62) == (30, 60)
    assert View(8).shrunk(1000, 1000) is None
