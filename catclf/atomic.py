"""Write a file whole or not at all. Knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from catclf.errors import OutputError


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of `path` that takes its place if the block ends without an error.

    It gets the permissions of the file that it replaces, or those that the umask leaves to a new one.

    Raises
    ------
    OutputError
        If the folder cannot be written, or `path` is something other than a regular file.
    """
    target = os.path.realpath(path)
    old_mode = check_replaceable(path)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".catclf-", dir=os.path.dirname(target))
        with open(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask() if old_mode is None else old_mode)
        os.replace(temporary, target)
        temporary = ""
        _sync_folder(os.path.dirname(target))
    except OSError as exc:
        raise OutputError(path, f"cannot be written ({exc.strerror or exc})") from exc
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def check_replaceable(path: str) -> int | None:
    """Permissions of the regular file `path`, or None if there is none but there can be.

    Raises
    ------
    OutputError
        If it is something else, or its folder is missing or cannot be written.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise OutputError(path, f"there is no folder {folder}; make it first")
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        mode = None
    except OSError as exc:  # such as a name that is too long
        raise OutputError(path, f"cannot be written ({exc.strerror})") from exc
    if mode is not None and not stat.S_ISREG(mode):
        raise OutputError(path, "is not a regular file; give the name of a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(path, f"there is no permission to write in the folder {folder}")
    return None if mode is None else mode & 0o777


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: str) -> None:
    # Makes the new name itself last a power failure; not every file system allows it.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
