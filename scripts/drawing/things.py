"""Everything that is not a cat; dogs come from their own module."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from random import Random

import numpy as np

from .animals import dog
from .pen import BLACK, BRIGHT, WHITE, Pen, box, mix, oval, smooth, tone, vary


def bird(pen: Pen, rng: Random) -> None:
    """A bird on a branch, looking left."""
    colour = vary(rng, rng.choice(BRIGHT))
    pen.stroke([(-1.1, 0.72), (0, 0.66), (1.1, 0.75)], 0.12, (96, 70, 48))
    for x in (-0.08, 0.12):
        pen.hair([(x, 0.4), (x, 0.66)], 0.05, (200, 140, 60))
    pen.fill(np.array([(0.3, 0.1), (0.98, 0.5), (0.85, 0.68), (0.2, 0.4)]), tone(colour, 0.7))
    pen.mould(smooth([(-0.5, -0.3), (-0.1, -0.4), (0.45, 0.05), (0.45, 0.38), (0, 0.5),
                      (-0.4, 0.25)]), colour)  # fmt: skip
    pen.mould(oval(-0.18, 0.22, 0.26, 0.24), mix(colour, WHITE, 0.6))
    pen.mould(oval(0.2, 0.12, 0.34, 0.18, 0.5), tone(colour, 0.75))
    pen.mould(oval(-0.36, -0.4, 0.31, 0.3), colour)
    pen.fill(np.array([(-0.62, -0.5), (-0.98, -0.34), (-0.62, -0.28)]), (232, 160, 44))
    pen.fill(oval(-0.44, -0.46, 0.07, 0.07), WHITE)
    pen.fill(oval(-0.45, -0.46, 0.045, 0.045), BLACK)


def fish(pen: Pen, rng: Random) -> None:
    """A fish swimming to the left."""
    colour, second = vary(rng, rng.choice(BRIGHT)), vary(rng, rng.choice(BRIGHT))
    pen.mould(smooth([(0.5, 0), (0.95, -0.45), (0.85, 0), (0.95, 0.45)]), second)
    pen.mould(smooth([(-0.3, -0.35), (0.1, -0.72), (0.45, -0.25)]), second)
    body = smooth([(-0.92, 0.02), (-0.4, -0.42), (0.2, -0.4), (0.66, -0.04), (0.66, 0.06),
                   (0.2, 0.42), (-0.4, 0.42)])  # fmt: skip
    pen.mould(body, colour)
    with pen.inside(body) as inner:
        for x in (-0.25, 0.05, 0.35)[: rng.randint(0, 3)]:
            inner.stroke([(x, -0.5), (x + 0.08, 0), (x, 0.5)], 0.12, second)
    pen.mould(oval(-0.05, 0.18, 0.2, 0.1, 0.5), tone(second, 0.9))
    pen.fill(oval(-0.62, -0.1, 0.11, 0.11), WHITE)
    pen.fill(oval(-0.63, -0.1, 0.06, 0.06), BLACK)


def car(pen: Pen, rng: Random) -> None:
    """A car from the side."""
    colour = vary(rng, rng.choice(BRIGHT))
    roof = rng.uniform(-0.5, -0.35)
    pen.fill(np.array([(-0.62, 0.05), (-0.36, roof), (0.34, roof), (0.68, 0.05)]), colour)
    pen.mould(smooth([(-0.98, 0.1), (-0.6, 0), (0.7, 0), (0.98, 0.14), (0.98, 0.5), (-0.98, 0.5)]),
              colour)  # fmt: skip
    for left, top, right in ((-0.5, -0.3, -0.03), (0.04, 0.3, 0.54)):
        corners = [(left, 0.02), (top, roof + 0.08), (max(top, -0.03), roof + 0.08), (right, 0.02)]
        pen.fill(np.array(corners), (150, 186, 206))
    for x in (-0.56, 0.56):
        pen.fill(oval(x, 0.5, 0.24, 0.24), BLACK)
        pen.fill(oval(x, 0.5, 0.12, 0.12), (176, 176, 180))
    pen.fill(oval(-0.92, 0.2, 0.06, 0.08), (250, 236, 160))


def house(pen: Pen, rng: Random) -> None:
    """A house with a pitched roof."""
    wall, roof = vary(rng, rng.choice(BRIGHT)), vary(rng, rng.choice(((150, 60, 48), (84, 74, 78))))
    wide, eaves = rng.uniform(0.6, 0.8), rng.uniform(-0.25, 0.0)
    pen.fill(box(0, (0.92 + eaves) / 2, wide, (0.92 - eaves) / 2), mix(wall, WHITE, 0.35))
    pen.fill(box(rng.choice((-0.4, 0.4)), -0.55, 0.09, 0.25), tone(roof, 0.7))
    pen.fill(np.array([(-wide - 0.15, eaves), (0, -0.92), (wide + 0.15, eaves)]), roof)
    pen.fill(box(0, 0.68, 0.13, 0.25), tone(roof, 0.8))
    for x in (-0.42, 0.42):
        pen.fill(box(x, 0.3, 0.15, 0.16), WHITE)
        pen.fill(box(x, 0.3, 0.12, 0.13), rng.choice(((120, 160, 190), (240, 214, 120))))


def tree(pen: Pen, rng: Random) -> None:
    """A tree with a round crown."""
    leaf = vary(rng, rng.choice(((70, 124, 58), (112, 140, 56), (196, 120, 44), (50, 96, 70))))
    pen.stroke([(0, 1.0), (0.04, 0.5), (0, 0.0)], 0.3, (100, 72, 50), 0.6)
    for _ in range(16):
        x, y = rng.gauss(0, 0.34), rng.gauss(-0.3, 0.26)
        pen.mould(oval(x, y, 0.27, 0.24), tone(leaf, rng.uniform(0.8, 1.2)))


def cup(pen: Pen, rng: Random) -> None:
    """A steaming cup with a handle."""
    colour = vary(rng, rng.choice(BRIGHT))
    pen.stroke([(0.45, -0.1), (0.85, -0.05), (0.8, 0.4), (0.42, 0.5)], 0.13, tone(colour, 0.85))
    pen.mould(smooth([(-0.58, -0.35), (0.58, -0.35), (0.52, 0.4), (0.36, 0.8), (-0.36, 0.8),
                      (-0.52, 0.4)]), colour)  # fmt: skip
    pen.fill(oval(0, -0.34, 0.58, 0.15), mix(colour, WHITE, 0.4))
    pen.fill(oval(0, -0.32, 0.5, 0.11), (84, 52, 34))
    for x in (-0.2, 0.15):
        pen.stroke([(x, -0.5), (x + 0.08, -0.66), (x - 0.04, -0.82)], 0.05, (222, 222, 222), 0.4)


def person(pen: Pen, rng: Random) -> None:
    """A human face."""
    skin = vary(rng, rng.choice(((240, 204, 176), (206, 154, 116), (140, 94, 66), (98, 66, 50))))
    hair = vary(rng, rng.choice(((40, 32, 30), (110, 70, 40), (206, 168, 96), (150, 146, 142))))
    iris = rng.choice(((70, 50, 36), (80, 120, 150)))
    long = rng.choice((0.2, 0.7))
    pen.mould(smooth([(-0.8, 1.5), (-0.5, 0.95), (0.5, 0.95), (0.8, 1.5)]), rng.choice(BRIGHT))
    pen.fill(smooth([(-0.66, long), (-0.62, -0.5), (0, -0.92), (0.62, -0.5), (0.66, long)]), hair)
    pen.fill(box(0, 0.8, 0.17, 0.25), tone(skin, 0.85))
    pen.mould(oval(0, 0.12, 0.5, 0.66), skin)
    pen.fill(smooth([(-0.52, -0.1), (-0.4, -0.62), (0.3, -0.68), (0.52, -0.1), (0.1, -0.38)]), hair)
    for x in (-0.2, 0.2):
        pen.fill(oval(x, 0.05, 0.1, 0.06), WHITE)
        pen.fill(oval(x, 0.05, 0.05, 0.055), iris)
        pen.stroke([(x - 0.11, -0.09), (x + 0.11, -0.09)], 0.04, hair)
    pen.hair([(0, 0.08), (-0.06, 0.3), (0.04, 0.31)], 0.03, tone(skin, 0.7))
    pen.stroke([(-0.17, 0.46), (0, 0.53), (0.17, 0.46)], 0.06, (186, 84, 84))


def clutter(pen: Pen, rng: Random) -> None:
    """A heap of boxes, balls and sticks."""
    for _ in range(rng.randint(8, 14)):
        x, y = rng.gauss(0, 0.45), rng.gauss(0.15, 0.4)
        rx, ry, turn = rng.uniform(0.08, 0.35), rng.uniform(0.08, 0.35), rng.uniform(0, pi)
        outline = rng.choice((oval(0, 0, rx, ry), box(0, 0, rx, ry), box(0, 0, rx, 0.05)))
        pen.at(x, y, 1.0, turn).mould(outline, vary(rng, rng.choice(BRIGHT), 30))


OTHERS: dict[Callable[[Pen, Random], None], float] = {
    dog: 0.24, bird: 0.09, fish: 0.09, car: 0.1, house: 0.1, tree: 0.09, cup: 0.09,
    person: 0.1, clutter: 0.1,
}  # fmt: skip
