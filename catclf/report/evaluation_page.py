"""An evaluation → one self-contained HTML page. Draws no curves itself."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from catclf.images.thumbnails import png
from catclf.model import Model
from catclf.pipeline.album import FAILURES_KEPT
from catclf.pipeline.evaluation import Evaluation
from catclf.printable import number_of, printable, shown
from catclf.report.cards import cards, key_of
from catclf.report.figures import evaluation_figures, learning_curve_svg
from catclf.report.review import CORRECTIONS
from catclf.report.templates import data_uri, rendered
from catclf.report.weights import weights_picture

_CAPTIONS = {
    "roc": (
        "ROC curve",
        "Share of positives found, against share of negatives called positive.",
    ),
    "precision_recall": (
        "Precision and recall",
        "Share of positive calls that are right, against recall.",
    ),
    "calibration": ("Calibration", "Share of positives among pictures with each predicted probability."),
    "histogram": ("Scores by class", "Where the two classes lie; the dashed line is the threshold."),
}


def evaluation_page(evaluation: Evaluation) -> str:
    """Return the page of an evaluation: it asks for nothing, and file names stay text."""
    model, confusion = evaluation.model, evaluation.scores.confusion
    figures, mistakes = evaluation_figures(evaluation), confusion.fp + confusion.fn
    made, drawn = cards(evaluation.gallery), model.features.kind.drawn
    curve = model.history, model.training.learning_rate, model.training.loss or "cross-entropy"
    file, use = CORRECTIONS
    return rendered(
        "evaluation.html.j2",
        source=printable(evaluation.labelled.source),
        e=evaluation,
        s=evaluation.scores,
        figures=[(*_CAPTIONS[name], _inline(svg, _CAPTIONS[name][0])) for name, svg in figures.items()],
        curve=_inline(learning_curve_svg(*curve), "Learning curve") if len(model.history) else "",
        wrong=made[:mistakes],
        doubtful=made[mistakes:],
        mistakes=mistakes,
        key=key_of(evaluation.gallery, "evaluation"),
        download=file,
        use=use,
        listed=FAILURES_KEPT,
        weights=None if drawn is None else data_uri(png(weights_picture(model))),
        drawn=drawn,
        facts=list(_facts(model)),
    )


def _inline(svg: str, name: str) -> Markup:
    """Name an SVG for those who cannot see it. It is our own drawing: safe to put in as it is."""
    head, rest = svg.split("<svg ", 1)
    return Markup(f'{head}<svg role="img" aria-label="{name}" {rest}')


_STOPPED = {
    "gradient": "until the gradient was small enough",
    "step": "until the steps were small enough",
    "iterations": "up to the limit that was set",
    "patience": "until the held-out cost had stopped falling",
    "interrupted": "until it was interrupted",
}


def _facts(model: Model) -> Iterator[tuple[str, str]]:
    """What a reader of the page may want to know of the model; `catclf info` has all of it."""
    training, size = model.training, model.size
    yield "Features", f"{model.features.kind.name}, {len(model.w)} numbers of {size}×{size} pixels"
    if training.classes:
        counted = (f"{printable(name)} {count}" for name, count in training.classes.items())
        yield "Trained on", f"{number_of(training.m or 0, 'picture')}: {', '.join(counted)}"
    if training.iterations is not None:
        ended = _STOPPED.get(training.stop_reason or "", "")
        yield "Gradient descent", f"{number_of(training.iterations, 'step')} {ended}".strip()
    if training.l2 is not None:
        yield "Penalty (l2)", shown(training.l2)
    if training.cost is not None:
        yield "Cost", f"{shown(training.cost)} nats a picture"
    if training.catclf is not None:
        yield "Made by", f"catclf {training.catclf}"
