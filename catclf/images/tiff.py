"""TIFF: what Pillow would decode wrongly is read by other rules, or refused by what it is."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

BIG_ENDIAN_BIG = b"MM\0+"
BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", BIG_ENDIAN_BIG)
"""Of TIFF and BigTIFF files. Pillow takes the last kind for a TIFF with a corrupt directory."""

# Tags.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_SAMPLES, _PLANAR, _COLOUR_MAP, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _SUBSAMPLING = (
    277,
    284,
    320,
    338,
    339,
    530,
)

_SIGNED, _FLOAT, _COMPLEX = 2, 3, 5  # sample formats
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE, _YCBCR = 0, 1, 3, 6
_LABS = {8: "L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*"}
_FAX = (2, 3, 4)  # compressions in which 0 is white where nobody says
_USUAL = (1, 5, 7, 8, 32773, 32946)  # none, LZW, JPEG, deflate, PackBits, deflate of old

_CONVERT = "save it as PNG, or as a TIFF of 8 bits a colour"


class Reading(NamedTuple):
    """What to make of decoded samples.

    Attributes
    ----------
    full : float or None
        What white is; None is to be found from the values.
    inverted : bool
        Whether 0 is white, and Pillow has not turned that round; or has, where it is not.
    unsigned : bool
        Whether what Pillow takes for signed is not.
    palette : bytes or None
        Colours (red, green, blue, red …) instead of those that Pillow makes.
    """

    full: float | None = None
    inverted: bool = False
    unsigned: bool = False
    palette: bytes | None = None


AS_IT_IS = Reading()


def refusal(image: Image.Image) -> str | None:
    """Say why an opened TIFF is not decoded: Pillow would give other pixels without a word."""
    tags, mode = _tags(image), image.mode
    tile: list[Any] = getattr(image, "tile")  # noqa: B009 - only files have tiles
    raw = bool(tile) and tile[0][0] == "raw"
    big = getattr(tags, "_endian") == ">"  # noqa: B009 - nor have other tags an order
    bits, kind = _first(tags, _BITS, 1), _first(tags, _SAMPLE_FORMAT, 1)
    planes, photometric = _first(tags, _PLANAR, 1) == 2, _first(tags, _PHOTOMETRIC, None)
    if kind == _SIGNED and (bits < 32 or (big and not raw)):
        return f"is a TIFF with signed samples of {bits} bits: {_CONVERT}"
    if kind == _FLOAT and photometric == _WHITE_IS_ZERO:
        return f"is a TIFF with floating-point samples of which 0 is white: {_CONVERT}"
    if planes and (mode in ("LA", "La", "PA", "LAB") or (mode == "RGBA" and _EXTRA_SAMPLES not in tags)):
        return f"is a TIFF with transparency or L*a*b* in separate planes: {_CONVERT}"
    if planes and raw and (bits > 8 or _first(tags, _FILL_ORDER, 1) == 2):
        return f"is an uncompressed TIFF with {bits}-bit colours in separate planes: {_CONVERT}"
    if photometric == _YCBCR and raw and _subsampling(tags) != (1, 1):
        return f"is an uncompressed TIFF with subsampled YCbCr colours: {_CONVERT}"
    if not raw and _first(tags, _FILL_ORDER, 1) == 2 and _first(tags, _COMPRESSION, 1) not in _FAX:
        return f"is a compressed TIFF with its bits in reverse order: {_CONVERT}"
    return None


def reading(image: Image.Image) -> Reading:
    """What to make of the samples of an opened TIFF that is not refused."""
    tags = _tags(image)
    bits, kind = _first(tags, _BITS, 1), _first(tags, _SAMPLE_FORMAT, 1)
    photometric, grey = _first(tags, _PHOTOMETRIC, None), _first(tags, _SAMPLES, 1) == 1
    if photometric == _PALETTE:
        colours = tags.get(_COLOUR_MAP) or ()
        return Reading(palette=_interleaved(colours)) if colours and max(colours) < 256 else AS_IT_IS
    # Where a tag is missing Pillow reads 0, which is white; everybody else reads it so of faxes only.
    unsaid = photometric is None and grey and _first(tags, _COMPRESSION, 1) not in _FAX
    if bits <= 8:
        return Reading(inverted=unsaid)
    inverted = photometric == _WHITE_IS_ZERO
    if bits == 32 and kind == 1:
        return Reading(inverted=inverted, unsigned=True)
    return Reading(full=4095.0 if bits == 12 else None, inverted=inverted)


def _tags(image: Image.Image) -> Mapping[int, Any]:
    tags: Mapping[int, Any] = getattr(image, "tag_v2")  # noqa: B009 - only TIFF has tags
    return tags


def _first(tags: Mapping[int, Any], tag: int, usual: Any) -> Any:
    value = tags.get(tag)
    if isinstance(value, tuple):
        return value[0] if value else usual
    return usual if value is None else value


def _subsampling(tags: Mapping[int, Any]) -> tuple[int, int]:
    return tuple(tags.get(_SUBSAMPLING) or (2, 2))  # two by the format


def _interleaved(colours: Sequence[int]) -> bytes:
    """Red, green, blue, red … of all reds, then all greens, then all blues."""
    third = len(colours) // 3
    return bytes(colours[k + third * c] for k in range(third) for c in range(3))


def unread(stream: BinaryIO) -> str:
    """Say of a TIFF that Pillow does not know what it is."""
    try:
        tags = _directory(stream)
    except (ValueError, struct.error):
        return "is a broken TIFF"
    bits, kind = tags.get(_BITS, 1), tags.get(_SAMPLE_FORMAT, 1)
    photometric = tags.get(_PHOTOMETRIC)
    colours = _LABS.get(photometric or 0) or ("grey" if tags.get(_SAMPLES, 1) == 1 else "colour")
    values = {_SIGNED: "signed ", _FLOAT: "floating-point ", _COMPLEX: "complex "}.get(kind, "")
    what = f"is a {tags['kind']}TIFF of {bits}-bit {values}{colours} samples"
    method = tags.get(_COMPRESSION, 1)
    compressed = "" if method in _USUAL else f", compressed by method {method}"
    return f"{what}{compressed}, which is not read: {_CONVERT}"


_MOST_ENTRIES = 1000
_SIZES = {1: (1, "B"), 3: (2, "H"), 4: (4, "I"), 16: (8, "Q")}


def _directory(stream: BinaryIO) -> dict[Any, Any]:
    """First values of some tags of the first directory; ``kind`` is what sort of TIFF it is."""
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    large = head[2:4] in (b"+\0", b"\0+")
    found: dict[Any, Any] = {"kind": f"{'big-endian ' if order == '>' else ''}{'Big' if large else ''}"}
    (start,) = struct.unpack_from(f"{order}Q" if large else f"{order}I", head, 8 if large else 4)
    stream.seek(start)
    (count,) = struct.unpack(f"{order}Q" if large else f"{order}H", stream.read(8 if large else 2))
    if count > _MOST_ENTRIES:
        raise ValueError("too many entries")
    size, inline = (20, 8) if large else (12, 4)
    entries = stream.read(size * count)
    for k in range(0, size * count, size):
        tag, kind = struct.unpack_from(f"{order}HH", entries, k)
        (length,) = struct.unpack_from(f"{order}Q" if large else f"{order}I", entries, k + 4)
        width, letter = _SIZES.get(kind, (0, ""))
        if not width or not length:
            continue
        where = k + size - inline
        if width * length <= inline:
            (found[tag],) = struct.unpack_from(f"{order}{letter}", entries, where)
        else:
            (offset,) = struct.unpack_from(f"{order}Q" if large else f"{order}I", entries, where)
            stream.seek(offset)
            (found[tag],) = struct.unpack(f"{order}{letter}", stream.read(width))
    return found
