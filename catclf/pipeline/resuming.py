"""Whether a training may go on from a model. Trains nothing."""

from __future__ import annotations

import math
from typing import Any

from catclf.config import TrainSettings
from catclf.errors import ConfigError, DataError
from catclf.features import Features
from catclf.fingerprints import Marks, count_new
from catclf.images.labelled import Labelled
from catclf.model import Model
from catclf.printable import number_of


def check_resumable(
    model: Model, settings: TrainSettings, labelled: Labelled, size: int, positive: str, marks: Marks
) -> None:
    """Refuse to go on with other data or another cost than the model was trained with.

    Parameters
    ----------
    model : Model
    settings : TrainSettings
    labelled : Labelled
    size : int
        Side of the pictures in pixels.
    positive : str
    marks : (m,) uint64
        Fingerprints of the pictures to be trained on.

    Raises
    ------
    DataError
        If the pictures are others.
    ConfigError
        If a setting is another.
    """
    before = model.training
    counts: tuple[tuple[str, Any, Any], ...] = (
        ("classes", labelled.counts(), before.classes),
        ("number of training pictures", len(marks), before.m),
    )
    for what, found, expected in counts:
        if found != expected:
            rule = f"expected {expected}, as in the model to resume"
            raise DataError(labelled.source, f"has the {what} {found}; {rule}")
    if settings.descent.start == "random":
        raise ConfigError("start", "random", "cannot be combined with resuming: the model is the start")
    for name, value, expected in _settings(model, settings, size, positive, len(marks)):
        if value != expected and not _equal_numbers(value, expected):
            raise ConfigError(name, value, f"must be {expected}, as in the model to resume")
    new = count_new(model.fingerprints, marks) if len(model.fingerprints) else None
    if new is not None:
        are = "is" if new == 1 else "are"
        found = f"{new} of {number_of(len(marks), 'picture')} {are} new"
        raise DataError(labelled.source, f"cannot resume: {found}; train from scratch")


def _equal_numbers(value: Any, expected: Any) -> bool:
    """Whether two numbers are equal but for rounding: 0.03 / 300 is not quite 0.0001."""
    numbers = (value, expected)
    return all(type(n) in (int, float) for n in numbers) and math.isclose(*numbers, rel_tol=1e-9)


def check_same_rows(before: Features, now: Features) -> None:
    """Refuse to go on with rows that are made otherwise than those that the model was trained on."""
    found = now.settings()
    for name, expected in before.settings().items():
        if found.get(name) != expected:
            rule = f"must be {expected}, as in the model to resume"
            raise ConfigError(f"{name} of the features", found.get(name), rule)


def _settings(
    model: Model, settings: TrainSettings, size: int, positive: str, m: int
) -> list[tuple[str, Any, Any]]:
    """Each setting that must be the same, with its value now and then."""
    before, descent = model.training, settings.descent.usual_for(settings.kind, m)
    compared: list[tuple[str, Any, Any]] = [
        ("features", settings.features, model.features.kind.name),
        ("size", size, model.size),
        ("loss", descent.loss, before.loss),
        ("class_weight", settings.class_weight, before.class_weight),
        ("flip", settings.flip, before.flip),
        ("positive", positive, model.positive),
    ]
    if isinstance(settings.validation, float):  # another seed would hold out pictures trained on
        compared.append(("seed", descent.seed, before.seed))
    if descent.l2 != "auto":
        compared.append(("l2", descent.l2, before.l2))
    return compared
