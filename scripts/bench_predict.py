"""Measures prediction: pictures a second, start-up and memory of catclf predict against its peers.

    python scripts/bench_predict.py                        made photographs, about five minutes
    python scripts/bench_predict.py --folder photos/       every JPEG below a folder

Everything that is compared runs in one go, in alternation, each time in a fresh process. The floor is
what the cores can do at best: decode every JPEG at the smallest scale that is large enough, no more.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
import click
from bench import Report, alternate, median, number, run_job

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 64
N_X = SIZE * SIZE * 3
FEW, MANY = 1000, 50_000  # pictures of the two lists whose memory is compared


# ---------------------------------------------------------------- jobs: what is needed first


def make_photographs(folder: str, count: int) -> dict[str, Any]:
    """Write JPEGs of 500 × 375 with as much detail on every scale, and as many bytes, as photographs."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(count):
        picture = np.full((375, 500, 3), 128.0)
        for side in (2, 4, 8, 16, 32, 64, 128):
            coarse = rng.normal(0, 90 / side**0.5, (side, side, 3)) + rng.normal(
                0, 90 / side**0.5, (side, side, 1)
            )
            layers = [Image.fromarray(np.float32(coarse[:, :, c])).resize((500, 375)) for c in range(3)]
            picture += np.stack([np.asarray(layer) for layer in layers], axis=2)
        pixels = np.clip(picture + rng.normal(0, 4, (375, 500, 1)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(Path(folder) / f"{k:04d}.jpg", quality=90)
    return {}


def make_model(path: str, features: str = "pixels") -> dict[str, Any]:
    """Write a model with seeded weights: its answers do not matter here."""
    import numpy as np

    from catclf.model import Model, save

    made = _features(features)
    w = np.random.default_rng(0).normal(0, 0.01, made.n_x)
    save(Model(w, 0.0, made, "cat", "non-cat"), path)
    return {}


def _features(name: str) -> Any:
    if name == "network":
        from catclf.features.encoder import built_in
        from catclf.features.network import Network

        return Network(built_in())
    if name == "patches":
        import numpy as np

        from catclf.features.patches import Patches

        return Patches.learn(np.random.default_rng(0).integers(0, 256, (20, SIZE, SIZE, 3), np.uint8))
    from catclf.features.pixels import Pixels

    return Pixels(SIZE)


# ---------------------------------------------------------------- jobs: the peers


def _listed(listing: str) -> list[str]:
    return Path(listing).read_text().splitlines()


def _timed(work: Callable[[], object], count: int) -> dict[str, Any]:
    begun = time.perf_counter()
    work()
    return {"rate": count / (time.perf_counter() - begun)}


def _weights() -> NDArray[Any]:
    import numpy as np

    return np.random.default_rng(0).normal(0, 0.01, N_X)


def pillow_loop(listing: str) -> dict[str, Any]:
    """Open, convert, resize, divide, multiply: one picture after the other."""
    import numpy as np
    from PIL import Image

    paths, w = _listed(listing), _weights()

    def work() -> None:
        for path in paths:
            with Image.open(path) as image:
                x = np.asarray(image.convert("RGB").resize((SIZE, SIZE))).reshape(-1) / 255.0
            1 / (1 + np.exp(-(x @ w)))

    return _timed(work, len(paths))


def opencv_loop(listing: str, reduced: bool) -> dict[str, Any]:
    """The same with OpenCV; `reduced` decodes at a quarter of the size."""
    import cv2
    import numpy as np

    paths, w = _listed(listing), _weights()
    flag = cv2.IMREAD_REDUCED_COLOR_4 if reduced else cv2.IMREAD_COLOR

    def work() -> None:
        for path in paths:
            small = cv2.resize(cv2.imread(path, flag), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            x = cv2.cvtColor(small, cv2.COLOR_BGR2RGB).reshape(-1) / 255.0
            1 / (1 + np.exp(-(x @ w)))

    return _timed(work, len(paths))


def torchvision_loader(listing: str) -> dict[str, Any]:
    """ImageFolder and a DataLoader with a worker process for each core."""
    import torch
    from torchvision import datasets, transforms

    paths = _listed(listing)
    w = torch.from_numpy(_weights()).float()
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "pictures"
        inside.mkdir()
        for k, path in enumerate(paths):
            (inside / f"{k}.jpg").symlink_to(path)
        change = transforms.Compose([transforms.Resize((SIZE, SIZE)), transforms.ToTensor()])
        pictures = datasets.ImageFolder(folder, change)
        loader = torch.utils.data.DataLoader(pictures, batch_size=64, num_workers=bench.core_count())

        def work() -> None:
            with torch.no_grad():
                for batch, _ in loader:
                    torch.sigmoid(batch.permute(0, 2, 3, 1).reshape(len(batch), -1) @ w)

        return _timed(work, len(paths))


def decoding_floor(listing: str, processes: bool, resized: bool = False) -> dict[str, Any]:
    """Only decode, with ``draft``, on all cores, in threads or in processes that have already begun.

    `resized` adds Pillow's antialiased resizing and nothing else.
    """
    import multiprocessing
    from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

    from PIL import Image

    Image.preinit()
    paths, cores = _listed(listing), bench.core_count()
    parts = [paths[k : k + 16] for k in range(0, len(paths), 16)]
    context = multiprocessing.get_context("fork")
    pool: Executor = ProcessPoolExecutor(cores, context) if processes else ThreadPoolExecutor(cores)
    with pool:
        work = partial(_decode_only, resized=resized)
        list(pool.map(work, parts[:cores]))
        return _timed(lambda: list(pool.map(work, parts)), len(paths))


def _decode_only(paths: list[str], resized: bool) -> None:
    from PIL import Image

    for path in paths:
        with Image.open(path) as image:
            image.draft(None, (SIZE, SIZE))
            image.load()
            if resized:
                image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def bare_network(listing: str) -> dict[str, Any]:
    """Decode to the same size and call ONNX Runtime, a process with one thread on each core."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    paths, cores = _listed(listing), bench.core_count()
    parts = [paths[k : k + 16] for k in range(0, len(paths), 16)]
    with ProcessPoolExecutor(cores, multiprocessing.get_context("fork"), _begin_network) as pool:
        list(pool.map(_run_network, parts[:cores]))
        return _timed(lambda: list(pool.map(_run_network, parts)), len(paths))


_session: Any = None


def _begin_network() -> None:
    global _session
    import onnxruntime

    from catclf.features import encoder, lite0

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    weights = lite0.read_weights(Path(encoder.weights_path()).read_bytes())
    _session = onnxruntime.InferenceSession(lite0.onnx_bytes(weights, 224), options)


def _run_network(paths: list[str]) -> None:
    import numpy as np
    from PIL import Image

    for path in paths:
        with Image.open(path) as image:
            image.draft("RGB", (224, 224))
            short = min(image.size)
            left, top = (image.width - short) // 2, (image.height - short) // 2
            box = (left, top, left + short, top + short)
            pixels = image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC, box)
        _session.run(None, {"pictures": np.asarray(pixels)[np.newaxis]})


# ---------------------------------------------------------------- parts


@dataclass(frozen=True)
class Plan:
    """What the command line asks for, and the lists of paths that it leads to."""

    pictures: list[str]
    folder: Path
    repeats: int
    length: int
    quick: bool

    @property
    def model(self) -> str:
        return str(self.folder / "cat.npz")

    def listing(self, count: int) -> str:
        """Name a file that lists so many paths, the same pictures again and again."""
        path = self.folder / f"list{count}.txt"
        whole, rest = divmod(count, len(self.pictures))
        path.write_text("".join(f"{p}\n" for p in self.pictures * whole + self.pictures[:rest]))
        return str(path)

    def predict(self, count: int, *options: str, model: str | None = None) -> bench.Outcome:
        """Run catclf predict over so many pictures."""
        rows = str(self.folder / "rows.tsv")
        listed = ["--files-from", self.listing(count), "-F", "tsv", "-f", "-o", rows]
        command = [*bench.catclf_command(), "predict", "-m", model or self.model, *listed, *options]
        outcome = bench.run_command(command)
        return outcome._replace(values={"rate": count / outcome.wall})


Sections = Iterator[str]

_PEERS: dict[str, tuple[str, Callable[..., Any], dict[str, Any]]] = {
    "plain Pillow loop": ("PIL", pillow_loop, {}),
    "OpenCV loop": ("cv2", opencv_loop, {"reduced": False}),
    "OpenCV loop, reduced decoding": ("cv2", opencv_loop, {"reduced": True}),
    "torchvision DataLoader": ("torchvision", torchvision_loader, {}),
    "only decoding and resizing, threads": (
        "PIL",
        decoding_floor,
        {"processes": False, "resized": True},
    ),
    "only decoding, threads": ("PIL", decoding_floor, {"processes": False}),
    "only decoding, processes": ("PIL", decoding_floor, {"processes": True}),
}


def _rate_part(plan: Plan) -> Sections:
    few, many = len(plan.pictures), plan.length
    yield "## Pictures a second"
    size = statistics.mean(os.path.getsize(path) for path in plan.pictures) / 1000
    yield (
        f"{few} different JPEGs of {size:.0f} kB on average, repeated to a list of {many}. Start-up and "
        "the saving of the rows are part of catclf's time; imports are not part of its peers'. *Of the "
        "floor* is the rate divided by that of the faster of the two that only decode, round by round. "
        "*Peak memory* is that of the largest process: catclf predict, the DataLoader and one of the "
        "floors have one more for each core."
    )
    runs: dict[str, bench.Run] = {
        "catclf predict": partial(plan.predict, many),
        "catclf predict -j 1": partial(plan.predict, many, "-j", "1"),
        f"catclf predict, {few} pictures": partial(plan.predict, few),
    }
    for name, (module, job, options) in _PEERS.items():
        if bench.installed(module):
            count = many if name.startswith(("only", "torch")) else min(many, max(few, 400))
            # Threads of BLAS would only disturb a product with one picture.
            runs[name] = partial(run_job, job, blas_threads=1, listing=plan.listing(count), **options)
    outcomes = alternate(runs, plan.repeats, "rates")
    rates = {name: bench.values(sample, "rate") for name, sample in outcomes.items()}
    decoding = zip(rates["only decoding, threads"], rates["only decoding, processes"], strict=True)
    floor = [max(pair) for pair in decoding]
    rows = [
        [
            name,
            median(r),
            bench.ratio(r, rates["plain Pillow loop"]),
            bench.ratio(r, floor),
            bench.peak(outcomes[name]),
        ]
        for name, r in rates.items()
    ]
    yield bench.table(["", "pictures/s", "of the Pillow loop", "of the floor", "peak memory"], rows)


FEATURES_MANY = 2000


def _features_part(plan: Plan) -> Sections:
    yield "## Patches and network"
    many = 200 if plan.quick else FEATURES_MANY
    yield (
        f"A list of {many}; start-up is part of catclf's time, and not of the bare loop's, which decodes"
        " to the same size and calls ONNX Runtime with one thread in a process on each core. *One"
        " picture* is from a cold start."
    )
    runs: dict[str, bench.Run] = {}
    singles: dict[str, bench.Run] = {}
    for name in ("pixels", "patches", "network"):
        if name == "network" and not bench.installed("onnxruntime"):
            continue
        model = str(plan.folder / f"{name}.npz")
        run_job(make_model, path=model, features=name)
        runs[f"catclf predict, {name}"] = partial(plan.predict, many, model=model)
        singles[f"catclf predict, {name}"] = partial(plan.predict, 1, model=model)
    if bench.installed("onnxruntime"):
        runs["bare loop, ONNX Runtime"] = partial(run_job, bare_network, listing=plan.listing(many))
    outcomes = alternate(runs, plan.repeats, "features")
    starts = alternate(singles, plan.repeats, "one picture")
    bare = outcomes.get("bare loop, ONNX Runtime")
    rows = []
    for name, sample in outcomes.items():
        rates = bench.values(sample, "rate")
        compared = bare is not None and name.endswith(("network", "Runtime"))
        share = bench.ratio(rates, bench.values(bare, "rate")) if compared and bare else "–"
        start = median(bench.walls(starts[name])) if name in starts else "–"
        rows.append([name, median(rates), share, bench.peak(sample), start])
    head = ["", "pictures/s", "of the bare loop", "peak memory", "one picture, s"]
    yield bench.table(head, rows)


def _start_part(plan: Plan) -> Sections:
    yield "## Start-up"
    predict = ["predict", "-m", plan.model, plan.pictures[0], "-f", "-o", str(plan.folder / "one.txt")]
    commands = {
        "catclf predict, one picture": predict,
        "catclf --help": ["--help"],
        "catclf predict --help": ["predict", "--help"],
        "catclf info": ["info", plan.model],
    }
    runs: dict[str, bench.Run] = {
        name: partial(bench.run_command, [*bench.catclf_command(), *arguments])
        for name, arguments in commands.items()
    }
    runs["python -c pass"] = partial(bench.run_command, [sys.executable, "-c", "pass"])
    outcomes = alternate(runs, max(plan.repeats, 3) * 2, "start-up")
    rows = []
    for name, sample in outcomes.items():
        wall = bench.walls(sample)
        rows.append([name, median(wall), number(min(wall)), bench.peak(sample)])
    yield bench.table(["", "wall, s", "least", "peak memory"], rows)


def _memory_part(plan: Plan) -> Sections:
    few, many = (100, 2000) if plan.quick else (FEW, MANY)
    yield "## Memory over long lists"
    outcomes = alternate({f"{n:,}": partial(plan.predict, n) for n in (few, many)}, 1, "memory")
    rows = [
        [name, bench.peak(sample), median(bench.walls(sample)), median(bench.values(sample, "rate"))]
        for name, sample in outcomes.items()
    ]
    yield bench.table(["pictures", "peak memory", "wall, s", "pictures/s"], rows)
    small, large = (sample[0].memory for sample in outcomes.values())
    yield f"The longer list takes {large / small:.3f} times the memory of the shorter."


PARTS: dict[str, Callable[[Plan], Sections]] = {
    "rate": _rate_part,
    "features": _features_part,
    "start": _start_part,
    "memory": _memory_part,
}


def _jpegs(folders: Iterable[Path]) -> list[str]:
    found = (path for folder in folders for path in sorted(folder.rglob("*")))
    pictures = [str(path.resolve()) for path in found if path.suffix.lower() in (".jpg", ".jpeg")]
    random.Random(0).shuffle(pictures)  # large and small ones in any part of a list
    return pictures


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--folder", "folders", multiple=True, type=_FOLDER,
              help="Of JPEGs; can be repeated.  [default: made photographs]")  # fmt: skip
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--length", type=click.IntRange(1), default=10_000, show_default=True, help="Pictures of a list."
)
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)),
              help="Only this one; can be repeated.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Short lists, to see whether it works.")
@click.option("--out", type=click.Path(path_type=Path), default=bench.ROOT / "docs" / "bench_predict.md")
def main(
    folders: tuple[Path, ...], repeats: int, length: int, parts: tuple[str, ...], quick: bool, out: Path
) -> None:
    """Measure prediction and write the tables to docs/bench_predict.md."""
    neighbours = bench.Neighbours()
    report = Report(out, "Prediction, measured")
    report.add(
        "Written by `python scripts/bench_predict.py`.",
        bench.machine(),
        bench.rounds(repeats),
    )
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        made = place / "pictures"
        made.mkdir()
        if not folders:
            run_job(make_photographs, folder=str(made), count=50 if quick else 200)
        plan = Plan(_jpegs(folders or (made,)), place, repeats, 400 if quick else length, quick)
        run_job(make_model, path=plan.model)
        for part in parts or PARTS:
            for paragraph in PARTS[part](plan):
                report.add(paragraph)
    report.add(neighbours.told())


if __name__ == "__main__":
    main()
