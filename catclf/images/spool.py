"""What pictures became, in a file that only grows: what an interrupted run leaves for the next one.

After a line of settings come records, each of some pictures of the source: a line of JSON, and what
those became that could be read: pixels, or rows with what belongs to them. A run that is killed leaves
a record unfinished at most.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf import bounded_json
from catclf.errors import OutputError
from catclf.images.decode import PILLOW
from catclf.partial import opened_alone

_MAGIC = "catclf pack 1"
_LONGEST_LINE = 16_000_000  # bytes; more is no record


class Spool:
    """Opens the file, keeps those of its records that fit the source as it is now, and appends more.

    Parameters
    ----------
    path : str
        Made if there is no such file.
    item : numpy.dtype
        What is kept of a picture.
    settings : mapping
        Whatever that depends on; what was made with other settings is dropped.
    digest : (first, stop) -> str
        Changes when one of these pictures of the source does.

    Attributes
    ----------
    taken : int
        Number of pictures of the source that are in the file, or that could not be read.
    failures : list of (int, str)
        Position and reason of each of the latter.

    Raises
    ------
    OutputError
        If it cannot be written, is not such a file, or is in use.
    """

    def __init__(
        self,
        path: str,
        item: np.dtype[Any],
        settings: Mapping[str, Any],
        digest: Callable[[int, int], str],
    ) -> None:
        self.path = path
        self.taken = 0
        self.failures: list[tuple[int, str]] = []
        self._item = item
        self._digest = digest
        self._file = opened_alone(path, "pack")
        try:
            self._resume({"item": str(item), "decoder": PILLOW, **settings})
        except OSError as exc:
            self.close()
            raise OutputError(path, f"cannot be read or written ({exc.strerror or exc})") from exc
        except BaseException:
            self.close()
            raise

    def append(self, items: NDArray[Any], failures: Sequence[tuple[int, str]]) -> None:
        """Add the next pictures of the source: those that could be read, and why the others could not.

        Parameters
        ----------
        items : (k,) of the dtype
        failures : sequence of (int, str)
            Position in the source, reason.
        """
        count = len(items) + len(failures)
        record = {
            "pictures": count,
            "read": len(items),
            "failures": list(failures),
            "digest": self._digest(self.taken, self.taken + count),
            "checksum": _checksum(failures, items),
        }
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.write(_bytes(items))
            self._file.flush()
        except OSError as exc:
            raise OutputError(self.path, f"cannot be written ({exc.strerror or exc})") from exc
        self.taken += count
        self.failures += failures

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the items (k,) in order."""
        self._file.seek(0)
        self._file.readline()
        taken = 0
        while taken < self.taken:
            record = json.loads(self._file.readline())
            taken += record["pictures"]
            yield self._items(record["read"])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file, which has done its duty."""
        with contextlib.suppress(FileNotFoundError):  # somebody has tidied up
            os.unlink(self.path)

    def _resume(self, settings: Mapping[str, Any]) -> None:
        head = json.dumps({"made by": _MAGIC, **settings}, sort_keys=True).encode() + b"\n"
        found = self._file.readline(_LONGEST_LINE)
        if not head.startswith(found.rstrip(b"\0")) and _MAGIC.encode() not in found:
            raise OutputError(self.path, "is not what an interrupted pack leaves; move it away")
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
        """Go past the next record if it is whole and its pictures are still the same."""
        try:
            record = bounded_json.loads(self._file.readline(_LONGEST_LINE))
            stop = self.taken + record["pictures"]
            if record["digest"] != self._digest(self.taken, stop):
                return False
            if record["read"] + len(record["failures"]) != record["pictures"]:
                return False
            failures = [(int(k), str(reason)) for k, reason in record["failures"]]
            if _checksum(failures, self._items(record["read"])) != record["checksum"]:
                return False
        except (ValueError, LookupError, TypeError):  # it is broken, or there are fewer pictures now
            return False
        self.taken = stop
        self.failures += failures
        return True

    def _items(self, count: int) -> NDArray[Any]:
        items = np.empty(count, self._item)
        if self._file.readinto(_bytes(items)) < items.nbytes:
            raise ValueError("the file ends early")
        return items


def _bytes(items: NDArray[Any]) -> memoryview:
    return items.reshape(-1).view(np.uint8).data


def _checksum(failures: Sequence[tuple[int, str]], items: NDArray[Any]) -> int:
    return zlib.crc32(_bytes(items), zlib.crc32(json.dumps(failures).encode()))
