"""Network features: the network itself, its weights, the pictures it sees, and the tools that use it."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import pickle
import platform
import subprocess
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

import catclf as library
from catclf import fitting
from catclf.config import FEATURES, DescentSettings, ReadOptions, TrainSettings
from catclf.descent import descending
from catclf.design import Standardisation
from catclf.errors import ConfigError, DataError, MissingExtraError, ModelFileError
from catclf.features import encoder, lite0, onnx_session
from catclf.features.encoder import Encoder
from catclf.features.lite0 import Convolution
from catclf.features.network import Network
from catclf.fitting import Encoded, Problem, cross_validate, prepare
from catclf.images import decode
from catclf.images.decode import Decoder, viewed
from catclf.images.picture import Picture
from catclf.images.profiles import ToSrgb
from catclf.model import Model, load, save
from catclf.pipeline.scoring import RowMaker, rows_of
from catclf.progress import Progress
from catclf.stores.here import InMemory
from catclf.view import View
from tests.conftest import MISSING, MODULES, ROOT, Runner, needs_network, run
from tests.pictures import (
    Pixels,
    cats_and_dogs,
    class_folder,
    course_h5,
    noise,
    ramps,
    save_h5,
    save_picture,
    save_turned,
)

SIDE = 96
CENTRE: dict[str, Any] = {"squashed": False, "resample": "bicubic"}


def network_of(side: int) -> Network:
    """The package's network at a size, whether it is installed or not."""
    return Network(encoder.built_in(side))


SMALL = ("--features", "network", "--size", SIDE)


@pytest.fixture(scope="module")
def data() -> bytes:
    """The file of weights."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}")
    spec = importlib.util.find_spec(encoder.PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / encoder.WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def weights(data: bytes) -> lite0.Weights:
    return lite0.read_weights(data)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Forty pictures of two classes, more than are encoded without worker processes."""
    return class_folder(tmp_path / "album", m=40, size=40)


def settings(jobs: int = 1, **options: Any) -> TrainSettings:
    return TrainSettings(features="network", read=ReadOptions(size=SIDE, jobs=jobs), **options)


# --- the file of weights ---


def parts_of(data: bytes) -> tuple[Any, ...]:
    stream = io.BytesIO(data)
    return tuple(lite0._Unpickler(stream).load() for _ in range(5))


def test_the_file_holds_296_tensors_of_which_50_are_not_in_order(
    data: bytes, weights: lite0.Weights
) -> None:
    tensors = parts_of(data)[3]
    assert len(weights) == len(tensors) == 296
    astray = 0
    for name, (_, _, shape, strides, *_) in tensors.items():
        assert weights[name].shape == tuple(shape)
        assert weights[name].flags.c_contiguous
        in_order = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]
        astray += any(
            n > 1 and found != expected
            for n, found, expected in zip(shape, strides, in_order, strict=True)
        )
    assert astray == 50
    assert all(np.isfinite(values).all() for values in weights.values())


def test_strides_count() -> None:
    storages: dict[str, NDArray[Any]] = {"a": np.arange(10.0)}
    found = lite0._strided(
        storages, ("storage", "FloatStorage", "a", "cpu", 10, None), 1, (2, 3), (1, 2)
    )
    assert_array_equal(found, [[1, 3, 5], [2, 4, 6]])
    with pytest.raises(ValueError, match="beyond its storage"):
        lite0._strided(storages, ("storage", "FloatStorage", "a", "cpu", 10, None), 5, (2, 3), (1, 2))


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._path), "w")


def evil(path: Path, size: int = 0) -> bytes:
    data = pickle.dumps(Evil(path), protocol=2)
    return data + bytes(max(0, size - len(data)))


OTHER_FILES: dict[str, Callable[[bytes, Path], bytes]] = {
    "empty": lambda data, trap: b"",
    "another": lambda data, trap: pickle.dumps({"a": 1}, protocol=2),
    "evil": lambda data, trap: evil(trap),
    "evil and of the right size": lambda data, trap: evil(trap, lite0.SIZE),
    "the first byte changed": lambda data, trap: bytes([data[0] ^ 1]) + data[1:],
    "a byte changed": lambda data, trap: (
        data[:9_000_000] + bytes([data[9_000_000] ^ 1]) + data[9_000_001:]
    ),
    "the last byte changed": lambda data, trap: data[:-1] + bytes([data[-1] ^ 128]),
    "truncated": lambda data, trap: data[:-1],
    "longer": lambda data, trap: data + b"\0",
}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whatever is given to an unpickler."""
    found: list[Any] = []

    class Watched(lite0._Unpickler):
        def __init__(self, stream: Any) -> None:
            found.append(stream)
            super().__init__(stream)

    monkeypatch.setattr(lite0, "_Unpickler", Watched)
    monkeypatch.setattr(pickle, "Unpickler", Watched)
    for name in ("load", "loads"):
        monkeypatch.setattr(pickle, name, lambda stream: found.append(stream))
    return found


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_another_file_is_refused_before_anything_of_it_is_opened(
    kind: str, data: bytes, opened: list[Any], tmp_path: Path
) -> None:
    other = OTHER_FILES[kind](data, tmp_path / "made")
    with pytest.raises(
        ValueError, match=f"expected 18826032 bytes with the SHA-256 {lite0.SHA256}"
    ) as no:
        lite0.read_weights(other)
    assert f"found {len(other)} with {hashlib.sha256(other).hexdigest()}" in str(no.value)
    assert opened == []
    assert not (tmp_path / "made").exists()


def test_the_right_file_is_opened_by_the_unpickler_that_is_watched(
    data: bytes, opened: list[Any]
) -> None:
    lite0.read_weights(data)
    assert len(opened) == 5


def test_the_pickle_of_the_tests_would_make_a_file(tmp_path: Path) -> None:
    pickle.loads(evil(tmp_path / "made")).close()
    assert (tmp_path / "made").exists()


def test_the_unpickler_runs_nothing_but_what_it_knows(tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"unexpected (io|_io|builtins)\.open"):
        lite0._Unpickler(io.BytesIO(evil(tmp_path / "made"))).load()
    assert not (tmp_path / "made").exists()


def named(module: str, name: str, protocol: int) -> bytes:
    """A pickle of nothing but a name."""
    if protocol < 4:
        return f"c{module}\n{name}\n.".encode()
    strings = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + strings + b"\x93."


def name_of(module: str, name: str, protocol: int) -> Any:
    return lite0._Unpickler(io.BytesIO(named(module, name, protocol))).load()


@pytest.mark.parametrize("protocol", [2, 4])
def test_the_unpickler_knows_four_names(protocol: int) -> None:
    assert name_of("collections", "OrderedDict", protocol) is OrderedDict
    assert name_of("torch", "FloatStorage", protocol) == "FloatStorage"
    assert name_of("torch", "LongStorage", protocol) == "LongStorage"
    assert name_of("torch._utils", "_rebuild_tensor_v2", protocol)(1, 2) == (1, 2)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "builtins.getattr",
        "__builtin__.eval",
        "os.system",
        "posix.system",
        "collections.defaultdict",
        "collections.OrderedDict.fromkeys",
        "collections.OrderedDict.__init__.__globals__",
        "collections.abc.OrderedDict",
        "copyreg._reconstructor",
        "torch.DoubleStorage",
        "torch.load",
        "torch.FloatStorage.__class__",
        "torch.storage.FloatStorage",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_parameter",
        "numpy.core.multiarray._reconstruct",
    ],
)
def test_every_other_name_is_refused(name: str, protocol: int) -> None:
    module = next(
        m for m in ("collections.abc", "torch.storage", "torch._utils", "") if name.startswith(m)
    )
    module = module or name.split(".")[0]
    with pytest.raises(pickle.UnpicklingError, match="unexpected"):
        name_of(module, name.removeprefix(f"{module}."), protocol)


def found_instead(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Have another package found under the name of the one with the weights: where its file is to be."""
    find = importlib.util.find_spec

    def another(name: str, package: str | None = None) -> ModuleSpec | None:
        if name == MODULES[-1]:
            return ModuleSpec(name, None, origin=str(folder / "__init__.py"))
        return find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", another)
    monkeypatch.setattr(onnx_session, "_kept", {})
    file = folder / encoder.WEIGHTS
    file.parent.mkdir(parents=True)
    return file


