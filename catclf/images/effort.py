"""What decoding a picture would cost, judged by its header and markers. Decodes nothing."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image

_MEMORY_WEIGHT = {"WEBP": 2, "JPEG2000": 2}
"""Their decoders take up to 20 bytes a pixel, the others up to 10."""

MOST_SCANNED = 5_000_000_000
"""Scans × pixels of a JPEG: some 5 s. Each of any number of scans of a few bytes visits every pixel."""

_JPEG_SCAN = b"\xff\xda"  # within the data of a scan a zero would follow the first byte


def refusal(image: Image.Image, stream: BinaryIO, max_pixels: int) -> str | None:
    """Say why an opened picture is not to be decoded, if so.

    Parameters
    ----------
    image : Image
        Opened, not loaded.
    stream : binary file
        What it was opened from; it is left at any position.
    max_pixels : int
        Largest width × height; half of that where decoding takes twice the memory.

    Returns
    -------
    str or None
        The reason, as a phrase that follows the path.
    """
    width, height = image.size
    allowed = max_pixels // _MEMORY_WEIGHT.get(image.format or "", 1)
    if width * height > allowed:
        return f"has {width}×{height} pixels, more than the {allowed} allowed"
    if image.format in ("JPEG", "MPO"):
        scans = _scans(stream)
        if scans * width * height > MOST_SCANNED:
            return f"has {width}×{height} pixels in {scans} scans; decoding it would take too long"
    return None


def _scans(stream: BinaryIO) -> int:
    stream.seek(0)
    return stream.read().count(_JPEG_SCAN)
