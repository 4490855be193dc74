"""Items on the workers of a cluster: cut, mapped and joined without coming here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import Place
from catclf.stores import Function, Result, Store
from catclf.work.cluster import Cluster

if TYPE_CHECKING:
    from distributed import Future

Numbers = NDArray[np.intp]


class Piece(NamedTuple):
    """Some items of a block.

    Attributes
    ----------
    block : Future of (k, …)
    numbers : (n,) intp
        Which items of the block, and in what order.
    functions : tuple of functions
        What is to be made of them, one after the other.
    """

    block: Future[Any]
    numbers: Numbers
    functions: tuple[Function, ...] = ()


class OnWorkers:
    """Items of which only the whereabouts are known here.

    Parameters
    ----------
    cluster : Cluster
    empty : (0, …) array
        Has the shape and dtype of all items.
    pieces : sequence of Piece
    """

    place: Place = "workers"
    nbytes = 0

    def __init__(self, cluster: Cluster, empty: NDArray[Any], pieces: Sequence[Piece]) -> None:
        self._cluster = cluster
        self._empty = empty
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(len(piece.numbers) for piece in self._pieces)

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, …)."""
        return (len(self), *self._empty.shape[1:])

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        start, stop, _ = part.indices(len(self))
        if start >= stop:
            return self._empty
        items: NDArray[Any] = self._cluster.gather([self.sent(slice(start, stop))])[0]
        return items

    def pieces(self, part: slice, step: int) -> Iterator[NDArray[Any]]:
        """See `catclf.stores.Store`."""
        for start in range(part.start, part.stop, step):
            yield self[start : min(start + step, part.stop)]

    def each(self, function: Function) -> NDArray[Any]:
        """See `catclf.stores.Store`."""
        submit = self._cluster.submit
        results = [submit(_made, *p[:2], (*p.functions, function)) for p in self._pieces]
        return np.concatenate(self._cluster.gather(results))

    def of_parts(self, tasks: Sequence[tuple[slice, Callable[[NDArray[Any]], Result]]]) -> list[Result]:
        """See `catclf.stores.Store`."""
        submit = self._cluster.submit
        results: list[Result] = self._cluster.gather(
            [submit(_called, function, self.sent(part)) for part, function in tasks]
        )
        return results

    def mapped(self, function: Function) -> OnWorkers:
        """See `catclf.stores.Store`."""
        pieces = [piece._replace(functions=(*piece.functions, function)) for piece in self._pieces]
        return OnWorkers(self._cluster, function(self._empty), pieces)

    def chosen(self, mask: NDArray[np.bool_]) -> OnWorkers:
        """See `catclf.stores.Store`."""
        pieces, start = [], 0
        for piece in self._pieces:
            stop = start + len(piece.numbers)
            pieces.append(piece._replace(numbers=piece.numbers[mask[start:stop]]))
            start = stop
        return OnWorkers(self._cluster, self._empty, [piece for piece in pieces if len(piece.numbers)])

    def joined(self, other: Store) -> OnWorkers:
        """See `catclf.stores.Store`; the others are on workers as well."""
        assert isinstance(other, OnWorkers)
        return OnWorkers(self._cluster, self._empty, [*self._pieces, *other._pieces])

    def sent(self, part: slice) -> Future[Any]:
        """See `catclf.stores.Store`."""
        first, last, _ = part.indices(len(self))
        chosen, offset = [], 0
        for piece in self._pieces:
            numbers = piece.numbers[max(first - offset, 0) : max(last - offset, 0)]
            if len(numbers):
                chosen.append(piece._replace(numbers=numbers))
            offset += len(piece.numbers)
        blocks, numbers_of, functions = zip(*chosen, strict=True)
        return self._cluster.submit(_together, list(blocks), numbers_of, functions)


# What the workers do.


def _made(block: NDArray[Any], numbers: Numbers, functions: Sequence[Function]) -> NDArray[Any]:
    whole = len(numbers) == len(block) and (np.diff(numbers) == 1).all()
    made = block if whole else block[numbers]
    for function in functions:
        made = function(made)
    return made


def _called(function: Callable[[NDArray[Any]], Result], items: NDArray[Any]) -> Result:
    return function(items)


def _together(
    blocks: list[NDArray[Any]],
    numbers: Sequence[Numbers],
    functions: Sequence[Sequence[Function]],
) -> NDArray[Any]:
    made = list(map(_made, blocks, numbers, functions))
    return made[0] if len(made) == 1 else np.concatenate(made)
