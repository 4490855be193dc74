"""A network in an ONNX file: found, read, and refused unless it is one that can be run by itself."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from catclf.config import LARGEST_SIZE
from catclf.errors import DataError, system_reason
from catclf.regular import open_regular

LARGEST_FILE = 2_000_000_000
"""In bytes; the format of ONNX ends at 2 GiB."""

_LARGEST_TENSOR = 500_000_000
"""Numbers in a constant or an output, as declared."""

# Of ONNX itself, and what ONNX Runtime has of its own, which many exported networks use.
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")

_CONFIG = "preprocessor_config.json"
_CHANNELS = 3


class Files(NamedTuple):
    """Where a network is.

    Attributes
    ----------
    network : str
    config : str or None
        ``preprocessor_config.json``, if there is one.
    name : str
        What to call the network.
    """

    network: str
    config: str | None
    name: str


class Input(NamedTuple):
    """The pictures that a network takes.

    Attributes
    ----------
    name : str
    dtype : str
        uint8, float16 or float32.
    channels_first : bool
        Whether it is (1, 3, side, side), or (1, side, side, 3).
    side : int or None
        None where any will do.
    """

    name: str
    dtype: str
    channels_first: bool
    side: int | None


def find(path: str) -> Files:
    """Find the network in a folder, or take the file itself; and what says how to prepare pictures.

    Raises
    ------
    DataError
        If a folder has none.
    """
    if not os.path.isdir(path):
        return Files(path, _config_of(path), os.path.basename(path))
    for name in ("model.onnx", os.path.join("onnx", "model.onnx")):
        file = os.path.join(path, name)
        if os.path.exists(file):
            folder = os.path.basename(os.path.abspath(path))
            return Files(file, _config_of(file), f"{folder}/{name}")
    raise DataError(path, "has no model.onnx, nor onnx/model.onnx")


def _config_of(network: str) -> str | None:
    """``preprocessor_config.json`` beside a network, or above it if its folder is called onnx."""
    folder = os.path.dirname(os.path.abspath(network))
    above = [os.path.dirname(folder)] if os.path.basename(folder) == "onnx" else []
    places = (os.path.join(place, _CONFIG) for place in (folder, *above))
    return next((place for place in places if os.path.lexists(place)), None)


def read(path: str, most: int = LARGEST_FILE) -> bytes:
    """Read a regular file of a bounded size.

    Raises
    ------
    DataError
        If it is none, or is larger.
    """
    try:
        handle, size = open_regular(path)
        with open(handle, "rb") as file:
            if size > most:
                raise DataError(path, f"has {size} bytes; {most} are the most that are read")
            return file.read(most)
    except (OSError, ValueError) as exc:
        raise DataError(path, system_reason(exc)) from exc


def sha256(data: bytes) -> str:
    """Hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def checked(data: bytes, channels_first: bool | None = None) -> Input:
    """Look at a network before it is run: it must be whole, and take pictures.

    Parameters
    ----------
    data : bytes
        Contents of the file.
    channels_first : bool or None
        Where the channels are if the file does not say so; None refuses such a file.

    Raises
    ------
    ValueError
        If it is not an ONNX file, would open other files or needs operators of somebody's own, or if
        its input is not one RGB picture; with what was found and expected.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as exc:  # the library of protocol buffers has its own
        raise ValueError("is not an ONNX network") from exc
    if not model.graph.node:
        raise ValueError("is not an ONNX network: it computes nothing")
    own = {(function.domain, function.name) for function in model.functions}
    for graph in _graphs(model):
        for node in graph.node:
            if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own:
                raise ValueError(f"needs the custom operator {node.domain}:{node.op_type}")
        for tensor in _tensors(graph):
            _check_tensor(tensor)
    return _input(model, channels_first)


def _graphs(model: Any) -> Iterator[Any]:
    """Yield the graph, those inside its nodes, and its functions, which have nodes too."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _tensors(graph: Any) -> Iterator[Any]:
    yield from getattr(graph, "initializer", ())  # functions have none
    sparse = [*getattr(graph, "sparse_initializer", ())]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            sparse += attribute.sparse_tensors
    for tensor in sparse:
        if math.prod(tensor.dims) > _LARGEST_TENSOR:
            raise ValueError(f"has a constant of {math.prod(tensor.dims)} numbers")
        yield from (tensor.values, tensor.indices)


def _check_tensor(tensor: Any) -> None:
    from onnx import TensorProto

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(
            f"keeps {tensor.name or 'a constant'} in another file; expected all of it in one:"
            " save it without external data"
        )
    if math.prod(tensor.dims) > _LARGEST_TENSOR:
        raise ValueError(f"has a constant of {math.prod(tensor.dims)} numbers")


def _input(model: Any, channels_first: bool | None) -> Input:
    from onnx import TensorProto

    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ValueError(f"has {len(inputs)} inputs ({names}); expected one, the picture")
    (value,) = inputs
    tensor = value.type.tensor_type
    kinds = {
        TensorProto.UINT8: "uint8",
        TensorProto.FLOAT16: "float16",
        TensorProto.FLOAT: "float32",
    }
    if tensor.elem_type not in kinds:
        found = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ValueError(f"takes {found} as {value.name}; expected uint8, float16 or float32")
    dims = tensor.shape.dim
    shown = "×".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims)
    refusal = ValueError(f"takes {shown or 'a number'}; expected 1×3×side×side or 1×side×side×3")
    if len(dims) != 4 or dims[0].dim_value not in (0, 1):  # 0 is: any
        raise refusal
    first = _channels_first([dim.dim_value for dim in dims], [dim.dim_param for dim in dims])
    first = channels_first if first is None else first
    if first is None:
        raise refusal
    channels, *sides = (dims[k].dim_value for k in ((1, 2, 3) if first else (3, 1, 2)))
    side = max(sides)
    if channels not in (0, _CHANNELS) or set(sides) - {0, side}:
        raise refusal
    if side > LARGEST_SIZE:
        raise ValueError(f"takes pictures of {side}×{side}; {LARGEST_SIZE} is the largest side")
    return Input(value.name, kinds[tensor.elem_type], first, side or None)


def _channels_first(sizes: list[int], names: list[str]) -> bool | None:
    """Where the three channels are, by their number or else by the name that exporters give it."""
    if (sizes[1] == _CHANNELS) != (sizes[3] == _CHANNELS):
        return sizes[1] == _CHANNELS
    named = ["channel" in name.lower() for name in names]
    return named[1] if named[1] != named[3] else None
