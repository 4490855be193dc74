"""A line on a terminal that is written over again and again, and what several summaries say."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import click

from catclf.cli.console import Console, log
from catclf.printable import number_of, printable
from catclf.progress import Progress

if TYPE_CHECKING:
    from catclf.images.corrections import Corrections

_REFRESH_SECONDS = 0.1
_TICK_SECONDS = 0.25
_CLOCK_SECONDS = 1.0  # a line that has stood for so long gets a clock
_PACE_SECONDS = 0.5  # before that a rate says little
_FIRST_LINE_SECONDS = 5.0
_USUAL_WIDTH = 80


class LiveProgress(Progress):
    """Shows on a live line how far a long task is; notes and warnings go to the console.

    There is no line unless the console is on a terminal and not quiet; it is gone after the block. While
    nothing new is heard a clock on it runs. A verbose console that is no terminal gets whole lines
    instead, each after twice the time of the one before.

    Parameters
    ----------
    console : Console
    live : bool
        Whether there may be a line; not where rows go to the same terminal.

    Attributes
    ----------
    begun : bool
        Whether anything was reported as done.
    shown : bool
        Whether anybody sees how far it is.
    """

    def __init__(self, console: Console, live: bool = True) -> None:
        self.begun = False
        self._console = console
        self._live = live and console.live
        self.shown = self._live or console.verbose
        self._alarm: Any = None  # what handled the signal before
        self._drawn_at = 0.0
        self._shown = False
        self._text, self._text_since = "", 0.0
        self._what, self._since, self._first = "", 0.0, 0
        self._started = time.monotonic()
        self._next_line = _FIRST_LINE_SECONDS
        self.wants_details = console.verbose

    def __enter__(self) -> Self:
        if self._live and threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGALRM, lambda number, frame: self._tick())
            self._alarm = before or signal.SIG_DFL
            signal.setitimer(signal.ITIMER_REAL, _TICK_SECONDS, _TICK_SECONDS)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._alarm is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._alarm)
            self._alarm = None
        self.erase()
        self._text = ""

    def draw(self, text: str) -> None:
        """Show `text` instead of what was there, unless that was a moment ago."""
        now = time.monotonic()
        self._text, self._text_since = text, now
        if self._live and now - self._drawn_at >= _REFRESH_SECONDS:
            self._put(text, now)

    def erase(self) -> None:
        """Leave an empty line, for something else to be said."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False, color=True)
            self._shown = False

    def began(self, what: str) -> None:
        """See `Progress`."""
        self._drawn_at = 0.0
        self.draw(f"{what} …")

    def advanced(self, what: str, done: int, total: int) -> None:
        """See `Progress`."""
        self.begun = True
        now = time.monotonic()
        if what != self._what or done < self._first:
            self._what, self._since, self._first = what, now, done
        said = f"{what}: {done}/{total}" if total else f"{what}: {done}"
        said += self._pace(done, total, now - self._since)
        self.draw(said)
        if now - self._started >= self._next_line:
            self._next_line = 2 * (now - self._started)
            line = f"{said} (after {clock(now - self._started)})"
            if self._live:
                log.add(line)
            else:
                self._console.detail(line)

    def _pace(self, done: int, total: int, seconds: float) -> str:
        if seconds < _PACE_SECONDS or done <= self._first:
            return ""
        rate = (done - self._first) / seconds
        shown = f"  {rate:.0f}/s" if rate >= 10 else f"  {rate:.1f}/s" if rate >= 1 else ""
        return f"{shown}  {clock((total - done) / rate)} left" if total else shown

    def _tick(self) -> None:
        """Let the clock run on a line that has stood for a while."""
        now = time.monotonic()
        if self._text and now - self._drawn_at >= _CLOCK_SECONDS:
            self._put(f"{self._text}  ({clock(now - self._text_since)})", now)

    def _put(self, text: str, now: float) -> None:
        # subtle: a signal may come in the middle of a write to sys.stderr, which allows no second one.
        with contextlib.suppress(OSError, ValueError):  # it is gone
            terminal = sys.stderr.fileno()
            width = os.get_terminal_size(terminal).columns or _USUAL_WIDTH
            os.write(terminal, f"\r\x1b[K{printable(text)[: width - 1]}".encode())
        self._drawn_at, self._shown = now, True

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


def clock(seconds: float) -> str:
    """A time for people.

    Examples
    --------
    >>> clock(7.4), clock(75), clock(3725), clock(math.inf)
    ('0:07', '1:15', '1:02:05', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def counted(counts: Mapping[str, int], skipped: int, ignored: int) -> str:
    """Say how many pictures there are of each class, and what is not among them."""
    extras = []
    if skipped:
        extras.append(f"{skipped} unreadable")
    if ignored:
        extras.append(f"{number_of(ignored, 'other file')} ignored")
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"pictures: {shown}" + (f" ({', '.join(extras)})" if extras else "")


def report_corrections(console: Console, corrections: Corrections) -> None:
    """Say what became of labels that were laid over those of data."""
    file, changed, left_out, unknown = corrections
    if unknown:
        paths = "1 path is" if len(unknown) == 1 else f"{len(unknown)} paths are"
        console.warn(f"{file}: {paths} not in the data, such as {unknown[0]}")
    labels, pictures = number_of(changed, "label"), number_of(left_out, "picture")
    console.say(f"{file}: {labels} changed, {pictures} left out")
