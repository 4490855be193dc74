"""A line on a terminal that is written over again and again, and what several summaries say."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import click

from catclf.cli.console import Console
from catclf.printable import number_of
from catclf.progress import Progress

if TYPE_CHECKING:
    from catclf.images.corrections import Corrections

_REFRESH_SECONDS = 0.1


class LiveProgress(Progress):
    """Shows on a live line how far a long task is; notes and warnings go to the console.

    There is no line unless the console is on a terminal and not quiet. It is gone after the block.

    Attributes
    ----------
    begun : bool
        Whether anything was reported as done.
    """

    def __init__(self, console: Console) -> None:
        self.begun = False
        self._console = console
        self._drawn_at = 0.0
        self._shown = False
        self.wants_details = console.verbose

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.erase()

    def draw(self, text: str) -> None:
        """Show `text` in the place of what was there, unless that was a moment ago."""
        now = time.monotonic()
        if self._console.live and now - self._drawn_at >= _REFRESH_SECONDS:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            click.echo("\r\x1b[K" + text[:width], err=True, nl=False, color=True)
            self._drawn_at, self._shown = now, True

    def erase(self) -> None:
        """Leave an empty line, for something else to be said."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False, color=True)
            self._shown = False

    def advanced(self, what: str, done: int, total: int) -> None:
        """See `Progress`."""
        self.begun = True
        self.draw(f"{what}: {done}/{total}")

    def note(self, message: str) -> None:
        """See `Progress`."""
        self.erase()
        self._console.detail(message)

    def hint(self, message: str) -> None:
        """See `Progress`."""
        self.erase()
        self._console.say(message)

    def warning(self, message: str) -> None:
        """See `Progress`."""
        self.erase()
        self._console.warn(message)


def counted(counts: Mapping[str, int], skipped: int, ignored: int) -> str:
    """Say how many pictures there are of each class, and what is not among them."""
    extras = []
    if skipped:
        extras.append(f"{skipped} unreadable")
    if ignored:
        extras.append(f"{number_of(ignored, 'other file')} ignored")
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"pictures: {shown}" + (f" ({', '.join(extras)})" if extras else "")


def tell_corrections(console: Console, corrections: Corrections) -> None:
    """Say what became of labels that were laid over those of data."""
    file, changed, left_out, unknown = corrections
    if unknown:
        paths = "1 path is" if len(unknown) == 1 else f"{len(unknown)} paths are"
        console.warn(f"{file}: {paths} not in the data, such as {unknown[0]}")
    labels, pictures = number_of(changed, "label"), number_of(left_out, "picture")
    console.say(f"{file}: {labels} changed, {pictures} left out")
