"""The tool `pack`: labelled pictures of any source → one HDF5 file of pictures or rows of features."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from catclf.atomic import check_replaceable, replacing
from catclf.config import FEATURES, PackSettings, ReadOptions
from catclf.decoding import Decoding
from catclf.errors import ConfigError, DataError
from catclf.features import Features, FeaturesClass, Viewing, view_of
from catclf.images.dataset import DataSet, opened
from catclf.images.decode import Decoder
from catclf.images.hdf5_process import HDF5_SUFFIXES, is_hdf5_name
from catclf.images.hdf5_writer import of_chunk, write_hdf5, write_rows
from catclf.images.labelled import Labelled
from catclf.images.spool import Spool
from catclf.pipeline.classes import did_you_mean, named_class
from catclf.pipeline.scoring import RowMaker, rows_of
from catclf.progress import Progress
from catclf.view import THUMBNAIL, View
from catclf.work.parts import batches
from catclf.work.threads import ordered_map

PARTIAL_SUFFIX = ".partial"
"""Added to the output's name for the file that an interrupted run leaves behind."""


@dataclass(frozen=True)
class Packed:
    """What `pack` gives back.

    Attributes
    ----------
    m, size : int
        Number of pictures in the file, and their side in pixels.
    features : str
        What is kept of a picture.
    n_x : int or None
        Numbers of a row; None where pictures are kept themselves.
    counts : dict
        Number of pictures of each class, in the order of ``list_classes``.
    skipped : tuple of DataError
        Pictures that could not be read.
    ignored : int
        Files not tried because of their names.
    resumed : int
        Pictures that an earlier, interrupted run had done with.
    file_size : int
        Bytes.
    seconds : float
    """

    m: int
    size: int
    features: str
    n_x: int | None
    counts: dict[str, int]
    skipped: tuple[DataError, ...]
    ignored: int
    resumed: int
    file_size: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, ready for JSON."""
        return {
            "m": self.m,
            "size": self.size,
            "features": self.features,
            "n_x": self.n_x,
            "classes": self.counts,
            "skipped": len(self.skipped),
            "ignored": self.ignored,
            "resumed": self.resumed,
            "bytes": self.file_size,
            "seconds": self.seconds,
        }


def pack(
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: PackSettings | None = None,
    *,
    progress: Progress | None = None,
    processes: bool = False,
) -> Packed:
    """Decode every picture of `data` into one HDF5 file, or make rows of features of it.

    Pictures are in the layout of the course's files, rows in one of their own. Training from that file
    gives the same model, to the byte, as training from `data`. The pictures
    gather in ``OUTPUT.partial``; a run that is interrupted leaves it behind, and the next one with the
    same settings goes on from there. `output` itself appears when it is whole, replacing what was there.

    Parameters
    ----------
    data : path
        As in `catclf.train`.
    output : path
        Its name ends in .h5, .hdf5 or .hdf. Twice its size is needed on the disk for a while.
    settings : PackSettings or None
        None is the defaults.
    progress : Progress or None
        Hears of every picture.
    processes : bool
        Whether rows may be made in worker processes: the program that calls it has no threads of its
        own, or can be imported anew by them.

    Raises
    ------
    DataError
        If the data cannot be read or nobody says which class is positive.
    OutputError
        If the file cannot be written.
    """
    begun = time.perf_counter()
    settings, progress = settings or PackSettings(), progress or Progress()
    data, output = os.fspath(data), os.fspath(output)
    if not is_hdf5_name(output):
        raise ConfigError("output", output, f"a name that ends in {', '.join(HDF5_SUFFIXES)}")
    check_replaceable(output)
    chosen = functools.cache(partial(_chosen, settings))
    own_view = settings.kind.own_view

    def usual() -> View:
        return chosen().view if own_view else View(settings.kind.size)

    with opened(data, settings.read, usual, own_view=own_view) as source:
        labelled = source.labelled
        progress.ignored(labelled.ignored)
        progress.warnings(labelled.warnings)
        classes = _ordered_classes(labelled, settings.positive)
        packer = _packer(source, settings, chosen, processes, progress)
        spool = Spool(output + PARTIAL_SUFFIX, packer.item, packer.depends_on, partial(_digest, source))
        with contextlib.closing(spool):
            resumed = spool.taken
            if settings.read.on_error == "fail" and spool.failures:
                k, reason = spool.failures[0]
                raise DataError(labelled.paths[k], reason)
            if resumed:
                progress.note(f"{resumed} pictures are in {spool.path} already; going on")
            _make_rest(packer, spool, settings.read, progress)
            labels = _write(packer, spool, classes, output, progress)
            spool.remove()
    return Packed(
        m=len(labels),
        size=source.view.side,
        features=settings.features,
        n_x=packer.n_x,
        counts=dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True)),
        skipped=tuple(DataError(labelled.paths[k], reason) for k, reason in spool.failures),
        ignored=len(labelled.ignored),
        resumed=resumed,
        file_size=os.path.getsize(output),
        seconds=time.perf_counter() - begun,
    )


def describe_packed(path: str) -> dict[str, Any]:
    """What there is to say of an HDF5 file of pictures or rows, as plain values ready for JSON.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    with opened(path, ReadOptions(), View(FEATURES["pixels"].size)) as source:
        labelled, view, rows = source.labelled, source.view, source.rows
        features = {"name": "pixels", "size": view.side} if rows is None else _described(rows.features)
        return {
            "m": labelled.m,
            "classes": labelled.counts(),
            "features": features,
            "decoding": None if source.decoding is None else source.decoding.to_dict(),
        }


