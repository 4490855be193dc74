"""Where chunks of items are computed: here, or on threads. Worker processes are in `processes`."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from typing import Any, Protocol

from catclf.work.threads import Threads

Function = Callable[[list[Any]], list[Any]]
"""Makes of a chunk of items as many results; worker processes may be sent it."""


class Task:
    """A chunk of items, and what has become of it."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items
        self.results: list[Any] | None = None
        self.error: BaseException | None = None
        self.seconds = 0.0

    @property
    def done(self) -> bool:
        """Whether there are results, or an error."""
        return self.results is not None or self.error is not None

    def run(self, function: Function) -> None:
        """Compute the results here."""
        try:
            self.results, self.seconds = timed(function, self.items)
        except Exception as exc:
            self.error = exc

    def outcome(self) -> list[Any]:
        """Return the results, or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.results is not None  # it is done
        return self.results


class Pool(Protocol):
    """A place where tasks are computed."""

    @property
    def room(self) -> int:
        """How many tasks should be under way."""

    def submit(self, task: Task) -> None:
        """Have a task computed."""

    def wait(self, handle: int | None) -> None:
        """Return when a task has been done, or when the file descriptor `handle` can be read."""

    def close(self) -> None:
        """Stop, whatever is under way."""


def await_readable(*handles: int, seconds: float | None = None) -> bool:
    """Wait until one of the file descriptors can be read, or at most so long; whether one can be.

    Unlike `select.select` it takes descriptors of any number.
    """
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))


class Here:
    """No pool at all: a task is done when it is submitted."""

    room = 1

    def __init__(self, function: Function) -> None:
        self._function = function

    def submit(self, task: Task) -> None:
        """See `Pool`."""
        task.run(self._function)

    def wait(self, handle: int | None) -> None:
        """See `Pool`."""
        if handle is not None:
            await_readable(handle)

    def close(self) -> None:
        """See `Pool`."""


class OnThreads:
    """Threads of this process, which take turns at Python code."""

    def __init__(self, function: Function, count: int) -> None:
        self.room = 2 * count
        self._function = function
        self._threads = Threads(count)
        self._bell = Bell()

    def submit(self, task: Task) -> None:
        """See `Pool`."""
        try:
            self._threads.submit(self._run, task)
        except MemoryError:  # no thread can be started
            self._run(task)

    def _run(self, task: Task) -> None:
        task.run(self._function)
        self._bell.ring()

    def wait(self, handle: int | None) -> None:
        """See `Pool`."""
        self._bell.wait(handle)

    def close(self) -> None:
        """See `Pool`."""
        self._threads.close()
        self._bell.close()


class Bell:
    """Wakes a thread that waits for a file descriptor as well."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)

    def ring(self) -> None:
        """Wake the one that waits, or will wait."""
        with contextlib.suppress(BlockingIOError):  # it is ringing
            os.write(self._in, b"\0")

    def wait(self, handle: int | None, seconds: float | None = None) -> None:
        """Return when it rings, when the file descriptor `handle` can be read, or after so long."""
        handles = [self._out] if handle is None else [self._out, handle]
        await_readable(*handles, seconds=seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._out, 4096)

    def close(self) -> None:
        """Take it down."""
        os.close(self._out)
        os.close(self._in)


def timed(function: Function, items: list[Any]) -> tuple[list[Any], float]:
    """Compute the results of a chunk, and say how many seconds that took."""
    begun = time.perf_counter()
    results = function(items)
    return results, time.perf_counter() - begun
