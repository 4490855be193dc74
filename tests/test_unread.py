"""Pictures in formats that are not read: the same hint from every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from catclf.unread import UNREAD, sentences
from tests.conftest import Runner
from tests.pictures import class_folder


def test_each_kind_is_counted_and_named(tmp_path: Path) -> None:
    names = ["a.heic", "b.HEIF", "c.CR2", "d.nef", "e.dng", "f.jxl", "notes.txt", "g"]
    assert sentences(str(tmp_path / name) for name in names) == [
        "2 HEIC pictures were not read: pip install 'catclf[heic]', or convert HEIC to JPEG",
        "3 raw camera files were not read: take out the JPEG that is inside, as with exiv2 -ep3",
        "1 JPEG XL picture was not read: convert JPEG XL to JPEG first, as with djxl",
    ]
    assert sentences(["notes.txt"]) == []


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg"])
def test_a_raw_file_beside_its_jpeg_is_no_loss(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").touch()
    assert sentences([f"{tmp_path}/a.CR2"]) == []
    assert len(sentences([f"{tmp_path}/b.CR2"])) == 1
    assert len(sentences([f"{tmp_path}/a.heic"])) == 1


def test_no_suffix_stands_for_two_kinds() -> None:
    suffixes = [suffix for kind in UNREAD for suffix in kind.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() for suffix in suffixes)


@pytest.mark.usefixtures("no_heic")
def test_every_command_gives_the_same_hint(catclf: Runner, tmp_path: Path) -> None:
    album, model = class_folder(tmp_path / "album", m=8), tmp_path / "m.npz"
    (album / "cat" / "IMG_1.HEIC").touch()
    (album / "dog" / "IMG_2.CR3").touch()
    (album / "dog" / "IMG_3.arw").touch()
    (album / "dog" / "IMG_3.JPG").symlink_to(album / "dog" / "00.png")
    said = [
        "1 HEIC picture was not read: pip install 'catclf[heic]', or convert HEIC to JPEG\n",
        "1 raw camera file was not read: take out the JPEG that is inside, as with exiv2 -ep3\n",
    ]
    for command in (
        ("train", album, "-o", model, "-i", "5", "--size", "8"),
        ("eval", "-m", model, album),
        ("predict", "-m", model, album),
        ("pack", album, tmp_path / "a.h5", "--size", "8"),
    ):
        result = catclf(*command)
        assert result.code == 0, result.err
        for sentence in said:
            assert result.err.count(sentence) == 1
    for file in (album / "cat").glob("*.png"):
        file.unlink()
    result = catclf("train", album, "-o", tmp_path / "n.npz", "-i", "5")
    assert result.code == 1
    assert said[0] in result.err