def _chosen(settings: PackSettings) -> Viewing:
    """Features that say how pictures are cut."""
    code: FeaturesClass = settings.kind.load()
    return code.chosen(settings.read)


def _ordered_classes(labelled: Labelled, positive: str | None) -> tuple[str, ...]:
    """Class names by their new numbers: of two the positive one is 1, others stay as they are."""
    classes, data = labelled.classes, labelled.source
    if positive is None and len(classes) != 2:
        if len(classes) == 1 and (meant := did_you_mean(data)):
            raise DataError(data, f"has only the class {classes[0]}{meant}")
        return classes
    positive = named_class(labelled, positive)
    if len(classes) != 2:
        rule = f"left out: the {len(classes)} classes are all kept, and train chooses one"
        raise ConfigError("positive", positive, rule)
    return (classes[1 - classes.index(positive)], positive)


def _digest(source: DataSet, first: int, stop: int) -> str:
    if stop > source.labelled.m:
        raise LookupError(stop)
    return hashlib.sha256(b"\0\0".join(map(source.identity, range(first, stop)))).hexdigest()


class _Made(NamedTuple):
    """What became of a picture: an item to keep, or the reason why there is none."""

    item: NDArray[Any] | None
    error: DataError | None
    endless: bool


class _Packer(Protocol):
    """What is kept of each picture, and how the file is written.

    Attributes
    ----------
    source : DataSet
    item : numpy.dtype
    depends_on : dict
        What items depend on beside the pictures.
    n_x : int or None
        Numbers of a row.
    """

    source: DataSet
    item: np.dtype[Any]
    depends_on: dict[str, Any]
    n_x: int | None

    def made(self, first: int) -> Generator[_Made, None, None]:
        """Make an item of each picture from a position on, in order."""

    def write(
        self,
        file: BinaryIO,
        blocks: Iterator[NDArray[Any]],
        labels: NDArray[np.intp],
        classes: Sequence[str],
        paths: Iterable[str],
    ) -> None:
        """Write the packed file."""


def _packer(
    source: DataSet,
    settings: PackSettings,
    chosen: Callable[[], Viewing],
    processes: bool,
    progress: Progress,
) -> _Packer:
    if source.rows is not None:
        name = source.rows.features.kind.name
        raise DataError(source.labelled.source, f"has rows of {name!r} features already")
    kind = settings.kind
    if kind.anywhere:  # then what is stored is the pictures themselves
        return _Pictures(source, settings.read)
    if kind.own_view:
        features: Features = chosen()
    else:
        pictures = source.load(progress.advanced).pictures[:]
        code: FeaturesClass = kind.load()
        features = code.learn(pictures, seed=settings.seed, jobs=settings.read.cores)
    return _Rows(source, features, settings.read, processes, progress)


class _Pictures:
    """The pictures themselves, in their size."""

    n_x: int | None = None

    def __init__(self, source: DataSet, read: ReadOptions) -> None:
        self.source = source
        side = source.view.side
        self.item = np.dtype((np.uint8, (side, side, 3)))
        self.depends_on = {"max_pixels": read.max_pixels, **source.view.decoding.to_dict()}
        self._read = read

    def made(self, first: int) -> Generator[_Made, None, None]:
        """See `_Packer`."""
        decoder = Decoder((self.source.view,), self._read.max_pixels)
        pictures = self.source.pictures(first)
        with closing(ordered_map(decoder.one, pictures, self._read.cores)) as decoded:
            for one in decoded:
                yield _Made(one.views[0] if one.error is None else None, one.error, one.endless)

    def write(
        self,
        file: BinaryIO,
        blocks: Iterator[NDArray[Any]],
        labels: NDArray[np.intp],
        classes: Sequence[str],
        paths: Iterable[str],
    ) -> None:
        """See `_Packer`."""
        decoding = _json_of(self.source.decoding)
        write_hdf5(file, self.source.view.side, blocks, labels, classes, paths, decoding)


