"""Labels laid over those of data: what they change, leave out, and cannot say."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import catclf
from catclf.config import DescentSettings, PackSettings, ReadOptions, TrainSettings
from catclf.errors import DataError
from catclf.images.corrections import corrected
from catclf.images.labelled import Labelled
from catclf.images.listing import list_labelled
from tests.conftest import Runner
from tests.pictures import class_folder

SHORT = DescentSettings(iterations=20, stop="none")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Ten pictures of cats and ten dogs, a few of which have names that need care."""
    folder = class_folder(tmp_path / "album", m=20, size=12)
    for place, name in (("cat", "a, b.png"), ("dog", "=sum.png")):
        first = min((folder / place).iterdir())
        first.rename(first.with_name(name))
    return folder


def sheet(path: Path, *rows: str, head: str = "path,label") -> str:
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return str(path)


def names(labelled: Labelled) -> dict[str, str]:
    kept = np.ones(labelled.m, bool) if labelled.left_out is None else ~labelled.left_out
    return {
        os.path.basename(path): labelled.classes[label]
        for path, label, is_kept in zip(labelled.paths, labelled.labels.tolist(), kept, strict=True)
        if is_kept
    }


@pytest.mark.parametrize("way", ["as listed", "from the folder", "absolute", "through a link"])
def test_a_picture_is_named_in_any_way_that_leads_to_it(
    album: Path, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album.parent)
    labelled = list_labelled(album.name).labelled
    (tmp_path / "link").symlink_to(album)
    path = {
        "as listed": f"{album.name}/cat/a, b.png",
        "from the folder": "cat/a, b.png",
        "absolute": str(album / "cat" / "a, b.png"),
        "through a link": str(tmp_path / "link" / "cat" / "a, b.png"),
    }[way]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found, told = corrected(labelled, sheet(elsewhere / "c.csv", f'"{path}",Dog'))
    assert told is not None
    assert told[1:] == (1, 0, ())
    assert names(found) == {**names(labelled), "a, b.png": "dog"}
    assert found.left_out is None


def test_what_is_said_twice_known_already_empty_or_left_out(album: Path, tmp_path: Path) -> None:
    labelled = list_labelled(str(album)).labelled
    rows = ("dog/=sum.png,cat", "./dog/=sum.png,cat", '"cat/a, b.png",cat', "cat/none.png,-")
    others = sorted(path.name for path in (album / "cat").iterdir())[1:3]
    more = (f"cat/{others[0]},-", f"cat/{others[1]},", f"cat/{others[1]}, ")
    found, told = corrected(labelled, sheet(tmp_path / "c.csv", *rows, *more))
    assert told is not None
    assert told[1:] == (1, 1, ("cat/none.png",))
    expected = {**names(labelled), "=sum.png": "cat"}
    del expected[others[0]]
    assert names(found) == expected


