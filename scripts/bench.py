"""What the benchmarks share: jobs in processes of their own, the textbook loop, medians, tables.

A job is a function of a script that takes and returns plain values. It is run as
``python bench.py MODULE FUNCTION JSON`` in a fresh process, so that its memory, its threads and its
imports are its own. The scripts themselves import no NumPy: a child's peak memory is at least that of
the process that starts it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catclf.images.labelled import Labelled

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("numpy", "pillow", "scikit-learn", "torch", "torchvision", "opencv-python-headless")

_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
# A BLAS kernel tuned for this processor may be masked by the environment.
_MASKS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


# ---------------------------------------------------------------- processes


class Outcome(NamedTuple):
    """What a process has given: its values, seconds from start to end, and bytes at its peak."""

    values: dict[str, Any]
    wall: float
    memory: int


def run_command(arguments: Sequence[str], blas_threads: int | None = None) -> Outcome:
    """Run a command to its end; its output goes nowhere. A failure is an error with its messages."""
    wall, memory, _ = _run(arguments, blas_threads)
    return Outcome({}, wall, memory)


def run_job(job: Callable[..., Any], blas_threads: int | None = None, **parameters: Any) -> Outcome:
    """Call `job` in a fresh process, with as many threads in BLAS, or with BLAS's own number of them."""
    module = Path(sys.modules[job.__module__].__file__ or "").stem  # not "__main__"
    call = [sys.executable, "-W", "ignore", __file__, module, job.__name__, json.dumps(parameters)]
    wall, memory, output = _run(call, blas_threads)
    return Outcome(json.loads(output), wall, memory)


def _run(arguments: Sequence[str], blas_threads: int | None) -> tuple[float, int, str]:
    environment = {k: v for k, v in os.environ.items() if k not in (*_THREADS, *_MASKS)}
    if blas_threads is not None:
        environment |= dict.fromkeys(_THREADS, str(blas_threads))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode != 0:
            message = err.read().decode(errors="replace")
            raise RuntimeError(f"{arguments[:4]} ended with {process.returncode}\n{message}")
        unit = 1 if sys.platform == "darwin" else 1024
        return wall, usage.ru_maxrss * unit, out.read().decode()


def catclf_command() -> list[str]:
    """How to start catclf: the installed program where there is one."""
    beside = shutil.which("catclf", path=str(Path(sys.executable).parent))
    return [beside] if beside else [sys.executable, "-m", "catclf"]


def installed(module: str) -> bool:
    """Whether a peer can be imported, found out without importing it."""
    return importlib.util.find_spec(module) is not None


