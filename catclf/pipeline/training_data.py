"""What `train` learns from: pictures that could be read, or their rows, and who is held out."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions, TrainSettings
from catclf.decoding import Decoding
from catclf.errors import ConfigError, DataError, Setting
from catclf.features import Features, FeaturesClass, Viewing, remembering, view_of
from catclf.fingerprints import Marks, fingerprint
from catclf.fitting import Encoded, Mask, Problem
from catclf.folds import held_out_mask
from catclf.images.corrections import Corrections, corrected
from catclf.images.dataset import DataSet, opened
from catclf.images.labelled import Labelled
from catclf.images.paths import kind_of
from catclf.model import Model
from catclf.near_duplicates import Pair, Thumbnails, groups, nearest
from catclf.pipeline.classes import binary, labels_by_name, negative_class, positive_class
from catclf.progress import Progress
from catclf.stores import Store
from catclf.stores.here import InMemory
from catclf.stores.stored import spooled
from catclf.view import THUMBNAIL, View
from catclf.work.cluster import Cluster, connected

if TYPE_CHECKING:
    from catclf.images.hdf5_rows import Hdf5Rows
    from catclf.pipeline.scoring import Row, RowMaker


class Task(NamedTuple):
    """What `train` was asked to do.

    `names_pictures` is whether packed rows go by the paths of their pictures.
    """

    data: str
    settings: TrainSettings
    resume: Model | None
    progress: Progress
    processes: bool
    names_pictures: bool = False

    @contextlib.contextmanager
    def connected(self) -> Iterator[Cluster | None]:
        """Connect to the cluster of the settings' scheduler; None without one."""
        read = self.settings.read
        if read.scheduler is None:
            yield None
            return
        with connected(read.scheduler, read.jobs, self.progress.warning) as cluster:
            yield cluster


class Sources(NamedTuple):
    """The pictures of the data, with those of other data to validate with.

    Attributes
    ----------
    problem : Problem
    trained_on : (m,) bool
        The others are held out.
    marks : (m,) uint64
        Fingerprints.
    thumbnails : (n, 32, 32, 3) uint8, or None
        Of the n pictures of the data, where any may be held out.
    labelled : tuple of Labelled
        Of the data, and of other data if there is any.
    positive : str
    decoding : Decoding
    enlarged : int
        Pictures of the data that are smaller than what the features take.
    leaks : list of Pair
        Near-duplicates: pictures of the other data, and those of the data that they are like. Positions
        are among all pictures.
    packed : bool
        Whether rows were packed before: what features learn was learned from all of them.
    corrections : Corrections or None
        What became of the labels that were laid over those of the data.
    """

    problem: Problem
    trained_on: Mask
    marks: Marks
    thumbnails: Thumbnails | None
    labelled: tuple[Labelled, ...]
    positive: str
    decoding: Decoding
    enlarged: int
    leaks: list[Pair]
    packed: bool
    corrections: Corrections | None

    @property
    def held_out(self) -> Mask | None:
        """The pictures held out (m,), or None if there are none."""
        return None if self.trained_on.all() else ~self.trained_on

    @property
    def names(self) -> tuple[str, str]:
        """Of the classes y = 0 and y = 1."""
        return negative_class(self.labelled[0].classes, self.positive), self.positive

    @property
    def paths(self) -> list[str]:
        """Of all m pictures."""
        return [path for labelled in self.labelled for path in labelled.paths]

    @property
    def near_duplicates(self) -> NearDuplicates | None:
        """What was found among the pictures of the data, or None if nobody looked."""
        if self.problem.groups is None:
            return None
        _, numbers, counts = np.unique(self.problem.groups, return_inverse=True, return_counts=True)
        several, largest = counts[counts > 1], int(counts.max())
        examples = np.flatnonzero(counts[numbers] == largest)[:2]
        return NearDuplicates(len(several), int(several.sum()), largest, tuple(examples.tolist()))


class NearDuplicates(NamedTuple):
    """Pictures of the same scenes, which stay together when some are held out.

    Attributes
    ----------
    groups : int
        Of more than one picture.
    pictures : int
        In these groups.
    largest : int
        Pictures of the largest group.
    examples : tuple of int
        Positions of two of its pictures.
    """

    groups: int
    pictures: int
    largest: int
    examples: tuple[int, ...]


