"""Geometry and colour: outlines, and a pen that paints them on a picture in a frame of its own.

Coordinates run to the right (x) and down (y); an outline is the array of a polygon's corners.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import cos, pi, sin
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Outline = NDArray[np.float64]  # (n, 2) corners of a closed polygon
Points = Sequence[tuple[float, float]]

BLACK, WHITE, PINK = (28, 26, 28), (240, 238, 232), (226, 150, 150)
BRIGHT: tuple[Colour, ...] = (
    (196, 52, 44), (44, 98, 176), (230, 180, 50), (60, 140, 84), (214, 120, 44),
    (120, 84, 150), (220, 214, 204), (70, 76, 88), (96, 170, 190), (150, 96, 60),
)  # fmt: skip


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour `share` of the way from `a` to `b`."""
    red, green, blue = (round(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return red, green, blue


def tone(colour: Colour, factor: float) -> Colour:
    """`colour` brightened (factor > 1) or darkened."""
    red, green, blue = (min(255, max(0, round(c * factor))) for c in colour)
    return red, green, blue


def vary(rng: Random, colour: Colour, spread: int = 16) -> Colour:
    """A colour near `colour`: lighter or darker by up to `spread` levels, its hue little changed."""
    lighter, hue = rng.randint(-spread, spread), spread // 4
    red, green, blue = (min(255, max(0, c + lighter + rng.randint(-hue, hue))) for c in colour)
    return red, green, blue


_ANGLES = np.linspace(0, 2 * pi, 40, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)  # (40, 2)


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Outline:
    """An ellipse about (x, y), turned by `turn` radians."""
    axes = np.array([[rx * cos(turn), rx * sin(turn)], [-ry * sin(turn), ry * cos(turn)]])
    return np.asarray(_CIRCLE @ axes + (x, y))


def box(x: float, y: float, rx: float, ry: float) -> Outline:
    """An upright rectangle about (x, y) with half sides rx and ry."""
    return np.array([(x - rx, y - ry), (x + rx, y - ry), (x + rx, y + ry), (x - rx, y + ry)])


_T = np.linspace(0, 1, 7, endpoint=False)
_CATMULL_ROM = 0.5 * (
    np.stack([_T**0, _T, _T**2, _T**3], axis=1)
    @ np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
)  # (7, 4): weights of four neighbouring points


def _through(points: Outline) -> Outline:
    """Catmull-Rom spline from the second of `points` up to the last but one."""
    windows = np.stack([points[i : len(points) - 3 + i] for i in range(4)])  # (4, n, 2)
    return np.asarray(np.einsum("tk,knd->ntd", _CATMULL_ROM, windows)).reshape(-1, 2)


def smooth(points: Points) -> Outline:
    """A closed smooth curve through `points`."""
    ring = np.asarray(points, dtype=np.float64)
    return _through(np.concatenate([ring[-1:], ring, ring[:2]]))


def ribbon(points: Points, width: float, taper: float = 1.0) -> Outline:
    """A band along a smooth curve through `points`, `width * taper` wide at its end."""
    knots = np.asarray(points, dtype=np.float64)
    path = np.concatenate([_through(np.concatenate([knots[:1], knots, knots[-1:]])), knots[-1:]])
    along = np.gradient(path, axis=0)
    across = along[:, ::-1] * (-1, 1) / (np.linalg.norm(along, axis=1, keepdims=True) + 1e-9)
    half = np.linspace(width / 2, width * taper / 2, len(path))[:, None]
    return np.concatenate([path + across * half, (path - across * half)[::-1]])


class Pen:
    """Paints on a picture in a frame of its own: moved, scaled, turned, maybe mirrored."""

    def __init__(self, image: Image.Image, origin: Outline, axes: Outline) -> None:
        self.image = image
        self.origin = origin  # (2,) pixels
        self.axes = axes  # (2, 2) rows: where one step in x and in y leads, in pixels
        self._draw = ImageDraw.Draw(image)

    @classmethod
    def over(cls, image: Image.Image) -> Pen:
        """A pen with (0, 0) in the middle and 1 at the nearer edges of `image`."""
        return cls(image, np.array(image.size) / 2, np.eye(2) * min(image.size) / 2)

    def at(self, x: float, y: float, scale: float = 1.0, turn: float = 0.0, mirror: bool = False) -> Pen:
        """A pen whose frame is placed at (x, y) of this one's."""
        spin = scale * np.array([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]])
        flip = np.diag([-1.0 if mirror else 1.0, 1.0])
        return Pen(self.image, self.origin + (x, y) @ self.axes, flip @ spin @ self.axes)

    def reach(self) -> tuple[float, float]:
        """Half width and half height of the picture in this frame, when it is upright."""
        rx, ry = np.array(self.image.size) / 2 / np.abs(np.diag(self.axes))
        return float(rx), float(ry)

    def fill(self, outline: Outline, colour: Colour) -> None:
        """Fill a closed outline with one colour."""
        self._draw.polygon(self._pixels(outline), fill=colour)

    def mould(self, outline: Outline, colour: Colour) -> None:
        """Fill a closed outline so that it looks round, lit from above."""
        middle = outline.mean(axis=0)
        for shrink, light in ((1.0, 0.80), (0.9, 0.90), (0.74, 1.0), (0.5, 1.08)):
            lift = (0.0, -0.10 * (1 - shrink))
            self.fill((outline - middle) * shrink + middle + lift, tone(colour, light))

    def stroke(self, points: Points, width: float, colour: Colour, taper: float = 1.0) -> None:
        """A smooth line with round ends."""
        self.fill(ribbon(points, width, taper), colour)
        for (x, y), radius in ((points[0], width / 2), (points[-1], width * taper / 2)):
            self.fill(oval(x, y, radius, radius), colour)

    def hair(self, points: Points, width: float, colour: Colour) -> None:
        """A thin line, never thinner than a pixel of the large canvas."""
        pixels = max(1, round(width * float(np.linalg.norm(self.axes[1]))))
        self._draw.line(self._pixels(np.asarray(points)), fill=colour, width=pixels)

    @contextmanager
    def inside(self, outline: Outline) -> Iterator[Pen]:
        """A pen that leaves no trace outside of `outline`."""
        layer = self.image.copy()
        yield Pen(layer, self.origin, self.axes)
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(self._pixels(outline), fill=255)
        self.image.paste(layer, mask=mask)

    def _pixels(self, outline: Outline) -> list[tuple[float, float]]:
        return [(x, y) for x, y in (outline @ self.axes + self.origin).tolist()]
