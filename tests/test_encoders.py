"""Networks of others: what is taken, what is obeyed, what a model remembers, and what is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

import catclf as library
from catclf.config import ReadOptions, TrainSettings
from catclf.errors import ConfigError, DataError
from catclf.features import encoder, onnx_file, onnx_output, preprocessing
from catclf.features.encoder import Encoder
from catclf.features.network import Network
from catclf.images.decode import viewed
from catclf.view import RESAMPLES, View
from tests.conftest import Runner, run
from tests.pictures import Pixels, class_folder, course_h5, noise, ramps, save_h5, save_picture

MISSING = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
if MISSING:
    pytest.skip(f"not installed: {', '.join(MISSING)}", allow_module_level=True)
package = pytest.mark.skipif(
    importlib.util.find_spec(encoder.PACKAGE) is None, reason=f"{encoder.PACKAGE} is not installed"
)

from onnx import TensorProto, helper, load_model, numpy_helper, save_model  # noqa: E402

SIDE, N_X = 32, 12
MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
CONFIG: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [*MEAN],
    "image_std": [*DEVIATION],
}


def kernel() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.3, (N_X, 3, 3, 3)).astype(np.float32)


def network(
    path: Path,
    dtype: int = TensorProto.UINT8,
    shape: tuple[int | str | None, ...] = (1, 3, SIDE, SIDE),
    outputs: tuple[str, ...] = ("row",),
    more: tuple[Any, ...] = (),
    domains: tuple[str, ...] = (),
    constants: tuple[Any, ...] = (),
) -> Path:
    """A convolution and ReLU ("map"), its mean over the places ("row"), and the places as "tokens"."""
    last = shape[3] == 3
    constant = {
        "k": kernel(),
        "scale": np.float32(255 if dtype == TensorProto.UINT8 else 1),
        "flat": np.array([1, N_X, -1]),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["cast", "scale"], ["scaled"]),
        helper.make_node(
            "Transpose", ["scaled"], ["first"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3]
        ),
        helper.make_node("Conv", ["first", "k"], ["conv"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["map"]),
        helper.make_node("ReduceMean", ["map"], ["row"], axes=[2, 3], keepdims=0),
        helper.make_node("Reshape", ["map", "flat"], ["by channel"]),
        helper.make_node("Transpose", ["by channel"], ["tokens"], perm=[0, 2, 1]),
        *more,
    ]
    graph = helper.make_graph(
        nodes,
        "made for a test",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [*(numpy_helper.from_array(np.asarray(v), name) for name, v in constant.items()), *constants],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def folder(path: Path, config: dict[str, Any] | str, **options: Any) -> Path:
    """A network in the layout of Hugging Face, with ``preprocessor_config.json``."""
    network(path / "model.onnx", **{"dtype": TensorProto.FLOAT, **options})
    text = config if isinstance(config, str) else json.dumps(config)
    (path / "preprocessor_config.json").write_text(text)
    return path


def expected_map(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """ReLU of the convolution of x (side, side, 3), in NumPy: (places, places, N_X)."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
    found: NDArray[np.float32] = np.einsum("ijcab,ncab->ijn", windows, kernel()).clip(0)
    return found


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return class_folder(tmp_path / "album", m=24, size=40)


def chosen(path: Path, size: int | None = None, output: str | None = None) -> Encoder:
    return encoder.chosen(str(path), size, output)


# --- input and output ---

INPUTS: dict[str, dict[str, Any]] = {
    "channels first": {},
    "channels last": {"shape": (1, SIDE, SIDE, 3)},
    "any number of pictures": {"shape": ("batch", 3, SIDE, SIDE)},
    "any side": {"shape": (1, 3, "height", "width")},
    "any side, channels last": {"shape": (None, None, None, 3)},
    "all free but named": {"shape": ("batch_size", "num_channels", "height", "width")},
}


@pytest.mark.parametrize("kind", INPUTS)
def test_bytes_go_in_as_the_network_takes_them(kind: str, tmp_path: Path) -> None:
    found = chosen(
        network(tmp_path / "a.onnx", **INPUTS[kind]), SIDE if "side" in kind or "all" in kind else None
    )
    picture = noise(SIDE, SIDE, 3, seed=3)
    expected = expected_map((picture / np.float32(255)).astype(np.float32)).mean(axis=(0, 1))
    assert_allclose(found.row(picture), expected, rtol=1e-4, atol=1e-6)
    assert (found.n_x, found.output, found.mean) == (N_X, "row", None)
    assert found.view == View(SIDE, squashed=False, resample="bicubic")


def test_a_network_of_any_side_is_run_at_224_unless_another_is_chosen(tmp_path: Path) -> None:
    path = network(tmp_path / "a.onnx", shape=(1, 3, None, None))
    assert chosen(path).view.side == 224
    assert chosen(path, 48).view.side == 48
    with pytest.raises(
        ConfigError, match="size = 48: cannot be chosen: the network takes pictures of 32×32"
    ):
        chosen(network(tmp_path / "b.onnx"), 48)


