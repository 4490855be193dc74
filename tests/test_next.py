"""`next`: pictures to label, from nothing to many labels, and sheets that go round."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import catclf
from catclf.config import NextSettings, PackSettings, ReadOptions, TrainSettings
from catclf.coverage import most_useful
from catclf.errors import ConfigError, DataError
from tests.conftest import Runner
from tests.test_check import picture

PIXELS = NextSettings(features="pixels", read=ReadOptions(size=16, jobs=1))


def blobs(counts: tuple[int, ...], seed: int = 0) -> tuple[NDArray[np.float32], list[int]]:
    """Rows in clusters of these sizes, and their clusters."""
    rng = np.random.default_rng(seed)
    of = [k for k, count in enumerate(counts) for _ in range(count)]
    centres = 5 * np.eye(len(counts), 12)
    return (centres[of] + 0.5 * rng.standard_normal((len(of), 12))).astype(np.float32), of


def test_the_first_pictures_stand_for_the_clusters_the_largest_first() -> None:
    rows, of = blobs((40, 25, 10, 3))
    chosen = most_useful(rows, np.full(len(rows), -1), 4)
    assert [of[k] for k in chosen] == [0, 1, 2, 3]
    assert len(set(chosen.tolist())) == 4


def test_what_is_labelled_covers_those_like_it() -> None:
    rows, of = blobs((40, 25, 10))
    labels = np.full(len(rows), -1)
    labels[of.index(0)] = 0
    assert [of[k] for k in most_useful(rows, labels, 2)] == [1, 2]
    labels[:40] = 0
    assert set(most_useful(rows, labels, 99).tolist()) == set(range(40, 75))


def test_pictures_in_doubt_count_for_more() -> None:
    rows, of = blobs((30, 30))
    for doubted in (0, 1):
        doubts = np.where(np.array(of) == doubted, 1.0, 0.05)
        (first,) = most_useful(rows, np.full(60, -1), 1, doubts=doubts)
        assert of[first] == doubted


def test_of_many_pictures_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catclf.coverage.MOST", 20)
    rows, _ = blobs((50, 50))
    unlabelled = np.full(100, -1)
    chosen = [most_useful(rows, unlabelled, 30, seed).tolist() for seed in (0, 0, 1)]
    assert len(chosen[0]) == 20
    assert chosen[0] == chosen[1] != chosen[2]


def test_classes_of_any_number_weigh_doubt() -> None:
    rows, of = blobs((20, 20, 20, 20))
    labels = np.full(80, -1)
    for cluster in range(3):
        first = of.index(cluster)
        labels[first : first + 5] = cluster
    assert of[most_useful(rows, labels, 1)[0]] == 3


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Thirty warm and six cold pictures in nested folders."""
    folder = tmp_path / "an album"
    for k in range(36):
        warm = k < 30
        place = folder / f"tag {k % 3}"
        place.mkdir(parents=True, exist_ok=True)
        picture(k, warm).save(place / f"{'warm' if warm else 'cold'} {k:02d}.JPG")
    return folder


def filled(path: Path) -> int:
    """Fill in what is left open, from the names; returns how much that was."""
    rows = list(csv.reader(path.read_text("utf-8").splitlines()))
    opened = [row for row in rows if row and row[1] == ""]
    for row in opened:
        row[1] = Path(row[0]).name.split()[0]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return len(opened)


