"""Starts the process that reads HDF5 files, early enough to be ready when the first one is opened."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catclf.work.guarded import GuardedChild

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
_PROGRAM = os.path.join(os.path.dirname(__file__), "hdf5_child.py")
_ENVIRONMENT = {
    "HDF5_PLUGIN_PRELOAD": "::",  # loads no plug-ins
    "HDF5_USE_FILE_LOCKING": "FALSE",
    "OPENBLAS_NUM_THREADS": "1",
}
_waiting: list[GuardedChild] = []


def is_hdf5_name(path: str) -> bool:
    """Whether `path` ends like an HDF5 file, in either case."""
    return path.lower().endswith(HDF5_SUFFIXES)


def start_ahead(arguments: Iterable[str]) -> None:
    """Start a process if an argument is an HDF5 file: it imports its libraries while we import ours."""
    if any(is_hdf5_name(argument) and os.path.isfile(argument) for argument in arguments):
        with contextlib.suppress(OSError):  # it will be tried again, and then be an error
            _waiting.append(_start())


def take() -> GuardedChild:
    """Return the process that was started ahead, or a new one; nobody else has it."""
    return _waiting.pop() if _waiting else _start()


def _start() -> GuardedChild:
    from catclf.work.guarded import GuardedChild  # only where it is needed: it takes time to import

    return GuardedChild(_PROGRAM, _ENVIRONMENT)