class _Read(NamedTuple):
    """Pictures that could be read, or their rows where the pictures themselves are not needed.

    Attributes
    ----------
    pictures : Store (m, s, s, 3) of uint8
        Of rows none, but of their shape.
    encoded : Encoded or None
    marks : (m,) uint64
    labelled : Labelled
    thumbnails : (m, 32, 32, 3) uint8, or None
        Where near-duplicates are looked for.
    shorter : tuple of int
        With rows, the shorter side of each picture.
    """

    pictures: Store
    encoded: Encoded | None
    marks: Marks
    labelled: Labelled
    thumbnails: Thumbnails | None
    shorter: tuple[int, ...] = ()

    def without_left_out(self) -> _Read:
        """Return the pictures that are to be trained on."""
        if self.labelled.left_out is None:
            return self
        kept = ~self.labelled.left_out
        encoded = self.encoded
        if encoded is None:
            pictures = self.pictures.chosen(kept)
        else:
            pictures, encoded = self.pictures, replace(encoded, rows=encoded.rows.chosen(kept))
        return _Read(
            pictures=pictures,
            encoded=encoded,
            marks=self.marks[kept],
            labelled=self.labelled.only(np.flatnonzero(kept).tolist(), self.labelled.skipped),
            thumbnails=None if self.thumbnails is None else self.thumbnails[kept],
            shorter=tuple(compress(self.shorter, kept.tolist())),
        )

    def joined(self, other: _Read) -> _Read:
        """Return these, then the others; `labelled` is of these alone."""
        encoded = self.encoded
        if encoded is not None and other.encoded is not None:
            one, another = encoded.rows, other.encoded.rows
            if one.place != another.place and "workers" in (one.place, another.place):
                one, another = (InMemory(rows[:]) for rows in (one, another))
            encoded = Encoded(encoded.features, one.joined(another))
        pictures, marks = self.pictures.joined(other.pictures), np.append(self.marks, other.marks)
        return self._replace(pictures=pictures, encoded=encoded, marks=marks)


def packed_kind(path: str, read: ReadOptions) -> str | None:
    """Name the features of the rows in an HDF5 file; None of one that has pictures.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    from catclf.images.hdf5_channel import Hdf5Channel  # only where it is needed
    from catclf.images.hdf5_rows import Hdf5Rows

    with Hdf5Channel(path, read) as channel:
        return Hdf5Rows(channel).features.kind.name if channel.holds_rows else None


def usual_features(data: str, read: ReadOptions) -> str:
    """Name the features that pictures are compared by, if nobody says which.

    They are those of packed rows, else the network where it can be run, else patches.

    Raises
    ------
    DataError
        If an HDF5 file cannot be read.
    """
    packed = packed_kind(data, read) if kind_of(data) == "hdf5" else None
    return packed or installed_features(read)


def installed_features(read: ReadOptions) -> str:
    """Name the network's features where these can be made, else patches."""
    from catclf.features.encoder import is_ready  # only here: training has no need of it

    return "network" if read.encoder is not None or is_ready() else "patches"


def read_all(task: Task, cluster: Cluster | None) -> Sources:
    """Read the data, unless its classes do not fit, and other data to validate with.

    Raises
    ------
    DataError
        If it cannot be read or does not have both classes.
    TooFewPicturesError
        If a class is too small to hold any of it out.
    """
    settings, progress = task.settings, task.progress
    own_view = settings.kind.own_view
    chosen = functools.cache(partial(_features_of_own_view, settings))

    def usual() -> View:
        return chosen().view if own_view else View(settings.kind.size)

    decodings = () if task.resume is None else (task.resume.decoding,)
    with opened(task.data, settings.read, usual, cluster, decodings, own_view) as listed:
        progress.ignored(listed.labelled.ignored)
        progress.warnings(listed.labelled.warnings)
        if listed.rows is not None and task.names_pictures:
            listed.labelled = replace(listed.labelled, paths=listed.rows.paths())
        packed_paths = tuple if listed.rows is None else listed.rows.paths
        listed.labelled, corrections = corrected(listed.labelled, settings.labels, packed_paths)
        positive_class(listed.labelled, settings.positive)  # before anything is decoded
        found = _load(listed, task, chosen if own_view else None, cluster)
        decoding = listed.view.decoding
        packed = listed.rows is not None
    enlarged = 0
    if own_view and not packed:
        found, enlarged = _of_their_size(found, chosen())
    found = found.without_left_out()
    labelled = found.labelled
    positive = positive_class(labelled, settings.positive)  # one side may have been unreadable
    y = binary(labelled, positive)
    sources: tuple[Labelled, ...] = (labelled,)
    alike = None
    if found.thumbnails is not None:
        alike = groups(found.thumbnails, found.marks, progress.advanced)
    trained_on, leaks = np.ones(len(y), dtype=bool), []
    if isinstance(settings.validation, float):
        trained_on = ~held_out_mask(y, settings.validation, settings.descent.seed, alike)
    elif settings.validation is not None:
        other = _other_data(task, found, positive, decoding, cluster)
        progress.note(f"{other.labelled.m} pictures read for validation")
        leaks = _leaks(found, other, progress)
        found, sources = found.joined(other), (labelled, other.labelled)
        y = np.append(y, labels_by_name(other.labelled, positive))
        trained_on = np.arange(len(y)) < labelled.m
        alike = None if alike is None else np.append(alike, np.arange(labelled.m, len(y)))
    problem = Problem(found.pictures, y, settings, progress, found.encoded, alike)
    return Sources(
        problem,
        trained_on,
        found.marks,
        found.thumbnails,
        sources,
        positive,
        decoding,
        enlarged,
        leaks,
        packed,
        corrections,
    )


