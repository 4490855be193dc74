"""Work on several threads, with results in order."""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Generic, NoReturn, Protocol, TypeVar, cast

from catclf.work.signals import masked

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = TypeVar("Given", covariant=True)


class Answer(Protocol[Given]):
    """What a pool gives for an item that it is handed."""

    def result(self) -> Given: ...
    def cancel(self) -> object: ...


class Pool(Protocol):
    """Threads, or machines, that compute."""

    def submit(self, function: Callable[[Item], Result], item: Item, /) -> Answer[Result]: ...


class Threads:
    """A pool of at most `count` threads, which an exception may leave at any moment, as Ctrl-C does.

    With `concurrent.futures` it may not: what its locks do is Python code, and an exception between two
    lines of it leaves one taken for ever. (Of 2000 calls of its `map`, interrupted at random, one hangs
    in Python 3.11 and 3.12, and releases a lock that it does not have in 3.13.) Waiting for a queue of
    the kind used here is one call of C.

    The threads end when they are closed, or with the last reference to this object.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._tasks: SimpleQueue[object] = SimpleQueue()
        self._threads: list[Thread] = []
        # subtle: called with the reference itself, `put` involves no Python code either. What a signal
        # raises in that while an object is deleted is lost.
        self._ended = weakref.ref(self, self._tasks.put)

    def submit(self, function: Callable[[Item], Result], item: Item, /) -> Answer[Result]:
        """Have ``function(item)`` computed."""
        if len(self._threads) < self._count:
            self._start_another()
        task = _Task(lambda: function(item))
        self._tasks.put(task)
        return task

    def close(self) -> None:
        """Wait for the threads to end; what they have been handed is done first."""
        self._tasks.put(self._ended)
        while self._threads:
            self._threads[-1].join()
            with masked():  # what is raised while an object is deleted is lost
                self._threads.pop()

    def _start_another(self) -> None:
        # A daemon: at the end of the program nobody waits for threads that were not closed.
        thread = Thread(target=_work, args=(self._tasks, self._ended), daemon=True)
        with masked():
            try:
                thread.start()
            except RuntimeError as exc:
                raise MemoryError("no thread can be started") from exc
            self._threads.append(thread)


class _Task(Generic[Result]):
    """Something to be computed by one thread and waited for by another."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._cancelled = False
        self._outcome: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        if not self._cancelled:
            try:
                self._outcome.put((self._call(), None))
            except BaseException as exc:
                self._outcome.put((None, exc))

    def result(self) -> Result:
        value, error = self._outcome.get()
        if error is not None:
            try:
                raise error
            finally:
                del error  # which has this frame in its traceback
        return cast(Result, value)

    def cancel(self) -> None:
        self._cancelled = True


def _work(tasks: SimpleQueue[object], ended: object) -> None:
    """Run tasks until something else comes; `ended` is kept, for a reference tells only as it lives."""
    while isinstance(task := tasks.get(), _Task):
        task.run()
        del task  # with what it was made of, before the next one is waited for
    tasks.put(ended)  # for the next thread


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for every item, in the order of `items`, computed on `jobs` threads.

    At most ``2 · jobs`` items are taken from `items` ahead of the result that is waited for, so memory
    does not grow with their number. An exception of `function` or `items` is raised in its place.

    Close it if it is left early: otherwise it is up to the garbage collector when the threads end, and
    should that happen to run in one of them, the thread would wait for itself.
    """
    if jobs == 1:
        yield from map(function, items)
        return
    with contextlib.closing(Threads(jobs)) as pool:
        yield from ordered_on(pool, function, items, 2 * jobs)


def ordered_on(
    pool: Pool, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yield as `ordered_map` does, computed on a pool of any kind, with `ahead` items under way."""
    waiting: deque[Answer[Result]] = deque()
    submitted = _submitted(pool, function, items)
    try:
        waiting.extend(islice(submitted, ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(islice(submitted, 1))
            yield result
    finally:
        for answer in waiting:
            answer.cancel()


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`; a thread computes the next one meanwhile."""
    with contextlib.closing(Threads(1)) as pool:
        coming: Answer[Result] | None = None
        for item in items:
            ready, coming = coming, pool.submit(function, item)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def _submitted(
    pool: Pool, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Answer[Result]]:
    try:
        for item in items:
            yield pool.submit(function, item)
    except Exception as exc:  # it waits for its turn, as the results before it do
        yield _Failed(exc)


class _Failed:
    """The answer for an item that there is not."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> NoReturn:
        raise self._error

    def cancel(self) -> None:
        """Nothing is under way."""
