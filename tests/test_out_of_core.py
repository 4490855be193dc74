"""Training from a file that is larger than the memory allowed: the same bits, read as it goes."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import catclf
from catclf import fitting
from catclf.config import LOSS_NAMES, STOP_RULES, DescentSettings, ReadOptions, TrainSettings
from catclf.engines import stream
from catclf.engines.choice import choose_engine
from catclf.errors import ConfigError, DataError
from catclf.images.hdf5 import Hdf5Pictures
from catclf.images.hdf5_channel import Hdf5Channel
from catclf.pipeline.training import Fit
from catclf.stores import Store
from catclf.stores.here import InFile, InMemory
from catclf.stores.stored import StoredItems
from catclf.work import parts
from catclf.work.threads import ahead
from tests.conftest import ROOT
from tests.pictures import cats_and_dogs, class_folder, load_labelled, noise, open_files

M, SIZE = 61, 8
WHOLE = M * SIZE * SIZE * 3


def written(path: Path, m: int = M, size: int = SIZE, seed: int = 0, **layout: Any) -> Path:
    """Write `cats_and_dogs`, by default in chunks of seven pictures."""
    pixels, y = cats_and_dogs(m, size, seed)
    with h5py.File(path, "w", userblock_size=layout.pop("userblock_size", 0)) as file:
        file.create_dataset("a_set_x", data=pixels, **({"chunks": (7, size, size, 3)} | layout))
        file["a_set_y"], file["list_classes"] = y, [b"dog", b"cat"]
    return path


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures a block and four read at a time, so that even little data has many."""
    monkeypatch.setattr(stream, "_BLOCK_BYTES", 2 * 4 * 3 * SIZE * SIZE)
    monkeypatch.setattr(stream, "_BLOCKS_AHEAD", 2)
    monkeypatch.setattr(parts, "_FEWEST_PARTS", 3)
    monkeypatch.setattr(fitting, "_L2_DESCENT", replace(fitting._L2_DESCENT, iterations=3))


def trained(
    path: Path,
    memory: int,
    descent: dict[str, Any] | None = None,
    size: int | None = None,
    jobs: int | None = None,
    **settings: Any,
) -> Fit:
    steps: dict[str, Any] = {"iterations": 15, "stop": "none"} | (descent or {})
    read = ReadOptions(size=size, memory=memory, jobs=jobs)
    return catclf.train(path, TrainSettings(descent=DescentSettings(**steps), read=read, **settings))


def model_bytes(fit: Fit, folder: Path) -> str:
    catclf.save(fit.model, str(folder / "m.npz"))
    return hashlib.sha256((folder / "m.npz").read_bytes()).hexdigest()


DESCENTS: list[dict[str, Any]] = [
    *({"loss": loss, "stop": stop} for loss in LOSS_NAMES for stop in STOP_RULES),
    {"start": "random", "momentum": 0.9, "l2": 0.1},
    {"l2": "auto", "iterations": 3},
]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"flip": True},
    {"class_weight": "balanced"},
    {"validation": 0.3},
    {"cv": 3},
    {"flip": True, "validation": 0.3, "cv": 2, "tune_threshold": "f1", "class_weight": "balanced"},
]


@pytest.mark.parametrize(
    ("descent", "settings"),
    [*((some, {}) for some in DESCENTS), *(({}, some) for some in SETTINGS[1:])],
    ids=str,
)
@pytest.mark.usefixtures("small_blocks")
def test_every_setting_gives_the_same_model_to_the_bit(
    tmp_path: Path, descent: dict[str, Any], settings: dict[str, Any]
) -> None:
    path = written(tmp_path / "a.h5")
    inside = trained(path, WHOLE, descent, engine="stream", **settings)
    outside = trained(path, WHOLE - 1, descent, jobs=3, **settings)
    assert outside.engine == "stream"
    assert_array_equal(outside.model.w, inside.model.w)
    assert model_bytes(outside, tmp_path) == model_bytes(inside, tmp_path)
    assert (outside.train_accuracy, outside.cv, outside.validation, outside.warnings) == (
        *(inside.train_accuracy, inside.cv, inside.validation, inside.warnings),
    )


@pytest.mark.parametrize(
    "layout", [{"chunks": (1, 8, 8, 3)}, {"chunks": (61, 8, 8, 3)}, {"chunks": None}]
)
@pytest.mark.usefixtures("small_blocks")
def test_every_layout_without_compression_gives_the_same_model(
    tmp_path: Path, layout: dict[str, Any]
) -> None:
    expected = model_bytes(trained(written(tmp_path / "a.h5"), WHOLE, engine="stream"), tmp_path)
    path = written(tmp_path / "b.h5", **layout)
    assert model_bytes(trained(path, 1000), tmp_path) == expected


