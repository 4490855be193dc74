"""Which pictures to label next: those that stand for the most others of which little is known.

Knows no files and no features; pictures come as rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catclf.cosines import directions
from catclf.design import Standardisation
from catclf.doubt import fitted_scores
from catclf.logistic import Vector, sigmoid
from catclf.stores.here import InMemory

MOST = 4000
"""Pictures that are looked at; of more, so many are drawn at random. They take 64 MB."""

Rows = NDArray[np.float32]


def most_useful(
    rows: Rows, labels: NDArray[np.intp], count: int, seed: int = 0, doubts: Vector | None = None
) -> NDArray[np.intp]:
    """Choose pictures to be labelled, the most useful first.

    Each picture is covered by the one most like it among those that are labelled or chosen. The next one
    is that by which the coverage of all others grows most, each counted by how much its class is in
    doubt: greedy maximisation of a weighted facility location (G. L. Nemhauser, L. A. Wolsey, M. L.
    Fisher, An analysis of approximations for maximizing submodular set functions, 1978).

    Parameters
    ----------
    rows : (m, n_x) float32
    labels : (m,) intp
        Class of each picture, from 0; −1 of those without a label.
    count : int
    seed : int
        Of what is drawn at random.
    doubts : (m,) float64 or None
        How much the class of each picture is in doubt, from 0 to 1. None is by a model of the labels, if
        there are two classes of them, and 1 otherwise.

    Returns
    -------
    (k,) intp
        Positions of at most `count` pictures without a label.
    """
    likeness = directions(rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32))
    unlabelled, labelled = np.flatnonzero(labels < 0), np.flatnonzero(labels >= 0)
    if len(unlabelled) > MOST:
        unlabelled = np.sort(np.random.default_rng(seed).choice(unlabelled, MOST, replace=False))
    pool = likeness[unlabelled]
    if doubts is None:
        doubts = _doubts(rows, labels)
    weights = doubts[unlabelled].astype(np.float32)
    covered = np.zeros(len(pool), np.float32)
    if len(labelled):
        np.maximum(covered, (pool @ likeness[labelled].T).max(axis=1), out=covered)
    alike = np.maximum(pool @ pool.T, 0)
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        gain = np.maximum(alike - covered, 0) @ weights
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        np.maximum(covered, alike[best], out=covered)
    return unlabelled[chosen]


def doubts_of(p: Vector) -> Vector:
    """How much a class is in doubt, 4 p (1 − p), from its probabilities (m,)."""
    doubts: Vector = 4 * p * (1 - p)
    return doubts


def _doubts(rows: Rows, labels: NDArray[np.intp]) -> Vector:
    """The largest doubt over all classes, by models of one class against the others."""
    known = labels >= 0
    classes = np.unique(labels[known])
    if len(classes) < 2:
        return np.ones(len(rows))
    scaled = Standardisation.fit(InMemory(rows), one_scale=True).apply(rows)
    doubts = np.zeros(len(rows))
    for number in classes[: 1 if len(classes) == 2 else None]:
        y = (labels[known] == number).astype(np.float64)
        p = sigmoid(fitted_scores(scaled[known], y, scaled))
        np.maximum(doubts, doubts_of(p), out=doubts)
    return doubts
