"""Measures packing: its speed, what reading the packed file saves, and the memory of training from it.

    python scripts/bench_pack.py                        made photographs, a few minutes
    python scripts/bench_pack.py --data photos/         a folder with a sub-folder for each class

Everything that is compared runs in one go, in alternation, each time in a fresh process. Files have been
read before, so that they come from the system's cache, and the cores are what is measured.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bench
import click
from bench import Outcome, Report, alternate, median, number, ratio, run_command, run_job
from bench_predict import make_photographs

SIZE = 64


def make_classes(folder: str, count: int, copies: int) -> dict[str, Any]:
    """Make photographs in two classes, each under so many names."""
    names = ("cat", "other")
    for name in names:
        (Path(folder) / name).mkdir(parents=True)
    make_photographs(folder, count)
    for k, path in enumerate(sorted(Path(folder).glob("*.jpg"))):
        for copy in range(1, copies):
            (Path(folder) / names[k % 2] / f"{copy}-{path.name}").hardlink_to(path)
        path.rename(Path(folder) / names[k % 2] / path.name)
    return {}


def make_large(path: str, count: int, some: int = 1000) -> dict[str, Any]:
    """Write drawn pictures as an uncompressed HDF5 file, each again and again with other noise."""
    import h5py
    import numpy as np
    from draw_dataset import Series
    from drawing.picture import CLASSES

    drawn = [Series(0, some, SIZE).draw(k) for k in range(some)]
    pixels = np.stack([np.asarray(picture.image) for picture in drawn]).astype(np.int16)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        x = file.create_dataset(
            "train_set_x", (count, SIZE, SIZE, 3), np.uint8, chunks=(64, SIZE, SIZE, 3)
        )
        for start in range(0, count, some):
            stop = min(count, start + some)
            noisy = pixels[: stop - start] + rng.integers(
                -20, 21, (stop - start, SIZE, SIZE, 3), np.int16
            )
            x[start:stop] = np.clip(noisy, 0, 255).astype(np.uint8)
        file["train_set_y"] = np.array([drawn[k % some].label for k in range(count)])
        file["list_classes"] = [name.encode() for name in CLASSES]
    return {}


def read(data: str) -> dict[str, Any]:
    """Read labelled pictures as training does, without the time that imports take."""
    # For the time it takes.
    import catclf.images.dataset
    import catclf.images.decode
    import catclf.images.hdf5  # noqa: F401

    begun = time.perf_counter()
    m = len(bench.labelled_pictures(data, SIZE)[0])
    return {"m": m, "seconds": time.perf_counter() - begun}


def difference(one: str, other: str) -> dict[str, Any]:
    """Largest difference of the weights of two models, relative to the largest weight."""
    import numpy as np

    a, b = (np.load(path)["w"] for path in (one, other))
    return {"difference": float(np.abs(a - b).max() / np.abs(a).max())}


def reading(data: Path, place: Path, repeats: int) -> Iterator[str]:
    """Compare the folder and the packed file, and pack the folder."""
    packed = place / "packed.h5"
    pack = [*bench.catclf_command(), "pack", str(data), str(packed), "-q", "-f", "--size", str(SIZE)]
    run_command(pack)
    runs = {
        "folder": partial(run_job, read, data=str(data)),
        "packed": partial(run_job, read, data=str(packed)),
        "catclf pack": partial(run_command, pack),
    }
    outcomes = alternate(runs, repeats, "reading")
    m = outcomes["folder"][0].values["m"]
    seconds = {name: bench.values(outcomes[name], "seconds") for name in ("folder", "packed")}
    seconds["catclf pack"] = bench.walls(outcomes["catclf pack"])
    rows = [
        [name, median(m / s for s in some), bench.peak(outcomes[name])] for name, some in seconds.items()
    ]
    yield f"## Reading {m} pictures for training"
    yield bench.table(["", "pictures/s", "peak memory"], rows)
    yield f"Reading the packed file is {ratio(seconds['folder'], seconds['packed'])} times as fast."


def out_of_core(place: Path, count: int, repeats: int, memory: str) -> Iterator[str]:
    """Compare training in memory with training within less of it."""
    large, packed = place / "large.h5", place / "large_packed.h5"
    run_job(make_large, path=str(large), count=count)
    run_command([*bench.catclf_command(), "pack", str(large), str(packed), "-q"])
    models = {"in memory": place / "a.npz", "out of core": place / "b.npz"}
    budgets = {"in memory": "1TB", "out of core": memory}

    def train(name: str) -> Outcome:
        options = ["-q", "-f", "-i", "20", "--engine", "stream", "--memory", budgets[name]]
        return run_command(
            [*bench.catclf_command(), "train", str(packed), "-o", str(models[name]), *options]
        )

    outcomes = alternate({name: partial(train, name) for name in models}, repeats, "training")
    rows = [[name, median(bench.walls(some)), bench.peak(some)] for name, some in outcomes.items()]
    found = run_job(difference, one=str(models["in memory"]), other=str(models["out of core"]))
    pixels = bench.megabytes(packed.stat().st_size)
    yield f"## Training from {count} pictures, {pixels}, with `--memory {memory}`"
    yield bench.table(["", "wall, s", "peak memory"], rows)
    yield f"The largest relative difference of a weight is {number(found.values['difference'])}."


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path),
              help="What train takes.  [default: made photographs]")  # fmt: skip
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--count", type=click.IntRange(1), default=60_000, show_default=True,
              help="Pictures of the large file.")  # fmt: skip
@click.option("--memory", default="300MB", show_default=True, help="To train from it within.")
@click.option("--quick", is_flag=True, help="Little data, to see whether it works.")
@click.option("--out", type=click.Path(path_type=Path), default=bench.ROOT / "docs" / "bench_pack.md")
def main(data: Path | None, repeats: int, count: int, memory: str, quick: bool, out: Path) -> None:
    """Measure packing and write the tables to docs/bench_pack.md."""
    neighbours = bench.Neighbours()
    report = Report(out, "Packing, measured")
    report.add("Written by `python scripts/bench_pack.py`.", bench.machine(), bench.rounds(repeats))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if data is None:
            data = place / "photographs"
            run_job(
                make_classes, folder=str(data), count=40 if quick else 1000, copies=1 if quick else 20
            )
        if quick:
            count, memory = 1000, "1MB"
        for part in (reading(data, place, repeats), out_of_core(place, count, repeats, memory)):
            for paragraph in part:
                report.add(paragraph)
    report.add(neighbours.told())


if __name__ == "__main__":
    main()