@pytest.mark.parametrize(
    ("outputs", "asked", "taken"),
    [
        (("row",), None, "row"),
        (("map",), None, "map:mean"),
        (("tokens",), None, "tokens:mean"),
        (("tokens",), "tokens", "tokens:mean"),
        (("tokens",), "tokens:first", "tokens:first"),
        (("tokens", "row", "map"), None, "row"),
        (("tokens", "row", "map"), "map", "map:mean"),
    ],
)
@pytest.mark.parametrize("shape", [(1, 3, SIDE, SIDE), (1, SIDE, SIDE, 3)])
def test_one_output_is_taken(
    tmp_path: Path,
    outputs: tuple[str, ...],
    asked: str | None,
    taken: str,
    shape: tuple[int, ...],
) -> None:
    found = chosen(network(tmp_path / "a.onnx", outputs=outputs, shape=shape), output=asked)
    picture = noise(SIDE, SIDE, 3, seed=4)
    places = expected_map((picture / np.float32(255)).astype(np.float32))
    assert found.output == taken
    expected = places[0, 0] if taken == "tokens:first" else places.mean(axis=(0, 1))
    assert_allclose(found.row(picture), expected, rtol=1e-4, atol=1e-6)
    mapped = found.map(picture)
    if taken == "map:mean":
        assert mapped is not None
        assert_allclose(mapped, places, rtol=1e-4, atol=1e-5)
    else:
        assert mapped is None


def test_channels_are_where_the_odd_length_is() -> None:
    raw = np.arange(2 * 3 * 3, dtype=np.float32).reshape(1, 2, 3, 3)
    for channels_first in (True, False):
        assert_array_equal(onnx_output.map_of(raw, channels_first), raw[0].transpose(1, 2, 0))
        last = np.ascontiguousarray(raw.transpose(0, 2, 3, 1))
        assert_array_equal(onnx_output.map_of(last, channels_first), last[0])
    cube = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3)
    assert_array_equal(onnx_output.map_of(cube, True), cube[0].transpose(1, 2, 0))
    assert_array_equal(onnx_output.map_of(cube, False), cube[0])


@pytest.mark.parametrize("asked", ["nothing", "row:first", "row:mean", "map:first", "", "map:"])
def test_an_output_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, asked: str) -> None:
    path = network(tmp_path / "a.onnx", outputs=("row", "map"))
    with pytest.raises(ConfigError, match=r"it has row \(1×12 float32\), map \(1×12×16×16 float32\)"):
        chosen(path, output=asked)


def test_of_several_outputs_that_could_be_meant_none_is_guessed(tmp_path: Path) -> None:
    path = network(tmp_path / "a.onnx", outputs=("tokens", "map"))
    with pytest.raises(ConfigError, match="encoder_output = None: must be one of the network's outputs"):
        chosen(path)


# --- the way of a picture, as preprocessor_config.json says ---


def two_steps(image: Image.Image, config: dict[str, Any]) -> Pixels:
    """Resize all of a picture, then cut out the centre, as the makers of such files do."""
    size, filter_ = config["size"], Image.Resampling(config["resample"])
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if "shortest_edge" in size:
        edge = size["shortest_edge"]
        if "crop_pct" in config:
            edge = int(edge / config["crop_pct"])
        short = min(image.size)
        wide, high = (int(edge * n / short) for n in image.size)
    else:
        wide, high = size["width"], size["height"]
    resized = image.resize((wide, high), filter_)
    crop = config.get(
        "crop_size", min(wide, high) if "crop_pct" not in config else size["shortest_edge"]
    )
    crop = crop["height"] if isinstance(crop, dict) else crop
    left, top = (wide - crop) // 2, (high - crop) // 2
    return np.asarray(resized.crop((left, top, left + crop, top + crop)))


