"""The tool `pack`: labelled pictures of any source → one HDF5 file of pictures or rows of features."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from catclf.atomic import check_replaceable, replacing
from catclf.config import FEATURES, PackSettings, ReadOptions
from catclf.decoding import USUAL, Decoding
from catclf.errors import ConfigError, DataError, Setting
from catclf.features import Features, FeaturesClass, Viewing, remembering
from catclf.images.corrections import Corrections, corrected
from catclf.images.dataset import DataSet, opened
from catclf.images.decode import Decoder
from catclf.images.file_state import FileState, sha256_of, state_of
from catclf.images.hdf5_channel import Hdf5Channel
from catclf.images.hdf5_process import HDF5_SUFFIXES, is_hdf5_name
from catclf.images.hdf5_rows import Hdf5Rows
from catclf.images.hdf5_writer import of_chunk, write_hdf5, write_rows
from catclf.images.labelled import Labelled
from catclf.images.spool import Spool
from catclf.partial import SUFFIX
from catclf.pipeline.classes import did_you_mean, named_class
from catclf.pipeline.scoring import RowMaker, rows_of
from catclf.printable import number_of
from catclf.progress import Progress
from catclf.view import THUMBNAIL, View
from catclf.work.parts import batches
from catclf.work.threads import ordered_map


@dataclass(frozen=True, repr=False)
class Packed:
    """The result of `pack`.

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
    reused : int
        Pictures that were taken from the file as it was.
    corrections : Corrections or None
        What became of the labels that were laid over those of the data.
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
    reused: int
    corrections: Corrections | None
    file_size: int
    seconds: float

    def __repr__(self) -> str:
        what = f"{self.size}×{self.size}" if self.n_x is None else f"{self.features} ({self.n_x})"
        return f"<Packed: {number_of(self.m, 'picture')}, {what}, {self.file_size / 1e6:.1f} MB>"

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
            "reused": self.reused,
            **({} if self.corrections is None else {"corrections": self.corrections.counts()}),
            "bytes": self.file_size,
            "seconds": self.seconds,
        }


