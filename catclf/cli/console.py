"""Messages to people, on stderr: quiet, verbose, colour, and no raw control characters."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TextIO

import click

from catclf.errors import CatclfError, OutputError, spelled
from catclf.printable import printable, shortened


class _Log:
    """A file that messages go to as well, with their times. There is one for the whole program."""

    def __init__(self) -> None:
        self._file: TextIO | None = None

    def open(self, path: str) -> None:
        """Begin to append to a file.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        try:
            self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - see close
        except OSError as exc:
            raise OutputError(path, f"cannot be written ({exc.strerror})") from exc

    def close(self) -> None:
        """Let go of the file, if there is one."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def add(self, message: str) -> None:
        """Append a line with the time; a full disk is no reason to stop."""
        if self._file is not None:
            now = time.strftime("%Y-%m-%d %H:%M:%S")
            with contextlib.suppress(OSError):
                self._file.write(f"{now} {printable(shortened(message))}\n")


log = _Log()


def report_error(message: str) -> None:
    """Say why the program stops."""
    log.add(f"catclf: error: {message}")
    _write(_coloured("catclf: error:", "red") + " " + printable(shortened(message)))


def report_usage(text: str) -> None:
    """Say how a command was misused, in several lines."""
    log.add(text.strip().rpartition("\n")[2])
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            click.echo(shortened(text), err=True, nl=False)


def report_interruption(outcome: str) -> None:
    """Say that the program was stopped, and what became of its work."""
    message = f"catclf: interrupted: {outcome}" if outcome else "catclf: interrupted"
    log.add(message)
    _write(message)


def _write(line: str) -> None:
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):  # such as a full disk: nobody could read it anyway
        click.echo(line, err=True, color=_colour_wanted())


def _coloured(text: str, colour: str) -> str:
    return click.style(text, fg=colour, bold=True) if _colour_wanted() else text


def _colour_wanted() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stderr is not None and sys.stderr.isatty()


class Console:
    """Where a command says things; results do not come here.

    Parameters
    ----------
    quiet : bool
        Only warnings and errors.
    verbose : bool
        Details as well.
    log_file : str or None
        A file that all messages are appended to, with details and times, whatever is shown.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False, log_file: str | None = None) -> None:
        if log_file is not None:
            log.open(log_file)
        self._quiet = quiet
        self.verbose = verbose and not quiet

    @property
    def live(self) -> bool:
        """Whether a line that is overwritten again and again makes sense."""
        terminal = sys.stderr is not None and sys.stderr.isatty()
        return terminal and not self._quiet and os.environ.get("TERM") != "dumb"

    def say(self, message: str) -> None:
        """Say something unless quiet."""
        log.add(message)
        if not self._quiet:
            _write(printable(shortened(message)))

    def detail(self, message: str) -> None:
        """Say something if verbose."""
        log.add(message)
        if self.verbose:
            _write(printable(shortened(message)))

    def failed(self, error: CatclfError, what_now: str) -> None:
        """Say of a picture that it could not be read."""
        from catclf.cli.parameters import current_spelling  # only here: it takes time to import

        self.warn(f"{spelled(error.parts(), current_spelling())}; {what_now}")

    def warn(self, message: str) -> None:
        """Say something that must be heard."""
        log.add(f"catclf: warning: {message}")
        _write(_coloured("catclf: warning:", "yellow") + " " + printable(shortened(message)))
