"""What tells whether a file is still the one that was read: its state, or what is in it."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from catclf.regular import open_regular

_AT_A_TIME = 1 << 20


class FileState(NamedTuple):
    """What the system says of a file.

    Attributes
    ----------
    size : int
        In bytes; -1 of what is no file.
    mtime : int
        Time of the last change, in nanoseconds.
    inode : int
    """

    size: int = -1
    mtime: int = 0
    inode: int = 0


def state_of(path: str) -> FileState:
    """Return the state of a file; of what is none, or cannot be looked at, that of no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return FileState()
    return FileState(status.st_size, status.st_mtime_ns, status.st_ino)


def sha256_of(path: str) -> bytes:
    """Hash what is in a file; nothing of one that cannot be read."""
    found = hashlib.sha256()
    try:
        handle, _ = open_regular(path)
        with open(handle, "rb") as file:
            while some := file.read(_AT_A_TIME):
                found.update(some)
    except (OSError, ValueError):
        return bytes(32)
    return found.digest()
