"""Labelled data from class folders, HDF5 files and CSV files: the same pictures, counts and names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from catclf.errors import DataError
from catclf.images.decode import viewed
from catclf.images.labelled import Labelled
from catclf.images.listing import list_labelled
from catclf.images.paths import Kind, kind_of
from catclf.view import View
from tests.conftest import Runner
from tests.pictures import (
    Pixels,
    cats_and_dogs,
    class_folder,
    course_h5,
    load_labelled,
    noise,
    save_h5,
    save_picture,
)


def read(source: Path, size: int | None = 8, jobs: int = 1) -> tuple[Pixels, Labelled]:
    pictures, data = load_labelled(source, size, jobs=jobs)
    assert pictures.place == "memory"
    return pictures[:], data


def labelled(source: Path) -> Labelled:
    return read(source)[1]


def error_of(source: Path, size: int | None = 8) -> str:
    with pytest.raises(DataError) as caught:
        read(source, size)
    return str(caught.value)


def csv_of(folder: Path, text: str | bytes) -> Path:
    """Write labels.csv beside two pictures a.png (black) and b.png (white)."""
    for name, value in (("a.png", 0), ("b.png", 255)):
        save_picture(folder / name, np.full((8, 8, 3), value, np.uint8))
    path = folder / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# --- three kinds of sources ---


def test_the_three_kinds_of_sources_hold_the_same_pictures(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "folder", m=6)
    pixels, y = cats_and_dogs(6)
    names = [("dog", "cat")[value] for value in y]
    rows = [f"folder/{name}/{k:02}.png,{name}\n" for k, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(rows))
    h5 = save_h5(tmp_path / "a.h5", a_set_x=pixels, a_set_y=y, list_classes=np.array([b"dog", b"cat"]))

    for source in (folder, h5, tmp_path / "labels.csv"):
        found, data = read(source)
        assert data.source == str(source)
        assert data.counts() == {"cat": 3, "dog": 3}
        assert data.usual_positive == "cat"
        assert (data.skipped, data.ignored) == ((), ())
        assert found.dtype == np.uint8
        for name in ("cat", "dog"):
            of_class = found[data.labels == data.classes.index(name)]
            assert_array_equal(of_class, pixels[np.array(names) == name])


def test_paths_belong_to_their_pictures(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "f", m=6)
    data = labelled(folder)
    assert [os.path.relpath(path, folder) for path in data.paths] == [
        *("cat/01.png", "cat/03.png", "cat/05.png"),
        *("dog/00.png", "dog/02.png", "dog/04.png"),
    ]
    assert [data.classes[k] for k in data.labels] == ["cat"] * 3 + ["dog"] * 3


def test_rows_of_an_hdf5_file_have_its_path(tmp_path: Path) -> None:
    path = course_h5(tmp_path / "a.h5", m=2)
    assert labelled(path).paths == (f"{path}[0]", f"{path}[1]")


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_threads_change_nothing(tmp_path: Path, jobs: int) -> None:
    folder = class_folder(tmp_path / "f", m=20)
    (folder / "cat" / "07.png").write_bytes(b"broken")
    (alone, expected), (found, data) = read(folder), read(folder, jobs=jobs)
    assert data.paths == expected.paths
    assert_array_equal(found, alone)
    assert_array_equal(data.labels, expected.labels)


def test_every_read_picture_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    folder = class_folder(tmp_path / "f", m=4)
    (folder / "cat" / "01.png").write_bytes(b"broken")
    load_labelled(folder, 8, lambda what, done, total: told.append((what, done, total)))
    assert told == [("pictures read", k, 4) for k in (1, 2, 3, 4)]


# --- names ---


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (["cat", "dog"], "cat"),
        (["cats", "dogs"], "cats"),
        (["cat", "bird", "dog"], "cat"),
        (["bird", "dog"], None),
        (["non-cat", "cat"], "cat"),
        (["catfish", "dog"], None),
    ],
)
def test_the_usual_positive_class_is_found_by_name(
    tmp_path: Path, names: list[str], positive: str | None
) -> None:
    for name in names:
        save_picture(tmp_path / name / "a.png", noise(8, 8, 3))
    data = labelled(tmp_path)
    assert data.classes == tuple(sorted(names))
    assert data.usual_positive == positive


@pytest.mark.parametrize(
    ("names", "positive"), [([b"dog", b"wolf"], "wolf"), ([b"a", b"b", b"c"], None), (None, "1")]
)
def test_of_two_classes_of_an_hdf5_file_the_second_is_positive(
    tmp_path: Path, names: list[bytes] | None, positive: str | None
) -> None:
    classes = None if names is None else np.array(names)
    path = save_h5(tmp_path / "a.h5", a_set_x=noise(2, 8, 8, 3), a_set_y=[0, 1], list_classes=classes)
    assert labelled(path).usual_positive == positive


def test_a_class_without_pictures_is_a_class(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "f", m=4)
    (folder / "empty").mkdir()
    assert labelled(folder).counts() == {"cat": 2, "dog": 2, "empty": 0}


def test_pictures_may_lie_deeper_in_their_class(tmp_path: Path) -> None:
    save_picture(tmp_path / "cat" / "dog" / "a.png", noise(8, 8, 3))
    assert labelled(tmp_path).counts() == {"cat": 1}


# --- what cannot be read ---


def test_unreadable_pictures_are_skipped_with_their_reasons(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "f", m=6)
    (folder / "cat" / "01.png").write_bytes(b"")
    (folder / "dog" / "bad.jpg").write_bytes(b"words")
    (folder / "dog" / "Thumbs.db").write_bytes(b"junk")
    found, data = read(folder)
    assert data.counts() == {"cat": 2, "dog": 3}
    assert len(found) == len(data.labels) == len(data.paths) == 5
    assert data.ignored == (f"{folder}/dog/Thumbs.db",)
    assert str(data.skipped[0]) == f"{folder}/cat/01.png: is empty"
    assert str(data.skipped[1]).startswith(f"{folder}/dog/bad.jpg: is not a picture in a known format")


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_unreadable_picture_can_be_the_end(tmp_path: Path, jobs: int) -> None:
    folder = class_folder(tmp_path / "f", m=30)
    for name in ("05.png", "09.png"):
        (folder / "cat" / name).write_bytes(b"")
    before = threading.active_count()
    with pytest.raises(DataError, match=r"cat/05\.png: is empty") as caught:
        load_labelled(folder, 8, on_error="fail", jobs=jobs)
    assert threading.active_count() == before  # even while the error holds on to where it was raised
    del caught


def test_a_sub_folder_that_cannot_be_listed_is_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = class_folder(tmp_path / "f", m=4)
    locked = folder / "cat" / "locked"
    save_picture(locked / "a.png", noise(8, 8, 3))
    scandir = os.scandir

    def scan(path: str) -> object:
        if path == str(locked):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert [str(error) for error in labelled(folder).skipped] == [f"{locked}: permission denied"]


def test_data_without_a_readable_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    assert error_of(tmp_path) == f"{tmp_path}: has no pictures"
    (tmp_path / "cat" / "a.png").write_bytes(b"")
    (tmp_path / "cat" / "b.png").write_bytes(b"")
    reasons = f"{tmp_path}/cat/a.png: is empty; {tmp_path}/cat/b.png: is empty"
    assert error_of(tmp_path) == f"{tmp_path}: has no picture that can be read (2 tried): {reasons}"


def test_what_is_no_source_says_what_is(tmp_path: Path) -> None:
    assert error_of(tmp_path / "missing") == f"{tmp_path}/missing: no such file or directory"
    assert error_of(tmp_path / "missing.h5") == f"{tmp_path}/missing.h5: no such file or directory"
    assert error_of(tmp_path / "missing.csv") == f"{tmp_path}/missing.csv: no such file or directory"
    (tmp_path / "a.zip").touch()
    assert "is neither a folder, nor an .h5 file, nor a .csv" in error_of(tmp_path / "a.zip")


def test_a_url_is_refused_with_the_setting_that_reads_it(tmp_path: Path) -> None:
    refused = r"s3://bucket/.*: is a URL; train, eval, predict and pack read those with a scheduler$"
    for name in ("photos", "labels.csv", "photos.h5"):
        with pytest.raises(DataError, match=refused):
            load_labelled(f"s3://bucket/{name}")
    listing = csv_of(tmp_path, "path,label\na.png,cat\ns3://bucket/b.png,dog\n")
    (skipped,) = load_labelled(listing).labelled.skipped
    assert re.match(refused, str(skipped))


# --- what a path is ---


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *(("a.h5", "hdf5"), ("a.HDF5", "hdf5"), ("s3://bucket/a.h5", "hdf5"), ("a.h5.txt", "file")),
        *(("a.csv", "csv"), ("a.CSV", "csv"), ("s3://bucket/a.csv", "csv"), ("a.csv.gz", "file")),
        *(("s3://bucket/photos", "url"), ("s3://bucket/photos/", "url"), ("http://a/b.jpg", "url")),
        *(("a.jpg", "file"), ("a", "file"), ("a/", "file"), ("", "file"), ("-", "file")),
        *(("a\0b", "file"), ("a:/b", "file"), ("\udcff", "file")),
    ],
    ids=ascii,
)
def test_what_is_not_there_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: Kind
) -> None:
    monkeypatch.chdir(tmp_path)
    assert kind_of(path) == kind


@pytest.mark.parametrize("name", ["photos", "a.h5", "a.csv", "a.jpg", "s3:/bucket"])
def test_a_folder_is_a_folder_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir(parents=True)
    Path("link").symlink_to(name)
    assert kind_of(name) == kind_of(f"{name}/") == kind_of("link") == "folder"
    assert kind_of(name.replace(":/", "://")) == "folder"


def test_a_file_that_is_called_like_a_url_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture(Path("s3:/bucket/a.png"), noise(8, 8, 3))
    assert kind_of("s3://bucket/a.png") == "file"
    assert kind_of("s3://bucket/b.png") == "url"


# --- sizes ---


def test_the_size_is_64_unless_said_otherwise(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "f", m=2)
    assert read(folder, None)[0].shape == (2, 64, 64, 3)
    assert read(folder, 5)[0].shape == (2, 5, 5, 3)


def test_an_hdf5_file_keeps_its_own_size(tmp_path: Path) -> None:
    path = course_h5(tmp_path / "a.h5", m=4, size=10)
    pixels, _ = cats_and_dogs(4, 10)
    assert_array_equal(read(path, None)[0], pixels)
    assert_array_equal(read(path, 5)[0], np.array([viewed(picture, View(5)) for picture in pixels]))


def test_an_hdf5_file_of_oblong_pictures_needs_a_size(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=noise(2, 6, 8, 3), a_set_y=[0, 1])
    assert error_of(path, None) == f"{path}: has pictures of 6×8; choose a side with size"
    assert read(path, 6)[0].shape == (2, 6, 6, 3)


@pytest.mark.parametrize("labels", [[0, 2], [-1, 1], [0, 2**40]])
def test_labels_of_an_hdf5_file_must_have_names(tmp_path: Path, labels: list[int]) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=noise(2, 8, 8, 3), a_set_y=labels)
    assert f"has labels from {min(labels)} to {max(labels)} and 2 class names" in error_of(path)


def test_a_folder_called_like_an_hdf5_file_is_a_folder(tmp_path: Path) -> None:
    assert labelled(class_folder(tmp_path / "data.h5", m=4)).counts() == {"cat": 2, "dog": 2}


# --- CSV ---


def test_paths_of_a_csv_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = csv_of(tmp_path / "deep", "path,label\nb.png,cat\na.png,dog\n")
    elsewhere = save_picture(tmp_path / "c.png", noise(8, 8, 3))
    path.write_text(f"{path.read_text()}{elsewhere},dog\n../c.png,dog\n")
    monkeypatch.chdir(tmp_path)
    found, data = read(Path("deep/labels.csv"))
    assert data.paths == ("deep/b.png", "deep/a.png", str(elsewhere), "deep/../c.png")
    assert found[:2, 0, 0, 0].tolist() == [255, 0]
    assert [data.classes[k] for k in data.labels] == ["cat", "dog", "dog", "dog"]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfpath,label\na.png,cat\nb.png,dog\n",
        b"path,label\r\na.png,cat\r\nb.png,dog\r\n",
        b"path,label\na.png,cat\n\nb.png,dog",
        b"label,path\ncat,a.png\ndog,b.png\n",
        b"n,path,x,label\n1,a.png,,cat\n2,b.png,,dog\n",
        b'"path","label"\n"a.png","cat"\n"b.png","dog"\n',
    ],
    ids=["BOM", "CRLF", "blank line", "order", "other columns", "quotes"],
)
def test_dialects_of_csv_make_no_difference(tmp_path: Path, text: bytes) -> None:
    data = labelled(csv_of(tmp_path, text))
    assert data.counts() == {"cat": 1, "dog": 1}
    assert [Path(path).name for path in data.paths] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (b"a,b.png", b'"a,b.png"'),
        (b'a"b.png', b'"a""b.png"'),
        (b"a\nb.png", b'"a\nb.png"'),
        (b"\xff.png", b"\xff.png"),
    ],
)
def test_a_csv_names_files_of_any_bytes(tmp_path: Path, name: bytes, field: bytes) -> None:
    path = csv_of(tmp_path, b"path,label\na.png,dog\n" + field + b",cat\n")
    os.rename(tmp_path / "b.png", os.path.join(os.fsencode(tmp_path), name))
    data = labelled(path)
    assert data.skipped == ()
    assert os.fsencode(data.paths[1]).endswith(name)


def test_missing_pictures_of_a_csv_are_skipped(tmp_path: Path) -> None:
    data = labelled(csv_of(tmp_path, "path,label\na.png,cat\nno.png,dog\n.,dog\n"))
    assert data.counts() == {"cat": 1, "dog": 0}
    assert [error.reason for error in data.skipped] == ["no such file or directory", "is a directory"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has the columns nothing; expected path,label"),
        ("a.png,cat\n", "has the columns a.png, cat; expected path,label"),
        ("path;label\na.png;cat\n", "has the columns path;label; expected path,label"),
        ("path,label\n", "has no pictures"),
        ("path,label\na.png,cat\nb.png\n", "line 3: expected a path and a label"),
        ("path,label\n,cat\n", "line 2: expected a path and a label"),
        ("path,label\na.png\n", "line 2: expected a path and a label"),
        ('path,label\n"a.png,cat\n', "is not a CSV file ("),
        ("path,label\n" + "a" * 200_000 + ",cat\n", "is not a CSV file ("),
    ],
    ids=lambda value: value[:30],
)
def test_a_malformed_csv_says_what_was_expected(tmp_path: Path, text: str, expected: str) -> None:
    path = csv_of(tmp_path, text)
    assert error_of(path).startswith(f"{path}: {expected}")


@pytest.mark.usefixtures("no_heic")
def test_of_a_folder_of_other_files_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    assert error_of(tmp_path) == f"{tmp_path}: has no pictures"
    (tmp_path / "cat" / "IMG_1.HEIC").write_bytes(b"x")
    found = f"has no pictures, but 1 other file, such as {tmp_path}/cat/IMG_1.HEIC"
    expected = (
        f"{found}; 1 HEIC picture was not read: pip install 'catclf[heic]', or convert HEIC to JPEG"
    )
    assert error_of(tmp_path) == f"{tmp_path}: {expected}"


# --- real data ---


def test_counts_of_the_real_image_folders(real_data: Path) -> None:
    natural = load_labelled(real_data / "natural_images", 8, jobs=2).labelled
    others = ("airplane", "car", "dog", "flower", "fruit", "motorbike", "person")
    assert natural.counts() == {"cat": 290, **dict.fromkeys(others, 100)}
    assert (len(natural.ignored), natural.skipped) == (7, ())
    pets = load_labelled(real_data / "pets" / "test", 16, jobs=2).labelled
    assert pets.counts() == {"cats": 100, "dogs": 100}
    assert pets.usual_positive == "cats"


# --- what is named otherwise than it should be ---


def test_a_sheet_of_which_no_path_exists_says_what_it_has_tried(tmp_path: Path, catclf: Runner) -> None:
    sheet = tmp_path / "a.csv"
    sheet.write_text(
        "path,label\n" + "".join(f"{k}.jpg,{'cat' if k % 2 else 'dog'}\n" for k in range(9))
    )
    result = catclf("train", sheet, "-o", tmp_path / "m.npz")
    assert result.code == 1
    tried = "; ".join(f"{tmp_path}/{k}.jpg: no such file or directory" for k in range(3))
    assert (
        f"has no picture that can be read (9 tried): {tried}; paths in it are relative to {tmp_path}"
        in result.err
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_sheet_in_utf_16_is_named(tmp_path: Path, catclf: Runner, encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith("be") else ""
    (tmp_path / "a.csv").write_bytes(f"{mark}path,label\na.jpg,cat\n".encode(encoding))
    result = catclf("train", tmp_path / "a.csv", "-o", tmp_path / "m.npz")
    assert result.err.endswith("a.csv: is text in UTF-16: save it as UTF-8\n")


def test_files_without_a_suffix_are_named_with_the_remedy(tmp_path: Path, catclf: Runner) -> None:
    album = class_folder(tmp_path / "album", m=8)
    for file in [*(album / "cat").iterdir()]:
        file.rename(file.with_suffix(""))
    result = catclf("train", album, "-o", tmp_path / "m.npz")
    assert result.code == 1
    assert (
        "4 files without a suffix were ignored: rename them to .jpg or .png, or list them in a CSV"
        in result.err
    )


def test_a_folder_of_files_named_by_class_comes_with_the_command_that_helps(
    tmp_path: Path, catclf: Runner
) -> None:
    flat = tmp_path / "it's flat"
    pixels, y = cats_and_dogs(24, 8)
    for k, picture in enumerate(pixels):
        save_picture(flat / f"{('dog', 'cat')[y[k]]}.{k}.png", picture)
    save_picture(flat / "cover.png", pixels[0])
    result = catclf("train", flat, "-o", tmp_path / "m.npz", "--size", "8")
    assert result.code == 1
    command = result.err.partition("make a CSV and train from it: ")[2]
    assert subprocess.run(["sh", "-c", command]).returncode == 0
    trained = catclf(
        "train", flat / "labels.csv", "-o", tmp_path / "m.npz", "--size", "8", "-i", "50", "-F", "json"
    )
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["classes"] == {"cat": 12, "dog": 12}


def test_a_folder_of_other_names_does_not(tmp_path: Path, catclf: Runner) -> None:
    for k in range(20):
        save_picture(tmp_path / "flat" / f"IMG_{k}.png", cats_and_dogs(1)[0][0])
    result = catclf("train", tmp_path / "flat", "-o", tmp_path / "m.npz")
    assert result.err.endswith("has no sub-folders; expected one for each class, as in cat/, dog/\n")


@pytest.mark.parametrize("failed", [1, 2])
def test_rows_of_predict_with_an_error_are_counted_and_its_answers_are_doubted(
    tmp_path: Path, failed: int
) -> None:
    for name in "ab":
        save_picture(tmp_path / f"{name}.png", noise(4, 4, 3))
    rows = "".join(f"x{k}.png,,,broken\n" for k in range(failed))
    sheet = tmp_path / "answers.csv"
    sheet.write_text(f"path,label,probability,error\na.png,cat,0.9,\nb.png,dog,0.1,\n{rows}")
    warnings = list_labelled(str(sheet)).labelled.warnings
    have = "row of" if failed == 1 else "rows of"
    assert warnings == (
        f"{sheet} has a column probability: its labels may come from a model, not from people",
        f"{failed} {have} {sheet} {'has' if failed == 1 else 'have'} an error and no label: skipped",
    )
    sheet.write_text("path,label\na.png,cat\nb.png,dog\n")
    assert list_labelled(str(sheet)).labelled.warnings == ()
