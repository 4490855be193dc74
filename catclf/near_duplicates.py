"""Pictures of the same scene, found by what they look like and without any features of a model.

Two pictures are compared by histograms of oriented gradients (HOG) of a thumbnail, as they are and
mirrored. Pairs that are alike are laid over each other by an affine map and compared again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.fingerprints import Marks
from catclf.progress import Advanced, silent
from catclf.view import THUMBNAIL

SIDE = THUMBNAIL.side

Thumbnails = NDArray[np.uint8]
"""(m, 32, 32, 3)."""

Numbers = NDArray[np.float32]

_BORDER, _RAMP = 0.05, 0.15
"""The window: what is nearer to an edge does not count, and fully only what is further away than both.
Without it crops and neighbouring frames of a burst are not found."""

_CELLS, _ORIENTATIONS = 6, 8

_THRESHOLDS = ((3000, 1.15), (10_000, 1.20))
_LARGE_THRESHOLD = 1.25
"""What a pair must score, up to so many pictures: there are more pairs that could be alike by chance."""

_ALIGNED = 0.5  # weight of the aligned correlation, which is 1 at most
_COLOURS = 0.4
"""Least correlation of the colours of two pictures that are not grey."""

_GREY = 2.0  # standard deviation of chroma, in levels
_INNER = slice(4, 28)  # a border may be a frame or, in one of them, another part of the scene
_COLOUR_CELLS = 4

_STEPS = 10  # of Gauss and Newton, on each of two scales
_LEAST_OVERLAP = 0.4  # share of the picture
_LOCAL = 9  # side of the window in which grey levels are normalised
_FLAT = 2.0  # levels: below this deviation there is nothing to be seen

_MOST = 16
"""Candidates of a picture that are looked at: of noise and of textures there would be hundreds, all
alike by chance. A burst of more frames is one group by way of those that are likest."""

_ALL_COMPARED = 100  # pictures of a group: each with each

_BLOCK = 1024  # pictures whose products are computed at a time
_CHECKED = 256  # pairs that are aligned at a time


class Pair(NamedTuple):
    """Two pictures of the same scene: their positions, each among its own."""

    first: int
    second: int


def groups(thumbnails: Thumbnails, marks: Marks, advanced: Advanced = silent) -> NDArray[np.intp]:
    """Number the groups of near-duplicates; pictures that are alike by way of others are in one group.

    Parameters
    ----------
    thumbnails : (m, 32, 32, 3) uint8
    marks : (m,) uint64
        Fingerprints: equal ones are in one group, whatever they look like.
    advanced : (what, done, total) -> None

    Returns
    -------
    (m,) intp
        For each picture the position of the first one of its group.
    """
    _, chosen, number_of = np.unique(marks, return_index=True, return_inverse=True)
    some = thumbnails[chosen]
    parents = np.arange(len(some))
    for candidates in _candidates(some, None, advanced):
        rest = candidates
        # What is in one group already need not be checked.
        while (rest := rest.only(parents[rest.first] != parents[rest.second])).first.size:
            batch, rest = rest.only(slice(_CHECKED)), rest.only(slice(_CHECKED, None))
            near = _are_near(some, some, batch)
            for pair in zip(batch.first[near].tolist(), batch.second[near].tolist(), strict=True):
                first, second = (_root(parents, k) for k in pair)
                parents[max(first, second)] = min(first, second)
            while not np.array_equal(parents, above := parents[parents]):
                parents = above
    first_of = np.full(len(some), len(marks))
    np.minimum.at(first_of, parents, chosen)
    return np.asarray(first_of[parents][number_of])


class Likeness(NamedTuple):
    """A pair of near-duplicates, each by its position, and how alike they are, up to 1."""

    first: int
    second: int
    score: float


def pairs_within(thumbnails: Thumbnails, marks: Marks, found: NDArray[np.intp]) -> list[Likeness]:
    """Compare the pictures of each group with each other, and return the pairs that are alike.

    Of pictures with one fingerprint each is paired with the first of them, by 1, and only that one with
    others. In a group of very many each is compared with few others.

    Parameters
    ----------
    thumbnails : (m, 32, 32, 3) uint8
    marks : (m,) uint64
        Fingerprints.
    found : (m,) intp
        What `groups` has returned.
    """
    _, firsts, same_as = np.unique(marks, return_index=True, return_inverse=True)
    first_of = firsts[same_as]
    copies = np.flatnonzero(first_of != np.arange(len(marks))).tolist()
    alike = [Likeness(int(first_of[k]), k, 1.0) for k in copies]
    least, chosen = _threshold(len(firsts)), np.sort(firsts)
    for first in np.flatnonzero(np.bincount(found[chosen]) > 1).tolist():
        members = chosen[found[chosen] == first]
        some = thumbnails[members]
        most = len(members) if len(members) <= _ALL_COMPARED else _MOST
        for rest in _candidates(some, None, silent, least, most):
            while rest.first.size:
                batch, rest = rest.only(slice(_CHECKED)), rest.only(slice(_CHECKED, None))
                score = _scores(some, some, batch)
                for k in np.flatnonzero(score > least).tolist():
                    i, j = int(members[batch.first[k]]), int(members[batch.second[k]])
                    alike.append(Likeness(i, j, float(min(1.0, score[k] / (1 + _ALIGNED)))))
    return alike


def half_linked(pairs: Sequence[Likeness], marks: Marks) -> list[list[int]]:
    """Put pictures into groups to be shown: two are merged if half of the pairs between them are alike.

    Chains of pictures, each like the next and the last unlike the first, come apart by that. Copies,
    which have one fingerprint, count as one picture.
    """
    of: dict[int, list[int]] = {}
    copies = [pair for pair in pairs if marks[pair.first] == marks[pair.second]]
    others = [pair for pair in pairs if marks[pair.first] != marks[pair.second]]
    alike = {(pair.first, pair.second) for pair in others}
    for pair in sorted(others, key=lambda pair: -pair.score):
        one, other = (of.setdefault(k, [k]) for k in (pair.first, pair.second))
        if one is other:
            continue
        linked = sum((min(i, j), max(i, j)) in alike for i in one for j in other)
        if 2 * linked >= len(one) * len(other):
            one += other
            of.update(dict.fromkeys(other, one))
    for first, copy, _ in copies:
        of.setdefault(first, [first]).append(copy)
    several = {id(group): sorted(group) for group in of.values() if len(group) > 1}
    return sorted(several.values())


def nearest(thumbnails: Thumbnails, others: Thumbnails, advanced: Advanced = silent) -> list[Pair]:
    """Find those of `thumbnails` that have a near-duplicate among `others`, each with one of these."""
    found: dict[int, int] = {}
    for candidates in _candidates(thumbnails, others, advanced):
        rest = candidates
        while (rest := rest.only(~np.isin(rest.first, list(found)))).first.size:
            batch, rest = rest.only(slice(_CHECKED)), rest.only(slice(_CHECKED, None))
            near = _are_near(thumbnails, others, batch)
            for pair in zip(batch.first[near].tolist(), batch.second[near].tolist(), strict=True):
                found.setdefault(*pair)
    return [Pair(*pair) for pair in sorted(found.items())]


def _root(parents: NDArray[np.intp], k: int) -> int:
    while parents[k] != k:
        k = int(parents[k])
    return k


def _threshold(m: int) -> float:
    """Return what a pair among `m` pictures must score."""
    return next((least for most, least in _THRESHOLDS if m <= most), _LARGE_THRESHOLD)


class _Candidates(NamedTuple):
    """Pairs whose histograms are alike, the likest first.

    Attributes
    ----------
    first, second : (k,) intp
        Positions.
    likeness : (k,) float32
        Cosine of their histograms.
    mirrored : (k,) bool
        Whether one of them has to be mirrored for that.
    least : float
        What they must score after being laid over each other.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    likeness: Numbers
    mirrored: NDArray[np.bool_]
    least: float

    def only(self, which: NDArray[Any] | slice) -> _Candidates:
        """Return some of them."""
        first, second, likeness, mirrored, least = self
        return _Candidates(first[which], second[which], likeness[which], mirrored[which], least)


