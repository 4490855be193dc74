"""Work in parts, on several threads, with results in order. Knows nothing about pictures."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice, pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items are cut into at least so many parts, each of at most so many numbers …
_FEWEST_PARTS = 16
_PART_NUMBERS = 2**27
# … but not into more than this: whoever hands out work needs time for each part.
_MOST_PARTS = 4096


def parts(m: int, width: int) -> list[slice]:
    """Cut m items of `width` numbers into parts that depend on nothing else.

    So what is added up part by part does not depend on how many threads or machines there are.

    Examples
    --------
    >>> parts(3, 12288)
    [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    >>> len(parts(20_000, 12288)), len(parts(10_000_000, 12288))
    (16, 916)
    """
    count = min(max(_FEWEST_PARTS, -(-m * width // _PART_NUMBERS)), _MOST_PARTS)
    bounds = [m * k // count for k in range(count + 1)]
    return [slice(i, j) for i, j in pairwise(bounds) if i < j]


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
    with ThreadPoolExecutor(jobs) as pool:
        yield from ordered_on(pool, function, items, 2 * jobs)


def ordered_on(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yield as `ordered_map` does, computed on a pool of any kind, with `ahead` items under way."""
    waiting: deque[Future[Result]] = deque()
    submitted = _submitted(pool, function, items)
    try:
        waiting.extend(islice(submitted, ahead))
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


def _submit(pool: Executor, function: Callable[[Item], Result], item: Item) -> Future[Result]:
    try:
        return pool.submit(function, item)
    except RuntimeError as exc:  # of a pool that is open it can mean nothing else
        raise MemoryError("no thread can be started") from exc


def _submitted(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Future[Result]]:
    try:
        for item in items:
            yield _submit(pool, function, item)
    except Exception as exc:  # it waits for its turn, as the results before it do
        failed: Future[Result] = Future()
        failed.set_exception(exc)
        yield failed
