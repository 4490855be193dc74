"""HDF5 files: the course's layout and its variants; everything else is a DataError that says why."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.images import hdf5, hdf5_channel, hdf5_process
from catclf.images.hdf5 import Hdf5Pictures
from tests.conftest import Runner
from tests.pictures import Pixels, course_h5, noise, open_files, save_h5

X = noise(6, 4, 4, 3)
Y = np.array([0, 1, 1, 0, 0, 1])
CLASSES = np.array([b"non-cat", b"cat"])


def pictures_in(path: Path | str, **options: Any) -> Hdf5Pictures:
    return Hdf5Pictures(str(path), ReadOptions(**options))


def read_all(path: Path, **keys: Any) -> tuple[Pixels, list[int], tuple[str, ...]]:
    with pictures_in(path, **keys) as file:
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
        with pictures_in(folder / f"{name}_catvnoncat.h5") as file:
            assert file.shape == (m, 64, 64, 3)
            assert file.labels().sum() == cats
            assert file.classes() == ("non-cat", "cat")


@pytest.mark.parametrize("shape", [(6,), (1, 6), (6, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["i8", "u1", ">i4"])
def test_labels_may_be_a_row_or_a_column_of_any_integers(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    path = save_h5(tmp_path / "a.h5", test_set_x=X, test_set_y=Y.reshape(shape).astype(dtype))
    with pictures_in(path) as file:
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
    assert error_of(path).endswith("expected one data set *_set_x, or its name by x_key")
    assert error_of(path, x_key="test_set_x").endswith("*_set_y, or its name by y_key")
    pixels, labels, _ = read_all(path, x_key="test_set_x", y_key="test_set_y")
    assert_array_equal(pixels, 255 - X)
    assert labels == (1 - Y).tolist()


def test_pictures_without_labels_can_be_read(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", test_set_x=X)
    with pictures_in(path) as file:
        assert file.shape == (6, 4, 4, 3)
        with pytest.raises(DataError, match=r"expected one data set \*_set_y"):
            file.labels()


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 4, 6, 100])
def test_blocks_cover_every_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_a_time: int
) -> None:
    monkeypatch.setattr(hdf5, "_BLOCK_BYTES", rows_at_a_time * X[0].size)
    path = save_h5(tmp_path / "a.h5", test_set_x=X)
    with pictures_in(path) as file:
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
        ({"a_set_x": X.astype(int)}, "is (6, 4, 4, 3) int64; expected (m, height, width, 3) uint8"),
        ({"a_set_x": X.astype(np.int8)}, "int8; expected (m, height, width, 3) uint8"),
        ({"a_set_x": X.astype(complex)}, "complex128; expected"),
        ({"a_set_x": X > 9}, "bool; expected"),
        ({"a_set_x": np.full((6, 4, 4, 3), b"x")}, "|S1; expected"),
        ({"a_set_x": np.zeros((6, 4, 4, 3), [("a", "u1")])}, "expected"),
        ({"a_set_x": X[0, 0]}, "is (4, 3) uint8; expected"),
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
        ({"list_classes": np.array([1j, 2j])}, "list_classes is complex128; expected numbers or text"),
        ({"list_classes": np.arange(10_001)}, "list_classes has 10001 names; at most 10000 are read"),
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
        pictures_in("a\0.h5")


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5")
    assert error_of(tmp_path / "a.h5") == "is not a regular file"


def test_a_folder_is_no_hdf5_file(tmp_path: Path) -> None:
    assert error_of(tmp_path) == "is a directory"


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
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(0, len(data), 40):
        path.write_bytes(data[:position] + rng.bytes(1) + data[position + 1 :])
        try:
            pixels, labels, _ = read_all(path)
        except DataError as error:
            assert error.path == str(path)
            refused += 1
        else:
            assert len(pixels) == len(labels)
    assert refused >= 2


@pytest.mark.parametrize("share", np.linspace(0, 0.99, 12))
def test_truncated_files_are_data_errors(tmp_path: Path, share: float) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=Y)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    error_of(path)


# --- other kinds of pictures ---


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8"])
def test_floats_from_0_to_1_are_multiplied_by_255(tmp_path: Path, dtype: str) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=(X / 255).astype(dtype), a_set_y=Y)
    assert_allclose(read_all(path)[0].astype(int), X, rtol=0, atol=dtype == "f2")


def test_floats_from_0_to_255_are_rounded(tmp_path: Path) -> None:
    values = X.astype(float)
    values[0, 0, 0] = [254.6, 0.4, 7.5]
    pixels = read_all(save_h5(tmp_path / "a.h5", a_set_x=values, a_set_y=Y))[0]
    assert pixels[0, 0, 0].tolist() == [255, 0, 8]
    assert_array_equal(pixels[1:], X[1:])


def test_the_range_of_floats_is_that_of_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "_BLOCK_BYTES", X[0].size)
    values = np.ones((3, 4, 4, 3))
    values[2] = 200
    pixels = read_all(save_h5(tmp_path / "a.h5", a_set_x=values, a_set_y=Y[:3]))[0]
    assert pixels[:, 0, 0, 0].tolist() == [1, 1, 200]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.nan, "has pixels that are not finite"),
        (-np.inf, "has pixels that are not finite"),
        (256, "has pixels from 0 to 256, mostly 0 to"),
        (-0.6, "has pixels from -0.6 to"),
    ],
)
def test_other_floats_are_refused_before_a_picture_is_read(
    tmp_path: Path, value: float, expected: str
) -> None:
    values = X / 255
    values[5, 3, 3, 2] = value
    path = save_h5(tmp_path / "a.h5", a_set_x=values)
    with pytest.raises(DataError, match=re.escape(expected)):
        pictures_in(path)


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 4, 4, 1)], ids=str)
@pytest.mark.parametrize("divisor", [None, 255.0])
def test_grey_pictures_become_rgb(tmp_path: Path, shape: tuple[int, ...], divisor: float | None) -> None:
    grey = X[..., 0]
    values = grey if divisor is None else grey / divisor
    path = save_h5(tmp_path / "a.h5", a_set_x=values.reshape(shape), a_set_y=Y)
    assert_array_equal(read_all(path)[0], np.repeat(grey[..., np.newaxis], 3, axis=3))


def test_labels_may_be_truth_values(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=Y == 1)
    assert read_all(path)[1] == Y.tolist()


def test_a_label_beyond_all_integers_is_refused(tmp_path: Path) -> None:
    labels = np.full(6, 2**64 - 1, np.uint64)
    path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=labels)
    assert error_of(path) == "/a_set_y has the label 18446744073709551615"


def test_pictures_of_too_many_pixels_are_refused(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=X)
    with pytest.raises(DataError, match=r"has pictures of 4×4 pixels, more than the 15 allowed"):
        pictures_in(path, max_pixels=15)


# --- files that would have another file read, or more than they hold ---


def hostile(path: Path, write: Callable[[h5py.File], object]) -> str:
    with h5py.File(path, "w") as file:
        write(file)
        if "a_set_y" not in file:
            file["a_set_y"] = Y
    return error_of(path)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user that no data set may show."""
    return save_h5(tmp_path / "secret.h5", a_set_x=X, a_set_y=Y, list_classes=CLASSES)


