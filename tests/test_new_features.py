"""A kind of features that no file of the package knows goes through every tool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import catclf as library
from catclf import fitting
from catclf.config import FEATURES, FeatureKind, ReadOptions, TrainSettings
from catclf.design import Standardisation
from catclf.fitting import Problem, cross_validate, prepare
from catclf.stores.here import InMemory
from tests.conftest import Runner, run
from tests.pictures import cats_and_dogs, class_folder, save_picture

NAME = "toy"


@dataclass(frozen=True)
class Toy:
    """Three numbers of any picture: its mean, that of what was learned from, and one."""

    size: int
    learned: float = 0.0
    scale: ClassVar[float] = 1.0
    n_x: ClassVar[int] = 3

    @property
    def kind(self) -> FeatureKind:
        # Worker processes that are not forked have the table as it is in the file.
        return FEATURES.get(NAME, KINDS[0])

    @classmethod
    def of_size(cls, size: int) -> Toy:
        return cls(size)

    @classmethod
    def learn(cls, images: NDArray[np.uint8], *, seed: int = 0, jobs: int = 1) -> Toy:
        del seed, jobs
        return cls(images.shape[1], float(images.mean()))

    def rows(self, images: NDArray[np.uint8], jobs: int = 1) -> NDArray[np.float32]:
        del jobs
        half = self.size // 2
        top = images[:, :half].mean(axis=(1, 2, 3)) / 255 if len(images) else np.empty(0)
        others = np.ones((len(images), 2)) * [self.learned / 255, 1.0]
        return np.column_stack([top, others]).astype(np.float32)

    def settings(self) -> dict[str, int | float | str]:
        return {"size": self.size, "learned": self.learned}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Toy:
        assert not arrays
        return cls(settings["size"], settings["learned"])


KINDS = [
    FeatureKind(NAME, f"{__name__}:Toy", learns=learns, standardised=standardised, size=16, l2=1e-6)
    for learns in (False, True)
    for standardised in (False, True)
]


@pytest.fixture(params=KINDS, ids=lambda kind: f"learns={kind.learns} standardised={kind.standardised}")
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FeatureKind:
    found: FeatureKind = request.param
    monkeypatch.setitem(FEATURES, NAME, found)
    return found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return class_folder(tmp_path / "photos", m=40, size=16)


def test_all_tools_take_them(kind: FeatureKind, photos: Path, tmp_path: Path, catclf: Runner) -> None:
    del kind
    model, packed = tmp_path / "toy.npz", tmp_path / "toy.h5"
    trained = catclf("train", photos, "-o", model, "--features", NAME, "--cv", "4", "-F", "json")
    assert trained.code == 0, trained.err
    facts = json.loads(trained.out)
    assert (facts["m"], facts["n_x"], facts["l2"]) == (40, 3, 1e-6)
    assert facts["cv"]["accuracy"] == 1.0

    one = catclf("predict", "-m", model, photos, "-j", "1")
    several = catclf("predict", "-m", model, photos, "-j", "2")
    assert one.code == several.code == 0
    assert one.out == several.out
    assert one.out.count(b"\n") == 40

    page = tmp_path / "page.html"
    scored = catclf("eval", "-m", model, photos, "--report", page, "-F", "json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["accuracy"] == 1.0
    assert "What it looks for" not in page.read_text()

    shown = catclf("info", model)
    assert shown.code == 0
    assert NAME in shown.out.decode()
    drawn = catclf("info", model, "--weights", tmp_path / "w.png")
    assert drawn.code == 2
    assert "their weights are no picture" in drawn.err
    explained = catclf("predict", "-m", model, photos, "--explain", tmp_path / "why")
    assert explained.code == 2
    assert "have no places" in explained.err

    assert catclf("pack", photos, packed, "--size", "16").code == 0
    again = tmp_path / "again.npz"
    assert catclf("train", packed, "-o", again, "--features", NAME, "--cv", "4", "-q").code == 0
    assert again.read_bytes() == model.read_bytes()


def test_the_usual_size_and_penalty_are_those_of_the_table(kind: FeatureKind, photos: Path) -> None:
    fit = library.train(photos, TrainSettings(features=NAME))
    assert fit.model.size == kind.size
    assert fit.l2 == kind.l2


def test_the_estimator_takes_them(kind: FeatureKind) -> None:
    pixels, y = cats_and_dogs(24, 16)
    found = library.PictureClassifier(features=NAME).fit(pixels, y)
    assert found.coef_.shape == (1, 3)
    assert_array_equal(found.predict(pixels), y)
    assert found.n_features_in_ == 16 * 16 * 3
    assert kind.name == NAME


def test_cross_validation_learns_again_what_is_learned_and_nothing_else(
    kind: FeatureKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, y = cats_and_dogs(24, 16)
    problem = Problem(InMemory(pixels), y.astype(float), TrainSettings(features=NAME))
    everything = np.ones(24, dtype=bool)
    whole = prepare(problem, everything)
    encoded: list[int] = []
    measured: list[int] = []
    encode, measure = fitting.encode, Standardisation.fit

    def counted(problem: Problem, train: fitting.Mask) -> fitting.Encoded:
        encoded.append(int(train.sum()))
        return encode(problem, train)

    def recorded(rows: InMemory, one_scale: bool, used: fitting.Mask) -> Standardisation:
        measured.append(int(used.sum()))
        return measure(rows, one_scale, used)

    monkeypatch.setattr(fitting, "encode", counted)
    monkeypatch.setattr(Standardisation, "fit", recorded)
    cross_validate(whole, everything, 4)
    assert encoded == ([18] * 4 if kind.learns else [])
    assert measured == ([18] * 4 if kind.standardised else [])


def test_help_and_messages_name_every_kind_of_the_table() -> None:
    shown = run("train", "--help").stdout.decode()
    names = "|".join(FEATURES)
    assert f"--features [{names}]" in " ".join(shown.split())
    with pytest.raises(library.ConfigError, match=", ".join(FEATURES)):
        TrainSettings(features="unknown")


@pytest.mark.parametrize("kind_of_table", list(FEATURES.values()), ids=list(FEATURES))
def test_a_row_says_what_its_class_can_do(kind_of_table: FeatureKind) -> None:
    code = kind_of_table.load()
    assert code.kind is kind_of_table
    assert hasattr(code, "learn") == kind_of_table.learns
    assert hasattr(code, "of_size") != (kind_of_table.learns or kind_of_table.own_view)
    for name in ("chosen", "view", "of_small", "at_hand", "wants_file"):
        assert hasattr(code, name) == kind_of_table.own_view
    assert hasattr(code, "map_of") == (kind_of_table.drawn == "map")
    assert hasattr(code, "patterns") == (kind_of_table.drawn == "patterns")
    assert hasattr(code, "contributions") == (kind_of_table.explained is not None)


def test_features_that_learn_say_so_where_there_is_a_scheduler(
    kind: FeatureKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ReadOptions(scheduler="local")
    if kind.learns:
        with pytest.raises(library.ConfigError, match=r"features = 'toy': must be pixels or network"):
            TrainSettings(features=NAME, read=read)
    monkeypatch.setitem(FEATURES, NAME, replace(kind, learns=False))
    assert TrainSettings(features=NAME, read=read).read.scheduler == "local"


def test_one_picture_is_enough_to_predict(kind: FeatureKind, photos: Path, tmp_path: Path) -> None:
    del kind
    fit = library.train(photos, TrainSettings(features=NAME))
    picture = save_picture(tmp_path / "one.png", cats_and_dogs(2, 20)[0][1])
    (answer,) = library.predict(fit.model, picture)
    assert answer.label == "cat"
