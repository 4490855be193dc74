"""The tool `next`: pictures, of which some may be labelled → those to be labelled next."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.class_names import bare
from catclf.config import FEATURES, FeatureKind, NextSettings, ReadOptions
from catclf.coverage import doubts_of, most_useful
from catclf.design import Standardisation
from catclf.errors import DataError, Setting
from catclf.features import Features, FeaturesClass
from catclf.images.corrections import Correction, contradiction, read_corrections
from catclf.images.folder import OnIgnored
from catclf.images.inputs import pictures_of
from catclf.images.labelled import LEFT_OUT, classes_of
from catclf.images.paths import RealPaths, kind_of
from catclf.images.picture import Picture
from catclf.logistic import sigmoid
from catclf.model import Model
from catclf.pipeline.classes import alike_name
from catclf.pipeline.scoring import RowMaker, loaded, rows_of
from catclf.pipeline.training_data import installed_features, packed_kind
from catclf.printable import number_of
from catclf.progress import Progress
from catclf.stores.here import InMemory
from catclf.view import View

_UNLABELLED = -1


@dataclass(frozen=True, repr=False)
class Suggested:
    """The result of `suggest`.

    Attributes
    ----------
    paths : tuple of str
        Pictures to label, the most useful first.
    m : int
        Pictures without a label that there were to choose from.
    counts : dict
        Of each class, pictures with a label; of a model's training pictures, which it has no labels of,
        the number of those found.
    features : str
    skipped : tuple of DataError
        Pictures that could not be read.
    seconds : float
    """

    paths: tuple[str, ...]
    m: int
    counts: dict[str, int]
    features: str
    skipped: tuple[DataError, ...]
    seconds: float

    def __repr__(self) -> str:
        return f"<Suggested: {len(self.paths)} of {number_of(self.m, 'picture')}, by {self.features}>"


def suggest(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    count: int,
    settings: NextSettings | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    model: Model | str | os.PathLike[str] | None = None,
    on_ignored: OnIgnored = lambda path: None,
    progress: Progress | None = None,
    processes: bool = False,
) -> Suggested:
    """Choose pictures to label next: those that stand for the most others whose class is in doubt.

    Parameters
    ----------
    inputs : path, or iterable of paths
        Pictures, folders, and HDF5 files of pictures or rows; rows go by the paths of their pictures.
    count : int
        How many to choose.
    settings : NextSettings or None
        None is the defaults.
    labels : path or None
        A CSV file with the columns path and label: what is known so far. It need not be there, or have
        rows; those without a label are skipped, and ``-`` leaves a picture out. Paths are relative to
        its folder, or as `inputs` have them.
    model : Model, path or None
        What is known so far, in place of `labels`: its features are taken, and pictures that it was
        trained on are not suggested.
    on_ignored : (path) -> None
        Called for each file of a folder that is not tried.
    progress : Progress or None
    processes : bool
        As in `catclf.train`.

    Raises
    ------
    DataError
        If the labels cannot be read or contradict each other, or there is no picture that can be read.
    """
    begun = time.perf_counter()
    settings, progress = settings or NextSettings(), progress or Progress()
    named = [inputs] if isinstance(inputs, str | os.PathLike) else [*inputs]
    paths = [os.fspath(path) for path in named]
    taker = None if model is None else loaded([model], None, settings.read, maybe_rows=True)[0]
    kind = _features_of(paths, settings) if taker is None else taker.features.kind
    file = None if labels is None else os.fspath(labels)
    known = [*_known(file)]
    takers = [] if taker is None else [taker]
    found = pictures_of(paths, settings.read, on_ignored, takers, named=True)
    pictures = [one for one in found if isinstance(one, Picture)]
    said, others = _matched(pictures, known, file or "")
    pool = _read([*pictures, *map(Picture, others)], kind, taker, settings, progress, processes)
    told = [said.get(path, "") for path in pool.paths]
    kept = np.array([label != LEFT_OUT for label in told], bool)
    rows, told = pool.rows[kept], [label for label in told if label != LEFT_OUT]
    if not len(rows):
        first = "".join(f": {error}" for error in pool.skipped[:1])
        tried = f"has no picture that can be read ({len(pool.skipped)} tried){first}"
        raise DataError(", ".join(paths), tried)
    numbers, counts = _numbered(told, file or "", settings.positive)
    doubts = None
    if taker is not None:
        doubts = doubts_of(sigmoid(taker.scores_of(rows)))
        numbers[np.isin(pool.marks[kept], taker.fingerprints)] = 0
        counts = {"trained on": int((numbers == 0).sum())}
    chosen = most_useful(_prepared(rows, kind), numbers, count, settings.seed, doubts)
    left = [path for path, is_kept in zip(pool.paths, kept.tolist(), strict=True) if is_kept]
    return Suggested(
        paths=tuple(left[k] for k in chosen.tolist()),
        m=int((numbers == _UNLABELLED).sum()),
        counts=counts,
        features=kind.name,
        skipped=tuple(pool.skipped),
        seconds=time.perf_counter() - begun,
    )


def _features_of(paths: Sequence[str], settings: NextSettings) -> FeatureKind:
    """Features to compare pictures by; packed rows must be of that."""
    packed = {path: packed_kind(path, settings.read) for path in paths if kind_of(path) == "hdf5"}
    first = next(iter(packed.values()), None)
    name = settings.features or first or installed_features(settings.read)
    for path, found in packed.items():
        if found not in (None, name):
            reason = f"has rows of {found!r} features: use "
            raise DataError(path, reason, Setting("features", found))
    return FEATURES[name]


def _known(file: str | None) -> Iterator[Correction]:
    """Rows with a label, if there are any yet."""
    if file is not None and os.path.exists(file) and os.path.getsize(file):
        yield from read_corrections(file)


def _matched(
    pictures: Sequence[Picture], known: Sequence[Correction], file: str
) -> tuple[dict[str, str], list[str]]:
    """Labels by the path of a picture, and the labelled pictures that are not among those given."""
    real, said = RealPaths(), dict[str, Correction]()
    listed = {real(picture.path): picture.path for picture in pictures} if known else {}
    others = []
    for row in known:
        ways = [os.path.join(os.path.dirname(file), row.path), row.path]
        found = next((listed[way] for way in map(real, ways) if way in listed), None)
        if found is None:
            found = next(filter(os.path.exists, ways), ways[0])
            listed[real(found)] = found
            others.append(found)
        before = said.setdefault(found, row)
        if bare(before.label) != bare(row.label):
            raise contradiction(file, before, row, row.path)
    return {path: row.label for path, row in said.items()}, others


def _numbered(
    told: Sequence[str], file: str, positive: str | None
) -> tuple[NDArray[np.intp], dict[str, int]]:
    """Classes by number, and how many pictures each has."""
    found = classes_of(file, sorted({label for label in told if label}))
    numbers = np.array([found.numbers[label] if label else _UNLABELLED for label in told], np.intp)
    counts = {name: int((numbers == k).sum()) for k, name in enumerate(found.names)}
    if positive is not None and found.names:
        wanted = alike_name(found.names, positive)
        if wanted is None:
            raise DataError(file, f"has no class {positive!r}; it has {', '.join(found.names)}")
        numbers[numbers >= 0] = numbers[numbers >= 0] == found.names.index(wanted)
    return numbers, counts


class _Pool(NamedTuple):
    """Pictures that could be read, with their rows and fingerprints, and those that could not."""

    paths: list[str]
    rows: NDArray[Any]
    marks: NDArray[np.uint64]
    skipped: list[DataError]


def _read(
    pictures: Sequence[Picture],
    kind: FeatureKind,
    taker: Model | None,
    settings: NextSettings,
    progress: Progress,
    processes: bool,
) -> _Pool:
    """Make rows of all pictures; of those that come as rows, take these."""
    code: FeaturesClass = kind.load()
    are_rows = {one.row is not None for one in pictures if one.error is None}
    view = View(settings.read.size or kind.size)
    features: Features | None = None
    if taker is not None:
        settings.read.of_size(taker.size)  # refuses another one
        features, view = taker.features, taker.view
    elif kind.own_view and False in are_rows:
        chosen = code.chosen(settings.read)
        features, view = chosen, chosen.view
    elif not kind.learns and not kind.own_view:
        features = code.of_size(view.side)
    learned = features is None and False in are_rows
    if learned and True in are_rows:
        reason = f"has rows of {kind.name!r} features, which cannot be made of the other pictures"
        raise DataError(next(one.path for one in pictures if one.row is not None), reason)
    kept = (view,) if learned else ()
    maker = RowMaker(features, view, replace(settings.read, size=view.side), kept)
    paths, found, marks, skipped = list[str](), [], list[int](), list[DataError]()
    done = 0
    with closing(rows_of(maker, iter(pictures), processes, progress)) as chunks:
        for chunk in chunks:
            for row in chunk:
                if row.error is not None:
                    skipped.append(row.error)
                    continue
                paths.append(row.path)
                found.append(row.views[0] if kept else row.numbers)
                marks.append(row.mark or 0)
            done += len(chunk)
            progress.advanced("pictures encoded", done, len(pictures))
            _check_memory(found, settings.read)
    rows = np.array(found)
    if learned and len(rows):
        progress.note(f"{len(rows)} pictures read; computing {kind.name}")
        features = code.learn(rows, seed=settings.seed, jobs=settings.read.cores)
        rows = features.rows(rows, settings.read.cores)
    return _Pool(paths, rows, np.array(marks, np.uint64), skipped)


def _check_memory(found: Sequence[Any], read: ReadOptions) -> None:
    if found and len(found) * found[0].nbytes > read.memory:
        raise DataError("the pictures", "need more memory than allowed; raise ", Setting("memory"))


def _prepared(rows: NDArray[Any], kind: FeatureKind) -> NDArray[np.float32]:
    if not kind.standardised:
        return rows.astype(np.float32)
    return Standardisation.fit(InMemory(rows), kind.one_scale).apply(rows)