@needs_network
@pytest.mark.parametrize("count", [4, 40])
def test_another_file_under_the_name_of_the_package_is_an_error_of_that_file(
    catclf: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    album, model = class_folder(tmp_path / "photos", m=count, size=16), made_model(tmp_path / "m.npz")
    file = found_instead(monkeypatch, tmp_path / "package")
    commands: list[tuple[str | Path, ...]] = [
        ("train", album, "-o", tmp_path / "new.npz", *map(str, SMALL), "-j", "1"),
        ("predict", "-m", model, album, "-j", "1"),
        ("eval", "-m", model, album, "-j", "1"),
    ]
    for command in commands:
        result = catclf(*command)
        assert (result.code, result.out) == (1, b"")
        assert result.err == f"catclf: error: {file}: no such file or directory\n"
    file.write_bytes(evil(tmp_path / "made", lite0.SIZE))
    for command in commands:
        result = catclf(*command)
        assert (result.code, result.out) == (1, b"")
        assert f"{file}: is not the network's file of weights (expected 18826032 bytes" in result.err
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "new.npz").exists()


# --- the network ---


def forward(weights: lite0.Weights, images: Pixels) -> NDArray[np.float64]:
    """The network in NumPy, of pictures (m, s, s, 3): the last map (m, h, w, 1280)."""
    x = images.astype(np.float64) - lite0.MEAN
    for block in lite0.convolutions(weights):
        before = x
        for conv in block:
            x = convolved(x, conv)
            if conv.clipped:
                x = x.clip(0, 6)
        if x.shape == before.shape:
            x += before
    return x


