"""Measures a step of the Dask engine against `stream`, and what the cost model makes of it.

    python scripts/bench_dask.py                               prints tables; about three minutes
    python scripts/bench_dask.py --out docs/bench_dask.md      and writes them

20 000 pictures of noise are made by the workers themselves. Each measurement has a process, and a
cluster, of its own; BLAS has one thread everywhere, as it has under the command line.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import bench
import click
from bench import alternate, number, run_job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catclf.engines import Engine

SIZE, PICTURES, FEW = 64, 20_000, 64
N_X = 3 * SIZE**2
WORKERS = (1, 2, 4)
WARM_UP = 3  # steps: terms are sent, connections are made
BANDWIDTH = 1.25e9  # bytes a second of a network of 10 Gbit/s: assumed, not measured
THREADS = 8  # of each worker in the predictions


# ---------------------------------------------------------------- jobs


def noise(part: int, count: int) -> NDArray[np.uint8]:
    """Pictures (count, s, s, 3), the same in every process."""
    import numpy as np

    return np.random.default_rng(part).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def stream_step(m: int, jobs: int, steps: int) -> dict[str, float]:
    """Median seconds of a step of `stream`."""
    import numpy as np

    from catclf.design import Design
    from catclf.engines.stream import StreamEngine
    from catclf.stores.here import InMemory
    from catclf.work.parts import parts

    cut = parts(m, N_X)
    rows = np.concatenate([noise(k, part.stop - part.start) for k, part in enumerate(cut)])
    engine = StreamEngine(Design(InMemory(rows.reshape(m, N_X)), 1 / 255), np.zeros(N_X), jobs)
    return {"step": _median_step(engine, steps)}


def dask_step(m: int, workers: int, steps: int, part_numbers: int | None = None) -> dict[str, float]:
    """Median seconds of a step on so many local workers; parts may be made smaller to have more."""
    import numpy as np

    from catclf.design import Design
    from catclf.engines.dask import DaskEngine
    from catclf.engines.sweep import FAN_IN
    from catclf.features.pixels import Pixels
    from catclf.stores.on_workers import OnWorkers, Piece
    from catclf.work import parts
    from catclf.work.cluster import connected

    if part_numbers is not None:
        parts._PART_NUMBERS = part_numbers
    with connected("local", workers) as cluster:
        cut = parts.parts(m, N_X)
        counts = [part.stop - part.start for part in cut]
        blocks = cluster.submit_each(noise, range(len(cut)), counts)
        pieces = list(map(Piece, blocks, map(np.arange, counts)))
        pictures = OnWorkers(cluster, noise(0, 0), pieces)
        engine = DaskEngine(Design(pictures.mapped(Pixels(SIZE).rows), 1 / 255), np.zeros(N_X))
        del blocks, pieces, pictures
        return {"step": _median_step(engine, steps), "shards": -(-len(cut) // FAN_IN)}


def _median_step(engine: Engine, steps: int) -> float:
    import numpy as np

    from catclf.objective import Objective

    y = (np.arange(engine.m) % 2).astype(float)
    objective = Objective("cross-entropy", y, np.full(engine.m, 1 / engine.m), 0.0)
    c, clock = engine.start().copy(), bench.Clock(steps)
    for _ in range(WARM_UP):
        engine.sweep(c, objective)
    while not clock():
        gradient, _ = engine.sweep(c, objective)
        c -= 0.001 * gradient
    return clock.median_step()


# ---------------------------------------------------------------- the model


class Costs(NamedTuple):
    """Parameters of the model of docs/scaling.md, in seconds."""

    value: float  # of X, on one thread
    step: float  # whatever there is to do
    task: float


def predicted(costs: Costs, m: int, workers: int, threads: int, n_x: int = N_X) -> float:
    """Seconds of a step on a cluster."""
    from catclf.engines.sweep import FAN_IN
    from catclf.work.parts import parts

    shards = -(-len(parts(m, n_x)) // FAN_IN)
    rounds = -(-shards // (workers * threads))
    sums = 8 * n_x * min(shards, FAN_IN**2)  # that one worker receives to add them up
    network = (4 * n_x + sums) / BANDWIDTH
    return rounds * (m / shards) * n_x * costs.value + costs.step + shards * costs.task + network


# ---------------------------------------------------------------- tables


def measure(steps: int, repeats: int) -> Iterator[str]:
    """Yield paragraphs and tables."""
    one_picture = N_X  # numbers a part, so that there are as many parts as pictures
    runs = {
        "stream, 1 thread": partial(run_job, stream_step, 1, m=PICTURES, jobs=1, steps=steps),
        **{
            f"stream, {n} threads": partial(run_job, stream_step, 1, m=PICTURES, jobs=n, steps=steps)
            for n in WORKERS[1:]
        },
        **{
            f"dask, {n}": partial(run_job, dask_step, 1, m=PICTURES, workers=n, steps=steps)
            for n in WORKERS
        },
        **{f"few, {n}": partial(run_job, dask_step, 1, m=FEW, workers=n, steps=steps) for n in WORKERS},
        "stream, few": partial(run_job, stream_step, 1, m=FEW, jobs=1, steps=steps),
        "more tasks": partial(
            run_job, dask_step, 1, m=FEW, workers=2, steps=steps, part_numbers=one_picture
        ),
    }
    outcomes = alternate(runs, repeats, "steps")
    seconds = {name: statistics.median(bench.values(found, "step")) for name, found in outcomes.items()}
    shards = {name: bench.values(outcomes[name], "shards")[0] for name in ("few, 2", "more tasks")}
    overhead = {n: seconds[f"few, {n}"] - seconds["stream, few"] for n in WORKERS}
    extra_tasks = shards["more tasks"] - shards["few, 2"]
    task = max(0.0, (seconds["more tasks"] - seconds["few, 2"]) / extra_tasks)
    costs = Costs(
        value=seconds["stream, 1 thread"] / (PICTURES * N_X),
        step=max(0.0, overhead[2] - shards["few, 2"] * task),
        task=task,
    )
    yield f"A step with {PICTURES} pictures of {SIZE}×{SIZE}, in milliseconds:"
    names = {1: "stream, 1 thread", **{n: f"stream, {n} threads" for n in WORKERS[1:]}}
    yield bench.table(
        ["workers (threads)", "stream", "dask", "dask / stream", "overhead", "model"],
        [
            [
                str(n),
                _ms(seconds[names[n]]),
                _ms(seconds[f"dask, {n}"]),
                bench.ratio(
                    bench.values(outcomes[f"dask, {n}"], "step"),
                    bench.values(outcomes[names[n]], "step"),
                ),
                _ms(overhead[n]),
                _ms(predicted(costs, PICTURES, min(n, bench.core_count()), 1)),
            ]
            for n in WORKERS
        ],
    )
    yield (
        f"The overhead is a step with {FEW} pictures. The model knows that there are "
        f"{bench.core_count()} cores. Its parameters: {number(1e9 * costs.value)} ns for each value of "
        f"X on a thread, {_ms(costs.step)} ms a step, {_ms(costs.task)} ms for each of its tasks."
    )
    yield (
        f"What it predicts for clusters with {THREADS} such threads a worker and a network of "
        "10 Gbit/s (not measured):"
    )
    yield bench.table(
        ["pictures", "workers", "GB a worker", "seconds a step", "hours for 2000 steps"],
        [_prediction(costs, m, workers) for m in (10**7, 10**9) for workers in (10, 100)],
    )


def _prediction(costs: Costs, m: int, workers: int) -> list[str]:
    seconds = predicted(costs, m, workers, THREADS)
    cells: list[Any] = [m, workers, m * N_X / workers / 1e9, seconds, 2000 * seconds / 3600]
    return [f"{cells[0]:.0e}", str(workers), *map(number, cells[2:])]


def _ms(seconds: float) -> str:
    return number(1000 * seconds)


@click.command()
@click.option("--steps", default=60, show_default=True, help="Steps that a median is taken of.")
@click.option("--repeats", default=3, show_default=True, help="Rounds.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the page there.")
def main(steps: int, repeats: int, out: Path | None) -> None:
    """Measure a step of the Dask engine."""
    neighbours = bench.Neighbours()
    head = ["Written by `python scripts/bench_dask.py`.", bench.machine(), bench.rounds(repeats)]
    paragraphs = [*head, *measure(steps, repeats), neighbours.told()]
    page = "\n\n".join(["# The Dask engine, measured", *paragraphs]) + "\n"
    print(page)
    if out is not None:
        out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
