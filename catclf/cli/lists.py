"""Lists of paths, from a file or a pipe: one a line, or each ended by NUL. Opens none of them."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from typing import BinaryIO

from catclf.errors import DataError, system_reason
from catclf.images.picture import Picture
from catclf.work.spread import Waiting

LONGEST = 65_536
"""Bytes of a path; systems allow a few thousand. More are no path, and are not kept."""

_SHOWN = 60  # bytes of what is no path
_BLOCK = 65_536

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
    rest, dropped = b"", 0
    try:
        for number, block in enumerate(_blocks(file)):
            if isinstance(block, Waiting):
                yield block
                continue
            if number == 0 or (number == 1 and not rest):
                _check(block, name)
            *whole, last = block.split(end)
            for entry in whole:
                if dropped:
                    yield _too_long(rest, dropped + len(entry))
                elif rest or entry:
                    yield _path(rest + entry, null)
                rest, dropped = b"", 0
            if dropped:
                dropped += len(last)
            else:
                rest += last
                if len(rest) > LONGEST:
                    rest, dropped = rest[:_SHOWN], len(rest)
    except OSError as exc:
        raise DataError(name, system_reason(exc)) from exc
    if dropped:
        yield _too_long(rest, dropped)
    elif rest:
        yield _path(rest, null)


def _blocks(file: BinaryIO) -> Iterator[bytes | Waiting]:
    """Yield what is there, and a `Waiting` whenever that is nothing."""
    handle = None
    with contextlib.suppress(OSError, ValueError):
        handle = file.fileno()
    if handle is None:  # no file of the system, as in a test
        yield file.read()
        return
    while True:
        while not select.select([handle], [], [], 0)[0]:
            yield Waiting(handle)
        block = os.read(handle, _BLOCK)
        if not block:
            return
        yield block


def _check(head: bytes, name: str) -> None:
    """Refuse by its first bytes what is a picture."""
    from catclf.images.decode import begins_like_picture

    if begins_like_picture(head):
        raise DataError(name, "is a picture and no list of paths; leave --files-from out")


def _path(entry: bytes, null: bool) -> str | Picture:
    path = os.fsdecode(entry)
    if b"\0" in entry:
        reason = "has a NUL byte, so it is no path; if NUL ends the paths of the list, say -0"
        return Picture(path, error=DataError(path, reason))
    del null
    return path


def _too_long(head: bytes, size: int) -> Picture:
    path = os.fsdecode(head)
    ended = "is a newline, or with -0 a NUL, missing?"
    return Picture(path, error=DataError(path, f"goes on for {size} bytes, so it is no path; {ended}"))
