"""How a model came about: what is known goes into a file and comes back, the rest is left out."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from catclf import DescentSettings, TrainSettings, __version__, load, save, train
from catclf.provenance import Provenance
from tests.pictures import course_h5

KNOWN = Provenance(
    catclf="1.2.3",
    m=24,
    classes={"non-cat": 10, "cat": 14},
    corrections={"changed": 3, "left_out": 1, "unknown": 0},
    loss="cross-entropy",
    class_weight="balanced",
    flip=True,
    l2=0.25,
    momentum=0.9,
    learning_rate=1e-3,
    iterations=2000,
    stop_reason="gradient",
    cost=0.125,
    gradient_norm=1e-5,
    seed=0,
    positives=14,
    positive_share=0.5,
    w_mean=-1.5,
    mean_places=[0.5, -0.25],
    train_accuracy=1.0,
    cv={"folds": 5, "accuracy": 0.75, "accuracy_ci95": [0.5, 0.9], "roc_auc": None},
)
NAMES = [field.name for field in fields(Provenance)]

# Written by an earlier version, which knew neither its own name nor its cross-validation.
OLD = {
    "class_weight": "none",
    "classes": {"cat": 85, "non-cat": 115},
    "cost": 0.6459865779582619,
    "flip": False,
    "gradient_norm": 0.08665834901574905,
    "iterations": 50,
    "l2": 0.0,
    "learning_rate": 0.08201490332762278,
    "loss": "cross-entropy",
    "m": 200,
    "momentum": 0.0,
    "positive_share": 0.42500000000000004,
    "positives": 85,
    "seed": 0,
    "stop_reason": "iterations",
    "train_accuracy": 0.665,
}


def again(values: Any) -> Any:
    """What comes back from a file."""
    return json.loads(json.dumps(values, allow_nan=False))


def test_what_is_known_comes_back_from_json() -> None:
    assert None not in [getattr(KNOWN, name) for name in NAMES]
    assert list(KNOWN.to_dict()) == NAMES
    assert Provenance.from_dict(again(KNOWN.to_dict())) == KNOWN


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_is_left_out(name: str) -> None:
    some = {key: value for key, value in KNOWN.to_dict().items() if key != name}
    found = Provenance.from_dict(some)
    assert getattr(found, name) is None
    assert found.to_dict() == some


def test_nothing_need_be_known() -> None:
    assert Provenance().to_dict() == {}
    assert Provenance.from_dict({}) == Provenance()


@pytest.mark.parametrize("value", [0, 0.0, False, "", {}])
def test_nothing_is_unlike_zero(value: Any) -> None:
    kinds = {int: "seed", float: "l2", bool: "flip", str: "loss", dict: "classes"}
    name = kinds[type(value)]
    assert getattr(Provenance.from_dict({name: value}), name) == value
    assert Provenance.from_dict({name: value}).to_dict() == {name: value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("m", "24"),
        ("m", 24.0),
        ("m", True),
        ("m", [24]),
        ("iterations", None),
        ("seed", {}),
        ("flip", 1),
        ("flip", "yes"),
        ("cost", "low"),
        ("cost", True),
        ("cost", [0.5]),
        ("positive_share", None),
        ("l2", "auto"),
        ("loss", 3),
        ("loss", None),
        ("catclf", 0.1),
        ("classes", ["cat", "dog"]),
        ("classes", "cat"),
        ("cv", 0.9),
        ("cv", [0.9]),
    ],
)
def test_a_value_of_another_type_is_left_out_and_the_others_are_kept(name: str, value: Any) -> None:
    found = Provenance.from_dict(KNOWN.to_dict() | {name: value})
    assert getattr(found, name) is None
    assert found.to_dict() == {key: kept for key, kept in KNOWN.to_dict().items() if key != name}


def test_unknown_keys_are_left_out() -> None:
    assert Provenance.from_dict(KNOWN.to_dict() | {"colour": "red", "to_dict": 1}) == KNOWN


@pytest.mark.parametrize("name", ["l2", "momentum", "learning_rate", "cost", "positive_share"])
def test_a_whole_number_is_a_number(name: str) -> None:
    found = getattr(Provenance.from_dict({name: 1}), name)
    assert found == 1.0
    assert isinstance(found, float)


def test_what_an_earlier_version_wrote_is_read() -> None:
    found = Provenance.from_dict(again(OLD))
    assert (found.m, found.classes, found.flip) == (200, {"cat": 85, "non-cat": 115}, False)
    assert (found.catclf, found.cv) == (None, None)
    assert found.to_dict() == OLD


def test_a_training_leaves_nothing_unknown(tmp_path: Path) -> None:
    data, descent = course_h5(tmp_path / "a.h5", m=12), DescentSettings(iterations=7, l2=1)
    model = train(data, TrainSettings(descent, cv=3, flip=True)).model
    training = model.training
    # Of labels laid over others, and of standardised rows.
    unknown = [name for name in NAMES if getattr(training, name) is None]
    assert unknown == ["corrections", "w_mean", "mean_places"]
    assert training.catclf == __version__
    assert (training.m, training.positives) == (12, 6)
    assert training.positive_share == pytest.approx(0.5)
    assert training.classes == {"non-cat": 6, "cat": 6}
    assert (training.l2, training.flip, training.iterations) == (1.0, True, 7)
    assert training.cv is not None
    assert list(training.cv) == ["folds", "accuracy", "accuracy_ci95", "roc_auc"]
    assert training.cv["folds"] == 3
    save(model, tmp_path / "m.npz")
    assert again(load(tmp_path / "m.npz").training.to_dict()) == again(training.to_dict())


def test_what_was_not_asked_for_is_not_known(tmp_path: Path) -> None:
    training = train(course_h5(tmp_path / "a.h5"), TrainSettings(DescentSettings(iterations=1)))
    values = training.model.training
    assert [name for name in NAMES if getattr(values, name) is None] == [
        *("corrections", "w_mean", "mean_places"),
        "cv",
    ]
