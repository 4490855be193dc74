"""Learns the patterns of patch features from pictures, without labels. Encodes nothing.

Sources: Coates, Lee & Ng 2011, "An analysis of single-layer networks in unsupervised feature
learning" (normalised and whitened patches, k-means); Coates & Ng 2012, "Learning feature
representations with k-means" (unit centroids, responses as pulls).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from catclf.work.threads import ordered_map

if TYPE_CHECKING:
    from catclf.stores import Store

PATCH = 6
"""Side of a patch in pixels; patches lie at every pixel (stride 1)."""
PIXELS = 3 * PATCH**2
"""Numbers in a patch, in C order over (row, column, channel)."""
CONTRAST = 1000.0
"""Added to a patch's variance (0–255 scale), so that noise on a plain wall is not blown up."""
FILTERS = 100
"""Patterns in the dictionary. Each also works as its mirror image: 200 responses to a patch."""
SAMPLES = 50_000
"""Random training patches that the dictionary is learned from."""
WHITENING = 0.1
"""Added to the eigenvalues of the patch covariance: directions well below it are left weak."""
ROUNDS = 10
"""Rounds of k-means."""
INERTIA = 1e-3
"""Weight of the old centroid in the new one: one that attracts no patch stays where it is."""

_PICTURES = 4096  # of which patches are drawn at a time
_BLOCK = 2500  # sampled patches at a time; fixed, so that the order of sums ignores `jobs`
_MIRROR = np.arange(PIXELS).reshape(PATCH, PATCH, 3)[:, ::-1].ravel()  # patch[_MIRROR] is mirrored

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]


def learn_filters(images: Pictures | Store, seed: int, jobs: int) -> Floats:
    """Learn linear filters from `images` (m, s, s, 3), s ≥ PATCH, wherever they are: (109, FILTERS).

    A column is f and f₀ of the response z = fᵀq + f₀ to q = (p − mean p) / √(var p + CONTRAST): a unit
    centroid times whitened q. As every f sums to 0, q may as well be p / √(var p + CONTRAST).
    """
    rng = np.random.default_rng(seed)
    patches = _normalised(_sample(images, rng))
    mean, whitening = _whitening(patches)
    patches -= mean.astype(np.float32)
    whitened = patches @ whitening.astype(np.float32)
    weights = whitening @ _centroids(whitened, rng, jobs).T.astype(np.float64)  # (108, FILTERS)
    constant = -mean @ weights
    weights -= weights.mean(axis=0)  # takes the mean of the patch away
    return np.vstack([weights, constant]).astype(np.float32)


def _sample(images: Pictures | Store, rng: np.random.Generator) -> Floats:
    """Draw SAMPLES patches anywhere in `images`: (SAMPLES, 108), with replacement."""
    m, side = images.shape[0], images.shape[1] - PATCH + 1
    which, top, left = (rng.integers(0, count, SAMPLES) for count in (m, side, side))
    patches = np.empty((SAMPLES, PATCH, PATCH, 3), np.float32)
    for start in range(0, m, _PICTURES):
        here = np.flatnonzero((which >= start) & (which < start + _PICTURES))
        # (pictures, side, side, 3, 6, 6)
        windows = sliding_window_view(images[start : start + _PICTURES], (PATCH, PATCH), axis=(1, 2))
        drawn = windows[which[here] - start, top[here], left[here]]
        patches[here] = drawn.transpose(0, 2, 3, 1)
    return patches.reshape(SAMPLES, PIXELS)


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
    with that response, mirrored and negated as it matched.
    """
    centroids = _unit(patches[rng.permutation(len(patches))[:FILTERS]])
    blocks = [patches[i : i + _BLOCK] for i in range(0, len(patches), _BLOCK)]
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