def test_data_in_another_file_is_refused(tmp_path: Path, secret: Path) -> None:
    external = [(str(secret), 0, X.size)]
    found = hostile(
        tmp_path / "a.h5", lambda f: f.create_dataset("a_set_x", X.shape, "u1", external=external)
    )
    assert found == "/a_set_x keeps its data in another file; copy it into one"


def test_labels_and_classes_in_another_file_are_refused(tmp_path: Path, secret: Path) -> None:
    for name, shape, dtype in (("a_set_y", (6,), "u1"), ("list_classes", (2,), "S7")):
        path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=None if name == "a_set_y" else Y)
        with h5py.File(path, "a") as file:
            file.create_dataset(name, shape, dtype, external=[(str(secret), 0, 14)])
        assert error_of(path) == f"/{name} keeps its data in another file; copy it into one"


@pytest.mark.parametrize("name", ["a_set_x", "a_set_y", "list_classes"])
@pytest.mark.parametrize("kind", ["external", "soft"])
def test_links_are_not_followed(tmp_path: Path, secret: Path, name: str, kind: str) -> None:
    path = save_h5(tmp_path / "a.h5", **{"a_set_x": X, "a_set_y": Y, name: None})
    target = f"/{name}" if kind == "external" else "/real"
    with h5py.File(path, "a") as file:
        file["real"] = {"a_set_x": X, "a_set_y": Y}.get(name, CLASSES)
        file[name] = (
            h5py.ExternalLink(str(secret), target) if kind == "external" else h5py.SoftLink(target)
        )
    assert error_of(path) == f"{name} is a link to somewhere else; links are not followed"


