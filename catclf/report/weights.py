"""w as a picture, and what it adds up to in one picture. Needs Pillow only, and writes no files."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catclf.errors import ConfigError
from catclf.features import Explained, Mapped, Patterned
from catclf.model import Model

Numbers = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_RAISES, _LOWERS, _PAPER = (201, 94, 16), (37, 107, 176), (255, 255, 255)
_SIDE = 320  # a picture is enlarged by a whole number until its sides are at least so long
_GAP = 12
_COLUMNS = 20  # of the patterns of a dictionary


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file, the same for the same picture."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def weights_picture(model: Model) -> Image.Image:
    """What raises p and what lowers it.

    For pixels w summed over the colours, orange above 0 and blue below. For patches the patterns of
    the dictionary in rows, from the largest mean weight of their strength to the smallest.
    """
    check_drawn(model)
    if model.features.kind.drawn == "patterns":
        return _enlarged(_sheet(*cast(Patterned, model.features).patterns(model.w)))
    return _enlarged(_diverging(cast(Mapped, model.features).map_of(model.w)))


def check_drawn(model: Model) -> None:
    """Raise a ConfigError if the features of a model cannot be drawn."""
    kind = model.features.kind
    if kind.drawn is None:
        raise ConfigError(
            "features", kind.name, "others to be drawn: these have no picture of their weights"
        )


def check_explained(model: Model) -> None:
    """Raise a ConfigError if what a place of a picture adds to z is not known."""
    kind = model.features.kind
    if not kind.explained:
        raise ConfigError("features", kind.name, "others to be explained: these have no places")


def explanation(model: Model, pixels: Pixels) -> Image.Image:
    """`pixels` (size, size, 3) beside the map of w ⊙ x: how much each place adds to z.

    For pixels the map adds up to z − b; for patches it is that of the features which belong to a cell.
    """
    check_explained(model)
    heat = _diverging(cast(Explained, model.features).contributions(model.w, pixels))
    seen = _enlarged(pixels)
    heat_map = Image.fromarray(heat).resize(seen.size, Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (2 * seen.width + _GAP, seen.height), _PAPER)
    sheet.paste(seen, (0, 0))
    sheet.paste(heat_map, (seen.width + _GAP, 0))
    return sheet


def _diverging(values: Numbers) -> Pixels:
    """Orange above 0, blue below, white at 0: (h, w) → (h, w, 3)."""
    share = np.abs(values) / (np.abs(values).max() or 1.0)
    colour = np.where((values > 0)[..., None], _RAISES, _LOWERS)
    mixed = share[..., None] * colour + (1 - share[..., None]) * _PAPER
    return np.rint(mixed).astype(np.uint8)


def _sheet(patterns: Numbers, weights: Numbers) -> Pixels:
    """Patterns in rows of `_COLUMNS` around grey, a white line between them: (h, w, 3)."""
    height, width = (side + 1 for side in patterns.shape[1:3])
    lines = -(-len(patterns) // _COLUMNS)
    sheet = np.full((height * lines - 1, width * _COLUMNS - 1, 3), 255, np.uint8)
    for k, pattern in enumerate(patterns[np.argsort(-weights, kind="stable")]):
        top, left = height * (k // _COLUMNS), width * (k % _COLUMNS)
        grey = 127.5 * (1 + pattern / (np.abs(pattern).max() or 1.0))
        sheet[top : top + height - 1, left : left + width - 1] = np.rint(grey)
    return sheet


def _enlarged(pixels: Pixels) -> Image.Image:
    times = max(1, -(-_SIDE // min(pixels.shape[:2])))
    return Image.fromarray(pixels.repeat(times, axis=0).repeat(times, axis=1))
