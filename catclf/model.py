"""What training leaves behind: w, b, features, classes; as an .npz in and out. Knows no engines."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from catclf import bounded_json
from catclf.atomic import replacing
from catclf.config import FEATURES, LARGEST_SIZE
from catclf.decoding import BEFORE, USUAL, Decoding
from catclf.errors import ConfigError, ModelFileError, OutputError, system_reason
from catclf.features import Features, FeaturesClass, view_of
from catclf.logistic import Vector, sigmoid
from catclf.printable import number_of
from catclf.provenance import Provenance
from catclf.regular import open_regular
from catclf.unusual import Usual
from catclf.view import View

FORMAT_VERSION = 1

HISTORY_COLUMNS = ("step", "cost", "gradient_norm", "validation_cost")

_SCORED = 16  # rows of a product
_FEATURE_PREFIX = "feature_"
_MOST_MEMBERS = 16
_LARGEST_FILE = 64_000_000  # w of pictures of LARGEST_SIZE takes 25 MB
_LARGEST_HEADER = 4096
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same model is the same bytes whenever it is saved


@dataclass(frozen=True, repr=False)
class Model:
    """A trained classifier.

    Attributes
    ----------
    w : (n_x,) float64
    b : float
        p = σ(wᵀx + b), x being the features as `features` makes them; any standardisation of the
        training is already part of w and b.
    features : Features
    positive, negative : str
        Names of the classes y = 1 and y = 0.
    threshold : float
        A picture is called positive when p ≥ threshold.
    training : Provenance
        How it was trained.
    decoding : Decoding
        By which rule files become pixels.
    fingerprints : (m,) uint64
        Of the pixels of every training picture, in the order of the data; see `catclf.fingerprints`.
    history : (k, 3) or (k, 4) float64
        `HISTORY_COLUMNS` of the recorded steps, the last one only where pictures were held out.
    usual : Usual or None
        What the training pictures are like, where the features can tell.
    """

    w: Vector
    b: float
    features: Features
    positive: str
    negative: str
    threshold: float = 0.5
    training: Provenance = field(default_factory=Provenance)
    decoding: Decoding = USUAL
    fingerprints: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    history: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, len(HISTORY_COLUMNS))))
    usual: Usual | None = None

    def __repr__(self) -> str:
        kind, m = self.features.kind.name, self.training.m
        trained = "" if m is None else f", trained on {number_of(m, 'picture')}"
        names = f"{self.positive!r} or {self.negative!r}"
        return f"<{type(self).__name__}: {names}, {kind} of {self.size}×{self.size}{trained}>"

    @property
    def size(self) -> int:
        """Side in pixels of the pictures that it takes."""
        return self.features.size

    @property
    def view(self) -> View:
        """What it sees of a picture."""
        return view_of(self.features)._replace(decoding=self.decoding)

    def scores(self, images: NDArray[np.uint8], jobs: int = 1) -> Vector:
        """z = wᵀx + b of each picture, (m,), from `images` (m, size, size, 3) uint8."""
        return self.scores_of(self.features.rows(images, jobs))

    def scores_of(self, rows: NDArray[Any]) -> Vector:
        """z = wᵀx + b (m,) of rows (m, n_x) that its features have made."""
        z = np.empty(len(rows))
        # By blocks: not all the bytes become floats at once. Of one height: the last bits of a product
        # depend on its shape, and a score must not depend on the pictures beside it.
        block = np.zeros((_SCORED, len(self.w)))
        for start in range(0, len(rows), _SCORED):
            some = rows[start : start + _SCORED]
            block[: len(some)] = some
            # subtle: unlike `@`, `dot` lets the other threads run, which decode the next pictures.
            z[start : start + _SCORED] = block.dot(self.w)[: len(some)]
        return z * self.features.scale + self.b

    def probabilities(self, images: NDArray[np.uint8], jobs: int = 1) -> Vector:
        """p of the positive class for each picture, (m,), from `images` (m, size, size, 3) uint8."""
        return sigmoid(self.scores(images, jobs))

    def with_prior(self, share: float) -> Self:
        """Correct for data in which this share of the pictures is positive, in (0, 1).

        If the classes look the same there and only their mixture differs, then by Bayes' rule the
        log-odds of every picture move by logit(share) − logit(share in training): a shift of b.

        Raises
        ------
        ConfigError
            If it is not a share, or the model does not say what it was in training.
        """
        before = self.training.positive_share
        if not 0 < share < 1:
            raise ConfigError("prior", share, "must be above 0 and below 1")
        if before is None or not 0 < before < 1:
            rule = "cannot be used: the model does not record the shares of its training data"
            raise ConfigError("prior", share, rule)
        shift = math.log(share / (1 - share)) - math.log(before / (1 - before))
        return replace(self, b=self.b + shift)

    def label(self, probability: float, threshold: float | None = None) -> str:
        """Name of the class that a probability stands for."""
        limit = self.threshold if threshold is None else threshold
        return self.positive if probability >= limit else self.negative


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`; the old file stays whole until the new one is.

    Raises
    ------
    OutputError
        If it cannot be written there, or is larger than what `load` reads.
    """
    path, members = os.fspath(path), _members(model)
    total = sum(array.nbytes + _LARGEST_HEADER for array in members.values())
    if total > _LARGEST_FILE:
        raise OutputError(path, f"would take {total} bytes; {_LARGEST_FILE} are the most that are read")
    with replacing(path) as file:
        _write_members(file, members)