def test_bytes_of_a_path_are_taken_for_it(album: Path, tmp_path: Path) -> None:
    strange = album / "cat" / os.fsdecode(b"caf\xe9.png")
    (album / "cat" / "a, b.png").rename(strange)
    labelled = list_labelled(str(album)).labelled
    raw = base64.b64encode(b"cat/caf\xe9.png").decode()
    file = sheet(tmp_path / "c.csv", f"cat/caf\ufffd.png,dog,{raw}", head="path,label,path_bytes")
    _, told = corrected(labelled, file)
    assert told is not None
    assert told.changed == 1
    file = sheet(tmp_path / "c.csv", "x,dog,?", head="path,label,path_bytes")
    with pytest.raises(DataError, match="line 2: path_bytes is not base64"):
        corrected(labelled, file)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (("cat/a.png,cta",), "line 2: the label 'cta' is not one of 'cat', 'dog', '-'"),
        (
            ('"cat/a, b.png",dog', '"./cat/a, b.png",-'),
            "lines 2 and 3 give .* the labels 'dog' and '-'",
        ),
        ((",cat",), "line 2: expected a path and a label"),
        (("a.png",), "line 2: expected a path and a label"),
        (("a.png,cat,more",), "line 2: more fields than columns"),
    ],
)
def test_rows_that_cannot_be_meant_are_refused(
    album: Path, tmp_path: Path, rows: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        corrected(list_labelled(str(album)).labelled, sheet(tmp_path / "c.csv", *rows))


def test_without_a_file_nothing_changes(album: Path) -> None:
    labelled = list_labelled(str(album)).labelled
    assert corrected(labelled, None) == (labelled, None)


def folder_of(album: Path, tmp_path: Path) -> Path:
    """The album with the corrections made in it by hand."""
    made = tmp_path / "made"
    for path in album.rglob("*.png"):
        place = {"=sum.png": "cat"}.get(path.name, path.parent.name)
        if path.name != "a, b.png":
            (made / place).mkdir(parents=True, exist_ok=True)
            (made / place / path.name).write_bytes(path.read_bytes())
    return made


@pytest.mark.parametrize(
    ("source", "features"),
    [
        *(("folder", features) for features in ("pixels", "patches")),
        ("csv", "pixels"),
        ("pictures", "pixels"),
        ("rows", "patches"),
    ],
)
def test_a_model_is_that_of_data_with_these_labels(
    album: Path, tmp_path: Path, source: str, features: str
) -> None:
    read = ReadOptions(size=12)
    data = album
    if source == "csv":
        rows = [f'"{path}",{path.parent.name}' for path in sorted(album.rglob("*.png"))]
        data = Path(sheet(tmp_path / "all.csv", *rows))
    elif source in ("pictures", "rows"):
        data = tmp_path / "packed.h5"
        catclf.pack(album, data, PackSettings(read=read, features=features))
    file = sheet(tmp_path / "c.csv", f"{album}/dog/=sum.png,cat", f'"{album}/cat/a, b.png",-')
    if source == "pictures":  # it does not know where they were
        paths = list_labelled(str(album)).labelled.paths
        positions = [paths.index(str(album / name)) for name in ("dog/=sum.png", "cat/a, b.png")]
        file = sheet(tmp_path / "c.csv", f"{data}[{positions[0]}],cat", f"{data}[{positions[1]}],-")
    settings = {"features": features} if source == "rows" else {"features": features, "read": read}
    some: dict[str, Any] = {"descent": SHORT, "cv": 2, "positive": "cat", **settings}
    fit = catclf.train(data, TrainSettings(labels=file, **some))
    assert fit.corrections is not None
    assert fit.corrections[1:] == (1, 1, ())
    assert fit.counts == {"cat": 10, "dog": 9}
    assert fit.m == 19
    assert fit.model.training.corrections == {"changed": 1, "left_out": 1, "unknown": 0}
    assert fit.to_dict()["corrections"] == {"changed": 1, "left_out": 1, "unknown": 0}
    if source == "rows":
        return  # what it has learned was learned from all pictures
    made = catclf.train(folder_of(album, tmp_path), TrainSettings(**some))
    order = np.argsort(fit.model.fingerprints), np.argsort(made.model.fingerprints)
    assert_array_equal(fit.model.fingerprints[order[0]], made.model.fingerprints[order[1]])
    if features == "pixels":
        np.testing.assert_allclose(fit.model.w, made.model.w, rtol=0, atol=1e-9)


def test_the_command_says_what_became_of_them(catclf: Runner, album: Path, tmp_path: Path) -> None:
    file = sheet(tmp_path / "c.csv", "dog/=sum.png,cat", '"cat/a, b.png",-', "none.png,cat")
    train = ("train", album, "-o", tmp_path / "m.npz", "--labels", file, "--size", "12", "-i", "5")
    result = catclf(*train, "--json")
    assert result.code == 0, result.err
    assert f"{file}: 1 path is not in the data, such as none.png" in result.err
    assert f"{file}: 1 label changed, 1 picture left out" in result.err
    assert json.loads(result.out)["corrections"] == {"changed": 1, "left_out": 1, "unknown": 1}
    result = catclf(*train[:3], file, *train[4:])
    assert result.code == 2
    assert Path(file).exists()


def test_a_sheet_to_be_filled_in_is_data(catclf: Runner, album: Path, tmp_path: Path) -> None:
    rows = [f'"{path}",{path.parent.name}' for path in sorted(album.rglob("*.png"))]
    file = sheet(
        tmp_path / "all.csv",
        *rows[:-2],
        f"{rows[-2].rpartition(',')[0]},-",
        f"{rows[-1].rpartition(',')[0]},",
    )
    result = catclf("train", file, "-o", tmp_path / "m.npz", "--size", "12", "-i", "5")
    assert result.code == 0, result.err
    assert "pictures: cat 10, dog 8" in result.err
    assert f"1 row of {file} has no label: skipped" in result.err
    assert f"1 row of {file} labelled '-': left out" in result.err


@pytest.mark.parametrize("features", ["pixels", "patches"])
def test_what_is_packed_has_the_corrected_labels(album: Path, tmp_path: Path, features: str) -> None:
    (album / "cat" / "broken.png").write_bytes(b"no")
    file = sheet(tmp_path / "c.csv", "dog/=sum.png,cat", '"cat/a, b.png",-', "none.png,-")
    read, output = ReadOptions(size=12), tmp_path / "packed.h5"
    settings = PackSettings(read=read, features=features, labels=file)
    packed = catclf.pack(album, output, settings)
    assert packed.counts == {"dog": 9, "cat": 10}
    assert packed.m == 19
    assert packed.to_dict()["corrections"] == {"changed": 1, "left_out": 1, "unknown": 1}
    made = catclf.pack(folder_of(album, tmp_path), tmp_path / "made.h5", PackSettings(read=read))
    assert made.counts == packed.counts
    if features == "pixels":
        fits = [
            catclf.train(path, TrainSettings(descent=SHORT)) for path in (output, tmp_path / "made.h5")
        ]
        marks = [set(fit.model.fingerprints.tolist()) for fit in fits]
        assert marks[0] == marks[1]
    else:  # labels are applied anew where rows stay as they are
        again = catclf.pack(album, output, PackSettings(read=read, features=features), update=True)
        assert again.counts == {"dog": 10, "cat": 10}
        assert again.reused == 19


def test_pack_says_what_became_of_them(catclf: Runner, album: Path, tmp_path: Path) -> None:
    file = sheet(tmp_path / "c.csv", "dog/=sum.png,cat", '"cat/a, b.png",-')
    result = catclf("pack", album, tmp_path / "packed.h5", "--labels", file)
    assert result.code == 0, result.err
    assert f"{file}: 1 label changed, 1 picture left out" in result.err
    assert "pictures: dog 9, cat 10" in result.err
