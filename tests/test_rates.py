"""Several learning rates compared, and the cost printed on the way."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import catclf
from catclf.config import DescentSettings, TrainSettings
from catclf.descent import descend
from catclf.design import Design
from catclf.engines.primal import PrimalEngine
from catclf.errors import ConfigError
from catclf.objective import Objective
from catclf.stores.here import InMemory
from tests.conftest import Runner

RATES = (0.05, 0.005, 5000.0)
SETTINGS = TrainSettings(
    DescentSettings(iterations=30, stop="none"), catclf.ReadOptions(size=2), validation=0.5
)


@pytest.fixture
def tangled(tmp_path: Path) -> Path:
    """Pictures of two classes that no plane separates."""
    folder = tmp_path / "tangled"
    for k in range(40):
        path = folder / ("cat" if k % 2 else "dog") / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(k).integers(0, 256, (2, 2, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def test_each_rate_is_what_train_does_with_it(tangled: Path) -> None:
    found = catclf.compare_rates(tangled, RATES, SETTINGS)
    assert [one.learning_rate for one in found] == list(RATES)
    assert [one.diverged for one in found] == [False, False, True]
    for one in found[:2]:
        descent = DescentSettings(learning_rate=one.learning_rate, iterations=30, stop="none")
        fit = catclf.train(tangled, TrainSettings(descent, SETTINGS.read, validation=0.5))
        assert one.history == fit.history
        assert (one.train_accuracy, one.validation) == (fit.train_accuracy, fit.validation)
    with pytest.raises(ConfigError, match="compare_rates = -1: must be a positive number"):
        catclf.compare_rates(tangled, [-1])


def test_the_command_prints_a_table_and_draws_all_curves(
    catclf: Runner, tangled: Path, tmp_path: Path
) -> None:
    plot = tmp_path / "rates.png"
    choices = ("--compare-rates", "0.05,0.005, 5000", "-i", "30", "--stop", "none", "--size", "2")
    command = ("train", tangled, *choices, "--validation", "0.5", "--plot", plot)
    done = catclf(*command)
    assert done.code == 0
    head, *rows = done.out.decode().splitlines()
    assert head.split() == ["learning", "rate", "updates", "cost", "training", "validation"]
    assert [row.split()[0] for row in rows] == ["0.05", "0.005", "5000"]
    assert rows[2].endswith("diverged; scores at its best point")
    with Image.open(plot) as image:
        drawn = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(drawn, axis=0)) > 3
    facts = json.loads(catclf(*command, "-F", "json").out)
    assert [one["stop_reason"] for one in facts] == ["iterations", "iterations", "diverged"]
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_file()) == [".png"]


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (("-o", "m.npz"), "--output"),
        (("--cv", "3"), "--cv"),
        (("--lr", "1"), "--learning-rate"),
        (("--resume", "m.npz"), "--resume"),
        (("--history", "h.csv"), "--history"),
    ],
)
def test_what_needs_one_model_is_refused_with_several_rates(
    catclf: Runner, tangled: Path, flags: tuple[str, ...], name: str
) -> None:
    refused = catclf("train", tangled, "--compare-rates", "1,2", *flags)
    assert refused.code == 2
    assert f"--compare-rates saves no model: {name} cannot be used with it" in refused.err


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), "Missing option '-o' / '--output'"),
        (("--compare-rates", "1,x"), "'x' is not a number above 0"),
        (("--compare-rates", "0"), "'0' is not a number above 0"),
        (("-o", "m.npz", "-l", "abc"), "'abc' is neither a number above 0 nor auto"),
        (("-o", "m.npz", "--l2", "abc"), "'abc' is neither a number from 0 on nor auto"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    catclf: Runner, tangled: Path, flags: tuple[str, ...], reason: str
) -> None:
    refused = catclf("train", tangled, *flags)
    assert (refused.code, reason in refused.err) == (2, True)


def test_the_cost_is_printed_after_every_so_many_updates(
    catclf: Runner, tangled: Path, tmp_path: Path
) -> None:
    model, history = tmp_path / "m.npz", tmp_path / "h.csv"
    choices = ("--size", "2", "--epochs", "300", "--stop", "none", "--print-every", "70")
    done = catclf("train", tangled, "-o", model, *choices, "--history", history)
    assert done.code == 0
    with history.open(newline="") as file:
        costs = {int(row["step"]): float(row["cost"]) for row in csv.DictReader(file)}
    printed = [line for line in done.err.splitlines() if line.startswith("step ")]
    assert printed == [f"step {k}: cost {costs[k]:.6f}" for k in (0, 70, 140, 210, 280)]
    quiet = catclf("train", tangled, "-o", model, "-f", *choices, "-q")
    assert "step" not in quiet.err


def test_further_steps_change_nothing_but_the_record() -> None:
    rows = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    y = (rows[:, 0] + 0.5 * rows[:, 1] > 0).astype(float)
    objective = Objective("cross-entropy", y, np.full(40, 1 / 40), l2=0.0)

    def steps(every: int | None, swings: bool) -> dict[int, float]:
        settings = DescentSettings(iterations=2345, stop="none", record_every=every)
        engine = PrimalEngine(Design(InMemory(rows), 1.0), np.zeros(5), 1)
        history = descend(engine, objective, settings, 0.1, swings=swings).history
        return {row.step: row.cost for row in history}

    for swings in (False, True):
        usual, more = steps(None, swings), steps(37, swings)
        assert usual.items() <= more.items()
        further = set(range(0, 2346, 37)) | ({1 + k for k in usual} if swings else set())
        assert set(more) - set(usual) <= further
        assert set(range(0, 2346, 37)) <= set(more)


def test_a_descent_that_diverges_leaves_its_history_and_its_plot(
    catclf: Runner, tangled: Path, tmp_path: Path
) -> None:
    history, plot, model = tmp_path / "h.csv", tmp_path / "p.png", tmp_path / "m.npz"
    command = ("train", tangled, "-o", model, "--size", "2", "--lr", "100")
    failed = catclf(*command, "--history", history, "--plot", plot)
    assert (failed.code, "the descent diverged" in failed.err) == (1, True)
    with history.open(newline="") as file:
        assert next(csv.DictReader(file))["step"] == "0"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert not model.exists()
