"""`check`: doubted labels, near-duplicates and unreadable pictures, from data of every kind."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import catclf
from catclf.config import CheckSettings, PackSettings, ReadOptions, TrainSettings
from catclf.errors import ConfigError, DataError
from tests.conftest import Runner

M = 40


def picture(seed: int, warm: bool) -> Image.Image:
    """Soft shapes, of warm or cold colours, unlike those of other seeds."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 120, (7, 7, 3))
    coarse[..., 0 if warm else 2] += 110
    return Image.fromarray(coarse.astype(np.uint8)).resize((96, 72), Image.Resampling.BICUBIC)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Twenty warm and twenty cold pictures; the labels of numbers 4 and 27 are wrong."""
    folder = tmp_path / "album"
    for k in range(M):
        warm = k < M // 2
        place = folder / ("warm" if warm != (k in (4, 27)) else "cold")
        place.mkdir(parents=True, exist_ok=True)
        picture(k, warm).save(place / f"{k:02d}.png")
    return folder


PIXELS = CheckSettings(positive="warm", features="pixels", read=ReadOptions(size=16))


def test_wrong_labels_come_first(album: Path) -> None:
    found = catclf.check(album, PIXELS)
    labels = found.of("label")
    assert {Path(finding.path).stem for finding in labels[:2]} == {"04", "27"}
    scores = [finding.score for finding in labels]
    assert scores == sorted(scores)  # type: ignore[type-var]
    assert all(score is not None and score < 0.5 for score in scores)
    assert {finding.label for finding in labels[:2]} == {"warm", "cold"}
    assert (found.m, found.counts) == (M, {"cold": 20, "warm": 20})
    assert found.accuracy >= 0.9
    if found.expected_errors is not None:
        assert found.expected_errors == pytest.approx(2, abs=2)


@pytest.mark.parametrize("features", ["pixels", "patches"])
def test_labels_are_doubted_in_folds_where_features_learn_or_pictures_are_many(
    album: Path, features: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catclf.pipeline.checking._AT_ONCE", 10)
    found = catclf.check(album, CheckSettings(positive="warm", features=features, read=PIXELS.read))
    worst = {Path(finding.path).stem for finding in found.of("label")[:6]}
    assert {"04", "27"} <= worst


def test_near_duplicates_are_in_groups_and_those_of_two_labels_come_first(album: Path) -> None:
    one, two = picture(0, True), picture(30, False)
    one.resize((48, 36)).save(album / "warm" / "small.png")
    one.save(album / "warm" / "worse.jpg", quality=40)
    two.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(album / "warm" / "mirrored.png")
    found = catclf.check(album, PIXELS)
    duplicates = found.of("duplicate")
    groups = [
        {Path(finding.path).stem for finding in duplicates if finding.group == number}
        for number in (1, 2)
    ]
    assert groups == [{"30", "mirrored"}, {"00", "small", "worse"}]
    assert (found.groups, found.across) == (2, 1)
    assert all(0.7 < (finding.score or 0) <= 1 for finding in duplicates)
    by_name = {Path(finding.path).stem: Path(finding.other).stem for finding in duplicates}
    assert by_name["mirrored"] == "30"
    assert by_name["00"] in ("small", "worse")


def test_what_is_in_other_data_too_is_named(album: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for place, k, warm in (("a", 3, True), ("b", 99, True)):
        (other / place).mkdir(parents=True)
        picture(k, warm).resize((60, 45)).save(other / place / "x.jpg")
    listed = tmp_path / "other.csv"
    listed.write_text(f"path,label\n{other}/a/x.jpg,a\n{other}/b/x.jpg,b\n")
    packed = tmp_path / "other.h5"
    catclf.pack(other, packed, PackSettings(positive="a"))
    for source, name in (
        (other, f"{other}/a/x.jpg"),
        (listed, f"{other}/a/x.jpg"),
        (packed, f"{packed}[0]"),
    ):
        found = catclf.check(album, replace(PIXELS, other=source))
        beyond = [finding for finding in found.of("duplicate") if finding.group is None]
        assert [Path(finding.path).stem for finding in beyond] == ["03"]
        assert beyond[0].other == name
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="has no picture that can be read"):
        catclf.check(album, replace(PIXELS, other=empty))


def test_packed_rows_are_checked_as_the_pictures(album: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.h5"
    read = ReadOptions(size=16)
    catclf.pack(album, rows, PackSettings(features="patches", positive="warm", read=read))
    found = catclf.check(rows)
    assert found.features == "patches"
    assert found.learned_before
    worst = [finding.path for finding in found.of("label")[:6]]
    assert {str(album / "cold" / "04.png"), str(album / "warm" / "27.png")} <= set(worst)


def test_the_command_writes_rows_that_can_be_corrections(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    (album / "warm" / "broken.png").write_bytes(b"no")
    shutil.copy(album / "warm" / "00.png", album / "warm" / "again.png")
    check = ("check", album, "--positive", "warm", "--features", "pixels", "--size", "16")
    output = tmp_path / "found.csv"
    result = catclf(*check, "-o", output)
    assert result.code == 3
    assert "pictures: cold 20, warm 21 (1 unreadable); features: pixels" in result.err
    assert f"saved {output}: " in result.err
    rows = list(csv.DictReader(io.StringIO(output.read_text("utf-8"))))
    assert list(rows[0]) == ["path", "label", "issue", "score", "other", "group"]
    issues = [row["issue"] for row in rows]
    assert issues == sorted(issues, key=["label", "duplicate", "unusual", "unreadable"].index)
    assert set(issues) == {"label", "duplicate", "unreadable"}
    assert rows[-1]["path"].endswith("broken.png")
    assert (rows[-1]["score"], rows[-1]["other"]) == ("", "")
    again = next(row for row in rows if row["issue"] == "duplicate" and "again" in row["path"])
    assert (again["score"], again["group"]) == ("1.000000", "1")
    assert catclf(*check, "-o", output).code == 2  # it is there
    assert catclf(*check, "-o", output, "-f").code == 3
    # Two labels mended by hand.
    for row in rows:
        if row["issue"] == "label" and Path(row["path"]).stem in ("04", "27"):
            row["label"] = "warm" if row["label"] == "cold" else "cold"
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows[:-1])
    model = tmp_path / "m.npz"
    train = ("train", album, "-o", model, "--positive", "warm", "--size", "16", "-i", "5")
    result = catclf(*train, "--labels", output)
    assert result.code == 0, result.err
    assert f"{output}: 2 labels changed, 0 pictures left out" in result.err


def test_the_page_and_the_exit_status(catclf: Runner, album: Path) -> None:
    check = ("check", album, "--positive", "warm", "--features", "pixels", "--size", "16")
    result = catclf(*check)
    assert result.code == 0
    out = result.out.decode()
    assert "labels: " in out
    assert "near-duplicates: none" in out
    assert "04.png" in out
    assert catclf(*check, "--exit-status").code == 1
    lines = catclf(*check, "-F", "jsonl").out.decode().splitlines()
    first = json.loads(lines[0])
    assert list(first) == ["path", "label", "issue", "score", "other", "group"]
    assert first["group"] is None


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="one of pixels, patches, network"):
        CheckSettings(features="hog")
    with pytest.raises(ConfigError, match="zero or more"):
        CheckSettings(seed=-1)


def test_labels_that_check_doubts_can_be_laid_over_the_data(album: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    rows = [
        f"{finding.path},{'cold' if finding.label == 'warm' else 'warm'}"
        for finding in catclf.check(album, PIXELS).of("label")[:2]
    ]
    file.write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    fit = catclf.train(album, TrainSettings(positive="warm", labels=file, read=ReadOptions(size=16)))
    assert fit.corrections is not None
    assert fit.corrections.changed == 2
    after = catclf.check(album, PIXELS)
    assert after.m == fit.m
