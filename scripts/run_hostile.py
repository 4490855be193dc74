"""Run train, predict and eval over a folder of hostile files, with time and memory bounded.

python scripts/run_hostile.py FOLDER                 every file in runs of its own (half an hour)
python scripts/run_hostile.py FOLDER --batch 200     many files a run

Files called *.h5 are HDF5 data, all others pictures. Exits 1 and says what is wrong if a run takes
over 10 s a file or 1 GB, dies, writes anything to stderr that is no message of catclf, or does not
answer each picture that Pillow decodes with a probability and each other one with a reason. Pillow
decodes some TIFF files wrongly, which catclf names, and no JPEG that lacks only its end, which it reads.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "ICO")
MOST_SECONDS, MOST_KILOBYTES = 10.0, 1_000_000

# How a line of stderr may begin or end when nothing is wrong with catclf itself.
MESSAGES = (
    "with fewer than 20 pictures",
    "this says nothing about new pictures",
    *("catclf: warning: ", "catclf: error: ", "pictures: ", "cost ", "accuracy ", "saved ", "next: "),
    *("stopped", "converged"),
)
ENDS = ("could not be read",)

# What Pillow decodes wrongly, by the beginning of the reason.
NAMED = (
    *("is a TIFF", "is an uncompressed TIFF", "is a compressed TIFF", "has pixels from", "has negative"),
    *("is a PNG of 16 bits a colour in which", "is an AVIF of which only a part"),
    *("is a BMP of 16 bits with transparency", "is an icon of which the directory does not fit"),
    "is a broken picture (its run-length coding",
)
JPEG_END = b"\xff\xd9"

# Lists what is in an HDF5 file; run in a process of its own, since that may crash.
VISIT = """
import sys, h5py
found = []
with h5py.File(sys.argv[1]) as file:
    file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
print(*found[:20], sep="\\n")
"""


class Run(NamedTuple):
    command: tuple[str, ...]
    code: int
    seconds: float
    kilobytes: int
    out: bytes
    err: str


def run(*arguments: str, seconds: float = MOST_SECONDS) -> Run:
    """Run catclf; a run that takes too long is killed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "catclf", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        guard = threading.Timer(seconds, process.kill)
        guard.start()
        _, status, usage = os.wait4(process.pid, 0)
        guard.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        taken = time.monotonic() - begun
        out.seek(0)
        err.seek(0)
        text = err.read().decode("utf-8", "replace")
        return Run(arguments, process.returncode, taken, usage.ru_maxrss, out.read(), text)


def complaints(done: Run, codes: Sequence[int], seconds: float) -> Iterator[str]:
    """Say what is wrong with a run, whatever its answers are."""
    if done.code not in codes:
        yield f"exit code {done.code}"
    if done.seconds >= seconds:
        yield f"took {done.seconds:.1f} s"
    if done.kilobytes > MOST_KILOBYTES:
        yield f"took {done.kilobytes} kB"
    for line in done.err.splitlines():
        if not line.startswith(MESSAGES) and not line.endswith(ENDS):
            yield f"stderr: {line}"


