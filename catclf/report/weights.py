"""w as a picture, and what it adds up to in one picture. Needs Pillow only, and writes no files."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from catclf.errors import ConfigError
from catclf.features import Explained, Mapped, Patterned
from catclf.logistic import sigmoid
from catclf.model import Model

Numbers = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_RAISES, _LOWERS, _PAPER = (201, 94, 16), (37, 107, 176), (255, 255, 255)
_INK = (40, 40, 40)
_COVERS = 0.7  # of what lies below, where a place matters most
_CAPTION = 26
_SIDE = 320  # a picture is enlarged by a whole number until its sides are at least so long
_GAP = 12
_COLUMNS = 20  # of the patterns of a dictionary


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
    if kind.explained is None:
        raise ConfigError("features", kind.name, "others to be explained: these have no places")


def explanation(model: Model, pixels: Pixels) -> Image.Image:
    """How much each place of `pixels` (size, size, 3) adds to z, beside the picture or over it.

    For pixels it is the map of w ⊙ x, which adds up to z − b; for patches that of the features which
    belong to a cell. For a network it is what each place adds beyond what it adds in the mean training
    picture; the rest of z is written below.
    """
    check_explained(model)
    w_mean = model.training.w_mean or 0.0
    places = cast(Explained, model.features).contributions(model.w, pixels, w_mean)
    if model.features.kind.explained == "over":
        return _drawn_over(pixels, places, model.b + w_mean)
    heat = _diverging(places)
    seen = _enlarged(pixels)
    heat_map = Image.fromarray(heat).resize(seen.size, Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (2 * seen.width + _GAP, seen.height), _PAPER)
    sheet.paste(seen, (0, 0))
    sheet.paste(heat_map, (seen.width + _GAP, 0))
    return sheet


_LEFT_OUT = 0.25  # of the largest: what is below it would cover the picture with noise


def _drawn_over(pixels: Pixels, places: Numbers, rest: float) -> Image.Image:
    """A picture, and the same under the places that matter, with z in words below."""
    seen = _enlarged(pixels)
    loud = np.where(np.abs(places) < _LEFT_OUT * np.abs(places).max(), 0.0, places)
    smooth = Image.fromarray(loud.astype(np.float32)).resize(seen.size, Image.Resampling.BICUBIC)
    values = np.asarray(smooth, np.float64)
    strength = np.clip(np.abs(values) / (np.abs(values).max() or 1.0), 0, 1)[..., None] * _COVERS
    colour = np.where((values > 0)[..., None], _RAISES, _LOWERS)
    covered = np.rint(strength * colour + (1 - strength) * np.asarray(seen)).astype(np.uint8)
    sheet = Image.new("RGB", (2 * seen.width + _GAP, seen.height + _CAPTION), _PAPER)
    sheet.paste(seen, (0, 0))
    sheet.paste(Image.fromarray(covered), (seen.width + _GAP, 0))
    z = rest + float(places.sum())
    words = (
        f"places {places.sum():+.2f}, the rest {rest:+.2f}: together z = {z:+.2f},"
        f" a probability of {float(sigmoid(np.array([z]))[0]):.4f}"
    )
    ImageDraw.Draw(sheet).text((4, seen.height + 4), words, fill=_INK, font_size=14)
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