def describe(model: Model) -> dict[str, Any]:
    """What there is to say of a model, as plain values ready for JSON."""
    facts = _meta(model) | {"decoding": model.decoding.to_dict()}
    training = facts.pop("training")
    numbers = {"n_x": len(model.w), "norm_w": float(np.linalg.norm(model.w)), "b": model.b}
    return {"format": FORMAT_VERSION, **facts, **numbers, "training": training}


def _meta(model: Model) -> dict[str, Any]:
    return {
        "positive": model.positive,
        "negative": model.negative,
        "threshold": model.threshold,
        "features": {"name": model.features.kind.name, **model.features.settings()},
        "training": model.training.to_dict(),
        # What says nothing is of an earlier version, and is the same bytes when it is saved again.
        **({} if model.decoding == BEFORE else {"decoding": model.decoding.to_dict()}),
    }


def _members(model: Model) -> dict[str, NDArray[Any]]:
    text = json.dumps(_meta(model), sort_keys=True, ensure_ascii=False, allow_nan=False)
    learned = model.features.arrays()
    return {
        "version": np.array(FORMAT_VERSION, dtype=np.int64),
        "w": model.w.reshape(-1, 1).astype("<f8"),
        "b": np.array(model.b, dtype="<f8"),
        "meta": np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8),
        "fingerprints": model.fingerprints.astype("<u8"),
        "history": model.history.astype("<f8"),
        **_usual_members(model.usual),
        **{_FEATURE_PREFIX + name: learned[name] for name in sorted(learned)},
    }


def _usual_members(usual: Usual | None) -> dict[str, NDArray[Any]]:
    if usual is None:
        return {}
    return {"usual_centres": usual.centres, "usual_least": np.array(usual.least, dtype="<f8")}


def _write_members(file: BinaryIO, members: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), buffer.getvalue())


def load(path: str) -> Model:
    """Read a model file.

    Nothing in it is run and no other file is opened; sizes are checked before data is read.

    Raises
    ------
    ModelFileError
        If it is not a model of this format, with what was expected and found.
    """
    is_archive = False
    try:
        handle, _ = open_regular(path)
        with open(handle, "rb") as file:
            is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
            members = _read_members(file)
        return _build(members)
    except OSError as exc:
        raise ModelFileError(path, system_reason(exc)) from exc
    except _NOT_A_MODEL as exc:
        is_damaged = is_archive and isinstance(exc, _DAMAGED)
        what = "is damaged" if is_damaged else "is not a catclf model"
        raise ModelFileError(path, f"{what} ({exc})") from exc


_ARCHIVE = b"PK\x03\x04"  # how a file of zipfile begins
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)

# What zipfile, zlib, NumPy and json raise for broken files. NotImplementedError is a RuntimeError.
_NOT_A_MODEL = (
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    SyntaxError,
    OverflowError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    *_DAMAGED,
)


def _read_members(file: BinaryIO) -> dict[str, NDArray[Any]]:
    members: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > _MOST_MEMBERS:
            raise ValueError(f"it has {len(entries)} members")
        total = sum(entry.file_size for entry in entries)
        if total > _LARGEST_FILE:
            raise ValueError(f"its members would take {total} bytes")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name in members or name == entry.filename:
                raise ValueError(f"unexpected member {entry.filename!r}")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"member {name!r} is compressed in an unexpected way")
            with archive.open(entry) as stream:
                members[name] = _read_array(name, stream, entry.file_size)
    return members


def _read_array(name: str, stream: IO[bytes], size: int) -> NDArray[Any]:
    """Read a member of `size` bytes; its data only once its header has been found good."""
    major, _ = np.lib.format.read_magic(stream)
    if major != 1:
        raise ValueError(f"member {name!r} has array format {major}; expected 1")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, _LARGEST_HEADER)
    if dtype.str not in ("<f8", "<f4", "|u1", "|i1", "<i8", "<u8"):
        raise ValueError(f"member {name!r} has dtype {dtype}")
    found = size - stream.tell()
    if len(shape) > 3 or found != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"member {name!r} has shape {shape} but {found} bytes")
    array = np.frombuffer(stream.read(), dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"member {name!r} has values that are not finite")
    return array


