"""Pictures other than TIFF that Pillow would decode wrongly without a word. Decodes nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from PIL import Image

_LOOKED_AT = 1_000_000  # bytes of an AVIF file, which begins with what is said of its picture

_GREY_STEPS = {"L;2": 85, "L;4": 17}
"""How far apart in 8 bits the grey levels of a PNG of 2 and 4 bits are."""

_ALPHA_HEADER = 56  # bytes of the header of a BMP that has a mask for alpha, at least
_BIT_FIELDS = (3, 6)
_RLE = {1: 8, 2: 4}  # compression → bits a pixel


def put_right(image: Image.Image) -> None:
    """Mend what is said of an opened picture: the transparent grey of a PNG, which is not scaled."""
    step = _GREY_STEPS.get(_raw_mode(image)) if image.format == "PNG" else None
    if step is not None and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= step


def covered(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Say where the first frame of an opened GIF is, if it leaves some of the picture out.

    There Pillow shows the colour that the file calls its background, and browsers show nothing.
    """
    tiles = getattr(image, "tile", ())
    if image.format != "GIF" or not tiles or tuple(tiles[0][1]) == (0, 0, *image.size):
        return None
    left, top, right, bottom = tiles[0][1]
    return left, top, right, bottom


def refusal(image: Image.Image, stream: BinaryIO) -> str | None:
    """Say why an opened picture is not decoded, if so; the stream is left at any position."""
    find = _FINDERS.get(image.format or "")
    return None if find is None else find(image, stream)


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", ())
    found = tiles[0][3] if tiles else ""
    return str(found[0] if isinstance(found, tuple) else found)


def _of_png(image: Image.Image, stream: BinaryIO) -> str | None:
    """Of 16 bits a colour Pillow keeps eight, and compares all sixteen with the transparent colour."""
    del stream
    if image.mode == "RGB" and "transparency" in image.info and "16" in _raw_mode(image):
        what = "is a PNG of 16 bits a colour in which one colour is transparent"
        return f"{what}: save it with an alpha channel"
    return None


def _of_avif(image: Image.Image, stream: BinaryIO) -> str | None:
    if _is_cropped(stream, *image.size):
        return "is an AVIF of which only a part is to be shown (clean aperture): save it as JPEG or PNG"
    return None


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


def _of_bmp(image: Image.Image, stream: BinaryIO) -> str | None:
    stream.seek(10)
    pixels, header, _, _, _, bits, compression = struct.unpack("<IIiiHHI", stream.read(24))
    if compression in _BIT_FIELDS and header >= _ALPHA_HEADER and image.mode == "RGB":
        stream.seek(14 + 52)
        if any(stream.read(4)):
            return f"is a BMP of {bits} bits with transparency, which is not read: save it as PNG"
    if compression in _RLE and header >= 40:
        stream.seek(pixels)
        if not _is_whole(stream.read(), *image.size, _RLE[compression]):
            return "is a broken picture (its run-length coding does not fit its size)"
    return None


def _is_whole(data: bytes, width: int, height: int, bits: int) -> bool:
    """Whether the runs of a compressed BMP stay within its rows and it does not end too early."""
    x = y = at = 0
    while at + 2 <= len(data):
        count, value = data[at : at + 2]
        at += 2
        if count:  # one colour, which is cut off at the end of the row
            x = min(width, x + count)
        elif value == 0:
            x, y = 0, y + 1
        elif value == 1:
            return True
        elif value == 2:
            if at + 2 > len(data):
                return False
            x, y = x + data[at], y + data[at + 1]
            at += 2
        else:
            x += value
            length = (value * bits + 7) // 8
            at += length + length % 2
        if x > width or y > height or (y == height and x):
            return False
    return y >= height - 1  # some lack the code for the end


def _of_ico(image: Image.Image, stream: BinaryIO) -> str | None:
    """Where the mask of an icon is follows from what its directory says."""
    directory = getattr(image, "ico", None)
    if directory is None:
        return None
    entry = directory.entry[directory.getentryindex(image.size)]
    stream.seek(entry.offset)
    head = stream.read(40)
    if head.startswith(b"\x89PNG") or len(head) < 40:
        return None
    size, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", head)
    (colours,) = struct.unpack_from("<I", head, 32)
    palette = 4 * (colours or 1 << bits) if bits <= 8 else 12 * (compression == 3 and size == 40)
    rows = height // 2  # and as many of the mask
    after = entry.offset + size + palette + (width * bits + 31) // 32 * 4 * rows
    length = (width + 31) // 32 * 4 * rows
    fits = bits == 32
    if entry.bpp != 32:
        masks = [_read(stream, at, length) for at in (after, entry.offset + entry.size - length)]
        fits = bits != 32 and masks[0] == masks[1]
    return None if fits else "is an icon of which the directory does not fit the picture: save it as PNG"


def _read(stream: BinaryIO, at: int, length: int) -> bytes:
    stream.seek(max(0, at))
    return stream.read(max(0, length))


_FINDERS: dict[str, Callable[[Image.Image, BinaryIO], str | None]] = {
    "PNG": _of_png,
    "AVIF": _of_avif,
    "BMP": _of_bmp,
    "ICO": _of_ico,
}
