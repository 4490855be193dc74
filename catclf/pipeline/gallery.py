"""The pictures that are worth a look, the most doubtful first. Draws nothing."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from catclf.images.thumbnails import encoded
from catclf.view import RgbArray

SHOWN = 1000
"""So many pictures a page carries with it: about 16 MB."""

T = TypeVar("T")


class GalleryItem(NamedTuple):
    """A picture with what a model says of it.

    Attributes
    ----------
    path : str
    called : str
        The class that the model calls it; empty if it was not asked.
    probability : float
        Of that class.
    label : str
        What it is labelled as; empty if it has no label.
    instead : tuple of str
        Classes that it may be of, if it is not what its label or else the model says; the likeliest
        first.
    thumbnail : bytes or None
        A small picture file.
    unusual : bool
        Whether it is unlike the others.
    issue : str
        What may be wrong with it, as a word; empty if nobody looked.
    note : str
        More about it, as a phrase.
    """

    path: str
    called: str
    probability: float
    label: str
    instead: tuple[str, ...]
    thumbnail: bytes | None
    unusual: bool = False
    issue: str = ""
    note: str = ""


class Gallery(Generic[T]):
    """Keeps those of a stream of pictures that have the lowest ranks, and forgets the others.

    Parameters
    ----------
    most : int
        How many to keep.
    """

    def __init__(self, most: int = SHOWN) -> None:
        self._most = most
        self._heap: list[tuple[tuple[float, ...], int, T, bytes]] = []  # the next to go is the first
        self._count = 0

    def add(self, rank: tuple[float, ...], item: T, pixels: RgbArray) -> None:
        """Look at a picture, of which `item` is kept; of equal ranks the first stay."""
        self._count += 1
        last = tuple(-number for number in rank)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (last, -self._count, item, encoded(pixels)))
        elif last > self._heap[0][0]:
            heapq.heapreplace(self._heap, (last, -self._count, item, encoded(pixels)))

    def kept(self) -> list[tuple[T, bytes]]:
        """The items kept and their thumbnails, the lowest rank first."""
        ordered = sorted(self._heap, key=lambda one: one[:2], reverse=True)
        return [(item, thumbnail) for _, _, item, thumbnail in ordered]


def others(classes: Iterable[str], label: str, called: str) -> tuple[str, ...]:
    """Classes that a picture may be of, if its label is wrong; that which it is called first."""
    rest = [name for name in classes if name != label]
    return tuple(sorted(rest, key=lambda name: name != called))
