"""Measures fits that share their passes over the rows: steps of several at a time, and `--l2 auto`.

    python scripts/bench_penalty.py                                 prints tables; about ten minutes
    python scripts/bench_penalty.py --out docs/bench_penalty.md     and writes them

Rows are made: normal numbers with a few large directions and many small ones, as a network's have. BLAS
has one thread, as it has under the command line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
import click
from bench import alternate, number, run_job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

N_X = 1280
STEPS = (1, 2, 5, 10)


# ---------------------------------------------------------------- jobs


def _made(m: int) -> tuple[NDArray[np.float16], NDArray[np.float64]]:
    """Rows (m, 1280) float16 and noisy labels (m,)."""
    import numpy as np

    rng = np.random.default_rng(0)
    directions = rng.standard_normal((N_X, N_X), np.float32)
    directions /= np.sqrt(np.arange(1, N_X + 1, dtype=np.float32))[:, np.newaxis]
    rows = (rng.standard_normal((m, N_X), np.float32) @ directions).astype(np.float16)
    scores = rows.astype(np.float32) @ rng.standard_normal(N_X)
    y = scores / scores.std() + 0.5 * rng.standard_normal(m) > 0
    return rows, y.astype(np.float64)


def step(m: int, together: int) -> dict[str, float]:
    """Median seconds of a step of `stream` for several fits at a time."""
    import numpy as np

    from catclf.design import Design
    from catclf.engines.stream import StreamEngine
    from catclf.engines.sweep import Request
    from catclf.objective import Objective
    from catclf.stores.here import InMemory

    rows, y = _made(m)
    design = Design(InMemory(rows.astype(np.float32)), 1.0)
    engine = StreamEngine(design, np.zeros(N_X), bench.core_count())
    objective = Objective("cross-entropy", y, np.full(m, 1 / m), 0.0)
    requests = [Request(engine.start(), objective, losses=True)] * together
    clock = bench.Clock(30)
    while not clock():
        engine.sweeps(requests)
    return {"step": clock.median_step()}


def choose(m: int, together: bool) -> dict[str, float]:
    """Seconds that choosing the penalty takes, and what is chosen."""
    import numpy as np

    from catclf.config import FEATURES, DescentSettings, ReadOptions, TrainSettings
    from catclf.fitting import Encoded, Problem, choose_l2, prepare
    from catclf.stores.here import InMemory

    class Rows:
        """Stands for the network's features."""

        kind, scale = FEATURES["network"], 1.0

    rows, y = _made(m)
    read = ReadOptions(jobs=bench.core_count())
    descent = DescentSettings(l2="auto")
    settings = TrainSettings(read=read, features="network", engine="stream", descent=descent)
    features: Any = Rows()
    encoded = Encoded(features, InMemory(rows))
    problem = Problem(InMemory(np.empty((0, 224, 224, 3), np.uint8)), y, settings, encoded=encoded)
    every = np.ones(m, dtype=bool)
    prepared = prepare(problem, every)
    if not together:
        engine: Any = prepared.engine
        several = engine.sweeps
        engine.sweeps = lambda requests: [several([each])[0] for each in requests]
    begun = time.perf_counter()
    l2 = choose_l2(prepared, every)
    return {"seconds": time.perf_counter() - begun, "l2": l2}


# ---------------------------------------------------------------- the page


def measure(pictures: int, few: int, repeats: int) -> Iterator[str]:
    """Measure everything and yield paragraphs."""
    steps = {str(k): partial(run_job, step, 1, m=pictures, together=k) for k in STEPS}
    found = alternate(steps, repeats, "steps")
    one = bench.values(found["1"], "step")
    yield f"A step of `stream` for several fits at a time, {pictures} rows of {N_X} numbers in memory:"
    yield bench.table(
        ["fits", "milliseconds", "times one fit"],
        [
            [name, number(1000 * float(bench.median(each))), bench.ratio(each, one)]
            for name, each in ((name, bench.values(of, "step")) for name, of in found.items())
        ],
    )
    runs = {
        "side by side": partial(run_job, choose, 1, m=few, together=True),
        "one by one": partial(run_job, choose, 1, m=few, together=False),
    }
    chosen = alternate(runs, repeats, "penalty")
    seconds = {name: bench.values(of, "seconds") for name, of in chosen.items()}
    same = {number(value, 6) for of in chosen.values() for value in bench.values(of, "l2")}
    yield f"`--l2 auto`, which is 50 fits, in seconds, with {few} rows:"
    yield bench.table(
        ["fits", "seconds", "times side by side"],
        [
            [name, bench.median(each), bench.ratio(each, seconds["side by side"])]
            for name, each in seconds.items()
        ],
    )
    yield f"The penalty chosen: {', '.join(sorted(same))}."
    large = run_job(choose, 1, m=pictures, together=True)
    yield f"With {pictures} rows, side by side, once: {number(large.values['seconds'])} s."


@click.command()
@click.option("--pictures", default=20_000, show_default=True, help="Rows.")
@click.option("--few", default=5_000, show_default=True, help="Rows where fits go one by one.")
@click.option("--repeats", default=3, show_default=True, help="Rounds.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the page there.")
def main(pictures: int, few: int, repeats: int, out: Path | None) -> None:
    """Measure fits that share their passes."""
    neighbours = bench.Neighbours()
    head = ["Written by `python scripts/bench_penalty.py`.", bench.machine(), bench.rounds(repeats)]
    paragraphs = [*head, *measure(pictures, few, repeats), neighbours.told()]
    page = "\n\n".join(["# Fits that share their passes, measured", *paragraphs]) + "\n"
    print(page)
    if out is not None:
        out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
