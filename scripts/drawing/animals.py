"""Cats and dogs: the same poses and kinds of fur, different heads, coats and tails.

A subject fills about -1 to 1 of its pen's frame in both directions; a head does so in its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from random import Random

import numpy as np

from .pen import (
    BLACK,
    PINK,
    WHITE,
    Colour,
    Outline,
    Pen,
    Points,
    mix,
    oval,
    ribbon,
    smooth,
    tone,
    vary,
)


@dataclass(frozen=True)
class Coat:
    """Colours of one animal's fur and eyes, and the name of its pattern."""

    pattern: str
    base: Colour
    marks: Colour
    light: Colour
    eyes: Colour

    @property
    def tips(self) -> Colour:
        """Colour of ears, paws and tail."""
        return self.marks if self.pattern == "points" else self.base

    @property
    def paws(self) -> Colour:
        """Colour of the paws: white socks where the pattern has them."""
        return self.light if self.pattern in ("tuxedo", "calico") else self.tips


def _extent(outline: Outline) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _tabby(pen: Pen, outline: Outline, coat: Coat, rng: Random) -> None:
    left, top, right, bottom = _extent(outline)
    count = rng.randint(5, 8)
    for i in range(count):
        x = left + (right - left) * (i + 0.5) / count
        bend = rng.uniform(-0.1, 0.1)
        middle, end = (top + bottom) / 2, top + (bottom - top) * rng.uniform(0.6, 0.85)
        pen.stroke([(x, top), (x + bend, middle), (x, end)], 0.075, coat.marks, 0.3)


def _tuxedo(pen: Pen, outline: Outline, coat: Coat, _rng: Random) -> None:
    left, top, right, bottom = _extent(outline)
    x = (left + right) / 2
    pen.fill(oval(x, bottom, (right - left) * 0.3, (bottom - top) * 0.62), coat.light)


def _calico(pen: Pen, outline: Outline, coat: Coat, rng: Random) -> None:
    left, top, right, bottom = _extent(outline)
    for i in range(7):
        x, y = rng.uniform(left, right), rng.uniform(top, bottom)
        rx, ry = rng.uniform(0.1, 0.24), rng.uniform(0.1, 0.2)
        pen.fill(oval(x, y, rx, ry, rng.uniform(0, pi)), (coat.marks, BLACK)[i % 2])


BODY_MARKS: dict[str, Callable[[Pen, Outline, Coat, Random], None]] = {
    "solid": lambda pen, outline, coat, rng: None, "tabby": _tabby, "tuxedo": _tuxedo,
    "calico": _calico, "points": lambda pen, outline, coat, rng: None,
}  # fmt: skip


def _tabby_face(pen: Pen, coat: Coat) -> None:
    for x in (-0.3, -0.1, 0.1, 0.3):
        pen.stroke([(x * 1.5, -0.85), (x, -0.55), (x * 0.8, -0.35)], 0.09, coat.marks, 0.4)
    for side in (-1, 1):
        for y in (0.15, 0.38):
            pen.stroke([(side, y - 0.1), (side * 0.62, y)], 0.08, coat.marks, 0.4)


def _tuxedo_face(pen: Pen, coat: Coat) -> None:
    pen.fill(smooth([(0, -0.6), (0.16, 0.05), (0.62, 0.6), (0, 1), (-0.62, 0.6), (-0.16, 0.05)]),
             coat.light)  # fmt: skip


def _calico_face(pen: Pen, coat: Coat) -> None:
    pen.fill(oval(-0.6, -0.4, 0.55, 0.5), coat.marks)
    pen.fill(oval(0.72, -0.5, 0.5, 0.45), BLACK)


def _pointed_face(pen: Pen, coat: Coat) -> None:
    for rx, ry, share in ((0.66, 0.7, 0.35), (0.55, 0.56, 0.7), (0.42, 0.42, 1.0)):
        pen.fill(oval(0, 0.25, rx, ry), mix(coat.base, coat.marks, share))


FACE_MARKS: dict[str, Callable[[Pen, Coat], None]] = {
    "solid": lambda pen, coat: None, "tabby": _tabby_face, "tuxedo": _tuxedo_face,
    "calico": _calico_face, "points": _pointed_face,
}  # fmt: skip

