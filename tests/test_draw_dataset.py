"""The drawn data: reproducible, in the course's layout, and what is shipped is what is drawn."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "draw_dataset.py"
DATA = ROOT / "data"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script as a module, imported from its path."""
    spec = importlib.util.spec_from_file_location("draw_dataset", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def run(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, SCRIPT, *arguments], check=True, capture_output=True, timeout=60)


def tree(folder: Path) -> dict[str, str]:
    """Every file below `folder` with the hash of its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def pixels(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.int64)


def assert_same_drawing(actual: NDArray[np.int64], expected: NDArray[np.int64]) -> None:
    """Equal up to what another version of Pillow may do at edges."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).mean() < 1.0  # grey levels; two different drawings: above 30


@pytest.mark.parametrize("split", ["train", "test"])
def test_h5_has_the_layout_of_the_course(script: ModuleType, tmp_path: Path, split: str) -> None:
    script.write_h5(tmp_path / "a.h5", script.Series(seed=5, count=7, size=32), split)
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == {f"{split}_set_x", f"{split}_set_y", "list_classes"}
        assert (file[f"{split}_set_x"].shape, file[f"{split}_set_x"].dtype) == ((7, 32, 32, 3), np.uint8)
        assert (file[f"{split}_set_y"].shape, file[f"{split}_set_y"].dtype) == ((7,), np.int64)
        assert file["list_classes"].dtype == "S7"
        assert file["list_classes"][()].tolist() == [b"non-cat", b"cat"]


def _write_h5(script: ModuleType, out: Path, seed: int) -> None:
    script.write_h5(out / "a.h5", script.Series(seed, count=6, size=32))


def _write_folder(script: ModuleType, out: Path, seed: int) -> None:
    script.write_folder(out, script.Series(seed, count=6, size=32))


@pytest.mark.parametrize("write", [_write_h5, _write_folder])
def test_same_seed_same_bytes_another_seed_others(
    script: ModuleType, tmp_path: Path, write: Callable[[ModuleType, Path, int], None]
) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        write(script, tmp_path / name, seed)
    assert tree(tmp_path / "first") == tree(tmp_path / "again")
    assert set(tree(tmp_path / "first").values()).isdisjoint(tree(tmp_path / "other").values())


@pytest.mark.parametrize("form", ["jpeg", "png", "grey", "palette", "transparent", "on its side"])
def test_every_form_of_file_has_reproducible_bytes_and_the_size_drawn(
    script: ModuleType, tmp_path: Path, form: str
) -> None:
    assert form in script.FORMS
    image = script.draw(1, 0, 90, 60).image
    paths = [script.FORMS[form](image, tmp_path / name) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert pixels(paths[0]).shape == (60, 90, 3)


def test_every_form_of_file_is_shipped(script: ModuleType) -> None:
    assert set(script.SHIPPED_FORMS) == set(script.FORMS)


def test_picture_does_not_depend_on_the_count_nor_on_the_blocks(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.write_h5(tmp_path / "many.h5", script.Series(seed=5, count=11, size=16))
    monkeypatch.setattr(script, "BLOCK_BYTES", 4 * 16 * 16 * 3)  # blocks of four pictures
    script.write_h5(tmp_path / "few.h5", script.Series(seed=5, count=9, size=16))
    with h5py.File(tmp_path / "many.h5") as many, h5py.File(tmp_path / "few.h5") as few:
        for key in ("train_set_x", "train_set_y"):
            np.testing.assert_array_equal(few[key][:], many[key][:9])


def test_files_do_not_depend_on_the_number_of_processes(script: ModuleType, tmp_path: Path) -> None:
    run(tmp_path / "two", "--count", "40", "--size", "16", "--seed", "4", "--jobs", "2")
    script.write_folder(tmp_path / "one", script.Series(seed=4, count=40, size=16), jobs=1)
    assert len(tree(tmp_path / "one")) == 40
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_format_can_be_given_against_the_name(tmp_path: Path) -> None:
    run(tmp_path / "plain", "--count", "2", "--size", "16", "--format", "h5", "--jobs", "1")
    assert h5py.is_hdf5(tmp_path / "plain")


@pytest.mark.parametrize("split", ["train", "test"])
def test_shipped_h5_is_what_the_script_draws(script: ModuleType, split: str) -> None:
    series = script.SHIPPED_H5[split]
    with h5py.File(DATA / f"drawings_{split}.h5") as file:
        x, y = file[f"{split}_set_x"], file[f"{split}_set_y"]
        assert x.shape == (series.count, 64, 64, 3)
        for k in (*range(8), series.count - 1):
            picture = series.draw(k)
            assert y[k] == picture.label
            assert_same_drawing(x[k].astype(np.int64), np.asarray(picture.image, dtype=np.int64))


def test_shipped_folder_is_what_the_script_draws(script: ModuleType, tmp_path: Path) -> None:
    script.make_class_folders(tmp_path)
    forms = [form for form, count in script.SHIPPED_FORMS.items() for _ in range(count)]
    for k in (0, 1, 24, 27, 30, 33, 35):  # one at least of every form
        path = script.shipped_file(k, forms[k], tmp_path)
        assert_same_drawing(pixels(DATA / "drawings" / path.relative_to(tmp_path)), pixels(path))
    assert len(tree(DATA / "drawings")) == len(forms)


def test_shipped_train_and_test_pictures_differ(script: ModuleType) -> None:
    with h5py.File(DATA / "drawings_train.h5") as train, h5py.File(DATA / "drawings_test.h5") as test:
        seen = {picture.tobytes() for picture in train["train_set_x"][:]}
        assert len(seen) == script.SHIPPED_H5["train"].count
        assert seen.isdisjoint(picture.tobytes() for picture in test["test_set_x"][:])


@pytest.mark.parametrize("split", ["train", "test"])
def test_forty_to_fifty_percent_of_the_shipped_pictures_are_cats(split: str) -> None:
    with h5py.File(DATA / f"drawings_{split}.h5") as file:
        assert 0.4 <= file[f"{split}_set_y"][:].mean() <= 0.5


def test_everything_shipped_takes_less_than_six_megabytes() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 6e6


@pytest.mark.usefixtures("script")
def test_every_background_subject_and_obstacle_leaves_a_trace() -> None:
    from drawing import animals, pen, scenes, things

    drawers = (*scenes.BACKGROUNDS, *scenes.OBSTACLES, *things.OTHERS, animals.cat)
    for drawer in drawers:
        image = Image.new("RGB", (40, 60), (255, 0, 255))
        drawer(pen.Pen.over(image), Random(1))
        colours = image.getcolors(maxcolors=40 * 60)
        assert colours is not None
        assert len(colours) > 1, drawer.__name__


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("pattern", ["solid", "tabby", "tuxedo", "calico", "points"])
def test_every_pattern_of_fur_has_a_body_a_face_and_a_coat(pattern: str) -> None:
    from drawing import animals

    assert pattern in animals.BODY_MARKS
    assert pattern in animals.FACE_MARKS
    assert any(coat.pattern == pattern for coat in animals.CAT_COATS.values())
