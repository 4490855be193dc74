"""Messages to people, on stderr: quiet, verbose, colour, and no raw control characters."""

from __future__ import annotations

import contextlib
import os
import sys

import click

from catclf.errors import CatclfError, spelled
from catclf.printable import printable


def report_error(message: str) -> None:
    """Say why the program stops."""
    _write(_coloured("catclf: error:", "red") + " " + printable(message))


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
    """

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        self.verbose = verbose and not quiet

    @property
    def live(self) -> bool:
        """Whether a line that is overwritten again and again makes sense."""
        terminal = sys.stderr is not None and sys.stderr.isatty()
        return terminal and not self._quiet and os.environ.get("TERM") != "dumb"

    def say(self, message: str) -> None:
        """Say something unless quiet."""
        if not self._quiet:
            _write(printable(message))

    def detail(self, message: str) -> None:
        """Say something if verbose."""
        if self.verbose:
            _write(printable(message))

    def failed(self, error: CatclfError, what_now: str) -> None:
        """Say of a picture that it could not be read."""
        from catclf.cli.parameters import current_spelling  # only here: it takes time to import

        self.warn(f"{spelled(error.parts(), current_spelling())}; {what_now}")

    def warn(self, message: str) -> None:
        """Say something that must be heard."""
        _write(_coloured("catclf: warning:", "yellow") + " " + printable(message))
