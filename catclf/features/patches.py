"""What a picture is made of: how often, where and how strongly small learned patterns occur in it.

The dictionary of patterns is learned from the training pictures without their labels. Nothing here
fits weights or standardises.

Sources: Coates, Lee & Ng 2011, "An analysis of single-layer networks in unsupervised feature
learning" (normalised, whitened patches and k-means); Coates & Ng 2011, "The importance of encoding
versus training with sparse coding and vector quantization" (thresholds and split signs); Dempster,
Petitjean & Webb 2020, "ROCKET" (the share of positive responses as a pooled statistic).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from catclf.errors import ConfigError
from catclf.parallel import ordered_map

PATCH = 6
"""Side of a patch in pixels; patches lie at every pixel (stride 1)."""
PIXELS = 3 * PATCH**2
"""Numbers in a patch, in C order over (row, column, channel)."""
HALF = PIXELS // 2
CONTRAST = 1000.0
"""Added to a patch's variance (0–255 scale), so that noise on a plain wall is not blown up."""
FILTERS = 100
"""Patterns in the dictionary. Each also works as its mirror image: 200 responses to a patch."""
GRID = 2
"""Responses are pooled over GRID × GRID overlapping cells of the picture."""
THRESHOLD = 0.5
"""A pattern occurs where its response is beyond ± THRESHOLD."""
SAMPLES = 50_000
"""Random training patches that the dictionary is learned from."""
WHITENING = 0.1
"""Added to the eigenvalues of the patch covariance: directions well below it are left weak."""
ROUNDS = 10
"""Rounds of k-means; more change nothing."""
INERTIA = 1e-3
"""Weight of the old centroid in the new one: one that attracts no patch stays where it is."""

