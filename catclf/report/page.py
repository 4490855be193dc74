"""An evaluation → one self-contained HTML page. Draws no curves itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from catclf.model import describe
from catclf.pipeline.evaluation import Evaluation
from catclf.pipeline.gallery import Gallery
from catclf.pipeline.gallery import Shot as Kept
from catclf.printable import printable, shown
from catclf.report.figures import evaluation_figures, learning_curve_svg
from catclf.report.weights import png, weights_picture

_SMALL = 64  # a side in pixels: above it a JPEG takes a fraction of a PNG
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


def render(evaluation: Evaluation) -> str:
    """Return the page of an evaluation: no script, no request, and file names that stay text."""
    environment = Environment(
        loader=PackageLoader("catclf.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    model, gallery = evaluation.model, evaluation.gallery or Gallery(evaluation.scores.threshold)
    confusion, figures = evaluation.scores.confusion, evaluation_figures(evaluation)
    drawn = model.features.kind.drawn
    return environment.get_template("page.html.j2").render(
        source=printable(evaluation.labelled.source),
        e=evaluation,
        s=evaluation.scores,
        figures=[(*_CAPTIONS[name], _inline(svg, _CAPTIONS[name][0])) for name, svg in figures.items()],
        curve=_inline(learning_curve_svg(model.history, model.training.learning_rate), "Learning curve")
        if len(model.history)
        else "",
        worst=_shots(evaluation, gallery.worst),
        wrong=confusion.fp + confusion.fn,
        doubtful=_shots(evaluation, gallery.doubtful),
        weights=None if drawn is None else _data_uri(png(weights_picture(model))),
        drawn=drawn,
        facts=list(_flat(describe(model))),
        printable=printable,
    )


def _inline(svg: str, name: str) -> Markup:
    """Name an SVG for those who cannot see it. It is our own drawing: safe to put in as it is."""
    head, rest = svg.split("<svg ", 1)
    return Markup(f'{head}<svg role="img" aria-label="{name}" {rest}')


def _shots(evaluation: Evaluation, chosen: Iterable[Kept]) -> list[Shot]:
    names = (evaluation.negative, evaluation.positive)
    return [
        Shot(
            source=_picture_uri(thumbnail),
            path=printable(evaluation.paths[k]),
            label=printable(names[int(evaluation.y[k])]),
            probability=float(evaluation.probabilities[k]),
        )
        for k, thumbnail in chosen
    ]


def _picture_uri(pixels: NDArray[np.uint8]) -> str:
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if max(image.size) <= _SMALL:
        return _data_uri(png(image))
    image.save(buffer, "JPEG", quality=85)
    return _data_uri(buffer.getvalue(), "jpeg")


def _data_uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")


def _flat(facts: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat({f"{name}: {key}": inner for key, inner in value.items()})
        else:
            yield printable(name.replace("_", " ")), shown(value)