class _Rows:
    """Rows of features, each with the fingerprint and a thumbnail of its picture."""

    def __init__(
        self,
        source: DataSet,
        features: Features,
        read: ReadOptions,
        processes: bool,
        progress: Progress,
    ) -> None:
        self.source = source
        self.n_x: int | None = features.n_x
        dtype = features.rows(np.empty((0, features.size, features.size, 3), np.uint8)).dtype
        side = THUMBNAIL.side
        self.item = np.dtype(
            [
                ("x", dtype, (features.n_x,)),
                ("fingerprints", "<u8"),
                ("thumbnails", np.uint8, (side, side, 3)),
                ("shorter_sides", "<i4"),
            ]
        )
        learned = hashlib.sha256()
        for name, array in sorted(features.arrays().items()):
            learned.update(name.encode() + array.tobytes())
        self.depends_on = {
            "max_pixels": read.max_pixels,
            "features": _described(features),
            "learned": learned.hexdigest(),
            **source.view.decoding.to_dict(),
        }
        self._features, self._read = features, read
        self._processes, self._progress = processes, progress

    def made(self, first: int) -> Generator[_Made, None, None]:
        """See `_Packer`."""
        maker = RowMaker(self._features, self.source.view, self._read, (THUMBNAIL,))
        pictures = self.source.pictures(first)
        with closing(rows_of(maker, pictures, self._processes, self._progress)) as chunks:
            for row in (row for chunk in chunks for row in chunk):
                if row.error is not None:
                    yield _Made(None, row.error, False)
                    continue
                item = np.empty((), self.item)
                item["x"], item["fingerprints"] = row.numbers, row.mark
                item["thumbnails"], item["shorter_sides"] = row.views[0], row.shorter
                yield _Made(item, None, row.endless)

    def write(
        self,
        file: BinaryIO,
        blocks: Iterator[NDArray[Any]],
        labels: NDArray[np.intp],
        classes: Sequence[str],
        paths: Iterable[str],
    ) -> None:
        """See `_Packer`."""
        features = self._features
        largest = 0

        def watched() -> Iterator[NDArray[Any]]:
            nonlocal largest
            for block in blocks:
                largest = max(largest, int(block["shorter_sides"].max(initial=0)))
                yield block

        def attributes() -> dict[str, str]:
            # As in training: a model of small pictures shrinks larger ones to their size.
            made = features
            if features.kind.own_view and 0 < largest < view_of(features).needed:
                made = cast(Viewing, features).of_small(largest)
            decoding = _json_of(self.source.decoding)
            return {"features": json.dumps(_described(made)), "decoding": decoding}

        write_rows(file, self.item, watched(), labels, classes, paths, attributes, features.arrays())


def _described(features: Features) -> dict[str, Any]:
    return {"name": features.kind.name, **features.settings()}


def _json_of(decoding: Decoding | None) -> str:
    return json.dumps(None if decoding is None else decoding.to_dict())


def _make_rest(packer: _Packer, spool: Spool, read: ReadOptions, progress: Progress) -> None:
    """Make what the spool does not have yet, as many pictures at a time as a chunk will hold."""
    m, endless = packer.source.labelled.m, 0
    what = "pictures read" if packer.n_x is None else "pictures encoded"
    together = of_chunk(packer.item.itemsize)
    with closing(packer.made(spool.taken)) as made:
        for some in batches(made, together):
            items, failures = np.empty(len(some), packer.item), []
            good = 0
            for k, one in enumerate(some, spool.taken):
                progress.advanced(what, k + 1, m)
                if one.error is None:
                    items[good] = one.item
                    good += 1
                elif read.on_error == "fail":
                    raise one.error
                else:
                    failures.append((k, one.error.reason))
                endless += one.endless
            spool.append(items[:good], failures)
    progress.endless(endless)


def _write(
    packer: _Packer, spool: Spool, classes: tuple[str, ...], output: str, progress: Progress
) -> NDArray[np.intp]:
    """Make the file out of the spool and return the labels of its pictures."""
    failed = {k for k, _ in spool.failures}
    read = [k for k in range(packer.source.labelled.m) if k not in failed]
    if not read:
        spool.remove()
    labelled = packer.source.labelled.only(read, ())
    number = np.array([classes.index(name) for name in labelled.classes])
    labels = number[labelled.labels]

    def blocks() -> Iterator[NDArray[Any]]:
        done = 0
        for block in spool.blocks():
            yield block
            done += len(block)
            progress.advanced("pictures written", done, len(read))

    progress.note(f"writing {output}")
    with replacing(output) as file:
        packer.write(file, blocks(), labels, classes, labelled.paths)
    return labels