_USUAL = ("usual_centres", "usual_least")
_REQUIRED = ("version", "w", "b", "meta", "fingerprints", "history")


def _expect(members: Mapping[str, NDArray[Any]], name: str, dtype: str, dimensions: int) -> NDArray[Any]:
    array = members[name]
    if array.ndim != dimensions or array.dtype != np.dtype(dtype):
        wanted = f"{dimensions} dimensions of {np.dtype(dtype)}"
        raise ValueError(f"{name} is {array.shape} {array.dtype}; expected {wanted}")
    return array


def _history(members: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    history = _expect(members, "history", "f8", 2)
    if history.shape[1] not in (len(HISTORY_COLUMNS) - 1, len(HISTORY_COLUMNS)):
        raise ValueError(f"history is {history.shape}; expected 3 or 4 columns")
    return history


def _build(members: Mapping[str, NDArray[Any]]) -> Model:
    for name in _REQUIRED:
        if name not in members:
            raise ValueError(f"expected the members {', '.join(_REQUIRED)}; {name} is missing")
    for name in members:
        if name not in (*_REQUIRED, *_USUAL) and not name.startswith(_FEATURE_PREFIX):
            raise ValueError(f"unexpected member {name!r}")
    version = int(_expect(members, "version", "i8", 0))
    if version != FORMAT_VERSION:
        raise ValueError(f"its format is version {version}; expected {FORMAT_VERSION}")
    meta = _parse_meta(members["meta"])
    features = _restore_features(meta["features"], members)
    if features.size > LARGEST_SIZE:
        raise ValueError(f"it takes pictures of size {features.size}; expected at most {LARGEST_SIZE}")
    w = members["w"]
    if w.shape != (features.n_x, 1) or w.dtype != np.float64:
        raise ValueError(f"w is {w.shape} {w.dtype}; expected ({features.n_x}, 1) float64")
    return Model(
        w=w.reshape(-1).astype(np.float64),
        b=float(_expect(members, "b", "f8", 0)),
        features=features,
        positive=meta["positive"],
        negative=meta["negative"],
        threshold=float(meta["threshold"]),
        training=Provenance.from_dict(meta["training"]),
        decoding=Decoding.from_dict(meta["decoding"]) if "decoding" in meta else BEFORE,
        fingerprints=_expect(members, "fingerprints", "u8", 1),
        history=_history(members),
        usual=_usual(members, features.n_x),
    )


def _usual(members: Mapping[str, NDArray[Any]], n_x: int) -> Usual | None:
    if not any(name in members for name in _USUAL):
        return None
    for name in _USUAL:
        if name not in members:
            raise ValueError(f"expected the members {' and '.join(_USUAL)}; {name} is missing")
    centres = _expect(members, "usual_centres", "i1", 2)
    if not len(centres) or centres.shape[1] != n_x:
        raise ValueError(f"usual_centres is {centres.shape}; expected rows of {n_x} numbers")
    return Usual(centres, float(_expect(members, "usual_least", "f8", 0)))


def _parse_meta(array: NDArray[Any]) -> dict[str, Any]:
    kinds: dict[str, type | tuple[type, ...]] = {
        "features": dict,
        "positive": str,
        "negative": str,
        "threshold": (int, float),
        "training": dict,
    }
    meta = bounded_json.loads(array.tobytes().decode("utf-8", "surrogatepass"))
    if not isinstance(meta, dict):
        raise ValueError("meta is not a JSON object")
    for key, kind in kinds.items():
        if not isinstance(meta.get(key), kind) or isinstance(meta[key], bool):
            raise ValueError(f"meta has {key} = {meta.get(key)!r}")
    for key in ("positive", "negative"):
        os.fsencode(meta[key])  # a ValueError for what could never be shown, such as half a character
    if not 0 <= meta["threshold"] <= 1:
        raise ValueError(f"meta has threshold = {meta['threshold']!r}; expected 0 to 1")
    return meta


def _restore_features(settings: dict[str, Any], members: Mapping[str, NDArray[Any]]) -> Features:
    name = settings.get("name")
    if not isinstance(name, str) or name not in FEATURES:
        raise ValueError(f"expected features {' or '.join(FEATURES)}, found {name!r}")
    arrays = {
        key.removeprefix(_FEATURE_PREFIX): array
        for key, array in members.items()
        if key.startswith(_FEATURE_PREFIX)
    }
    code: FeaturesClass = FEATURES[name].load()
    return code.restore(settings, arrays)