def decodable(path: Path, end: bytes = b"") -> bool:
    """Whether Pillow, or pillow-heif, decodes the whole picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = path.read_bytes() + end
            if data[4:8] == b"ftyp" and (b"heic" in data[8:40] or b"heix" in data[8:40]):
                import pillow_heif  # the extra may not be there

                pillow_heif.open_heif(io.BytesIO(data)).to_pillow().convert("RGB")
                return True
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                image.load()
                image.convert("RGB")
    except Exception:
        return False
    return True


def wrong_answers(done: Run, files: Sequence[Path]) -> Iterator[str]:
    rows = [json.loads(line) for line in done.out.splitlines()]
    if [row["path"] for row in rows] != [str(path) for path in files]:
        yield "the rows are not those of the files"
        return
    for path, row in zip(files, rows, strict=True):
        good = path.suffix != ".h5" and decodable(path)
        if good and str(row["error"]).startswith(NAMED):
            continue
        if not good and row["error"] is None and decodable(path, JPEG_END):
            continue
        if (row["probability"] is None) == good or (row["error"] is None) != good:
            yield f"{path}: {row}, and Pillow {'decodes' if good else 'does not decode'} it"


def predict(model: Path, files: Sequence[Path]) -> tuple[Run, list[str]]:
    seconds = MOST_SECONDS * len(files)
    done = run("predict", "-m", str(model), "-F", "jsonl", *map(str, files), seconds=seconds)
    return done, [*complaints(done, (0, 3), seconds)] or [*wrong_answers(done, files)]


def labelled(album: Path, files: Sequence[Path], table: Path) -> Path:
    """Write a table of two good pictures and the hostile ones."""
    with open(table, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        rows.writerows([[album / "cat" / "0.png", "cat"], [album / "dog" / "1.png", "dog"]])
        rows.writerows([path, ("cat", "dog")[k % 2]] for k, path in enumerate(files))
    return table


def learn(data: Path, model: Path, folder: Path, files: int) -> Iterator[tuple[Run, list[str]]]:
    """Train and evaluate on data that is hostile in part, or wholly."""
    is_hdf5 = data.suffix == ".h5"
    seconds = MOST_SECONDS * files
    output = folder / "trained.npz"
    settings = ("--size", "8", "-i", "3", "--positive", "cat")
    done = run("train", str(data), "-o", str(output), "-f", *settings, seconds=seconds)
    wrong = [*complaints(done, (1,) if is_hdf5 else (0,), seconds)]
    if is_hdf5 == output.exists():
        wrong.append("a model was saved" if is_hdf5 else "no model was saved")
    yield done, wrong
    done = run("eval", "-m", str(model), str(data), "-F", "json", seconds=seconds)
    yield done, [*complaints(done, (1,) if is_hdf5 else (0, 3), seconds)]


def keys(path: Path) -> list[str]:
    """Names of the data sets of an HDF5 file, as far as they can be found out."""
    command = [sys.executable, "-c", VISIT, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return []
    return [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line]


def named(model: Path, path: Path) -> Iterator[tuple[Run, list[str]]]:
    """Read each data set of an HDF5 file as pictures and as labels."""
    for key in keys(path):
        done = run("predict", "-m", str(model), str(path), f"--x-key={key}")
        yield done, [*complaints(done, (0, 3), MOST_SECONDS)]
        done = run("eval", "-m", str(model), str(path), f"--x-key={key}", f"--y-key={key}")
        yield done, [*complaints(done, (1,), MOST_SECONDS)]


def all_runs(files: Sequence[Path], album: Path, model: Path) -> list[tuple[Run, list[str]]]:
    """Everything that is done with the files of one batch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [predict(model, files)]
        pictures = [path for path in files if path.suffix != ".h5"]
        if pictures:
            table = labelled(album, pictures, folder / "labels.csv")
            runs += learn(table, model, folder, len(pictures))
        elif len(files) == 1:
            runs += learn(files[0], model, folder, 1)
            runs += named(model, files[0])
        return runs


def make_album(folder: Path) -> Path:
    for k, kind in enumerate(("cat", "dog")):
        (folder / kind).mkdir(parents=True)
        pixels = np.random.default_rng(k).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / kind / f"{k}.png")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=1, help="files in one run")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    options = parser.parse_args()
    files = sorted(path.resolve() for path in options.folder.rglob("*") if path.is_file())
    files.sort(key=lambda path: path.suffix == ".h5")
    hdf5 = sum(path.suffix == ".h5" for path in files)
    pictures = files[: len(files) - hdf5]
    batches = [
        part[k : k + options.batch]
        for part in (pictures, files[len(pictures) :])
        for k in range(0, len(part), options.batch)
    ]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(options.jobs) as pool:
        album, model = make_album(Path(name) / "album"), Path(name) / "model.npz"
        run("train", str(album), "-o", str(model), "--size", "8", "-i", "3")
        done = [r for runs in pool.map(lambda b: all_runs(b, album, model), batches) for r in runs]
    for ran, wrong in done:
        for what in wrong:
            print(f"catclf {' '.join(ran.command[:8])}: {what}")
    codes = dict(sorted(Counter(ran.code for ran, _ in done).items()))
    print(f"{len(pictures)} pictures and {hdf5} HDF5 files in {len(done)} runs; exit codes {codes}")
    print(f"slowest {max(ran.seconds for ran, _ in done):.1f} s", end=", ")
    print(f"largest {max(ran.kilobytes for ran, _ in done) / 1000:.0f} MB")
    return int(any(wrong for _, wrong in done))


if __name__ == "__main__":
    sys.exit(main())
