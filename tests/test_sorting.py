"""`predict --link-to` and `--copy-to`: each picture in its place, nothing overwritten, no harm done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import catclf
from catclf.config import DescentSettings, PackSettings, ReadOptions, TrainSettings
from catclf.pipeline.prediction import Prediction
from catclf.pipeline.sorting import Sorter
from tests.conftest import Runner
from tests.pictures import class_folder

ways = pytest.mark.parametrize("option", ["--link-to", "--copy-to"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    data = class_folder(tmp_path / "data", m=20, size=12)
    settings = TrainSettings(read=ReadOptions(size=12), descent=DescentSettings(iterations=200))
    catclf.save(catclf.train(data, settings).model, tmp_path / "m.npz")
    return tmp_path / "m.npz"


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three pictures called IMG_1.png in nested folders, and one with a name that needs care."""
    source = class_folder(tmp_path / "source", m=6, size=12, seed=1)
    cats, dogs = (sorted((source / name).iterdir()) for name in ("cat", "dog"))
    album = tmp_path / "album"
    for k, path in enumerate((*cats[:2], dogs[0])):
        (album / f"day {k}").mkdir(parents=True)
        (album / f"day {k}" / "IMG_1.png").write_bytes(path.read_bytes())
    os.utime(album / "day 0" / "IMG_1.png", (10**9, 10**9))
    (album / os.fsdecode(b"-\xe9 \n.png")).write_bytes(cats[2].read_bytes())
    return album


def tree(folder: Path) -> dict[str, bytes]:
    return {
        os.fsdecode(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@ways
def test_every_picture_is_in_the_folder_of_its_class(
    catclf: Runner, model: Path, album: Path, tmp_path: Path, option: str
) -> None:
    before, folder = tree(album), tmp_path / "sorted"
    plain = catclf("predict", "-m", model, album)
    result = catclf("predict", "-m", model, album, option, folder)
    assert (result.code, result.out) == (0, plain.out)
    strange = os.fsdecode(b"-\xe9 \n.png")
    found = tree(folder)
    assert set(found) == {"cat/IMG_1.png", "cat/IMG_1-2.png", "dog/IMG_1.png", f"cat/{strange}"}
    assert found["cat/IMG_1.png"] == before["day 0/IMG_1.png"]
    assert found["cat/IMG_1-2.png"] == before["day 1/IMG_1.png"]
    first = folder / "cat" / "IMG_1.png"
    assert first.stat().st_mtime == 10**9
    assert first.is_symlink() == (option == "--link-to")
    if first.is_symlink():
        assert os.readlink(first) == str(album / "day 0" / "IMG_1.png")
    # Again, with one more: what is there is left alone.
    (album / "day 3").mkdir()
    (album / "day 3" / "IMG_1.png").write_bytes(before["day 0/IMG_1.png"] + b"more")
    assert catclf("predict", "-m", model, album, option, folder).code == 0
    assert {name: data for name, data in tree(folder).items() if name in found} == found
    assert set(tree(folder)) - set(found) == {"cat/IMG_1-3.png"}
    assert {name: data for name, data in tree(album).items() if name in before} == before


@ways
def test_only_one_class_is_sorted(
    catclf: Runner, model: Path, album: Path, tmp_path: Path, option: str
) -> None:
    folder = tmp_path / "sorted"
    result = catclf("predict", "-m", model, album, "--only", "dog", "-0", option, folder)
    assert result.out == os.fsencode(album / "day 2" / "IMG_1.png") + b"\0"
    assert list(tree(folder)) == ["dog/IMG_1.png"]


def test_what_is_no_file_gets_a_row_that_says_so(
    catclf: Runner, model: Path, album: Path, tmp_path: Path
) -> None:
    packed, folder = tmp_path / "p.h5", tmp_path / "sorted"
    (album / "day 0" / "broken.png").write_bytes(b"no")
    result = catclf("predict", "-m", model, album, "--copy-to", folder)
    assert result.code == 3
    assert b"broken.png\tERROR\t" in result.out
    pack(tmp_path / "data", packed)
    result = catclf("predict", "-m", model, packed, "--link-to", folder)
    assert result.code == 3
    assert result.out.count(b"\tERROR\tis not a file of its own, so it cannot be sorted\n") == 20
    assert "20 of 20 could not be read or sorted" in result.err


def pack(data: Path, output: Path) -> None:
    catclf.pack(data, output, PackSettings(read=ReadOptions(size=12)))


def test_folders_that_are_read_and_both_ways_at_once_are_refused(
    catclf: Runner, model: Path, album: Path, tmp_path: Path
) -> None:
    result = catclf("predict", "-m", model, album, "--copy-to", album / "cats")
    assert result.code == 2
    assert "which is an input" in result.err
    result = catclf("predict", "-m", model, album, "--copy-to", "a", "--link-to", "b")
    assert result.code == 2
    assert "cannot be used together" in result.err
    (tmp_path / "file").write_text("")
    assert catclf("predict", "-m", model, album, "--copy-to", tmp_path / "file").code == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_a_row(album: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sorted"
    folder.mkdir(mode=0o500)
    path = str(album / "day 0" / "IMG_1.png")
    row = Sorter(str(folder), copies=True).sorted(Prediction(path, "cat", 0.9, None))
    assert "cannot be copied" in str(row.error)


def test_names_of_classes_are_names_of_folders(album: Path, tmp_path: Path) -> None:
    path = str(album / "day 0" / "IMG_1.png")
    for label, name in (("a/b", "a-b"), ("..", "_.."), (".", "_.")):
        row = Prediction(path, label, 0.9, None)
        assert Sorter(str(tmp_path / "s"), copies=False).sorted(row) == row
        assert (tmp_path / "s" / name / "IMG_1.png").is_symlink()


def test_a_full_disk_and_one_without_hard_links(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = str(album / "day 0" / "IMG_1.png"), tmp_path / "sorted"
    sorter, row = Sorter(str(folder), copies=True), Prediction(path, "cat", 0.9, None)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy2", full)
        failed = sorter.sorted(row)
    assert failed.error is not None
    assert failed.error.reason == f"cannot be copied to {folder} (no space left on device)"
    assert (failed.label, failed.probability) == (None, None)
    assert list((folder / "cat").iterdir()) == []
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", full)
        assert sorter.sorted(row) == row
    assert (folder / "cat" / "IMG_1.png").read_bytes() == Path(path).read_bytes()
    assert np.all([not name.name.startswith(".") for name in (folder / "cat").iterdir()])
