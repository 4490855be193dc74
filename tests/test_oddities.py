"""PNG and AVIF files of which Pillow shows other pixels than are meant."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image, features

from catclf.images.decode import Decoder
from catclf.images.picture import Decoded, Picture
from catclf.view import View
from tests.pictures import ramps


def decoded(data: bytes) -> Decoded:
    return Decoder((View(100, whole=True),)).one(Picture("a", stream=io.BytesIO(data)))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(values: NDArray[np.int64], transparent: tuple[int, ...] = ()) -> bytes:
    """A PNG of 16 bits a sample, grey or RGB."""
    height, width, *channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if channels else 0, 0, 0, 0)
    colour = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b""
    parts = chunk(b"IHDR", head), colour, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_what_is_transparent_in_a_deep_grey_png_is_white() -> None:
    values = np.full((6, 8), 20_000)
    values[:3] = 300  # nearly black, and not to be seen
    values[0, 0] = 301
    found = decoded(deep_png(values, (300,))).views[0]
    assert found[5, 5].tolist() == [78] * 3
    assert found[2, 2].tolist() == [255] * 3
    assert found[0, 0].tolist() == [1] * 3
    assert decoded(deep_png(values)).views[0][2, 2].tolist() == [1] * 3


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("marked", [0, 1])
def test_the_transparent_grey_of_a_png_is_one_of_its_own_levels(bits: int, marked: int) -> None:
    levels = np.arange(2**bits) % 2**bits
    rows = np.stack([levels] * 3).astype(np.uint8)
    packed = np.unpackbits(rows[..., None], axis=-1)[..., -bits:].reshape(3, -1)
    data = b"".join(b"\0" + row.tobytes() for row in np.packbits(packed, axis=1))
    head = struct.pack(">IIBBBBB", len(levels), 3, bits, 0, 0, 0, 0)
    parts = (
        *(chunk(b"IHDR", head), chunk(b"tRNS", struct.pack(">H", marked))),
        *(chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")),
    )
    found = Decoder((View(256, whole=True),)).one(
        Picture("a", stream=io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(parts)))
    )
    expected = np.rint(levels * 255 / (2**bits - 1))
    expected[marked] = 255
    assert found.views[0][1, :, 0].tolist() == expected.tolist()


def test_what_the_first_frame_of_a_gif_leaves_out_is_white() -> None:
    palette = bytes((0, 0, 255, 255, 0, 0))
    screen = struct.pack("<6sHHBBB", b"GIF89a", 4, 4, 0x80, 0, 0) + palette
    # Four red pixels in the lower right quarter, coded in three bits each, with a code 4 before each.
    bits = sum(code << 3 * place for place, code in enumerate((4, 1, 4, 1, 4, 1, 4, 1, 5)))
    frame = struct.pack("<BHHHHB", 0x2C, 2, 2, 2, 2, 0) + b"\2\4" + bits.to_bytes(4, "little") + b"\0;"
    found = decoded(screen + frame).views[0]
    assert found[3].tolist() == [[255, 255, 255]] * 2 + [[255, 0, 0]] * 2
    assert found[0].tolist() == [[255, 255, 255]] * 4


def bmp(bits: int, compression: int, pixels: bytes, size: tuple[int, int], masks: bytes = b"") -> bytes:
    """A BMP with the header of version 3, which has four masks; its palette is grey."""
    palette = (
        b"".join(bytes((k, k, k, 0)) for k in range(0, 256, 255 // (2**bits - 1))) if bits <= 8 else b""
    )
    colours = len(palette) // 4
    head = struct.pack("<IiiHHIIiiII", 56, *size, 1, bits, compression, len(pixels), 1, 1, colours, 0)
    head += masks.ljust(16, b"\0") + palette
    start = 14 + len(head)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + head + pixels


def test_a_bmp_of_16_bits_with_transparency_is_refused() -> None:
    pixels = struct.pack("<4H", 0x7C00, 0x03E0, 0x001F, 0xFFFF)
    masks = struct.pack("<3I", 0x7C00, 0x03E0, 0x001F)
    found = decoded(bmp(16, 3, pixels, (2, 2), masks))
    assert found.error is None
    assert found.views[0][1].tolist() == [[255, 0, 0], [0, 255, 0]]
    found = decoded(bmp(16, 3, pixels, (2, 2), masks + struct.pack("<I", 0x8000)))
    assert found.error is not None
    assert (
        found.error.reason == "is a BMP of 16 bits with transparency, which is not read: save it as PNG"
    )


END, LINE = b"\0\1", b"\0\0"
BROKEN = "is a broken picture (its run-length coding does not fit its size)"


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (b"\4\xff" + LINE + b"\4\x00" + END, None),
        (b"\0\4\xff\xff\xff\xff" + LINE + b"\4\x00" + LINE + END, None),
        (b"\0\3\xff\xff\xff\0\1\xff" + LINE + b"\4\x00", None),  # without its end
        (b"\7\xff" + LINE + b"\4\x00" + END, None),  # cut off at the end of the row
        (b"\0\5\xff\xff\xff\xff\xff\0" + LINE + b"\4\x00" + END, BROKEN),
        (b"\0\2\5\0\4\xff" + END, BROKEN),
        (b"\0\2\0\3\4\xff" + END, BROKEN),
        (b"\4\xff" + 3 * LINE + b"\4\x00" + END, BROKEN),
        (b"\4\xff\0\2\0\1" + LINE + END, None),  # moves up by one row
        (b"\4\xff\0\2\0\2" + LINE + END, BROKEN),  # and by two
        (b"\2\xff\0\2\2\1" + END, None),
        (b"\2\xff\0\2\3\0" + END, BROKEN),
        (b"\4\xff", BROKEN),
        (b"\0\2\1", BROKEN),
        (b"", BROKEN),
    ],
    ids=str,
)
def test_a_bmp_whose_runs_leave_its_rows_is_refused(runs: bytes, reason: str | None) -> None:
    found = decoded(bmp(8, 1, runs, (4, 2)))
    assert (found.error and found.error.reason) == reason
    if reason is None and runs[:2] != b"\2\xff":
        assert found.views[0][1].tolist() == [[255] * 3] * 4  # the rows go up


def test_runs_of_four_bits_are_padded_to_words() -> None:
    runs = b"\0\3\x0f\0" + b"\1\xff" + LINE + b"\4\x00" + END
    found = decoded(bmp(4, 2, runs, (4, 2)))
    assert found.error is None
    assert found.views[0][1, :, 0].tolist() == [0, 255, 0, 255]


def icon(bits: int, of_directory: int, missing: int = 0, more: bytes = b"") -> bytes:
    """An icon of 8×8 that is blue, its left half masked out."""
    palette = bytes(4 * 2**bits - 4) + b"\xff\0\0\0" if bits <= 8 else b""
    pixel = {4: b"\xff" * 4, 24: b"\xff\0\0" * 8, 32: (b"\xff\0\0\0" * 4 + b"\xff\0\0\xff" * 4)}[bits]
    rows = (pixel + bytes(-len(pixel) % 4)) * 8
    mask = b"\xf0\0\0\0" * 8
    head = struct.pack("<IiiHHIIiiII", 40, 8, 16, 1, bits, 0, 0, 0, 0, 0, 0)
    data = head + palette + rows + mask + more
    entry = struct.pack("<BBBBHHII", 8, 8, 0, 0, 1, of_directory, len(data) - missing, 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + data


@pytest.mark.parametrize(("bits", "of_directory"), [(4, 4), (4, 0), (24, 24), (32, 32)])
def test_what_is_masked_out_of_an_icon_is_white(bits: int, of_directory: int) -> None:
    found = decoded(icon(bits, of_directory))
    assert found.error is None
    assert found.views[0][3].tolist() == [[255, 255, 255]] * 4 + [[0, 0, 255]] * 4


@pytest.mark.parametrize(
    "data",
    [icon(4, 4, missing=8), icon(24, 24, more=b"\1" * 40), icon(32, 0)],
    ids=["shorter", "longer", "deep"],
)
def test_an_icon_whose_directory_does_not_fit_is_refused(data: bytes) -> None:
    found = decoded(data)
    assert found.error is not None
    assert "is an icon of which the directory does not fit the picture" in found.error.reason


def test_a_deep_png_with_a_transparent_colour_is_refused() -> None:
    values = np.full((6, 8, 3), 20_000)
    values[:3] = (300, 400, 500)
    found = decoded(deep_png(values, (300, 400, 500)))
    assert found.error is not None
    assert found.error.reason.startswith(
        "is a PNG of 16 bits a colour in which one colour is transparent"
    )
    assert decoded(deep_png(values)).views[0][5, 5].tolist() == [78] * 3


def avif(aperture: tuple[int, int] | None) -> bytes:
    """An AVIF of 64×48 pixels, with a clean aperture of that width and height."""
    stream = io.BytesIO()
    Image.fromarray(ramps(48, 64)).save(stream, "AVIF")
    data = stream.getvalue()
    if aperture is None:
        return data
    # The box is put where nobody counts bytes: into one of its own before the last.
    fields = struct.pack(">IIIIiIiI", aperture[0], 1, aperture[1], 1, 0, 1, 0, 1)
    box = struct.pack(">I", 40) + b"clap" + fields
    return data + struct.pack(">I", 8 + len(box)) + b"free" + box


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_an_avif_is_shown_whole_or_refused() -> None:
    whole = decoded(avif(None))
    assert whole.error is None
    assert_array_equal(decoded(avif((64, 48))).views[0], whole.views[0])
    for aperture in ((60, 48), (64, 40)):
        found = decoded(avif(aperture))
        assert found.error is not None
        assert "(clean aperture)" in found.error.reason


def test_the_mask_for_alpha_is_the_fourth() -> None:
    pixels = struct.pack("<4H", 0x7C00, 0x03E0, 0x001F, 0xFFFF)
    masks = struct.pack("<3I", 0x7C00, 0x03E0, 0x001F)
    for alpha in (b"\1\0\0\0", b"\0\0\0\1"):
        found = decoded(bmp(16, 3, pixels, (2, 2), masks + alpha))
        assert found.error is not None
        assert "with transparency" in found.error.reason


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("bits", [4, 8])
def test_pixels_of_their_own_are_padded_to_words(bits: int, count: int) -> None:
    values = bytes(range(1, count + 1))
    own = (
        values
        if bits == 8
        else bytes(
            (values[k] << 4) + (values[k + 1] if k + 1 < count else 0) for k in range(0, count, 2)
        )
    )
    runs = bytes((0, count)) + own + bytes(len(own) % 2) + LINE + bytes((count, 0)) + END
    found = decoded(bmp(bits, 1 if bits == 8 else 2, runs, (count, 2)))
    assert found.error is None, found.error
    step = 255 // (2**bits - 1)
    assert found.views[0][1, :, 0].tolist() == [step * value for value in values]


@pytest.mark.parametrize("width", [8, 24, 32, 40, 72])
@pytest.mark.parametrize("bits", [1, 4, 8, 16, 24])
def test_masks_of_icons_are_found_whatever_their_width(width: int, bits: int) -> None:
    """The last two rows are masked out."""
    colours = 2**bits if bits <= 8 else 0
    palette = b"\xff\0\0\0" * colours
    line = {16: b"\x1f\0" * width, 24: b"\xff\0\0" * width}.get(bits, bytes(-(-width * bits // 8)))
    line += bytes(-len(line) % 4)
    mask = b"".join((b"\xff" if row < 2 else b"\0") * ((width + 31) // 32 * 4) for row in range(8))
    head = struct.pack("<IiiHHIIiiII", 40, width, 16, 1, bits, 0, 0, 0, 0, 0, 0)
    for more in (b"", b"\x55" * 200):
        data = head + palette + line * 8 + mask + more
        entry = struct.pack("<BBBBHHII", width, 8, 0, 0, 1, bits, len(data), 22)
        found = decoded(struct.pack("<HHH", 0, 1, 1) + entry + data)
        if more:
            assert found.error is not None
            continue
        assert found.error is None, found.error
        assert found.views[0][7, 0].tolist() == [255, 255, 255]
        assert found.views[0][0, width - 1].tolist() == [0, 0, 255]


def test_an_icon_of_16_bits_may_have_masks_of_its_own() -> None:
    line, mask = b"\x1f\0" * 8, b"\xff\0\0\0" * 2 + bytes(4 * 6)
    head = struct.pack("<IiiHHIIiiII", 40, 8, 16, 1, 16, 3, 0, 0, 0, 0, 0)
    data = head + struct.pack("<3I", 0xF800, 0x07E0, 0x001F) + line * 8 + mask
    entry = struct.pack("<BBBBHHII", 8, 8, 0, 0, 1, 16, len(data), 22)
    found = decoded(struct.pack("<HHH", 0, 1, 1) + entry + data)
    assert found.error is None, found.error
    assert found.views[0][7, 0].tolist() == [255, 255, 255]
    assert found.views[0][0, 0].tolist() == [0, 0, 255]
