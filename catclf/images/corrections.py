"""Labels laid over those of data, from a CSV file with the columns path and label. Opens no picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from catclf.class_names import bare
from catclf.errors import DataError
from catclf.images.labelled import LEFT_OUT, Labelled
from catclf.images.listing import csv_rows
from catclf.images.paths import RealPaths
from catclf.images.urls import is_url


class Correction(NamedTuple):
    """A row of the file."""

    line: int
    path: str
    label: str


class Corrections(NamedTuple):
    """What became of the rows.

    Attributes
    ----------
    file : str
    changed : int
        Pictures that have another label now.
    left_out : int
        Pictures that are not to be trained on.
    unknown : tuple of str
        Paths that the data does not have.
    """

    file: str
    changed: int
    left_out: int
    unknown: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Numbers of pictures and paths, ready for JSON."""
        return {"changed": self.changed, "left_out": self.left_out, "unknown": len(self.unknown)}


def contradiction(file: str, one: Correction, other: Correction, path: str) -> DataError:
    """Say that two rows give a picture different labels."""
    said = f"lines {one.line} and {other.line} give {path} the labels {one.label!r} and {other.label!r}"
    return DataError(file, said)


def corrected(
    labelled: Labelled,
    file: str | os.PathLike[str] | None,
    also: Callable[[], Sequence[str]] = tuple,
) -> tuple[Labelled, Corrections | None]:
    """Lay the labels of a file, if there is one, over those of some data.

    A path is one that the data lists, or leads to the same file: as it stands, or from the folder of the
    data. Rows without a label, or with the one that the picture has, say nothing.

    Parameters
    ----------
    labelled : Labelled
    file : path or None
    also : () -> sequence of str
        Other paths of the same pictures, asked for if a path is not among those listed.

    Raises
    ------
    DataError
        If the file cannot be read, a label is no class of the data, or two rows say different things of
        one picture.
    """
    if file is None:
        return labelled, None
    file = os.fspath(file)
    numbers = {bare(name): k for k, name in enumerate(labelled.classes)} | {LEFT_OUT: -1}
    places, said = _Places(labelled, also), dict[int, Correction]()
    labels, unknown = labelled.labels.copy(), []
    for row in read_corrections(file):
        if bare(row.label) not in numbers:
            known = ", ".join(map(repr, (*labelled.classes, LEFT_OUT)))
            raise DataError(file, f"line {row.line}: the label {row.label!r} is not one of {known}")
        number = numbers[bare(row.label)]
        found = places.of(row.path)
        if not found:
            unknown.append(row.path)
        for k in found:
            if number == labelled.labels[k]:  # nothing new: another row may change it
                continue
            before = said.setdefault(k, row)
            if numbers[bare(before.label)] != number:
                raise contradiction(file, before, row, labelled.paths[k])
            labels[k] = number
    left_out = labels < 0
    changed = int((labels != labelled.labels).sum() - left_out.sum())
    labels[left_out] = labelled.labels[left_out]
    over = replace(labelled, labels=labels, left_out=left_out if left_out.any() else None)
    return over, Corrections(file, changed, int(left_out.sum()), tuple(unknown))


def read_corrections(file: str) -> Iterator[Correction]:
    """Yield the rows that have a label.

    Raises
    ------
    DataError
        If it is no CSV file with these columns, or a row lacks its path.
    """
    for line, row in csv_rows(file):
        if row["label"] is None:
            raise DataError(file, f"line {line}: expected a path and a label")
        if not row["label"].strip():
            continue
        if not row["path"]:
            raise DataError(file, f"line {line}: expected a path and a label")
        yield Correction(line, row["path"], row["label"].strip())


class _Places:
    """Where the pictures of some data are, by every way to name them."""

    def __init__(self, labelled: Labelled, also: Callable[[], Sequence[str]]) -> None:
        self._labelled, self._also = labelled, also
        self._folder = labelled.source
        if not is_url(self._folder) and not os.path.isdir(self._folder):
            self._folder = os.path.dirname(self._folder)
        self._listed = _by_name(labelled.paths)
        self._real: dict[str, list[int]] | None = None

    def of(self, path: str) -> list[int]:
        """Positions of a picture: several if it is listed more than once."""
        names = [path] if is_url(path) else [path, os.path.join(self._folder, path)]
        for name in names:
            if name in self._listed:
                return self._listed[name]
        if is_url(path):
            return []
        if self._real is None:
            real = RealPaths()
            self._real = _by_name(map(real, self._labelled.paths))
            for name, found in _by_name(map(real, self._also())).items():
                self._real.setdefault(name, found)
        for name in map(os.path.realpath, names):
            if name in self._real:
                return self._real[name]
        return []


def _by_name(paths: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for k, path in enumerate(paths):
        found.setdefault(path, []).append(k)
    return found
