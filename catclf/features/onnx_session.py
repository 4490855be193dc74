"""A network at work: ONNX Runtime, one picture at a time. The only module that knows ONNX Runtime."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.features.onnx_file import Input
from catclf.features.preprocessing import Three


class Session:
    """A network that is ready to run, with one thread.

    Parameters
    ----------
    model : bytes
        An ONNX file that has been checked.
    taken : Input
    mean, deviation : (red, green, blue) or None
        A pixel x goes in as (x − mean) / deviation, where the network does not take bytes.
    """

    def __init__(
        self, model: bytes, taken: Input, mean: Three | None = None, deviation: Three | None = None
    ) -> None:
        self.taken = taken
        self._mean = np.array(0.0 if mean is None else mean, np.float32)
        self._deviation = np.array(1.0 if deviation is None else deviation, np.float32)
        runtime = _onnxruntime()
        self._session = runtime.InferenceSession(model, options(), providers=["CPUExecutionProvider"])

    def run(self, picture: NDArray[np.uint8], *names: str) -> dict[str, Any]:
        """Outputs of a picture (side, side, 3) by name: those named, or all."""
        x: NDArray[Any] = picture
        if self.taken.dtype != "uint8":
            x = ((picture - self._mean) / self._deviation).astype(self.taken.dtype)
        if self.taken.channels_first:
            x = np.ascontiguousarray(x.transpose(2, 0, 1))
        wanted = [*names] or [output.name for output in self._session.get_outputs()]
        return dict(
            zip(wanted, self._session.run(wanted, {self.taken.name: x[np.newaxis]}), strict=True)
        )


_lock = threading.Lock()
_kept: dict[tuple[int, Hashable], Session] = {}


def kept(key: Hashable, make: Callable[[], Session]) -> Session:
    """Return this process's session, which its threads share; it is made at the first use.

    It has threads of its own, so it must not be there before a process is forked.
    """
    mine = (os.getpid(), key)
    with _lock:
        if mine not in _kept:
            _kept[mine] = make()
        return _kept[mine]


def options() -> Any:
    """Make the options of a session: one thread, full optimisation, no messages."""
    runtime = _onnxruntime()
    chosen = runtime.SessionOptions()
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    chosen.log_severity_level = 4
    # Full optimisation, the default, alone reaches the fast layout of convolutions.
    chosen.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return chosen


def _onnxruntime() -> Any:
    # subtle: from 1.29 on it writes to ~/.cache and reports to its maker, with threads of its own, if
    # this is not said before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
