"""Measures what a picture and a step cost with each kind of features, and what that says of clusters.

    python scripts/bench_features.py                                 prints tables; about five minutes
    python scripts/bench_features.py --out docs/bench_features.md    and writes them

Pictures are made JPEGs of 500 × 375; rows for the steps are made numbers of the width and dtype of the
kind. BLAS has one thread, as it has under the command line.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import bench
import bench_dask
import bench_predict
import click
from bench import alternate, number, run_job
from bench_dask import Costs, predicted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from catclf.engines import Engine

KINDS = ("pixels", "patches", "network")
ON_WORKERS = ("pixels", "network")
BATCH = 32  # pictures, so that the first ones, of which the time is not known, are few
ROWS, FEW, STEPS = 20_000, 64, 300
MACHINES = (10, 100)
PHOTOGRAPHS = (10**6, 10**8)


# ---------------------------------------------------------------- jobs


def facts(kind: str) -> dict[str, Any]:
    """Numbers of a row, and its bytes."""
    features = bench_predict._features(kind)
    row = _empty(features)
    return {"n_x": features.n_x, "bytes": row.itemsize * features.n_x}


def encode(folder: str, copies: int, kind: str, workers: int, cluster: bool) -> dict[str, float]:
    """Seconds of a worker for a picture, once all of them are at work."""
    from catclf.pipeline import scoring

    scoring._SENT_TO_WORKERS = BATCH
    from catclf.config import ReadOptions
    from catclf.features import view_of
    from catclf.images.picture import Picture
    from catclf.pipeline.scoring import RowMaker, rows_of
    from catclf.progress import Progress

    features = bench_predict._features(kind)
    read = ReadOptions(jobs=workers, scheduler="local" if cluster else None)
    maker = RowMaker(features, view_of(features), read)
    paths = sorted(map(str, Path(folder).iterdir())) * copies
    done, begun = 0, 0.0
    for chunk in rows_of(maker, map(Picture, paths), True, Progress()):
        if begun:
            done += len(chunk)
        else:
            begun = time.perf_counter()
    return {"seconds": (time.perf_counter() - begun) * workers / done}


def step(kind: str, m: int, workers: int, cluster: bool) -> dict[str, float]:
    """Median seconds of a step over rows that are standardised if the features want that."""
    import numpy as np

    from catclf.design import Design
    from catclf.engines.dask import DaskEngine
    from catclf.engines.stream import StreamEngine
    from catclf.stores.here import InMemory
    from catclf.work.cluster import connected

    features = bench_predict._features(kind)
    rows = _rows(m, _empty(features))
    design = Design(InMemory(rows), features.scale)
    w0 = np.zeros(features.n_x)
    if not cluster:
        return {"step": _median(StreamEngine(design, w0, workers), features)}
    with connected("local", workers):
        return {"step": _median(DaskEngine(design, w0), features)}


def _empty(features: Any) -> NDArray[Any]:
    import numpy as np

    found: NDArray[Any] = features.rows(np.empty((0, features.size, features.size, 3), np.uint8))
    return found


def _rows(m: int, empty: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    if empty.dtype == np.uint8:
        return rng.integers(0, 256, (m, empty.shape[1]), np.uint8)
    return rng.standard_normal((m, empty.shape[1]), np.float32).astype(empty.dtype)


def _median(engine: Engine, features: Any) -> float:
    import numpy as np

    from catclf.design import Standardisation
    from catclf.engines.standardised import Standardised

    if features.kind.standardised:
        n_x = features.n_x
        measured = Standardisation(np.zeros(n_x), np.full(n_x, np.sqrt(n_x)))
        engine = Standardised(engine, measured, np.zeros(n_x))
    return bench_dask._median_step(engine, 60)


# ---------------------------------------------------------------- the page


class Kind(NamedTuple):
    """What was measured of a kind, in seconds."""

    n_x: int
    bytes: int
    encoding: float  # of a worker for a picture
    costs: Costs


def measure(folder: str, copies: int, repeats: int) -> Iterator[str]:
    """Measure everything and yield paragraphs."""
    cores = bench.core_count()
    known = {kind: run_job(facts, 1, kind=kind).values for kind in KINDS}
    encodings = {
        f"{kind}, {workers}, {cluster}": partial(
            run_job,
            encode,
            1,
            folder=folder,
            copies=copies if kind == "network" else 4 * copies,
            kind=kind,
            workers=workers,
            cluster=cluster,
        )
        for kind in KINDS
        for workers in (1, 2)
        for cluster in (False, True)
        if not cluster or kind in ON_WORKERS
    }
    steps = {
        f"{kind}, {m}, {workers}, {cluster}": partial(
            run_job, step, 1, kind=kind, m=m, workers=workers, cluster=cluster
        )
        for kind in KINDS
        for m in (ROWS, FEW)
        for workers in (1, 2)
        for cluster in (False, True)
        if not cluster or kind in ON_WORKERS
    }
    more_tasks = partial(
        run_job, bench_dask.dask_step, 1, m=FEW, workers=2, steps=60, part_numbers=bench_dask.N_X
    )
    encoded = alternate(encodings, repeats, "encoding")
    stepped = alternate({**steps, "more tasks": more_tasks}, repeats, "steps")

    def encoding(kind: str, workers: int, cluster: bool) -> str:
        found = encoded.get(f"{kind}, {workers}, {cluster}")
        return "" if found is None else _ms(_median_of(found, "seconds"))

    def step_of(kind: str, m: int, workers: int, cluster: bool) -> float:
        return _median_of(stepped[f"{kind}, {m}, {workers}, {cluster}"], "step")

    yield f"A worker's milliseconds for a picture ({cores} cores), and what a row takes:"
    yield bench.table(
        ["features", "1 here", "2 here", "1 of Dask's", "2 of Dask's", "numbers", "bytes"],
        [
            [
                kind,
                *(encoding(kind, workers, cluster) for cluster in (False, True) for workers in (1, 2)),
                str(int(known[kind]["n_x"])),
                str(int(known[kind]["bytes"])),
            ]
            for kind in KINDS
        ],
    )
    yield f"A step over {ROWS} rows in memory, in milliseconds:"
    yield bench.table(
        ["features", "stream, 1 thread", "stream, 2", "dask, 1 worker", "dask, 2"],
        [
            [
                kind,
                *(
                    _ms(step_of(kind, ROWS, workers, cluster))
                    if not cluster or kind in ON_WORKERS
                    else ""
                    for cluster in (False, True)
                    for workers in (1, 2)
                ),
            ]
            for kind in KINDS
        ],
    )
    tasks = FEW // 4 - 4
    task = max(
        0.0, (_median_of(stepped["more tasks"], "step") - step_of("pixels", FEW, 2, True)) / tasks
    )
    kinds = {
        kind: Kind(
            int(known[kind]["n_x"]),
            int(known[kind]["bytes"]),
            _median_of(encoded[f"{kind}, 1, True"], "seconds"),
            Costs(
                value=step_of(kind, ROWS, 1, False) / (ROWS * known[kind]["n_x"]),
                step=max(0.0, step_of(kind, FEW, 2, True) - step_of(kind, FEW, 1, False) - 4 * task),
                task=task,
            ),
        )
        for kind in ON_WORKERS
    }
    yield (
        f"An extrapolation from these figures, which nobody has measured: machines with "
        f"{bench_dask.THREADS} such cores, a network of 10 Gbit/s, {STEPS} steps."
    )
    yield bench.table(
        [
            "features",
            "photographs",
            "machines",
            "encoding",
            "GB a machine",
            "seconds a step",
            f"{STEPS} steps",
        ],
        [
            _extrapolated(name, kind, m, machines)
            for name, kind in kinds.items()
            for m in PHOTOGRAPHS
            for machines in MACHINES
        ],
    )


def _extrapolated(name: str, kind: Kind, m: int, machines: int) -> list[str]:
    encoding = m * kind.encoding / (machines * bench_dask.THREADS)
    seconds = predicted(kind.costs, m, machines, bench_dask.THREADS, kind.n_x)
    memory = number(m * kind.bytes / machines / 1e9)
    times = _duration(encoding), memory, number(seconds), _duration(STEPS * seconds)
    return [name, f"{m:.0e}", str(machines), *times]


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{number(seconds / length, 2)} {unit}"
    return f"{number(seconds, 2)} s"


def _median_of(outcomes: list[bench.Outcome], key: str) -> float:
    import statistics

    return statistics.median(bench.values(outcomes, key))


def _ms(seconds: float) -> str:
    return number(1000 * seconds)


@click.command()
@click.option("--pictures", default=300, show_default=True, help="JPEGs.")
@click.option(
    "--copies",
    default=4,
    show_default=True,
    help="How often the network sees each; others see it four times as often.",
)
@click.option("--repeats", default=3, show_default=True, help="Rounds.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the page there.")
def main(pictures: int, copies: int, repeats: int, out: Path | None) -> None:
    """Measure what a picture and a step cost with each kind of features."""
    neighbours = bench.Neighbours()
    head = ["Written by `python scripts/bench_features.py`.", bench.machine(), bench.rounds(repeats)]
    with tempfile.TemporaryDirectory() as folder:
        run_job(bench_predict.make_photographs, folder=folder, count=pictures)
        paragraphs = [*head, *measure(folder, copies, repeats), neighbours.told()]
    page = "\n\n".join(["# What a picture and a step cost", *paragraphs]) + "\n"
    print(page)
    if out is not None:
        out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