def test_a_sheet_goes_round(catclf: Runner, album: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "labels.csv"
    (album / "notes.txt").write_text("no picture")
    sizes = []
    for expected in ("labelled: none; 36 pictures", "30 pictures", "24 pictures"):
        sheet.touch()  # as the shell does before it appends
        result = catclf(
            *("next", "-n", "6", album, "--labels", sheet, "-F", "csv"),
            *("--features", "pixels", "--size", "16"),
        )
        assert result.code == 0, result.err
        assert expected in result.err
        with sheet.open("ab") as file:
            file.write(result.out)
        sizes.append(filled(sheet))
    assert sizes == [6, 6, 6]
    rows = list(csv.DictReader(sheet.read_text("utf-8").splitlines()))
    paths = [row["path"] for row in rows if row["path"] != "path"]
    assert len(set(paths)) == 18
    assert {row["label"] for row in rows[:7]} >= {"warm", "cold"}  # six of 36 are cold
    result = catclf("train", sheet, "-o", tmp_path / "m.npz", "--positive", "warm", "--size", "16")
    assert result.code == 0, result.err


def test_labels_that_are_open_or_leave_out(album: Path, tmp_path: Path) -> None:
    first = catclf.suggest(album, 4, PIXELS)
    assert (len(first.paths), first.m, first.counts) == (4, 36, {})
    assert first.features == "pixels"
    sheet = tmp_path / "labels.csv"
    one, two, three, four = first.paths
    beside = Path(two).relative_to(tmp_path)
    sheet.write_text(f"path,label\n{one},-\n{beside},warm\n{three},\n{one},-\n", encoding="utf-8")
    again = catclf.suggest([album], 40, PIXELS, labels=sheet)
    assert (again.m, again.counts) == (34, {"warm": 1})
    assert not {one, two} & set(again.paths)
    assert {three, four} <= set(again.paths)
    sheet.write_text(f"path,label\n{one},warm\n{one},Warm\n", encoding="utf-8")
    assert catclf.suggest(album, 4, PIXELS, labels=sheet).counts == {"warm": 1}
    sheet.write_text(f"path,label\n{one},warm\n{one},cold\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"lines 2 and 3 give .* the labels 'warm' and 'cold'"):
        catclf.suggest(album, 4, PIXELS, labels=sheet)


def test_labelled_pictures_may_be_elsewhere(album: Path, tmp_path: Path) -> None:
    picture(99, True).save(tmp_path / "far.png")
    sheet = tmp_path / "labels.csv"
    sheet.write_text("path,label\nfar.png,Warm\n", encoding="utf-8")
    found = catclf.suggest(album, 4, PIXELS, labels=sheet)
    assert (found.m, found.counts) == (36, {"Warm": 1})
    assert str(tmp_path / "far.png") not in found.paths
    with pytest.raises(DataError, match="has no class 'hot'; it has Warm"):
        catclf.suggest(album, 4, replace(PIXELS, positive="hot"), labels=sheet)
    assert len(catclf.suggest(album, 4, replace(PIXELS, positive="warm"), labels=sheet).paths) == 4


def test_a_model_knows_what_it_was_trained_on(album: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "labels.csv"
    rows = [f"{path},{path.name.split()[0]}" for path in sorted(album.rglob("*.JPG"))]
    some = [row for row in rows if int(row[-12:].split(".")[0].split()[-1]) % 2]
    sheet.write_text("\n".join(["path,label", *some]), encoding="utf-8")
    settings = TrainSettings(positive="warm", read=ReadOptions(size=16))
    model = catclf.train(sheet, settings).model
    found = catclf.suggest(album, 40, model=model)
    assert found.counts == {"trained on": len(some)}
    assert found.m == 36 - len(some)
    known = {row.rpartition(",")[0] for row in some}
    assert not known & set(found.paths)


@pytest.mark.parametrize("features", ["pixels", "patches"])
def test_hdf5_files_of_pictures_or_rows_and_what_cannot_be_read(
    album: Path, tmp_path: Path, features: str
) -> None:
    packed = tmp_path / "packed.h5"
    read = ReadOptions(size=16, jobs=1)
    catclf.pack(album, packed, PackSettings(features=features, read=read))
    (album / "broken.jpg").write_bytes(b"no")
    settings = NextSettings(features=features, read=read)
    found = catclf.suggest([packed], 3, settings)
    assert found.features == features
    if features == "pixels":
        assert all(path.startswith(f"{packed}[") for path in found.paths)
        both = catclf.suggest([packed, album], 3, settings)
        assert both.m == 72
        assert [Path(error.path).name for error in both.skipped] == ["broken.jpg"]
    else:
        sheet = tmp_path / "labels.csv"
        sheet.write_text(f"path,label\n{found.paths[0]},warm\n", encoding="utf-8")
        assert all(Path(path).exists() for path in found.paths)
        assert catclf.suggest(packed, 3, settings, labels=sheet).counts == {"warm": 1}
        assert catclf.suggest([packed], 3).paths == found.paths
        with pytest.raises(DataError, match="cannot be made of the other pictures"):
            catclf.suggest([packed, album], 3, settings)
        with pytest.raises(DataError, match="has rows of 'patches' features: use"):
            catclf.suggest([packed], 3, PIXELS)


def test_what_the_command_refuses_and_prints(catclf: Runner, album: Path, tmp_path: Path) -> None:
    (album / "broken.jpg").write_bytes(b"no")
    next_four = ("next", "-n", "4", "--features", "pixels", "--size", "16", album)
    result = catclf(*next_four)
    assert result.code == 3
    assert "broken.jpg" in result.err
    paths = result.out.decode().splitlines()
    assert len(paths) == 4
    assert all(Path(path).exists() for path in paths)
    assert catclf(*next_four, "-0").out.decode().split("\0")[:-1] == paths
    for wrong, reason in (
        (("-0", "-F", "csv"), "-0 cannot be used with -F csv"),
        (("-m", "m.npz"), "--features cannot be used with --model"),
        (("-m", "m.npz", "--labels", "l.csv"), "cannot be used together"),
        (("-n", "0"), "0 is not in the range"),
    ):
        result = catclf(*next_four, *wrong)
        assert result.code == 2
        assert reason in result.err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no picture that can be read (0 tried)" in catclf("next", empty).err
    little = catclf(*next_four, "--memory", "1kB")
    assert little.code == 1
    assert "need more memory than allowed; raise --memory" in little.err


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="one of pixels, patches, network"):
        NextSettings(features="hog")