def test_links_on_the_way_are_not_followed(tmp_path: Path, secret: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group"] = h5py.ExternalLink(str(secret), "/")
    assert "is a link to somewhere else" in error_of(tmp_path / "a.h5", x_key="group/a_set_x")


@pytest.mark.parametrize("source", ["secret.h5", "missing.h5"])
def test_virtual_data_sets_are_refused(tmp_path: Path, secret: Path, source: str) -> None:
    def write(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(X.shape, "u1")
        layout[:] = h5py.VirtualSource(str(secret.with_name(source)), "a_set_x", X.shape)
        file.create_virtual_dataset("a_set_x", layout)

    expected = "/a_set_x is a virtual data set, made of other files; copy it into one"
    assert hostile(tmp_path / "a.h5", write) == expected


def test_a_virtual_data_set_of_the_same_file_is_refused(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file["real"] = X
        layout = h5py.VirtualLayout(X.shape, "u1")
        layout[:] = h5py.VirtualSource(".", "real", X.shape)
        file.create_virtual_dataset("a_set_x", layout)

    assert "is a virtual data set" in hostile(tmp_path / "a.h5", write)


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 1000, 1000, 3)}], ids=["contiguous", "chunked"])
def test_data_that_was_never_written_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    found = hostile(
        tmp_path / "a.h5",
        lambda file: file.create_dataset("a_set_x", (2000, 1000, 1000, 3), "u1", **options),
    )
    assert found == "/a_set_x has 6000000000 bytes by its shape, but only 0 are stored"


def test_a_bomb_whose_rows_are_too_large_is_refused(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        shape = (1, 20_000, 20_000, 3)
        x = file.create_dataset("a_set_x", shape, "u1", chunks=(1, 2000, 2000, 3), compression=9)
        black = zlib.compress(bytes(12_000_000), 9)
        for row, column in itertools.product(range(0, 20_000, 2000), repeat=2):
            x.id.write_direct_chunk((0, row, column, 0), black)  # 1.2 GB in 1.2 MB

    assert "pixels, more than the 100000000 allowed" in hostile(tmp_path / "a.h5", write)


def test_a_bomb_costs_no_more_than_the_limit_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5_channel, "MEMORY_LIMIT", 300_000_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        shape = (20, 2000, 2000, 3)  # one chunk of 240 MB
        file.create_dataset("a_set_x", data=np.zeros(shape, "u1"), chunks=shape, compression=1)
    assert error_of(tmp_path / "a.h5", y_key="a_set_x").startswith("is a broken HDF5 file (")


def test_a_filter_of_a_plug_in_is_refused(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_y=Y)
    with h5py.File(path, "a") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk(X.shape)
        created.set_filter(32_008, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(X.shape)
        h5py.h5d.create(file.id, b"a_set_x", h5py.h5t.STD_U8LE, space, created)
    assert "/a_set_x is compressed by filter 32008; known are gzip, shuffle" in error_of(path)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzf"},
        {"compression": 9, "shuffle": True},
        {"fletcher32": True},
        {"scaleoffset": 0},
    ],
    ids=str,
)
def test_the_filters_of_h5py_are_allowed(tmp_path: Path, options: dict[str, Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a_set_x", data=X, **options)
        file["a_set_y"] = Y
    assert_array_equal(read_all(tmp_path / "a.h5")[0], X)


def test_one_value_throughout_may_be_compressed_as_far_as_it_goes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        black = np.zeros((300, 64, 64, 3), np.uint8)
        file.create_dataset("a_set_x", data=black, compression=9)
        file["a_set_y"] = np.arange(300) % 2
    assert read_all(tmp_path / "a.h5")[0].shape == (300, 64, 64, 3)


# --- a child that starts early ---


def test_a_child_starts_ahead_where_an_argument_is_a_file_of_hdf5(tmp_path: Path) -> None:
    path = course_h5(tmp_path / "a.h5")
    hdf5_process.start_ahead(["train", str(tmp_path), "-o", str(tmp_path / "none.h5")])
    assert not hdf5_process._waiting
    hdf5_process.start_ahead(["train", str(path), "--validation", str(path)])
    (child,) = hdf5_process._waiting
    with pictures_in(path) as file:
        assert file._channel._child is child
        next(file.blocks())
    assert not hdf5_process._waiting


def test_the_program_ends_though_nobody_wants_the_child(tmp_path: Path) -> None:
    path = course_h5(tmp_path / "a.h5")
    done = subprocess.run([sys.executable, "-m", "catclf", "--version", path], capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b""


# --- a child that fails ---


def with_program(monkeypatch: pytest.MonkeyPatch, path: Path, code: str) -> None:
    """Let a program that says hello and then runs `code` read the files."""
    path.write_text(f"print('{{}}', flush=True)\nimport os, time\n{code}\n")
    monkeypatch.setattr(hdf5_process, "_PROGRAM", str(path))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("os.kill(os.getpid(), 11)", "(the library crashed (SIGSEGV) while reading it)"),
        ("os.abort()", "(the library crashed (SIGABRT) while reading it)"),
        ("os.kill(os.getpid(), 9)", "(the library was killed while reading it)"),
        ("os._exit(3)", "(the library ended early (exit code 3) while reading it)"),
        ("time.sleep(60)", "(the library took more than 0.2 s while reading it)"),
        ("os.write(1, b'half'); os._exit(0)", "(the library ended early (exit code 0)"),
        ("os.write(1, b'half'); time.sleep(60)", "took more than 0.2 s"),
        ('print(\'{"shape": [1, 2, 2, 3], "kind": "u"}\', flush=True); time.sleep(60)', "0.2 s"),
        ('print(\'{"shape": [1, 2, 2, 3], "kind": "u", "bytes": 5}\')', "is a broken HDF5 file"),
        ('print(\'{"error": 12345, "setting": 5}\')', "12345"),
        ('print(\'{"error": "says ", "setting": ["x_key"]}\')', "says "),
        (
            'print(\'{"shape": [1, 2, 2, 3], "kind": "u"}\\n{"bytes": 12}\\nfew\')',
            "ended early (exit code 0)",
        ),
    ],
)
def test_a_child_that_crashes_or_hangs_is_one_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, expected: str
) -> None:
    path = course_h5(tmp_path / "a.h5")
    monkeypatch.setattr(hdf5_channel, "SECONDS_LIMIT", 0.2)
    with_program(monkeypatch, tmp_path / "child.py", code)
    before = open_files()
    assert expected in error_of(path)
    assert open_files() == before


