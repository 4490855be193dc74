"""JPEG files that Pillow does not read although their picture is whole. Decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_END = b"\xff\xd9"
_FILLING = bytes(37 * k % 251 + 2 for k in range(512))  # without 0 and 255, which make markers
_OTHER_FILLING = bytes(255 - byte for byte in _FILLING)  # differs in every bit

_START, _SCAN = 0xD8, 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive: what Pillow decodes
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
_COMMENT, _APPLICATION = 0xFE, range(0xE0, 0xF0)
_KEPT = (0xE1, 0xE2, 0xEE)  # EXIF, colour profile, the kind of colours
_LAST = 63  # coefficient of a block


class Segment(NamedTuple):
    """A part of a file: its marker, where its content begins, and where it ends."""

    marker: int
    start: int
    stop: int


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments before and between the scans; bytes that belong to none are skipped over.

    The compressed data of a scan is part of no segment.
    """
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker in (0x00, 0xFF, _START, *_WITHOUT_LENGTH):  # filling, data, or a marker alone
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _END[1]:
            return
        stop = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield Segment(marker, place + 4, min(stop, len(data)))
        place = stop


def tidied(data: bytes) -> bytes | None:
    """Leave out bytes between segments, and segments that change no pixel; None if there is no scan."""
    kept = [data[:2]]
    for marker, start, stop in segments(data):
        if marker == _SCAN:
            return b"".join([*kept, data[start - 4 :]])
        if marker in _KEPT or not (marker == _COMMENT or marker in _APPLICATION):
            kept.append(data[start - 4 : stop])
    return None


def ended(data: bytes) -> tuple[bytes, bytes]:
    """Give a file an end in two ways, which decode to the same pixels if only its end is missing.

    What follows the last pixel of a scan is not looked at. Here bytes follow that mean other pixels in
    the two files wherever some are missing.

    Raises
    ------
    OSError
        If a scan is missing.
    """
    if not has_every_scan(data):
        raise OSError("truncated: a scan is missing")
    whole = data.rstrip(b"\xff")
    return whole + _FILLING + _END, whole + _OTHER_FILLING + _END


def has_every_scan(data: bytes) -> bool:
    """Whether all coefficients of all colours are there down to their last bits, as the headers say."""
    wanted: set[int] = set()
    exact: dict[int, list[int]] = {}  # by colour, the lowest bit that is known of each coefficient
    for marker, start, stop in segments(data):
        content = data[start:stop]
        if marker in _FRAMES:
            if wanted or len(content) < 6 or len(content) < 6 + 3 * content[5]:
                return False
            wanted = {content[6 + 3 * k] for k in range(content[5])}
            exact = {colour: [16] * (_LAST + 1) for colour in wanted}
        elif marker == _SCAN:
            count = content[0] if content else 0
            if len(content) < 1 + 2 * count + 3:
                return False
            first, last, bits = content[1 + 2 * count : 4 + 2 * count]
            for k in range(count):
                known = exact.get(content[1 + 2 * k])
                if known is None or last > _LAST or first > last:
                    return False
                known[first : last + 1] = [bits & 0x0F] * (last - first + 1)
    return bool(wanted) and all(bit == 0 for known in exact.values() for bit in known)