_BLOCK = 1000  # patches at a time: their 200 responses stay in cache while they are pooled
_SAMPLE_BLOCK = 2500  # sampled patches at a time in k-means; fixed, so that sums ignore `jobs`
_TASK = 8  # pictures a thread takes at a time
_STATISTICS = 4  # mean excess above and below, share above and below
_MIRROR = np.arange(PIXELS).reshape(PATCH, PATCH, 3)[:, ::-1].ravel()  # patch[_MIRROR] is mirrored

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Patches:
    """Pooled responses of a learned dictionary, the same for a picture and its mirror image.

    A patch p (108 numbers) at each position is normalised, q = (p − mean p) / √(var p + CONTRAST),
    and a filter f of the dictionary responds z = fᵀq + f₀. With t = THRESHOLD and the averages taken
    over all positions with the triangular weights of a cell, the picture has for each filter and cell ::

        √mean(max(z − t, 0))   √mean(max(−z − t, 0))   √mean([z > t])   √mean([−z > t])

    and a feature is the average of this number over the picture and its mirror image. A penalised
    regression trained on pictures and mirrored copies has weights that are symmetric by convexity, so
    these features lose nothing against it, at half the pictures and half the n_x.

    Parameters
    ----------
    size : int
        Side of the pictures in pixels.
    grid : int
        Cells along each side of the picture.
    filters : (109, FILTERS) float32
        108 pixel weights and f₀, with the removal of the mean, whitening and dictionary folded in.
    """

    size: int
    grid: int
    filters: Floats
    name: ClassVar[str] = "patches"
    scale: ClassVar[float] = 1.0
    standardised: ClassVar[bool] = True
    mirror_invariant: ClassVar[bool] = True

    @classmethod
    def learn(cls, images: Pictures, *, seed: int = 0, jobs: int = 1, grid: int = GRID) -> Patches:
        """Learn a dictionary from the training pictures `images` (m, s, s, 3); labels play no part.

        Raises
        ------
        ConfigError
            If the pictures are too small to hold a patch in every cell of the grid.
        """
        size = images.shape[1]
        if grid < 1:
            raise ConfigError("grid", grid, "at least 1")
        if size < PATCH + grid - 1:
            raise ConfigError("size", size, f"at least {PATCH + grid - 1} for patch features")
        rng = np.random.default_rng(seed)
        patches = _normalised(_sample(images, rng))
        mean, whitening = _whitening(patches)
        patches -= mean.astype(np.float32)
        whitened = patches @ whitening.astype(np.float32)
        centroids = _centroids(whitened, rng, jobs).astype(np.float64)
        weights = whitening @ centroids.T  # (108, FILTERS)
        constant = -mean @ weights
        weights -= weights.mean(axis=0)  # takes the mean of the patch away
        return cls(size, grid, np.vstack([weights, constant]).astype(np.float32))

    @property
    def n_x(self) -> int:
        """Number of features of a picture."""
        return _STATISTICS * FILTERS * self.grid**2

    def rows(self, images: Pictures, jobs: int = 1) -> Floats:
        """Return (m, n_x) float32, one picture a row, in C order over (statistic, filter, cell).

        The numbers of a picture depend neither on `jobs` nor on the pictures around it. For speed, BLAS
        should be single-threaded (``OPENBLAS_NUM_THREADS=1``): the threads here are over pictures.

        Parameters
        ----------
        images : (m, size, size, 3) uint8
        jobs : int
            Number of threads.
        """
        encoder = _Encoder(self.size, self.grid, self.filters)
        rows = np.empty((len(images), self.n_x), np.float32)

        def encode(first: int) -> None:
            encoder.encode(images[first : first + _TASK], rows[first : first + _TASK])

        for _ in ordered_map(encode, range(0, len(images), _TASK), jobs):
            pass
        return rows

    def settings(self) -> dict[str, int | float | str]:
        """What a model file says of these features, ready for JSON."""
        return {"size": self.size, "grid": self.grid} | _CONSTANTS

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Learned arrays to be kept in a model file."""
        return {"filters": self.filters}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Patches:
        """Build the features of a model file; the inverse of `settings` and `arrays`.

        Raises
        ------
        ValueError
            If something is missing or impossible, with what was expected and found.
        """
        grid = _checked_integer(settings, "grid", 1)
        size = _checked_integer(settings, "size", PATCH + grid - 1)
        for name, expected in _CONSTANTS.items():
            if settings.get(name) != expected:
                raise ValueError(f"expected {name} = {expected}, found {settings.get(name)!r}")
        if set(arrays) != {"filters"}:
            found = ", ".join(sorted(arrays)) or "none"
            raise ValueError(f"expected one array of patch features, filters; found {found}")
        return cls(size, grid, _checked_filters(arrays["filters"]))


_CONSTANTS: dict[str, int | float | str] = {
    "patch": PATCH,
    "contrast": CONTRAST,
    "threshold": THRESHOLD,
}


def _checked_integer(settings: Mapping[str, Any], name: str, least: int) -> int:
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"expected a {name} of at least {least}, found {value!r}")
    return value


def _checked_filters(filters: NDArray[Any]) -> Floats:
    shape = (PIXELS + 1, FILTERS)
    if filters.dtype != np.float32 or filters.shape != shape:
        found = f"{filters.dtype} {filters.shape}"
        raise ValueError(f"expected filters of float32 {shape}, found {found}")
    if not np.isfinite(filters).all():
        count = int((~np.isfinite(filters)).sum())
        raise ValueError(f"expected finite filters, found {count} numbers that are not")
    return filters


# -- learning the dictionary ---------------------------------------------------------------------


def _sample(images: Pictures, rng: np.random.Generator) -> Floats:
    """Draw SAMPLES patches anywhere in `images`: (SAMPLES, 108), with replacement."""
    windows = sliding_window_view(images, (PATCH, PATCH), axis=(1, 2))  # (m, side, side, 3, 6, 6)
    where = tuple(rng.integers(0, count, SAMPLES) for count in windows.shape[:3])
    patches = windows[where].transpose(0, 2, 3, 1)  # (SAMPLES, 6, 6, 3)
    return patches.reshape(SAMPLES, PIXELS).astype(np.float32)


def _normalised(patches: Floats) -> Floats:
    """(p − mean) / √(var + CONTRAST), each row on its own."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    variance = np.mean(centred * centred, axis=1, keepdims=True)
    normalised: Floats = centred / np.sqrt(variance + np.float32(CONTRAST))
    return normalised


