"""SIGINT and SIGTERM: at once where nothing can be lost, at the next good moment elsewhere."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(BaseException):
    """A signal asked the program to stop; not an Exception, so that nothing swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


class Signals:
    """Turns the first signal into `Interrupted`, or keeps it for later inside `deferred`.

    Attributes
    ----------
    received : int or None
        Number of a signal that was kept. A second one is never kept.
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
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep a signal that comes inside the block; the block asks for `received`, or ends soon."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def raise_received(self) -> None:
        """Act upon a signal that was kept."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self._deferring or self.received is not None:
            raise Interrupted(number)
        self.received = number


signals = Signals()
