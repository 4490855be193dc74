"""The program that reads an HDF5 file in a child process. Only `hdf5_writer` knows h5py as well.

It imports nothing of catclf, so that it can be run by its path. The HDF5 library can be made to crash,
to hang, to use any amount of memory and to open other files; here that costs this process alone.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import json
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

ALLOWED_FILTERS = {
    1: "gzip",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scaleoffset",
    32000: "lzf",
}
"""The filters that are part of HDF5 and h5py; every other one would be a plug-in."""

MOST_EXPANSION = 1100
"""Bytes that one stored byte can stand for: deflate, the best of the filters, reaches 1032."""

MOST_CLASSES = 10_000
MOST_NAMES_SHOWN = 12
MOST_TEXT = 10_000

LEARNED = "feature_"
"""Beginning of the names of arrays that features have learned."""

Answer = tuple[dict[str, Any], bytes | memoryview]


class _RefusedError(Exception):
    """A reason of our own for not reading a file; the `setting` that would help follows it."""

    def __init__(self, reason: str, setting: str | None = None) -> None:
        super().__init__(reason)
        self.setting = setting


class _Reader:
    """What may be asked of any file that we know: labels, classes, and where the items lie.

    Parameters
    ----------
    file : h5py.File
    x : h5py.Dataset
        The items: pictures or rows.
    m : int
        Their number.
    y_key : str or None
        Name of the data set of labels, where it is not the only ``*_set_y``.
    plain : bool
        Whether items are stored as they are given out.
    """

    _labels_end = "_set_y"

    def __init__(self, file: h5py.File, x: h5py.Dataset, m: int, y_key: str | None, plain: bool) -> None:
        self._file, self._x, self._m, self._y_key, self._plain = file, x, m, y_key, plain

    def _text(self, name: str) -> str | None:
        """An attribute of the file, if it is a text of reasonable length."""
        found = self._file.attrs.get(name)
        return found if isinstance(found, str) and len(found) <= MOST_TEXT else None

    def together(self) -> Answer:
        """Number of items that lie together as plain bytes; None if they do not."""
        x, created = self._x, self._x.id.get_create_plist()
        plain = self._plain and not created.get_nfilters()
        whole = x.chunks is None or x.chunks[1:] == x.shape[1:]
        moved = self._file.userblock_size > 0
        count = x.shape[0] if x.chunks is None else x.chunks[0]
        return {"together": count if plain and whole and not moved else None}, b""

    def offsets(self) -> Answer:
        """Where in the file each group of items begins, as little-endian int64; -1 if nowhere."""
        x, m = self._x, self._x.shape[0]
        if x.chunks is None:
            where = x.id.get_offset()
            return {"bytes": 8}, np.array([-1 if where is None else where], "<i8").tobytes()
        offsets = np.full(-(-m // x.chunks[0]), -1, "<i8")

        def note(chunk: Any) -> None:
            offsets[chunk.chunk_offset[0] // x.chunks[0]] = chunk.byte_offset

        x.id.chunk_iter(note)
        return {"bytes": offsets.nbytes}, offsets.tobytes()

    def labels(self) -> Answer:
        """Class numbers, one a picture, as little-endian int64."""
        m, y = self._m, _dataset(self._file, self._y_key, self._labels_end, "y_key")
        if y.dtype.kind not in "iub" or y.shape not in ((m,), (1, m), (m, 1), *([()] if m == 1 else [])):
            found = f"{y.shape} {y.dtype}"
            raise _RefusedError(f"{y.name} is {found}; expected ({m},) integers")
        _check_storage(y)
        values: NDArray[Any] = y[()].reshape(-1)
        if values.dtype.kind == "u" and values.max(initial=0) > np.iinfo(np.int64).max:
            raise _RefusedError(f"{y.name} has the label {values.max()}")
        data = values.astype("<i8")
        return {"bytes": data.nbytes}, data.tobytes()

    def classes(self) -> Answer:
        """Names of the classes, or None."""
        if "list_classes" not in self._file:
            return {"classes": None}, b""
        node = _node(self._file, "list_classes")
        if not isinstance(node, h5py.Dataset) or node.shape is None or len(node.shape) != 1:
            raise _RefusedError("list_classes is not a list; expected one name a class")
        if node.shape[0] > MOST_CLASSES:
            raise _RefusedError(
                f"list_classes has {node.shape[0]} names; at most {MOST_CLASSES} are read"
            )
        _check_kind(node, "iubfS")
        _check_storage(node)
        names = node[:].tolist()
        # As in names of files: bytes that are not UTF-8 come through, and back again.
        texts = [n.decode("utf-8", "surrogateescape") if isinstance(n, bytes) else str(n) for n in names]
        return {"classes": texts}, b""


class PictureReader(_Reader):
    """Answers questions about a file of pictures.

    Parameters
    ----------
    file : h5py.File
    x_key, y_key : str or None
        Names of the data sets, where they are not the only ``*_set_x`` and ``*_set_y``.
    """

    def __init__(self, file: h5py.File, x_key: str | None, y_key: str | None) -> None:
        x = _dataset(file, x_key, "_set_x", "x_key")
        _check_pictures(x)
        self._alone = len(x.shape) == 3 and x.shape[2] == 3  # one picture, and not many of width 3
        self._shape = (1, *x.shape) if self._alone else x.shape
        rgb = x.shape[3:] == (3,)  # and not one alone
        super().__init__(file, x, self._shape[0], y_key, plain=bool(x.dtype == np.uint8 and rgb))

    def structure(self) -> Answer:
        """Shape and kind of the pictures, whether `catclf pack` made them, and what it says of them."""
        return {
            "shape": self._shape,
            "kind": self._x.dtype.kind,
            "packed": "paths" in self._file,
            "decoding": self._text("decoding"),
        }, b""

    def _block(self, start: int, stop: int) -> NDArray[Any]:
        block: NDArray[Any] = self._x[()][np.newaxis] if self._alone else self._x[start:stop]
        return block

    def span(self, start: int, stop: int) -> Answer:
        """Smallest and largest value of some rows, None if one is not finite."""
        block = self._block(start, stop)
        finite = bool(np.isfinite(block).all())
        return {"span": [float(block.min()), float(block.max())] if finite else None}, b""

    def some(self, start: int, stop: int, most: int) -> Answer:
        """Values that are spread evenly over some rows, as little-endian float64; at most so many."""
        block = self._block(start, stop).reshape(-1)
        data = block[:: max(1, -(-block.size // most))].astype("<f8")
        return {"bytes": data.nbytes}, data.tobytes()

    def rows(self, start: int, stop: int, factor: float) -> Answer:
        """Some rows as uint8, C order; floating-point numbers are multiplied by `factor`."""
        block = self._block(start, stop)
        if block.dtype.kind == "f":
            block = np.rint(np.clip(block * factor, 0, 255))
        data = np.ascontiguousarray(block, dtype=np.uint8).reshape(-1)
        return {"bytes": data.size}, data.data


class RowReader(_Reader):
    """Answers questions about a file of rows, as `catclf pack --features` makes them.

    Parameters
    ----------
    file : h5py.File
    """

    _labels_end = "y"

    def __init__(self, file: h5py.File) -> None:
        x = _node(file, "x")
        if len(x.shape) != 2 or x.dtype.str not in ("<f2", "<f4") or 0 in x.shape:
            raise _RefusedError(f"x is {x.shape} {x.dtype}; expected (m, n_x) float16 or float32")
        _check_storage(x)
        super().__init__(file, x, x.shape[0], "y", plain=True)

    def structure(self) -> Answer:
        """Shape and dtype of the rows, and what made them."""
        return {
            "shape": self._x.shape,
            "dtype": self._x.dtype.str,
            "packed": True,
            "decoding": self._text("decoding"),
            "features": self._text("features") or "",
            "learned": [name for name in self._file if name.startswith(LEARNED)],
        }, b""

    def rows(self, start: int, stop: int) -> Answer:
        """Some rows as they are stored."""
        return _sent(self._x[start:stop])

    def each(self, name: str, start: int, stop: int) -> Answer:
        """What there is of some pictures besides: numbers of fixed size."""
        found = self._besides(name)
        return _sent(found[start:stop])

    def kept(self, name: str) -> Answer:
        """Shape and dtype of what there is of every picture besides, or of a learned array."""
        found = self._besides(name) if not name.startswith(LEARNED) else _node(self._file, name)
        _check_kept(found)
        return {"shape": found.shape, "dtype": found.dtype.str}, b""

    def learned(self, name: str) -> Answer:
        """A learned array."""
        found = _node(self._file, name)
        _check_kept(found)
        return _sent(found[()])

    def paths(self, start: int, stop: int) -> Answer:
        """Paths of some pictures."""
        node = _node(self._file, "paths")
        if not isinstance(node, h5py.Dataset) or node.shape != (self._m,):
            raise _RefusedError("paths is not a list of one path a row")
        _check_kind(node, "S")
        _check_storage(node)
        return {"paths": [os.fsdecode(path) for path in node[start:stop].tolist()]}, b""

    def _besides(self, name: str) -> h5py.Dataset:
        node = _node(self._file, name)
        _check_kept(node)
        if node.shape[:1] != (self._m,):
            raise _RefusedError(f"{name} is {node.shape}; expected {self._m} entries")
        return node


def _check_kept(node: Any) -> None:
    if not isinstance(node, h5py.Dataset) or node.shape is None or node.dtype.kind not in "iuf":
        raise _RefusedError("is incomplete; pack the pictures again")
    _check_storage(node)


def _sent(array: NDArray[Any]) -> Answer:
    data = np.ascontiguousarray(array)
    return {"bytes": data.nbytes}, data.reshape(-1).view(np.uint8).data


def _dataset(file: h5py.File, key: str | None, suffix: str, setting: str) -> h5py.Dataset:
    if key is None:
        found = [name for name in file if name.endswith(suffix)]
        if len(found) != 1:
            wanted = f"expected one data set *{suffix}, or its name by "
            raise _RefusedError(f"contains {_contents(file)}; {wanted}", setting)
        key = found[0]
    node = _node(file, key)
    if not isinstance(node, h5py.Dataset):
        raise _RefusedError(f"has no data set {key!r}; it contains {_contents(file)}")
    return node


def _node(file: h5py.File, key: str) -> Any:
    """Follow a path by hard links only; None where it leads nowhere.

    Soft links are not followed either: they can lead to external ones.
    """
    node: Any = file
    for name in filter(None, key.split("/")):
        if not isinstance(node, h5py.Group) or "\0" in name or name not in node:
            return None
        if not isinstance(node.get(name, getlink=True), h5py.HardLink):
            raise _RefusedError(f"{key} is a link to somewhere else; links are not followed")
        node = node[name]
    return node


def _contents(file: h5py.File) -> str:
    names = sorted(file)
    shown = ", ".join(names[:MOST_NAMES_SHOWN]) or "nothing"
    return shown if len(names) <= MOST_NAMES_SHOWN else f"{shown} and {len(names)} things in all"


def _check_pictures(x: h5py.Dataset) -> None:
    shape, dtype = x.shape, x.dtype
    grey = shape is not None and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 1))
    rgb = shape is not None and len(shape) == 4 and shape[3] == 3
    known = dtype == np.uint8 or (dtype.kind == "f" and dtype.itemsize in (2, 4, 8))
    if not (grey or rgb) or not known or 0 in shape:
        expected = "expected (m, height, width, 3) uint8"
        raise _RefusedError(f"{x.name} is {shape} {dtype}; {expected}")
    if len(shape) == 3 and shape[1] != shape[2] and shape[2] != 3:
        # Their numbers do not say which of them counts the pictures.
        expected = (
            "expected (m, side, side), or (m, height, width, 1) where grey pictures are not square"
        )
        raise _RefusedError(f"{x.name} is {shape}; {expected}")
    _check_storage(x)


def _check_kind(dataset: h5py.Dataset, kinds: str) -> None:
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if dataset.dtype.kind not in kinds and not is_text:
        raise _RefusedError(f"{dataset.name} is {dataset.dtype}; expected numbers or text")


def _check_storage(dataset: h5py.Dataset) -> None:
    """Refuse data that is not in this file, or less of it than its shape says."""
    name, created = dataset.name, dataset.id.get_create_plist()
    if dataset.is_virtual:
        raise _RefusedError(f"{name} is a virtual data set, made of other files; copy it into one")
    if created.get_external_count():
        raise _RefusedError(f"{name} keeps its data in another file; copy it into one")
    filters = [created.get_filter(k)[0] for k in range(created.get_nfilters())]
    for number in filters:
        if number not in ALLOWED_FILTERS:
            known = ", ".join(ALLOWED_FILTERS.values())
            raise _RefusedError(f"{name} is compressed by filter {number}; known are {known}")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > stored * (MOST_EXPANSION if filters else 1):
        raise _RefusedError(f"{name} has {declared} bytes by its shape, but only {stored} are stored")


def _limit(memory: int) -> None:
    """Bound what this process can take."""
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a system may not know or allow one
            resource.setrlimit(name, (value, value))


def _open_nothing_more() -> None:
    # With no free file descriptor no link of the file can open another file. Python imports a codec
    # when it is first used, so those of HDF5's texts must be there before.
    for codec in ("ascii", "utf-8", "latin-1"):
        codecs.lookup(codec)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _answered(opened: Callable[[], _Reader], question: list[Any], path: str) -> Answer:
    name, *values = question
    try:
        answer: Answer = getattr(opened(), name)(*values)
        return answer
    except _RefusedError as exc:
        return {"error": str(exc), "setting": exc.setting}, b""
    except MemoryError:
        return {"error": "needs too much memory to be read"}, b""
    except Exception as exc:  # subtle: in a broken file h5py can raise anything at all
        detail = " ".join(str(exc).split()).replace(path, "the file") or type(exc).__name__
        return {"error": f"is a broken HDF5 file ({detail})"}, b""


def _send(answer: Answer) -> None:
    head, data = answer
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _open(path: str, x_key: str | None, y_key: str | None) -> _Reader:
    try:
        file = h5py.File(path, "r", locking=False)
    except (OSError, ValueError) as exc:
        raise _RefusedError("is not an HDF5 file") from exc
    _open_nothing_more()
    if x_key is None and "features" in file.attrs and isinstance(_node(file, "x"), h5py.Dataset):
        return RowReader(file)
    return PictureReader(file, x_key, y_key)


def main() -> None:
    """Answer questions about a file that we are given until there are no more; the first opens it."""
    _send(({}, b""))
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as channel:
        _, handles, _, _ = socket.recv_fds(channel, 1, 1)
    if not handles:  # there is no file to be read after all
        return
    order = json.loads(sys.stdin.buffer.readline())
    _limit(order["memory"])
    path = f"/dev/fd/{handles[0]}"
    opened = functools.cache(lambda: _open(path, order["x_key"], order["y_key"]))
    for line in sys.stdin.buffer:
        # Ends this process even inside the library, should nobody be there to kill it.
        signal.alarm(order["alarm"])
        _send(_answered(opened, json.loads(line), path))
        signal.alarm(0)


if __name__ == "__main__":
    main()
