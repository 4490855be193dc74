"""Curves of an evaluation and of a training, as SVG or PNG. The only module that knows matplotlib."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.descent import Step
from catclf.metrics import calibration, precision_recall_curve, roc_curve
from catclf.model import HISTORY_COLUMNS
from catclf.pipeline.evaluation import Evaluation
from catclf.printable import number_of

# matplotlib keeps a list of fonts in the user's home, unless it knows of another folder before it is
# imported. This one goes when the program ends.
_CACHE = tempfile.TemporaryDirectory(prefix="catclf-")
os.environ.setdefault("MPLCONFIGDIR", _CACHE.name)

import matplotlib as mpl  # noqa: E402 - see above
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

# Mid-tones that can be read on white and on near-black.
_POSITIVE, _NEGATIVE, _MUTED = "#d9692b", "#3d86c6", "#8a8f98"
_CROSS_ENTROPY = "cross-entropy"
# Stands for "the colour of the text around", which a page in the dark replaces.
_INK = "#010203"

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _MUTED,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.alpha": 0.25,
    "grid.color": _MUTED,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "lines.linewidth": 1.8,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "catclf",
    "text.color": _INK,
    "xtick.color": _INK,
    "xtick.labelcolor": _INK,
    "ytick.color": _INK,
    "ytick.labelcolor": _INK,
}


def evaluation_figures(evaluation: Evaluation) -> dict[str, str]:
    """Draw the curves that are defined for these pictures, as SVG by name."""
    drawers = {
        "roc": _draw_roc,
        "precision_recall": _draw_precision_recall,
        "calibration": _draw_calibration,
        "histogram": _draw_histogram,
    }
    figures = {}
    for name, draw in drawers.items():
        with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):  # references differ between figures
            figure = Figure(figsize=(4.2, 3.4))
            if draw(figure.subplots(), evaluation):
                figures[name] = _svg(figure)
    return figures


def learning_curve_svg(
    history: NDArray[np.float64], learning_rate: float | None, loss: str = _CROSS_ENTROPY
) -> str:
    """Draw cost and ‖gradient‖ over the steps, from a model's history (k, 3 or 4), as SVG."""
    with mpl.rc_context(_STYLE):
        return _svg(_learning_curve(history, learning_rate, loss))


def learning_curve_png(
    history: NDArray[np.float64], learning_rate: float | None, loss: str = _CROSS_ENTROPY
) -> bytes:
    """Draw the same as PNG, on white."""
    with mpl.rc_context(_STYLE):
        return _png(_learning_curve(history, learning_rate, loss))


