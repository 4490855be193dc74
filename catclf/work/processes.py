"""Worker processes, which may crash, be killed, or not start at all.

The pool of the standard library then fails every chunk that is under way; the one here makes another,
finds out whose fault it was, and goes on.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

from catclf.printable import ending, number_of
from catclf.work.pools import Bell, Function, Here, OnThreads, Pool, Task, await_readable, timed
from catclf.work.signals import left_to_others, masked

_LOOKS = 50
_LOOK_SECONDS = 1.0
_POOL_THREADS = 3
_TRIES = 3
"""How often a worker process must end over an item that it has alone before the item is to blame."""


def start_method() -> str | None:
    """How worker processes are started; None if they cannot be had.

    Who ignores SIGCHLD, as a parent may have chosen, cannot wait for a process. Forking is quickest, but
    only safe where there are no other threads.
    """
    if sys.platform == "win32" or signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        return None
    known = multiprocessing.get_all_start_methods()
    quick = ["fork"] if sys.platform == "linux" and _is_alone() else []
    return next(name for name in (*quick, "forkserver", "spawn") if name in known)


def _is_alone() -> bool:
    """Whether this thread is the only one, those of libraries included."""
    if threading.active_count() > 1:
        return False
    for _ in range(_LOOKS):
        with contextlib.suppress(OSError):
            if len(os.listdir("/proc/self/task")) == 1:
                return True
        time.sleep(0.001)  # one that has been joined takes a moment to be gone
    return False


class InProcesses:
    """Worker processes of the standard library's pool, of which a new one is made when one breaks.

    What has no answer then is computed again by one process alone, in halves, until the item is found
    that ends it. Workers end with this process however that ends, and leave signals to it.

    Parameters
    ----------
    function : (items) -> results
    count : int
        Largest number of processes. Where not even one can be had, threads do the work.
    crashed : (item, ending) -> result
        Stands for the result of an item that ends worker processes; `ending` says how, as a phrase.
    note : (message) -> None
        Hears what did not go as planned.
    method : str or None
        One of `multiprocessing.get_all_start_methods`; None is the best one.
    """

    def __init__(
        self,
        function: Function,
        count: int,
        crashed: Callable[[Any, str], Any],
        note: Callable[[str], None] = lambda message: None,
        method: str | None = None,
    ) -> None:
        self._function, self._count = function, count
        self._crashed, self._note, self._method = crashed, note, method
        self._bell = Bell()
        try:
            self._alive = os.pipe()  # ends for the workers when this process does
        except OSError:
            self._bell.close()
            raise
        self._executor: ProcessPoolExecutor | None = None
        self._context = _Context(None)
        self._under_way: list[Task] = []
        self._broken = False
        self._instead: Pool | None = None  # where no process can be had

    @property
    def room(self) -> int:
        """See `Pool`."""
        return 2 * self._count

    def submit(self, task: Task) -> None:
        """See `Pool`."""
        self._under_way = [other for other in self._under_way if not other.done]
        self._under_way.append(task)
        waiting = [task]
        while waiting:
            try:
                self._give(waiting[0], self._count)
                del waiting[0]
            except OSError as exc:
                self._make_do_with_fewer(exc)
                waiting = [other for other in self._under_way if not other.done]

    def wait(self, handle: int | None) -> None:
        """See `Pool`."""
        self._wait(handle)
        if self._broken:
            self._end()
            for task in self._under_way:
                if not task.done:
                    self._do_alone(task)

    def close(self) -> None:
        """See `Pool`."""
        with masked():
            self._end()
            if self._instead is not None:
                self._instead.close()
            self._bell.close()
            for handle in self._alive:
                os.close(handle)

    def _give(self, task: Task, count: int) -> None:
        """Hand a task to a pool of at most `count` processes; an OSError says that one cannot start."""
        if self._instead is not None:
            self._instead.submit(task)
            return
        method = "" if self._executor is not None else self._ready_method()
        with masked():  # an exception inside the pool could leave its locks taken for ever
            try:
                self._executor = self._executor or self._made(count, method)
                future = self._executor.submit(_work, task.items)
            except (BrokenProcessPool, ValueError):  # ValueError: it breaks while it starts a process
                self._broken = True
                self._bell.ring()
            except RuntimeError as exc:  # the pool needs a thread of its own
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from exc
            else:
                future.add_done_callback(partial(self._answered, task))

    def _ready_method(self) -> str:
        """Return how the processes of a new pool are started, with what that needs there already."""
        with masked():
            _check_threads()
        method = self._method or start_method()
        if method is None:
            raise OSError(0, "SIGCHLD is ignored")
        if method != "fork":
            resource_tracker.ensure_running()  # which lifts the mask of signals: not later
        return method

    def _made(self, count: int, method: str) -> ProcessPoolExecutor:
        kept = (self._alive, _standard_streams()) if method == "fork" else (None, (0, 1))
        self._context = _Context(method)
        context: Any = self._context
        arguments: Any = (self._function, *kept)
        return ProcessPoolExecutor(count, context, _begin, arguments)

    def _answered(self, task: Task, future: Future[tuple[list[Any], float]]) -> None:
        """Take an answer; a thread of the pool calls this."""
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self._broken = True
        elif error is not None:
            task.error = error
        else:
            task.results, task.seconds = future.result()
        self._bell.ring()

    def _make_do_with_fewer(self, exc: OSError) -> None:
        started = len(self._context.started)
        self._end()
        reason = exc.strerror or str(exc)
        if 0 < started < self._count:
            self._count = started
            self._note(f"only {number_of(started, 'worker process')} can be started ({reason})")
        else:
            self._instead = self._without_processes()
            self._note(f"no worker process can be started ({reason}): using threads instead")

    def _without_processes(self) -> Pool:
        try:
            return OnThreads(self._function, self._count)
        except OSError:  # no file can be opened
            return Here(self._function)

    def _wait(self, handle: int | None) -> None:
        """Wait for a task or `handle`; notice as well if the pool's own thread has ended."""
        if self._instead is not None:
            self._instead.wait(handle)
            return
        self._bell.wait(handle, _LOOK_SECONDS)
        thread = getattr(self._executor, "_executor_manager_thread", None)
        if thread is not None and not thread.is_alive():
            self._broken = True

    def _do_alone(self, task: Task) -> None:
        try:
            task.results = self._alone(task.items)
        except Exception as exc:
            task.error = exc

    def _alone(self, items: list[Any]) -> list[Any]:
        """Compute the results of items in a process that has nothing else, in halves if that ends it."""
        ended = ""
        for _ in range(_TRIES if len(items) == 1 else 1):
            attempt = Task(items)
            try:
                self._give(attempt, 1)
                while not (attempt.done or self._broken):
                    self._wait(None)
                ended = next(map(ending, self._end()), "was lost")
            except OSError as exc:
                self._make_do_with_fewer(exc)
                attempt.run(self._function)
            if attempt.done:
                return attempt.outcome()
        if len(items) == 1:
            return [self._crashed(items[0], ended)]
        half = len(items) // 2
        return self._alone(items[:half]) + self._alone(items[half:])

    def _end(self) -> list[int]:
        """End all processes, whatever they do, and the pool's own threads: the exit codes."""
        with masked():  # what is raised while an object is deleted is lost, so all is let go of here
            processes = self._context.started
            for process in processes:
                process.kill()
            if self._executor is not None:
                with contextlib.suppress(RuntimeError):  # its thread could not be started
                    self._executor.shutdown(wait=True, cancel_futures=True)
            codes = []
            for process in processes:
                process.join()
                codes.append(process.exitcode or 0)
                process.close()
            self._executor, self._context, self._broken = None, _Context(None), False
        return codes


