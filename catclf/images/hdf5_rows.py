"""HDF5 files of rows of features, as `catclf pack --features` makes them. Read by `hdf5_child`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf import bounded_json
from catclf.config import FEATURES
from catclf.errors import DataError
from catclf.features import Features, FeaturesClass
from catclf.images.hdf5_channel import Hdf5Channel
from catclf.images.picture import Picture
from catclf.stores import Store
from catclf.stores.here import InMemory
from catclf.view import THUMBNAIL

_BLOCK_BYTES = 16_000_000
_LEARNED = "feature_"  # as `hdf5_child` and `hdf5_writer` have it
_LARGEST_LEARNED = 64_000_000  # bytes, of one array


class Hdf5Rows:
    """Rows (m, n_x) with what belongs to each, and the features that made them.

    Parameters
    ----------
    channel : Hdf5Channel
        Of an open file of rows.

    Attributes
    ----------
    features : Features
        Not at hand: where they are a network's, its file need not be there.

    Raises
    ------
    DataError
        If it does not say how its rows were made, or something is missing.
    """

    def __init__(self, channel: Hdf5Channel) -> None:
        self.path = channel.path
        self.decoding = channel.decoding
        self.labels, self.classes = channel.labels, channel.classes
        self._channel = channel
        try:
            self.m, n_x = channel.shape
            self._dtype = np.dtype(str(channel.structure["dtype"]))
            if self._dtype.str not in ("<f2", "<f4"):
                raise ValueError(self._dtype)
        except (ValueError, TypeError, KeyError) as exc:  # a file that has taken the child over
            raise channel.broken() from exc
        self.features = self._features()
        if self.features.n_x != n_x:
            reason = f"has rows of {n_x} numbers; its features have {self.features.n_x}"
            raise DataError(self.path, reason)

    def _features(self) -> Features:
        try:
            settings = bounded_json.loads(str(self._channel.structure["features"]))
            name = settings.pop("name")
            code: FeaturesClass = FEATURES[name].load()
            learned = [str(name) for name in self._channel.structure["learned"]]
            arrays = {name.removeprefix(_LEARNED): self._learned(name) for name in learned}
            return code.restore(settings, arrays)
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            reason = f"has rows of features that this version does not know ({exc})"
            raise DataError(self.path, reason) from exc

    def _learned(self, name: str) -> NDArray[Any]:
        array = self._empty(name)
        self._channel.read("learned", name, into=array)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite")
        return array

    def _empty(self, name: str) -> NDArray[Any]:
        found = self._channel.ask("kept", name)
        shape, dtype = tuple(map(int, found["shape"])), np.dtype(str(found["dtype"]))
        if dtype.kind not in "iuf" or int(np.prod(shape)) * dtype.itemsize > _LARGEST_LEARNED:
            raise ValueError(f"{name} is {shape} {dtype}")
        return np.empty(shape, dtype)

    @property
    def nbytes(self) -> int:
        """Memory that all rows would take."""
        return self.m * self.features.n_x * self._dtype.itemsize

    def rows(self, memory: int) -> Store:
        """All rows: in memory, or in the file where they take more than `memory`.

        Raises
        ------
        DataError
            If they are too many, and the file does not have them as they are.
        """
        stored = self._channel.stored((self.m, self.features.n_x), self._dtype)
        if self.nbytes > memory:
            if stored is None:
                raise DataError(self.path, "is compressed, and its rows take more memory than allowed")
            return stored
        if stored is not None:
            return InMemory(self._finite(stored[:]))
        return InMemory(np.concatenate([*self.blocks()]))

    def blocks(self, first: int = 0) -> Iterator[NDArray[Any]]:
        """Yield the rows (k, n_x) from one on, in order, some 16 MB at a time."""
        n_x = self.features.n_x
        many = max(1, _BLOCK_BYTES // (n_x * self._dtype.itemsize))
        for start in range(first, self.m, many):
            block = np.empty((min(many, self.m - start), n_x), self._dtype)
            self._channel.read("rows", start, start + len(block), into=block)
            yield self._finite(block)

    def pictures(self, first: int = 0, named: bool = False) -> Iterator[Picture]:
        """Yield them one by one, each with its thumbnail and fingerprint.

        They go by their places in the file or, if `named`, by the paths of the pictures.
        """
        k, paths = first, self.paths() if named else None
        for block in self.blocks(first):
            marks = self.marks(k, k + len(block))
            thumbnails = self.thumbnails(k, k + len(block))
            for row, mark, thumbnail in zip(block, marks.tolist(), thumbnails, strict=True):
                path = f"{self.path}[{k}]" if paths is None else paths[k]
                yield Picture(path, pixels=thumbnail, row=row, mark=mark)
                k += 1

    def _finite(self, rows: NDArray[Any]) -> NDArray[Any]:
        if not np.isfinite(rows).all():
            raise DataError(self.path, "has rows with numbers that are not finite")
        return rows

    def paths(self) -> tuple[str, ...]:
        """Where the pictures were when they were packed."""
        found: list[str] = []
        for start in range(0, self.m, _PATHS):
            answer = self._channel.ask("paths", start, min(start + _PATHS, self.m))
            found += map(str, answer["paths"])
        if len(found) != self.m:
            raise self._channel.broken()
        return tuple(found)

    def marks(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint64]:
        """Fingerprints (k,) of some pictures."""
        return self.besides("fingerprints", (), "<u8", start, stop).astype(np.uint64)

    def thumbnails(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Small pictures (k, 32, 32, 3) uint8."""
        return self.besides("thumbnails", (THUMBNAIL.side, THUMBNAIL.side, 3), "|u1", start, stop)

    def besides(
        self, name: str, shape: tuple[int, ...], dtype: str, start: int = 0, stop: int | None = None
    ) -> NDArray[Any]:
        """What there is of some pictures besides rows, (k, …); a DataError where it is missing."""
        stop = self.m if stop is None else stop
        found = self._channel.ask("kept", name)
        if found.get("shape") != [self.m, *shape] or found.get("dtype") != dtype:
            raise DataError(self.path, f"has no {name} of its pictures; pack them again")
        array = np.empty((stop - start, *shape), dtype)
        self._channel.read("each", name, start, stop, into=array)
        return array

    def check_features(self, wanted: Features) -> None:
        """Raise a DataError unless these rows are those of features that a model has.

        Raises
        ------
        DataError
            With what differs.
        """
        ours, theirs = self.features.kind.name, wanted.kind.name
        if ours != theirs:
            reason = f"has rows of {ours!r} features, but the model has {theirs!r}"
            raise DataError(self.path, reason)
        found, expected = self.features.settings(), wanted.settings()
        differs = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
        if differs:
            name = differs[0]
            ours = f"has rows of {ours} features with {name} = {_shown(found.get(name))}"
            theirs = f"the model was trained with {_shown(expected.get(name))}"
            raise DataError(self.path, f"{ours}, but {theirs}")
        one, other = self.features.arrays(), wanted.arrays()
        if any(not np.array_equal(one[name], other[name]) for name in one):
            raise DataError(
                self.path, f"has rows of {ours} features that were learned from other pictures"
            )


_PATHS = 10_000


def _shown(value: object) -> str:
    return f"{value[:16]}…" if isinstance(value, str) and len(value) > 40 else str(value)