def _candidates(
    thumbnails: Thumbnails,
    others: Thumbnails | None,
    advanced: Advanced,
    least: float | None = None,
    most: int = _MOST,
) -> Iterator[_Candidates]:
    """Yield the pairs that may be near-duplicates, some at a time: of all pictures, or with others.

    They are the `most` likest of either picture; `least` is what a pair must score.
    """
    a = _descriptors(thumbnails)
    b = a if others is None else _descriptors(others)
    turned = b[:, _mirror_order()]
    least = _threshold(max(len(a), len(b))) if least is None else least
    best_of_a = np.full((len(a), most), -np.inf, np.float32)
    best_of_b = best_of_a if others is None else np.full((len(b), most), -np.inf, np.float32)
    for top in range(0, len(a), _BLOCK):
        rows = a[top : top + _BLOCK]
        for left in range(top if others is None else 0, len(b), _BLOCK):
            part = slice(left, left + _BLOCK)
            as_they_are, mirrored = rows @ b[part].T, rows @ turned[part].T
            likeness = np.maximum(as_they_are, mirrored)
            candidates = likeness > least - _ALIGNED
            if others is None and top == left:
                candidates = np.triu(candidates, 1)
            seen = np.where(candidates, likeness, -np.inf)
            worst_of_a = _with_better(best_of_a[top : top + _BLOCK], seen)
            worst_of_b = _with_better(best_of_b[part], seen.T)
            candidates &= (seen >= worst_of_a[:, None]) | (seen >= worst_of_b)
            at = first, second = np.nonzero(candidates)
            found = _Candidates(
                first + top, second + left, likeness[at], mirrored[at] > as_they_are[at], least
            )
            yield found.only(np.argsort(-found.likeness, kind="stable"))
        advanced("pictures compared", min(top + _BLOCK, len(a)), len(a))