CAT_EYES: tuple[Colour, ...] = ((150, 190, 60), (226, 186, 50), (90, 170, 120), (206, 140, 40))
CAT_COATS: dict[str, Coat] = {
    "ginger": Coat("tabby", (224, 146, 72), (170, 88, 32), (246, 222, 190), CAT_EYES[0]),
    "grey tabby": Coat("tabby", (150, 142, 132), (74, 68, 64), (214, 206, 196), CAT_EYES[1]),
    "brown tabby": Coat("tabby", (158, 122, 84), (82, 56, 36), (222, 200, 170), CAT_EYES[2]),
    "black": Coat("solid", (52, 48, 50), BLACK, (84, 78, 78), CAT_EYES[1]),
    "white": Coat("solid", (234, 230, 222), (190, 182, 172), (250, 248, 244), (110, 170, 220)),
    "blue": Coat("solid", (122, 130, 144), (90, 96, 110), (160, 166, 176), CAT_EYES[3]),
    "cream": Coat("solid", (232, 204, 164), (200, 160, 116), (248, 236, 214), CAT_EYES[3]),
    "tuxedo": Coat("tuxedo", (50, 48, 52), BLACK, WHITE, CAT_EYES[0]),
    "grey and white": Coat("tuxedo", (130, 132, 138), (90, 90, 96), WHITE, CAT_EYES[2]),
    "calico": Coat("calico", (238, 232, 222), (216, 132, 58), WHITE, CAT_EYES[0]),
    "siamese": Coat("points", (232, 214, 186), (88, 64, 54), (226, 206, 180), (100, 170, 226)),
}
DOG_COATS: dict[str, Coat] = {
    "golden": Coat("solid", (216, 168, 98), (170, 120, 60), (238, 210, 160), (70, 44, 26)),
    "chocolate": Coat("solid", (112, 74, 50), (74, 46, 32), (160, 116, 84), (90, 56, 26)),
    "black": Coat("solid", (50, 46, 46), BLACK, (90, 82, 78), (80, 50, 30)),
    "white": Coat("solid", (232, 226, 216), (190, 176, 160), (248, 246, 240), (50, 34, 28)),
    "collie": Coat("tuxedo", (48, 46, 50), BLACK, WHITE, (84, 52, 30)),
    "beagle": Coat("tuxedo", (176, 116, 66), (90, 60, 40), WHITE, (70, 44, 26)),
    "spotted": Coat("calico", (236, 230, 220), (130, 84, 52), WHITE, (60, 40, 30)),
    "grey": Coat("solid", (146, 142, 138), (96, 92, 90), (200, 196, 190), (70, 50, 36)),
}


