"""Settings refuse what they cannot mean, by name, and accept the rest."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from catclf.config import (
    ENGINES,
    FEATURES,
    LARGEST_SIZE,
    DescentSettings,
    PackSettings,
    ReadOptions,
    TrainSettings,
)
from catclf.errors import CatclfError, ConfigError
from catclf.work.parts import core_count

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
    ("validation", 0.0),
    ("validation", 1.0),
    ("validation", 1),
    ("validation", b"other.h5"),
    ("validation", math.nan),
    ("cv", 1),
]

REFUSED_BY_READING = [
    ("on_error", "ignore"),
    ("size", 0),
    ("size", LARGEST_SIZE + 1),
    ("memory", 0),
    ("max_pixels", 0),
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
    {"validation": 0.5},
    {"validation": "other.h5"},
    {"validation": Path("other.h5")},
    {"validation": 0.5, "descent": DescentSettings(patience=3)},
    {"cv": 2},
    {"engine": "auto"},
]

ACCEPTED_BY_READING = [
    {"size": None},
    {"size": 1},
    {"size": LARGEST_SIZE},
    {"memory": 1},
    {"max_pixels": 1},
    {"jobs": None},
    {"jobs": 1},
    {"on_error": "fail"},
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


@pytest.mark.parametrize(("name", "value"), REFUSED_BY_READING)
def test_an_impossible_setting_of_the_reading_is_refused_by_name(name: str, value: Any) -> None:
    assert_refused(ReadOptions, name, value)


def test_patience_without_validation_is_refused() -> None:
    with pytest.raises(ConfigError, match="patience = 5: requires validation"):
        TrainSettings(descent=DescentSettings(patience=5))


@pytest.mark.parametrize("settings", ACCEPTED_BY_DESCENT, ids=str)
def test_possible_settings_of_the_descent_are_kept(settings: dict[str, Any]) -> None:
    made = DescentSettings(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


@pytest.mark.parametrize("settings", ACCEPTED_BY_TRAINING, ids=str)
def test_possible_settings_of_the_training_are_kept(settings: dict[str, Any]) -> None:
    made = TrainSettings(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


@pytest.mark.parametrize("settings", ACCEPTED_BY_READING, ids=str)
def test_possible_settings_of_the_reading_are_kept(settings: dict[str, Any]) -> None:
    made = ReadOptions(**settings)
    assert {name: getattr(made, name) for name in settings} == settings


def test_training_and_packing_read_in_the_same_way_unless_told_otherwise() -> None:
    assert TrainSettings().read == PackSettings().read == ReadOptions()


def test_all_cores_are_used_unless_some_are_chosen() -> None:
    assert ReadOptions().cores == core_count()
    assert ReadOptions(jobs=3).cores == 3


def test_a_model_says_the_size_that_is_not_chosen() -> None:
    read = ReadOptions(memory=5, jobs=2)
    assert read.of_size(32) == ReadOptions(size=32, memory=5, jobs=2)
    with pytest.raises(ConfigError, match="size = 64: cannot be chosen: the model takes pictures of 32"):
        ReadOptions(size=64).of_size(32)


def test_a_refusal_is_an_error_of_catclf_and_a_value_error() -> None:
    assert issubclass(ConfigError, CatclfError)
    assert issubclass(ConfigError, ValueError)


# --- the tables ---


@pytest.mark.parametrize("features", FEATURES)
def test_penalty_and_momentum_are_the_features_usual_ones_until_chosen(features: str) -> None:
    usual, kind = TrainSettings(features=features).usual_descent, FEATURES[features]
    assert (usual.l2, usual.momentum) == (kind.l2 if kind.l2_pictures is None else None, kind.momentum)
    chosen = DescentSettings(l2=0.5, momentum=0.25, iterations=7)
    assert TrainSettings(features=features, descent=chosen).usual_descent == chosen
    zeros = DescentSettings(l2=0.0, momentum=0.0)
    assert TrainSettings(features=features, descent=zeros).usual_descent == zeros


def test_what_is_usual_stays_so() -> None:
    assert (FEATURES["pixels"].l2, FEATURES["patches"].l2) == (0.0, "auto")
    assert FEATURES["pixels"].momentum == FEATURES["patches"].momentum == 0.0
    network = FEATURES["network"]
    assert (network.l2, network.l2_pictures, network.momentum) == (0.03, 300, 0.9)


@pytest.mark.parametrize(("m", "l2"), [(1, 1e-4), (300, 1e-4), (600, 5e-5), (3000, 1e-5)])
def test_a_usual_penalty_may_depend_on_the_number_of_pictures(m: int, l2: float) -> None:
    kind = FEATURES["network"]
    assert DescentSettings().usual_for(kind, m).l2 == pytest.approx(l2, rel=1e-12)
    assert DescentSettings(l2=0.5).usual_for(kind, m).l2 == 0.5
    assert DescentSettings(l2="auto").usual_for(kind, m).l2 == "auto"
    assert DescentSettings().usual_for(FEATURES["pixels"], m).l2 == 0.0
    assert DescentSettings().usual_for(FEATURES["patches"], m).l2 == "auto"


@pytest.mark.parametrize("name", FEATURES)
def test_the_code_of_every_kind_of_features_is_of_that_kind(name: str) -> None:
    assert FEATURES[name].name == name
    assert FEATURES[name].load().kind is FEATURES[name]


@pytest.mark.parametrize("name", ENGINES)
def test_the_code_of_every_engine_exists(name: str) -> None:
    assert ENGINES[name].name == name
    assert callable(ENGINES[name].load().sweep)


def test_rows_can_be_read_wherever_they_may_be() -> None:
    reads = [place for engine in ENGINES.values() for place in engine.reads]
    assert set(reads) == {"memory", "file", "workers"}
    assert all("memory" in engine.reads for engine in ENGINES.values())


# --- with a scheduler ---


@pytest.mark.parametrize("engine", ["auto", "dask"])
def test_workers_have_an_engine_of_their_own(engine: str) -> None:
    read = ReadOptions(scheduler="tcp://there:8786")
    assert TrainSettings(read=read, engine=engine).engine == engine


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        *(
            ("engine", engine, "auto or dask with a scheduler")
            for engine in ("primal", "gram", "stream")
        ),
        (
            "features",
            "patches",
            "pixels or network with a scheduler: others are learned on this machine",
        ),
    ],
)
def test_what_workers_cannot_do_is_refused(name: str, value: str, rule: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        TrainSettings(read=ReadOptions(scheduler="local"), **{name: value})  # type: ignore[arg-type]
    assert str(refusal.value) == f"{name} = {value!r}: must be {rule}"


@pytest.mark.parametrize("features", ["pixels", "patches"])
def test_workers_pack_only_rows_that_are_not_learned(features: str) -> None:
    read = ReadOptions(scheduler="local")
    assert PackSettings(read=read, features="network").read is read
    with pytest.raises(ConfigError, match="requires network features"):
        PackSettings(read=read, features=features)