def test_a_descent_that_is_resumed_goes_on_to_the_bit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    settings = TrainSettings(descent=DescentSettings(iterations=5), engine="stream")
    start = catclf.train(path, settings).model
    few = TrainSettings(descent=DescentSettings(iterations=5), read=ReadOptions(memory=1000))
    inside, outside = (catclf.train(path, some, resume=start) for some in (settings, few))
    assert_array_equal(outside.model.w, inside.model.w)


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_other_data_for_validation_may_be_larger_than_memory_too(
    tmp_path: Path, first: str, second: str
) -> None:
    """Training data and validation data together are what has to fit."""
    written(tmp_path / "a.h5")
    written(tmp_path / "b.h5", m=10, seed=3)
    data, other = tmp_path / f"{first}.h5", str(tmp_path / f"{second}.h5")
    inside = trained(data, 2 * WHOLE, engine="stream", validation=other)
    for memory in (WHOLE, WHOLE - 1, 1):
        outside = trained(data, memory, validation=other)
        assert outside.validation == inside.validation
        assert model_bytes(outside, tmp_path) == model_bytes(inside, tmp_path)


# --- what is refused ---


@pytest.mark.parametrize(
    "layout",
    [
        {"compression": "gzip"},
        {"shuffle": True},
        {"chunks": (7, 4, 8, 3)},
        {"userblock_size": 512},
    ],
    ids=str,
)
def test_what_only_the_library_can_read_has_to_be_packed(tmp_path: Path, layout: dict[str, Any]) -> None:
    path = written(tmp_path / "a.h5", **layout)
    with pytest.raises(DataError, match=r"has 61 pictures, which need .* catclf pack"):
        trained(path, WHOLE - 1)
    assert trained(path, WHOLE).m == M


def test_a_folder_has_to_be_packed(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "album")
    with pytest.raises(DataError, match=r"has 12 pictures, which need 0\.1 MB at 64×64; raise"):
        trained(folder, 100_000)


