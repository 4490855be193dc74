"""Work cut into parts, and how many cores there are for it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import TypeVar

Item = TypeVar("Item")

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


def batches(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """Yield `count` items at a time, and those that are left.

    An exception of `items` comes after what was left by then.
    """
    source = iter(items)
    while True:
        group: list[Item] = []
        try:
            for item in islice(source, count):
                group.append(item)  # noqa: PERF402 - an exception leaves what came before it
        except Exception:
            if group:
                yield group
            raise
        if not group:
            return
        yield group


def delayed(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yield every item, each as soon as `count` more have been taken, or there are no more."""
    taken: deque[Item] = deque()
    for item in items:
        taken.append(item)
        if len(taken) > count:
            yield taken.popleft()
    yield from taken


def core_count() -> int:
    """Number of processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
