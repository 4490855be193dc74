"""Writes ICC profiles by hand (ICC.1:2001), and says what their colours are in sRGB by the formulas."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]

# Columns: red, green, blue as XYZ under D50.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
DISPLAY_P3 = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
ADOBE_RGB = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)


def rgb_profile(primaries: Numbers, gamma: float | None = None, kind: bytes = b"mntr") -> bytes:
    """Write a profile of a screen; without a gamma with the curve of sRGB."""
    curve = _gamma(gamma) if gamma is not None else _curve(_linear(np.linspace(0, 1, 1024)))
    tags = {f"{name}XYZ".encode(): _xyz(column) for name, column in zip("rgb", primaries.T, strict=True)}
    tags |= {f"{name}TRC".encode(): curve for name in "rgb"}
    return _profile(kind, b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """Write a profile of grey pictures."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(gamma)})


def cmyk_profile(lab: ArrayLike) -> bytes:
    """Write a profile of a printer from L*, a*, b* (16, 3) of all mixtures of full inks."""
    table = np.asarray(lab) * [255 / 100, 1, 1] + [0, 128, 128]
    identity = bytes(range(256))
    unit = b"".join(
        struct.pack(">i", 65536 * (row == column)) for row in range(3) for column in range(3)
    )
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + unit
    lut += identity * 4 + np.rint(table).astype(np.uint8).tobytes() + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def in_srgb(pixels: ArrayLike, primaries: Numbers, gamma: float | None = None) -> Numbers:
    """Colours (…, 3) from 0 to 255 of `rgb_profile` in sRGB, likewise."""
    share = np.asarray(pixels) / 255
    linear = share**gamma if gamma is not None else _linear(share)
    ours = linear @ (np.linalg.inv(SRGB) @ primaries).T
    return 255 * _encoded(np.clip(ours, 0, 1))


def grey_in_srgb(values: ArrayLike, gamma: float) -> Numbers:
    """Grey values from 0 to 255 of `grey_profile` in sRGB, likewise."""
    return 255 * _encoded((np.asarray(values) / 255) ** gamma)


def lab_in_srgb(lab: ArrayLike) -> Numbers:
    """L*, a*, b* (…, 3) under D50 in sRGB."""
    lightness, a, b = np.moveaxis(np.asarray(lab, float), -1, 0)
    f = np.stack(
        [(lightness + 16) / 116 + a / 500, (lightness + 16) / 116, (lightness + 16) / 116 - b / 200], -1
    )
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1.0, 0.8249]
    return 255 * _encoded(np.clip(xyz @ np.linalg.inv(SRGB).T, 0, 1))


def _linear(share: Numbers) -> Numbers:
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Numbers) -> Numbers:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _xyz(values: ArrayLike) -> bytes:
    numbers = [round(65536 * value) for value in np.asarray(values).tolist()]
    return b"XYZ " + bytes(4) + struct.pack(">3i", *numbers)


def _gamma(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)


def _curve(values: Numbers) -> bytes:
    return (
        b"curv"
        + bytes(4)
        + struct.pack(">I", len(values))
        + np.rint(65535 * values).astype(">u2").tobytes()
    )


def _text(text: bytes) -> bytes:
    return b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    tags = {b"desc": _text(b"made by hand"), b"wtpt": _xyz([0.9642, 1.0, 0.8249]), **tags}
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += padded
    head = struct.pack(
        ">I4sI4s4s4s12s4s",
        offset + len(data),
        bytes(4),
        0x02400000,
        kind,
        space,
        connection,
        bytes(12),
        b"acsp",
    )
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
