"""Pictures unlike all others: which are, which are not, and what `check` says of them."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import catclf
from catclf.config import CheckSettings, PackSettings, ReadOptions, TrainSettings
from catclf.errors import ModelFileError
from catclf.features.pixels import Pixels
from catclf.model import Model, load, save
from catclf.unusual import FLAT, Usual, flat_shares, least_usual, likeness_to_others
from tests.conftest import Runner, needs_network
from tests.test_check import M, picture


@pytest.fixture
def catclf_runner(capfdbinary: pytest.CaptureFixture[bytes]) -> Runner:
    return Runner(capfdbinary)


def test_pictures_of_one_grey_are_flat_and_others_are_not() -> None:
    blank = np.full((32, 32, 3), 200, np.uint8)
    half = blank.copy()
    half[:16] = 90
    soft = np.asarray(picture(0, True).resize((32, 32)))
    noisy = blank + np.random.default_rng(0).integers(0, 6, blank.shape).astype(np.uint8)
    shares = flat_shares(np.stack([blank, half, soft, noisy]))
    assert shares[:2].tolist() == [1, 0.5]
    assert shares[2] < 0.6
    assert shares[3] == 1
    assert flat_shares(np.empty((0, 32, 32, 3), np.uint8)).shape == (0,)


def test_what_lies_apart_is_unlike_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(1, 0.3, (300, 20)).astype(np.float16)
    rows[7] = rng.normal(0, 1, 20)
    rows[100:106] = rng.normal(0, 1, 20)  # six of one scene
    groups = np.arange(300)
    groups[100:106] = 100
    likeness = likeness_to_others(rows, groups)
    low = np.flatnonzero(likeness < least_usual(likeness)).tolist()
    assert {7, *range(100, 106)} <= set(low) <= {7, *range(100, 106), *low[:9]}
    assert len(low) <= 9
    apart = likeness_to_others(rows, np.arange(300))
    assert apart[100] > 0.99  # a series that is not known vouches for itself
    monkeypatch.setattr("catclf.unusual._COMPARED", 100)
    assert np.corrcoef(likeness_to_others(rows, groups), likeness)[0, 1] > 0.9


def test_of_few_pictures_none_is_unusual() -> None:
    assert least_usual(np.linspace(0, 1, 29)) == -1
    assert likeness_to_others(np.eye(3), np.arange(3)).shape == (3,)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Pictures of two classes, a blank one, and a page of text."""
    folder = tmp_path / "album"
    for k in range(M):
        place = folder / ("warm" if k < M // 2 else "cold")
        place.mkdir(parents=True, exist_ok=True)
        picture(k, k < M // 2).save(place / f"{k:02d}.png")
    Image.new("RGB", (300, 200), "white").save(folder / "warm" / "blank.png")
    page = Image.new("RGB", (300, 500), "white")
    draw = ImageDraw.Draw(page)
    for line in range(0, 500, 25):
        draw.text((10, line), "Settings, notifications", fill="black")
    page.save(folder / "cold" / "text.png")
    return folder


@pytest.mark.parametrize(
    "features",
    [
        "pixels",
        pytest.param("network", marks=needs_network),
    ],
)
def test_check_names_them(album: Path, features: str) -> None:
    size = 96 if features == "network" else 16
    settings = CheckSettings(positive="warm", features=features, read=ReadOptions(size=size, jobs=1))
    found = catclf.check(album, settings).of("unusual")
    expected = {"blank.png"} if features == "pixels" else {"blank.png", "text.png"}
    assert {Path(finding.path).name for finding in found} >= expected
    assert len(found) <= 3
    scores = [finding.score or 0 for finding in found]
    assert scores == sorted(scores)
    assert all(finding.reason for finding in found)
    if features == "pixels":
        assert found[0].reason == "100% of it is one shade of grey"
        assert scores[0] == pytest.approx(0)
        assert all(score < 1 - FLAT for score in scores)


def rows_of_a_kind(m: int, seed: int = 0) -> NDArray[np.float16]:
    rng = np.random.default_rng(seed)
    rows: NDArray[np.float64] = 1 + 0.4 * rng.standard_normal((m, 50))
    return rows.astype(np.float16)


def test_what_a_training_was_like_is_learned_from_its_rows() -> None:
    usual = Usual.learn(rows_of_a_kind(400))
    assert usual is not None
    assert usual.centres.shape == (64, 50)
    assert usual.centres.dtype == np.int8
    assert usual.are_unusual(rows_of_a_kind(2000, 1)).mean() < 0.01
    other = np.random.default_rng(2).standard_normal((100, 50)).astype(np.float16)
    assert usual.are_unusual(other).all()
    both = np.concatenate([other[:3], rows_of_a_kind(3, 3)])
    assert usual.are_unusual(both).tolist() == [True] * 3 + [False] * 3
    again = Usual.learn(rows_of_a_kind(400))
    assert again is not None
    assert_array_equal(again.centres, usual.centres)
    assert Usual.learn(rows_of_a_kind(29)) is None
    few = Usual.learn(rows_of_a_kind(30))
    assert few is not None
    assert len(few.centres) == 7


def model_with(usual: Usual | None) -> Model:
    return Model(np.zeros(48), 0.0, Pixels(4), "cat", "dog", usual=usual)


def test_a_model_file_keeps_it(tmp_path: Path) -> None:
    usual = Usual(np.arange(-48, 48, dtype=np.int8).reshape(2, 48), 0.25)
    save(model_with(usual), tmp_path / "m.npz")
    found = load(str(tmp_path / "m.npz")).usual
    assert found is not None
    assert_array_equal(found.centres, usual.centres)
    assert found.least == 0.25
    save(model_with(None), tmp_path / "without.npz")
    assert load(str(tmp_path / "without.npz")).usual is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"usual_least": None}, "usual_least is missing"),
        ({"usual_centres": np.zeros((2, 47), np.int8)}, "expected rows of 48 numbers"),
        ({"usual_centres": np.zeros((0, 48), np.int8)}, "expected rows of 48 numbers"),
        ({"usual_centres": np.zeros((2, 48), np.uint8)}, "expected 2 dimensions of int8"),
        ({"usual_least": np.array(np.nan)}, "not finite"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, members: dict[str, NDArray[Any] | None], reason: str
) -> None:
    save(model_with(Usual(np.ones((2, 48), np.int8), 0.25)), tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        kept = {**file, **members}
    np.savez(tmp_path / "wrong.npz", **{k: v for k, v in kept.items() if v is not None})
    with pytest.raises(ModelFileError, match=reason):
        load(str(tmp_path / "wrong.npz"))


def test_tables_of_predictions_say_so(catclf_runner: Runner, tmp_path: Path) -> None:
    """By flatness where rows do not tell."""
    rng = np.random.default_rng(0)
    for name, pixels in (
        ("a noise", rng.integers(0, 256, (8, 8, 3))),
        ("b blank", np.full((8, 8, 3), 255)),
    ):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "c broken.png").write_bytes(b"no")
    save(model_with(None), tmp_path / "m.npz")
    predict = ("predict", "-m", tmp_path / "m.npz", tmp_path)
    rows = list(csv.DictReader(catclf_runner(*predict, "-F", "csv").out.decode().splitlines()))
    assert [*rows[0]] == ["path", "label", "probability", "error", "unusual"]
    assert [row["unusual"] for row in rows] == ["", "yes", ""]
    lines = map(json.loads, catclf_runner(*predict, "-F", "jsonl").out.decode().splitlines())
    assert [line["unusual"] for line in lines] == [False, True, None]
    text = catclf_runner(*predict).out.decode().splitlines()
    assert [line.count("\t") for line in text] == [2, 2, 2]


@needs_network
def test_a_model_of_the_network_marks_what_is_unlike_its_training(album: Path, tmp_path: Path) -> None:
    read = ReadOptions(size=96, jobs=1, exclude=("*t.png", "bl*"))
    settings = TrainSettings(features="network", positive="warm", read=read)
    model = catclf.train(album, settings).model
    assert model.usual is not None
    assert model.usual.centres.shape == (10, 1280)
    found = {Path(one.path).name: one.unusual for one in catclf.predict(model, album)}
    assert found.pop("blank.png")
    assert found.pop("text.png")
    assert sum(map(bool, found.values())) <= 2
    rows = tmp_path / "rows.h5"
    catclf.pack(album, rows, PackSettings(features="network", positive="warm", read=read))
    assert [one.unusual for one in catclf.predict(model, rows)] == [*found.values()]
    old = dataclasses.replace(model, usual=None)
    assert {one.unusual for one in catclf.predict(old, album)} == {None}
