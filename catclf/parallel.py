"""Work on several threads with results in order. Knows nothing about pictures."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def core_count() -> int:
    """Number of processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


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
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        submitted = _submitted(pool, function, items)
        try:
            waiting.extend(islice(submitted, 2 * jobs))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(islice(submitted, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`; a thread computes the next one meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Result] | None = None
        for item in items:
            ready, coming = coming, _submit(pool, function, item)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def _submit(pool: ThreadPoolExecutor, function: Callable[[Item], Result], item: Item) -> Future[Result]:
    try:
        return pool.submit(function, item)
    except RuntimeError as exc:  # of a pool that is open it can mean nothing else
        raise MemoryError("no thread can be started") from exc


def _submitted(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Future[Result]]:
    try:
        for item in items:
            yield _submit(pool, function, item)
    except Exception as exc:  # it waits for its turn, as the results before it do
        failed: Future[Result] = Future()
        failed.set_exception(exc)
        yield failed
