"""The table of formats: every row is decoded, and is known by its suffixes and its first bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, features

from catclf.images.decode import Decoder
from catclf.images.folder import is_picture_name
from catclf.images.formats import FORMATS, USUAL, Format, begins_like_picture, import_others
from catclf.images.picture import Picture
from catclf.view import View
from tests.pictures import ramps

EXACT = ("PNG", "BMP", "PPM", "TIFF", "ICO")


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_a_row_is_a_format_that_is_read(row: Format) -> None:
    if row.name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    stream, pixels = io.BytesIO(), ramps(32, 32)
    if row.module is None:
        Image.fromarray(pixels).save(stream, row.name)
    else:
        library = pytest.importorskip(row.module, reason=f"{row.name} needs the extra {row.extra}")
        library.from_pillow(Image.fromarray(pixels)).save(stream)
    data = stream.getvalue()
    found = Decoder((View(32),)).one(Picture("a", stream=io.BytesIO(data)))
    assert found.error is None
    most = 0 if row.name in EXACT else 12
    assert np.abs(found.views[0].astype(int) - pixels).mean() <= most
    assert begins_like_picture(data[:16]) == bool(row.begins)
    assert all(is_picture_name(f"a{suffix.upper()}") for suffix in row.suffixes)


def test_no_suffix_is_that_of_two_formats() -> None:
    suffixes = [suffix for row in FORMATS for suffix in row.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() for suffix in suffixes)


def test_the_usual_formats_need_no_import() -> None:
    others = set(import_others())
    assert not others & set(USUAL)
    assert others | set(USUAL) | {"AVIF"} == {row.name for row in FORMATS if row.extra is None}