def _with_better(best: Numbers, seen: Numbers) -> Numbers:
    """Keep the best numbers of each row of `seen` in `best`, in place, and return the least of them."""
    some = np.flatnonzero(np.isfinite(seen).any(axis=1))
    both, most = np.concatenate([best[some], seen[some]], axis=1), best.shape[1]
    best[some] = np.partition(both, -most, axis=1)[:, -most:]
    least: Numbers = best.min(axis=1)
    return least


def _descriptors(thumbnails: Thumbnails) -> Numbers:
    """Windowed HOG of each thumbnail, (m, 288): of unit length, or zeros of a picture of one colour."""
    blocks = [_hog(_grey(thumbnails[k : k + _CHECKED])) for k in range(0, len(thumbnails), _CHECKED)]
    return np.concatenate(blocks or [np.empty((0, _ORIENTATIONS * _CELLS**2), np.float32)])


def _grey(thumbnails: Thumbnails) -> Numbers:
    return np.asarray(thumbnails @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def _window() -> Numbers:
    x = (np.arange(SIDE) + 0.5) / SIDE
    edge = np.minimum(x, 1 - x)
    inside: Numbers = np.clip((edge - _BORDER) / _RAMP, 0, 1).astype(np.float32)
    return inside


def _triangles() -> Numbers:
    """How much each pixel belongs to each cell (cells, side)."""
    width = SIDE / _CELLS
    centres = (np.arange(_CELLS) + 0.5) * width
    apart = np.abs(np.arange(SIDE) + 0.5 - centres[:, None])
    share: Numbers = np.clip(1 - apart / width, 0, None).astype(np.float32)
    return share


def _hog(grey: Numbers) -> Numbers:
    down, across = _gradients(grey)
    window = _window()
    strength = np.sqrt(np.hypot(down, across)) * window[:, None] * window
    turn = np.arctan2(down, across) * (_ORIENTATIONS / (2 * np.pi)) % _ORIENTATIONS
    apart = np.abs(turn[:, None] - np.arange(_ORIENTATIONS, dtype=np.float32)[:, None, None])
    share = np.clip(1 - np.minimum(apart, _ORIENTATIONS - apart), 0, None)
    cells = _triangles()
    numbers = (cells @ (share * strength[:, None]) @ cells.T).reshape(len(grey), -1)
    numbers -= numbers.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(numbers, axis=1, keepdims=True)
    return np.asarray(np.divide(numbers, norm, out=np.zeros_like(numbers), where=norm > 1e-3))


def _gradients(grey: Numbers) -> tuple[Numbers, Numbers]:
    """Central differences down and across, nothing at the edges: (m, s, s) each."""
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]) / 2
    across[:, :, 1:-1] = (grey[:, :, 2:] - grey[:, :, :-2]) / 2
    return down, across


