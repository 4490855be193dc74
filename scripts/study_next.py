"""Simulates labelling pets four pictures at a time: those that `next` names, against any.

    python scripts/study_next.py DATA > docs/next.md       DATA has the folder pets; draws docs/next.png

With each of 20 seeds a pool is drawn from the 400 training pictures: 350 of any, or 180 dogs and 20
cats.
Labels are given to four at a time, chosen by `next` or at random; logistic regression on the network's
numbers is trained on them, and is scored on the 200 test pictures. Where classes are unequal that is the
balanced accuracy.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench
import matplotlib.figure
import numpy as np
from numpy.typing import NDArray

import catclf
from catclf import PackSettings
from catclf.config import ReadOptions
from catclf.coverage import most_useful
from catclf.doubt import fitted_scores
from catclf.images.hdf5_channel import Hdf5Channel
from catclf.images.hdf5_rows import Hdf5Rows

AT = (4, 8, 12, 20, 24, 36, 60, 120)
SEEDS, BATCH = 20, 4
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "next.png"

Rows = NDArray[np.float32]
Labels = NDArray[np.intp]


def packed(data: Path, file: Path) -> tuple[Rows, Labels]:
    """Rows of the network, and labels: 1 is cats."""
    catclf.pack(data, file, PackSettings(features="network"), processes=True)
    with Hdf5Channel(str(file), ReadOptions()) as channel:
        rows = Hdf5Rows(channel)
        return rows.rows(10**9)[:].astype(np.float32), np.asarray(rows.labels(), np.intp)


def halves(y: Labels, rng: np.random.Generator) -> NDArray[np.intp]:
    """A pool with as many cats as dogs, about."""
    return rng.choice(len(y), 350, replace=False)


def a_tenth(y: Labels, rng: np.random.Generator) -> NDArray[np.intp]:
    """A pool of which a tenth are cats."""
    dogs, cats = (np.flatnonzero(y == k) for k in (0, 1))
    return np.append(rng.choice(dogs, 180, replace=False), rng.choice(cats, 20, replace=False))


def accuracy(rows: Rows, labels: Labels, test: tuple[Rows, Labels]) -> float:
    """Mean of the accuracies on the test pictures of both classes."""
    known, (others, y) = labels >= 0, test
    if len(np.unique(labels[known])) < 2:
        return 0.5
    centre = rows.mean(axis=0)
    scale = np.sqrt(((rows - centre) ** 2).sum(axis=1).mean())
    scaled = (rows[known] - centre) / scale
    z = fitted_scores(scaled, labels[known].astype(float), (others - centre) / scale)
    right = (z > 0) == y
    return float(np.mean([right[y == k].mean() for k in (0, 1)]))


def simulated(
    train: tuple[Rows, Labels],
    test: tuple[Rows, Labels],
    pool_of: Callable[[Labels, np.random.Generator], NDArray[np.intp]],
) -> dict[str, NDArray[np.float64]]:
    """Accuracies (seeds, counts) of either way to choose."""
    found: dict[str, list[list[float]]] = {"at random": [], "next": []}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        pool = pool_of(train[1], rng)
        rows, y = train[0][pool], train[1][pool]
        order = rng.permutation(len(pool))
        for way, accuracies in found.items():
            labels, line = np.full(len(pool), -1), []
            for done in range(0, max(AT), BATCH):
                some = order[done : done + BATCH]
                if way == "next":
                    some = most_useful(rows, labels, BATCH, seed)
                labels[some] = y[some]
                if done + BATCH in AT:
                    line.append(accuracy(rows, labels, test))
            accuracies.append(line)
    return {way: np.array(accuracies) for way, accuracies in found.items()}


def table(found: dict[str, NDArray[np.float64]]) -> str:
    """Means, and the difference in units of its standard error."""
    apart = found["next"] - found["at random"]
    error = apart.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    t = apart.mean(axis=0) / np.maximum(error, 1e-9)
    lines: list[list[str]] = [
        [way, *(f"{value:.3f}" for value in values.mean(axis=0))] for way, values in found.items()
    ]
    lines.append(["difference / its standard error", *(f"{value:+.1f}" for value in t)])
    return bench.table(["labels", *map(str, AT)], lines)


def drawn(results: dict[str, dict[str, NDArray[np.float64]]]) -> None:
    """Draw the curves."""
    figure = matplotlib.figure.Figure(figsize=(9, 3.6), layout="constrained")
    axes: Any = figure.subplots(1, 2, sharey=True)
    for one, (title, found) in zip(axes, results.items(), strict=True):
        for way, values in found.items():
            mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(SEEDS)
            one.plot(AT, mean, marker="o", label=way)
            one.fill_between(AT, mean - 2 * spread, mean + 2 * spread, alpha=0.2)
        one.set(title=title, xlabel="labels", xscale="log", ylim=(0.5, 1.005))
        one.set_xticks(AT, map(str, AT))
        one.minorticks_off()
        one.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy, mean of both classes")
    axes[1].legend()
    figure.savefig(PICTURE, dpi=110)


def main(pets: Path) -> None:
    """Simulate, draw, and print the page."""
    with tempfile.TemporaryDirectory() as name:
        train = packed(pets / "train", Path(name) / "train.h5")
        test = packed(pets / "test", Path(name) / "test.h5")
    results = {
        "as many cats as dogs": simulated(train, test, halves),
        "a tenth cats": simulated(train, test, a_tenth),
    }
    drawn(results)
    print("# What to label next, measured\n")
    print("Written by `python scripts/study_next.py DATA`.\n")
    print(f"{' '.join((__doc__ or '').split('docs/next.png')[1].split())} Means of {SEEDS} seeds.\n")
    for title, found in results.items():
        print(f"## {title.capitalize()}\n\n{table(found)}\n")
    print("![Accuracy over the number of labels](next.png)")


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "pets")
