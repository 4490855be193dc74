"""JPEG files that lack their end, or have bytes between their segments."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from catclf.images import jpeg
from catclf.images.decode import Decoder
from catclf.images.picture import Decoded, Picture
from catclf.view import View
from tests.conftest import Runner
from tests.pictures import class_folder, noise, ramps

WHOLE = Decoder((View(1000, whole=True),))
WAYS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_rows": 1},
    "4:4:4": {"subsampling": 0},
    "optimised": {"optimize": True, "quality": 60},
}


def encoded(mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    pixels = ramps(120, 161) // 2 + noise(120, 161, 3) // 8
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def decoded(data: bytes, decoder: Decoder = WHOLE) -> Decoded:
    return decoder.one(Picture("a.jpg", stream=io.BytesIO(data)))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_a_picture_that_lacks_only_its_end_is_read(way: str, missing: int, mode: str) -> None:
    data = encoded(mode, **WAYS[way])
    found = decoded(data[:-missing])
    assert found.error is None
    assert found.endless
    assert_array_equal(found.views[0], decoded(data).views[0])
    assert not decoded(data).endless


@pytest.mark.parametrize("missing", [8, 20, 50, 100, 300, 1000])
@pytest.mark.parametrize("way", WAYS)
def test_a_picture_of_which_rows_are_missing_is_refused(way: str, missing: int) -> None:
    found = decoded(encoded(**WAYS[way])[:-missing])
    assert found.error is not None
    assert "truncated" in found.error.reason.lower()


def test_a_picture_of_which_whole_scans_are_missing_is_refused() -> None:
    data = encoded(progressive=True)
    scans = [s.start - 4 for s in jpeg.segments(data) if s.marker == 0xDA]
    assert len(scans) > 5
    for start in scans[1:]:
        found = decoded(data[:start])
        assert found.error is not None
        assert not jpeg.has_every_scan(data[:start])
    assert jpeg.has_every_scan(data)


def test_all_views_are_those_of_the_whole_file() -> None:
    data, decoder = encoded(), Decoder((View(16), View(64, whole=True), View(40, squashed=False)))
    for one, other in zip(decoded(data[:-2], decoder).views, decoded(data, decoder).views, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("junk", [b"\0", b"\x12junk", b"\xff\xff", b"\0\xff\0\xff", bytes(500)])
@pytest.mark.parametrize("way", WAYS)
def test_bytes_between_segments_are_passed_over(way: str, junk: bytes) -> None:
    data = encoded(exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", **WAYS[way])
    for segment in [*jpeg.segments(data)][1:]:
        broken = data[: segment.start - 4] + junk + data[segment.start - 4 :]
        found = decoded(broken)
        if segment.marker in (0xE1, 0xDB, 0xC0, 0xC2):  # before the first scan
            assert found.error is None, hex(segment.marker)
            assert_array_equal(found.views[0], decoded(data).views[0])


def test_what_is_left_out_changes_no_pixel() -> None:
    for options in WAYS.values():
        data = encoded(comment=b"hello", **options)
        tidied = jpeg.tidied(data)
        assert tidied is not None
        assert len(tidied) < len(data)
        assert_array_equal(
            np.asarray(Image.open(io.BytesIO(tidied))), np.asarray(Image.open(io.BytesIO(data)))
        )


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff" + bytes(100),
        b"\xff\xd8" + b"\xff\xfe\0\2" * 50,
    ],
)
def test_what_has_no_scan_is_refused(data: bytes) -> None:
    assert jpeg.tidied(data) is None
    assert not jpeg.has_every_scan(data)
    assert decoded(data).error is not None


def test_people_hear_how_many_there_were(catclf: Runner, tmp_path: Path) -> None:
    album = class_folder(tmp_path / "album", m=6, size=16)
    for k, name in enumerate(("cat", "dog")):
        (album / name / "cut.jpg").write_bytes(encoded()[: -1 - k])
    said = "2 pictures lack the end-of-file marker, but nothing else: read"
    model, packed = tmp_path / "m.npz", tmp_path / "a.h5"
    for command in (
        ("train", album, "-o", model, "--size", "8", "-i", "5"),
        ("predict", "-m", model, album),
        ("eval", "-m", model, album),
        ("pack", album, packed, "--size", "8"),
    ):
        result = catclf(*command)
        assert result.code == 0
        assert said in result.err
    assert said not in catclf("predict", "-m", model, packed).err


def test_a_limit_above_that_of_pillow_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    data = encoded()  # more than twice as many, which Pillow would refuse
    found = decoded(data, Decoder((View(16),), max_pixels=4000))
    assert found.error is not None
    assert found.error.reason == "has more pixels than the 4000 allowed"
    assert decoded(data, Decoder((View(16),), max_pixels=20_000)).error is None


def test_the_files_of_a_real_collection(real_data: Path) -> None:
    (place,) = (real_data / "cases").glob("16-*")
    found = {path.stem: Decoder((View(64),)).one(Picture(str(path))) for path in place.glob("*.jpg")}
    for name in ("lacks1", "lacks2"):
        assert found[name].endless
        assert_array_equal(found[name].views[0], found["whole"].views[0])
    assert found["lacks200"].error is not None


def test_the_two_fillings_differ_in_every_bit_and_make_no_markers() -> None:
    one, other = jpeg._FILLING, jpeg._OTHER_FILLING
    assert len(one) == len(other) == 512
    assert all(a ^ b == 255 for a, b in zip(one, other, strict=True))
    assert not {0, 255} & {*one, *other}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x08\0\x10\0\x10\x01\x01\x11\0", True),
        (b"\x08\0\x10\0\x10\x01\x01\x11", False),  # a component lacks a byte
        (b"\x08\0\x10\0\x10\x00", False),  # no component
        (b"\x08\0\x10\0\x10", False),
    ],
)
def test_a_frame_must_say_its_colours(content: bytes, expected: bool) -> None:
    def segment(marker: int, data: bytes) -> bytes:
        return bytes((0xFF, marker)) + (len(data) + 2).to_bytes(2, "big") + data

    scan = segment(0xDA, b"\x01\x01\0\0\x3f\0")
    assert jpeg.has_every_scan(b"\xff\xd8" + segment(0xC0, content) + scan) == expected


def test_what_is_kept_beside_the_picture_is_its_orientation_and_its_colours() -> None:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramps(20, 30)).save(stream, "JPEG", exif=exif, icc_profile=b"colours", comment=b"c")
    data = stream.getvalue()
    found = jpeg.tidied(data[:2] + b"junk" + data[2:])
    assert found is not None
    image = Image.open(io.BytesIO(found))
    assert image.getexif()[0x0112] == 6
    assert image.info["icc_profile"] == b"colours"
    assert "comment" not in image.info
