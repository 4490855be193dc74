"""What worker processes do in the tests of the pool: functions that every start method can import."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any

from catclf.work.processes import InProcesses
from catclf.work.spread import spread

SIGNALS = {"kill": signal.SIGKILL, "abort": signal.SIGABRT, "hangup": signal.SIGHUP, "odd": 50}


def same(items: list[Any]) -> list[Any]:
    return items


def process_numbers(items: list[Any]) -> list[int]:
    time.sleep(0.01)
    return [os.getpid() for _ in items]


def large(items: list[Any]) -> list[bytes]:
    """Results of a megabyte each."""
    return [b"x" * 1_000_000 for _ in items]


def deadly(items: list[Any]) -> list[Any]:
    """End this process at an item that says how."""
    for item in items:
        if item in SIGNALS:
            os.kill(os.getpid(), SIGNALS[item])
        if item == "exit":
            os._exit(3)
    return items


def failing(items: list[Any]) -> list[Any]:
    return [1 // item for item in items]


def handlers(items: list[Any]) -> list[Any]:
    """What a signal to all processes of a terminal does here, and where the standard streams lead."""
    null = os.stat(os.devnull).st_ino
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return [(ignored, [os.fstat(handle).st_ino == null for handle in (0, 1)]) for _ in items]


def lost(item: Any, how: str) -> str:
    return f"{item}: {how}"


def results(pool: InProcesses, items: Iterable[Any]) -> list[Any]:
    """All results, with the pool closed in the end."""
    try:
        return [result for some in spread(items, pool) for result in some]
    finally:
        pool.close()


def say(message: str) -> None:
    print(message, file=sys.stdout, flush=True)
