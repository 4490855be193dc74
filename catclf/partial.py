"""The file in which work gathers: what a run that was stopped leaves for the next one."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import stat
from collections.abc import Iterator

from catclf.errors import OutputError

SUFFIX = ".partial"
"""Added to the name of the output."""


@contextlib.contextmanager
def alone(output: str, command: str) -> Iterator[None]:
    """Inside the block no other run of the command writes the same output.

    Raises
    ------
    OutputError
        If another run has begun.
    """
    lock = output + ".lock"
    with opened_alone(lock, command):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock)


def opened_alone(path: str, command: str) -> io.BufferedRandom:
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
            raise OutputError(path, "is not a regular file; move it away")
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise OutputError(path, "belongs to another user; move it away, or name another output")
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
