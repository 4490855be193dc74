"""Draws the lecture's figure: the cost against the steps for learning rates too small, right, too large.

    python scripts/study_learning_rate.py                    the drawings
    python scripts/study_learning_rate.py --data train.h5    other pictures with labels

Writes docs/learning_rate.png and the curves, docs/learning_rate.csv. The picture is drawn with Pillow,
which catclf has anyway.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from bench import labelled_pictures
from PIL import Image, ImageDraw, ImageFont

from catclf.config import DescentSettings
from catclf.curvature import largest_curvature
from catclf.descent import descend, next_recorded
from catclf.design import Design
from catclf.engines import Engine
from catclf.engines.gram import GramEngine
from catclf.objective import Objective
from catclf.stores.here import InMemory
from catclf.work.parts import core_count

ROOT = Path(__file__).resolve().parent.parent
DRAWINGS = ROOT / "data" / "drawings_train.h5"


_LEG = 100


class Choice(NamedTuple):
    """A learning rate as a multiple of 1/L, what is to be said of it, and its colour."""

    multiple: float
    verdict: str
    colour: str


CHOICES = (
    Choice(50.0, "far too large: thrown about", "#d9745f"),
    Choice(3.0, "above 2/L: swings at first", "#e08a1e"),
    Choice(1.0, "right: falls at every step", "#1f5fbf"),
    Choice(0.1, "small: slow", "#2a9d6f"),
    Choice(0.01, "too small: hardly moves", "#7a808a"),
)


class Curve(NamedTuple):
    """The cost of one descent before its first step and after each."""

    choice: Choice
    rate: float
    costs: list[float]


def study(data: Path, iterations: int) -> tuple[list[Curve], int, float]:
    """Descend once for each choice; also give the number of pictures and L."""
    pictures, labelled = labelled_pictures(str(data))
    positive = labelled.usual_positive or labelled.classes[-1]
    y = np.equal(labelled.labels, labelled.classes.index(positive)).astype(np.float64)
    rows = pictures.reshape(len(y), -1)
    design, w0 = Design(InMemory(rows), 1 / 255), np.zeros(rows.shape[1])
    engine = GramEngine(design, w0, core_count(), own_bias=False)
    objective = Objective("cross-entropy", y, np.full(len(y), 1 / len(y)), l2=0.0)
    curvature = largest_curvature(engine, objective)
    curves = []
    for choice in CHOICES:
        rate = choice.multiple / curvature
        curves.append(Curve(choice, rate, costs_of(engine, objective, rate, iterations)))
    return curves, len(y), curvature


def costs_of(engine: Engine, objective: Objective, rate: float, iterations: int) -> list[float]:
    """Every cost of a descent, which by itself records all steps only up to the hundredth.

    So it is made in legs of a hundred, each from where the last ended; one that diverges is the last.
    """
    leg = DescentSettings(iterations=_LEG, stop="none")
    costs: list[float] = []
    start = engine.start()
    while len(costs) <= iterations:
        descent = descend(engine, objective, leg, rate, start=start)
        costs += [row.cost for row in descent.history if math.isfinite(row.cost)]
        if descent.stop_reason == "diverged":
            break
        costs.pop()  # the next leg begins with it
        start = descent.c
    return costs[: iterations + 1]


def write_csv(curves: Sequence[Curve], path: Path) -> None:
    """One row for each step of each curve that a history would record."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["learning_rate", "times_1_over_L", "step", "cost"])
        for curve in curves:
            step = 0
            while step < len(curve.costs):
                row = f"{curve.rate:.6g}", f"{curve.choice.multiple:g}", step, f"{curve.costs[step]:.6g}"
                writer.writerow(row)
                step = next_recorded(step)


# ---------------------------------------------------------------- the picture

FINE = 3  # drawn so many times larger, then reduced: smooth lines
WIDTH, HEIGHT = 1040, 560
LEFT, RIGHT, TOP, BOTTOM = 76, 250, 96, 66
INK, FAINT, PAPER = "#24292f", "#e3e6ea", "#ffffff"


class Axes(NamedTuple):
    """Steps (with 1 added, so that the start has a place) and costs, both logarithmic, to points."""

    last_step: int
    low: float
    high: float

    def x(self, step: float) -> float:
        share = math.log10(step + 1) / math.log10(self.last_step + 1)
        return FINE * (LEFT + share * (WIDTH - LEFT - RIGHT))

    def y(self, cost: float) -> float:
        share = math.log10(cost / self.low) / math.log10(self.high / self.low)
        return FINE * (HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM))


