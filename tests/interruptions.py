"""Ctrl-C at random moments. For a process of its own: it takes over SIGINT."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from types import FrameType


class _Interrupted(BaseException):
    """Raised by the signal, at most once in a call."""


def interrupted(work: Callable[[], None], times: int, seconds: float) -> int:
    """Call `work` so many times while a SIGINT comes every few moments; how often one has ended it.

    Parameters
    ----------
    work : () -> None
    times : int
    seconds : float
        The longest time between two signals.
    """
    armed = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal armed
        del number, frame
        if armed:
            armed = False
            raise _Interrupted

    signal.signal(signal.SIGINT, interrupt)
    sender = _sender(os.getpid(), seconds)
    seen = 0
    for _ in range(times):
        try:
            armed = True
            work()
            armed = False
        except _Interrupted:
            seen += 1
    os.kill(sender, signal.SIGKILL)
    os.waitpid(sender, 0)
    return seen


def _sender(parent: int, seconds: float) -> int:
    """Start a process that sends the signals, for as long as the other one lives."""
    if child := os.fork():
        return child
    rng = random.Random(0)
    with contextlib.suppress(ProcessLookupError):
        while os.getppid() == parent:
            time.sleep(rng.uniform(0, seconds))
            os.kill(parent, signal.SIGINT)
    os._exit(0)