def pack(
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: PackSettings | None = None,
    *,
    update: bool = False,
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
    update : bool
        Whether rows are taken from `output`, if there is such a file, where their pictures are still
        the same: by path, size, time of the last change and inode, or else by what is in the file.
    progress : Progress or None
        Hears of every picture.
    processes : bool
        Whether rows may be made in worker processes: the program that calls it has no threads of its
        own, or can be imported again by them.

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
        raise ConfigError("output", output, f"must end in {', '.join(HDF5_SUFFIXES)}")
    check_replaceable(output)
    chosen = functools.cache(partial(_chosen, settings))
    own_view = settings.kind.own_view

    def usual() -> View:
        return chosen().view if own_view else View(settings.kind.size)

    update = update and os.path.exists(output)
    with contextlib.ExitStack() as opening:
        old = opening.enter_context(_old(output, settings)) if update else None
        read = _of_size(settings, output, old)
        source = opening.enter_context(
            opened(data, read, usual, own_view=own_view, album=settings.positive is None)
        )
        labelled = source.labelled
        progress.ignored(labelled.ignored)
        progress.warnings(labelled.warnings)
        source.labelled, corrections = corrected(labelled, settings.labels)
        classes = _ordered_classes(labelled, settings.positive)
        packer = _packer(source, settings, chosen, processes, progress, old)
        spool = Spool(output + SUFFIX, packer.item, packer.depends_on, partial(_digest, source))
        with contextlib.closing(spool):
            resumed = spool.taken
            if settings.read.on_error == "fail" and spool.failures:
                k, reason = spool.failures[0]
                raise DataError(labelled.paths[k], reason)
            if resumed:
                progress.note(f"{resumed} pictures are already in {output}{SUFFIX}; continuing")
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
        reused=packer.reused,
        corrections=corrections,
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


def _of_size(settings: PackSettings, output: str, old: _Old | None) -> ReadOptions:
    """How pictures are read: of the size of what was learned from those of the old file."""
    if old is None or settings.kind.own_view:
        return settings.read
    size = old.features.size
    if settings.read.size not in (None, size):
        raise ConfigError("size", settings.read.size, f"must be {size}, as in {output}, or left out")
    return replace(settings.read, size=size)


def check_unchanged(now: Features, before: Features) -> None:
    """Refuse to add rows of features other than those that are there; small pictures are no matter."""
    found, expected = now.settings(), before.settings()
    for name in {**expected, **found}:
        if name != "shrink_to" and found.get(name) != expected.get(name):
            rule = f"must be {expected.get(name)}, as in the file to update"
            raise ConfigError(f"{name} of the features", found.get(name), rule)


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
        rule = f"cannot be used with {len(classes)} classes: all are kept, and train chooses one"
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


class _Named(NamedTuple):
    """What a packed file says of its items: labels (m,), the names of classes, and m paths."""

    labels: NDArray[np.intp]
    classes: Sequence[str]
    paths: Iterable[str]


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
    reused : int
        Pictures that were taken from the old file, so far.
    """

    source: DataSet
    item: np.dtype[Any]
    depends_on: dict[str, Any]
    n_x: int | None
    reused: int

    def made(self, first: int) -> Generator[_Made, None, None]:
        """Make an item of each picture from a position on, in order."""

    def write(self, file: BinaryIO, blocks: Iterator[NDArray[Any]], named: _Named) -> None:
        """Write the packed file."""


def _packer(
    source: DataSet,
    settings: PackSettings,
    chosen: Callable[[], Viewing],
    processes: bool,
    progress: Progress,
    old: _Old | None,
) -> _Packer:
    if source.rows is not None:
        name = source.rows.features.kind.name
        raise DataError(source.labelled.source, f"has rows of {name!r} features")
    kind = settings.kind
    if kind.anywhere:  # then what is stored is the pictures themselves
        return _Pictures(source, settings.read)
    if kind.own_view:
        features: Features = chosen()
        if old is not None:
            check_unchanged(features, old.features)
    elif old is not None:
        features = old.features
    else:
        pictures = source.load(progress.advanced).pictures
        code: FeaturesClass = kind.load()
        seen = pictures[:] if pictures.place == "memory" or not kind.learns_from_files else pictures
        features = code.learn(seen, seed=settings.seed, jobs=settings.read.cores)
    return _Rows(source, features, settings.read, processes, progress, old)


class _Old:
    """Rows of a file that is brought up to date, and which pictures are still those."""

    def __init__(self, rows: Hdf5Rows) -> None:
        self.features = rows.features
        self._x = rows.rows(sys.maxsize)
        self._besides = {
            name: rows.besides(name, shape, dtype)
            for name, shape, dtype in (
                *(("fingerprints", (), "<u8"), ("shorter_sides", (), "<i4")),
                *(("sizes", (), "<i8"), ("mtimes", (), "<i8"), ("inodes", (), "<u8")),
                *(("sha256", (32,), "|u1"), ("thumbnails", (THUMBNAIL.side, THUMBNAIL.side, 3), "|u1")),
            )
        }
        states = zip(
            *(self._besides[name].tolist() for name in ("sizes", "mtimes", "inodes")), strict=True
        )
        self._by_path = {
            path: (k, FileState(*state))
            for k, (path, state) in enumerate(zip(rows.paths(), states, strict=True))
        }
        self._by_content = {digest.tobytes(): k for k, digest in enumerate(self._besides["sha256"])}

    def same_as(self, source: DataSet, first: int) -> dict[int, int]:
        """Find the pictures of a source, from one on, that are here: position there → position here.

        A file of the same path, size, time and inode is the same; of others the content decides.
        """
        found: dict[int, int] = {}
        for k in range(first, source.labelled.m):
            path = source.labelled.paths[k]
            here, state = self._by_path.get(path, (-1, FileState()))
            now = state_of(path)
            if now.size < 0:
                continue
            if here < 0 or now != state:
                here = self._by_content.get(sha256_of(path), -1)
            if here >= 0:
                found[k] = here
        return found

    def fill(self, item: NDArray[Any], k: int) -> None:
        """Copy what is here of a picture."""
        item["x"] = self._x[k : k + 1][0]
        for name in ("fingerprints", "shorter_sides", "thumbnails", "sha256"):
            item[name] = self._besides[name][k]


@contextlib.contextmanager
def _old(output: str, settings: PackSettings) -> Iterator[_Old]:
    """Open the file that is to be brought up to date."""
    with Hdf5Channel(output, settings.read) as channel:
        if not channel.holds_rows:
            raise DataError(output, "has pictures, not rows; only rows can be updated")
        channel.check_decoded([USUAL])
        rows = Hdf5Rows(channel)
        if rows.features.kind != settings.kind:
            reason = f"has rows of {rows.features.kind.name!r} features: update it with "
            raise DataError(output, reason, Setting("features", rows.features.kind.name))
        yield _Old(rows)


class _Pictures:
    """The pictures themselves, in their size."""

    n_x: int | None = None
    reused = 0

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

    def write(self, file: BinaryIO, blocks: Iterator[NDArray[Any]], named: _Named) -> None:
        """See `_Packer`."""
        decoding = _json_of(self.source.decoding)
        write_hdf5(file, self.source.view.side, blocks, *named, decoding)


class _Rows:
    """Rows of features, each with the fingerprint and a thumbnail of its picture."""

    def __init__(
        self,
        source: DataSet,
        features: Features,
        read: ReadOptions,
        processes: bool,
        progress: Progress,
        old: _Old | None,
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
                *(("sizes", "<i8"), ("mtimes", "<i8"), ("inodes", "<u8")),
                ("sha256", np.uint8, (32,)),
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
        self._old = old
        self.reused = 0

    def made(self, first: int) -> Generator[_Made, None, None]:
        """See `_Packer`."""
        known = {} if self._old is None else self._old.same_as(self.source, first)
        new = (one for k, one in enumerate(self.source.pictures(first), first) if k not in known)
        maker = RowMaker(self._features, self.source.view, self._read, (THUMBNAIL,))
        with closing(rows_of(maker, new, self._processes, self._progress)) as chunks:
            rows = (row for chunk in chunks for row in chunk)
            for k in range(first, self.source.labelled.m):
                item = np.zeros((), self.item)
                endless = False
                if k in known:
                    assert self._old is not None
                    self._old.fill(item, known[k])
                    self.reused += 1
                else:
                    row = next(rows)
                    if row.error is not None:
                        yield _Made(None, row.error, False)
                        continue
                    item["x"], item["fingerprints"] = row.numbers, row.mark
                    item["thumbnails"], item["shorter_sides"] = row.views[0], row.shorter
                    endless = row.endless
                path = self.source.labelled.paths[k]
                item["sizes"], item["mtimes"], item["inodes"] = state_of(path)
                if k not in known:
                    item["sha256"] = np.frombuffer(sha256_of(path), np.uint8)
                yield _Made(item, None, endless)

    def write(self, file: BinaryIO, blocks: Iterator[NDArray[Any]], named: _Named) -> None:
        """See `_Packer`."""
        features = self._features
        largest = 0

        def watched() -> Iterator[NDArray[Any]]:
            nonlocal largest
            for block in blocks:
                largest = max(largest, int(block["shorter_sides"].max(initial=0)))
                yield block

        def attributes() -> dict[str, str]:
            own_view = features.kind.own_view
            made = remembering(cast(Viewing, features), largest) if own_view else features
            decoding = _json_of(self.source.decoding)
            return {"features": json.dumps(_described(made)), "decoding": decoding}

        write_rows(file, self.item, watched(), *named, attributes, features.arrays())


def _described(features: Features) -> dict[str, Any]:
    return {"name": features.kind.name, **features.settings()}


def _json_of(decoding: Decoding | None) -> str:
    return json.dumps(None if decoding is None else decoding.to_dict())


def _make_rest(packer: _Packer, spool: Spool, read: ReadOptions, progress: Progress) -> None:
    """Make what the spool does not have yet, as many pictures at a time as a chunk will hold."""
    m, endless = packer.source.labelled.m, 0
    what = "pictures read" if packer.n_x is None else "pictures encoded"
    together = of_chunk(packer.item.itemsize)

    def counted(made: Iterable[_Made]) -> Iterator[_Made]:
        for k, one in enumerate(made, spool.taken + 1):
            progress.advanced(what, k, m)
            yield one

    with closing(packer.made(spool.taken)) as made:
        for some in batches(counted(made), together):
            items, failures = np.empty(len(some), packer.item), []
            good = 0
            for k, one in enumerate(some, spool.taken):
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
    source, failed = packer.source.labelled, {k for k, _ in spool.failures}
    wanted = np.ones(source.m, dtype=bool) if source.left_out is None else ~source.left_out
    read = np.array([k for k in range(source.m) if k not in failed], np.intp)
    chosen = wanted[read]
    if not chosen.any():
        spool.remove()
    labelled = source.only(read[chosen].tolist(), ())
    number = np.array([classes.index(name) for name in labelled.classes])
    labels = number[labelled.labels]

    def blocks() -> Iterator[NDArray[Any]]:
        done = 0
        for block in spool.blocks():
            yield block[chosen[done : done + len(block)]]
            done += len(block)
            progress.advanced("pictures written", done, len(read))

    progress.note(f"writing {output}")
    with replacing(output) as file:
        packer.write(file, blocks(), _Named(labels, classes, labelled.paths))
    return labels
