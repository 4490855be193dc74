"""What stands behind a subject and what hides a part of it, the same for cats and other things."""

from __future__ import annotations

from math import pi
from random import Random

import numpy as np

from .pen import BRIGHT, WHITE, Colour, Pen, box, mix, oval, tone, vary


def room(pen: Pen, rng: Random) -> None:
    """A wall, a floor, perhaps a picture on the wall."""
    rx, ry = pen.reach()
    wall, floor = _calm(rng), _calm(rng)
    skirting = rng.uniform(0.1, 0.6)
    pen.fill(box(0, 0, rx, ry), wall)
    if rng.random() < 0.6:
        x, y, size = rng.uniform(-rx, rx), rng.uniform(-0.8, 0), rng.uniform(0.2, 0.4)
        pen.fill(box(x, y, size, size * 0.8), tone(wall, 0.6))
        pen.fill(box(x, y, size * 0.85, size * 0.65), _calm(rng))
    pen.fill(box(0, skirting + ry, rx, ry), floor)
    pen.fill(box(0, skirting, rx, 0.03), tone(wall, 1.2))


def meadow(pen: Pen, rng: Random) -> None:
    """Sky, a hill and grass."""
    rx, ry = pen.reach()
    grass = vary(rng, rng.choice(((104, 150, 70), (150, 156, 90), (84, 120, 74))))
    _gradient(pen, vary(rng, (130, 176, 220)), vary(rng, (214, 226, 232)))
    pen.fill(oval(rng.uniform(-rx, rx), ry, 1.6, rng.uniform(0.6, 1.3)), tone(grass, 0.85))
    horizon = rng.uniform(0.1, 0.6)
    pen.fill(box(0, horizon + ry, rx, ry), grass)
    for _ in range(40):
        x, y = rng.uniform(-rx, rx), rng.uniform(horizon, ry)
        pen.hair([(x, y), (x + 0.03, y - 0.14)], 0.02, tone(grass, rng.choice((0.75, 1.2))))


def blurred_spots(pen: Pen, rng: Random) -> None:
    """Leaves or lights far out of focus."""
    rx, ry = pen.reach()
    colour = _calm(rng)
    pen.fill(box(0, 0, rx, ry), tone(colour, 0.7))
    for _ in range(14):
        size = rng.uniform(0.15, 0.5)
        spot = oval(rng.uniform(-rx, rx), rng.uniform(-ry, ry), size, size)
        pen.fill(spot, vary(rng, tone(colour, rng.uniform(0.6, 1.2)), 24))


def wallpaper(pen: Pen, rng: Random) -> None:
    """Stripes, upright or level."""
    rx, ry = pen.reach()
    colour, width = _calm(rng), rng.uniform(0.1, 0.3)
    pen.fill(box(0, 0, rx, ry), colour)
    upright, stripe = rng.random() < 0.6, vary(rng, tone(colour, 0.82), 20)
    for at in np.arange(-max(rx, ry), max(rx, ry), 2 * width).tolist():
        pen.fill(box(at, 0, width / 2, ry) if upright else box(0, at, rx, width / 2), stripe)


def cushions(pen: Pen, rng: Random) -> None:
    """A sofa with cushions."""
    rx, ry = pen.reach()
    colour = _calm(rng)
    pen.fill(box(0, 0, rx, ry), _calm(rng))
    pen.fill(box(0, rng.uniform(-0.4, 0.1) + ry, rx, ry), colour)
    for _ in range(4):
        x, y, size = rng.uniform(-rx, rx), rng.uniform(-0.2, 0.6), rng.uniform(0.3, 0.6)
        pen.mould(oval(x, y, size, size * 0.8), vary(rng, tone(colour, rng.uniform(0.8, 1.2))))


def backdrop(pen: Pen, rng: Random) -> None:
    """One colour running into another."""
    _gradient(pen, _calm(rng), _calm(rng))


def _calm(rng: Random) -> Colour:
    """A colour that a wall, a floor or a sofa may have."""
    grey = rng.randint(60, 220)
    return vary(rng, mix(rng.choice(BRIGHT), (grey, grey, grey), rng.uniform(0.4, 0.8)))


def _gradient(pen: Pen, top: Colour, bottom: Colour) -> None:
    rx, ry = pen.reach()
    for i in range(16):
        pen.fill(box(0, ry * (i / 8 - 15 / 16), rx, ry / 8), mix(top, bottom, i / 15))


BACKGROUNDS = (room, meadow, blurred_spots, wallpaper, cushions, backdrop)


def crate(pen: Pen, rng: Random) -> None:
    """A box in front of a lower corner."""
    colour, side = _calm(rng), rng.choice((-1, 1))
    middle, height = side * rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.8)
    pen.fill(box(middle, height + 0.5, 0.5, 0.5), colour)
    pen.fill(box(middle, height, 0.54, 0.06), tone(colour, 0.8))


def leaves(pen: Pen, rng: Random) -> None:
    """A plant growing in from the side."""
    side, colour = rng.choice((-1, 1)), vary(rng, (72, 124, 66))
    for _ in range(7):
        x, y, turn = side * rng.uniform(0.5, 1.05), rng.uniform(-0.9, 1), rng.uniform(0, pi)
        pen.mould(oval(x, y, 0.3, 0.09, turn), tone(colour, rng.uniform(0.8, 1.2)))


def fence(pen: Pen, rng: Random) -> None:
    """A few pickets."""
    colour, first = mix(_calm(rng), WHITE, 0.4), rng.uniform(-1, -0.6)
    for x in np.arange(first, 1.2, rng.uniform(0.5, 0.7)).tolist():
        pen.fill(box(x, 0.75, 0.07, 0.5), colour)
    pen.fill(box(0, 0.75, pen.reach()[0], 0.06), tone(colour, 0.85))


def table_edge(pen: Pen, rng: Random) -> None:
    """A board along the lower edge."""
    pen.fill(box(0, rng.uniform(0.55, 0.75) + 1, pen.reach()[0], 1), _calm(rng))


OBSTACLES = (crate, leaves, fence, table_edge)
