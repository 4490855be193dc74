"""EfficientNet-Lite0 as an ONNX graph, from the weights of a package. Runs nothing that a file says.

The weights are a pickle, the only one that is ever opened: after its SHA-256 has been found right, and
with an unpickler that knows four names and calls nothing of PyTorch. Architecture: Tan & Le 2019,
"EfficientNet: rethinking model scaling for convolutional neural networks"; its "lite" variant has ReLU6
and no squeeze and excitation. Trained on ImageNet; Apache-2.0.
"""

from __future__ import annotations

import collections
import hashlib
import io
import math
import pickle
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIZE = 18_826_032
"""Of the file, in bytes."""

FEATURES = 1280
PICTURES = "pictures"
"""Name of the input of its graph."""
MEAN, DEVIATION = 127.0, 128.0
"""A pixel x goes in as (x − MEAN) / DEVIATION."""

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the blocks
_EPSILON = 1e-3  # of the batch norms
_PROTOCOL = 1001  # of the legacy format: pickles, then the raw storages
_DTYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

Weights = dict[str, NDArray[Any]]


def read_weights(data: bytes) -> Weights:
    """Take the tensors out of the file.

    Raises
    ------
    ValueError
        If it is another file; nothing of it has been opened then.
    """
    found = hashlib.sha256(data).hexdigest()
    if len(data) != SIZE or found != SHA256:
        raise ValueError(
            f"expected {SIZE} bytes with the SHA-256 {SHA256}; found {len(data)} with {found}"
        )
    stream = io.BytesIO(data)
    magic, protocol, system, tensors, keys = (_Unpickler(stream).load() for _ in range(5))
    if protocol != _PROTOCOL or not system["little_endian"]:
        raise ValueError(f"unexpected format {magic:x}, {protocol}")
    storages: dict[str, NDArray[Any]] = {}
    dtypes = {storage[2]: _DTYPES[storage[1]] for storage, *_ in tensors.values()}
    for key in keys:
        (count,) = np.frombuffer(stream.read(8), "<i8")
        storages[key] = np.frombuffer(stream.read(int(count) * dtypes[key].itemsize), dtypes[key])
    return {name: _strided(storages, *tensor[:4]) for name, tensor in tensors.items()}


def _strided(
    storages: dict[str, NDArray[Any]], storage: Any, offset: int, shape: Any, strides: Any
) -> NDArray[Any]:
    """One tensor; 50 of them do not lie in C order."""
    flat = storages[storage[2]][offset:]
    if not shape:
        return flat[:1].reshape(())
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if last >= len(flat):
        raise ValueError("a tensor goes beyond its storage")
    bytes_ = tuple(step * flat.itemsize for step in strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, shape, bytes_, writeable=False))


class _Unpickler(pickle.Unpickler):
    """Makes plain tuples of tensors, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _as_tuple
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"unexpected {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _as_tuple(*parts: Any) -> tuple[Any, ...]:
    return parts


class Convolution(NamedTuple):
    """A convolution with its batch norm folded in.

    Attributes
    ----------
    weight : (out, in / groups, k, k) float32
    bias : (out,) float32
    stride, groups : int
    clipped : bool
        Whether max(0, min(6, ·)) follows.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int
    groups: int
    clipped: bool


def convolutions(weights: Weights) -> list[list[Convolution]]:
    """The network as blocks of convolutions; a block whose input and output have one shape is a residue.

    Padding is SAME as TensorFlow's: on the right and below where it cannot be equal.
    """
    stem = _folded(weights, "_conv_stem", "_bn0", stride=2)
    # (x − 127)/128 moves into the stem: its input is x − 127, since the border's zeros stand for 127.
    scaled = stem._replace(weight=(stem.weight / np.float32(DEVIATION)).astype(np.float32))
    blocks = [[scaled]]
    for k, stride in enumerate(_STRIDES):
        name = f"_blocks.{k}."
        block = []
        if f"{name}_expand_conv.weight" in weights:
            block.append(_folded(weights, f"{name}_expand_conv", f"{name}_bn0"))
        block.append(_folded(weights, f"{name}_depthwise_conv", f"{name}_bn1", stride, depthwise=True))
        block.append(_folded(weights, f"{name}_project_conv", f"{name}_bn2", clipped=False))
        blocks.append(block)
    return [*blocks, [_folded(weights, "_conv_head", "_bn1")]]


def _folded(
    weights: Weights,
    conv: str,
    norm: str,
    stride: int = 1,
    depthwise: bool = False,
    clipped: bool = True,
) -> Convolution:
    weight = weights[f"{conv}.weight"].astype(np.float64)
    gamma, beta, mean, variance = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gamma / np.sqrt(variance + _EPSILON)
    return Convolution(
        weight=(weight * factor[:, None, None, None]).astype(np.float32),
        bias=(beta - mean * factor).astype(np.float32),
        stride=stride,
        groups=len(weight) if depthwise else 1,
        clipped=clipped,
    )


def onnx_bytes(weights: Weights, side: int) -> bytes:
    """An ONNX model: pictures (1, side, side, 3) uint8 in, the map before the mean and its mean out."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = [
        helper.make_node("Cast", [PICTURES], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "mean"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["x"], perm=[0, 3, 1, 2]),
    ]
    constants: dict[str, Any] = {
        "mean": np.float32(MEAN),
        "zero": np.float32(0.0),
        "six": np.float32(6.0),
    }
    x, channels = "x", 3
    for k, block in enumerate(convolutions(weights)):
        begin, before = x, channels
        for j, conv in enumerate(block):
            name = f"b{k}c{j}"
            constants |= {f"{name}w": conv.weight, f"{name}b": conv.bias}
            nodes.append(
                helper.make_node(
                    "Conv",
                    [x, f"{name}w", f"{name}b"],
                    [name],
                    auto_pad="SAME_UPPER",
                    strides=[conv.stride] * 2,
                    group=conv.groups,
                )
            )
            x = name
            if conv.clipped:
                nodes.append(helper.make_node("Clip", [x, "zero", "six"], [f"{name}r"]))
                x = f"{name}r"
            channels = len(conv.weight)
        if before == channels and all(conv.stride == 1 for conv in block) and len(block) > 1:
            nodes.append(helper.make_node("Add", [x, begin], [f"b{k}"]))
            x = f"b{k}"
    places = math.ceil(side / 32)
    nodes.append(helper.make_node("Identity", [x], ["map"]))
    nodes.append(helper.make_node("ReduceMean", [x], ["rows"], axes=[2, 3], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info(PICTURES, TensorProto.UINT8, [1, side, side, 3])],
        [
            helper.make_tensor_value_info("rows", TensorProto.FLOAT, [1, FEATURES]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, FEATURES, places, places]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data