class _Context:
    """How processes are started, with a list of them."""

    def __init__(self, method: str | None) -> None:
        self._context: Any = multiprocessing.get_context(method)
        self._made: list[BaseProcess] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def Process(self, *arguments: Any, **options: Any) -> BaseProcess:  # noqa: N802 - its name there
        process: BaseProcess = self._context.Process(*arguments, **options)
        self._made.append(process)
        return process

    @property
    def started(self) -> list[BaseProcess]:
        return [process for process in self._made if process.pid is not None]


def _check_threads() -> None:
    """Raise an OSError if the threads of a pool cannot be had: it would not notice for itself.

    Called with signals masked: what is raised while a thread's object is deleted is lost.
    """
    ended = threading.Event()
    started = []
    try:
        for _ in range(_POOL_THREADS):
            thread = threading.Thread(target=ended.wait)
            thread.start()
            started.append(thread)
    except RuntimeError as exc:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from exc
    finally:
        ended.set()
        for thread in started:
            thread.join()


def _standard_streams() -> tuple[int, ...]:
    """Numbers of standard input and output; where one is closed the number may be another file's."""
    return tuple(handle for handle, stream in enumerate((sys.stdin, sys.stdout)) if stream is not None)


# What the worker processes do.

_function: Function


def _begin(function: Function, alive: tuple[int, int] | None, streams: tuple[int, ...]) -> None:
    global _function
    _function = function
    left_to_others()
    null = os.open(os.devnull, os.O_RDWR)
    for handle in streams:
        os.dup2(null, handle)  # whoever is at the other end does not wait for us
    if alive is not None:
        os.close(alive[1])  # or the others would not notice the end
    parent = multiprocessing.parent_process()
    assert parent is not None
    watched = parent.sentinel if alive is None else alive[0]
    with contextlib.suppress(RuntimeError):  # no thread can be started: it works all the same
        threading.Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(handle: int) -> NoReturn:
    """End this process when the one that made it has ended."""
    await_readable(handle)
    os._exit(1)


def _work(items: list[Any]) -> tuple[list[Any], float]:
    return timed(_function, items)
