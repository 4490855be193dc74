"""The tool `export`: a model → an ONNX file, from a picture of any size to its probability."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from typing import cast

import numpy as np

import catclf
from catclf.atomic import replacing
from catclf.config import ReadOptions
from catclf.errors import ConfigError, MissingExtraError
from catclf.features import Exported
from catclf.features.onnx_graph import Graph, seen
from catclf.model import Model
from catclf.pipeline.scoring import loaded
from catclf.printable import number_of


@dataclass(frozen=True, repr=False)
class ExportedModel:
    """The result of `export`.

    Attributes
    ----------
    features : str
    size : int
        Side in pixels of what the model sees of a picture.
    file_size : int
        Bytes.
    """

    features: str
    size: int
    file_size: int

    def __repr__(self) -> str:
        size = f"{self.size}×{self.size}"
        return f"<ExportedModel: {self.features} of {size}, {number_of(self.file_size, 'byte')}>"


def export(
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    read: ReadOptions | None = None,
) -> ExportedModel:
    """Write a model as an ONNX file, which needs nothing of catclf.

    Its input `picture` is (height, width, 3) uint8, upright RGB in sRGB over white; its output
    `probability` is (1,) float32, that of the positive class. Cutting, resizing and scaling are inside.
    Its metadata has the names of the classes, the threshold, and how the model was made.

    Parameters
    ----------
    model : Model or path
    output : path
        It is replaced if it is there.
    read : ReadOptions or None
        Its `encoder` is the file of the network, if the model needs one.

    Returns
    -------
    ExportedModel

    Raises
    ------
    ConfigError
        If features of that kind, or with that filter, cannot be exported.
    DataError
        If the file of a network cannot be found, or cannot be put into another.
    MissingExtraError
        If a library is not installed.
    OutputError
        If the file cannot be written.
    """
    (model,) = loaded([model], None, read or ReadOptions())
    features = model.features
    if not features.kind.exported:
        raise ConfigError("features", features.kind.name, "cannot be exported")
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("exported models", ["onnx"], "export")
    graph = Graph()
    row = cast(Exported, features).export(graph, seen(graph, model.view))
    w = graph.constant((model.w * features.scale).astype(np.float32)[:, np.newaxis])  # (n_x, 1)
    b = graph.constant(np.array([model.b], np.float32))
    z = graph.add("Add", graph.add("Reshape", graph.add("MatMul", row, w), graph.whole(1)), b)
    data = graph.model(graph.add("Sigmoid", z), _facts(model))
    with replacing(os.fspath(output)) as file:
        file.write(data)
    return ExportedModel(features.kind.name, model.size, len(data))


def _facts(model: Model) -> dict[str, str]:
    return {
        "catclf": catclf.__version__,
        "positive": model.positive,
        "negative": model.negative,
        "threshold": repr(model.threshold),
        "features": json.dumps({"name": model.features.kind.name, **model.features.settings()}),
        "decoding": json.dumps(model.decoding.to_dict()),
        "training": json.dumps(model.training.to_dict()),
    }
