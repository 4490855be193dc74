"""The file in which work gathers: what a run that was stopped leaves for the next one.

After a line of settings come records: a line of JSON, and bytes. A run that is killed leaves a record
unfinished at most, and one whose machine loses its power some zeros.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from catclf import bounded_json
from catclf.errors import OutputError

SUFFIX = ".partial"
"""Added to the name of the output."""

_LONGEST_LINE = 16_000_000  # bytes; more is no record
_SYNC_SECONDS = 1.0

Record = dict[str, Any]
Fits = Callable[[Record, bytes], bool]
"""Takes a record and its bytes; False ends what is gone on from, and so does an exception."""


class RecordFile:
    """Opens the file for this process alone, takes the records that fit, and appends more.

    Parameters
    ----------
    path : str
        Made if there is no such file.
    command : str
        Whose file it is.
    settings : mapping
        Whatever the records depend on.
    drops : bool
        Whether records of other settings are dropped; otherwise they are refused.
    fits : (record, bytes) -> bool
        Called with each record in order.

    Raises
    ------
    OutputError
        If it cannot be written, is not such a file, is in use, or is refused.
    """

    def __init__(
        self, path: str, command: str, settings: Mapping[str, Any], drops: bool, fits: Fits
    ) -> None:
        self.path = path
        self._file = _opened_alone(path, command)
        self._synced = time.monotonic()
        try:
            self._begin(command, settings, drops)
            end = self._file.tell()
            while (found := self._next()) is not None and _taken(fits, *found):
                end = self._file.tell()
            self._file.seek(end)
            self._file.truncate()
        except OSError as exc:
            self.close()
            raise OutputError(path, f"cannot be read or written ({exc.strerror or exc})") from exc
        except BaseException:
            self.close()
            raise

    def append(self, record: Record, data: bytes | memoryview, synced: bool = False) -> None:
        """Add a record; `synced` is whether a loss of power shall cost no more than the last second."""
        whole = {**record, "bytes": len(data), "checksum": _checksum(record, data)}
        try:
            self._file.write(json.dumps(whole).encode() + b"\n")
            self._file.write(data)
            self._file.flush()
            if synced and time.monotonic() - self._synced >= _SYNC_SECONDS:
                os.fdatasync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as exc:
            raise OutputError(self.path, f"cannot be written ({exc.strerror or exc})") from exc

    def records(self) -> Iterator[tuple[Record, bytes]]:
        """Yield all of them, in order."""
        self._file.seek(0)
        self._file.readline()
        while (found := self._next()) is not None:
            yield found

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):  # a record that found no room is none
            self._file.close()

    def remove(self) -> None:
        """Delete the file, which has done its duty, while it is no other run's."""
        with contextlib.suppress(FileNotFoundError):  # somebody has tidied up
            os.unlink(self.path)

    def _begin(self, command: str, settings: Mapping[str, Any], drops: bool) -> None:
        magic = f"catclf {command} 1"
        head = json.dumps({"made by": magic, **settings}, sort_keys=True).encode() + b"\n"
        found = self._file.readline(_LONGEST_LINE)
        if found == head:
            return
        if not head.startswith(found.rstrip(b"\0")):
            if magic.encode() not in found:
                reason = f"is not a partial {command} file; move or delete it"
                raise OutputError(self.path, reason)
            if not drops:
                raise other_run(self.path, "another model or other options")
        self._file.seek(0)
        self._file.truncate()
        self._file.write(head)

    def _next(self) -> tuple[Record, bytes] | None:
        """Read the next record; None if there is none, or it is broken."""
        try:
            record: Record = bounded_json.loads(self._file.readline(_LONGEST_LINE))
            size, checksum = record.pop("bytes"), record.pop("checksum")
            data = self._file.read(size)
            whole = len(data) == size and _checksum(record, data) == checksum
        except (ValueError, LookupError, TypeError, AttributeError, MemoryError, OverflowError):
            return None
        return (record, data) if whole else None


def other_run(path: str, what: str) -> OutputError:
    """Say that a file is of a run with something else."""
    return OutputError(path, f"is from an interrupted run with {what}; use -f to start over")


@contextlib.contextmanager
def alone(output: str, command: str) -> Iterator[None]:
    """Inside the block no other run of the command writes the same output.

    Raises
    ------
    OutputError
        If another run has begun.
    """
    lock = output + ".lock"
    with _opened_alone(lock, command):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock)


def _taken(fits: Fits, record: Record, data: bytes) -> bool:
    try:
        return fits(record, data)
    except (ValueError, LookupError, TypeError):  # not what we would have written
        return False


def _checksum(record: Record, data: bytes | memoryview) -> int:
    return zlib.crc32(data, zlib.crc32(json.dumps(record, sort_keys=True).encode()))


def _opened_alone(path: str, command: str) -> io.BufferedRandom:
    """Open a file for this process alone, to be read and written; it is made where there is none.

    Raises
    ------
    OutputError
        If that cannot be, it belongs to another user, or another run of the command has it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # subtle: a descriptor of our own would be closed twice by a signal that comes in between.
        file = open(path, "r+b", 0, opener=lambda name, _: os.open(name, flags, 0o666))  # noqa: SIM115
    except OSError as exc:
        raise OutputError(path, f"cannot be written ({exc.strerror or exc})") from exc
    try:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OutputError(path, "is not a regular file; move or delete it")
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise OutputError(path, "belongs to another user; move it, or name another output")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return io.BufferedRandom(file)
    except BlockingIOError as exc:
        file.close()
        raise OutputError(path, f"is in use: another {command} is writing it") from exc
    except OSError as exc:
        file.close()
        raise OutputError(path, f"cannot be locked ({exc.strerror or exc})") from exc
    except BaseException:
        file.close()
        raise