def _mirror_order() -> NDArray[np.intp]:
    """Where the numbers of a mirrored picture stand in the descriptor."""
    numbers = np.arange(_ORIENTATIONS * _CELLS**2).reshape(_ORIENTATIONS, _CELLS, _CELLS)
    turned = (_ORIENTATIONS // 2 - np.arange(_ORIENTATIONS)) % _ORIENTATIONS
    return numbers[turned, :, ::-1].reshape(-1)


def _are_near(a: Thumbnails, b: Thumbnails, pairs: _Candidates) -> NDArray[np.bool_]:
    """Decide of each pair, (k,)."""
    near: NDArray[np.bool_] = _scores(a, b, pairs) > pairs.least
    return near


def _scores(a: Thumbnails, b: Thumbnails, pairs: _Candidates) -> Numbers:
    """Lay the pictures of each pair over each other: how alike they are, (k,); 0 if colours differ."""
    x, y = a[pairs.first], b[pairs.second]
    y[pairs.mirrored] = y[pairs.mirrored, :, ::-1]
    alike = _colour_correlation(x, y) > _COLOURS
    gx, gy, score = _grey(x), _grey(y), pairs.likeness.copy()
    score[alike] += _ALIGNED * _aligned(gx[alike], gy[alike])
    again = np.flatnonzero(alike & (score <= pairs.least))
    score[again] = pairs.likeness[again] + _ALIGNED * _aligned(gy[again], gx[again])
    score[~alike] = 0
    return score


def _colour_correlation(a: Thumbnails, b: Thumbnails) -> Numbers:
    """Correlation of the colours of their inner parts; 1 where one of them is grey."""
    x, y = _colours(a), _colours(b)
    grey = (x.std(axis=1) < _GREY) | (y.std(axis=1) < _GREY)
    return np.where(grey, np.float32(1), _correlation(x, y))


def _colours(thumbnails: Thumbnails) -> Numbers:
    inner = thumbnails[:, _INNER, _INNER].astype(np.float32)
    k, side = len(inner), inner.shape[1] // _COLOUR_CELLS
    cells = inner.reshape(k, _COLOUR_CELLS, side, _COLOUR_CELLS, side, 3).mean(axis=(2, 4))
    grey = cells @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.stack([cells[..., 0] - grey, cells[..., 2] - grey], axis=-1).reshape(k, -1)


def _correlation(x: Numbers, y: Numbers) -> Numbers:
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    found: Numbers = (x * y).sum(axis=1) / np.maximum(norms, 1e-6)
    return found


def _aligned(template: Numbers, moving: Numbers) -> Numbers:
    """Correlation of pictures (k, 32, 32) after `moving` has been laid over `template`, (k,)."""
    if not len(template):
        return np.empty(0, np.float32)
    maps = np.tile(np.eye(2, 3, dtype=np.float32), (len(template), 1, 1))
    for scale in (2, 1):
        maps = _gauss_newton(_halved(template, scale), _halved(moving, scale), maps)
    flat = _local(moving)
    seen, inside = _moved(flat, maps)
    count = inside.sum(axis=(1, 2))
    x, y = (_local(template) * inside).reshape(len(seen), -1), (seen * inside).reshape(len(seen), -1)
    n = np.maximum(count, 1)[:, None]
    keep = inside.reshape(len(seen), -1)
    x, y = (x - x.sum(1, keepdims=True) / n) * keep, (y - y.sum(1, keepdims=True) / n) * keep
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    found = (x * y).sum(axis=1) / np.maximum(norms, 1e-6)
    return np.where(count >= _LEAST_OVERLAP * SIDE**2, found, 0).astype(np.float32)


def _halved(grey: Numbers, scale: int) -> Numbers:
    """Smaller pictures with mean 0 and deviation 1."""
    k, side = len(grey), SIDE // scale
    small = grey.reshape(k, side, scale, side, scale).mean(axis=(2, 4))
    small = small - small.mean(axis=(1, 2), keepdims=True)
    found: Numbers = small / np.maximum(small.std(axis=(1, 2), keepdims=True), _FLAT)
    return found


def _local(grey: Numbers) -> Numbers:
    """Grey levels relative to those around them."""
    mean = _box(grey)
    deviation = np.sqrt(np.maximum(_box(grey**2) - mean**2, 0))
    found: Numbers = (grey - mean) / (deviation + _FLAT)
    return found


def _box(grey: Numbers) -> Numbers:
    """Mean over a window around each pixel, with the edges repeated."""
    half = _LOCAL // 2
    padded = np.pad(grey, ((0, 0), (half + 1, half), (half + 1, half)), mode="edge").astype(np.float64)
    sums = padded.cumsum(axis=1).cumsum(axis=2)
    n = _LOCAL
    window = sums[:, n:, n:] - sums[:, :-n, n:] - sums[:, n:, :-n] + sums[:, :-n, :-n]
    return np.asarray(window / n**2, np.float32)


def _grid(side: int) -> Numbers:
    """Homogeneous coordinates (3, side²) of the pixels, from -1 to 1: across, down, 1."""
    x = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    down, across = np.meshgrid(x, x, indexing="ij")
    return np.stack([across.reshape(-1), down.reshape(-1), np.ones(side * side, np.float32)])


def _moved(pictures: Numbers, maps: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """Pictures (k, s, s) seen through affine maps (k, 2, 3), and where these lead into them."""
    k, side, _ = pictures.shape
    places = (maps @ _grid(side) + 1) * (side / 2) - 0.5  # (k, 2, s²) in pixels
    across, down = places[:, 0], places[:, 1]
    inside = (across >= 0) & (across <= side - 1) & (down >= 0) & (down <= side - 1)
    across, down = np.clip(across, 0, side - 1.001), np.clip(down, 0, side - 1.001)
    left, top = across.astype(np.intp), down.astype(np.intp)
    right_share, bottom_share = across - left, down - top
    flat = pictures.reshape(k, -1)
    at = top * side + left
    corners = [np.take_along_axis(flat, at + step, axis=1) for step in (0, 1, side, side + 1)]
    upper = corners[0] + (corners[1] - corners[0]) * right_share
    lower = corners[2] + (corners[3] - corners[2]) * right_share
    seen = upper + (lower - upper) * bottom_share
    return seen.reshape(pictures.shape).astype(np.float32), inside.reshape(pictures.shape)


def _gauss_newton(template: Numbers, moving: Numbers, maps: Numbers) -> Numbers:
    """Better the maps by which `moving` is laid over `template`.

    Inverse compositional steps: S. Baker, I. Matthews, Lucas-Kanade 20 Years On, 2004.
    """
    k, side, _ = template.shape
    down, across = _gradients(template)
    grid = _grid(side)
    slopes = np.stack([across, down], axis=1).reshape(k, 2, 1, -1) * (side / 2)
    jacobian = (slopes * grid).reshape(k, 6, -1)  # by the map's numbers in order
    hessian = jacobian @ jacobian.transpose(0, 2, 1) + 1e-3 * side**2 * np.eye(6, dtype=np.float32)
    inverse = np.linalg.inv(hessian)
    for _ in range(_STEPS):
        seen, inside = _moved(moving, maps)
        error = np.where(inside, seen - template, 0).reshape(k, -1, 1)
        step = (inverse @ (jacobian @ error)).reshape(k, 2, 3)
        maps = _composed(maps, step)
    return maps


def _composed(maps: Numbers, step: Numbers) -> Numbers:
    """Map after the inverse of a small one, which is the identity and `step`; none that degenerates."""
    whole = np.tile(np.eye(3, dtype=np.float32), (len(maps), 1, 1))
    whole[:, :2] += step
    full = np.tile(np.eye(3, dtype=np.float32), (len(maps), 1, 1))
    full[:, :2] = maps
    good = np.abs(np.linalg.det(whole)) > 0.1
    whole[~good] = np.eye(3)
    new: Numbers = (full @ np.linalg.inv(whole))[:, :2]
    far = np.abs(new - np.eye(2, 3)).max(axis=(1, 2)) > 0.6
    new[far] = maps[far]
    return new
