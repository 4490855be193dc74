"""Pictures that live on the workers of a cluster: cut, joined and mirrored without coming here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.cluster import Cluster
from catclf.images.picture import Pixels

if TYPE_CHECKING:
    from distributed import Future

Numbers = NDArray[np.intp]


class Piece(NamedTuple):
    """Some pictures of a block.

    Attributes
    ----------
    block : Future of (k, size, size, 3) uint8
    numbers : (n,) intp
        Which pictures of the block, and in what order.
    mirrored : bool
    """

    block: Future[Any]
    numbers: Numbers
    mirrored: bool = False


class RemotePictures:
    """Pictures (m, size, size, 3) uint8 of which only the whereabouts are known here.

    Parameters
    ----------
    cluster : Cluster
    size : int
    pieces : sequence of Piece
    """

    def __init__(self, cluster: Cluster, size: int, pieces: Sequence[Piece]) -> None:
        self.cluster = cluster
        self._size = size
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(len(piece.numbers) for piece in self._pieces)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(m, size, size, 3)."""
        return len(self), self._size, self._size, 3

    def joined(self, other: RemotePictures) -> RemotePictures:
        """Return these pictures, then the others."""
        return RemotePictures(self.cluster, self._size, [*self._pieces, *other._pieces])

    def mirrored(self) -> RemotePictures:
        """Return the mirror images."""
        turned = [piece._replace(mirrored=not piece.mirrored) for piece in self._pieces]
        return RemotePictures(self.cluster, self._size, turned)

    def each(self, function: Callable[[Pixels], NDArray[Any]]) -> NDArray[Any]:
        """Compute an array with an entry for each picture, where the pictures are, and fetch it."""
        submit = self.cluster.submit
        results = [submit(_applied, function, *piece) for piece in self._pieces]
        return np.concatenate(self.cluster.gather(results))

    def part(self, part: slice) -> Future[Any]:
        """Put some pictures in a row on one worker: a future (k, size, size, 3)."""
        chosen, offset = [], 0
        for piece in self._pieces:
            start, stop = max(part.start - offset, 0), max(part.stop - offset, 0)
            numbers = piece.numbers[start:stop]
            if len(numbers):
                chosen.append(piece._replace(numbers=numbers))
            offset += len(piece.numbers)
        blocks, numbers_of, mirrored = zip(*chosen, strict=True)
        return self.cluster.submit(_assembled, list(blocks), numbers_of, mirrored)

    def rows(self) -> RemoteRows:
        """Return them as rows of features (m, 3 size²)."""
        return RemoteRows(self)


class RemoteRows:
    """Pictures on workers as rows (m, n_x) uint8, one picture a row."""

    def __init__(self, pictures: RemotePictures) -> None:
        self._pictures = pictures
        self.cluster = pictures.cluster

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n_x)."""
        m, height, width, channels = self._pictures.shape
        return m, height * width * channels

    def part(self, part: slice) -> Future[Any]:
        """Put some rows on one worker: a future (k, …), to be reshaped there."""
        return self._pictures.part(part)

    def __getitem__(self, part: slice) -> NDArray[np.uint8]:
        """Fetch some rows (k, n_x)."""
        start, stop, _ = part.indices(self.shape[0])
        pixels: Pixels = self.cluster.gather([self.part(slice(start, stop))])[0]
        return pixels.reshape(-1, self.shape[1])


def _taken(block: Pixels, numbers: Numbers, mirrored: bool) -> Pixels:
    whole = len(numbers) == len(block) and (np.diff(numbers) == 1).all()
    taken = block if whole else block[numbers]
    return np.ascontiguousarray(taken[:, :, ::-1]) if mirrored else taken


def _applied(
    function: Callable[[Pixels], NDArray[Any]], block: Pixels, numbers: Numbers, mirrored: bool
) -> NDArray[Any]:
    return function(_taken(block, numbers, mirrored))


def _assembled(blocks: list[Pixels], numbers: Sequence[Numbers], mirrored: Sequence[bool]) -> Pixels:
    taken = list(map(_taken, blocks, numbers, mirrored))
    return taken[0] if len(taken) == 1 else np.concatenate(taken)
