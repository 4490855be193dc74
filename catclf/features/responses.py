"""Local statistics of a picture: how often and how strongly each pattern occurs in each cell.

Sources: Coates & Ng 2011, "The importance of encoding versus training with sparse coding and vector
quantization" (thresholds, split signs); Dempster, Petitjean & Webb 2020, "ROCKET" (the share of
positive responses as a pooled statistic).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from catclf.features.dictionary import CONTRAST, FILTERS, PATCH, PIXELS, Floats, Pictures

THRESHOLD = 0.5
"""A pattern occurs where its response is beyond ± THRESHOLD."""
CELLS = 9
"""Statistics are taken over CELLS × CELLS boxes of the picture; odd, so that boxes of whole positions
can lie symmetrically in any picture."""
ROW_STEP = 2
"""Patches begin in every column, but only in every second row: that halves the work, and in
cross-validation it changes no accuracy by more than half a point, up or down. A step along the columns
would not be the same for a picture and its mirror image."""
STATISTICS = 4
"""Of a response z: means of max(z − t, 0), max(−z − t, 0), [z > t], [−z > t], t = THRESHOLD."""

_HALF = PIXELS // 2
_BLOCK = 1000  # at most so many patches at a time, so that their responses stay in cache


def cells_of(size: int) -> int:
    """Boxes along a side of a picture of `size`: CELLS, or the largest odd number that has positions."""
    rows = -(-(size - PATCH + 1) // ROW_STEP)
    return min(CELLS, rows - 1 + rows % 2)


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
        self._even: Floats = np.vstack([even, filters[PIXELS:]], dtype=np.float32)
        self._odd: Floats = odd.astype(np.float32)
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
        self._row_in_cell, self._column_in_cell = _membership(heights), _membership(widths)
        bands = -(-rows // max(1, _BLOCK // columns))
        self._height = -(-rows // bands)  # bands of nearly equal height
        cell = np.repeat(np.arange(self.cells), heights)  # of a row
        tops = range(0, rows, self._height)
        self._bands = [(top, cell[top], cell[top : top + self._height][-1] + 1) for top in tops]

    def maps(self, pictures: Pictures) -> Iterator[Floats]:
        """Yield the statistics of each of `pictures` (m, size, size, 3).

        Each is (cells, cells, 2, STATISTICS, FILTERS): of the filters and of their mirror images.
        """
        work = _Workspace(self._size, self._height)
        for picture in pictures:
            yield self._map(work, picture)

    def _map(self, work: _Workspace, picture: Pictures) -> Floats:
        sums = np.zeros((self.cells, self.cells, 2, STATISTICS, FILTERS), np.float32)
        scale = self._contrast_scale(picture)
        work.load(picture)
        for top, first, last in self._bands:
            rows = slice(top, top + self._height)
            even, odd = work.patches(top, scale[rows])
            in_cell = self._row_in_cell[first:last, rows]
            totals = work.totals((even.T, self._even), (odd.T, self._odd), in_cell)
            sums[first:last] += (self._column_in_cell @ totals).transpose(2, 3, 0, 1, 4)
        means: Floats = sums * self._share[:, :, None, None, None]
        means[..., :2, :] -= np.float32(THRESHOLD)  # max(z − t, 0) = max(z, t) − t
        np.maximum(means, 0, out=means)  # subtle: rounding can leave −1e-8
        return means

    def _contrast_scale(self, picture: Pictures) -> Floats:
        """1 / √(var + CONTRAST) of the patch at each position (rows, columns).

        Box sums as two small matrix products, exact: all are integers below 2²⁴.
        """
        values = picture.reshape(self._size, -1).astype(np.float32)  # (size, 3 size)
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


class _Workspace:
    """Buffers of one thread, used again for every band of every picture.

    The patches of a band, up to `height` rows of positions, are the columns of a matrix, each row of
    which is copied from long runs of memory.
    """

    def __init__(self, size: int, height: int) -> None:
        self.side = size - PATCH + 1
        self._planes = np.empty((3, size, size), np.float32)
        across = sliding_window_view(self._planes, PATCH, axis=2).transpose(3, 0, 1, 2)
        self._left, self._right = across[: PATCH // 2], across[: PATCH // 2 - 1 : -1]
        parity = np.empty((2, PATCH // 2, 3, size, self.side), np.float32)
        self._sums, self._differences = parity
        down = sliding_window_view(parity.reshape(2, -1, size, self.side), PATCH, axis=2)
        self._windows = down.transpose(0, 4, 1, 2, 3)[:, :, :, ::ROW_STEP]  # (2, 6, 9, rows, side)
        most = height * self.side
        self._patches = np.empty((PIXELS + 1) * most, np.float32)
        self._z, self._spare = np.empty((2, 2 * FILTERS * most), np.float32)
        self._beyond = np.empty(2 * FILTERS * most, np.bool_)

    def load(self, picture: Pictures) -> None:
        """Take sums and differences of the columns of each patch of `picture` (size, size, 3)."""
        np.copyto(self._planes, picture.transpose(2, 0, 1))
        np.add(self._left, self._right, out=self._sums)
        np.subtract(self._left, self._right, out=self._differences)

    def patches(self, top: int, scale: Floats) -> tuple[Floats, Floats]:
        """Even (55, n) and odd (54, n) parts of the scaled patches in the band from row `top`.

        The last row of the even part is 1, for the constant of the filters.
        """
        height, n = len(scale), scale.size
        both = self._patches[: (PIXELS + 1) * n].reshape(PIXELS + 1, n)
        even, ones, odd = both[:_HALF], both[_HALF], both[_HALF + 1 :]
        for windows, part in zip(self._windows, (even, odd), strict=True):
            band = windows[:, :, top : top + height]
            np.multiply(band, scale, out=part.reshape(band.shape))
        ones[:] = 1
        return both[: _HALF + 1], odd

    def totals(self, even: tuple[Floats, Floats], odd: tuple[Floats, Floats], in_cell: Floats) -> Floats:
        """Sums of max(z, t), −min(z, −t), [z > t], [z < −t] over the rows of a band in each cell.

        `even` and `odd` are factors of the parts of z: patches (n, …) and filters (…, FILTERS).
        `in_cell` (cells, height) says which row is in which cell. Returns (2, STATISTICS, cells, side,
        FILTERS), of the filters and of their mirror images.
        """
        shape = (2, len(even[0]), FILTERS)
        count = math.prod(shape)
        z, spare = self._z[:count].reshape(shape), self._spare[:count].reshape(shape)
        plain, difference = spare
        np.matmul(*even, out=plain)
        np.matmul(*odd, out=difference)
        np.add(plain, difference, out=z[0])
        np.subtract(plain, difference, out=z[1])
        totals = np.empty((2, STATISTICS, len(in_cell), self.side, FILTERS), np.float32)
        self._sum(z, in_cell, totals)
        return totals

    def _sum(self, z: Floats, in_cell: Floats, totals: Floats) -> None:
        """Fill `totals` (2, STATISTICS, cells, side, FILTERS) from z (2, height · side, FILTERS).

        Every pass is over memory in cache; a matrix product with so few rows costs no more. Both halves
        go together, because threads take turns at every call: with half the calls, two need 15 % less.
        """
        rows = z.reshape(2, -1, self.side * FILTERS)
        spare = self._spare[: z.size].reshape(rows.shape)
        beyond = self._beyond[: z.size].reshape(rows.shape)
        flat = totals.reshape(2, STATISTICS, len(in_cell), -1)
        t, infinity = np.float32(THRESHOLD), np.float32(np.inf)
        # np.clip, because np.maximum with a number is three times as slow (NumPy 2.4)
        np.matmul(in_cell, np.clip(rows, t, infinity, out=spare), out=flat[:, 0])
        np.matmul(-in_cell, np.clip(rows, -infinity, -t, out=spare), out=flat[:, 1])
        np.copyto(spare, np.greater(rows, t, out=beyond))
        np.matmul(in_cell, spare, out=flat[:, 2])
        np.copyto(spare, np.less(rows, -t, out=beyond))
        np.matmul(in_cell, spare, out=flat[:, 3])
