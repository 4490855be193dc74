"""Pictures other than TIFF that Pillow would decode wrongly without a word. Decodes nothing."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import Image

_LOOKED_AT = 1_000_000  # bytes of an AVIF file, which begins with what is said of its picture


def refusal(image: Image.Image, stream: BinaryIO) -> str | None:
    """Say why an opened picture is not decoded, if so; the stream is left at any position."""
    if (
        image.format == "PNG"
        and image.mode == "RGB"
        and "transparency" in image.info
        and _is_deep(image)
    ):
        what = "is a PNG of 16 bits a colour in which one colour is transparent"
        return f"{what}: save it with an alpha channel"
    if image.format == "AVIF" and _is_cropped(stream, *image.size):
        return "is an AVIF of which only a part is to be shown (clean aperture): save it as JPEG or PNG"
    return None


def _is_deep(image: Image.Image) -> bool:
    """Whether the file has 16 bits a colour, of which Pillow keeps eight."""
    tiles = getattr(image, "tile", ())
    return any("16" in str(tile[3]) for tile in tiles)


def _is_cropped(stream: BinaryIO, width: int, height: int) -> bool:
    """Whether there is a clean aperture smaller than the picture: box ``clap`` of ISO/IEC 14496-12."""
    stream.seek(0)
    head = stream.read(_LOOKED_AT)
    place = head.find(b"clap")
    while place >= 4:
        (length,) = struct.unpack_from(">I", head, place - 4)
        if length == 40 and place + 36 <= len(head):
            w, w_n, h, h_n = struct.unpack_from(">IIII", head, place + 4)
            if w != width * w_n or h != height * h_n:
                return True
        place = head.find(b"clap", place + 4)
    return False