def _whitening(patches: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (108,) and symmetric (ZCA) matrix (108, 108) that make the patches white.

    Both are averaged with those of the mirrored patches: whitening then commutes with mirroring.
    """
    mean = patches.mean(axis=0, dtype=np.float64)
    moments = (patches.T @ patches).astype(np.float64) / len(patches)
    mean = (mean + mean[_MIRROR]) / 2
    moments = (moments + moments[np.ix_(_MIRROR, _MIRROR)]) / 2
    variances, axes = np.linalg.eigh(moments - np.outer(mean, mean))
    return mean, (axes / np.sqrt(np.maximum(variances, 0) + WHITENING)) @ axes.T


def _centroids(patches: Floats, rng: np.random.Generator, jobs: int) -> Floats:
    """Spherical k-means of whitened patches (n, 108), blind to sign and mirroring: (FILTERS, 108).

    A patch goes to the unit centroid, plain or mirrored, with the largest |response| and pulls it
    with that response, mirrored and negated as it matched (Coates & Ng 2012, "Learning feature
    representations with k-means", with the mirror image added).
    """
    centroids = _unit(patches[rng.permutation(len(patches))[:FILTERS]])
    blocks = [patches[i : i + _SAMPLE_BLOCK] for i in range(0, len(patches), _SAMPLE_BLOCK)]
    for _ in range(ROUNDS):
        both = np.vstack([centroids, centroids[:, _MIRROR]])

        def pull(block: Floats, both: Floats = both) -> Floats:
            responses = block @ both.T  # (n, 2 FILTERS)
            rows = np.arange(len(block))
            nearest = np.abs(responses).argmax(axis=1)
            assigned = np.zeros_like(responses)
            assigned[rows, nearest] = responses[rows, nearest]
            return assigned.T @ block

        pulls = sum(ordered_map(pull, blocks, jobs), np.zeros_like(both))
        centroids = _unit(INERTIA * centroids + pulls[:FILTERS] + pulls[FILTERS:, _MIRROR])
    return centroids


def _unit(rows: Floats) -> Floats:
    norms = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
    unit: Floats = rows / np.maximum(norms, np.float32(1e-12))  # a row of zeros stays zero
    return unit


# -- encoding pictures ---------------------------------------------------------------------------


class _Encoder:
    """What all pictures of a size share: the filters by parity, pooling weights, box sums.

    A filter and its mirror image cost half of one matrix product each. Replace columns d and 5 − d of
    a patch by their sum and their difference, and split the filter into an even and an odd part: then
    z = even + odd for the filter, and z = even − odd for its mirror image.
    """

    def __init__(self, size: int, grid: int, filters: Floats) -> None:
        weights = filters[:PIXELS].reshape(PATCH, PATCH, 3, FILTERS)
        mirrored = weights[:, ::-1]
        even, odd = (
            (part / 2)[:, : PATCH // 2].reshape(HALF, FILTERS)
            for part in (weights + mirrored, weights - mirrored)
        )
        self.even: Floats = np.vstack([even, filters[PIXELS:]], dtype=np.float32).T.copy()
        self.odd: Floats = odd.astype(np.float32).T.copy()
        self.size, self.grid = size, grid
        self.side = size - PATCH + 1  # positions of a patch along a side
        offset = np.arange(size) - np.arange(self.side)[:, None]
        self.box = ((offset >= 0) & (offset < PATCH)).astype(np.float32)  # (side, size)
        self.box_rgb = np.repeat(self.box, 3, axis=1).T.copy()  # (3 size, side)
        self.pooling = _pooling(self.side, grid)

    def encode(self, pictures: Pictures, rows: Floats) -> None:
        """Write the features of `pictures` (m, size, size, 3) to `rows` (m, n_x)."""
        work = _Workspace(self.size)
        for picture, row in zip(pictures, rows, strict=True):
            row[:] = self._features(work, picture)

    def _features(self, work: _Workspace, picture: Pictures) -> Floats:
        pooled = np.zeros((_STATISTICS, 2 * FILTERS, self.grid**2), np.float32)
        scale = self._contrast_scale(picture)
        work.load(picture)
        for top in range(0, self.side, work.height):
            even, odd = work.patches(top, scale[top : top + work.height])
            work.respond(self.even @ even, self.odd @ odd)
            first, n = top * self.side, even.shape[1]
            work.pool(self.pooling[first : first + n], pooled)
        pooled[:2] -= np.float32(THRESHOLD)  # max(z − t, 0) = max(z, t) − t
        roots = np.sqrt(np.maximum(pooled, 0))  # subtle: rounding can leave −1e-8
        cells = roots.reshape(_STATISTICS, 2, FILTERS, self.grid, self.grid)
        features = (cells[:, 0] + cells[:, 1, ..., ::-1]) / 2
        return features.astype(np.float32, copy=False).ravel()

    def _contrast_scale(self, picture: Pictures) -> Floats:
        """1 / √(var + CONTRAST) of the patch at each position (side, side).

        Box sums as two small matrix products, exact: all are integers below 2²⁴.
        """
        values = picture.reshape(self.size, -1).astype(np.float32)  # (size, 3 size)
        total = (self.box @ (values @ self.box_rgb)).astype(np.float64)
        squares = (self.box @ ((values * values) @ self.box_rgb)).astype(np.float64)
        variance = squares / PIXELS - (total / PIXELS) ** 2
        return (1 / np.sqrt(variance + CONTRAST)).astype(np.float32)


class _Workspace:
    """Buffers of one thread, used again for every band of every picture.

    A band is as many rows of patches as make about `_BLOCK` of them. Its patches are the columns of a
    matrix, so that each row of it is copied from long runs of memory.
    """

    def __init__(self, size: int) -> None:
        self.side = size - PATCH + 1
        bands = -(-self.side // max(1, _BLOCK // self.side))
        self.height = -(-self.side // bands)  # rows of patches: bands of nearly equal height
        self._planes = np.empty((3, size, size), np.float32)
        across = sliding_window_view(self._planes, PATCH, axis=2).transpose(3, 0, 1, 2)
        self._left, self._right = across[: PATCH // 2], across[: PATCH // 2 - 1 : -1]
        parity = np.empty((2, PATCH // 2, 3, size, self.side), np.float32)
        self._sums, self._differences = parity
        down = sliding_window_view(parity.reshape(2, -1, size, self.side), PATCH, axis=2)
        self._windows = down.transpose(0, 4, 1, 2, 3)  # (2, 6, 9, side, side)
        most = self.height * self.side
        self._patches = np.empty((PIXELS + 1) * most, np.float32)
        self._z, self._spare = (np.empty(2 * FILTERS * most, np.float32) for _ in range(2))
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
        even, ones, odd = both[:HALF], both[HALF], both[HALF + 1 :]
        for windows, part in zip(self._windows, (even, odd), strict=True):
            band = windows[:, :, top : top + height]
            np.multiply(band, scale, out=part.reshape(band.shape))
        ones[:] = 1
        return both[: HALF + 1], odd

    def respond(self, even: Floats, odd: Floats) -> None:
        """Fill z of the filters, then of their mirror images, from the parts (FILTERS, n)."""
        z = self._z[: 2 * even.size].reshape(2, *even.shape)
        np.add(even, odd, out=z[0])
        np.subtract(even, odd, out=z[1])

    def pool(self, weights: Floats, pooled: Floats) -> None:
        """Add the band's statistics, weighted with `weights` (n, cells), to `pooled`.

        Each pass is over memory in cache; a matrix product with so few columns costs no more.
        """
        shape = (2 * FILTERS, len(weights))
        count = shape[0] * shape[1]
        z, spare = self._z[:count].reshape(shape), self._spare[:count].reshape(shape)
        beyond = self._beyond[:count].reshape(shape)
        t, infinity = np.float32(THRESHOLD), np.float32(np.inf)
        # np.clip, because np.maximum with a number is three times as slow (NumPy 2.4)
        pooled[0] += np.clip(z, t, infinity, out=spare) @ weights
        pooled[1] -= np.clip(z, -infinity, -t, out=spare) @ weights
        np.copyto(spare, np.greater(z, t, out=beyond))
        pooled[2] += spare @ weights
        np.copyto(spare, np.less(z, -t, out=beyond))
        pooled[3] += spare @ weights


def _pooling(side: int, grid: int) -> Floats:
    """Weights (side², grid²) of the positions in each cell; every column sums to 1.

    A product of triangles along rows and columns: 1 at the cell's centre, 0 at the next centre.
    """
    position = (np.arange(side) + 0.5) / side
    centre = (np.arange(grid) + 0.5) / grid
    hats = np.maximum(1 - grid * np.abs(position[:, None] - centre), 0)  # (side, grid)
    hats /= hats.sum(axis=0)
    return np.kron(hats, hats).astype(np.float32)
