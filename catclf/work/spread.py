"""Work in chunks, in any pool, with results in order. Knows nothing about pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

from catclf.work.pools import Pool, Task

MOST = 32
"""Items of a chunk: more would be computed no faster."""

_FIRST = 4
_SECONDS = 0.03  # that a chunk should take: results wait for those of the same chunk
_WEIGHT = 4_000_000  # bytes of a chunk


class Waiting(NamedTuple):
    """Stands among items for there being none right now: when `handle` can be read there may be more.

    The items are asked again whenever something happens, and may give another one.
    """

    handle: int


def spread(
    items: Iterable[Any], pool: Pool, weigh: Callable[[Any], int] = lambda item: 0
) -> Generator[list[Any], None, None]:
    """Yield the results of some neighbouring items at a time, in order, as soon as they are there.

    Parameters
    ----------
    items : iterable
        Read as needed, no more than the pool has room for. An exception comes after the results of all
        items before it. A `Waiting` among them is no item: results do not wait for what follows it.
    pool : Pool
        The caller closes it.
    weigh : (item) -> int
        Bytes that it takes to keep an item.
    """
    source = _Source(iter(items), weigh)
    under_way: deque[Task] = deque()
    size = _FIRST
    while True:
        if under_way and under_way[0].done:
            task = under_way.popleft()
            if task.seconds:
                size = max(1, min(MOST, int(_SECONDS * len(task.items) / task.seconds)))
            yield task.outcome()
            continue
        handle = None
        while len(under_way) < pool.room and handle is None and not source.ended:
            chunk, handle = source.take(size)
            if chunk:
                task = Task(chunk)
                under_way.append(task)
                pool.submit(task)
        if under_way and under_way[0].done:
            continue
        if under_way or handle is not None:
            pool.wait(handle)
        elif source.ended:
            break
    if source.failure is not None:
        raise source.failure


class _Source:
    """Items, some at a time.

    Attributes
    ----------
    ended : bool
    failure : Exception or None
        Why they ended early.
    """

    def __init__(self, items: Iterator[Any], weigh: Callable[[Any], int]) -> None:
        self._items, self._weigh = items, weigh
        self.ended = False
        self.failure: Exception | None = None

    def take(self, count: int) -> tuple[list[Any], int | None]:
        """Take at most `count` items; fewer, and what to wait for, if there are no more right now."""
        chunk: list[Any] = []
        weight = 0
        try:
            for item in self._items:
                if isinstance(item, Waiting):
                    return chunk, item.handle
                chunk.append(item)
                weight += self._weigh(item)
                if len(chunk) >= count or weight >= _WEIGHT:
                    return chunk, None
        except Exception as exc:
            self.failure = exc
        self.ended = True
        return chunk, None
