"""Rows of `predict -o`, kept in a file beside it as they come: a run that was stopped can go on."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from catclf.atomic import replacing
from catclf.images.file_state import state_of
from catclf.partial import SUFFIX, Record, RecordFile, other_run
from catclf.work.spread import Waiting

if TYPE_CHECKING:
    from catclf.images.picture import Picture


class Counts(NamedTuple):
    """How many pictures have been answered, how many of these negative, and how many could not be."""

    answered: int = 0
    negative: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """Pictures done with."""
        return self.answered + self.failed


class KeptRows:
    """Opens the file of an output, goes on from what it has, and appends.

    Parameters
    ----------
    output : str
    settings : mapping
        Whatever the rows depend on but the inputs.
    starts_over : bool
        Whether what an earlier run has left is to be thrown away.

    Attributes
    ----------
    path : str
    resumed : Counts
        What an earlier run had done with.

    Raises
    ------
    OutputError
        If the file is of another run, is something else, is in use, or cannot be written.
    """

    def __init__(self, output: str, settings: Mapping[str, Any], starts_over: bool) -> None:
        self._output = output
        self._counts, self._digest, self._has_rows = Counts(), "", False
        self._digests: deque[str] = deque()
        fits = _none if starts_over else self._fits
        self._file = RecordFile(output + SUFFIX, "predict", settings, drops=starts_over, fits=fits)
        self.path = self._file.path
        self.resumed = self._counts

    @property
    def counts(self) -> Counts:
        """What is in the file."""
        return self._counts

    @property
    def has_rows(self) -> bool:
        """Whether a row is in the file."""
        return self._has_rows

    def watched(self, pictures: Iterable[Picture | Waiting]) -> Iterator[Picture | Waiting]:
        """Leave out those that an earlier run had done with, if they are still the same.

        Raises
        ------
        OutputError
            If they are not, or there are fewer.
        """
        digest, number = hashlib.sha256(), 0
        for picture in pictures:
            if isinstance(picture, Waiting):
                yield picture
                continue
            _update(digest, picture)
            number += 1
            if number <= self.resumed.total:
                if number == self.resumed.total and digest.hexdigest() != self._digest:
                    raise other_run(self.path, "other pictures")
                continue
            self._digests.append(digest.hexdigest())
            yield picture
        if number < self.resumed.total:
            raise other_run(self.path, "more pictures")

    def add(self, rows: bytes, counts: Counts) -> None:
        """Append some rows; `counts` is of all pictures so far."""
        for _ in range(counts.total - self._counts.total):
            self._digest = self._digests.popleft()
        self._file.append({"counts": counts, "digest": self._digest}, rows, synced=True)
        self._counts, self._has_rows = counts, self._has_rows or bool(rows)

    def finish(self, head: bytes, tail: bytes) -> None:
        """Make the output of what stands before the rows, the rows, and what ends them."""
        with replacing(self._output) as file:
            file.write(head)
            file.writelines(rows for _, rows in self._file.records())
            file.write(tail)
        self._file.remove()
        self.close()

    def close(self) -> None:
        """Let go of the file; one without any picture is no use to anybody."""
        if not self._counts.total:
            self._file.remove()
        self._file.close()

    def _fits(self, record: Record, rows: bytes) -> bool:
        self._counts, self._digest = Counts(*map(int, record["counts"])), str(record["digest"])
        self._has_rows = self._has_rows or bool(rows)
        return True


def _none(record: Record, rows: bytes) -> bool:
    """Take no record."""
    del record, rows
    return False


def _update(digest: hashlib._Hash, picture: Picture) -> None:
    """Take in what tells a picture from others, and from what it was."""
    digest.update(os.fsencode(picture.path) + b"\0")
    if picture.row is not None:
        digest.update(picture.row.tobytes())
    elif picture.pixels is not None:
        digest.update(picture.pixels.tobytes())
    elif picture.error is not None:
        digest.update(picture.error.reason.encode("utf-8", "surrogatepass"))
    else:
        size, mtime, _ = state_of(picture.path)
        digest.update(f"{size} {mtime}\0".encode())
