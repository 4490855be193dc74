"""Makes TIFF files by hand, of every kind that a few tags can say, with the picture that is in them.

The bytes are written here and not by a library, so that no library is tested against itself.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
NONE, DEFLATE, PACKBITS = 1, 8, 32773

HEIGHT, WIDTH = 24, 32

Levels = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """What the tags of a file say.

    Attributes
    ----------
    photometric, bits, sample_format, planar, compression : int
    big : bool
        Whether the most significant byte comes first.
    big_tiff : bool
    alpha : int or None
        Value of ExtraSamples for a channel more.
    """

    photometric: int = BLACK_IS_ZERO
    bits: int = 8
    sample_format: int = UNSIGNED
    planar: int = 1
    compression: int = NONE
    big: bool = False
    big_tiff: bool = False
    alpha: int | None = None
    narrow_map: bool = False
    subsampling: tuple[int, int] | None = (1, 1)
    fill_order: int = 1
    says_photometric: bool = True
    scale: float = 1.0

    @property
    def channels(self) -> int:
        colours = {RGB: 3, SEPARATED: 4, YCBCR: 3, LAB: 3}.get(self.photometric, 1)
        return colours + (self.alpha is not None)

    def __str__(self) -> str:
        names = {0: "white is zero", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "LAB"}
        formats = {1: "unsigned", 2: "signed", 3: "float"}
        compressions = {NONE: "raw", DEFLATE: "deflate", PACKBITS: "PackBits"}
        parts = [
            names[self.photometric],
            f"{self.bits} bit {formats[self.sample_format]}",
            "planes" if self.planar == 2 else "",
            compressions[self.compression],
            "big-endian" if self.big else "",
            "BigTIFF" if self.big_tiff else "",
            f"alpha {self.alpha}" if self.alpha is not None else "",
            "8-bit map" if self.narrow_map else "",
            f"subsampling {self.subsampling}" if self.photometric == YCBCR else "",
            "fill order 2" if self.fill_order == 2 else "",
            "" if self.says_photometric else "no photometric",
        ]
        return ", ".join(part for part in parts if part)


def picture(colour: bool) -> Levels:
    """The picture in the file: smooth levels from 0 to 1, (HEIGHT, WIDTH, 3), equal ones if grey."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    red, green = rows / (HEIGHT - 1), columns / (WIDTH - 1)
    blue = np.sqrt((red + green) / 2)
    levels = np.stack([red, green, blue], axis=-1)
    if colour:
        return levels
    grey: Levels = np.repeat((0.8 * red + 0.2 * green)[..., None], 3, axis=2)
    return grey


def expected(kind: Kind) -> NDArray[np.uint8]:
    """RGB (HEIGHT, WIDTH, 3) uint8 that a right decoder gives."""
    levels = picture(kind.photometric in (RGB, SEPARATED, YCBCR, LAB))
    if kind.photometric == PALETTE:
        levels = _palette_levels()[_indices(kind)]
    elif kind.bits < 8:
        steps = 2**kind.bits - 1
        levels = np.rint(levels * steps) / steps
    if kind.alpha in (1, 2):  # 0 says nothing of what it means
        levels = levels * _alpha()[..., None] + 1 - _alpha()[..., None]  # over white
    return np.rint(levels * 255).astype(np.uint8)


def _alpha() -> Levels:
    columns: Levels = np.tile(np.arange(WIDTH) / (WIDTH - 1), (HEIGHT, 1))
    return columns * 0.5 + 0.5


def _palette_levels() -> Levels:
    k = np.arange(256) / 255
    return np.stack([k, 1 - k, k**2], axis=-1)


def _indices(kind: Kind) -> NDArray[np.int64]:
    steps = 2**kind.bits - 1
    indices: NDArray[np.int64] = np.rint(picture(False)[..., 0] * steps).astype(np.int64)
    indices *= 255 // steps
    return indices


