"""Rows of `predict -o`, kept in a file beside it as they come: a run that was stopped can go on.

After a line of settings come records: a line of JSON, and the bytes of some rows. A run that is killed
leaves a record unfinished at most.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from catclf import bounded_json
from catclf.atomic import replacing
from catclf.errors import OutputError
from catclf.images.file_state import state_of
from catclf.partial import SUFFIX, opened_alone
from catclf.work.spread import Waiting

if TYPE_CHECKING:
    from catclf.images.picture import Picture

_MAGIC = "catclf predict 1"
_LONGEST_LINE = 1_000_000  # bytes; more is no record
_SYNC_SECONDS = 1.0


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
    anew : bool
        Whether a file that another run has left is to be thrown away.

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

    def __init__(self, output: str, settings: Mapping[str, Any], anew: bool) -> None:
        self.path = output + SUFFIX
        self._output = output
        self._counts, self._digest, self._has_rows = Counts(), "", False
        self._digests: deque[str] = deque()
        self._synced = time.monotonic()
        self._file = opened_alone(self.path, "predict")
        try:
            self._take({"made by": _MAGIC, **settings}, anew)
        except OSError as exc:
            self._file.close()
            raise OutputError(self.path, f"cannot be read or written ({exc.strerror or exc})") from exc
        except BaseException:
            self._file.close()
            raise
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
                    raise self._other_run("other pictures")
                continue
            self._digests.append(digest.hexdigest())
            yield picture
        if number < self.resumed.total:
            raise self._other_run("more pictures")

    def add(self, rows: bytes, counts: Counts) -> None:
        """Append some rows; `counts` is of all pictures so far."""
        for _ in range(counts.total - self._counts.total):
            self._digest = self._digests.popleft()
        record = {"counts": counts, "digest": self._digest, "bytes": len(rows), "checksum": _sum(rows)}
        try:
            self._file.write(json.dumps(record).encode() + b"\n" + rows)
            self._file.flush()
            if time.monotonic() - self._synced >= _SYNC_SECONDS:
                os.fdatasync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as exc:
            raise OutputError(self.path, f"cannot be written ({exc.strerror or exc})") from exc
        self._counts, self._has_rows = counts, self._has_rows or bool(rows)

    def finish(self, head: bytes, tail: bytes) -> None:
        """Make the output of what stands before the rows, the rows, and what ends them."""
        self._file.seek(0)
        self._file.readline()
        with replacing(self._output) as file:
            file.write(head)
            while line := self._file.readline():
                file.write(self._file.read(json.loads(line)["bytes"]))
            file.write(tail)
        self._remove()
        self.close()

    def close(self) -> None:
        """Let go of the file; one without any picture is no use to anybody."""
        if self._file.closed:
            return
        if not self._counts.total:
            self._remove()
        with contextlib.suppress(OSError):  # a record that found no room is none
            self._file.close()

    def _remove(self) -> None:
        """Delete the file while it is still locked, so that it is no other run's."""
        with contextlib.suppress(FileNotFoundError):  # somebody has tidied up
            os.unlink(self.path)

    def _take(self, settings: Mapping[str, Any], anew: bool) -> None:
        head = json.dumps(settings, sort_keys=True).encode() + b"\n"
        found = self._file.readline(_LONGEST_LINE)
        if not head.startswith(found.rstrip(b"\0")):
            if _MAGIC.encode() not in found:
                raise OutputError(self.path, "is not what an interrupted predict leaves; move it away")
            if not anew:
                raise self._other_run("another model or other options")
        if found != head:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(head)
        end = self._file.tell()
        while self._take_record():
            end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()

    def _take_record(self) -> bool:
        """Go past the next record if it is whole."""
        try:
            record = bounded_json.loads(self._file.readline(_LONGEST_LINE))
            rows = self._file.read(record["bytes"])
            if len(rows) != record["bytes"] or _sum(rows) != record["checksum"]:
                return False
            counts, digest = Counts(*map(int, record["counts"])), str(record["digest"])
        except (ValueError, LookupError, TypeError):
            return False
        self._counts, self._digest = counts, digest
        self._has_rows = self._has_rows or bool(rows)
        return True

    def _other_run(self, what: str) -> OutputError:
        return OutputError(self.path, f"is of an interrupted run with {what}; -f begins anew")


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


def _sum(rows: bytes) -> int:
    return zlib.crc32(rows)
