"""Open a regular file for reading, and nothing that could block or never end."""

from __future__ import annotations

import errno
import os
import stat


def open_regular(path: str) -> tuple[int, int]:
    """Open `path` for reading if it is a regular file: its descriptor, and its size in bytes.

    Raises
    ------
    OSError
        As `os.open` does; and where `path` is something else, such as a folder, a FIFO or a device.
    ValueError
        If the path has a NUL.
    """
    # Not blocking: opening a FIFO that nobody writes to would otherwise wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        reason = "Is a directory" if stat.S_ISDIR(status.st_mode) else "Is not a regular file"
        raise OSError(errno.EINVAL, reason, path)
    return handle, status.st_size
