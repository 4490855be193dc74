"""Pictures or rows, wherever they are: in memory, in a file, on the workers of a cluster.

Whoever holds a `Store` asks it and never where it is. Knows nothing of what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.config import Place

if TYPE_CHECKING:
    from distributed import Future

Result = TypeVar("Result")

Function = Callable[[NDArray[Any]], NDArray[Any]]
"""Makes of some items as many others, each of its own item alone; it may be sent elsewhere."""


class Store(Protocol):
    """Items of one shape and dtype, one after the other."""

    @property
    def place(self) -> Place: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, …)."""

    @property
    def nbytes(self) -> int:
        """Memory that they take in this process."""

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        """Some neighbouring items as an array."""

    def pieces(self, part: slice, step: int) -> Iterator[NDArray[Any]]:
        """Yield those items: all at once from memory, otherwise `step` at a time; from a file, ahead."""

    def each(self, function: Function) -> NDArray[Any]:
        """Compute an array with an entry for each item, where the items are."""

    def of_parts(self, tasks: Sequence[tuple[slice, Callable[[NDArray[Any]], Result]]]) -> list[Result]:
        """Compute each function of its neighbouring items, where they are."""

    def mapped(self, function: Function) -> Store:
        """Return what `function` makes of them: at once in memory, elsewhere whenever it is needed."""

    def chosen(self, mask: NDArray[np.bool_]) -> Store:
        """Return some of these items, (m,) bool says which, in their order."""

    def joined(self, other: Store) -> Store:
        """Return these items, then the others."""

    def sent(self, part: slice) -> Future[Any]:
        """Put some neighbouring items on one worker of the cluster that is connected."""