def _samples(kind: Kind) -> NDArray[Any]:
    """Values (HEIGHT, WIDTH, channels) as they are stored, before they are packed."""
    top = 2.0 ** (kind.bits - (kind.sample_format == SIGNED)) - 1
    if kind.sample_format == FLOAT:
        top = kind.scale
    levels = picture(kind.photometric in (RGB, SEPARATED, YCBCR, LAB))
    if kind.photometric == PALETTE:
        indices: NDArray[Any] = np.rint(picture(False)[..., :1] * (2**kind.bits - 1))
        return indices
    if kind.photometric == SEPARATED:
        ink = 1 - levels
        values = np.concatenate([ink, np.zeros_like(ink[..., :1])], axis=2)
    elif kind.photometric == YCBCR:
        r, g, b = np.moveaxis(levels, 2, 0)
        y = 0.299 * r + 0.587 * g + 0.114 * b
        values = np.stack([y, (b - y) / 1.772 + 128 / 255, (r - y) / 1.402 + 128 / 255], axis=2).clip(
            0, 1
        )
    elif kind.photometric in (RGB, LAB):
        values = levels
    else:
        values = levels[..., :1]
        if kind.photometric == WHITE_IS_ZERO and kind.says_photometric:
            values = 1 - values
    if kind.alpha is not None:
        alpha = _alpha()[..., None]
        values = np.concatenate([values * alpha if kind.alpha == 1 else values, alpha], axis=2)
    return values * top if kind.sample_format == FLOAT else np.rint(values * top)


def _packed(kind: Kind, values: NDArray[Any]) -> bytes:
    """Rows of samples (HEIGHT, samples) as bytes, each row from a whole byte on."""
    order = ">" if kind.big else "<"
    if kind.sample_format == FLOAT:
        return values.astype(f"{order}f{kind.bits // 8}").tobytes()
    if kind.bits in (8, 16, 32, 64):
        letter = "i" if kind.sample_format == SIGNED else "u"
        return (
            values.astype(np.int64 if letter == "i" else np.uint64)
            .astype(f"{order}{letter}{kind.bits // 8}")
            .tobytes()
        )
    shifts = np.arange(kind.bits - 1, -1, -1)
    bits = (values.astype(np.int64)[..., None] >> shifts) & 1
    data = np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1)
    if kind.fill_order == 2:
        data = np.packbits(np.unpackbits(data, axis=1).reshape(*data.shape, 8)[..., ::-1], axis=2)[
            ..., 0
        ]
    return data.tobytes()


def _compressed(kind: Kind, data: bytes) -> bytes:
    if kind.compression == DEFLATE:
        return zlib.compress(data)
    if kind.compression == PACKBITS:
        row = len(data) // HEIGHT if kind.photometric != YCBCR else len(data)
        rows = (data[k : k + row] for k in range(0, len(data), row))
        return b"".join(
            bytes([len(part) - 1]) + part
            for line in rows
            for part in (line[k : k + 128] for k in range(0, len(line), 128))
        )
    return data