def draw(curves: Sequence[Curve], title: str, subtitle: str) -> Image.Image:
    """The figure, on white."""
    image = Image.new("RGB", (FINE * WIDTH, FINE * HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    axes = _axes(curves)
    _draw_grid(pen, axes)
    for curve in curves:
        _draw_curve(pen, axes, curve)
    _draw_legend(pen, axes, curves)
    _text(pen, (LEFT, 20), title, 22, "lm", bold=True)
    _text(pen, (LEFT, 50), subtitle, 15, "lm")
    _text(pen, ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 20), "updates made", 16, "mm")
    _text(pen, (LEFT - 14, TOP - 18), "cost", 16, "rm")
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def _axes(curves: Sequence[Curve]) -> Axes:
    lowest = min(min(curve.costs) for curve in curves)
    highest = max(max(curve.costs) for curve in curves)
    return Axes(max(len(curve.costs) for curve in curves) - 1, lowest / 1.3, highest * 1.2)


def _ticks(low: float, high: float, mantissas: Sequence[int]) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
    return [tick for tick in every if low <= tick <= high]


def _draw_grid(pen: ImageDraw.ImageDraw, axes: Axes) -> None:
    left, right = axes.x(0), axes.x(axes.last_step)
    bottom, top = axes.y(axes.low), axes.y(axes.high)
    for cost in _ticks(axes.low, axes.high, (1, 2, 5)):
        pen.line([(left, axes.y(cost)), (right, axes.y(cost))], FAINT, FINE)
        _text(pen, (LEFT - 10, axes.y(cost) / FINE), f"{cost:g}", 14, "rm")
    for step in (0.0, *_ticks(1, axes.last_step, (1, 2, 5))):
        pen.line([(axes.x(step), bottom), (axes.x(step), top)], FAINT, FINE)
        _text(pen, (axes.x(step) / FINE, HEIGHT - BOTTOM + 14), f"{step:,.0f}", 14, "mm")
    pen.line([(left, top), (left, bottom), (right, bottom)], INK, 2 * FINE)


def _draw_curve(pen: ImageDraw.ImageDraw, axes: Axes, curve: Curve) -> None:
    points = [(axes.x(step), axes.y(cost)) for step, cost in enumerate(curve.costs)]
    # Beyond about 2/L the costs jump up and down: a thin line leaves the others visible.
    width = 1.0 if curve.choice.multiple > 10 else 2.4
    pen.line(points, curve.choice.colour, round(width * FINE), joint="curve")


def _draw_legend(pen: ImageDraw.ImageDraw, axes: Axes, curves: Sequence[Curve]) -> None:
    """Two lines of text at the right for each curve, in the order of their last costs."""
    x = WIDTH - RIGHT + 22
    heights = _spread([axes.y(curve.costs[-1]) / FINE for curve in curves], 50)
    for curve, y in zip(curves, heights, strict=True):
        end = (axes.x(len(curve.costs) - 1), axes.y(curve.costs[-1]))
        pen.line([end, (FINE * (x - 6), FINE * y)], curve.choice.colour, FINE)
        multiple = f"{curve.rate:.3g}  =  {curve.choice.multiple:g} / L"
        _text(pen, (x, y - 9), multiple, 16, "lm", curve.choice.colour, bold=True)
        _text(pen, (x, y + 11), curve.choice.verdict, 15, "lm")


def _spread(heights: Sequence[float], pitch: float) -> list[float]:
    """Move labels apart to at least `pitch`, in their order, and keep them above the axis."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = dict.fromkeys(order, 0.0)
    floor = HEIGHT - BOTTOM - 12.0
    for k in reversed(order):
        placed[k] = min(heights[k], floor)
        floor = placed[k] - pitch
    ceiling = TOP + 12.0
    for k in order:
        placed[k] = max(placed[k], ceiling)
        ceiling = placed[k] + pitch
    return [placed[k] for k in range(len(heights))]


def _text(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    anchor: str,
    colour: str = INK,
    *,
    bold: bool = False,
) -> None:
    font = ImageFont.load_default(FINE * size)
    stroke = FINE // 3 if bold else 0
    pen.text((FINE * at[0], FINE * at[1]), text, colour, font, anchor, stroke_width=stroke)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), default=DRAWINGS,
              help="Labelled pictures.  [default: the drawings]")  # fmt: skip
@click.option("--iterations", type=click.IntRange(10), default=2000, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "learning_rate.png")
def main(data: Path, iterations: int, out: Path) -> None:
    """Draw the cost against the steps for five learning rates."""
    curves, m, curvature = study(data, iterations)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(curves, out.with_suffix(".csv"))
    rates = f"1/L = {1 / curvature:.3g}, limit of stability 2/L = {2 / curvature:.3g}"
    title = "Learning rates: too small, right, too large"
    draw(curves, title, f"{data.name}, {m} pictures; {rates}").quantize(128).save(out, optimize=True)
    for curve in curves:
        steps = len(curve.costs) - 1
        click.echo(
            f"{curve.rate:10.4g}  {curve.choice.verdict:28} cost {curve.costs[-1]:.4g} after {steps}"
        )


if __name__ == "__main__":
    main()
