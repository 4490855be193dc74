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
