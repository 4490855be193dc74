"""Flips labels of pets and measures what `check` finds, and what a model gains without them.

    python scripts/study_label_errors.py DATA > docs/label_errors.md       DATA has the folder pets

Labels of the training pictures are flipped by a file of corrections, with five seeds for each share. Of
the labels that `check` doubts the first n are counted, n being the number flipped. A model is trained
with true labels, with the flipped ones, and without the doubted ones, and scored on other pictures.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import bench
import numpy as np

import catclf
from catclf import CheckSettings, PackSettings, TrainSettings
from catclf.images.listing import list_labelled

SHARES, SEEDS = (0.0, 0.02, 0.05, 0.1), range(5)


def corrections(path: Path, labels: dict[str, str]) -> Path:
    """Write a file of corrections."""
    path.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in labels.items()))
    return path


def one(rows: Path, test: Path, folder: Path, flips: dict[str, str], features: str) -> dict[str, float]:
    """What is found of flipped labels, and accuracies on other pictures."""
    flipped = corrections(folder / "flipped.csv", flips)
    found = catclf.check(rows, CheckSettings(labels=flipped))
    doubted = [finding.path for finding in found.of("label")]
    first = doubted[: len(flips)]
    dropped = corrections(folder / "dropped.csv", {**flips, **dict.fromkeys(doubted, "-")})

    def accuracy(labels: Path | None) -> float:
        fit = catclf.train(rows, TrainSettings(features=features, labels=labels))
        scored = catclf.evaluate(fit.model, test).scores.accuracy
        assert scored is not None
        return 100 * scored

    return {
        "precision": len(flips.keys() & set(first)) / max(1, len(flips)),
        "found": len(flips.keys() & set(doubted)) / max(1, len(flips)),
        "doubted": len(doubted),
        "expected": np.nan if found.expected_errors is None else found.expected_errors,
        "true": accuracy(None),
        "flipped": accuracy(flipped),
        "dropped": accuracy(dropped),
    }


def measured(data: Path, features: str) -> Iterator[str]:
    """Yield a table for a kind of features."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {part: folder / f"{part}.h5" for part in ("train", "test")}
        catclf.pack(data / "train", rows["train"], PackSettings(features=features), processes=True)
        test = rows["test"] if features == "network" else data / "test"
        if features == "network":
            catclf.pack(data / "test", test, PackSettings(features=features), processes=True)
        listed = list_labelled(str(data / "train")).labelled
        for share in SHARES:
            runs = []
            for seed in SEEDS if share else range(1):
                rng = np.random.default_rng(seed)
                chosen = rng.choice(listed.m, round(share * listed.m), replace=False)
                flips = {listed.paths[k]: listed.classes[1 - listed.labels[k]] for k in chosen}
                runs.append(one(rows["train"], test, folder, flips, features))
            mean = {key: statistics.fmean(run[key] for run in runs) for key in runs[0]}
            expected = [run["expected"] for run in runs]
            told = "" if np.isnan(expected).any() else f"{min(expected):.0f}–{max(expected):.0f}"
            lines.append(
                [
                    f"{round(share * listed.m)} ({100 * share:.0f} %)",
                    f"{mean['precision']:.3f}" if share else "",
                    f"{mean['found']:.3f}" if share else "",
                    f"{mean['doubted']:.1f}",
                    told,
                    *(f"{mean[key]:.2f}" for key in ("true", "flipped", "dropped")),
                ]
            )
    yield f"## {features}"
    yield bench.table(
        [
            *("flipped", "precision of the first n", "found of all", "doubted", "expected"),
            *("true labels, %", "flipped, %", "without the doubted, %"),
        ],
        lines,
    )


if __name__ == "__main__":
    pets = Path(sys.argv[1]) / "pets"
    print("# Wrong labels: what check finds\n")
    print("Written by `python scripts/study_label_errors.py DATA`.\n")
    print(
        "Labels of the 400 training pictures of pets, flipped with five seeds; means, and of *expected*,"
        " which is how many wrong labels `check` expects, the least and the most. The last three columns"
        " are the accuracy on 200 other pictures of models trained with true labels, with the flipped"
        " ones, and with these but without the labels that `check` doubts.\n"
    )
    for kind in ("network", "patches"):
        for paragraph in measured(pets, kind):
            print(paragraph + "\n", flush=True)
