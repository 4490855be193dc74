"""A line on a terminal that is written over again and again, and what several summaries say."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType

import click

from catclf.cli.console import Console
from catclf.printable import number_of

_REFRESH_SECONDS = 0.1


class LiveLine:
    """Shows nothing unless `console` is on a terminal and not quiet; gone at the end of the block."""

    def __init__(self, console: Console) -> None:
        self._live = console.live
        self._drawn_at = 0.0
        self._shown = False

    def __enter__(self) -> LiveLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.erase()

    def draw(self, text: str) -> None:
        """Show `text` in the place of what was there, unless that was a moment ago."""
        now = time.monotonic()
        if self._live and now - self._drawn_at >= _REFRESH_SECONDS:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            click.echo("\r\x1b[K" + text[:width], err=True, nl=False, color=True)
            self._drawn_at, self._shown = now, True

    def erase(self) -> None:
        """Leave an empty line, for something else to be said."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False, color=True)
            self._shown = False


def counted(counts: Mapping[str, int], skipped: int, passed_over: int) -> str:
    """Say how many pictures there are of each class, and what is not among them."""
    extras = []
    if skipped:
        extras.append(f"{skipped} unreadable")
    if passed_over:
        extras.append(f"{number_of(passed_over, 'other file')} passed over")
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"pictures: {shown}" + (f" ({', '.join(extras)})" if extras else "")