WAYS: dict[str, dict[str, Any]] = {
    "both sides": {},
    "a number": {"size": 32},
    "squashed, then cut": {"size": {"height": 40, "width": 40}, "crop_size": 32, "do_center_crop": True},
    "shorter edge": {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    "shorter edge, then cut": {"size": {"shortest_edge": 37}, "crop_size": 32, "do_center_crop": True},
    "share": {"size": {"shortest_edge": 32}, "crop_pct": 0.875},
    **{f"filter {k}": {"size": {"shortest_edge": 36}, "crop_size": 32, "resample": k} for k in range(6)},
}


@pytest.mark.parametrize("shape", [(90, 151), (133, 70), (64, 64), (20, 31), (32, 32)])
@pytest.mark.parametrize("way", WAYS)
def test_a_picture_is_cut_and_resized_as_its_makers_do(way: str, shape: tuple[int, int]) -> None:
    config = {**CONFIG, **WAYS[way]}
    pixels = ramps(*shape) // 2 + noise(*shape, 3) // 4
    view = preprocessing.parse(json.dumps(config).encode()).view
    found = viewed(pixels, view)
    assert found.shape == (SIDE, SIDE, 3)
    assert np.abs(found - two_steps(Image.fromarray(pixels), config).astype(int)).max() <= 1
    assert view.resample == RESAMPLES[config["resample"]]


def test_a_large_share_means_a_square() -> None:
    config = {**CONFIG, "size": {"shortest_edge": 384}, "crop_pct": 1.0}
    assert preprocessing.parse(json.dumps(config).encode()).view == View(384, resample="bicubic")


NORMALISED: dict[str, tuple[dict[str, Any], float, tuple[float, ...], tuple[float, ...]]] = {
    "all of it": ({}, 1 / 255, MEAN, DEVIATION),
    "no flags": ({"do_rescale": None, "do_normalize": None}, 1 / 255, MEAN, DEVIATION),
    "another factor": ({"rescale_factor": 1 / 128}, 1 / 128, MEAN, DEVIATION),
    "no factor": ({"rescale_factor": None}, 1 / 255, MEAN, DEVIATION),
    "not rescaled": (
        {"do_rescale": False, "image_mean": [127] * 3, "image_std": [99] * 3},
        1,
        (127,) * 3,
        (99,) * 3,
    ),
    "not normalised": ({"do_normalize": False}, 1 / 255, (0, 0, 0), (1, 1, 1)),
    "neither": ({"do_normalize": False, "do_rescale": False}, 1, (0, 0, 0), (1, 1, 1)),
    "numbers for all": ({"image_mean": 0.5, "image_std": 0.25}, 1 / 255, (0.5,) * 3, (0.25,) * 3),
}


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("kind", NORMALISED)
def test_pixels_are_rescaled_and_normalised(kind: str, dtype: int, tmp_path: Path) -> None:
    change, factor, mean, deviation = NORMALISED[kind]
    config = {k: v for k, v in {**CONFIG, **change}.items() if v is not None}
    picture = noise(SIDE, SIDE, 3, seed=5)
    x = (picture * np.float32(factor) - np.array(mean, np.float32)) / np.array(deviation, np.float32)
    if dtype == TensorProto.FLOAT16:
        x = x.astype(np.float16).astype(np.float32)
    found = chosen(folder(tmp_path / "net", config, dtype=dtype)).row(picture)
    assert_allclose(found, expected_map(x.astype(np.float32)).mean(axis=(0, 1)), rtol=2e-3)


def test_the_file_above_a_folder_called_onnx_is_found_and_no_other(tmp_path: Path) -> None:
    network(tmp_path / "net" / "onnx" / "model.onnx", dtype=TensorProto.FLOAT)
    (tmp_path / "net" / "preprocessor_config.json").write_text(json.dumps(CONFIG))
    by_folder = chosen(tmp_path / "net")
    by_file = chosen(tmp_path / "net" / "onnx" / "model.onnx")
    assert by_folder.settings() == {**by_file.settings(), "network": "net/onnx/model.onnx"}
    shutil.move(tmp_path / "net" / "onnx", tmp_path / "net" / "other")
    with pytest.raises(DataError, match=r"expected preprocessor_config\.json beside it"):
        chosen(tmp_path / "net" / "other" / "model.onnx")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"do_pad": True}, "has do_pad = true, which is not supported"),
        ({"do_flip_channel_order": True}, "has do_flip_channel_order = true"),
        ({"rescale_offset": True}, "has rescale_offset = true"),
        ({"size_divisor": 32}, "has size_divisor = 32"),
        ({"do_resize": False}, "has do_resize = false, but pictures come in all sizes"),
        ({"size": {"longest_edge": 32}}, "expected a number, height and width, or shortest_edge"),
        ({"size": {"height": 32, "width": 48}}, "has the size 32×48; expected a square"),
        ({"size": {"shortest_edge": 32}}, "has a shortest_edge without a crop"),
        ({"size": {"shortest_edge": 30}, "crop_size": 32}, "crops 32×32 from pictures of 30"),
        ({"size": None}, "expected a size, found null"),
        ({"size": 0}, "expected a size from 1 to 1024, found 0"),
        ({"size": 32.5}, "expected a size, found 32.5"),
        ({"size": True}, "expected a size, found true"),
        (
            {"size": {"shortest_edge": 40}, "do_center_crop": True},
            "expected a crop_size from 1 to 1024, found null",
        ),
        ({"size": 40, "crop_size": 32}, "has a number as its size"),
        ({"size": {"shortest_edge": 32}, "crop_pct": 0}, "expected a crop_pct above 0"),
        ({"crop_pct": 0.9}, "has crop_pct with height and width"),
        ({"resample": None}, "expected resample to be one of 0 (nearest)"),
        ({"resample": 6}, "found 6"),
        ({"resample": "bicubic"}, 'found "bicubic"'),
        ({"image_mean": None}, "expected three numbers for image_mean, found null"),
        ({"image_std": [1, 2]}, "expected three numbers for image_std"),
        ({"image_std": [1, 0, 1]}, "expected an image_std above 0"),
        ({"image_mean": ["a", 1, 2]}, "expected three numbers for image_mean"),
        ({"rescale_factor": -1}, "expected a rescale_factor above 0"),
        ({"do_normalize": 1}, "expected do_normalize to be true or false, found 1"),
        ({"image_processor_type": "LevitImageProcessor"}, "whose resizing is not supported"),
    ],
)
def test_what_is_not_known_or_impossible_is_refused_by_name(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = folder(tmp_path / "net", {**CONFIG, **change})
    with pytest.raises(DataError) as refusal:
        chosen(path)
    assert refusal.value.path == str(path / "preprocessor_config.json")
    assert reason in refusal.value.reason


@pytest.mark.parametrize(
    ("name", "squashed"),
    [
        ("CLIPImageProcessor", False),
        ("BitImageProcessorFast", False),
        ("DeiTFeatureExtractor", True),
        (None, False),
    ],
)
def test_a_number_means_what_it_means_to_its_class(name: str | None, squashed: bool) -> None:
    config = {**CONFIG, "image_processor_type": name, "size": 40, "crop_size": 32}
    view = preprocessing.parse(json.dumps(config).encode()).view
    assert view == View(32, squashed=squashed, edge=40, resample="bicubic")


def test_what_changes_no_pixel_is_no_reason_to_refuse(tmp_path: Path) -> None:
    more = {"do_pad": False, "do_convert_rgb": True, "processor_class": "X", "size_divisor": None}
    assert chosen(folder(tmp_path / "net", {**CONFIG, **more})).n_x == N_X


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "{", '{"size": NaN}', "\0", "{" + " " * 2_000_000 + "}", "\xff"]
)
def test_a_broken_file_beside_it_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="preprocessor_config"):
        chosen(folder(tmp_path / "net", text))


