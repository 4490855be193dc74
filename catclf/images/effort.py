"""What decoding a picture would cost, judged by its header and markers. Decodes nothing."""

from __future__ import annotations

import os
from typing import BinaryIO

from PIL import Image

from catclf.images.formats import WEIGHTS

MOST_SCANNED = 5_000_000_000
"""Scans × pixels of a JPEG: some 5 s. Each of any number of scans of a few bytes visits every pixel."""

_SHORTEST_SCAN = 10  # bytes of its header
_JPEG_SCAN = b"\xff\xda"  # within the data of a scan a zero would follow the first byte


def refusal(image: Image.Image, stream: BinaryIO, max_pixels: int) -> str | None:
    """Say why an opened picture is not to be decoded, if so.

    Parameters
    ----------
    image : PIL.Image.Image
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
    refused = too_many_pixels(width, height, max_pixels // WEIGHTS.get(image.format or "", 1))
    if refused is not None:
        return refused
    if image.format in ("JPEG", "MPO"):
        scans = _count_scans(stream, MOST_SCANNED // max(1, width * height))
        if scans * width * height > MOST_SCANNED:
            return f"has {width}×{height} pixels in {scans} scans; decoding it would take too long"
    return None


def too_many_pixels(width: int, height: int, allowed: int) -> str | None:
    """Say that a picture has more pixels than are allowed, if so."""
    if width * height <= allowed:
        return None
    return f"has {width}×{height} pixels, more than the {allowed} allowed"


def _count_scans(stream: BinaryIO, allowed: int) -> int:
    """Count the scans of a JPEG, or return 0 if there is no room for more than those allowed."""
    if stream.seek(0, os.SEEK_END) <= allowed * _SHORTEST_SCAN:
        return 0  # nearly every photograph: looking for markers would take 5 % of its decoding
    stream.seek(0)
    return stream.read().count(_JPEG_SCAN)
