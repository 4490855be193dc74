"""TIFF: every kind of samples is the picture that is in the file, or is refused by what it is."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from catclf.images import tiff
from catclf.images.decode import Decoder
from catclf.images.float_scale import Spread, full_scale, spread_of
from catclf.images.picture import Decoded, Picture
from catclf.view import View
from tests.pictures import Pixels
from tests.tiffs import (
    DEFLATE,
    FLOAT,
    LAB,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    SEPARATED,
    SIGNED,
    WHITE_IS_ZERO,
    WIDTH,
    YCBCR,
    Kind,
    expected,
    kinds,
    make,
)

KINDS = list(dict.fromkeys(kinds()))


def decoded(data: bytes) -> Decoded:
    return Decoder((View(WIDTH, whole=True),)).one(Picture("a.tif", stream=io.BytesIO(data)))


def difference(found: Decoded, wanted: Pixels) -> float:
    return float(np.abs(found.views[0].astype(int) - wanted).mean())


def test_there_are_hundreds_of_kinds() -> None:
    assert len(KINDS) > 900


@pytest.mark.parametrize("compression", [NONE, DEFLATE, PACKBITS], ids=["raw", "deflate", "PackBits"])
@pytest.mark.parametrize("photometric", [0, 1, RGB, PALETTE, SEPARATED, YCBCR, LAB])
def test_a_picture_is_right_or_refused(photometric: int, compression: int) -> None:
    some = [k for k in KINDS if (k.photometric, k.compression) == (photometric, compression)]
    assert some
    for kind in some:
        found = decoded(make(kind))
        if found.error is None:
            assert difference(found, expected(kind)) <= 5, str(kind)
        else:
            assert found.error.reason.startswith(("is a", "has pixel values", "has pixels from")), str(
                kind
            )


READ = [
    *(
        Kind(bits=bits, compression=c, big=big)
        for bits in (1, 2, 4, 8, 16)
        for c in (NONE, DEFLATE, PACKBITS)
        for big in (False, True)
    ),
    *(Kind(WHITE_IS_ZERO, bits) for bits in (1, 2, 4, 8, 16)),
    *(Kind(bits=bits, says_photometric=False) for bits in (1, 2, 4, 8, 16)),
    *(Kind(bits=bits, big_tiff=True) for bits in (8, 16)),
    Kind(bits=12),
    Kind(bits=32),
    Kind(bits=32, sample_format=SIGNED),
    *(
        Kind(bits=32, sample_format=FLOAT, scale=scale, big=big)
        for scale in (1.0, 255.0, 65535.0)
        for big in (False, True)
    ),
    *(Kind(RGB, bits, big=big) for bits in (8, 16) for big in (False, True)),
    *(Kind(RGB, 8, planar=2, compression=c) for c in (NONE, DEFLATE, PACKBITS)),
    *(Kind(RGB, 16, planar=2, compression=c) for c in (DEFLATE, PACKBITS)),
    *(Kind(RGB, 8, alpha=alpha) for alpha in (0, 1, 2)),
    *(Kind(PALETTE, bits, narrow_map=narrow) for bits in (1, 2, 4, 8) for narrow in (False, True)),
    Kind(SEPARATED, 8),
    Kind(YCBCR, 8, compression=DEFLATE),
    *(Kind(bits=bits, fill_order=2) for bits in (1, 4)),
]


@pytest.mark.parametrize("kind", READ, ids=str)
def test_it_is_read_rightly(kind: Kind) -> None:
    found = decoded(make(kind))
    assert found.error is None
    assert difference(found, expected(kind)) <= 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Kind(bits=8, sample_format=SIGNED), "is a TIFF with signed samples of 8 bits"),
        (Kind(bits=16, sample_format=SIGNED), "is a TIFF with signed samples of 16 bits"),
        (
            Kind(bits=32, sample_format=SIGNED, compression=DEFLATE, big=True),
            "is a TIFF with signed samples of 32 bits",
        ),
        (Kind(WHITE_IS_ZERO, 32, FLOAT), "is a TIFF with floating-point samples of which 0 is white"),
        (Kind(RGB, 16, planar=2), "is an uncompressed TIFF with 16-bit colours in separate planes"),
        (Kind(alpha=2, planar=2), "is a TIFF with transparency or L*a*b* in separate planes"),
        (Kind(YCBCR, 8, subsampling=None), "is an uncompressed TIFF with subsampled YCbCr colours"),
        (
            Kind(bits=1, fill_order=2, compression=PACKBITS),
            "is a compressed TIFF with its bits in reverse order",
        ),
        (Kind(bits=10), "is a TIFF of 10-bit grey samples, which is not read: save it as PNG"),
        (Kind(bits=14, big=True), "is a big-endian TIFF of 14-bit grey samples, which is not read"),
        (Kind(bits=64, sample_format=FLOAT), "is a TIFF of 64-bit floating-point grey samples"),
        (Kind(RGB, 32, FLOAT), "is a TIFF of 32-bit floating-point colour samples"),
        (Kind(RGB, 8, big=True, big_tiff=True), "is a big-endian BigTIFF of 8-bit colour samples"),
        (Kind(LAB, 16), "is a TIFF of 16-bit L*a*b* samples"),
        (Kind(RGB, 16, SIGNED), "is a TIFF of 16-bit signed colour samples"),
    ],
    ids=str,
)
def test_what_is_not_read_is_named(kind: Kind, reason: str) -> None:
    found = decoded(make(kind))
    assert found.error is not None
    assert found.error.reason.startswith(reason)


def test_a_method_of_compression_that_is_not_known_is_named() -> None:
    data = make(Kind(bits=8)).replace(
        struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 34712)
    )
    found = decoded(data)
    assert found.error is not None
    assert (
        "is a TIFF of 8-bit grey samples, compressed by method 34712, which is not read"
        in found.error.reason
    )


@pytest.mark.parametrize("length", [4, 8, 9, 20, 60, 100])
@pytest.mark.parametrize("kind", [Kind(bits=10), Kind(bits=10, big_tiff=True)], ids=str)
def test_one_that_breaks_off_is_refused(kind: Kind, length: int) -> None:
    found = decoded(make(kind)[:length])
    assert found.error is not None


def test_l_a_b_is_read_as_its_profile_says() -> None:
    colours = np.zeros((8, 16, 3), np.uint8)
    colours[:, :5], colours[:, 5:10], colours[:, 10:] = (200, 30, 40), (250, 250, 250), (20, 90, 200)
    rgb, cie = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.fromarray(colours), rgb, cie, outputMode="LAB")
    assert lab is not None
    stream = io.BytesIO()
    lab.save(stream, "TIFF")
    found = Decoder((View(16, whole=True),)).one(Picture("a.tif", stream=io.BytesIO(stream.getvalue())))
    assert np.abs(found.views[0].astype(int) - colours).max() <= 12


def test_a_deep_value_above_white_keeps_the_rest() -> None:
    dark = np.full((64, 64), 20_000, np.uint32)
    dark[0, 0] = 2**31 + 5  # as signed it would be negative
    data = make_of(dark)
    found = decoded(data)
    assert found.error is None
    assert found.views[0][10, 10].tolist() == [0, 0, 0]
    assert found.views[0][0, 0, 0] > 20


def make_of(values: NDArray[np.uint32]) -> bytes:
    """A TIFF of grey uint32 samples."""
    head = struct.pack("<2sHI", b"II", 42, 8)
    height, width = values.shape
    tags = [
        (256, width),
        (257, height),
        (258, 32),
        (259, 1),
        (262, 1),
        (273, 0),
        (277, 1),
        (278, height),
        (279, values.nbytes),
        (339, 1),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags
    )
    return head + struct.pack("<H", len(tags)) + entries + b"\0" * 4 + values.astype("<u4").tobytes()


# --- the scale of floating-point values ---


@pytest.mark.parametrize(
    ("spread", "full"),
    [
        (Spread(0, 1, 0, 1), 1.0),
        (Spread(0, 0, 0, 0), 1.0),
        (Spread(-0.05, 1.1, -0.4, 1.55), 1.0),
        (Spread(0, 0.2, 0, 1.02), 1.0),
        (Spread(0, 255, 0, 255), 255.0),
        (Spread(-10, 280, -100, 400), 255.0),
        (Spread(3, 30, 3, 255.4), 255.0),
        (Spread(0, 65535, 0, 65535), 65535.0),
        (Spread(0, 21000, 0, 60000), 65535.0),
    ],
)
def test_the_scale_is_that_of_nearly_all_pixels(spread: Spread, full: float) -> None:
    assert full_scale(spread) == full


@pytest.mark.parametrize(
    "spread",
    [
        Spread(-1, 1, -1, 1),
        Spread(-2.1, 2.6, -3, 3),
        Spread(-120, 120, -128, 127),
        Spread(0, 5, 0, 9),
        Spread(0, 1023, 0, 1023),
        Spread(0, 0.9, 0, 1.7),
        Spread(0, 0.9, -0.6, 1),
        Spread(0, 250, 0, 500),
        Spread(0, 80000, 0, 1e6),
        Spread(0, 1e300, 0, 1e300),
    ],
)
def test_values_of_another_scale_are_refused(spread: Spread) -> None:
    with pytest.raises(ValueError, match=r"has pixels from .* expected 0 to 1, 0 to 255 or 0 to 65535"):
        full_scale(spread)


def test_a_thousandth_says_nothing_of_the_scale() -> None:
    values = np.linspace(0, 1, 100_000)
    values[:50], values[50:100] = -0.4, 1.5
    found = spread_of(values, float(values.min()), float(values.max()))
    assert full_scale(found) == 1.0
    assert (found.least, found.most) == (-0.4, 1.5)


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_what_resampling_overshoots_does_not_make_a_picture_black(top: float, tmp_path: Path) -> None:
    levels = expected(Kind(bits=8))[..., 0] / 255
    enlarged = Image.fromarray((levels * top).astype(np.float32)).resize(
        (256, 192), Image.Resampling.LANCZOS
    )
    values = np.array(enlarged)
    values[0, 0] = top * 1.09
    path = tmp_path / "a.tif"
    Image.fromarray(values).save(path)
    found = Decoder((View(WIDTH, whole=True),)).one(Picture(str(path)))
    assert found.error is None
    assert difference(found, expected(Kind(bits=8))) < 2


# --- real ones ---


@pytest.mark.parametrize("folder", ["01", "03", "04", "05", "06"])
def test_pictures_that_were_read_wrongly(real_data: Path, folder: str) -> None:
    (place,) = (real_data / "cases").glob(f"{folder}-*")
    view = Decoder((View(64),))
    good = view.one(Picture(str(place / "good.png"))).views[0].astype(int)
    bad = sorted(place.glob("bad*.tif"))
    assert bad
    for path in bad:
        found = view.one(Picture(str(path)))
        if found.error is None:
            assert np.abs(found.views[0] - good).mean() < 5
        else:
            assert "TIFF" in found.error.reason


# --- borders ---


@pytest.mark.parametrize(
    ("spread", "full"),
    [
        (Spread(0, 1.12, 0, 1.6), 1.0),
        (Spread(-0.06, 1, -0.5, 1), 1.0),
        (Spread(0, 24, 0, 24), 255.0),
        (Spread(0, 1.12 * 255, 0, 1.6 * 255), 255.0),
        (Spread(0, 20_000, 0, 65535), 65535.0),
    ],
)
def test_what_is_on_the_border_of_a_scale_is_within_it(spread: Spread, full: float) -> None:
    assert full_scale(spread) == full


@pytest.mark.parametrize(
    "spread",
    [
        Spread(0, 1, 0, 1.61),
        Spread(-0.061, 1, -0.061, 1),
        Spread(0, 1, -0.51, 1),
        Spread(0, 23.9, 0, 23.9),
        Spread(0, 19_999, 0, 19_999),
        Spread(0, 1.13 * 65535, 0, 80_000),
    ],
)
def test_what_is_beyond_it_is_refused(spread: Spread) -> None:
    with pytest.raises(ValueError, match="expected 0 to 1, 0 to 255 or 0 to 65535"):
        full_scale(spread)


def test_a_palette_of_255_is_of_8_bits_and_one_of_256_of_16(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint16)
    for most, seen in ((255, 200), (256, 0)):
        colours = np.minimum(np.concatenate([levels] * 3), most)
        colours[0] = most
        path = tmp_path / "a.tif"
        Image.fromarray(np.full((4, 4), 200, np.uint8)).save(
            path, tiffinfo={262: 3, 320: tuple(int(value) for value in colours)}
        )
        found = Decoder((View(4),)).one(Picture(str(path)))
        assert found.error is None
        assert abs(int(found.views[0][0, 0, 0]) - seen) <= 1


@pytest.mark.parametrize(
    ("photometric", "compression", "expected"),
    [
        (8, 1, "16-bit L*a*b* samples, which"),
        (9, 1, "16-bit ICC L*a*b* samples, which"),
        (10, 1, "16-bit ITU L*a*b* samples, which"),
        (1, 8, "16-bit grey samples, which"),
        (1, 9, "16-bit grey samples, compressed by method 9, which"),
        (2, 5, "16-bit grey samples, which"),
    ],
)
def test_a_directory_is_told_in_words(photometric: int, compression: int, expected: str) -> None:
    entries = [(258, 16), (259, compression), (262, photometric)]
    data = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    data += b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    assert tiff.unread(io.BytesIO(data)).startswith(f"is a TIFF of {expected} is not read")


def test_values_beyond_16_bits_have_the_full_range_of_32() -> None:
    values = np.array([[0, 2**31 - 1], [2**30, 70_000]], np.int32)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    found = Decoder((View(2),)).one(Picture("-", stream=io.BytesIO(stream.getvalue())))
    if found.error is None:
        assert found.views[0][..., 0].tolist() == [[0, 255], [128, 0]]
    else:
        assert "signed" in found.error.reason
