"""Settings refuse what they cannot mean, by name, and accept the rest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from catclf.config import (
    ENGINE_NAMES,
    FEATURE_NAMES,
    LARGEST_SIZE,
    USUAL_L2,
    DescentSettings,
    TrainSettings,
)
from catclf.engines import ENGINES
from catclf.errors import CatclfError, ConfigError

REFUSED_BY_DESCENT = [
    ("loss", "hinge"),
    ("stop", "never"),
    ("start", "ones"),
    ("learning_rate", 0.0),
    ("learning_rate", -0.1),
    ("learning_rate", math.nan),
    ("learning_rate", math.inf),
    ("learning_rate", "fast"),
    ("l2", -1e-9),
    ("l2", math.nan),
    ("l2", math.inf),
    ("l2", "none"),
    ("iterations", -1),
    ("epsilon", 0.0),
    ("epsilon", -1e-4),
    ("epsilon", math.nan),
    ("momentum", -0.1),
    ("momentum", 1.0),
    ("momentum", math.nan),
    ("seed", -1),
    ("patience", 0),
]

REFUSED_BY_TRAINING = [
    ("features", "wavelets"),
    ("class_weight", "heavy"),
    ("engine", "quantum"),
    ("on_error", "ignore"),
    ("size", 0),
    ("size", LARGEST_SIZE + 1),
    ("validation", 0.0),
    ("validation", 1.0),
    ("validation", 1),
    ("validation", b"other.h5"),
    ("validation", math.nan),
    ("cv", 1),
    ("memory", 0),
    ("jobs", 0),
]

ACCEPTED_BY_DESCENT = [
    {"learning_rate": "auto"},
    {"learning_rate": 0.005},
    {"l2": "auto"},
    {"l2": 0},
    {"iterations": 0},
    {"momentum": 0.999},
    {"patience": 1},
]

ACCEPTED_BY_TRAINING = [
    {"size": 1},
    {"size": LARGEST_SIZE},
    {"validation": 0.5},
    {"validation": "other.h5"},
    {"validation": Path("other.h5")},
    {"validation": 0.5, "descent": DescentSettings(patience=3)},
    {"cv": 2},
    {"engine": "auto"},
    {"jobs": None},
]


def assert_refused(kind: type[Any], name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        kind(**{name: value})
    assert refusal.value.name == name
    assert str(refusal.value).startswith(f"{name} = {value!r}: must be ")


@pytest.mark.parametrize(("name", "value"), REFUSED_BY_DESCENT)
def test_an_impossible_setting_of_the_descent_is_refused_by_name(name: str, value: Any) -> None:
    assert_refused(DescentSettings, name, value)


@pytest.mark.parametrize(("name", "value"), REFUSED_BY_TRAINING)
def test_an_impossible_setting_of_the_training_is_refused_by_name(name: str, value: Any) -> None:
    assert_refused(TrainSettings, name, value)


def test_patience_without_validation_is_refused() -> None:
    with pytest.raises(ConfigError, match="patience = 5: must be used together with validation"):
        TrainSettings(descent=DescentSettings(patience=5))


@pytest.mark.parametrize("settings", ACCEPTED_BY_DESCENT, ids=str)
def test_possible_settings_of_the_descent_are_kept(settings: dict[str, Any]) -> None:
    made = DescentSettings(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


@pytest.mark.parametrize("settings", ACCEPTED_BY_TRAINING, ids=str)
def test_possible_settings_of_the_training_are_kept(settings: dict[str, Any]) -> None:
    made = TrainSettings(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


def test_a_refusal_is_an_error_of_catclf_and_a_value_error() -> None:
    assert issubclass(ConfigError, CatclfError)
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize("features", FEATURE_NAMES)
def test_the_penalty_is_the_features_usual_one_until_chosen(features: str) -> None:
    assert TrainSettings(features=features).penalty == USUAL_L2[features]
    assert TrainSettings(features=features, descent=DescentSettings(l2=0.5)).penalty == 0.5


def test_the_names_of_the_engines_are_those_that_exist() -> None:
    assert set(ENGINE_NAMES) == set(ENGINES)