def test_bytes_are_not_normalised_beforehand(tmp_path: Path) -> None:
    path = folder(tmp_path / "net", CONFIG, dtype=TensorProto.UINT8)
    with pytest.raises(DataError, match="the network beside it takes them as uint8"):
        chosen(path)
    plain = {**CONFIG, "do_rescale": False, "do_normalize": False}
    (path / "preprocessor_config.json").write_text(json.dumps(plain))
    assert chosen(path).view == View(SIDE, resample="bicubic")


def test_the_sides_of_both_files_must_be_the_same(tmp_path: Path) -> None:
    path = folder(tmp_path / "net", {**CONFIG, "size": 48})
    with pytest.raises(DataError, match=r"takes pictures of 32×32; .* makes them 48×48"):
        chosen(path)


# --- networks that are refused ---

Make = Callable[[Path], Any]


def node(*arguments: Any, **options: Any) -> Any:
    return helper.make_node(*arguments, **options)


def with_function(path: Path) -> None:
    """A custom operator inside a function of the file's own."""
    network(path, more=(node("Own", ["row"], ["y"], domain="mine"),), domains=("mine", "theirs"))
    model = load_model(path)
    inner = node("Foreign", ["a"], ["b"], domain="theirs")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("theirs", 1)]
    model.functions.append(helper.make_function("mine", "Own", ["a"], ["b"], [inner], opsets))
    save_model(model, path)


def branch(inner: Any, *constants: Any) -> Any:
    """An If with two branches of that node."""
    value = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    graphs = [helper.make_graph([inner], name, [], [value], [*constants]) for name in ("yes", "no")]
    true = numpy_helper.from_array(np.array(True), "true")
    return [true, node("If", ["true"], ["y"], then_branch=graphs[0], else_branch=graphs[1])]


def external(name: str) -> Any:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    return tensor


def in_branch(path: Path) -> None:
    true, choice = branch(node("Foreign", ["row"], ["z"], domain="theirs"))
    network(path, more=(choice,), constants=(true,), domains=("theirs",))


def external_in_branch(path: Path) -> None:
    true, choice = branch(node("Add", ["row", "far"], ["z"]), external("far"))
    network(path, more=(choice,), constants=(true,))


def sparse(path: Path) -> None:
    network(path)
    model = load_model(path)
    values = numpy_helper.from_array(np.ones(1, np.float32), "huge")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "at")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**6, 10**6]))
    save_model(model, path)


def huge(path: Path) -> None:
    network(path)
    model = load_model(path)
    model.graph.initializer[0].dims[:] = [10**5, 10**5, 3, 3]
    save_model(model, path)


def two_inputs(path: Path) -> None:
    network(path)
    model = load_model(path)
    model.graph.input.append(helper.make_tensor_value_info("words", TensorProto.INT64, [1, 8]))
    save_model(model, path)


def no_input(path: Path) -> None:
    network(path)
    model = load_model(path)
    del model.graph.input[:]
    save_model(model, path)


def no_nodes(path: Path) -> None:
    network(path)
    model = load_model(path)
    del model.graph.node[:]
    save_model(model, path)


