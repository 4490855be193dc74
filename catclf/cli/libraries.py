"""Keep libraries from talking to the user: Pillow's warnings, and what C code writes to stderr."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator

_STDERR = 2


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Inside the block only Python writes to standard error, and Pillow does not warn.

    libtiff describes broken files on file descriptor 2, where no Python code can stop it. So number 2
    becomes the null device, and `sys.stderr`, with all messages and tracebacks, a duplicate of what
    it was. This is not done by turns around each picture, because other threads write meanwhile.
    """
    # Not catch_warnings: it is not safe where several threads decode.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        kept = os.dup(_STDERR)
    except OSError:  # started with it closed: the next file that is opened would get the number
        _point_at_null()
        yield
        return
    before = sys.stderr
    if _is_number_2():
        before.flush()
        raw = open(kept, "wb", closefd=False)  # noqa: SIM115 - it is used until the end of the block
        sys.stderr = io.TextIOWrapper(raw, before.encoding, before.errors, line_buffering=True)
    _point_at_null()
    try:
        yield
    finally:
        sys.stderr = before
        os.dup2(kept, _STDERR)
        os.close(kept)


def _is_number_2() -> bool:
    """Whether `sys.stderr` has not been replaced, as in a notebook or in a test."""
    try:
        return sys.stderr is not None and sys.stderr.fileno() == _STDERR
    except (OSError, ValueError):
        return False


def _point_at_null() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    if null != _STDERR:
        os.dup2(null, _STDERR)
        os.close(null)
