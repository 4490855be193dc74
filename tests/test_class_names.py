"""When names mean one class, in folders, CSV files, HDF5 files and for models."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from catclf.class_names import bare, is_plural, is_same, merged, united
from tests.conftest import Runner
from tests.pictures import cats_and_dogs, class_folder, save_h5, save_picture

CAFE = [unicodedata.normalize(form, "Café") for form in ("NFC", "NFD")]


def test_names_are_alike_but_for_case_space_and_unicode_form() -> None:
    assert CAFE[0] != CAFE[1]
    assert len({bare(name) for name in (*CAFE, " café", "CAFÉ\t")}) == 1
    assert len({bare(name) for name in ("cat", "cats", "c at", "ca")}) == 4


@pytest.mark.parametrize(
    ("one", "other"), [("cat", "cats"), ("Box", "boxes"), ("kitties", "KITTY "), ("bus", "buses")]
)
def test_plurals(one: str, other: str) -> None:
    assert is_plural(one, other)
    assert is_plural(other, one)
    assert is_same(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("cat", "cat"), ("cat", "catss"), ("", "s"), ("cat", "bats"), ("dog", "dog s")]
)
def test_no_plurals(one: str, other: str) -> None:
    assert not is_plural(one, other)


def test_the_plainest_name_stands_for_all() -> None:
    assert united(["Cat", " cat", "cat", "Dog", "DOG"]) == {
        "Cat": "cat",
        " cat": "cat",
        "cat": "cat",
        "Dog": "Dog",
        "DOG": "Dog",
    }
    with pytest.raises(
        ValueError, match="has the classes 'cats' and 'Cat', which may be meant to be one"
    ):
        united(["cats", "dog", "Cat"])


def sheet(path: Path, folder: Path, labels: dict[str, list[str]]) -> Path:
    """A CSV of the pictures of a folder, with labels for each class in turn."""
    rows = []
    for name, written in labels.items():
        for k, file in enumerate(sorted((folder / name).iterdir())):
            rows.append(f"{file},{written[k % len(written)]}")
    path.write_text("path,label\n" + "\n".join(rows) + "\n")
    return path


def test_classes_that_are_alike_are_one_and_that_is_said(catclf: Runner, tmp_path: Path) -> None:
    album = class_folder(tmp_path / "album", m=12, size=16)
    data = sheet(tmp_path / "a.csv", album, {"cat": ["cat", "Cat", "cat "], "dog": ["dog"]})
    model, options = tmp_path / "m.npz", ("--size", "8", "-i", "5")
    trained = catclf("train", data, "-o", model, *options, "-F", "json")
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["classes"] == {"cat": 6, "dog": 6}
    said = "warning: 'Cat', 'cat', 'cat ' are taken for one class, 'cat'"
    assert said in trained.err
    assert said in catclf("eval", "-m", model, data).err
    assert said in catclf("pack", data, tmp_path / "a.h5", "--size", "8").err


def test_folders_and_numbers_follow_the_same_rule(catclf: Runner, tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(12, 8)
    names = np.array([b"dog", b"cat", b"CAT"])
    data = save_h5(
        tmp_path / "a.h5",
        a_set_x=pixels,
        a_set_y=np.where(y == 1, 1 + np.arange(12) % 4 // 2, 0),
        list_classes=names,
    )
    result = catclf("train", data, "-o", tmp_path / "m.npz", "-i", "5", "-F", "json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["classes"] == {"dog": 6, "cat": 6}
    album = class_folder(tmp_path / "album", m=8, size=8)
    save_picture(album / "Cat" / "x.png", pixels[1])
    result = catclf("train", album, "-o", tmp_path / "n.npz", "--size", "8", "-i", "5", "-F", "json")
    assert json.loads(result.out)["classes"] == {"cat": 5, "dog": 4}


def test_singular_and_plural_in_one_data_set_are_refused(catclf: Runner, tmp_path: Path) -> None:
    album = class_folder(tmp_path / "album", m=8, size=8)
    save_picture(album / "cats" / "x.png", cats_and_dogs(2)[0][1])
    command = ("train", album, "-o", tmp_path / "m.npz", "--size", "8", "-i", "5")
    result = catclf(*command)
    assert result.code == 1
    assert "has the classes 'cat' and 'cats', which may be meant to be one" in result.err
    assert "rename one, or leave one out with --exclude" in result.err
    assert catclf(*command, "--exclude", "cats/").code == 0


def test_cat_is_positive_wherever_it_stands(catclf: Runner, tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(12, 8)
    for k, names in enumerate(([b"cat", b"dog"], [b"dog", b"Cats"], [b"non-cat", b"cat"])):
        number = [name.lower().removesuffix(b"s") for name in names].index(b"cat")
        labels = np.where(y == 1, number, 1 - number)
        data = save_h5(
            tmp_path / f"{k}.h5", a_set_x=pixels, a_set_y=labels, list_classes=np.array(names)
        )
        model = tmp_path / f"{k}.npz"
        assert catclf("train", data, "-o", model, "-i", "50").code == 0
        facts = json.loads(catclf("info", model, "-F", "json").out)
        assert facts["positive"] == names[number].decode()
        assert json.loads(catclf("eval", "-m", model, data, "-F", "json").out)["accuracy"] == 1.0
    other = save_h5(tmp_path / "o.h5", a_set_x=pixels, a_set_y=y, list_classes=np.array([b"a", b"b"]))
    assert catclf("train", other, "-o", tmp_path / "o.npz", "-i", "5").code == 0
    assert json.loads(catclf("info", tmp_path / "o.npz", "-F", "json").out)["positive"] == "b"


def test_a_model_is_not_judged_on_classes_that_it_does_not_know(catclf: Runner, tmp_path: Path) -> None:
    mine, theirs = (
        class_folder(tmp_path / "mine", m=12, size=8),
        class_folder(tmp_path / "theirs", m=12, size=8),
    )
    (mine / "cat").rename(mine / "my cats")
    (mine / "dog").rename(mine / "others")
    model = tmp_path / "m.npz"
    trained = catclf("train", mine, "-o", model, "--positive", "My Cats", "--size", "8", "-i", "50")
    assert trained.code == 0, trained.err
    begin = ("eval", "-m", model, theirs)
    refused = catclf(*begin, "--fail-under", "accuracy=0.5")
    assert (refused.code, refused.out) == (1, b"")
    assert "has the classes cat, dog; the model knows my cats, others" in refused.err
    assert "name the class that is 'my cats' with --positive NAME" in refused.err
    named = catclf(*begin, "--positive", "cat", "-F", "json")
    assert named.code == 0
    assert json.loads(named.out)["accuracy"] == 1.0
    assert catclf(*begin, "--positive", "cow").code == 1


def test_names_are_said_to_be_taken_for_one_where_there_are_two() -> None:
    names = ["cat", "Cat", "dog"]
    assert merged(names, united(names)) == ["'cat', 'Cat' are taken for one class, 'cat'"]
    assert merged(["cat", "dog"], united(["cat", "dog"])) == []