def available_memory() -> int:
    """Bytes that could be taken without swapping; half of all memory where nobody says."""
    try:
        fields = Path("/proc/meminfo").read_text().split()
        return int(fields[fields.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def core_count() -> int:
    """Number of processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def labelled_pictures(source: str, size: int | None = None) -> tuple[NDArray[np.uint8], Labelled]:
    """Read pictures (m, s, s, 3) as training does, on all cores, and what is known of them."""
    from catclf.config import FEATURES, ReadOptions
    from catclf.images.dataset import opened
    from catclf.view import View

    options = ReadOptions(size=size, memory=available_memory(), jobs=core_count())
    with opened(source, options, View(FEATURES["pixels"].size)) as data:
        pictures, labelled = data.load(lambda what, done, total: None)
        return pictures[:], labelled


# ---------------------------------------------------------------- measuring


Run = Callable[[], Outcome]


class Neighbours:
    """How much of the cores other processes take from now on: a busy machine spoils the ratios."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._before = self._others()

    @staticmethod
    def _others() -> float:
        """Seconds of all cores that neither idled nor worked for this process and its children."""
        try:
            fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        except OSError:
            return math.nan
        user, nice, system, _, _, *interrupts = (int(field) for field in fields[1:9])
        busy = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
        return busy - sum(os.times()[:4])

    def told(self) -> str:
        """Say it in a sentence."""
        share = (self._others() - self._before) / (core_count() * (time.perf_counter() - self._begun))
        if math.isnan(share):
            return "How busy the machine was with other things is not known."
        return f"Meanwhile other processes took {max(0.0, share):.0%} of the machine's cores."


def alternate(runs: Mapping[str, Run], repeats: int, label: str) -> dict[str, list[Outcome]]:
    """Run each once, then each once more, and so on: what else the machine does hits all alike."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in runs}
    for number in range(repeats):
        for name, run in runs.items():
            print(f"{label}, round {number + 1} of {repeats}: {name}", file=sys.stderr)
            outcomes[name].append(run())
    return outcomes


def walls(outcomes: Iterable[Outcome]) -> list[float]:
    """Seconds of the processes."""
    return [outcome.wall for outcome in outcomes]


def values(outcomes: Iterable[Outcome], key: str) -> list[float]:
    """One value of each job."""
    return [outcome.values[key] for outcome in outcomes]


def peak(outcomes: Iterable[Outcome]) -> str:
    """Largest memory of the processes, in MB."""
    return megabytes(max(outcome.memory for outcome in outcomes))


class Clock:
    """Counts steps and says when there are enough of them: at most `steps`, or for some seconds.

    It is called before the first step and after each. At least three steps are measured.
    """

    def __init__(self, steps: int, seconds: float = math.inf) -> None:
        self._steps = steps
        self._seconds = seconds
        self._times: list[float] = []

    def __call__(self) -> bool:
        self._times.append(time.perf_counter())
        done = len(self._times) - 1
        return done >= self._steps or (done >= 3 and self._times[-1] - self._times[0] > self._seconds)

    def median_step(self) -> float:
        """Median seconds of a step."""
        return statistics.median(b - a for a, b in zip(self._times, self._times[1:], strict=False))


def textbook_descent(
    X: NDArray[np.float64], Y: NDArray[np.int64], rate: float, tick: Callable[[], bool]
) -> tuple[NDArray[np.float64], float]:
    """Descend as first courses on the subject teach it, until `tick` says stop; return w and b.

    X is (n_x, m), Y is (1, m); the sigmoid, the cost of every step and both gradients are written down
    just as in the formulas.
    """
    import numpy as np

    m = X.shape[1]
    w, b = np.zeros((X.shape[0], 1)), 0.0
    costs: list[float] = []  # a program would print or draw them
    while not tick():
        A = 1.0 / (1.0 + np.exp(-(np.dot(w.T, X) + b)))
        cost = float(-np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m)
        costs.append(cost)
        dw = np.dot(X, (A - Y).T) / m
        db = float(np.sum(A - Y)) / m
        w = w - rate * dw
        b = b - rate * db
    return w, b


# ---------------------------------------------------------------- telling


def number(value: float, digits: int = 3) -> str:
    """Write `value` with some significant digits and without an exponent where it has a usual size."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def median(sample: Iterable[float]) -> str:
    """The median of a sample."""
    return number(statistics.median(sample))


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """How many times faster, round by round: the median, and the range."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    middle = number(statistics.median(ratios))
    return f"{middle} ({number(min(ratios))}–{number(max(ratios))})" if len(ratios) > 1 else middle


def megabytes(size: float) -> str:
    """Bytes as whole MB."""
    return f"{size / 1e6:,.0f} MB"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table, the first column to the left and numbers to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            c.ljust(w) if k == 0 else c.rjust(w)
            for k, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * w if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(widths)]
    return "\n".join([line(lines[0]), line(rule), *map(line, lines[1:])])


def rounds(repeats: int) -> str:
    """Say what the figures are medians of."""
    if repeats == 1:
        return "One round: everything that is compared runs once, in a fresh process."
    return f"Medians of {repeats} rounds; in each, everything compared runs once, in a fresh process."


def machine() -> str:
    """Name the processor, its cores, Python, NumPy and the peers installed."""
    versions = []
    for name in PEERS:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    cores = core_count()
    plural = "core" if cores == 1 else "cores"
    python = f"Python {platform.python_version()}"
    return f"{_processor()}, {cores} {plural}, {python}, {', '.join(versions)}."


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass
class Report:
    """A Markdown page that is printed as it grows and written after each part."""

    path: Path
    title: str
    parts: list[str] = field(default_factory=list)

    def add(self, *paragraphs: str) -> None:
        """Add paragraphs, headings and tables."""
        self.parts += paragraphs
        print("\n\n".join(paragraphs) + "\n")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("\n\n".join([f"# {self.title}", *self.parts]) + "\n", encoding="utf-8")


def serve(module: str, function: str, parameters: str) -> None:
    """Do one job in this process and print what it returns."""
    job = getattr(importlib.import_module(module), function)
    print(json.dumps(job(**json.loads(parameters))))


if __name__ == "__main__":
    serve(*sys.argv[1:])
