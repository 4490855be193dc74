"""Draws the lecture's figures of the two costs: cross entropy is a bowl, squared error has valleys.

    python scripts/study_convexity.py

Writes docs/convexity.png and docs/chords.png, and prints the numbers that belong to them.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from catclf.config import LOSS_NAMES, DescentSettings
from catclf.descent import descend
from catclf.design import Design
from catclf.engines.primal import PrimalEngine
from catclf.logistic import LOSSES, Vector
from catclf.objective import Objective
from catclf.stores.here import InMemory

ROOT = Path(__file__).resolve().parent.parent

# Four pictures of one feature each, and no bias: a cost that can be drawn.
X = np.array([10.0, 0.3, 1.0, 1.0])
Y = np.array([1.0, 1.0, 0.0, 0.0])
FROM, RATE = -4.0, 0.1
SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 20_000)  # updates
LOW, HIGH = -6.0, 4.0
CHORDS = {"cross-entropy": (-3.0, 3.0), "squared-error": (-2.5, 0.3)}

COLOURS = {"cross-entropy": "#1f5fbf", "squared-error": "#d9745f"}
SHADE, MUTED = "#f6d9d2", "#7a808a"


def cost(loss: str, w: Vector) -> Vector:
    """J at each of the weights w (k,)."""
    means: Vector = LOSSES[loss].value(w[:, np.newaxis] * X, Y).mean(axis=1)
    return means


def path(loss: str) -> Vector:
    """The weights that a descent from `FROM` passes after the updates `SHOWN`."""
    design = Design(InMemory(X[:, np.newaxis].astype(np.float32)), 1.0)
    engine = PrimalEngine(design, np.array([FROM]), 1)
    objective = Objective(loss, Y, np.full(len(Y), 1 / len(Y)), l2=0.0)

    def after(updates: int) -> float:
        settings = DescentSettings(iterations=updates, stop="none")
        end = descend(engine, objective, settings, RATE, bias_factor=0.0)
        return float(engine.weights(end.c)[0])

    return np.array([after(updates) for updates in SHOWN])


def draw() -> Figure:
    """One picture's losses against z, and both costs of the four pictures against w."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    one, *both = figure.subplots(1, 3)
    _draw_losses(one)
    for axes, loss in zip(both, reversed(LOSS_NAMES), strict=True):
        _draw_cost(axes, loss)
    return figure


def _draw_losses(axes: Axes) -> None:
    z = np.linspace(-6, 6, 400)
    for loss in LOSS_NAMES:
        axes.plot(z, LOSSES[loss].value(z, np.zeros(len(z))), color=COLOURS[loss], label=loss)
    axes.axvspan(np.log(2), 6, color=SHADE, linewidth=0, label="squared error bends down")
    axes.set(title="The loss of one picture with y = 0", xlabel="z", xlim=(-6, 6), ylim=(-0.1, 4))
    axes.legend(loc="upper left", frameon=False, fontsize=9)


def _draw_cost(axes: Axes, loss: str) -> None:
    w, points = np.linspace(LOW, HIGH, 1000), path(loss)
    axes.plot(w, cost(loss, w), color=COLOURS[loss])
    axes.plot(points, cost(loss, points), "o", color=MUTED, markersize=4)
    at = (points[-1], cost(loss, points[-1:])[0])
    axes.plot(*at, "o", color="black", label=f"a descent from w = {FROM:g} ends at {at[0]:.3f}")
    axes.set(title=f"The cost of four pictures: {loss}", xlabel="w", xlim=(LOW, HIGH))
    axes.legend(loc="upper right", frameon=False, fontsize=9)


def draw_chords() -> Figure:
    """A chord of each cost of the four pictures, and the two cases of the cross entropy."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    *both, cases = figure.subplots(1, 3)
    for axes, loss in zip(both, LOSS_NAMES, strict=True):
        _draw_chord(axes, loss)
    _draw_cases(cases)
    return figure


def _draw_chord(axes: Axes, loss: str) -> None:
    w, ends = np.linspace(LOW, HIGH, 1000), np.array(CHORDS[loss])
    axes.plot(w, cost(loss, w), color=COLOURS[loss], label="J")
    axes.plot(ends, cost(loss, ends), "o--", color="black", linewidth=1.2, label="a chord")
    kind = "not convex" if gap(loss) < 0 else "convex"
    axes.set(title=f"{loss}: {kind}", xlabel="w", xlim=(LOW, HIGH))
    axes.legend(loc="upper right", frameon=False, fontsize=9)


def _draw_cases(axes: Axes) -> None:
    p = np.linspace(0.001, 0.999, 500)
    axes.plot(p, -np.log(p), color=COLOURS["cross-entropy"], label="y = 1:  −log p")
    axes.plot(p, -np.log(1 - p), color=COLOURS["squared-error"], label="y = 0:  −log(1 − p)")
    axes.set(title="The two cases of the cross entropy", xlabel="p", xlim=(0, 1), ylim=(0, 5))
    axes.legend(loc="upper center", frameon=False, fontsize=9)


def gap(loss: str) -> float:
    """The least height of the chord above the graph between its ends."""
    share = np.linspace(0, 1, 1001)
    ends = np.array(CHORDS[loss])
    between = share * ends[0] + (1 - share) * ends[1]
    heights = cost(loss, ends)
    return float((share * heights[0] + (1 - share) * heights[1] - cost(loss, between)).min())


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "convexity.png")
@click.option("--chords", type=click.Path(path_type=Path), default=ROOT / "docs" / "chords.png")
def main(out: Path, chords: Path) -> None:
    """Draw both losses of one picture, and both costs of four, with a descent down each and a chord."""
    draw().savefig(out, dpi=100, metadata={"Software": None})
    draw_chords().savefig(chords, dpi=100, metadata={"Software": None})
    for loss in LOSS_NAMES:
        click.echo(f"{loss}: the chord is {gap(loss):+.4f} from the graph at the lowest")
    for loss in LOSS_NAMES:
        w = path(loss)[-1:]
        click.echo(f"{loss}: from w = {FROM:g} to w = {w[0]:.4f}, where J = {cost(loss, w)[0]:.4f}")


if __name__ == "__main__":
    main()
