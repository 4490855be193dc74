"""What is known of labelled pictures: paths, labels, classes, and what is not among them. No pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from catclf.class_names import bare, merged, united
from catclf.errors import DataError, Setting, Text
from catclf.printable import looks_like_formula, number_of
from catclf.unread import sentences

LEFT_OUT = "-"
"""The label, in a CSV file, of a picture that is not to be trained on."""

_REASONS_SHOWN = 3


@dataclass(frozen=True)
class Labelled:
    """Pictures with their classes: those that are listed or, after reading, those that could be read.

    Attributes
    ----------
    source : str
        As the user named it.
    labels : (m,) intp
        Index into `classes`.
    classes : tuple of str
    paths : sequence of str, m of them
    usual_positive : str or None
        The class that is positive if nobody says otherwise.
    ignored : tuple of str
        The files that were not tried because of their names.
    skipped : tuple of DataError
        The pictures that could not be read.
    relative_to : str or None
        The folder that the paths of a CSV file are relative to.
    warnings : tuple of str
        Sentences that the user should read: on classes that are taken for one, on labels that may be a
        model's own.
    endless : int
        Pictures read that lack the end of their file, and nothing else.
    left_out : (m,) bool or None
        The pictures that are not to be trained on; None is none of them.
    """

    source: str
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    paths: Sequence[str]
    usual_positive: str | None
    ignored: tuple[str, ...] = ()
    skipped: tuple[DataError, ...] = ()
    relative_to: str | None = None
    warnings: tuple[str, ...] = ()
    endless: int = 0
    left_out: NDArray[np.bool_] | None = None

    @property
    def m(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def counts(self) -> dict[str, int]:
        """Number of pictures of each class."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, numbers.tolist(), strict=True))

    def only(self, read: Sequence[int], skipped: Sequence[DataError]) -> Self:
        """Return what is known of the pictures that could be `read`.

        Raises
        ------
        DataError
            If there are none.
        """
        if not len(read):
            raise DataError(self.source, *self._nothing_read(skipped))
        if len(read) == self.m:
            return self
        paths = tuple(self.paths[k] for k in read)
        left_out = None if self.left_out is None else self.left_out[read]
        return replace(
            self, labels=self.labels[read], paths=paths, skipped=tuple(skipped), left_out=left_out
        )

    def _nothing_read(self, skipped: Sequence[DataError]) -> Iterator[Text]:
        yield f"has no picture that can be read ({self.m} tried)"
        for k, error in enumerate(skipped[:_REASONS_SHOWN]):
            yield f"{'; ' if k else ': '}{error.path}: "
            yield error.reason
        if self.relative_to is not None:
            yield f"; paths in it are relative to {self.relative_to or 'the current folder'}"

    def refuse_none(self) -> None:
        """Raise a DataError if there are no pictures, with a file that is not taken for one."""
        if not self.m:
            others = self.ignored
            seen = (
                f", but {number_of(len(others), 'other file')}, such as {others[-1]}" if others else ""
            )
            unread = "".join(f"; {sentence}" for sentence in sentences(others))
            raise DataError(self.source, f"has no pictures{seen}{self.unnamed}{unread}")

    @property
    def unnamed(self) -> str:
        """The end of a sentence on ignored files that have no suffix, or nothing."""
        count = sum("." not in os.path.basename(path).lstrip(".") for path in self.ignored)
        if not count:
            return ""
        found = f"{number_of(count, 'file')} without a suffix {'was' if count == 1 else 'were'} ignored"
        return f"; {found}: rename them to .jpg or .png, or list them in a CSV with path,label"


class Classes(NamedTuple):
    """The classes of some data.

    Attributes
    ----------
    names : tuple of str
        Those that differ.
    numbers : dict
        Index into `names` for each name that is in the data.
    warnings : tuple of str
        See `Labelled`.
    """

    names: tuple[str, ...]
    numbers: dict[str, int]
    warnings: tuple[str, ...]


def classes_of(source: str, found: Sequence[str]) -> Classes:
    """Unite names that are alike, in the order in which they are found.

    Raises
    ------
    DataError
        If one is the plural of another, or would be a formula where a table with it is opened.
    """
    for name in found:
        if looks_like_formula(name):
            reason = f"has the class {name!r}, which a spreadsheet would take for a formula: rename it"
            raise DataError(source, reason)
    try:
        written = united(found)
    except ValueError as exc:
        remedy = "rename one, or leave one out with "
        raise DataError(source, f"{exc}: {remedy}", Setting("exclude")) from exc
    names = tuple(dict.fromkeys(written[name] for name in found))
    numbers = {name: names.index(written[name]) for name in found}
    return Classes(names, numbers, tuple(merged(found, written)))


def usual_positive(classes: Sequence[str]) -> str | None:
    """Find the class that is positive if nobody says otherwise: cat or cats, in any case."""
    alike = [name for name in classes if bare(name) in ("cat", "cats")]
    return alike[0] if len(alike) == 1 else None
