"""SIGINT and SIGTERM: at once where nothing can be lost, at the next good moment elsewhere."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def masked() -> Iterator[None]:
    """Inside the block no Ctrl-C comes; threads and processes started there leave it to others for good.

    For a few calls whose locks an exception between two lines of Python would leave taken.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def kept_until_asked() -> Iterator[Callable[[], None]]:
    """Keep signals until the function that is given is called, or the block ends.

    For libraries, such as HDF5, that do not survive an exception in one of the calls that they make.
    """
    received: list[int] = []
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def handle() -> None:
        while received:
            number = received.pop(0)
            before[number](number, None)

    if threading.current_thread() is threading.main_thread():  # signals raise nowhere else
        for kept in STOPPING:
            handler = signal.getsignal(kept)
            if callable(handler):  # the others end the process, or do nothing
                before[kept] = handler
                signal.signal(kept, lambda number, frame: received.append(number))
    try:
        yield handle
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        handle()


def left_to_others() -> None:
    """Ignore Ctrl-C, which a terminal sends to all its processes, in one that another one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Interrupted(BaseException):
    """A signal asked the program to stop; not an Exception, so that nothing swallows it.

    Attributes
    ----------
    signal_number : int
    again : bool
        Whether it is not the first.
    """

    def __init__(self, signal_number: int, again: bool = False) -> None:
        super().__init__(signal_number)
        self.signal_number, self.again = signal_number, again


class Signals:
    """Turns the first signal into `Interrupted`, or keeps it for later inside `deferred`.

    Attributes
    ----------
    received : int or None
        Number of the first signal. A second one always raises.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferring = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals inside the block, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.received = None
        before = [signal.signal(number, self._handle) for number in STOPPING]
        try:
            yield
        finally:
            for number, handler in zip(STOPPING, before, strict=True):
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep a signal that comes inside the block; the block asks for `received`, or ends soon."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal that comes inside the block raise, in a `deferred` block too."""
        before, self._deferring = self._deferring, False
        try:
            yield
        finally:
            self._deferring = before

    def raise_received(self) -> None:
        """Act upon a signal that was kept."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        again, self.received = self.received is not None, self.received or number
        if again or not self._deferring:
            raise Interrupted(number, again)


signals = Signals()
