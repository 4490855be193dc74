"""Pixels → the bytes of a small picture file, for pages."""

from __future__ import annotations

import io

from PIL import Image

from catclf.images.picture import Pixels

_SMALL = 64  # a side in pixels: above it a JPEG takes a fraction of a PNG


def encoded(pixels: Pixels) -> bytes:
    """Return pixels (h, w, 3) uint8 as a JPEG or, where every pixel of a few counts, as a PNG."""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()
