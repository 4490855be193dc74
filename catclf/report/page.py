"""An evaluation → one self-contained HTML page. Draws no curves itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from catclf.model import Model, describe
from catclf.pipeline.evaluation import Evaluation
from catclf.printable import printable
from catclf.report.figures import evaluation_figures, learning_curve_svg
from catclf.report.weights import png, weights_picture

_GALLERY = 12
_CAPTIONS = {
    "roc": ("ROC curve", "How many of the positive pictures are found for how many false alarms."),
    "precision_recall": ("Precision and recall", "How many calls are right for how many found."),
    "calibration": ("Calibration", "Of the pictures given a probability, how many are positive."),
    "histogram": ("Scores by class", "Where the two classes lie; the dashed line is the threshold."),
}


class Shot(NamedTuple):
    """A picture of the gallery."""

    source: str
    path: str
    label: str
    probability: float


def render(model: Model, evaluation: Evaluation, source: str) -> str:
    """Return the page: no script, no request, and file names that stay text.

    Parameters
    ----------
    model : Model
    evaluation : Evaluation
    source : str
        What was evaluated, as the user named it.
    """
    environment = Environment(
        loader=PackageLoader("catclf.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    p, losses = evaluation.probabilities, evaluation.losses
    wrong = (p >= evaluation.scores.threshold) != (evaluation.y == 1)
    worst = [k for k in np.argsort(-losses, kind="stable").tolist() if wrong[k]]
    doubtful = np.argsort(np.abs(p - evaluation.scores.threshold), kind="stable").tolist()
    figures = evaluation_figures(evaluation)
    return environment.get_template("page.html.j2").render(
        source=printable(source),
        e=evaluation,
        s=evaluation.scores,
        figures=[(*_CAPTIONS[name], _inline(svg, _CAPTIONS[name][0])) for name, svg in figures.items()],
        curve=_inline(learning_curve_svg(model.history), "Learning curve") if len(model.history) else "",
        worst=_shots(evaluation, worst[:_GALLERY]),
        wrong=int(wrong.sum()),
        doubtful=_shots(evaluation, doubtful[:_GALLERY]),
        weights=_data_uri(png(weights_picture(model))),
        by_place=model.features.name == "pixels",
        facts=list(_flat(describe(model))),
        printable=printable,
    )


def _inline(svg: str, name: str) -> Markup:
    """Name an SVG for those who cannot see it. It is our own drawing: safe to put in as it is."""
    head, rest = svg.split("<svg ", 1)
    return Markup(f'{head}<svg role="img" aria-label="{name}" {rest}')


def _shots(evaluation: Evaluation, chosen: Iterable[int]) -> list[Shot]:
    names = (evaluation.negative, evaluation.positive)
    return [
        Shot(
            source=_picture_uri(evaluation.pixels[k]),
            path=printable(evaluation.paths[k]),
            label=printable(names[int(evaluation.y[k])]),
            probability=float(evaluation.probabilities[k]),
        )
        for k in chosen
    ]


def _picture_uri(pixels: NDArray[np.uint8]) -> str:
    return _data_uri(png(Image.fromarray(pixels)))


def _data_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _flat(facts: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat({f"{name}: {key}": inner for key, inner in value.items()})
        else:
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            yield printable(name.replace("_", " ")), printable(shown)
