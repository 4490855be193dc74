"""Models as ONNX files: the same probabilities in ONNX Runtime and in a browser that is offline."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import sync_playwright

import catclf
import catclf as library
from catclf.errors import ConfigError, MissingExtraError
from catclf.features.pixels import Pixels
from catclf.images.decode import Decoder, viewed
from catclf.images.picture import Picture
from catclf.model import Model, save
from catclf.view import View
from tests.conftest import ROOT, Runner, needs_network
from tests.pictures import class_folder, noise

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from catclf.features.onnx_graph import Graph, seen  # noqa: E402
from catclf.features.onnx_session import options  # noqa: E402
from tests.test_encoders import CONFIG, folder, network  # noqa: E402
from tests.test_report_browser import CHROMIUM, FLAGS  # noqa: E402

SIZES = ((64, 64), (31, 97), (200, 120), (120, 200), (33, 32), (500, 333))


def session(data: bytes | Path) -> Any:
    return onnxruntime.InferenceSession(
        data if isinstance(data, bytes) else str(data), options(), providers=["CPUExecutionProvider"]
    )


def smooth(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A picture with large and small shapes, and edges at both ends of the levels."""
    drawn = Image.fromarray(noise(9, 7, 3, seed=seed)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(drawn).astype(int) + noise(height, width, 3, seed=seed + 1) // 8 - 16
    pixels[: height // 5] = 255
    pixels[:, : width // 6] = 0
    return pixels.clip(0, 255).astype(np.uint8)


def made(path: Path, **fields: Any) -> Model:
    rng = np.random.default_rng(0)
    model = Model(rng.normal(0, 0.05, 3 * 32**2), 0.2, Pixels(32), "cat", "not cat", **fields)
    save(model, str(path))
    return model


# --- what the graph sees ---

VIEWS = {
    "squashed": View(32),
    "cubic": View(32, resample="bicubic"),
    "the centre square": View(32, squashed=False, resample="bicubic"),
    "the centre of a larger one": View(32, squashed=False, edge=40, resample="bicubic"),
    "the centre of a square": View(32, edge=37),
    "shrunk first": View(48, squashed=False, resample="bicubic", through=32),
    "nearest": View(32, resample="nearest"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_the_graph_sees_what_pillow_makes_of_a_picture(name: str) -> None:
    view, graph = VIEWS[name], Graph()
    flat = graph.add("Reshape", seen(graph, view), graph.whole(-1))
    run = session(graph.model(flat, {})).run
    for k, (height, width) in enumerate(SIZES):
        pixels = smooth(height, width, k)
        (found,) = run(None, {"picture": pixels})
        expected = viewed(pixels, view).astype(int)
        off = np.abs(found.reshape(3, view.side, view.side).transpose(1, 2, 0) - expected)
        # Enlarging what is cut out, Pillow goes by other places than enlarging all of a picture.
        is_enlarged = min(height, width) < view.needed and view.cuts
        assert off.max() <= (12 if is_enlarged else 1)
        assert off.mean() < (0.3 if is_enlarged else 0.2)


def test_a_filter_that_onnx_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"resample = 'lanczos': cannot be exported: ONNX has"):
        seen(Graph(), View(32, resample="lanczos"))


# --- what comes out ---


def probabilities(run: Any, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.array([run.run(None, {"picture": picture})[0] for picture in pictures])


def test_a_model_of_pixels_gives_the_same_probabilities(catclf: Runner, tmp_path: Path) -> None:
    model = made(tmp_path / "m.npz", threshold=0.25)
    done = catclf("export", tmp_path / "m.npz", tmp_path / "m.onnx")
    assert (done.code, done.out) == (0, b"")
    assert re.fullmatch(r"saved .*m\.onnx: pixels of 32×32, 0\.0 MB\n", done.err)
    run = session(tmp_path / "m.onnx")
    own = [noise(32, 32, 3, seed=k) for k in range(20)]
    p = model.probabilities(np.array(own))
    assert_allclose(probabilities(run, own)[:, 0], p, atol=1e-5)
    assert len({round(one, 3) for one in p.tolist()}) > 15
    others = [smooth(height, width, k) for k, (height, width) in enumerate(SIZES)]
    expected = model.probabilities(np.array([viewed(one, model.view) for one in others]))
    assert_allclose(probabilities(run, others)[:, 0], expected, atol=0.01)
    assert run.get_outputs()[0].shape == [1]


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    made(tmp_path / "m.npz", threshold=0.25)
    written = catclf.export(tmp_path / "m.npz", tmp_path / "m.onnx")
    assert (written.features, written.size) == ("pixels", 32)
    assert written.file_size == (tmp_path / "m.onnx").stat().st_size
    assert repr(written) == f"<ExportedModel: pixels of 32×32, {written.file_size} bytes>"
    facts = session(tmp_path / "m.onnx").get_modelmeta().custom_metadata_map
    assert (facts["positive"], facts["negative"], float(facts["threshold"])) == ("cat", "not cat", 0.25)
    assert json.loads(facts["features"]) == {"name": "pixels", "size": 32}
    assert facts["catclf"] == catclf.__version__
    assert isinstance(json.loads(facts["training"]), dict)
    before = (tmp_path / "m.onnx").read_bytes()
    catclf.export(tmp_path / "m.npz", tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == before


def trained(data: Path, path: Path, encoder: Path | None, **choices: Any) -> catclf.Classifier:
    read = catclf.ReadOptions(encoder=encoder, **choices)
    descent = catclf.DescentSettings(iterations=30)
    fit = catclf.train(data, catclf.TrainSettings(descent, read, features="network"))
    save(fit.model, str(path))
    return fit.model


@needs_network
def test_a_model_of_the_network_gives_the_same_probabilities(tmp_path: Path) -> None:
    album = class_folder(tmp_path / "album", m=12, size=120)
    model = trained(album, tmp_path / "m.npz", None, size=96)
    catclf.export(tmp_path / "m.npz", tmp_path / "m.onnx")
    run = session(tmp_path / "m.onnx")
    own = [smooth(96, 96, k) for k in range(6)]
    assert_allclose(probabilities(run, own)[:, 0], model.predict_proba(own)[:, 1], atol=1e-5)
    others = [smooth(height, width, k) for k, (height, width) in enumerate(SIZES)]
    expected = model.predict_proba(others)[:, 1]
    assert_allclose(probabilities(run, others)[:, 0], expected, atol=0.02)


@pytest.mark.parametrize("output", ["row", "map", "tokens:first", "tokens:mean"])
@pytest.mark.parametrize("kind", ["bytes", "floats", "channels last"])
def test_networks_of_others_are_put_into_the_file(kind: str, output: str, tmp_path: Path) -> None:
    outputs = ("row", "map", "tokens")
    if kind == "floats":
        net = folder(tmp_path / "net", CONFIG, outputs=outputs)
    else:
        shape = (1, 32, 32, 3) if kind == "channels last" else (1, 3, 32, 32)
        net = network(tmp_path / "net.onnx", shape=shape, outputs=outputs)
    album = class_folder(tmp_path / "album", m=12, size=40)
    model = trained(album, tmp_path / "m.npz", net, encoder_output=output)
    catclf.export(tmp_path / "m.npz", tmp_path / "m.onnx", read=catclf.ReadOptions(encoder=net))
    run = session(tmp_path / "m.onnx")
    own = [noise(32, 32, 3, seed=k) for k in range(8)]
    p = model.predict_proba(own, read=catclf.ReadOptions(encoder=net))[:, 1]
    assert_allclose(probabilities(run, own)[:, 0], p, atol=1e-5)


# --- what is refused ---


def test_what_cannot_be_exported_is_refused(
    catclf: Runner, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "m.onnx"
    output.write_bytes(b"mine")
    exists = catclf("export", model, output)
    assert (exists.code, "exists; use --force to replace it" in exists.err) == (2, True)
    assert output.read_bytes() == b"mine"
    assert catclf("export", model, output, "-f").code == 0
    wrong = catclf("export", model, tmp_path / "other.npz")
    assert (wrong.code, "other.npz does not end in .onnx" in wrong.err) == (2, True)
    needless = catclf("export", model, tmp_path / "n.onnx", "--encoder", tmp_path / "net.onnx")
    assert (needless.code, "need no network" in needless.err) == (2, True)
    missing = catclf("export", tmp_path / "none.npz", tmp_path / "n.onnx")
    assert (missing.code, "no such file" in missing.err) == (1, True)
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "onnx" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    extra = catclf("export", model, tmp_path / "n.onnx")
    assert extra.code == 2
    assert extra.err == "catclf: error: exported models need onnx: pip install 'catclf[export]'\n"
    with pytest.raises(MissingExtraError):
        library.export(model, tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()


def test_patches_cannot_be_exported(catclf: Runner, tmp_path: Path) -> None:
    album = class_folder(tmp_path / "album", m=12, size=16)
    choices = ("--features", "patches", "--size", "16", "-i", "5", "--l2", "0.1", "-q")
    assert catclf("train", album, "-o", tmp_path / "m.npz", *choices).code == 0
    refused = catclf("export", tmp_path / "m.npz", tmp_path / "m.onnx")
    assert (refused.code, refused.err) == (
        2,
        "catclf: error: --features patches: cannot be exported\n",
    )


# --- in a browser ---


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX Runtime for the web, as npm brings it."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    home = tmp_path_factory.mktemp("npm")
    version = re.search(r"npm pack (onnxruntime-web@[\d.]+)", PAGE)
    assert version is not None
    command = ["npm", "pack", version[1], "--silent"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=100)
    if done.returncode:
        pytest.skip(f"npm cannot bring {version[1]}")
    (archive,) = home.glob("*.tgz")
    shutil.unpack_archive(archive, home, "gztar", filter="data")
    return home


PAGE = (ROOT / "docs" / "browser.md").read_text("utf-8")


def test_a_photograph_is_classified_in_a_browser_that_is_offline(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    monkeypatch.chdir(tmp_path)
    model = made(tmp_path / "cat.npz")
    shutil.copy(ROOT / "docs" / "browser.html", tmp_path)
    shutil.copytree(runtime / "package", tmp_path / "package")
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    kept = "\n".join(line for line in script.splitlines() if not line.startswith(("npm ", "tar ")))
    tool = tmp_path / "catclf"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m catclf "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(["bash", "-euc", kept], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    turned, clear, broken = (tmp_path / name for name in ("turned.jpg", "clear.png", "broken.jpg"))
    upright, exif = smooth(90, 140), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright).copy()).save(turned, exif=exif, quality=100, subsampling=0)
    layer = np.concatenate([smooth(50, 70, 3), np.full((50, 70, 1), 90, np.uint8)], axis=2)
    Image.fromarray(layer).save(clear)
    broken.write_bytes(b"no picture")
    expected = model.probabilities(np.stack([_seen(model, path) for path in (turned, clear)]))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = browser.new_context(offline=True)
        page, asked = context.new_page(), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "page" / "browser.html").as_uri())
        for path, p in zip((turned, clear), expected.tolist(), strict=True):
            said = _answer(page, path)
            found = re.fullmatch(r"(cat|not cat) \(probability of cat: (0\.\d{6})\)", said)
            assert found is not None, said
            assert abs(float(found[2]) - p) < 0.02
            assert found[1] == model.label(float(found[2]))
        assert "cannot be classified" in _answer(page, broken)
        assert all(url.startswith(("file:", "blob:")) for url in asked)
        browser.close()


def _seen(model: Model, path: Path) -> NDArray[np.uint8]:
    (decoded,) = Decoder((model.view,), 10**9)([Picture(str(path))])
    return decoded.views[0]


def _answer(page: Any, path: Path) -> str:
    page.evaluate("document.querySelector('output').textContent = ''")
    page.set_input_files("input", str(path))
    page.wait_for_function("document.querySelector('output').textContent.length > 3", timeout=30_000)
    said: str = page.inner_text("output")
    return said


# --- the matrix ---


def test_rows_are_those_that_training_packs(tmp_path: Path) -> None:
    album = class_folder(tmp_path / "album", m=12, size=40)
    net = network(tmp_path / "net.onnx")
    read = catclf.ReadOptions(encoder=net)
    catclf.pack(album, tmp_path / "rows.h5", catclf.PackSettings(read, features="network"))
    paths = sorted(str(path) for path in album.rglob("*.png"))
    found = catclf.rows(paths, "network", read=read)
    assert found.shape == (12, 12)
    assert found.dtype == np.float32
    with h5py.File(tmp_path / "rows.h5") as file:
        names = [Path(name).name for name in file["paths"].asstr()[:]]
        order = [names.index(Path(path).name) for path in paths]
        np.testing.assert_array_equal(found, file["x"][:][order].astype(np.float32))
    one = catclf.ReadOptions(encoder=net, jobs=1)
    np.testing.assert_array_equal(found, catclf.rows(paths, read=one))
    np.testing.assert_array_equal(found, catclf.rows(paths, read=read, processes=True))


def test_rows_of_pixels_and_of_models(tmp_path: Path) -> None:
    album = class_folder(tmp_path / "album", m=12, size=16)
    pixels = catclf.rows(album, "pixels", read=catclf.ReadOptions(size=16))
    assert pixels.shape == (12, 768)
    assert 0 <= pixels.min() < pixels.max() <= 1
    settings = catclf.TrainSettings(
        catclf.DescentSettings(iterations=3, l2=0.1), catclf.ReadOptions(size=16), features="patches"
    )
    model = catclf.train(album, settings).model
    save(model, str(tmp_path / "m.npz"))
    rows = catclf.rows(album, model)
    np.testing.assert_array_equal(rows, catclf.rows(album, tmp_path / "m.npz"))
    p = model.predict_proba(album)[:, 1]
    assert_allclose(1 / (1 + np.exp(-(rows @ model.w + model.b))), p, atol=1e-5)
    assert catclf.rows([], "pixels").shape == (0, 12288)
    with pytest.raises(ConfigError, match="must be pixels or network, or a model"):
        catclf.rows(album, "patches")
    with pytest.raises(catclf.DataError, match="no such file"):
        catclf.rows([album / "none.png"], "pixels")


@needs_network
def test_the_network_works_in_pipelines_of_scikit_learn_on_any_number_of_processes() -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")
    pictures = np.array([smooth(96, 96, k) for k in range(12)])
    pictures[::2, 40:60, 40:60] = (250, 10, 10)
    y = np.arange(12) % 2
    made_of = pipeline.make_pipeline(catclf.PictureClassifier(features="network", iterations=30))
    one, two = (
        model_selection.cross_val_predict(made_of, pictures, y, cv=2, n_jobs=n, method="predict_proba")
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