def truncated(path: Path) -> None:
    data = network(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def infinite(path: Path) -> None:
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    network(path, outputs=("y",), more=(node("Div", ["row", "zero"], ["y"]),), constants=(zero,))


def large_numbers(path: Path) -> None:
    factor = numpy_helper.from_array(np.array(1e7, np.float32), "factor")
    network(path, outputs=("y",), more=(node("Mul", ["row", "factor"], ["y"]),), constants=(factor,))


def always_the_same(path: Path) -> None:
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    network(path, outputs=("y",), more=(node("Mul", ["row", "zero"], ["y"]),), constants=(zero,))


def of_changing_length(path: Path) -> None:
    """Only the numbers above a bound."""
    more = (
        node("Greater", ["row", "bound"], ["above"]),
        node("Flatten", ["above"], ["flat above"], axis=0),
        node("Squeeze", ["flat above", "zeroth"], ["which"]),
        node("Compress", ["row", "which"], ["y"], axis=1),
    )
    bound = numpy_helper.from_array(np.array(0.05, np.float32), "bound")
    network(
        path,
        outputs=("y",),
        more=more,
        constants=(bound, numpy_helper.from_array(np.array([0]), "zeroth")),
    )


def unknown_operator(path: Path) -> None:
    network(path, outputs=("y",), more=(node("NoSuchThing", ["row"], ["y"]),))


def integers(path: Path) -> None:
    network(path, outputs=("y",), more=(node("Cast", ["row"], ["y"], to=TensorProto.INT64),))
    model = load_model(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    save_model(model, path)


REFUSED: dict[str, tuple[Make, str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is not an ONNX network"),
    "text": (lambda path: path.write_text("hello"), "is not an ONNX network"),
    "truncated": (truncated, "is not an ONNX network"),
    "without nodes": (no_nodes, "is not an ONNX network: it computes nothing"),
    "missing": (lambda path: None, "no such file or directory"),
    "FIFO": (os.mkfifo, "is not a regular file"),
    "folder": (lambda path: path.mkdir(), "has no model.onnx, nor onnx/model.onnx"),
    "two inputs": (two_inputs, "has 2 inputs (x, words); expected one, the picture"),
    "no input": (no_input, "has 0 inputs (none); expected one, the picture"),
    "float input": (
        lambda path: network(path, dtype=TensorProto.FLOAT),
        "takes float32, but nothing says how",
    ),
    "int64 input": (
        lambda path: network(path, dtype=TensorProto.INT64),
        "takes int64 as x; expected uint8, float16 or float32",
    ),
    "double input": (
        lambda path: network(path, dtype=TensorProto.DOUBLE),
        "takes double as x; expected uint8",
    ),
    "two channels": (
        lambda path: network(path, shape=(1, 2, SIDE, SIDE)),
        "takes 1×2×32×32; expected 1×3×side×side",
    ),
    "four pictures": (
        lambda path: network(path, shape=(4, 3, SIDE, SIDE)),
        "takes 4×3×32×32; expected 1×3×side×side",
    ),
    "no square": (
        lambda path: network(path, shape=(1, 3, SIDE, 40)),
        "takes 1×3×32×40; expected 1×3×side×side",
    ),
    "nobody knows": (
        lambda path: network(path, shape=("a", "b", "c", "d")),
        "takes a×b×c×d; expected 1×3×side×side",
    ),
    "huge": (
        lambda path: network(path, shape=(1, 3, 10**6, 10**6)),
        "takes pictures of 1000000×1000000; 1024 is the largest side",
    ),
    "custom operator": (
        lambda path: network(
            path, more=(node("F", ["row"], ["y"], domain="my.ops"),), domains=("my.ops",)
        ),
        "needs the custom operator my.ops:F",
    ),
    "custom operator in a branch": (in_branch, "needs the custom operator theirs:Foreign"),
    "custom operator in a function": (with_function, "needs the custom operator theirs:Foreign"),
    "external data": (
        lambda path: network(path, constants=(external("far"),)),
        "keeps far in another file",
    ),
    "external data in a branch": (external_in_branch, "keeps far in another file"),
    "external data in an attribute": (
        lambda path: network(path, more=(node("Constant", [], ["y"], value=external("far")),)),
        "keeps far in another file",
    ),
    "sparse and huge": (sparse, "has a constant of 1000000000000 numbers"),
    "huge constant": (huge, "has a constant of 90000000000 numbers"),
    "unknown operator": (unknown_operator, "cannot be run by ONNX Runtime"),
    "infinite": (infinite, "gives numbers as y that are not finite or are beyond ±65504"),
    "large numbers": (large_numbers, "gives numbers as y that are not finite or are beyond ±65504"),
    "always the same": (always_the_same, "gives the same numbers as y for different pictures"),
    "of changing length": (of_changing_length, "expected as many for both"),
    "integers": (integers, "it has y (1×12 int64)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_networks_are_refused_with_what_was_found(
    kind: str, catclf: Runner, album: Path, tmp_path: Path
) -> None:
    make, reason = REFUSED[kind]
    path = tmp_path / "net.onnx"
    make(path)
    result = catclf("train", album, "-o", tmp_path / "m.npz", "--features", "network", "--encoder", path)
    assert result.code in (1, 2)
    assert reason in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "m.npz").exists()


def test_what_is_refused_unread_never_comes_to_onnx_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "Session", lambda *_: pytest.fail("it was opened"))
    for kind in (
        "external data",
        "external data in a branch",
        "custom operator",
        "huge constant",
        "sparse and huge",
    ):
        path = tmp_path / f"{kind}.onnx"
        REFUSED[kind][0](path)
        with pytest.raises(DataError):
            chosen(path)


def test_a_function_of_the_file_itself_is_no_custom_operator(tmp_path: Path) -> None:
    path = network(
        tmp_path / "a.onnx",
        outputs=("y",),
        more=(node("Twice", ["row"], ["y"], domain="mine"),),
        domains=("mine",),
    )
    model = load_model(path)
    twice = node("Add", ["a", "a"], ["b"])
    model.functions.append(
        helper.make_function("mine", "Twice", ["a"], ["b"], [twice], [helper.make_opsetid("", 17)])
    )
    save_model(model, path)
    picture = noise(SIDE, SIDE, 3)
    once = chosen(network(tmp_path / "b.onnx"))
    assert_allclose(chosen(path).row(picture), 2 * once.row(picture), rtol=1e-6)


def test_a_file_beyond_the_largest_is_not_read(tmp_path: Path) -> None:
    path = network(tmp_path / "a.onnx")
    size = path.stat().st_size
    assert onnx_file.read(str(path), most=size) == path.read_bytes()
    with pytest.raises(DataError, match=f"has {size} bytes; {size - 1} are the most that are read"):
        onnx_file.read(str(path), most=size - 1)


# --- what a model remembers ---


def test_all_tools_take_another_network_and_a_model_knows_it_again(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    net, model = folder(tmp_path / "net", CONFIG, outputs=("map",)), tmp_path / "m.npz"
    named = ("--encoder", net)
    trained = catclf(
        "train", album, "-o", model, "--features", "network", *named, "--cv", "4", "-F", "json"
    )
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["n_x"] == N_X
    assert json.loads(trained.out)["cv"]["accuracy"] == 1.0
    predicted = catclf("predict", "-m", model, album, *named)
    assert predicted.code == 0
    assert [line.split(b"\t")[1] for line in predicted.out.splitlines()] == [b"cat"] * 12 + [b"dog"] * 12
    scored = catclf("eval", "-m", model, album, *named, "-F", "json")
    assert json.loads(scored.out)["accuracy"] == 1.0
    data = (net / "model.onnx").read_bytes()
    facts = json.loads(catclf("info", model, "-F", "json").out)["features"]
    assert facts == {
        "name": "network",
        "network": "net/model.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "output": "map:mean",
        "n_x": N_X,
        "size": SIDE,
        "resize": SIDE,
        "squashed": True,
        "resample": "bicubic",
        "mean": pytest.approx([255 * mean for mean in MEAN]),
        "deviation": pytest.approx([255 * deviation for deviation in DEVIATION]),
        "decoding": 1,
    }
    assert str(tmp_path).encode() not in model.read_bytes()
    assert model.stat().st_size < 60_000


def test_bytes_are_the_same_on_one_core_and_on_two(album: Path, tmp_path: Path) -> None:
    net, models = folder(tmp_path / "net", CONFIG), [tmp_path / "1.npz", tmp_path / "2.npz"]
    for jobs, model in enumerate(models, 1):
        command = (
            "train",
            album,
            "-o",
            model,
            "--features",
            "network",
            "--encoder",
            net,
            "-j",
            str(jobs),
        )
        assert run(*command).returncode == 0
    assert models[0].read_bytes() == models[1].read_bytes()
    answers = [
        run("predict", "-m", models[0], album, "--encoder", net, "-j", jobs) for jobs in ("1", "2")
    ]
    assert answers[0].stdout == answers[1].stdout
    assert answers[0].stdout.count(b"\n") == 24


@pytest.fixture
def trained(album: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A network, and a model that was trained with it."""
    net, model = network(tmp_path / "mine.onnx"), tmp_path / "mine.npz"
    read = ReadOptions(encoder=net)
    library.save(library.train(album, TrainSettings(features="network", read=read)).model, model)
    return net, model


COMMANDS = (("predict",), ("eval",))


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_it_must_be_named_and_be_the_same(
    catclf: Runner, album: Path, trained: tuple[Path, Path], tmp_path: Path, command: tuple[str]
) -> None:
    net, model = trained
    begin = (*command, "-m", model, album)
    without = catclf(*begin)
    assert (without.code, without.out) == (1, b"")
    digest = hashlib.sha256(net.read_bytes()).hexdigest()[:16]
    assert without.err == (
        f"catclf: error: mine.onnx: is the network that the model was trained with (SHA-256 {digest}…),"
        " and is not stored in the model: name its file with --encoder\n"
    )
    other = network(tmp_path / "other.onnx", shape=(1, SIDE, SIDE, 3))
    wrong = catclf(*begin, "--encoder", other)
    found = hashlib.sha256(other.read_bytes()).hexdigest()[:16]
    assert (wrong.code, wrong.out) == (1, b"")
    assert f"{other}: is not the network that the model was trained with (SHA-256 {found}…)" in wrong.err
    assert f"mine.onnx (SHA-256 {digest}…)" in wrong.err
    moved = shutil.copy(net, tmp_path / "moved.onnx")
    assert catclf(*begin, "--encoder", moved).code == 0
    output = catclf(*begin, "--encoder", net, "--encoder-output", "map")
    assert output.code == 2
    assert "--encoder-output map: cannot be changed: the model was trained on row" in output.err


def test_the_environment_names_it_where_it_is_needed(
    catclf: Runner,
    album: Path,
    trained: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, model = trained
    monkeypatch.setenv("CATCLF_ENCODER", str(net))
    assert catclf("predict", "-m", model, album).code == 0
    assert catclf("eval", "-m", model, album).code == 0
    again = tmp_path / "again.npz"
    assert catclf("train", album, "-o", again, "--features", "network").code == 0
    assert again.read_bytes() == model.read_bytes()
    plain = tmp_path / "pixels.npz"
    assert catclf("train", album, "-o", plain, "--size", "8", "-i", "5").code == 0
    assert catclf("predict", "-m", plain, album).code == 0
    monkeypatch.setenv("CATCLF_ENCODER", str(tmp_path / "missing"))
    assert catclf("predict", "-m", plain, album).code == 0
    assert catclf("predict", "-m", model, album).code == 1
    assert catclf("predict", "-m", model, album, "--encoder", net).code == 0


def test_features_without_a_network_refuse_one(
    catclf: Runner, album: Path, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    net, _ = trained
    plain = tmp_path / "pixels.npz"
    refused = catclf("train", album, "-o", plain, "--encoder", net)
    assert refused.code == 2
    assert f"--encoder {net}: cannot be used with pixels features" in refused.err
    assert catclf("train", album, "-o", plain, "--size", "8", "-i", "5").code == 0
    for command in ("predict", "eval"):
        result = catclf(command, "-m", plain, album, "--encoder", net)
        assert (result.code, result.out) == (2, b"")
        assert "--encoder" in result.err
        assert "the model's features need no network" in result.err


@package
def test_the_built_in_network_is_found_by_itself_or_taken_from_a_copy_of_its_file(
    catclf: Runner,
    album: Path,
    trained: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, other = trained
    model, copied = tmp_path / "built-in.npz", tmp_path / "copied.npz"
    options = ("--features", "network", "--size", "96")
    assert catclf("train", album, "-o", model, *options).code == 0
    copy = shutil.copy(encoder.weights_path(), tmp_path / "weights.bin")
    assert catclf("train", album, "-o", copied, *options, "--encoder", copy).code == 0
    assert copied.read_bytes() == model.read_bytes()
    wrong = catclf("predict", "-m", model, album, "--encoder", net)
    assert wrong.code == 1
    assert "is not the network that the model was trained with" in wrong.err
    monkeypatch.setenv("CATCLF_ENCODER", str(net))
    assert catclf("predict", "-m", model, album).code == 0
    both = catclf("eval", "-m", model, "--against", other, album, "-F", "json")
    assert both.code == 0, both.err
    assert json.loads(both.out)["accuracy"] == 1.0
    # Where the package cannot be had any more its file does.
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == encoder.PACKAGE else find(name, *a)
    )
    gone = catclf("predict", "-m", model, album, "--encoder", copy)
    assert gone.code == 0
    monkeypatch.setenv("CATCLF_ENCODER", str(copy))
    assert catclf("predict", "-m", model, album).out == gone.out


def test_going_on_takes_the_same_network(
    catclf: Runner, album: Path, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    net, model = trained
    begin = ("train", album, "--features", "network", "--resume", model, "-o", tmp_path / "more.npz")
    assert catclf(*begin, "--encoder", net, "--l2", "0.0001").code == 0
    other = network(tmp_path / "other.onnx", shape=(1, SIDE, SIDE, 3))
    refused = catclf(*begin, "-f", "--encoder", other)
    assert refused.code == 2
    assert "as in the model to resume" in refused.err


# --- small pictures ---


def rows_of(model: library.Model, pixels: Pixels) -> NDArray[np.float16]:
    features = model.features
    assert isinstance(features, Network)
    return features.rows(viewed(pixels, features.view)[np.newaxis])


def test_a_model_of_small_pictures_shrinks_larger_ones_to_their_size_first(
    catclf: Runner, tmp_path: Path
) -> None:
    net, data = network(tmp_path / "a.onnx"), course_h5(tmp_path / "small.h5", m=24, size=20)
    model = tmp_path / "m.npz"
    trained = catclf("train", data, "-o", model, "--features", "network", "--encoder", net)
    assert trained.code == 0
    assert (
        "24 of 24 pictures are smaller than 32×32 and are enlarged;"
        " the model shrinks larger ones to 20×20 first" in trained.err
    )
    assert json.loads(catclf("info", model, "-F", "json").out)["features"]["shrink_to"] == 20
    scored = catclf("eval", "-m", model, data, "--encoder", net)
    assert "smaller" not in scored.err
    read = ReadOptions(encoder=net)
    photo, small = ramps(200, 200), ramps(200, 200)
    by_hand = np.asarray(Image.fromarray(small).resize((20, 20), Image.Resampling.BICUBIC))
    alone = library.load(model).predict_proba([photo, by_hand], read=read)[:, 1]
    assert alone[0] == alone[1]
    smaller = library.load(model).predict_proba([photo[:19, :19]], read=read)
    assert smaller.shape == (1, 2)


def test_pictures_of_many_sizes_are_not_remembered(catclf: Runner, album: Path, tmp_path: Path) -> None:
    net, model = network(tmp_path / "a.onnx"), tmp_path / "m.npz"
    for k in range(3):
        save_picture(album / "cat" / f"small{k}.png", noise(10, 12, 3, seed=k))
    trained = catclf("train", album, "-o", model, "--features", "network", "--encoder", net)
    assert "3 of 27 pictures are smaller than 32×32 and are enlarged\n" in trained.err
    assert "shrink_to" not in json.loads(catclf("info", model, "-F", "json").out)["features"]
    few = catclf("predict", "-m", model, album, "--encoder", net)
    assert "smaller" not in few.err
    small = save_h5(tmp_path / "x.h5", a_set_x=noise(5, 16, 16, 3))
    many = catclf("predict", "-m", model, small, "--encoder", net)
    assert many.code == 0
    assert "warning: 5 of 5 pictures are smaller than 32×32 and were enlarged" in many.err


def test_a_picture_has_the_same_row_in_training_and_in_prediction(album: Path, tmp_path: Path) -> None:
    net = network(tmp_path / "a.onnx")
    read = ReadOptions(encoder=net)
    model = library.train(album, TrainSettings(features="network", read=read)).model
    scored = library.evaluate(model, album, read=read)
    z = [
        float(
            rows_of(model_at(model, net), np.asarray(Image.open(p)))[0].astype(float) @ model.w + model.b
        )
        for p in scored.paths
    ]
    assert_allclose(np.log(scored.probabilities / (1 - scored.probabilities)), z, rtol=1e-6)


def model_at(model: library.Model, net: Path) -> library.Model:
    from dataclasses import replace

    assert isinstance(model.features, Network)
    return replace(model, features=model.features.at_hand(ReadOptions(encoder=net)))


# --- explanation ---


def test_places_and_the_rest_add_up_to_z(catclf: Runner, album: Path, tmp_path: Path) -> None:
    net, model = network(tmp_path / "a.onnx", outputs=("map",)), tmp_path / "m.npz"
    assert catclf("train", album, "-o", model, "--features", "network", "--encoder", net).code == 0
    loaded = model_at(library.load(model), net)
    assert isinstance(loaded.features, Network)
    assert loaded.training.w_mean is not None
    picture = noise(SIDE, SIDE, 3)
    places = loaded.features.contributions(loaded.w, picture, loaded.training.w_mean)
    assert places.shape == (16, 16)
    z = loaded.scores(picture[np.newaxis])[0]
    assert places.sum() + loaded.training.w_mean + loaded.b == pytest.approx(z, rel=1e-3)
    # The mean picture of the training says nothing at any place in the sum.
    means = [
        loaded.features.rows(viewed(np.asarray(Image.open(p)), loaded.features.view)[None])[0]
        for p in sorted(album.rglob("*.png"))
    ]
    assert np.mean(means, axis=0, dtype=float) @ loaded.w == pytest.approx(
        loaded.training.w_mean, rel=1e-4
    )
    why = tmp_path / "why"
    assert catclf("predict", "-m", model, album / "cat", "--encoder", net, "--explain", why).code == 0
    drawn = [np.asarray(Image.open(path)) for path in sorted(why.iterdir())]
    assert len(drawn) == 12
    height, width = drawn[0].shape[:2]
    line = 24  # one of words above, three below
    side = height - 4 * line
    assert width == 2 * side + 12
    below = drawn[0][line : line + side].astype(int)
    left, right = below[:, :side], below[:, -side:]
    assert_array_equal(
        left,
        viewed(np.asarray(Image.open(album / "cat" / "01.png")), loaded.features.view)
        .repeat(side // SIDE, 0)
        .repeat(side // SIDE, 1),
    )
    assert np.abs(left - right).max() > 50  # what matters is coloured
    assert (left == right).all(axis=2).any()  # what does not is left as it is


def test_an_output_without_places_is_not_explained(
    catclf: Runner, album: Path, trained: tuple[Path, Path], tmp_path: Path
) -> None:
    net, model = trained
    result = catclf("predict", "-m", model, album, "--encoder", net, "--explain", tmp_path / "why")
    assert (result.code, result.out) == (2, b"")
    assert "this output has no places" in result.err
    assert not (tmp_path / "why").exists()


# --- few pictures ---


def trained_on(catclf: Runner, tmp_path: Path, net: Path, cats: int, dogs: int) -> str:
    data = tmp_path / f"{cats}-{dogs}"
    pixels = {"cat": noise(cats, 40, 40, 3, seed=1), "dog": noise(dogs, 40, 40, 3, seed=2) // 2}
    for name, pictures in pixels.items():
        for k, picture in enumerate(pictures):
            save_picture(data / name / f"{k}.png", picture)
    options = ("--features", "network", "--encoder", net)
    result = catclf("train", data, "-o", tmp_path / f"{cats}-{dogs}.npz", *options)
    assert result.code == 0
    return result.err


def test_few_pictures_come_with_what_to_expect(catclf: Runner, tmp_path: Path) -> None:
    net = network(tmp_path / "a.onnx")
    one = trained_on(catclf, tmp_path, net, 1, 1)
    got = "the package's network got 80% of other photographs of cats and dogs right"
    assert f"with 1 picture per class, {got}" in one
    some = trained_on(catclf, tmp_path, net, 5, 9)
    assert "with 4 pictures per class, the package's network got 97%" in some
    assert "--prior" not in some
    unequal = trained_on(catclf, tmp_path, net, 20, 4)
    assert "'dog' has far fewer pictures than 'cat', so many of its kind will be called 'cat'" in unequal
    assert "--prior 0.5 of predict and eval corrects for that" in unequal
    enough = trained_on(catclf, tmp_path, net, 10, 30)
    assert "a class the" not in enough
    assert "--prior" not in enough


def test_arrays_of_any_size_are_pictures_of_an_estimator(album: Path) -> None:
    pytest.importorskip(encoder.PACKAGE)
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(album.rglob("*.png"))])[6:18]
    labels = ["cat"] * 6 + ["dog"] * 6
    fitted = library.PictureClassifier(features="network").fit(pixels, labels)
    assert fitted.predict(pixels).tolist() == labels
    with pytest.raises(ConfigError, match="cannot be used with network features"):
        library.PictureClassifier(features="network", flip=True).fit(pixels, labels)


@pytest.mark.parametrize("name", ["encoder", "encoder_output"])
def test_settings_of_other_features_have_no_network(name: str) -> None:
    read = ReadOptions(**{name: "x"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"{name} = 'x': cannot be used with patches features"):
        TrainSettings(features="patches", read=read)
    assert TrainSettings(features="network", read=read).read is read
