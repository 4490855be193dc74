"""Builds an ONNX graph: nodes by name, the view of a picture, and another network inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.errors import ConfigError
from catclf.view import View

OPSET, IR_VERSION = 18, 9
"""The first operators with an antialiased Resize, and the first format that has them."""

PICTURE, PROBABILITY = "picture", "probability"

# Pillow's filters as attributes of Resize, which equals them but for a level here and there; without
# `exclude_outside` borders are up to 21 levels off. ONNX has none of the others.
_RESIZE: Mapping[str, Mapping[str, Any]] = {
    "bilinear": {"mode": "linear", "antialias": 1, "exclude_outside": 1},
    "bicubic": {"mode": "cubic", "antialias": 1, "exclude_outside": 1, "cubic_coeff_a": -0.5},
    "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
}


class Graph:
    """A graph from `PICTURE` (height, width, 3) uint8 of any size to `PROBABILITY` (1,) float32."""

    def __init__(self) -> None:
        self.opset = OPSET
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._functions: list[Any] = []
        self._imports: dict[str, int] = {}
        self._count = 0

    def constant(self, value: NDArray[Any]) -> str:
        """Add an array and return its name."""
        from onnx import numpy_helper

        name = self._name("constant")
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        name = self._name(operator.lower())
        self._nodes.append(helper.make_node(operator, [*inputs], [name], **attributes))
        return name

    def whole(self, *numbers: int) -> str:
        """Add whole numbers, (k,) int64."""
        return self.constant(np.array(numbers, np.int64))

    def cast(self, name: str, dtype: type[np.generic]) -> str:
        """Change the type of a tensor."""
        from onnx import helper

        return self.add("Cast", name, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def splice(self, network: bytes, source: str, output: str) -> str:
        """Put a network of one input inside, feed it, and return its output.

        Raises
        ------
        ValueError
            If it cannot be brought to operators of `OPSET` or later.
        """
        import onnx
        from onnx import compose, version_converter

        model = onnx.load_model_from_string(network)
        version = _version_of(model)
        if version < OPSET:
            try:
                model = version_converter.convert_version(model, OPSET)
            except Exception as exc:  # the converter has exceptions of its own
                reason = f"cannot be brought from ONNX operators {version} to {OPSET}"
                raise ValueError(reason) from exc
        prefix = f"{self._name('network')}/"
        model = compose.add_prefix(model, prefix)
        self.opset = max(self.opset, _version_of(model))
        self._imports |= {one.domain: one.version for one in model.opset_import if one.domain}
        constants = {tensor.name for tensor in model.graph.initializer}
        (taken,) = (value.name for value in model.graph.input if value.name not in constants)
        self._nodes.append(onnx.helper.make_node("Identity", [source], [taken]))
        self._nodes.extend(model.graph.node)
        self._constants.extend(model.graph.initializer)
        self._functions.extend(model.functions)
        return prefix + output

    def model(self, probability: str, facts: Mapping[str, str]) -> bytes:
        """Return the whole as the contents of a file, with facts for whoever runs it."""
        import onnx
        from onnx import TensorProto, checker, helper

        self._nodes.append(helper.make_node("Identity", [probability], [PROBABILITY]))
        graph = helper.make_graph(
            self._nodes,
            "catclf",
            [helper.make_tensor_value_info(PICTURE, TensorProto.UINT8, ["height", "width", 3])],
            [helper.make_tensor_value_info(PROBABILITY, TensorProto.FLOAT, [1])],
            self._constants,
        )
        opsets = [helper.make_opsetid(*one) for one in {"": self.opset, **self._imports}.items()]
        model = helper.make_model(
            graph,
            functions=self._functions,
            opset_imports=opsets,
            ir_version=max(IR_VERSION, helper.find_min_ir_version_for(opsets)),
            producer_name="catclf",
        )
        helper.set_model_props(model, dict(facts))
        checker.check_model(model)
        data: bytes = onnx.ModelProto.SerializeToString(model)
        return data

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{what}{self._count}"


def _version_of(model: Any) -> int:
    versions = (one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    version: int = max(versions, default=1)
    return version


def seen(graph: Graph, view: View) -> str:
    """Add what `catclf.images.decode` makes of a picture: (1, 3, side, side) float32, whole levels.

    Raises
    ------
    ConfigError
        If the view needs a filter that ONNX does not have.
    """
    if view.resample not in _RESIZE:
        rule = f"cannot be exported: ONNX has {', '.join(_RESIZE)}"
        raise ConfigError("resample", view.resample, rule)
    floats = graph.cast(PICTURE, np.float32)
    pixels = graph.add("Unsqueeze", graph.add("Transpose", floats, perm=[2, 0, 1]), graph.whole(0))
    size = graph.add("Slice", graph.add("Shape", pixels), graph.whole(2), graph.whole(4))
    if view.through is not None:
        size = _shrunk(graph, size, view.through)
        pixels = _resized(graph, pixels, size, view.resample)
    edge = view.edge or view.side
    if view.squashed:
        size = graph.whole(edge, edge)
    else:  # the shorter side becomes the edge
        shorter = graph.add("ReduceMin", size, graph.whole(0), keepdims=1)
        size = graph.add("Div", graph.add("Mul", size, graph.whole(edge)), shorter)
    pixels = _resized(graph, pixels, size, view.resample)
    if not view.cuts:
        return pixels
    first = graph.add("Div", graph.add("Sub", size, graph.whole(view.side)), graph.whole(2))
    last = graph.add("Add", first, graph.whole(view.side))
    return graph.add("Slice", pixels, first, last, graph.whole(2, 3))


def _shrunk(graph: Graph, size: str, through: int) -> str:
    """Height and width whose shorter side is `through`, or those that are if it is no longer."""
    shorter = graph.add("ReduceMin", size, graph.whole(0), keepdims=1)
    share = graph.add(
        "Div", graph.constant(np.array([through], np.float64)), graph.cast(shorter, np.float64)
    )
    rounded = graph.add("Round", graph.add("Mul", graph.cast(size, np.float64), share))
    is_larger = graph.add("Greater", shorter, graph.whole(through))
    return graph.add("Where", is_larger, graph.cast(rounded, np.int64), size)


def _resized(graph: Graph, pixels: str, size: str, resample: str) -> str:
    """Resize the width and then the height, as Pillow does, to whole levels each time."""
    size_before = graph.add("Slice", graph.add("Shape", pixels), graph.whole(2), graph.whole(3))
    width = graph.add("Slice", size, graph.whole(1), graph.whole(2))
    for height_and_width in (graph.add("Concat", size_before, width, axis=0), size):
        sizes = graph.add("Concat", graph.whole(1, 3), height_and_width, axis=0)
        resized = graph.add(
            "Resize",
            *(pixels, "", "", sizes),
            coordinate_transformation_mode="half_pixel",
            **_RESIZE[resample],
        )
        half, *limits = (graph.constant(np.array(one, np.float32)) for one in (0.5, 0.0, 255.0))
        rounded = graph.add("Floor", graph.add("Add", resized, half))  # Round would go to even numbers
        pixels = graph.add("Clip", rounded, *limits)
    return pixels
