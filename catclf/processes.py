"""Work in forked worker processes, with results in order. Knows nothing about pictures."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from catclf.errors import WorkerError
from catclf.parallel import Answer, signals_waiting
from catclf.printable import ending

Item = TypeVar("Item")
Result = TypeVar("Result")


def can_fork() -> bool:
    """Whether this process can be forked: it has one thread, and the system is Linux.

    And it hears of the end of others: who ignores SIGCHLD, as a parent may have chosen, cannot wait for
    a process.
    """
    if sys.platform != "linux" or signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1  # those of libraries count as well
    except OSError:
        return False


class Processes:
    """A pool of at most `count` worker processes: threads take turns at Python, they do not.

    Items and results are pickled. The worker processes have all that is there when they are made, write
    to nothing but a socket of their own, and end with this process however that ends.

    Of an item and the result of the one before, one must fit into the buffer of a socket, some 200 kB:
    otherwise both sides would wait for each other to read.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._turn = 0
        self._workers: list[_Worker] = []

    def submit(self, function: Callable[[Item], Result], item: Item, /) -> Answer[Result]:
        """Have ``function(item)`` computed, by each worker process in its turn.

        The function is always the same, and ends the process if it raises. The answers are asked for in
        the order of the items.

        Raises
        ------
        MemoryError
            If no process can be started.
        """
        if self._turn == len(self._workers):
            with signals_waiting():  # in the worker for good: a signal to all of them is for this one
                self._workers.append(_Worker(function, self._workers))
        worker = self._workers[self._turn]
        self._turn = (self._turn + 1) % self._count
        worker.send(item)
        return worker

    def close(self) -> None:
        """End the worker processes, whatever they do."""
        with signals_waiting():
            while self._workers:
                self._workers.pop().kill()


class _Worker:
    """One of the processes, as this one sees it, and the next answer that it has not been asked for."""

    def __init__(self, function: Callable[[Any], Any], others: list[_Worker]) -> None:
        try:
            self._socket, theirs = socket.socketpair()
            for end in (self._socket, theirs):
                end.settimeout(None)  # whatever the default is in this process
            with theirs:
                self._pid = os.fork()
                if self._pid == 0:
                    _serve(theirs, function, [self._socket, *(other._socket for other in others)])
        except OSError as exc:
            raise MemoryError(f"no process can be started: {exc.strerror}") from exc
        self._answers = self._socket.makefile("rb")

    def send(self, item: Any) -> None:
        with contextlib.suppress(OSError):  # it has ended: `result` says how
            self._socket.sendall(_message(item))

    def result(self) -> Any:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            return pickle.load(self._answers)
        raise WorkerError(self._ending())

    def cancel(self) -> None:
        """It is computed all the same, unless the processes are ended."""

    def _ending(self) -> str:
        # It stays there to be waited for by `kill`.
        ended = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # as with WNOHANG it might be
        return ending(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)

    def kill(self) -> None:
        self._answers.close()
        self._socket.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _serve(
    channel: socket.socket, function: Callable[[Any], Any], inherited: Iterable[socket.socket]
) -> NoReturn:
    """Compute what comes until there is nobody who could send more."""
    code = 1
    try:
        for one in inherited:  # or it would not be noticed when that process ends
            os.close(one.detach())  # `close` would wait for the file made of it
        null = os.open(os.devnull, os.O_RDWR)
        for handle, stream in enumerate((sys.stdin, sys.stdout)):
            if stream is not None:  # otherwise the number may be that of the channel
                os.dup2(null, handle)  # whoever is at the other end does not wait for us
        with channel.makefile("rwb") as messages, contextlib.suppress(EOFError):
            while True:
                messages.write(_message(function(pickle.load(messages))))
                messages.flush()
        code = 0
    finally:
        os._exit(code)


def _message(value: Any) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
