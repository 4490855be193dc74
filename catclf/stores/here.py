"""Items that this process can reach: as an array, or in a file from which slices are read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from catclf.config import Place
from catclf.stores import Function, Result, Store
from catclf.work.threads import ahead

if TYPE_CHECKING:
    from distributed import Future

_BLOCK_BYTES = 4_000_000


class _Here(ABC):
    """What both have in common."""

    place: ClassVar[Place]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, part: slice, /) -> NDArray[Any]: ...

    def each(self, function: Function) -> NDArray[Any]:
        """See `catclf.stores.Store`."""
        height = max(1, _BLOCK_BYTES // max(1, math.prod(self.shape[1:]) * self[:0].itemsize))
        starts = range(0, max(1, len(self)), height)
        return np.concatenate([function(self[start : start + height]) for start in starts])

    def of_parts(self, tasks: Sequence[tuple[slice, Callable[[NDArray[Any]], Result]]]) -> list[Result]:
        """See `catclf.stores.Store`."""
        return [function(self[part]) for part, function in tasks]

    def sent(self, part: slice) -> Future[Any]:
        """See `catclf.stores.Store`."""
        from catclf.work.cluster import Cluster  # only where it is needed: it takes time to import

        future: Future[Any] = Cluster.current().send(self[part])
        return future


class InMemory(_Here):
    """An array (m, …)."""

    place = "memory"

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape = array.shape
        self.nbytes = array.nbytes

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        return self.array[part]

    def pieces(self, part: slice, step: int) -> Iterator[NDArray[Any]]:
        """See `catclf.stores.Store`."""
        del step
        yield self.array[part]

    def mapped(self, function: Function) -> InMemory:
        """See `catclf.stores.Store`."""
        return InMemory(function(self.array))

    def chosen(self, mask: NDArray[np.bool_]) -> InMemory:
        """See `catclf.stores.Store`."""
        return InMemory(self.array[mask])

    def joined(self, other: Store) -> Store:
        """See `catclf.stores.Store`."""
        assert other.place != "workers"  # one source of pictures is never there alone
        if other.place == "memory":
            return InMemory(np.concatenate([self.array, other[:]]))
        return _Joined([self, other])


class InFile(_Here):
    """Items of which only slices are ever in memory. A subclass has a shape and gives slices."""

    place = "file"
    nbytes = 0

    def pieces(self, part: slice, step: int) -> Iterator[NDArray[Any]]:
        """See `catclf.stores.Store`."""
        starts = range(part.start, part.stop, step)
        return ahead(lambda start: self[start : min(start + step, part.stop)], starts)

    def mapped(self, function: Function) -> InFile:
        """See `catclf.stores.Store`."""
        return _Mapped(self, function)

    def chosen(self, mask: NDArray[np.bool_]) -> InFile:
        """See `catclf.stores.Store`."""
        return _Chosen(self, mask)

    def joined(self, other: Store) -> InFile:
        """See `catclf.stores.Store`."""
        return _Joined([self, other])


class _Chosen(InFile):
    def __init__(self, items: InFile, mask: NDArray[np.bool_]) -> None:
        self._items, self._places = items, np.flatnonzero(mask)
        self.nbytes = items.nbytes
        self.shape = (len(self._places), *items.shape[1:])

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        places = self._places[part]
        if not len(places):
            return self._items[:0]
        first, last = int(places[0]), int(places[-1])
        return self._items[first : last + 1][places - first]


class _Mapped(InFile):
    def __init__(self, items: InFile, function: Function) -> None:
        self.shape = (items.shape[0], *function(items[:0]).shape[1:])
        self.nbytes = items.nbytes
        self._items = items
        self._function = function

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        return self._function(self._items[part])


class _Joined(InFile):
    def __init__(self, stores: Sequence[Store]) -> None:
        self.shape = (sum(store.shape[0] for store in stores), *stores[0].shape[1:])
        self.nbytes = sum(store.nbytes for store in stores)
        self._stores = stores

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        start, stop, _ = part.indices(self.shape[0])
        found = []
        for store in self._stores:
            m = store.shape[0]
            if start < m and stop > 0:
                found.append(store[max(start, 0) : min(stop, m)])
            start, stop = start - m, stop - m
        return found[0] if len(found) == 1 else np.concatenate(found or [self._stores[0][:0]])
