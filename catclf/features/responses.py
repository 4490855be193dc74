"""Local statistics of a picture: how often and how strongly each pattern occurs in each cell.

Sources: Coates & Ng 2011, "The importance of encoding versus training with sparse coding and vector
quantization" (thresholds, split signs); Dempster, Petitjean & Webb 2020, "ROCKET" (the share of
positive responses as a pooled statistic).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from catclf.features.dictionary import CONTRAST, FILTERS, PATCH, PIXELS, Floats, Pictures

THRESHOLD = 0.5
"""A pattern occurs where its response is beyond ± THRESHOLD."""
FEWEST_CELLS, MOST_CELLS, BOX = 5, 9, 4
"""Statistics are taken over cells × cells boxes of the picture, BOX columns of positions wide or wider:
9 × 9 boxes of 64 × 64 pixels, 5 × 5 of 32 × 32 and less. An odd number, so that boxes of whole positions
can lie symmetrically in any picture. More boxes take time and gain nothing at 32 × 32; 7 × 7 at 48 × 48
lose a quarter of a point in cross-validation, 3 × 3 at 24 × 24 more than half of one."""
ROW_STEP = 2
"""Patches begin in every column, but only in every second row: that halves the work, and in
cross-validation it changes no accuracy by more than half a point, up or down. A step along the columns
would not be the same for a picture and its mirror image."""
STATISTICS = 4
"""Of a response z: means of max(z − t, 0), max(−z − t, 0), [z > t], [−z > t], t = THRESHOLD."""

_HALF = PIXELS // 2
_BLOCK = 3600
"""At most so many patches at a time: a band of a large picture or several small pictures. Fewer would
stay in a nearer cache; but between calls of NumPy threads take turns, and with short ones they wait."""


def cells_of(size: int) -> int:
    """Boxes along a side of a picture of `size`: an odd number, below FEWEST_CELLS in tiny ones."""
    columns = size - PATCH + 1
    rows = -(-columns // ROW_STEP)
    most = min(rows, MOST_CELLS, max(FEWEST_CELLS, columns // BOX))
    return most - 1 + most % 2


class Responses:
    """What all pictures of a size share: the filters by parity, cells, box sums.

    A filter and its mirror image cost half of one matrix product each. Replace columns d and 5 − d
    of a patch by their sum and difference, and split the filter into an even and an odd part: then
    z = even + odd for the filter, and z = even − odd for its mirror image.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.
    filters : (109, FILTERS) float32
        Of `dictionary.learn_filters`.
    """

    def __init__(self, size: int, filters: Floats) -> None:
        weights = filters[:PIXELS].reshape(PATCH, PATCH, 3, FILTERS)
        mirrored = weights[:, ::-1]
        even, odd = (
            (part / 2)[:, : PATCH // 2].reshape(_HALF, FILTERS)
            for part in (weights + mirrored, weights - mirrored)
        )
        constant = np.stack([filters[PIXELS:], np.zeros_like(filters[PIXELS:])])
        halves = np.concatenate([np.stack([even, odd]), constant], axis=1)  # (2, 55, FILTERS)
        self._halves: Floats = halves.astype(np.float32)[:, np.newaxis]
        self._size = size
        self.cells = cells_of(size)
        columns = size - PATCH + 1  # positions of a patch from left to right
        offset = np.arange(size) - np.arange(columns)[:, None]
        box = ((offset >= 0) & (offset < PATCH)).astype(np.float32)  # (columns, size)
        self._box = box[::ROW_STEP].copy()  # (rows, size)
        self._box_rgb = np.repeat(box, 3, axis=1).T.copy()  # (3 size, columns)
        rows = len(self._box)
        heights, widths = _widths(rows, self.cells), _widths(columns, self.cells)
        self._share = (1 / np.outer(heights, widths)).astype(np.float32)  # of a position
        self._column_in_cell = _membership(widths)
        self.together = max(1, _BLOCK // (rows * columns))  # pictures
        bands = -(-rows // max(1, _BLOCK // columns))
        self._height = -(-rows // bands)  # bands of nearly equal height
        in_cell = _membership(heights)
        tops = range(0, rows, self._height)
        self._bands = [_band(slice(top, top + self._height), in_cell) for top in tops]
        self._idle: list[_Workspace] = []  # of threads that have ended their pictures

    def maps(self, pictures: Pictures) -> Iterator[tuple[Floats, Floats]]:
        """Yield the statistics of `pictures` (m, size, size, 3), those of `together` pictures at a time.

        Each is a pair that is written over when the next one is asked for:

        - the statistics (n, cells, cells, 2, STATISTICS, FILTERS), n up to `together`, of the filters
          and of their mirror images;
        - of the square roots of these, half the sum and half the difference of a filter's and its mirror
          image's: (2, n, cells², STATISTICS · FILTERS).

        What goes into a call of NumPy together does not change a bit of it: whatever rounds is either
        done number by number or a stack of matrix products, which NumPy hands to BLAS one by one, and
        a picture's products have the same shapes and strides in any company.
        """
        try:
            work = self._idle.pop()
        except IndexError:
            work = _Workspace(self._size, self._height, self.cells, self.together)
        for first in range(0, len(pictures), self.together):
            means = self._map(work, pictures[first : first + self.together])
            yield means, work.parities(means)
        self._idle.append(work)

    def _map(self, work: _Workspace, pictures: Pictures) -> Floats:
        means = work.means[: len(pictures)]
        means[:] = 0
        scale = self._contrast_scale(pictures)
        work.load(pictures)
        for band in self._bands:
            z = work.responses(band.rows, scale[:, band.rows], self._halves)
            means[:, band.cells] += work.sums(z, band, self._column_in_cell)
        means *= self._share[:, :, None, None, None]
        means[..., :2, :] -= np.float32(THRESHOLD)  # max(z − t, 0) = max(z, t) − t
        # subtle: rounding can leave −1e-8
        return np.clip(means, np.float32(0), np.float32(np.inf), out=means)

    def _contrast_scale(self, pictures: Pictures) -> Floats:
        """1 / √(var + CONTRAST) of the patch at each position: (pictures, rows, columns).

        Box sums as two small matrix products, exact: all are integers below 2²⁴.
        """
        values = pictures.reshape(len(pictures), self._size, -1).astype(np.float32)
        total = (self._box @ (values @ self._box_rgb)).astype(np.float64)
        squares = (self._box @ ((values * values) @ self._box_rgb)).astype(np.float64)
        variance = squares / PIXELS - (total / PIXELS) ** 2
        return (1 / np.sqrt(variance + CONTRAST)).astype(np.float32)


def _widths(positions: int, cells: int) -> NDArray[np.intp]:
    """Nearly equal widths of an odd number of boxes, the same from right to left."""
    left = (2 * np.arange(cells // 2 + 1) * positions + cells) // (2 * cells)  # edges, rounded
    return np.diff(np.concatenate([left, positions - left[::-1]]))


def _membership(widths: NDArray[np.intp]) -> Floats:
    """Which position is in which box, as 0 and 1: (boxes, positions)."""
    cell = np.repeat(np.arange(len(widths)), widths)
    membership: Floats = (cell == np.arange(len(widths))[:, None]).astype(np.float32)
    return membership


class _Band(NamedTuple):
    """Some rows of positions, and the rows of boxes that they meet."""

    rows: slice
    cells: slice
    in_cell: Floats  # (boxes, rows), 0 and 1
    of_cell: list[slice]  # the rows of each box, counted from the top of the band


def _band(rows: slice, row_in_cell: Floats) -> _Band:
    met = np.flatnonzero(row_in_cell[:, rows].any(axis=1))
    cells = slice(met[0], met[-1] + 1)
    in_cell = row_in_cell[cells, rows]
    own = [np.flatnonzero(row) for row in in_cell]
    return _Band(rows, cells, in_cell, [slice(row[0], row[-1] + 1) for row in own])


class _Workspace:
    """Buffers of one thread, used again for every band of every picture.

    Fresh memory would cost more than the arithmetic: the system hands it out page by page, and threads
    wait for each other there.

    The patches of a band, up to `height` rows of positions, are the columns of a matrix, each row of
    which is copied from long runs of memory. Up to `together` pictures share every call.
    """

    def __init__(self, size: int, height: int, cells: int, together: int) -> None:
        self.side = size - PATCH + 1
        self.means = np.empty((together, cells, cells, 2, STATISTICS, FILTERS), np.float32)
        self._sums_of_band = np.empty_like(self.means)
        self._roots = np.empty((together, cells**2, 2, STATISTICS * FILTERS), np.float32)
        self._parities = np.empty((2, together, cells**2, STATISTICS * FILTERS), np.float32)
        self._planes = np.empty((together, 3, size, size), np.float32)
        across = sliding_window_view(self._planes, PATCH, axis=3).transpose(4, 0, 1, 2, 3)
        self._left, self._right = across[: PATCH // 2], across[: PATCH // 2 - 1 : -1]
        parity = np.empty((2, PATCH // 2, together, 3, size, self.side), np.float32)
        self._sums, self._differences = parity
        down = sliding_window_view(parity, PATCH, axis=4)[:, :, :, :, ::ROW_STEP]
        self._windows = down.transpose(0, 2, 6, 1, 3, 4, 5)  # (2, together, 6, 3, 3, rows, side)
        most = together * height * self.side
        self._patches = np.empty(2 * (_HALF + 1) * most, np.float32)
        self._z, self._spare = np.empty((2, 2 * FILTERS * most), np.float32)
        self._beyond = np.empty(2 * 2 * FILTERS * most, np.bool_)
        rows = min(cells, height)  # of boxes that a band can meet
        self._totals = np.empty(2 * together * STATISTICS * rows * self.side * FILTERS, np.float32)
        self._counts = np.empty(self._totals.size // 2, np.uint8)

    def load(self, pictures: Pictures) -> None:
        """Take sums and differences of the columns of each patch of `pictures` (n, size, size, 3)."""
        some = slice(len(pictures))
        np.copyto(self._planes[some], pictures.transpose(0, 3, 1, 2))
        np.add(self._left[:, some], self._right[:, some], out=self._sums[:, some])
        np.subtract(self._left[:, some], self._right[:, some], out=self._differences[:, some])

    def responses(self, rows: slice, scale: Floats, halves: Floats) -> Floats:
        """Return z (2, pictures, height · side, FILTERS) of a band.

        `scale` (pictures, height, side) is of its patches; `halves` (2, 1, 55, FILTERS) are the even and
        the odd part of the filters, with their constants. First z of the filters, then of their mirror
        images.
        """
        pictures, height, side = scale.shape
        patches = _part(self._patches, (2, pictures, _HALF + 1, height * side))
        band = self._windows[:, :pictures, ..., rows, :]
        np.multiply(band, scale[:, None, None, None], out=patches[:, :, :-1].reshape(band.shape))
        patches[:, :, -1] = 1  # for the constants
        shape = (2, pictures, height * side, FILTERS)
        z, parts = _part(self._z, shape), _part(self._spare, shape)
        np.matmul(patches.transpose(0, 1, 3, 2), halves, out=parts)
        np.add(parts[0], parts[1], out=z[0])
        np.subtract(parts[0], parts[1], out=z[1])
        return z

    def sums(self, z: Floats, band: _Band, column_in_cell: Floats) -> Floats:
        """Sums of max(z, t), −min(z, −t), [z > t], [z < −t] over the positions of a band in each box.

        `column_in_cell` (cells, side) says where a position belongs. Returns (pictures, k, cells, 2,
        STATISTICS, FILTERS) for the k rows of boxes that the band meets.

        Floats are added up by matrix products with so few rows that they cost no more than sums, in one
        call for all boxes, because threads take turns at every call. Counts are sums of bytes: a quarter
        of the memory, and a quarter of the time.
        """
        pictures, k = z.shape[1], len(band.of_cell)
        rows = z.reshape(2, pictures, -1, self.side * FILTERS)
        spare = _part(self._spare, rows.shape)
        totals = _part(self._totals, (2, pictures, STATISTICS, k, self.side * FILTERS))
        t, infinity = np.float32(THRESHOLD), np.float32(np.inf)
        # np.clip, because np.maximum with a number is three times as slow (NumPy 2.4)
        np.matmul(band.in_cell, np.clip(rows, t, infinity, out=spare), out=totals[:, :, 0])
        np.matmul(-band.in_cell, np.clip(rows, -infinity, -t, out=spare), out=totals[:, :, 1])
        beyond = _part(self._beyond, (2, pictures, 2, *rows.shape[2:]))
        np.greater(rows, t, out=beyond[:, :, 0])
        np.less(rows, -t, out=beyond[:, :, 1])
        # subtle: a byte can count them, as _BLOCK leaves a band less than 256 rows
        counts = _part(self._counts, (2, pictures, 2, k, self.side * FILTERS))
        for cell, of_cell in enumerate(band.of_cell):
            some = beyond[:, :, :, of_cell].view(np.uint8)
            np.add.reduce(some, axis=3, dtype=np.uint8, out=counts[:, :, :, cell])
        totals[:, :, 2:] = counts
        sums = self._sums_of_band[:pictures, :k]
        by_column = totals.reshape(2, pictures, STATISTICS, k, self.side, FILTERS)
        np.matmul(column_in_cell, by_column, out=sums.transpose(3, 0, 4, 1, 2, 5))
        return sums

    def parities(self, means: Floats) -> Floats:
        """Even and odd part of the square roots of `means`, as `Responses.maps` gives them."""
        some = slice(len(means))
        roots, parities = self._roots[some], self._parities[:, some]
        np.sqrt(means.reshape(roots.shape), out=roots)
        roots *= np.float32(0.5)
        np.add(roots[:, :, 0], roots[:, :, 1], out=parities[0])
        np.subtract(roots[:, :, 0], roots[:, :, 1], out=parities[1])
        return parities


def _part(buffer: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Use the beginning of a flat `buffer` as an array of `shape`."""
    return buffer[: math.prod(shape)].reshape(shape)