def _other_data(
    task: Task, found: _Read, positive: str, decoding: Decoding, cluster: Cluster | None
) -> _Read:
    """Read the other data to validate with, as the data to train on was read."""
    settings, progress = task.settings, task.progress
    size, taken = found.pictures.shape[1], found.pictures.nbytes
    read = replace(settings.read, size=size, memory=max(1, settings.read.memory - taken))
    made = None if found.encoded is None else found.encoded.features

    def usual() -> View:
        return View(size) if made is None else view_of(made)

    source = os.fspath(cast(str | os.PathLike[str], settings.validation))
    with opened(source, read, usual, cluster, (decoding,)) as listed:
        progress.ignored(listed.labelled.ignored)
        progress.warnings(listed.labelled.warnings)
        labels_by_name(listed.labelled, positive)
        features = None if made is None else lambda: _at_hand(made, settings.read)
        return _load(listed, task, features, cluster)


def _at_hand(features: Features, read: ReadOptions) -> Features:
    """Have features ready to make rows, of which the others came out of a packed file."""
    return cast(Viewing, features).at_hand(read) if features.kind.own_view else features


def _leaks(found: _Read, other: _Read, progress: Progress) -> list[Pair]:
    """Pictures to validate with that are near-duplicates of others to train on, but not the same."""
    assert found.thumbnails is not None and other.thumbnails is not None
    new = np.flatnonzero(~np.isin(other.marks, found.marks))
    pairs = nearest(other.thumbnails[new], found.thumbnails, progress.advanced)
    return [Pair(len(found.marks) + int(new[pair.first]), pair.second) for pair in pairs]


def _features_of_own_view(settings: TrainSettings) -> Viewing:
    """Features that say how pictures are cut, ready before any is read."""
    code: FeaturesClass = settings.kind.load()
    return code.chosen(settings.read)


def _load(
    listed: DataSet, task: Task, features: Callable[[], Features] | None, cluster: Cluster | None
) -> _Read:
    """Decode all pictures, and keep them or, where that is enough, their rows by `features`."""
    kind = task.settings.kind
    if listed.rows is not None:
        return _load_packed(listed, listed.rows, task, features)
    if kind.at_reading:
        code: FeaturesClass = kind.load()
        made = code.of_size(listed.view.side) if features is None else features()
        return _load_rows(listed, task, made, cluster)
    pictures, labelled = listed.load(task.progress.advanced)
    task.progress.endless(labelled.endless)
    thumbnails = None
    if task.settings.holds_out:
        from catclf.images.decode import seen  # only where it is needed: Pillow takes time to import

        thumbnails = pictures.each(partial(seen, view=THUMBNAIL))
    return _Read(pictures, None, pictures.each(fingerprint), labelled, thumbnails)


def _load_packed(
    listed: DataSet, rows: Hdf5Rows, task: Task, features: Callable[[], Features] | None
) -> _Read:
    """Take rows as they were packed, if they are those that the settings want."""
    settings, found = task.settings, rows.features
    path, name = listed.labelled.source, found.kind.name
    if found.kind != settings.kind:
        reason = f"has rows of {name!r} features: use "
        raise DataError(path, reason, Setting("features", name))
    if settings.flip:
        rule = f"cannot be used: the rows in {path} were made without mirrored pictures"
        raise ConfigError("flip", settings.flip, rule)
    if settings.read.size not in (None, found.size):
        rule = f"must be {found.size}, as in {path}, or left out"
        raise ConfigError("size", settings.read.size, rule)
    if settings.read.encoder is not None and features is not None:
        rows.check_features(features())
    store = rows.rows(settings.read.memory)
    empty = np.empty((0, found.size, found.size, 3), np.uint8)
    return _Read(
        pictures=InMemory(empty),
        encoded=Encoded(found, store),
        marks=rows.marks(),
        labelled=listed.labelled,
        thumbnails=rows.thumbnails() if settings.holds_out else None,
    )


