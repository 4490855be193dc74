"""Lists of paths, from a file or a pipe: one a line, or each ended by NUL. Opens none of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from catclf.errors import DataError, system_reason
from catclf.images.listing import IS_UTF_16, UTF_16
from catclf.images.picture import Picture
from catclf.work.pools import await_readable
from catclf.work.spread import Waiting

LONGEST = 65_536
"""Bytes of a path; systems allow a few thousand. More are no path, and are not kept."""

_SHOWN = 60  # bytes of what is no path
_HEAD = 16  # bytes that tell a picture
_BLOCK = 65_536
_MARK = "\ufeff"  # byte order mark

Listed = Iterator[str | Picture | Waiting]


def listed(file: BinaryIO, name: str, null: bool) -> Listed:
    """Yield the paths of a list as they come.

    What cannot be a path is a picture with an error, and where none is there yet a `Waiting` says so.

    Raises
    ------
    DataError
        If it is a picture and no list, or cannot be read.
    """
    end = b"\0" if null else b"\n"
    head, entry = b"", _Entry()
    try:
        for block in _blocks(file):
            if isinstance(block, Waiting):
                yield block
                continue
            if len(head) < _HEAD:
                head += block[:_HEAD]
                _refuse_picture(head, name)
            *whole, last = block.split(end)
            for part in whole:
                entry.add(part)
                if entry.size:
                    yield entry.value()
                entry = _Entry()
            entry.add(last)
    except OSError as exc:
        raise DataError(name, system_reason(exc)) from exc
    if entry.size:
        yield entry.value()


class _Entry:
    """A path that comes in parts; of one that is too long only the beginning is kept."""

    def __init__(self) -> None:
        self.size = 0
        self._kept = b""

    def add(self, part: bytes) -> None:
        self.size += len(part)
        self._kept = self._kept + part if self.size <= LONGEST else (self._kept + part)[:_SHOWN]

    def value(self) -> str | Picture:
        """The path, or a picture with the reason why it is none."""
        path = os.fsdecode(self._kept)
        if self.size > LONGEST:
            found = f"is {self.size} bytes long, so it is not a path"
            reason = f"{found}; is a newline, or with -0 a NUL, missing?"
        elif b"\0" in self._kept:
            reason = "has a NUL byte, so it is not a path; for a NUL-separated list, use -0"
        else:
            wrong = _line_ends(path)
            if wrong is None:
                return path
            path, reason = path.rstrip("\r").removeprefix(_MARK), f"no such file or directory: {wrong}"
        return Picture(path, error=DataError(path, reason))


def _line_ends(path: str) -> str | None:
    """Say why a path does not exist that would without what some editors write beside it."""
    meant = path.rstrip("\r").removeprefix(_MARK)
    if meant == path or os.path.lexists(path) or not os.path.lexists(meant):
        return None
    if path.startswith(_MARK):
        return "the list begins with a byte order mark; save it as UTF-8 without one"
    return "the list has Windows line endings; convert it, for example with dos2unix"


def _blocks(file: BinaryIO) -> Iterator[bytes | Waiting]:
    """Yield what is there, and a `Waiting` whenever that is nothing."""
    handle = None
    with contextlib.suppress(OSError, ValueError):
        handle = file.fileno()
    if handle is None:  # no file of the system, as in a test
        yield file.read()
        return
    while True:
        while not await_readable(handle, seconds=0):
            yield Waiting(handle)
        block = os.read(handle, _BLOCK)
        if not block:
            return
        yield block


def _refuse_picture(head: bytes, name: str) -> None:
    """Refuse by its first bytes what is a picture and no list."""
    from catclf.images.formats import begins_like_picture

    if head[:2] in UTF_16:
        raise DataError(name, IS_UTF_16)
    if begins_like_picture(head):
        raise DataError(name, "is a picture, not a list of paths; drop --files-from")
