"""One picture of an endless series: background, subject, obstacle, light and grain.

Picture ``k`` depends only on the seed, on ``k`` and on its size. It is painted on a canvas
``SUPERSAMPLING`` times too large, which is averaged down.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from .animals import cat
from .pen import Pen
from .scenes import BACKGROUNDS, OBSTACLES
from .things import OTHERS

CLASSES = ("non-cat", "cat")
SUPERSAMPLING = 3


@dataclass(frozen=True)
class Difficulty:
    """How far the pictures of one kind differ: the dial between trivial and hopeless."""

    cat_share: float = 0.45
    shift: float = 0.04  # standard deviation of the place, in half sides
    scale: tuple[float, float] = (0.88, 1.02)
    tilt: float = 0.05  # radians, standard deviation
    hidden: float = 0.15  # share of subjects partly behind something
    exposure: tuple[float, float] = (0.78, 1.15)
    shade: float = 0.25  # largest fall of the light across a picture; half have none
    grain: float = 3.0  # largest standard deviation in grey levels; half have none


@dataclass(frozen=True)
class Picture:
    """One drawing: RGB pixels and the index of its class."""

    image: Image.Image
    label: int


def draw(seed: int, k: int, width: int, height: int, difficulty: Difficulty = Difficulty()) -> Picture:
    """Draw picture `k` of the endless series that starts from `seed`."""
    rng = Random(f"{seed} {k}")
    image = Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    pen = Pen.over(image)
    rng.choice(BACKGROUNDS)(pen, rng)
    label = int(rng.random() < difficulty.cat_share)
    subject = cat if label else rng.choices(list(OTHERS), list(OTHERS.values()))[0]
    subject(_placed(pen, rng, difficulty), rng)
    if rng.random() < difficulty.hidden:
        rng.choice(OBSTACLES)(pen, rng)
    return Picture(_photographed(image.reduce(SUPERSAMPLING), rng, difficulty), label)


def _placed(pen: Pen, rng: Random, difficulty: Difficulty) -> Pen:
    x, y = rng.gauss(0, difficulty.shift), rng.gauss(0, difficulty.shift)
    scale, tilt = rng.uniform(*difficulty.scale), rng.gauss(0, difficulty.tilt)
    return pen.at(x, y, scale, tilt, mirror=rng.random() < 0.5)


def _photographed(image: Image.Image, rng: Random, difficulty: Difficulty) -> Image.Image:
    """Uneven light, now and then a soft focus or no colour, and the grain of a sensor."""
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(min(image.size) * rng.uniform(0.004, 0.012)))
    if rng.random() < 0.04:
        image = image.convert("L").convert("RGB")
    width, height = image.size
    noise = np.random.default_rng(rng.getrandbits(64))
    turn, fall = rng.uniform(0, 2 * pi), max(0.0, rng.uniform(-1, 1)) * difficulty.shade
    slope = np.add.outer(np.linspace(-1, 1, height) * sin(turn), np.linspace(-1, 1, width) * cos(turn))
    light = rng.uniform(*difficulty.exposure) * (1 + fall * slope)  # (height, width)
    pixels = np.asarray(image) * light[..., None].astype(np.float32)
    grain = noise.standard_normal((height, width, 1), np.float32)
    pixels += grain * max(0.0, rng.uniform(-1, 1)) * difficulty.grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