def test_a_child_that_cannot_start_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = course_h5(tmp_path / "a.h5")
    (tmp_path / "child.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(hdf5_process, "_PROGRAM", str(tmp_path / "child.py"))
    expected = "the process that reads HDF5 files cannot start (ended early (exit code 1))"
    assert error_of(path) == expected
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert error_of(path) == (
        "the process that reads HDF5 files cannot start (No such file or directory)"
    )


def test_no_child_is_left_when_reading_stops_half_way(tmp_path: Path) -> None:
    with pictures_in(course_h5(tmp_path / "a.h5")) as file:
        next(file.blocks())
        child = file._channel._child._process
        assert child.poll() is None
    assert child.poll() is not None


def test_files_in_the_folder_one_is_in_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "h5py", "numpy", "codecs"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    read_all(course_h5(tmp_path / "a.h5"))


def pixels_of(path: Path) -> Pixels:
    with pictures_in(path) as file:
        return np.concatenate(list(file.blocks()))


def test_one_picture_is_one_row(tmp_path: Path, catclf: Runner) -> None:
    alone, stack = save_h5(tmp_path / "a.h5", a_set_x=X[0]), save_h5(tmp_path / "b.h5", a_set_x=X[:1])
    assert_array_equal(pixels_of(alone), X[:1])
    assert_array_equal(pixels_of(stack), X[:1])
    assert_array_equal(pixels_of(save_h5(tmp_path / "c.h5", a_set_x=X[0] / 255)), X[:1])
    labelled = save_h5(tmp_path / "d.h5", a_set_x=X[0], a_set_y=np.array([1]), list_classes=CLASSES)
    assert read_all(labelled)[1] == [1]
    model = tmp_path / "m.npz"
    assert catclf("train", course_h5(tmp_path / "e.h5"), "-o", model, "-i", "3").code == 0
    assert catclf("predict", "-m", model, alone).out.count(b"\n") == 1


@pytest.mark.parametrize("shape", [(8, 8, 20), (6, 8, 20), (20, 6, 8)])
def test_a_stack_of_grey_pictures_whose_count_cannot_be_told_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = save_h5(tmp_path / "a.h5", a_set_x=noise(*shape))
    with pytest.raises(DataError, match=r"expected \(m, side, side\), or \(m, height, width, 1\)"):
        pixels_of(path)
    whole = save_h5(tmp_path / "b.h5", a_set_x=noise(*shape)[..., np.newaxis])
    assert len(pixels_of(whole)) == shape[0]


@pytest.mark.parametrize("value", [1.02, 1.5, -0.3])
def test_a_single_value_beyond_white_changes_no_other_picture(tmp_path: Path, value: float) -> None:
    values = X / 255
    values[3, 2, 2, 1] = value
    expected = X.copy()
    expected[3, 2, 2, 1] = 255 if value > 1 else 0
    assert_array_equal(pixels_of(save_h5(tmp_path / "a.h5", a_set_x=values)), expected)


def test_what_a_filter_overshoots_is_cut_off(tmp_path: Path) -> None:
    values = X.astype(np.float32) * 1.1 - 10
    found = pixels_of(save_h5(tmp_path / "a.h5", a_set_x=values))
    assert_array_equal(found, np.rint(values.clip(0, 255)).astype(np.uint8))


def test_the_one_picture_of_a_real_file(real_data: Path) -> None:
    (place,) = (real_data / "cases").glob("12-*")
    bad, good = (pixels_of(place / f"{name}.h5") for name in ("bad", "good"))
    assert_array_equal(bad, good)
