"""Where results go: standard output, a device, or a file that is there when all of it is."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from catclf.atomic import check_replaceable, replacing
from catclf.errors import OutputError

if TYPE_CHECKING:
    from catclf.cli.tables import Table

_STDOUT = "standard output"
# Not a file to be replaced even where the shell has redirected it to one.
_STDOUT_PATHS = (None, "-", "/dev/stdout")


class _Sink(io.FileIO):
    """A file whose failing writes are errors that name it. After one, the rest goes nowhere."""

    def __init__(self, file: int | str, name: str) -> None:
        self._shown = name
        try:
            super().__init__(file, "wb", closefd=isinstance(file, str))
        except OSError as exc:
            raise self._failure(exc) from exc

    def write(self, data: Any, /) -> int:
        try:
            count = super().write(data)
            if count is None:  # it does not wait for its reader
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        except BrokenPipeError:
            _point_at_null(self.fileno())
            raise
        except OSError as exc:
            _point_at_null(self.fileno())
            raise self._failure(exc) from exc
        return count

    def _failure(self, exc: OSError) -> OutputError:
        return OutputError(self._shown, f"cannot be written ({exc.strerror})")


def _point_at_null(handle: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, handle)
    os.close(null)


@contextlib.contextmanager
def named_stdout() -> Iterator[None]:
    """Inside the block an error of standard output is an OutputError, unlike those of other files."""
    before = sys.stdout
    if _is_number_1():
        before.flush()
        buffer = io.BufferedWriter(_Sink(1, _STDOUT))
        sys.stdout = io.TextIOWrapper(buffer, before.encoding, before.errors)
    try:
        yield
    finally:
        if sys.stdout is not before:
            with contextlib.suppress(OSError, OutputError):
                sys.stdout.flush()
        sys.stdout = before


def _is_number_1() -> bool:
    """Whether `sys.stdout` is there and has not been replaced, as in a notebook or in a test."""
    try:
        return sys.stdout is not None and sys.stdout.fileno() == 1
    except (OSError, ValueError):
        return False


def abandon_stdout() -> None:
    """Let what is still to be flushed go nowhere, since nobody can read it any more."""
    if sys.stdout is not None:
        _point_at_null(sys.stdout.fileno())


def result_stream() -> BinaryIO:
    """Standard output, as bytes.

    Raises
    ------
    OutputError
        If the program was started without one.
    """
    if sys.stdout is None:
        raise OutputError(_STDOUT, "is closed")
    return sys.stdout.buffer


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[BinaryIO]:
    """Open the place that ``-o`` names: standard output for None or ``-``, a device, or a file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if output is None or output in _STDOUT_PATHS:
        yield result_stream()
    elif _is_device(output):  # a terminal, a pipe: nothing there to be replaced
        with io.BufferedWriter(_Sink(output, output)) as device:
            yield device
    else:
        with replacing(output) as file:
            yield file


def check_output(output: str | None) -> None:
    """Raise OutputError, before any work is done, if `opened` would."""
    if output is not None and is_file(output):
        check_replaceable(output)


def is_file(output: str) -> bool:
    """Whether that is a file which `opened` puts into its place when all of it is there."""
    return output not in _STDOUT_PATHS and not _is_device(output)


def _is_device(path: str) -> bool:
    with contextlib.suppress(OSError):
        mode = os.stat(path).st_mode
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
    return False


def print_text(text: str, output: str | None = None) -> None:
    """Write lines to `output`, standard output if None."""
    with opened(output) as file:
        file.write(os.fsencode(text) + b"\n")


def print_json(values: Any, output: str | None = None) -> None:
    """Write plain values as JSON for people to read as well; see `json_bytes`."""
    from catclf.cli.tables import json_bytes

    with opened(output) as file:
        file.write(json_bytes(values, indent=2) + b"\n")


def write_table(table: Table, rows: Iterable[Any], path: str) -> None:
    """Write rows to a file in the format of its suffix."""
    from catclf.cli.tables import written

    suffix = os.path.splitext(path)[1].removeprefix(".")
    with replacing(path) as file:
        file.writelines(written(table, ([row] for row in rows), suffix))


def write_page(page: str, path: str) -> None:
    """Write a page of HTML, instead of one that may be there."""
    with replacing(path) as file:
        file.write(page.encode())
