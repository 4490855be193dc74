"""Work in copies of this process, with results in order. Knows nothing about pictures."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NoReturn

from catclf.errors import WorkerError
from catclf.parallel import signals_waiting

_AHEAD = 2  # orders that a copy has at a time, so that it need not wait for the next one


def can_fork() -> bool:
    """Whether a copy of this process can be relied on: it has one thread, and the system is Linux."""
    if sys.platform != "linux":
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1  # those of libraries count as well
    except OSError:
        return False


class Processes:
    """At most `count` copies of this process that do one kind of work: threads take turns at Python.

    Orders and answers are plain values that JSON can say. The copies have all that is there when they
    are made, write to nothing but a socket of their own, and end with this process however that ends.

    Parameters
    ----------
    count : int
    work : (order) -> answer
        What they do with each order. If it raises, the copy ends.
    """

    def __init__(self, count: int, work: Callable[[Any], Any]) -> None:
        self._count = count
        self._work = work
        self._copies: list[_Copy] = []

    def ordered_map(self, orders: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield every order with its answer, in order; two for each copy are taken ahead.

        Raises
        ------
        WorkerError
            If a copy ends, as when the system runs out of memory.
        MemoryError
            If no process can be started.
        """
        source = iter(orders)
        waiting: deque[tuple[_Copy, Any]] = deque()
        for k, order in enumerate(islice(source, _AHEAD * self._count)):
            waiting.append((self._sent(k % self._count, order), order))
        while waiting:
            copy, order = waiting.popleft()
            answer = copy.receive()
            for another in islice(source, 1):
                copy.send(another)
                waiting.append((copy, another))
            yield order, answer

    def _sent(self, k: int, order: Any) -> _Copy:
        if k == len(self._copies):
            with signals_waiting():
                self._copies.append(_Copy(self._work, self._copies))
        self._copies[k].send(order)
        return self._copies[k]

    def close(self) -> None:
        """End the copies, whatever they do."""
        while self._copies:
            with signals_waiting():
                self._copies.pop().kill()


class _Copy:
    """One of the processes, as this one sees it."""

    def __init__(self, work: Callable[[Any], Any], others: list[_Copy]) -> None:
        self._socket, theirs = socket.socketpair()
        try:
            self._pid = os.fork()
        except OSError as exc:
            self._socket.close()
            raise MemoryError("no process can be started") from exc
        else:
            if self._pid == 0:
                _serve(theirs, work, [self._socket, *(other._socket for other in others)])
        finally:
            theirs.close()
        self._answers = self._socket.makefile("rb")

    def send(self, order: Any) -> None:
        with contextlib.suppress(OSError):  # it has ended: `receive` says how
            self._socket.sendall(json.dumps(order).encode() + b"\n")

    def receive(self) -> Any:
        line = b""
        with contextlib.suppress(OSError):
            line = self._answers.readline()
        if not line.endswith(b"\n"):
            raise WorkerError(self._ending())
        return json.loads(line)

    def _ending(self) -> str:
        # It stays there to be waited for by `kill`.
        ended = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        if ended is None or ended.si_code == os.CLD_EXITED:
            return "ended early"
        return f"was killed ({signal.Signals(ended.si_status).name})"

    def kill(self) -> None:
        self._answers.close()
        self._socket.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _serve(
    channel: socket.socket, work: Callable[[Any], Any], inherited: Iterable[socket.socket]
) -> NoReturn:
    """Answer the orders that come until there is nobody who could send one."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):  # a signal to all of them is for the other one
            signal.signal(number, signal.SIG_IGN)
        for one in inherited:  # or it would not be noticed when that process ends
            one.close()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0), os.dup2(null, 1)  # whoever is at their other ends does not wait for us
        with channel.makefile("rwb") as lines:
            for line in lines:
                lines.write(json.dumps(work(json.loads(line))).encode() + b"\n")
                lines.flush()
        code = 0
    finally:
        os._exit(code)