def rates_png(curves: Sequence[tuple[float, Sequence[Step], bool]], loss: str) -> bytes:
    """Draw the costs of several learning rates in one picture, as PNG.

    Parameters
    ----------
    curves : sequence of (learning rate, steps, whether it diverged)
        Curves that diverge leave the picture at its top.
    loss : str
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.4))
        axes = figure.subplots()
        axes.set_title("Gradient descent with several learning rates", fontsize=11)
        kept, first = [], 0.0
        for k, (rate, steps, diverged) in enumerate(curves):
            at = np.array([step.step for step in steps], np.float64)
            costs = np.array([step.cost for step in steps])
            ended = f", diverged after {number_of(int(at[-1]), 'update')}" if diverged else ""
            _draw_steps(axes, at, costs, f"C{k}", f"{rate:g}{ended}")
            first = max(first, float(costs[0]))
            if not diverged:
                kept.append(float(costs.max()))
        axes.set(xlabel="updates", ylabel=_cost_in(loss), xlim=(0, None))
        axes.set_ylim(0, 1.05 * max([*kept, 1.5 * first]))
        axes.legend(title="learning rate")
        return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, transparent=False, metadata={"Software": None})
    return buffer.getvalue()


def _cost_in(loss: str) -> str:
    """Name the cost with its unit."""
    return "cost (nats per picture)" if loss == _CROSS_ENTROPY else "cost (squared error per picture)"


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r' id="[A-Za-z.0-9]+_\d+"', "", text)  # groups' names, the same in every figure
    # The size comes from the page; a name is given there as well.
    return re.sub(
        r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", re.sub(r' height="[^"]*pt"', "", text), count=1
    )


def _draw_roc(axes: Axes, evaluation: Evaluation) -> bool:
    curve = roc_curve(evaluation.y, evaluation.probabilities)
    if curve is None:
        return False
    c = evaluation.scores.confusion
    axes.plot(curve.fpr, curve.tpr, color=_POSITIVE)
    axes.plot([0, 1], [0, 1], color=_MUTED, linestyle=":", linewidth=1)
    axes.plot(c.fp / (c.fp + c.tn), c.tp / (c.tp + c.fn), "o", color=_NEGATIVE, label="at the threshold")
    axes.set(
        xlabel="false positive rate",
        ylabel="true positive rate (recall)",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    axes.legend(loc="lower right")
    return True


def _draw_precision_recall(axes: Axes, evaluation: Evaluation) -> bool:
    curve = precision_recall_curve(evaluation.y, evaluation.probabilities)
    if curve is None:
        return False
    axes.plot(curve.recall, curve.precision, color=_POSITIVE)
    axes.axhline(float(evaluation.y.mean()), color=_MUTED, linestyle=":", linewidth=1)
    scores = evaluation.scores
    if scores.precision is not None and scores.recall is not None:
        axes.plot(scores.recall, scores.precision, "o", color=_NEGATIVE, label="at the threshold")
        axes.legend(loc="lower left")
    axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return True


def _draw_calibration(axes: Axes, evaluation: Evaluation) -> bool:
    bins = [b for b in calibration(evaluation.y, evaluation.probabilities) if b.count]
    if not bins:
        return False
    axes.plot([0, 1], [0, 1], color=_MUTED, linestyle=":", linewidth=1)
    sizes = [12 + 160 * b.count / evaluation.scores.n for b in bins]
    means = [float(b.mean_p or 0.0) for b in bins]
    shares = [float(b.share_positive or 0.0) for b in bins]
    axes.plot(means, shares, color=_POSITIVE, linewidth=1)
    axes.scatter(means, shares, s=sizes, color=_POSITIVE)
    axes.set(xlabel="predicted probability", ylabel="share of positives", xlim=(-0.02, 1.02))
    axes.set_ylim(-0.04, 1.04)
    return True


def _draw_histogram(axes: Axes, evaluation: Evaluation) -> bool:
    if evaluation.scores.n == 0:
        return False
    bins = np.linspace(0, 1, 21).tolist()
    # Not the classes' names: a font may lack their letters, and a $ would begin a formula.
    for value, name, colour in ((1, "positive class", _POSITIVE), (0, "negative class", _NEGATIVE)):
        chosen = evaluation.probabilities[evaluation.y == value]
        axes.hist(chosen, bins, color=colour, alpha=0.65, label=name)
    axes.axvline(evaluation.scores.threshold, color=_MUTED, linestyle="--", linewidth=1)
    axes.set(xlabel="predicted probability", ylabel="pictures", xlim=(0, 1))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)  # above the bars
    return True


def _learning_curve(
    history: NDArray[np.float64], learning_rate: float | None, loss: str = _CROSS_ENTROPY
) -> Figure:
    columns = dict(zip(HISTORY_COLUMNS, history.T, strict=False))
    figure = Figure(figsize=(8.4, 3.5))
    rate = "" if learning_rate is None else f", learning rate {learning_rate:.4g}"
    figure.suptitle(f"Gradient descent{rate}", color=_INK, fontsize=11)
    costs, gradients = figure.subplots(1, 2)
    _draw_steps(costs, columns["step"], columns["cost"], _POSITIVE, "trained on")
    if "validation_cost" in columns:
        held_out = "held out, without penalty"
        _draw_steps(costs, columns["step"], columns["validation_cost"], _NEGATIVE, held_out)
    costs.legend()
    costs.set(title="Cost", xlabel="updates", ylabel=_cost_in(loss), xlim=(0, None))
    # From a tenth of the first cost on, a linear axis shows a line along its foot.
    if 0 < columns["cost"].min() < 0.1 * columns["cost"].max():
        costs.set_yscale("log")
    else:
        costs.set_ylim(0, None)
    lengths = np.maximum(columns["gradient_norm"], 1e-300)  # a logarithmic axis has no 0
    _draw_steps(gradients, columns["step"], lengths, _POSITIVE, None)
    gradients.set(title="Length of the gradient", xlabel="updates", ylabel="‖(dw, db)‖", yscale="log")
    gradients.set_xlim(0, None)
    return figure


def _draw_steps(
    axes: Axes,
    steps: NDArray[np.float64],
    values: NDArray[np.float64],
    colour: str,
    label: str | None,
) -> None:
    """Draw a line and, where of many steps two neighbours are known, the band that all fill."""
    axes.plot(steps, values, color=colour, label=label, marker="." if len(steps) == 1 else None)
    apart = np.diff(steps)
    pairs = np.flatnonzero((apart[:-1] == 1) & (apart[1:] > 1))
    if len(pairs):
        one, other = values[pairs], values[pairs + 1]
        low, high = np.minimum(one, other), np.maximum(one, other)
        axes.fill_between(steps[pairs], low, high, color=colour, alpha=0.25, linewidth=0)
