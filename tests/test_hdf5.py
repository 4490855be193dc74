"""HDF5 files: the course's layout and its variants; everything else is a DataError that says why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from catclf.errors import DataError
from catclf.images import hdf5
from catclf.images.hdf5 import Hdf5Pictures
from tests.pictures import Pixels, course_h5, noise, open_files, save_h5

X = noise(6, 4, 4, 3)
Y = np.array([0, 1, 1, 0, 0, 1])
CLASSES = np.array([b"non-cat", b"cat"])


def read_all(path: Path, **keys: str) -> tuple[Pixels, list[int], tuple[str, ...]]:
    with Hdf5Pictures(str(path), **keys) as file:
        return np.concatenate(list(file.blocks())), file.labels().tolist(), file.classes()


def error_of(path: Path, **keys: str) -> str:
    with pytest.raises(DataError) as caught:
        read_all(path, **keys)
    assert caught.value.path == str(path)
    return caught.value.reason


def test_the_layout_of_the_course_is_read(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", train_set_x=X, train_set_y=Y, list_classes=CLASSES)
    pixels, labels, classes = read_all(path)
    assert_array_equal(pixels, X)
    assert labels == Y.tolist()
    assert classes == ("non-cat", "cat")


def test_the_files_of_the_course_are_read(real_data: Path) -> None:
    folder = real_data / "catvnoncat"
    for name, m, cats in (("train", 209, 72), ("test", 50, 33)):
        with Hdf5Pictures(str(folder / f"{name}_catvnoncat.h5")) as file:
            assert file.shape == (m, 64, 64, 3)
            assert file.labels().sum() == cats
            assert file.classes() == ("non-cat", "cat")


@pytest.mark.parametrize("shape", [(6,), (1, 6), (6, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["i8", "u1", ">i4"])
def test_labels_may_be_a_row_or_a_column_of_any_integers(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    path = save_h5(tmp_path / "a.h5", test_set_x=X, test_set_y=Y.reshape(shape).astype(dtype))
    with Hdf5Pictures(str(path)) as file:
        labels = file.labels()
    assert labels.shape == (6,)
    assert labels.dtype == np.intp
    assert labels.tolist() == Y.tolist()


def test_without_names_the_classes_are_numbers(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", train_set_x=X, train_set_y=Y)
    assert read_all(path)[2] == ("0", "1")


@pytest.mark.parametrize("names", [["non-cat", "cät"], np.array([b"non-cat", "cät".encode()])])
def test_names_may_be_strings_or_bytes(tmp_path: Path, names: Any) -> None:
    path = save_h5(tmp_path / "a.h5", train_set_x=X, train_set_y=Y, list_classes=names)
    assert read_all(path)[2] == ("non-cat", "cät")


def test_keys_name_other_data_sets(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", images=X, labels=Y)
    assert_array_equal(read_all(path, x_key="images", y_key="labels")[0], X)
    assert_array_equal(read_all(path, x_key="/images", y_key="labels")[0], X)


def test_keys_may_be_in_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["train/x"], file["train/y"] = X, Y
    assert_array_equal(read_all(path, x_key="train/x", y_key="train/y")[0], X)


def test_a_key_decides_between_several(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", train_set_x=X, test_set_x=255 - X, train_set_y=Y, test_set_y=1 - Y)
    assert "contains test_set_x, test_set_y, train_set_x, train_set_y" in error_of(path)
    assert "or its name by --x-key" in error_of(path)
    assert "or its name by --y-key" in error_of(path, x_key="test_set_x")
    pixels, labels, _ = read_all(path, x_key="test_set_x", y_key="test_set_y")
    assert_array_equal(pixels, 255 - X)
    assert labels == (1 - Y).tolist()


def test_pictures_without_labels_can_be_read(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", test_set_x=X)
    with Hdf5Pictures(str(path)) as file:
        assert file.shape == (6, 4, 4, 3)
        with pytest.raises(DataError, match=r"expected one data set \*_set_y"):
            file.labels()


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 4, 6, 100])
def test_blocks_cover_every_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_a_time: int
) -> None:
    monkeypatch.setattr(hdf5, "_BLOCK_BYTES", rows_at_a_time * X[0].size)
    path = save_h5(tmp_path / "a.h5", test_set_x=X)
    with Hdf5Pictures(str(path)) as file:
        blocks = list(file.blocks())
    assert max(map(len, blocks)) <= rows_at_a_time
    assert_array_equal(np.concatenate(blocks), X)


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"chunks": (2, 4, 4, 3)}], ids=str)
def test_chunks_and_compression_make_no_difference(tmp_path: Path, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a_set_x", data=X, **options)
        file["a_set_y"] = Y
    assert_array_equal(read_all(tmp_path / "a.h5")[0], X)


@pytest.mark.parametrize(
    ("datasets", "expected"),
    [
        ({}, "contains nothing; expected one data set *_set_x"),
        ({"images": X}, "contains images; expected one data set *_set_x"),
        ({"a_set_x": X.astype(float)}, "is (6, 4, 4, 3) float64; expected (m, height, width, 3) uint8"),
        ({"a_set_x": X.astype(np.int8)}, "int8; expected (m, height, width, 3) uint8"),
        ({"a_set_x": X[..., 0]}, "is (6, 4, 4) uint8; expected"),
        ({"a_set_x": X[..., :2]}, "is (6, 4, 4, 2) uint8; expected"),
        ({"a_set_x": X[:0]}, "is (0, 4, 4, 3) uint8; expected"),
        ({"a_set_x": np.uint8(1)}, "is () uint8; expected"),
        ({"a_set_x": h5py.Empty("u1")}, "is None uint8; expected"),
        ({"a_set_y": None}, "expected one data set *_set_y"),
        ({"a_set_y": Y[:5]}, "is (5,) int64; expected (6,) integers"),
        ({"a_set_y": Y.astype(float)}, "is (6,) float64; expected (6,) integers"),
        ({"a_set_y": Y.reshape(2, 3)}, "is (2, 3) int64; expected (6,) integers"),
        ({"a_set_y": h5py.Empty("i8")}, "is None int64; expected (6,) integers"),
        ({"a_set_y": np.array([b"cat"] * 6)}, "expected (6,) integers"),
        ({"list_classes": b"cat"}, "list_classes is not a list"),
        ({"list_classes": np.array([[b"a", b"b"]])}, "list_classes is not a list"),
        ({"list_classes": np.array([b"cat", b"cat"])}, "list_classes has a name twice: cat, cat"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_another_layout_says_what_was_found_and_expected(
    tmp_path: Path, datasets: dict[str, Any], expected: str
) -> None:
    usual = {} if not datasets or "images" in datasets else {"a_set_x": X, "a_set_y": Y}
    path = save_h5(tmp_path / "a.h5", **{**usual, **datasets})
    assert expected in error_of(path)


@pytest.mark.parametrize("name", ["a_set_x", "list_classes"])
def test_a_group_is_no_data_set(tmp_path: Path, name: str) -> None:
    path = save_h5(tmp_path / "a.h5", **{"a_set_x": X, "a_set_y": Y, name: None})
    with h5py.File(path, "a") as file:
        file.create_group(name)
    assert name in error_of(path)


@pytest.mark.parametrize("key", ["nothing", "", "/", "a\0b", "a_set_x/deeper"])
def test_a_key_that_is_not_there_lists_those_that_are(tmp_path: Path, key: str) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=Y)
    assert error_of(path, x_key=key) == f"has no data set {key!r}; it contains a_set_x, a_set_y"


def test_what_is_no_hdf5_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("words")
    assert error_of(tmp_path / "a.h5") == "is not an HDF5 file"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert error_of(tmp_path / "a.h5") == "no such file or directory"


def test_a_name_with_a_nul_is_a_data_error() -> None:
    with pytest.raises(DataError):
        Hdf5Pictures("a\0.h5")


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5")
    assert error_of(tmp_path / "a.h5") == "is not a regular file"


def test_a_folder_is_no_hdf5_file(tmp_path: Path) -> None:
    assert error_of(tmp_path) == "is not a regular file"


def test_the_file_is_closed_again(tmp_path: Path) -> None:
    good = course_h5(tmp_path / "good.h5")
    bad = save_h5(tmp_path / "bad.h5", a_set_x=X[..., 0])
    read_all(good)
    before = open_files()
    read_all(good)
    error_of(bad)
    assert open_files() == before


def test_altered_files_raise_nothing_but_data_errors(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=Y, list_classes=CLASSES)
    data = path.read_bytes()
    rng = np.random.default_rng(0)  # seeded: of all alterations some would crash the library itself
    refused = 0
    for position in rng.integers(0, len(data), 300):
        path.write_bytes(data[:position] + rng.bytes(1) + data[position + 1 :])
        try:
            pixels, labels, _ = read_all(path)
        except DataError as error:
            assert error.path == str(path)
            refused += 1
        else:
            assert len(pixels) == len(labels)
    assert refused >= 10


@pytest.mark.parametrize("share", np.linspace(0, 0.99, 12))
def test_truncated_files_are_data_errors(tmp_path: Path, share: float) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=Y)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    error_of(path)