def convolved(x: NDArray[np.float64], conv: Convolution) -> NDArray[np.float64]:
    """A convolution of (m, h, w, channels), tap by tap, with TensorFlow's SAME padding."""
    stride, k = conv.stride, conv.weight.shape[-1]
    shape = [-(-n // stride) for n in x.shape[1:3]]
    pads = [max((out - 1) * stride + k - n, 0) for out, n in zip(shape, x.shape[1:3], strict=True)]
    around = [(total // 2, total - total // 2) for total in pads]
    padded = np.pad(x, [(0, 0), *around, (0, 0)])
    y = np.tile(conv.bias.astype(np.float64), (len(x), *shape, 1))
    for i in range(k):
        for j in range(k):
            tap = conv.weight[:, :, i, j].astype(np.float64)
            rows = slice(i, i + (shape[0] - 1) * stride + 1, stride)
            columns = slice(j, j + (shape[1] - 1) * stride + 1, stride)
            seen = padded[:, rows, columns]
            y += seen * tap[:, 0] if conv.groups > 1 else seen @ tap.T
    return y


def pictures(side: int) -> Pixels:
    """Black, white, noise, and smooth ones."""
    plain = [np.full((side, side, 3), value, np.uint8) for value in (0, 255)]
    smooth = [ramps(side, side), ramps(side, side)[::-1, :, ::-1]]
    coarse = noise(side // 16, side // 16, 3, seed=3).repeat(16, axis=0).repeat(16, axis=1)
    return np.stack([*plain, noise(side, side, 3), *smooth, coarse])


def outputs(images: Pixels) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows (m, 1280) and maps (m, h, w, 1280) of ONNX Runtime."""
    net = encoder.built_in(images.shape[1])
    maps = [net.map(image) for image in images]
    return np.stack([net.row(image) for image in images]), np.stack([m for m in maps if m is not None])


def check(weights: lite0.Weights, images: Pixels) -> None:
    """ONNX Runtime finds what NumPy finds, to 1e-5 of the largest number of each picture."""
    expected = forward(weights, images)
    rows, maps = outputs(images)
    assert maps.shape == expected.shape
    assert (np.abs(maps - expected).max(axis=(1, 2, 3)) <= 1e-5 * expected.max(axis=(1, 2, 3))).all()
    means = expected.mean(axis=(1, 2))
    assert (np.abs(rows - means).max(axis=1) <= 1e-5 * means.max(axis=1)).all()


def test_onnx_runtime_finds_the_numbers_that_numpy_finds(weights: lite0.Weights) -> None:
    check(weights, pictures(SIDE))


@pytest.mark.parametrize("side", [128, 160, 224])
def test_padding_is_right_at_other_sides(weights: lite0.Weights, side: int) -> None:
    check(weights, noise(1, side, side, 3, seed=side))


def photographs(folder: Path, count: int, side: int) -> tuple[Pixels, list[str]]:
    """The first pictures of each class, and their classes."""
    files = [sorted((folder / name).iterdir())[: count // 2] for name in ("cats", "dogs")]
    decoder = Decoder((View(side, **CENTRE),))
    found = list(decoder(Picture(str(file)) for file in chain(*files)))
    labels = ["cats"] * (count // 2) + ["dogs"] * (count // 2)
    return np.stack([picture.views[0] for picture in found]), labels


def test_on_photographs_too(weights: lite0.Weights, real_data: Path) -> None:
    images, _ = photographs(real_data / "pets" / "test", 100, SIDE)
    for start in range(0, 100, 4):  # few at a time stay in the processor's caches
        check(weights, images[start : start + 4])


def test_it_still_calls_cats_and_dogs_by_their_names_in_imagenet(
    weights: lite0.Weights, real_data: Path
) -> None:
    images, labels = photographs(real_data / "pets" / "test", 40, 224)
    logits = outputs(images)[0] @ weights["_fc.weight"].T + weights["_fc.bias"]
    kinds = {"dogs": range(151, 269), "cats": range(281, 286)}  # among the thousand classes
    found = logits.argmax(axis=1).tolist()
    assert sum(k in kinds[label] for k, label in zip(found, labels, strict=True)) >= 34


def test_batch_norms_are_folded_as_they_are_applied(weights: lite0.Weights) -> None:
    images = noise(2, 32, 32, 3)
    stem = lite0.convolutions(weights)[0][0]
    bare = stem._replace(weight=weights["_conv_stem.weight"], bias=np.zeros(32, np.float32))
    plain = convolved((images - np.float64(127)) / 128, bare)
    gamma, beta, mean, variance = (
        weights[f"_bn0.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    expected = (plain - mean) / np.sqrt(variance + np.float64(1e-3)) * gamma + beta
    assert_allclose(convolved(images - np.float64(127), stem), expected, atol=1e-5 * expected.max())


def test_the_blocks_are_those_of_the_architecture(weights: lite0.Weights) -> None:
    blocks = lite0.convolutions(weights)
    assert [len(block) for block in blocks] == [1, 2, *[3] * 15, 1]
    assert np.prod([conv.stride for block in blocks for conv in block]) == 32
    assert sum(conv.clipped for block in blocks for conv in block) == 33
    assert [len(block[-1].weight) for block in blocks] == [
        *(32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320, 1280)
    ]
    numbers = sum(conv.weight.size + conv.bias.size for block in blocks for conv in block)
    assert 3.3e6 < numbers < 3.4e6


def operators(weights: lite0.Weights, options: Any, path: Path) -> Counter[tuple[str, str]]:
    """Domains and types of the operators that are left when a session has optimised the graph."""
    import onnx

    options.optimized_model_filepath = str(path)
    runtime = onnx_session._onnxruntime()
    runtime.InferenceSession(
        lite0.onnx_bytes(weights, SIDE), options, providers=["CPUExecutionProvider"]
    )
    return Counter((node.domain, node.op_type) for node in onnx.load(path).graph.node)


FAST = ("com.microsoft.nchwc", "Conv")


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"),
    reason="the fast layout of convolutions is that of x86-64 processors",
)
def test_the_session_uses_the_fast_layout(weights: lite0.Weights, tmp_path: Path) -> None:
    found = operators(weights, onnx_session.options(), tmp_path / "all.onnx")
    assert found[FAST] == 49  # all of them, with what follows each folded in
    assert not {"Clip", "Add", "Conv", "FusedConv"} & {
        name for domain, name in found if domain != FAST[0]
    }
    level = onnx_session._onnxruntime().GraphOptimizationLevel
    slow = onnx_session.options()
    slow.graph_optimization_level = level.ORT_ENABLE_EXTENDED
    assert operators(weights, slow, tmp_path / "extended.onnx")[FAST] == 0  # which is how it is lost


@needs_network
def test_a_session_has_one_thread() -> None:
    options = onnx_session.options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


# --- the pictures that it sees ---


def cropped(image: Image.Image, side: int) -> Pixels:
    """The centre square of the picture resized with Pillow's own bicubic filter."""
    short = min(image.size)
    whole = image.resize(
        (side * image.width // short, side * image.height // short), Image.Resampling.BICUBIC
    )
    left, top = (whole.width - side) // 2, (whole.height - side) // 2
    return np.asarray(whole.crop((left, top, left + side, top + side)))


SHAPES = {
    "landscape": (150, 240),
    "odd landscape": (151, 240),
    "portrait": (300, 131),
    "square": (200, 200),
    "as it is": (SIDE, SIDE),
    "as high as it is wanted": (SIDE, 140),
    "small": (30, 40),
    "small and square": (32, 32),
    "a line": (1, 100),
    "a point": (1, 1),
}


def centre(path: Path, side: int = SIDE) -> Pixels:
    found = Decoder((View(side, **CENTRE),)).one(Picture(str(path)))
    assert found.error is None
    return found.views[0]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_centre_view_is_pillows_bicubic_of_the_centre_square(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    pixels = noise(*shape, 3)
    found = viewed(pixels, View(SIDE, **CENTRE))
    expected = found
    assert found.shape == (SIDE, SIDE, 3)
    assert np.abs(found - cropped(Image.fromarray(pixels), SIDE).astype(int)).max() <= 1
    assert_array_equal(centre(save_picture(tmp_path / "a.png", pixels)), expected)
    of_pixels = Decoder((View(SIDE, **CENTRE),)).one(Picture("x", pixels=pixels))
    assert_array_equal(of_pixels.views[0], expected)


def test_nothing_outside_the_square_matters_but_what_the_filter_sees() -> None:
    pixels = noise(100, 300, 3)
    other = pixels.copy()
    other[:, :95], other[:, 205:] = 0, 255
    view = View(50, **CENTRE)
    assert_array_equal(viewed(pixels, view), viewed(other, view))
    assert (viewed(pixels, View(50)) != viewed(other, View(50))).any()


def test_a_grey_picture_is_one_with_three_equal_channels(tmp_path: Path) -> None:
    grey = noise(60, 90)
    colours = np.repeat(grey[..., None], 3, axis=-1)
    path = save_picture(tmp_path / "a.png", grey)
    assert_array_equal(centre(path), viewed(colours, View(SIDE, **CENTRE)))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_centre_is_that_of_the_upright_picture(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    upright = ramps(200, 120)
    found = centre(save_turned(tmp_path / f"a.{suffix}", upright, orientation), 64)
    difference = np.abs(found - viewed(upright, View(64, **CENTRE)).astype(int))
    assert difference.max() <= (0 if suffix == "png" else 12)


@pytest.fixture
def decoded_sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Width and height of every picture as it was decoded, before it is resized."""
    sizes: list[tuple[int, int]] = []
    resize = decode._viewed

    def watched(image: Image.Image, convert: ToSrgb | None, view: View) -> Pixels:
        sizes.append(image.size)
        return resize(image, convert, view)

    monkeypatch.setattr(decode, "_viewed", watched)
    return sizes


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("side", [96, 224])
@pytest.mark.parametrize(
    ("height", "width"),
    [(191, 400), (192, 1000), (225, 900), (447, 500), (448, 449), (449, 3000), (900, 901), (1793, 1792)],
)
def test_a_jpeg_is_never_decoded_below_the_side(
    decoded_sizes: list[tuple[int, int]],
    tmp_path: Path,
    height: int,
    width: int,
    side: int,
    orientation: int,
) -> None:
    path = save_turned(tmp_path / "a.jpg", ramps(height, width), orientation)
    found = centre(path, side)
    ((w, h),) = decoded_sizes
    share = w / width
    assert any(w == -(-width // k) and h == -(-height // k) for k in (1, 2, 4, 8))
    assert min(w, h) >= min(side, height, width)
    assert share == 1 or min(w, h) >= side
    assert share < 1 or min(height, width) < 2 * side or share == 1 / 8  # the draft is made use of
    whole = viewed(ramps(height, width), View(side, **CENTRE)).astype(int)
    assert np.abs(found - whole).mean() < 3


def test_a_picture_has_a_centre_view_and_others_at_once(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.jpg", ramps(500, 800))
    views = (View(64), View(64, **CENTRE), View(64, whole=True), View(SIDE, **CENTRE))
    together = Decoder(views).one(Picture(str(path))).views
    for view, found in zip(views, together, strict=True):
        (alone,) = Decoder((view,)).one(Picture(str(path))).views
        assert_array_equal(found, alone)
    assert (together[0] != together[1]).any()


# --- rows ---


@needs_network
def test_rows_are_halves_and_do_not_depend_on_the_others() -> None:
    images = pictures(SIDE)
    features = network_of(SIDE)
    rows = features.rows(images)
    assert rows.dtype == np.float16
    assert rows.shape == (6, 1280)
    assert_array_equal(rows, outputs(images)[0].astype(np.float16))
    assert_array_equal(np.concatenate([features.rows(image[None]) for image in images]), rows)
    assert_array_equal(features.rows(images[::-1], jobs=2)[::-1], rows)
    empty = features.rows(images[:0])
    assert empty.dtype == np.float16
    assert empty.shape == (0, 1280)


@needs_network
def test_the_row_of_a_picture_is_the_same_in_threads_and_in_processes(album: Path) -> None:
    files = [Picture(str(file)) for file in sorted(album.rglob("*.png"))]
    features = network_of(SIDE)
    expected = features.rows(np.stack([centre(Path(picture.path)) for picture in files]))
    for jobs, processes in ((1, False), (2, False), (2, True)):
        maker = RowMaker(features, features.view, ReadOptions(jobs=jobs))
        found = [row for some in rows_of(maker, files, processes, Progress()) for row in some]
        assert [row.path for row in found] == [picture.path for picture in files]
        assert_array_equal(np.stack([row.numbers for row in found if row.numbers is not None]), expected)


# --- training, predicting, evaluating ---


@needs_network
def test_all_tools_take_them_with_the_same_bits_on_one_core_and_on_two(
    album: Path, tmp_path: Path
) -> None:
    models = [tmp_path / "1.npz", tmp_path / "2.npz"]
    for jobs, model in enumerate(models, 1):
        done = run("train", album, "-o", model, *map(str, SMALL), "--cv", "4", "-j", str(jobs))
        assert done.returncode == 0, done.stderr.decode()
        assert b"cross-validated, at the threshold 0.5: better than" in done.stderr
    assert models[0].read_bytes() == models[1].read_bytes()
    answers = [run("predict", "-m", models[0], album, "-j", str(jobs)) for jobs in (1, 2)]
    scores = [run("eval", "-m", models[0], album, "-j", str(jobs), "-F", "json") for jobs in (1, 2)]
    for one, two in (answers, scores):
        assert one.returncode == two.returncode == 0, two.stderr.decode()
        assert one.stdout == two.stdout
    assert answers[0].stdout.count(b"\n") == 40
    assert json.loads(scores[0].stdout)["accuracy"] == 1.0


@needs_network
def test_predict_and_eval_agree_to_the_last_bit(album: Path, tmp_path: Path) -> None:
    fit = library.train(album, settings(jobs=2))
    files = sorted(album.rglob("*.png"))
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("path,label\n" + "".join(f"{file},{file.parent.name}\n" for file in files))
    alone = [p.probability for file in files for p in library.predict(fit.model, file)]
    for jobs in (1, 2):
        read = ReadOptions(jobs=jobs)
        together = [answer.probability for answer in library.predict(fit.model, files, read=read)]
        assert together == alone
        assert library.evaluate(fit.model, sheet, read=read).probabilities.tolist() == alone
    features = network_of(SIDE)
    rows = features.rows(np.stack([centre(file) for file in files]))
    z = rows.astype(np.float64) @ fit.model.w + fit.model.b
    assert_allclose(1 / (1 + np.exp(-z)), np.array(alone, np.float64), rtol=1e-9)


@needs_network
def test_a_model_of_pixels_is_compared_with_one_of_the_network(album: Path) -> None:
    network_model = library.train(album, settings()).model
    pixels = library.train(album, TrainSettings(read=ReadOptions(size=16))).model
    alone = [library.evaluate(model, album).probabilities for model in (network_model, pixels)]
    assert_array_equal(library.evaluate(network_model, album, against=pixels).probabilities, alone[0])
    assert_array_equal(library.evaluate(pixels, album, against=network_model).probabilities, alone[1])


@needs_network
def test_a_model_knows_its_training_pictures_again(album: Path) -> None:
    model = library.train(album, settings()).model
    assert len(library.evaluate(model, album).overlap) == 40


class Counting:
    """Counts the pictures that the network is run on, and the measurements of rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.encoded = 0
        self.measured: list[tuple[int, bool]] = []
        self.found: list[Standardisation] = []
        self.penalties: list[float] = []
        rows, measure = Network.rows, Standardisation.fit

        def counted(features: Network, images: Pixels, jobs: int = 1) -> NDArray[np.float16]:
            self.encoded += len(images)
            return rows(features, images, jobs)

        def recorded(rows: InMemory, one_scale: bool, used: NDArray[np.bool_]) -> Standardisation:
            self.measured.append((int(used.sum()), one_scale))
            self.found.append(measure(rows, one_scale, used))
            return self.found[-1]

        def noted(engine: Any, objective: Any, *arguments: Any, **options: Any) -> Any:
            self.penalties.append(objective.l2)
            return descending(engine, objective, *arguments, **options)

        monkeypatch.setattr(Network, "rows", counted)
        monkeypatch.setattr(Standardisation, "fit", recorded)
        monkeypatch.setattr(fitting, "descending", noted)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


@needs_network
def test_cross_validation_encodes_nothing_again_and_measures_each_fold(
    album: Path, counting: Counting
) -> None:
    fit = library.train(album, settings(cv=4, tune_threshold="f1", validation=0.2))
    assert counting.encoded == 40
    assert counting.measured == [(32, True), *[(24, True)] * 4]
    assert counting.penalties == [0.03 / 300] * 5
    assert fit.cv is not None
    assert len({found.deviation[0] for found in counting.found}) == 5
    assert all(len(set(found.deviation)) == 1 for found in counting.found)


def random_problem(m: int, **descent: Any) -> Problem:
    """Rows of halves, whatever they are of."""
    rng = np.random.default_rng(0)
    y = (np.arange(m) % 2).astype(np.float64)
    rows = (rng.standard_normal((m, 1280)) + 0.1 * y[:, None]).astype(np.float16)
    empty = InMemory(np.empty((0, SIDE, SIDE, 3), np.uint8))
    chosen = TrainSettings(DescentSettings(iterations=3, **descent), features="network")
    return Problem(empty, y, chosen, encoded=Encoded(network_of(SIDE), InMemory(rows)))


def test_each_fold_is_standardised_by_the_pictures_it_is_fitted_to(counting: Counting) -> None:
    problem = random_problem(100)
    everything = np.ones(100, dtype=bool)
    cross_validate(prepare(problem, everything), everything, 5)
    assert problem.encoded is not None
    rows = problem.encoded.rows[:].astype(np.float64)
    masks = [everything, *(rest for rest, _ in fitting._fold_masks(problem, everything, 5))]
    assert len(counting.found) == len(masks) == 6
    for found, mask in zip(counting.found, masks, strict=True):
        mean = rows[mask].mean(axis=0)
        assert_allclose(found.mean, mean, rtol=1e-12)
        scale = np.sqrt(((rows[mask] - mean) ** 2).sum(axis=1).mean())
        assert_allclose(found.deviation, scale, rtol=1e-6)
    assert counting.encoded == 0


@pytest.mark.parametrize("m", [40, 300, 400, 1000])
def test_the_penalty_is_that_of_the_pictures_of_each_fit(m: int, counting: Counting) -> None:
    problem, everything = random_problem(m), np.ones(m, dtype=bool)
    whole = prepare(problem, everything)
    cross_validate(whole, everything, 4)
    fitted = fitting.fit(whole, everything)
    assert fitted.l2 == pytest.approx(0.03 / max(m, 300), rel=1e-12)
    folds = pytest.approx(0.03 / max(0.75 * m, 300), rel=1e-12)
    assert counting.penalties == [folds, folds, folds, folds, fitted.l2]


def test_a_penalty_that_is_chosen_is_that_of_every_fit(counting: Counting) -> None:
    problem, everything = random_problem(400, l2=0.5), np.ones(400, dtype=bool)
    whole = prepare(problem, everything)
    cross_validate(whole, everything, 4)
    assert fitting.fit(whole, everything).l2 == 0.5
    assert counting.penalties == [0.5] * 5


@needs_network
def test_the_model_keeps_the_penalty(catclf: Runner, album: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.npz"
    for options, expected in (((), 1e-4), (("--l2", "0.25"), 0.25), (("--l2", "0"), 0.0)):
        trained = catclf("train", album, "-o", model, *map(str, SMALL), *options, "-f", "-F", "json")
        assert trained.code == 0, trained.err
        assert json.loads(trained.out)["l2"] == pytest.approx(expected, rel=1e-12)
        assert load(str(model)).training.l2 == pytest.approx(expected, rel=1e-12)
        assert load(str(model)).training.momentum == 0.9


@needs_network
def test_a_training_goes_on_from_a_model(catclf: Runner, album: Path, tmp_path: Path) -> None:
    whole, half, rest = (tmp_path / name for name in ("whole.npz", "half.npz", "rest.npz"))
    assert catclf("train", album, "-o", whole, *map(str, SMALL)).code == 0
    assert catclf("train", album, "-o", half, *map(str, SMALL), "-i", "5").code == 0
    resumed = catclf("train", album, "-o", rest, *map(str, SMALL), "--resume", half)
    assert resumed.code == 0, resumed.err
    expected, found = load(str(whole)), load(str(rest))
    assert found.training.stop_reason == expected.training.stop_reason == "gradient"
    assert found.training.cost == pytest.approx(expected.training.cost, rel=1e-2)
    refused = catclf("train", album, "-o", rest, *map(str, SMALL), "--resume", half, "--l2", "1", "-f")
    assert refused.code == 2
    assert "--l2 1.0: must be 9.999999999999999e-05, as in the model to resume" in refused.err


@needs_network
def test_other_data_is_encoded_to_validate_with(album: Path, tmp_path: Path, counting: Counting) -> None:
    other = class_folder(tmp_path / "other", m=18, size=16, seed=1)
    fit = library.train(album, settings(validation=other))
    assert counting.encoded == 58
    assert counting.measured == [(40, True)]
    assert fit.validation is not None
    assert (fit.m, fit.validation.n) == (40, 18)
    alone = library.train(album, settings())
    assert_allclose(alone.model.w, fit.model.w, rtol=1e-9, atol=1e-12)
    found = library.evaluate(fit.model, other).scores
    assert (found.accuracy, found.n) == (fit.validation.accuracy, 18)


@needs_network
@pytest.mark.parametrize("jobs", [1, 2])
def test_pictures_that_cannot_be_read_are_skipped_in_their_places(album: Path, jobs: int) -> None:
    broken = [album / "cat" / "05.png", album / "dog" / "00.png", album / "dog" / "38.png"]
    for path in broken:
        path.write_bytes(b"broken")
    fit = library.train(album, settings(jobs))
    assert {failure.path for failure in fit.skipped} == set(map(str, broken))
    assert (fit.m, fit.counts) == (37, {"cat": 19, "dog": 18})
    for path in broken:
        path.unlink()
    again = library.train(album, settings(jobs)).model
    assert_array_equal(fit.model.w, again.w)
    assert_array_equal(fit.model.fingerprints, again.fingerprints)
    broken[0].write_bytes(b"broken")
    with pytest.raises(DataError, match=r"05\.png"):
        library.train(album, replace(settings(jobs), read=ReadOptions(SIDE, jobs=jobs, on_error="fail")))


DEADLY = f"""
import os, signal, sys
from catclf.images.decode import Decoder
from catclf.work.processes import start_method
one, here = Decoder.one, os.getpid()
def deadly(self, picture):
    if picture.path.endswith("38.png"):
        assert os.getpid() != here
        os.kill(os.getpid(), signal.SIGKILL)
    return one(self, picture)
if start_method() == "fork":
    Decoder.one = deadly
from catclf.cli import main
sys.exit(main(["train", *sys.argv[1:], "--features", "network", "--size", "{SIDE}", "-j", "2"]))
"""


@needs_network
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_a_picture_that_no_worker_survives_is_skipped(album: Path, tmp_path: Path) -> None:
    deadly, found, expected = album / "dog" / "38.png", tmp_path / "a.npz", tmp_path / "b.npz"
    done = python(DEADLY, album, "-o", found)
    assert done.returncode == 0, done.stderr
    reason = "could not be decoded: a worker process that was given only this picture was killed"
    assert f"{deadly}: {reason}" in done.stderr, done.stderr
    deadly.unlink()
    assert run("train", album, "-o", expected, *map(str, SMALL)).returncode == 0
    assert found.read_bytes() == expected.read_bytes()


@needs_network
def test_pictures_of_an_hdf5_file_are_enlarged_whole(tmp_path: Path) -> None:
    data = course_h5(tmp_path / "a.h5", m=20, size=30)
    pixels, y = cats_and_dogs(20, 30)
    images = np.stack([viewed(picture, View(SIDE, **CENTRE)) for picture in pixels])
    fit = library.train(data, settings(jobs=2))
    assert (fit.m, fit.model.size) == (20, SIDE)
    row = network_of(SIDE).rows(images).astype(np.float64)
    expected = 1 / (1 + np.exp(-(row @ fit.model.w + fit.model.b)))
    assert_allclose(library.evaluate(fit.model, data).probabilities, expected, rtol=1e-9)
    assert_allclose(fit.model.predict_proba(pixels)[:, 1], expected, rtol=1e-9)
    assert ((expected > 0.5) == y).all()


@needs_network
def test_the_side_is_that_of_the_network_whatever_the_data_has(tmp_path: Path) -> None:
    data = course_h5(tmp_path / "a.h5", m=4, size=SIDE)
    assert library.train(data, TrainSettings(features="network")).model.size == 224
    assert library.train(data, settings()).model.size == SIDE


@needs_network
def test_oblong_pictures_of_an_hdf5_file_are_cut_to_their_centres(tmp_path: Path) -> None:
    pixels, y = noise(4, 40, 60, 3), [0, 1, 0, 1]
    names = [b"dog", b"cat"]
    whole = save_h5(tmp_path / "a.h5", a_set_x=pixels, a_set_y=y, list_classes=names)
    images = np.stack([viewed(picture, View(SIDE, **CENTRE)) for picture in pixels])
    cut = save_h5(tmp_path / "b.h5", a_set_x=images, a_set_y=y, list_classes=names)
    assert_array_equal(library.train(whole, settings()).model.w, library.train(cut, settings()).model.w)


@needs_network
@pytest.mark.parametrize("m", [12, 40])
def test_the_estimator_has_the_model_that_train_makes(tmp_path: Path, m: int) -> None:
    data = course_h5(tmp_path / "a.h5", m=m, size=SIDE)
    pixels, y = cats_and_dogs(m, SIDE)
    model = library.train(data, TrainSettings(features="network")).model
    assert model.features.settings()["shrink_to"] == SIDE
    ours = library.PictureClassifier(features="network").fit(pixels, y)
    assert_array_equal(ours.coef_[0], model.w)
    assert_allclose(ours.predict_proba(pixels), model.predict_proba(pixels), rtol=1e-9)


@needs_network
def test_progress_hears_of_the_pictures(album: Path) -> None:
    heard: list[tuple[str, int, int]] = []

    class Heard(Progress):
        def advanced(self, what: str, done: int, total: int) -> None:
            heard.append((what, done, total))

    library.train(album, settings(), progress=Heard())
    assert {what for what, _, _ in heard} == {"pictures encoded"}
    assert heard[-1] == ("pictures encoded", 40, 40)
    assert [done for _, done, _ in heard] == sorted({done for _, done, _ in heard})


# --- what is refused ---


@pytest.mark.parametrize("size", ["100", "64", "95", "97", "352", "1024"])
def test_a_side_that_the_network_is_not_run_at_is_refused(
    catclf: Runner, album: Path, tmp_path: Path, size: str
) -> None:
    result = catclf("train", album, "-o", tmp_path / "m.npz", "--features", "network", "--size", size)
    assert result.code == 2
    rule = "a multiple of 32 from 96 to 320 for network features"
    assert result.err == f"catclf: error: --size {size}: must be {rule}\n"
    with pytest.raises(ConfigError, match=f"size = {size}: must be {rule}"):
        network_of(int(size))


@needs_network
@pytest.mark.parametrize("size", range(96, 321, 32))
def test_the_other_sides_have_rows(size: int) -> None:
    assert network_of(size).rows(noise(1, size, size, 3)).shape == (1, 1280)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--flip"], "--flip True: cannot be used with network features"),
        (["--engine", "dask"], "--engine dask requires --scheduler"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_the_network_does_not_do_is_refused(
    catclf: Runner, album: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    result = catclf("train", album, "-o", tmp_path / "m.npz", "--features", "network", *options)
    assert result.code == 2
    assert said in result.err
    assert not (tmp_path / "m.npz").exists()


def made_model(path: Path) -> Path:
    """A model of network features that nobody has trained."""
    w = np.random.default_rng(0).normal(0, 0.01, 1280)
    save(Model(w, 0.0, network_of(SIDE), "cat", "dog"), str(path))
    return path


def without(monkeypatch: pytest.MonkeyPatch, names: Sequence[str]) -> None:
    find = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> ModuleSpec | None:
        if name in names:
            return None
        return ModuleSpec(name, None) if name in MODULES else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)


@pytest.mark.parametrize("missing", [MODULES, *((name,) for name in MODULES)], ids=", ".join)
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    catclf: Runner,
    album: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: tuple[str, ...],
) -> None:
    model = made_model(tmp_path / "m.npz")
    without(monkeypatch, missing)
    expected = f"network features need {', '.join(missing)}: pip install 'catclf[network]'"
    for command in (
        ("train", album, "-o", tmp_path / "new.npz", "--features", "network"),
        ("predict", "-m", model, album),
        ("eval", "-m", model, album),
    ):
        result = catclf(*command)
        assert (result.code, result.out) == (2, b"")
        assert result.err == f"catclf: error: {expected}\n"
    assert catclf("info", model).code == 0
    with pytest.raises(MissingExtraError) as error:
        library.load(model).predict_proba(album)
    assert str(error.value) == expected
    with pytest.raises(MissingExtraError):
        library.PictureClassifier(features="network").fit(*cats_and_dogs(8, SIDE))


def test_other_features_need_nothing_of_it(
    catclf: Runner, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, MODULES)
    model = tmp_path / "m.npz"
    assert catclf("train", album, "-o", model, "--size", "8", "-i", "5").code == 0
    assert catclf("predict", "-m", model, album, "-j", "1").code == 0


# --- alone in the world ---


UNPLUGGED = """
import os, socket, sys
def refused(*arguments, **options):
    raise OSError("no network in this test")
socket.socket = socket.create_connection = socket.getaddrinfo = refused
from catclf.cli import main
code = main(sys.argv[1:])
print("threads", len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 1)
sys.exit(code)
"""


def python(
    code: str, *arguments: str | Path, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own; None takes a variable out of its environment."""
    changed = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={name: value for name, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=60,
    )


def homes(tmp_path: Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    yield "unset", {"HOME": None, "XDG_CACHE_HOME": None}
    nowhere = os.path.join(os.devnull, "home")
    yield "cannot be written", {"HOME": nowhere, "XDG_CACHE_HOME": nowhere}
    (tmp_path / "home").mkdir()
    yield "stays empty", {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": None}


@needs_network
def test_no_network_and_no_home_are_needed_and_nothing_is_written(album: Path, tmp_path: Path) -> None:
    alone = {"ORT_DISABLE_TELEMETRY": None, "OPENBLAS_NUM_THREADS": "1"}
    models, answers = [], []
    for k, (kind, environment) in enumerate(homes(tmp_path)):
        environment |= alone
        model = tmp_path / f"{k}.npz"
        before = set(tmp_path.iterdir())
        jobs = (
            "2" if sys.platform == "linux" else "1"
        )  # elsewhere processes are started through a socket
        trained = python(
            UNPLUGGED, "train", album, "-o", model, *map(str, SMALL), "-j", jobs, **environment
        )
        assert trained.returncode == 0, (kind, trained.stderr)
        predicted = python(UNPLUGGED, "predict", "-m", model, album, "-j", "1", **environment)
        assert predicted.returncode == 0, (kind, predicted.stderr)
        assert predicted.stdout.endswith(
            "threads 1\n"
        )  # what reports to somebody has threads of its own
        assert set(tmp_path.iterdir()) - before == {model}
        models.append(model.read_bytes())
        answers.append(predicted.stdout)
    assert list((tmp_path / "home").rglob("*")) == []
    assert len(set(models)) == len(set(answers)) == 1


@needs_network
def test_the_package_of_the_weights_is_not_imported(album: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from catclf.cli import main; code = main(sys.argv[1:]);"
        f"print(code, sorted({set(MODULES) | {'torch'}} & set(sys.modules)))"
    )
    done = python(code, "train", album, "-o", tmp_path / "m.npz", *map(str, SMALL), "-j", "1")
    assert done.stdout == "0 ['onnx', 'onnxruntime']\n"


# --- the model file ---


@needs_network
def test_a_model_is_small_without_the_network(album: Path, tmp_path: Path) -> None:
    model = library.train(album, settings(cv=4, validation=0.25)).model
    save(replace(model, fingerprints=model.fingerprints[:0]), tmp_path / "m.npz")
    assert (tmp_path / "m.npz").stat().st_size < 60_000
    path = tmp_path / "long.npz"
    longest = DescentSettings(iterations=20_000, stop="none")
    long = library.train(album, settings(descent=longest, validation=0.25)).model
    save(replace(long, fingerprints=long.fingerprints[:0]), path)
    assert path.stat().st_size < 60_000


@needs_network
def test_info_names_the_network_its_licence_and_its_origin(catclf: Runner, tmp_path: Path) -> None:
    model = made_model(tmp_path / "m.npz")
    shown = catclf("info", model)
    assert shown.code == 0
    text = shown.out.decode()
    for fact in ("network", "EfficientNet-Lite0", "ImageNet", "Apache-2.0", lite0.SHA256, str(SIDE)):
        assert fact in text
    facts = json.loads(catclf("info", model, "-F", "json").out)
    assert facts["features"] == {
        "name": "network",
        "size": SIDE,
        "resize": SIDE,
        "squashed": False,
        "resample": "bicubic",
        "network": "EfficientNet-Lite0 (ImageNet; Apache-2.0)",
        "sha256": lite0.SHA256,
        "output": "map:mean",
        "n_x": 1280,
        "decoding": 1,
        "mean": [127.0] * 3,
        "deviation": [128.0] * 3,
    }
    drawn = catclf("info", model, "--weights", tmp_path / "w.png")
    assert drawn.code == 2
    assert "their weights are no picture" in drawn.err


@needs_network
def test_a_model_is_the_same_when_it_has_been_saved(tmp_path: Path) -> None:
    path = made_model(tmp_path / "m.npz")
    model = load(str(path))
    assert model.features == network_of(SIDE)
    save(model, str(tmp_path / "again.npz"))
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


@needs_network
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decoding", 2),
        ("network", "another"),
        ("output", "map:first"),
        ("n_x", 1281),
        ("squashed", True),
        ("resize", 128),
        ("resample", "bilinear"),
        ("mean", [0.0] * 3),
        ("deviation", [255.0] * 3),
    ],
)
def test_a_model_of_another_network_is_refused_by_name(
    catclf: Runner, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    usual = Encoder.settings
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "settings", lambda self: {**usual(self), name: value})
        model = made_model(tmp_path / "m.npz")
    reason = f"expected {name} = {network_of(SIDE).settings()[name]}, found {value!r}"
    with pytest.raises(ModelFileError) as refusal:
        load(str(model))
    assert reason in str(refusal.value)
    result = catclf("predict", "-m", model, album)
    assert (result.code, result.out) == (1, b"")
    assert reason in result.err


@needs_network
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": None}, "expected text for sha256, found None"),
        ({"sha256": "0123"}, "expected a sha256 of 64 hexadecimal digits, found '0123'"),
        ({"output": 1}, "expected text for output, found 1"),
        ({"size": None}, "expected a size of at least 1, found None"),
        ({"size": True}, "expected a size of at least 1, found True"),
        ({"size": "96"}, "expected a size of at least 1, found '96'"),
        ({"size": 96.0}, "expected a size of at least 1, found 96.0"),
        ({"size": 2000, "resize": 2000}, "expected a size of at most 1024, found 2000"),
        ({"size": 100, "resize": 100}, "size = 100: must be a multiple of 32"),
        ({"resize": 95}, "expected a resize of at least 96, found 95"),
        ({"squashed": 0}, "expected squashed to be true or false, found 0"),
        ({"resample": "magic"}, "expected resample to be one of nearest, lanczos"),
        ({"n_x": 10**6}, "expected a n_x of at most 100000, found 1000000"),
        ({"mean": [1.0, 2.0]}, "expected three numbers for mean"),
        ({"deviation": [1.0, 2.0, float("nan")]}, "expected three numbers for deviation"),
        ({"shrink_to": 0}, "expected a shrink_to of at least 1, found 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], reason: str) -> None:
    found = network_of(SIDE).settings()
    assert Network.restore(found, {}) == network_of(SIDE)
    with pytest.raises(ValueError, match=reason):
        Network.restore({**found, **change}, {})
    with pytest.raises(ValueError, match="expected no arrays"):
        Network.restore(found, {"map": np.zeros(3)})


def test_the_network_is_what_photographs_are_sent_to() -> None:
    assert FEATURES["pixels"].on_photographs == "network"
    kind = FEATURES["network"]
    assert (kind.size, kind.own_view, kind.one_scale, kind.learns, kind.mirrored) == (
        *(224, True, True, False, False),
    )


# --- photographs ---


@needs_network
def test_forty_photographs_are_enough_to_tell_cats_from_dogs(
    catclf: Runner, real_data: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.npz"
    for name, count in (("train", 20), ("test", 30)):
        for label in ("cats", "dogs"):
            files = sorted((real_data / "pets" / name / label).iterdir())[:count]
            (tmp_path / name / label).mkdir(parents=True)
            for file in files:
                (tmp_path / name / label / file.name).symlink_to(file)
    trained = catclf(
        "train", tmp_path / "train", "--positive", "cats", "--features", "network", "-o", model
    )
    assert trained.code == 0, trained.err
    scored = catclf("eval", "-m", model, tmp_path / "test", "-F", "json")
    facts = json.loads(scored.out)
    assert facts["n"] == 60
    assert facts["accuracy"] >= 0.9


@needs_network
def test_rows_beyond_the_budget_of_memory_are_kept_in_a_file(album: Path, tmp_path: Path) -> None:
    smaller = ReadOptions(size=int(SIDE), jobs=1)
    settings = TrainSettings(features="network", read=smaller, engine="stream", cv=3)
    (album / "cat" / "broken.png").write_bytes(b"no")
    whole = library.train(album, settings)
    little = replace(settings, read=replace(smaller, memory=100_000))
    with pytest.raises(DataError, match=r"has 41 pictures, whose rows need 0\.1 MB; raise memory"):
        library.train(album, little)
    spool = tmp_path / "m.npz.partial"
    fit = library.train(album, replace(little, spool=spool))
    assert not spool.exists()
    assert_array_equal(fit.model.w, whole.model.w)
    assert fit.cv == whole.cv
    assert fit.m == 40
    validated = library.train(album, replace(little, spool=spool, validation=album))
    assert validated.validation is not None
    assert validated.validation.n == 40
    with pytest.raises(ConfigError, match="the engine 'gram' needs all rows at once"):
        library.train(album, replace(little, spool=spool, engine="gram"))
