"""Pixels → the bytes of a picture file, for people."""

from __future__ import annotations

import io

from PIL import Image

from catclf.view import RgbArray

_SMALL = 64  # a side in pixels: above it a JPEG takes a fraction of a PNG


def encoded(pixels: RgbArray) -> bytes:
    """Return pixels (h, w, 3) uint8 as a JPEG or, where every pixel of a few counts, as a PNG."""
    image = Image.fromarray(pixels)
    if max(image.size) <= _SMALL:
        return png(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file, the same for the same picture."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