def make(kind: Kind) -> bytes:
    """The file."""
    values = _samples(kind)
    if kind.planar == 2:
        planes = [values[..., k] for k in range(kind.channels)]
    else:
        planes = [values.reshape(HEIGHT, -1)]
    strips = [_compressed(kind, _packed(kind, plane)) for plane in planes]
    tags: list[tuple[int, int, list[int]]] = [
        (256, 3, [WIDTH]),
        (257, 3, [HEIGHT]),
        (258, 3, [kind.bits] * kind.channels),
        (259, 3, [kind.compression]),
        (277, 3, [kind.channels]),
        (278, 3, [HEIGHT]),
        (284, 3, [kind.planar]),
        (339, 3, [kind.sample_format] * kind.channels),
    ]
    if kind.says_photometric:
        tags.append((262, 3, [kind.photometric]))
    if kind.fill_order != 1:
        tags.append((266, 3, [kind.fill_order]))
    if kind.alpha is not None:
        tags.append((338, 3, [kind.alpha]))
    if kind.photometric == YCBCR and kind.subsampling is not None:
        tags.append((530, 3, [*kind.subsampling]))
    if kind.photometric == PALETTE:
        count = 2**kind.bits
        colours = _palette_levels()[np.arange(count) * (255 // (count - 1))]
        top = 255 if kind.narrow_map else 65535
        tags.append((320, 3, [int(v) for v in np.rint(colours.T * top).reshape(-1)]))
    return _file(kind, tags, strips)


def _file(kind: Kind, tags: list[tuple[int, int, list[int]]], strips: list[bytes]) -> bytes:
    order = ">" if kind.big else "<"
    mark = b"MM" if kind.big else b"II"
    word, count_format = ("Q", "Q") if kind.big_tiff else ("I", "H")
    inline = 8 if kind.big_tiff else 4
    head = mark + (
        struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if kind.big_tiff else struct.pack(f"{order}HI", 42, 8)
    )
    offset_type = 16 if kind.big_tiff else 4
    tags = sorted(
        [*tags, (273, offset_type, [0] * len(strips)), (279, offset_type, [len(s) for s in strips])]
    )
    size = (
        struct.calcsize(f"{order}{count_format}")
        + len(tags) * (12 if not kind.big_tiff else 20)
        + inline
    )
    formats = {3: "H", 4: "I", 16: "Q"}
    lengths = {tag: struct.calcsize(formats[kind_]) * len(values) for tag, kind_, values in tags}
    end = len(head) + size + sum(n + n % 2 for n in lengths.values() if n > inline)
    places = list(itertools.accumulate([end, *(len(s) + len(s) % 2 for s in strips)]))[: len(strips)]
    tags = [(t, k, places if t == 273 else v) for t, k, v in tags]
    directory, extra, where = b"", b"", len(head) + size
    for tag, kind_, values in tags:
        data = struct.pack(f"{order}{len(values)}{formats[kind_]}", *values)
        entry = struct.pack(f"{order}HH{word}", tag, kind_, len(values))
        if len(data) <= inline:
            directory += entry + data.ljust(inline, b"\0")
        else:
            directory += entry + struct.pack(f"{order}{word}", where)
            data += b"\0" * (len(data) % 2)
            extra, where = extra + data, where + len(data)
    body = b"".join(s + b"\0" * (len(s) % 2) for s in strips)
    count = struct.pack(f"{order}{count_format}", len(tags))
    return head + count + directory + struct.pack(f"{order}{word}", 0) + extra + body


def kinds(full: bool = False) -> Iterator[Kind]:
    """Combinations; all of them by hand, fewer in the suite."""
    compressions = (NONE, DEFLATE, PACKBITS)
    for compression, big, big_tiff in itertools.product(compressions, (False, True), (False, True)):
        if not full and (big_tiff and compression != NONE):
            continue
        common: dict[str, Any] = {"compression": compression, "big": big, "big_tiff": big_tiff}
        for photometric, bits in itertools.product(
            (WHITE_IS_ZERO, BLACK_IS_ZERO), (1, 2, 4, 8, 10, 12, 14, 16, 24, 32)
        ):
            yield Kind(photometric, bits, **common)
            yield Kind(photometric, bits, says_photometric=False, **common)
        for photometric, bits in itertools.product((WHITE_IS_ZERO, BLACK_IS_ZERO), (8, 16, 32)):
            yield Kind(photometric, bits, SIGNED, **common)
        for photometric, bits, scale in itertools.product(
            (WHITE_IS_ZERO, BLACK_IS_ZERO), (16, 32, 64), (1.0, 255.0, 65535.0)
        ):
            if (bits, scale) != (16, 65535.0):  # which 16 bits do not reach
                yield Kind(photometric, bits, FLOAT, scale=scale, **common)
        for bits, planar in itertools.product((8, 16, 32), (1, 2)):
            yield Kind(RGB, bits, planar=planar, **common)
            yield Kind(RGB, bits, SIGNED, planar=planar, **common)
            for alpha in (0, 1, 2):
                yield Kind(RGB, bits, planar=planar, alpha=alpha, **common)
        for bits, planar in itertools.product((16, 32, 64), (1, 2)):
            yield Kind(RGB, bits, FLOAT, planar=planar, **common)
        for bits, narrow in itertools.product((1, 2, 4, 8), (False, True)):
            yield Kind(PALETTE, bits, narrow_map=narrow, **common)
        for bits, planar in itertools.product((8, 16), (1, 2)):
            yield Kind(SEPARATED, bits, planar=planar, **common)
            if bits == 16:
                yield Kind(LAB, bits, planar=planar, **common)
            yield Kind(BLACK_IS_ZERO, bits, planar=planar, alpha=2, **common)
        for subsampling, planar in itertools.product(((1, 1), (2, 2), None), (1, 2)):
            # What is compressed would have to be subsampled in truth.
            if subsampling == (1, 1) or compression == NONE:
                yield Kind(YCBCR, 8, subsampling=subsampling, planar=planar, **common)
        for bits in (1, 4):
            yield Kind(BLACK_IS_ZERO, bits, fill_order=2, **common)