def _load_rows(listed: DataSet, task: Task, features: Features, cluster: Cluster | None) -> _Read:
    """Decode all pictures and keep their rows: here, or where they were made on a cluster."""
    from catclf.pipeline.scoring import RowMaker  # only here: Pillow takes time to import

    kept = (THUMBNAIL,) if task.settings.holds_out else ()
    maker = RowMaker(features, listed.view, task.settings.read, kept)
    no_pictures = np.empty((0, features.size, features.size, 3), np.uint8)
    good: dict[int, Row] = {}
    skipped: list[DataError] = []
    done, m = 0, listed.labelled.m

    def heard(chunk: list[Row]) -> list[Row]:
        """Count some pictures, and return those that could be read."""
        nonlocal done
        for k, row in enumerate(chunk, done):
            if row.error is None:
                good[k] = row._replace(numbers=None)
            elif task.settings.read.on_error == "fail":
                raise row.error
            else:
                skipped.append(row.error)
        done += len(chunk)
        task.progress.advanced("pictures encoded", done, m)
        return [row for row in chunk if row.error is None]

    empty = features.rows(no_pictures)
    if cluster is None:
        rows = _rows_here(listed, task, maker, empty, heard)
    else:
        rows = _rows_on_workers(listed, maker, empty, heard, cluster)
    task.progress.endless(sum(row.endless for row in good.values()))
    return _Read(
        pictures=InMemory(no_pictures),
        encoded=Encoded(features, rows),
        marks=np.array([row.mark for row in good.values()], np.uint64),
        labelled=listed.labelled.only([*good], skipped),
        thumbnails=np.array([row.views[0] for row in good.values()]) if kept else None,
        shorter=tuple(row.shorter for row in good.values()),
    )


def _rows_here(
    listed: DataSet,
    task: Task,
    maker: RowMaker,
    empty: NDArray[Any],
    heard: Callable[[list[Row]], list[Row]],
) -> Store:
    from catclf.pipeline.scoring import rows_of

    m, n_x, settings = listed.labelled.m, empty.shape[1], task.settings
    too_many = m * n_x * empty.itemsize > settings.read.memory
    if too_many and settings.spool is None:
        needed = f"{m * n_x * empty.itemsize / 1e6:.1f} MB"
        reason = f"has {m} pictures, whose rows need {needed}; raise "
        raise DataError(listed.labelled.source, reason, Setting("memory"))
    with closing(rows_of(maker, listed.pictures(), task.processes, task.progress)) as chunks:
        blocks = (_numbers(heard(chunk), empty) for chunk in chunks)
        if too_many:
            assert settings.spool is not None
            return spooled(settings.spool, blocks, empty.shape[1:], empty.dtype)
        rows, count = np.empty((m, n_x), empty.dtype), 0
        for block in blocks:
            rows[count : count + len(block)] = block
            count += len(block)
    return InMemory(rows[:count])


def _numbers(rows: list[Row], empty: NDArray[Any]) -> NDArray[Any]:
    return np.array([row.numbers for row in rows], empty.dtype) if rows else empty


def _rows_on_workers(
    listed: DataSet,
    maker: RowMaker,
    empty: NDArray[Any],
    heard: Callable[[list[Row]], list[Row]],
    cluster: Cluster,
) -> Store:
    from catclf.pipeline.scoring import rows_on_workers
    from catclf.stores.on_workers import OnWorkers

    pieces = []
    for chunk, piece in rows_on_workers(maker, listed.pictures(), empty, cluster):
        heard(chunk)
        pieces.append(piece)
    return OnWorkers(cluster, empty, pieces)


def _of_their_size(found: _Read, features: Viewing) -> tuple[_Read, int]:
    """Have the features remember the size of small pictures; and how many were enlarged."""
    assert found.encoded is not None
    enlarged = sum(shorter < features.view.needed for shorter in found.shorter)
    made = remembering(features, max(found.shorter, default=0))
    return found._replace(encoded=Encoded(made, found.encoded.rows)), enlarged