def test_pictures_of_another_size_have_to_be_packed_if_they_do_not_fit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    with pytest.raises(DataError, match="at 9×9"):
        trained(path, WHOLE, size=9)
    assert trained(path, WHOLE // 4, size=4).n_x == 48


@pytest.mark.parametrize("settings", [{"engine": "gram"}, {"engine": "primal"}, {"features": "patches"}])
def test_what_needs_all_pixels_at_once_says_how_much_memory(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    path = written(tmp_path / "a.h5")
    with pytest.raises(ConfigError, match=f"memory = {WHOLE - 1}: must be {WHOLE} or more"):
        trained(path, WHOLE - 1, **settings)


def test_only_stream_is_chosen_for_rows_that_are_not_in_memory() -> None:
    assert choose_engine(209, 12288, 2000, 10**12) == "gram"
    assert choose_engine(209, 12288, 2000, 10**12, "file") == "stream"


# --- reading ---


def stored(path: Path) -> StoredItems:
    with Hdf5Pictures(str(path), ReadOptions()) as file:
        pixels = file.stored()
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("chunk", [1, 7, 60, 61])
def test_any_slice_is_that_of_the_array(tmp_path: Path, chunk: int) -> None:
    pixels = stored(written(tmp_path / "a.h5", chunks=(chunk, SIZE, SIZE, 3)))
    expected, _ = cats_and_dogs(M, SIZE)
    assert (pixels.shape, pixels[:].dtype, len(pixels)) == (expected.shape, expected.dtype, M)
    for start in (None, 0, 3, 6, 7, 8, 59, 61, 70, -2):
        for stop in (None, 0, 1, 7, 14, 60, 61, 99, -1):
            assert_array_equal(pixels[start:stop], expected[start:stop])


def test_the_file_is_closed_with_the_last_reference(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    stored(path)
    gc.collect()
    before = open_files()
    pixels = stored(path)
    assert open_files() == before + 1
    del pixels
    gc.collect()
    assert open_files() == before


def test_a_file_that_becomes_shorter_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    pixels = stored(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=r"a\.h5: has become shorter while it was read"):
        pixels[:]


def test_offsets_beyond_the_file_are_not_complete(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(100))
    cases = ((0, True), (76, True), (77, False), (-1, False), (2**63 - 1, False))
    for offset, complete in cases:
        handle = os.open(tmp_path / "a", os.O_RDONLY)
        pixels = StoredItems("a", handle, np.array([offset]), 2, (2, 2, 2, 3))
        assert pixels.complete == complete


def test_what_differs_from_what_the_library_finds_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.h5")
    true_read = Hdf5Channel.read

    def shifted(self: Hdf5Channel, *question: Any, into: NDArray[Any]) -> None:
        true_read(self, *question, into=into)
        if question == ("offsets",):
            into -= 1

    monkeypatch.setattr(Hdf5Channel, "read", shifted)
    with Hdf5Pictures(str(path), ReadOptions()) as file:
        assert file.stored() is None


def test_labelled_pictures_stay_in_their_file_only_if_they_must(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    for memory, kind in ((ReadOptions().memory, InMemory), (WHOLE, InMemory), (WHOLE - 1, StoredItems)):
        pictures, data = load_labelled(path, memory=memory)
        assert isinstance(pictures, kind)
        assert (pictures.shape, data.m) == ((M, SIZE, SIZE, 3), M)
        assert pictures.nbytes == (WHOLE if kind is InMemory else 0)
        assert_array_equal(pictures[:], cats_and_dogs(M, SIZE)[0])


class Stored(InFile):
    """Rows of an array that are given out in slices only."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.shape = array.shape
        self._array = array

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        return self._array[part]


def twice(rows: NDArray[Any]) -> NDArray[Any]:
    """Of each row its first half, doubled."""
    return rows[:, : rows.shape[1] // 2] * 2


@pytest.mark.parametrize("kinds", [(Stored, Stored), (InMemory, Stored), (Stored, InMemory)])
def test_joined_and_mapped_rows_are_those_of_the_arrays(kinds: tuple[Any, Any]) -> None:
    X = noise(10, 6)
    first, second = (kind(part) for kind, part in zip(kinds, (X[:4], X[4:]), strict=True))
    for rows in (first.mapped(twice).joined(second.mapped(twice)), first.joined(second).mapped(twice)):
        assert (rows.place, rows.shape) == ("file", (10, 3))
        for start in range(11):
            for stop in range(11):
                assert_array_equal(rows[start:stop], twice(X)[start:stop])
        assert_array_equal(np.concatenate(list(rows.pieces(slice(1, 9), 3))), twice(X)[1:9])
        assert_array_equal(rows.each(lambda part: part.sum(axis=1)), twice(X).sum(axis=1))


def test_rows_in_memory_stay_there_when_they_are_mapped_and_joined() -> None:
    X = noise(10, 6)
    rows = InMemory(X).mapped(twice).joined(InMemory(twice(X)))
    assert isinstance(rows, InMemory)
    assert_array_equal(rows[:], np.concatenate([twice(X), twice(X)]))
    (piece,) = rows.pieces(slice(3, 9), 2)
    assert np.shares_memory(piece, rows.array)
    assert len(piece) == 6


@pytest.mark.parametrize("kind", [InMemory, Stored])
def test_no_rows_at_all_can_be_asked_for(kind: Callable[[NDArray[Any]], Store]) -> None:
    rows = kind(noise(0, 6))
    assert rows.each(lambda part: part[:, 0]).shape == (0,)
    assert rows.mapped(twice)[:].shape == (0, 3)


def test_the_next_item_is_computed_while_the_last_one_is_used() -> None:
    begun = [threading.Event() for _ in range(5)]

    def work(k: int) -> int:
        begun[k].set()
        return k

    for k in ahead(work, range(5)):
        assert k == 4 or begun[k + 1].wait(timeout=60)
    assert list(ahead(work, [])) == []


def test_an_error_of_an_item_is_raised_in_its_place() -> None:
    results = ahead(lambda k: 1 // k, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


STATUS = Path("/proc/self/status")
MEASURED = f"""
import json, sys
from catclf.cli import main
code = main(sys.argv[1:])
peak = open("{STATUS}").read().split("VmHWM:")[1].split()[0]  # not that of the process that starts it
print(json.dumps([code, 1024 * int(peak)]))
"""


def peak_memory(data: Path, model: Path, memory: str) -> int:
    arguments = ["train", str(data), "-o", str(model), "-q", "-i", "2", "--memory", memory]
    arguments += ["--engine", "stream", "-j", "2"]
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], capture_output=True, cwd=ROOT)
    code, peak = json.loads(done.stdout)
    assert code == 0, done.stderr
    return int(peak)


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not say how much memory was used")
def test_peak_memory_does_not_hold_the_pictures(tmp_path: Path) -> None:
    few, many = (written(tmp_path / f"{m}.h5", m=m, size=64) for m in (500, 12_000))
    whole = 12_000 * 3 * 64 * 64  # 147 MB
    little = peak_memory(few, tmp_path / "a.npz", "1MB")
    assert peak_memory(many, tmp_path / "b.npz", "10MB") < little + 0.4 * whole
    assert peak_memory(many, tmp_path / "c.npz", "1GB") > little + 0.8 * whole
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()
