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
from catclf.view import RgbArray

Numbers = NDArray[np.float64]

_RAISES, _LOWERS, _PAPER = (201, 94, 16), (37, 107, 176), (255, 255, 255)
_INK = (40, 40, 40)
_COVERS = 0.7  # of what lies below, where a place matters most
_TITLED = 560  # wide enough for the words
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


def titled_weights(model: Model) -> Image.Image:
    """Draw the same with a title and a legend above."""
    drawing = weights_picture(model)
    positive = model.positive if _can_be_drawn(model.positive) else "the positive class"
    if model.features.kind.drawn == "patterns":
        title = f"What the model looks for: patterns that speak for {positive} first"
        legend = "and those that speak against it last"
    else:
        title = "Weights w, summed over the colours"
        legend = f"orange: bright pixels speak for {positive}; blue: against it"
    sheet = Image.new("RGB", (max(drawing.width, _TITLED), drawing.height + 2 * _LINE), _PAPER)
    sheet.paste(drawing, (0, 2 * _LINE))
    for line, words in enumerate((title, legend)):
        ImageDraw.Draw(sheet).text((4, line * _LINE + 4), words, fill=_INK, font_size=_FONT)
    return sheet


def check_drawn(model: Model) -> None:
    """Raise a ConfigError if the features of a model cannot be drawn."""
    kind = model.features.kind
    if kind.drawn is None:
        raise ConfigError("features", kind.name, "cannot be drawn: their weights are no picture")


def check_explained(model: Model) -> None:
    """Raise a ConfigError if what a place of a picture adds to z is not known."""
    kind = model.features.kind
    if kind.explained is None:
        raise ConfigError(
            "features", kind.name, "cannot be explained: they have no places in the picture"
        )


def explanation(model: Model, pixels: RgbArray) -> Image.Image:
    """How much each place of `pixels` (size, size, 3) adds to z, beside the picture or over it.

    The verdict stands above; below is what the places add, and what all the rest of z is. For pixels it
    is the map of w ⊙ x, which adds up to z − b. For patches and a network it is what each place adds
    beyond what it adds in the mean training picture; for patches the features that belong to a cell.
    """
    check_explained(model)
    w_mean, usual = model.training.w_mean or 0.0, model.training.mean_places
    places = cast(Explained, model.features).contributions(model.w, pixels, w_mean)
    over = model.features.kind.explained == "over"
    z = model.b + w_mean + float(places.sum()) if over else float(model.scores(pixels[None])[0])
    compared = over or (usual is not None and len(usual) == places.size)
    if compared and not over:
        places = places - np.reshape(np.array(usual), places.shape)
    seen = _enlarged(pixels)
    if over:
        heat = _covered(seen, places)
    else:
        heat = Image.fromarray(_diverging(places)).resize(seen.size, Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (2 * seen.width + _GAP, seen.height + 4 * _LINE), _PAPER)
    sheet.paste(seen, (0, _LINE))
    sheet.paste(heat, (seen.width + _GAP, _LINE))
    for line, words in zip((0, *_BELOW), _words(model, places, z, compared), strict=True):
        top = line * _LINE if line == 0 else seen.height + line * _LINE
        ImageDraw.Draw(sheet).text((4, top + 4), words, fill=_INK, font_size=_FONT)
    return sheet


_LINE, _FONT, _BELOW = 24, 14, (1, 2, 3)


def _words(model: Model, places: Numbers, z: float, compared: bool) -> tuple[str, str, str, str]:
    """The verdict, a legend, and what z is the sum of."""
    p, positive, called = float(sigmoid(np.array([z]))[0]), "the positive class", "positive"
    if _can_be_drawn(model.positive + model.negative):
        positive, called = model.positive, model.label(p)
    elif p < model.threshold:
        called = "negative"
    added, rest = float(places.sum()), z - float(places.sum())
    beyond = "more than in the average training picture" if compared else "w times x at each place"
    return (
        f"called {called}; probability of {positive}: {p:.4f}",
        f"orange: speaks for {positive}; blue: against it ({beyond})",
        f"these places add {added:+.2f}, the rest {rest:+.2f}: z = {z:+.2f}",
        f"and the probability is its sigmoid, {p:.4f}",
    )


def _can_be_drawn(text: str) -> bool:
    """Whether the font that comes with Pillow has all the letters."""
    return text.isprintable() and all(ord(letter) < 0x180 for letter in text)


_LEFT_OUT = 0.25  # of the largest: what is below it would cover the picture with noise


def _covered(seen: Image.Image, places: Numbers) -> Image.Image:
    """Lay the places that matter over a picture."""
    loud = np.where(np.abs(places) < _LEFT_OUT * np.abs(places).max(), 0.0, places)
    smooth = Image.fromarray(loud.astype(np.float32)).resize(seen.size, Image.Resampling.BICUBIC)
    values = np.asarray(smooth, np.float64)
    strength = np.clip(np.abs(values) / (np.abs(values).max() or 1.0), 0, 1)[..., None] * _COVERS
    colour = np.where((values > 0)[..., None], _RAISES, _LOWERS)
    return Image.fromarray(
        np.rint(strength * colour + (1 - strength) * np.asarray(seen)).astype(np.uint8)
    )


def _diverging(values: Numbers) -> RgbArray:
    """Orange above 0, blue below, white at 0: (h, w) → (h, w, 3)."""
    share = np.abs(values) / (np.abs(values).max() or 1.0)
    colour = np.where((values > 0)[..., None], _RAISES, _LOWERS)
    mixed = share[..., None] * colour + (1 - share[..., None]) * _PAPER
    return np.rint(mixed).astype(np.uint8)


def _sheet(patterns: Numbers, weights: Numbers) -> RgbArray:
    """Patterns in rows of `_COLUMNS` around grey, a white line between them: (h, w, 3)."""
    height, width = (side + 1 for side in patterns.shape[1:3])
    lines = -(-len(patterns) // _COLUMNS)
    sheet = np.full((height * lines - 1, width * _COLUMNS - 1, 3), 255, np.uint8)
    for k, pattern in enumerate(patterns[np.argsort(-weights, kind="stable")]):
        top, left = height * (k // _COLUMNS), width * (k % _COLUMNS)
        grey = 127.5 * (1 + pattern / (np.abs(pattern).max() or 1.0))
        sheet[top : top + height - 1, left : left + width - 1] = np.rint(grey)
    return sheet


def _enlarged(pixels: RgbArray) -> Image.Image:
    times = max(1, -(-_SIDE // min(pixels.shape[:2])))
    return Image.fromarray(pixels.repeat(times, axis=0).repeat(times, axis=1))