@dataclass(frozen=True)
class Animal:
    """What the poses need to know of a four-legged animal."""

    coat: Coat
    rng: Random
    head: Callable[[Pen, Animal], None]
    tail_width: float
    awake: bool = True

    def body(self, pen: Pen, outline: Outline) -> None:
        """A torso in this animal's fur."""
        pen.mould(outline, self.coat.base)
        with pen.inside(outline) as inner:
            BODY_MARKS[self.coat.pattern](inner, outline, self.coat, self.rng)
            self.fur(inner, outline, 50)

    def fur(self, pen: Pen, outline: Outline, count: int) -> None:
        """Short hairs, lighter and darker than the base."""
        left, top, right, bottom = _extent(outline)
        for _ in range(count):
            x, y = self.rng.uniform(left, right), self.rng.uniform(top, bottom)
            shade = tone(self.coat.base, self.rng.choice((0.82, 0.9, 1.12, 1.2)))
            pen.hair([(x, y), (x + self.rng.uniform(-0.04, 0.04), y + 0.1)], 0.015, shade)

    def tail(self, pen: Pen, points: Points) -> None:
        """A tail along `points`, ringed where the fur is striped."""
        pen.stroke(points, self.tail_width, self.coat.tips, 0.6)
        if self.coat.pattern == "tabby":
            band = ribbon(points, self.tail_width, 0.6)
            for i in range(4, len(band) // 2 - 1, 5):  # the two sides run in opposite directions
                pen.fill(band[[i, i + 2, -i - 3, -i - 1]], self.coat.marks)

    def paw(self, pen: Pen, x: float, y: float, size: float = 0.12) -> None:
        """A paw with toes."""
        pen.mould(oval(x, y, size, size * 0.62), self.coat.paws)
        for step in (-0.35, 0.35):
            toe = [(x + step * size, y), (x + step * size, y + size * 0.5)]
            pen.hair(toe, 0.015, tone(self.coat.paws, 0.6))

    def leg(self, pen: Pen, top: tuple[float, float], foot: tuple[float, float]) -> None:
        """A straight leg with its paw."""
        pen.stroke([top, foot], 0.19, tone(self.coat.base, 0.92), 0.75)
        self.paw(pen, foot[0] - 0.03, foot[1], 0.11)


def _ears(pen: Pen, coat: Coat, height: float) -> None:
    for side in (-1, 1):
        tip = (side * 0.78, -height)
        pen.fill(np.array([(side * 0.98, -0.2), tip, (side * 0.12, -0.72)]), tone(coat.tips, 0.9))
        inner = np.array([(side * 0.84, -0.42), (side * 0.74, 0.13 - height), (side * 0.36, -0.7)])
        pen.fill(inner, mix(PINK, coat.tips, 0.35))


def _slit_eye(pen: Pen, x: float, coat: Coat, pupil: float) -> None:
    slant = 0.25 if x > 0 else -0.25
    pen.fill(oval(x, -0.06, 0.27, 0.225, -slant), tone(coat.base, 0.4))
    pen.fill(oval(x, -0.06, 0.235, 0.19, -slant), coat.eyes)
    pen.fill(oval(x, -0.06, pupil, 0.185), BLACK)
    pen.fill(oval(x + 0.06, -0.14, 0.045, 0.045), WHITE)


def _closed_eye(pen: Pen, x: float, coat: Coat) -> None:
    pen.stroke([(x - 0.2, -0.06), (x, 0.06), (x + 0.2, -0.06)], 0.06, tone(coat.base, 0.3))


def _whiskers(pen: Pen, coat: Coat) -> None:
    colour = WHITE if sum(coat.light) < 480 else mix(coat.light, WHITE, 0.6)
    for side in (-1, 1):
        for y, drop in ((0.3, 0.08), (0.4, 0.38), (0.5, 0.62)):
            pen.hair([(side * 0.3, y), (side * 0.85, drop), (side * 1.35, drop)], 0.022, colour)


def cat_head(pen: Pen, cat: Animal) -> None:
    """A cat's face about (0, 0), one unit from the middle to the cheeks."""
    coat, rng = cat.coat, cat.rng
    _ears(pen, coat, rng.uniform(1.2, 1.45))
    skull = smooth([(0, -0.82), (0.68, -0.62), (1, 0.05), (0.72, 0.62), (0, 0.86),
                    (-0.72, 0.62), (-1, 0.05), (-0.68, -0.62)])  # fmt: skip
    pen.mould(skull, coat.base)
    with pen.inside(skull) as inner:
        FACE_MARKS[coat.pattern](inner, coat)
        cat.fur(inner, skull, 24)
    muzzle = coat.marks if coat.pattern == "points" else coat.light
    for side in (-1, 1):
        pen.fill(oval(side * 0.2, 0.42, 0.27, 0.22), muzzle)
    pen.fill(oval(0, 0.62, 0.2, 0.14), muzzle)
    pupil = rng.uniform(0.03, 0.085)
    for x in (-0.43, 0.43):
        if cat.awake:
            _slit_eye(pen, x, coat, pupil)
        else:
            _closed_eye(pen, x, coat)
    for side in (-1, 1):
        pen.hair([(0, 0.32), (0, 0.45), (side * 0.2, 0.56)], 0.035, tone(muzzle, 0.4))
    pen.fill(np.array([(-0.13, 0.2), (0.13, 0.2), (0, 0.36)]), mix(PINK, coat.marks, 0.3))
    _whiskers(pen, coat)


def dog_head(pen: Pen, dog: Animal) -> None:
    """A dog's face: hanging ears, a long muzzle, round eyes, a big nose."""
    coat, rng = dog.coat, dog.rng
    skull = smooth([(0, -0.85), (0.62, -0.7), (0.8, 0.0), (0.5, 0.75), (0, 1.05),
                    (-0.5, 0.75), (-0.8, 0.0), (-0.62, -0.7)])  # fmt: skip
    pen.mould(skull, coat.base)
    with pen.inside(skull) as inner:
        FACE_MARKS[coat.pattern](inner, coat)
    for side in (-1, 1):
        ear = smooth([(side * 0.45, -0.82), (side * 0.95, -0.7), (side * 1.15, 0.2),
                      (side * 0.95, 0.62), (side * 0.72, 0.2)])  # fmt: skip
        pen.mould(ear, tone(coat.marks, 1.05))
        pen.fill(oval(side * 0.34, -0.12, 0.15, 0.16), tone(coat.base, 0.55))
        pen.fill(oval(side * 0.34, -0.12, 0.12, 0.13), coat.eyes)
        pen.fill(oval(side * 0.34, -0.12, 0.07, 0.08), BLACK)
        pen.fill(oval(side * 0.34 + 0.05, -0.17, 0.035, 0.035), WHITE)
    if rng.random() < 0.5:
        pen.mould(smooth([(-0.16, 0.75), (0.16, 0.75), (0.14, 1.2), (-0.14, 1.2)]), (222, 104, 110))
    pen.mould(oval(0, 0.55, 0.44, 0.4), coat.light)
    pen.hair([(-0.3, 0.78), (0, 0.7), (0.3, 0.78)], 0.05, BLACK)
    pen.hair([(0, 0.4), (0, 0.7)], 0.04, BLACK)
    pen.mould(oval(0, 0.33, 0.22, 0.16), BLACK)


def face(pen: Pen, animal: Animal) -> None:
    """A close-up of the head, the shoulders below."""
    animal.body(pen, smooth([(-0.5, 0.45), (0.5, 0.45), (0.85, 1.5), (-0.85, 1.5)]))
    animal.head(pen.at(0, 0.08, 0.74, animal.rng.gauss(0, 0.06)), animal)


def sit(pen: Pen, animal: Animal) -> None:
    """Sitting upright, seen from the front."""
    animal.tail(pen, [(0.3, 0.86), (0.72, 0.84), (0.84, 0.5), (0.7, 0.2), (0.8, 0.0)])
    animal.body(pen, smooth([(-0.26, -0.2), (0.26, -0.2), (0.42, 0.3), (0.54, 0.8), (0.3, 0.96),
                             (-0.3, 0.96), (-0.54, 0.8), (-0.42, 0.3)]))  # fmt: skip
    for side in (-1, 1):
        animal.paw(pen, side * 0.42, 0.92, 0.15)
        animal.leg(pen, (side * 0.15, 0.4), (side * 0.16, 0.92))
    animal.head(pen.at(0, -0.38, 0.46, animal.rng.gauss(0, 0.08)), animal)


def lie(pen: Pen, animal: Animal) -> None:
    """Lying like a loaf, the head up."""
    animal.body(pen, smooth([(-0.72, 0.74), (-0.66, 0.25), (-0.1, 0.04), (0.5, 0.06),
                             (0.88, 0.36), (0.88, 0.72), (0.4, 0.8), (-0.4, 0.8)]))  # fmt: skip
    animal.tail(pen, [(0.86, 0.62), (0.7, 0.8), (0.3, 0.8), (0.05, 0.7)])
    for x in (-0.66, -0.3):
        animal.paw(pen, x, 0.78, 0.17)
    animal.head(pen.at(-0.44, -0.02, 0.46, animal.rng.gauss(0, 0.1)), animal)


def walk(pen: Pen, animal: Animal) -> None:
    """Walking to the left, the face turned to the viewer."""
    step = animal.rng.uniform(-0.1, 0.1)
    animal.tail(pen, [(0.62, 0.05), (0.88, -0.15), (0.86, -0.5), (0.98, -0.78)])
    for x, stride in ((-0.3, step), (0.42, -step), (-0.18, -step), (0.56, step)):
        animal.leg(pen, (x, 0.25), (x + stride, 0.86))
    animal.body(pen, smooth([(-0.55, -0.05), (0, -0.14), (0.6, -0.12), (0.76, 0.2), (0.5, 0.42),
                             (0, 0.44), (-0.48, 0.42)]))  # fmt: skip
    animal.head(pen.at(-0.52, -0.3, 0.4, animal.rng.gauss(0, 0.1)), animal)


def curl(pen: Pen, animal: Animal) -> None:
    """Rolled up, the tail round the paws."""
    animal.body(pen, oval(0.05, 0.3, 0.85, 0.55))
    animal.head(pen.at(-0.36, 0.22, 0.44, animal.rng.gauss(-0.25, 0.1)), animal)
    animal.tail(pen, [(0.84, 0.45), (0.5, 0.82), (0.0, 0.86), (-0.45, 0.74)])


POSES: dict[Callable[[Pen, Animal], None], float] = {
    face: 0.42, sit: 0.28, lie: 0.14, walk: 0.09, curl: 0.07,
}  # fmt: skip


def _fur_of(rng: Random, coats: dict[str, Coat]) -> Coat:
    coat = rng.choice(list(coats.values()))
    light, eyes = vary(rng, coat.light, 6), vary(rng, coat.eyes)
    return Coat(coat.pattern, vary(rng, coat.base), vary(rng, coat.marks, 8), light, eyes)


def cat(pen: Pen, rng: Random) -> None:
    """A cat in one of the poses."""
    pose = rng.choices(list(POSES), list(POSES.values()))[0]
    awake = rng.random() < (0.2 if pose is curl else 0.93)
    pose(pen, Animal(_fur_of(rng, CAT_COATS), rng, cat_head, rng.uniform(0.13, 0.2), awake))


def dog(pen: Pen, rng: Random) -> None:
    """A dog in one of the poses."""
    pose = rng.choices(list(POSES), list(POSES.values()))[0]
    pose(pen, Animal(_fur_of(rng, DOG_COATS), rng, dog_head, rng.uniform(0.1, 0.16)))
