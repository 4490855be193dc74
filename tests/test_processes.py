"""Worker processes: order, errors in their places, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import h5py
import numpy as np
import pytest

from catclf.errors import DataError
from catclf.features.pixels import Pixels
from catclf.images.picture import Picture
from catclf.model import Model, save
from catclf.parallel import batches
from catclf.pipeline import scoring
from catclf.pipeline.scoring import CHUNK, Scored, Scorer, _in_processes
from catclf.processes import can_fork
from tests.conftest import ROOT, picture, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

NOBODY_LEFT = """
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("nobody left")
"""

BEGUN = """
import contextlib, os, signal, sys, time
from catclf.errors import WorkerError
from catclf.parallel import ordered_on
from catclf.processes import Processes, can_fork
assert can_fork()
"""


def python(code: str) -> list[str]:
    """Run code in a process without other threads; the lines it prints."""
    done = subprocess.run(
        [sys.executable, "-c", BEGUN + code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("m", [0, 1, 7, 300])
def test_results_are_those_of_map_and_nobody_is_left(count: int, m: int) -> None:
    code = f"""
with contextlib.closing(Processes({count})) as pool:
    assert list(ordered_on(pool, abs, range(-{m}, 0), 2 * {count})) == list(range({m}, 0, -1))
"""
    assert python(code + NOBODY_LEFT) == ["nobody left"]


def test_there_are_no_more_workers_than_items() -> None:
    code = """
with contextlib.closing(Processes(5)) as pool:
    print(len(set(ordered_on(pool, lambda _: os.getpid(), range(3), 10)) - {os.getpid()}))
    print(len(set(ordered_on(pool, lambda _: os.getpid(), range(30), 10))))
"""
    assert python(code) == ["3", "5"]


def test_an_exception_of_the_items_comes_after_all_results_before_it() -> None:
    code = """
def items():
    yield from range(3)
    raise KeyError("no more")
with contextlib.closing(Processes(2)) as pool:
    try:
        for result in ordered_on(pool, abs, items(), 10):
            print(result)
    except KeyError as exc:
        print(exc)
"""
    assert python(code + NOBODY_LEFT) == ["0", "1", "2", "'no more'", "nobody left"]


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed"),
        ("os.abort()", "crashed (SIGABRT)"),
        ("os.kill(os.getpid(), 50)", "crashed (signal 50)"),
        ("1 / 0", "ended early (exit code 1)"),
    ],
)
def test_a_worker_that_ends_is_an_error_after_the_results_before_it(deed: str, told: str) -> None:
    code = f"""
def work(k):
    if k == 4:
        {deed}
    return k
with contextlib.closing(Processes(2)) as pool:
    try:
        for result in ordered_on(pool, work, range(1000), 4):
            print(result)
    except WorkerError as exc:
        print(exc.how)
"""
    assert python(code + NOBODY_LEFT) == ["0", "1", "2", "3", told, "nobody left"]


def test_a_worker_ends_with_the_process_that_made_it() -> None:
    code = """
with contextlib.closing(Processes(2)) as pool:
    print(*ordered_on(pool, lambda _: os.getpid(), range(2), 4))
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", BEGUN + code], cwd=ROOT, capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    for number in map(int, done.stdout.split()):
        assert _ends(number)


def test_a_worker_ends_with_the_process_that_made_it_whatever_the_others_do() -> None:
    code = """
with contextlib.closing(Processes(2)) as pool:
    print(*ordered_on(pool, lambda _: os.getpid(), range(2), 4))
    sys.stdout.flush()
    os.kill(pool._workers[1]._pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    # Not stderr: the worker that is stopped keeps it open.
    done = subprocess.run(
        [sys.executable, "-c", BEGUN + code], cwd=ROOT, stdout=subprocess.PIPE, timeout=60
    )
    first, stopped = map(int, done.stdout.split())
    try:
        assert _ends(first)
        assert not _gone(stopped)
    finally:
        os.kill(stopped, signal.SIGKILL)


def _ends(number: int) -> bool:
    """Whether a process is gone, or only waits for somebody to ask for its exit code."""
    for _ in range(1000):
        if _gone(number):
            return True
        time.sleep(0.01)
    return False


def _gone(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_items_and_results_may_be_whatever_can_be_pickled() -> None:
    code = """
import numpy as np
from catclf.errors import DataError, Setting
from catclf.images.picture import Picture
def work(picture):
    error = DataError(picture.path, "needs ", Setting("x_key"))
    return picture, np.full((3_000, 1_000), len(picture.path), np.uint8), error
pictures = [Picture("a"), Picture(200 * chr(0xdcff))]
with contextlib.closing(Processes(2)) as pool:
    for picture, pixels, error in ordered_on(pool, work, pictures, 4):
        print(ascii(picture.path[:2]), pixels.shape, pixels.mean(), ascii(error.reason_as(repr)))
"""
    said = "\"needs Setting(name='x_key', value=None)\""
    assert python(code + NOBODY_LEFT) == [
        f"'a' (3000, 1000) 1.0 {said}",
        rf"'\udcff\udcff' (3000, 1000) 200.0 {said}",
        "nobody left",
    ]


def test_a_worker_that_ends_in_the_midst_of_an_answer_is_an_error() -> None:
    code = """
with contextlib.closing(Processes(1)) as pool:
    answer = pool.submit(bytes, 50_000_000)
    number = pool._workers[0]._pid
    while "S" not in open(f"/proc/{number}/stat").read().rpartition(")")[2].split()[0]:
        time.sleep(0.01)  # it waits for a reader in the end
    time.sleep(0.2)
    os.kill(number, signal.SIGKILL)
    try:
        answer.result()
    except WorkerError as exc:
        print(exc.how)
"""
    assert python(code + NOBODY_LEFT) == ["was killed", "nobody left"]


INTERRUPTED = """
from tests.interruptions import interrupted

def work():
    with contextlib.closing(Processes(2)) as pool:
        assert list(ordered_on(pool, abs, range(100), 4)) == list(range(100))

print(interrupted(work, times=200, seconds=0.01) > 20)
deadline = time.monotonic() + 20
with contextlib.suppress(ChildProcessError):
    while time.monotonic() < deadline:
        os.waitpid(-1, os.WNOHANG)
print(time.monotonic() < deadline)
"""


def test_an_exception_at_any_moment_leaves_nobody_and_hangs_nowhere() -> None:
    assert python(INTERRUPTED) == ["True", "True"]


def test_a_process_with_threads_is_not_forked() -> None:
    wait = threading.Event()
    thread = threading.Thread(target=wait.wait)
    thread.start()
    assert not can_fork()
    wait.set()
    thread.join()


def test_a_process_that_ignores_the_end_of_others_is_not_forked() -> None:
    assert python("signal.signal(signal.SIGCHLD, signal.SIG_IGN); print(can_fork())") == ["False"]


def test_a_default_timeout_of_sockets_is_not_for_workers() -> None:
    code = """
import socket
socket.setdefaulttimeout(0.05)
with contextlib.closing(Processes(1)) as pool:
    print(*ordered_on(pool, lambda k: time.sleep(0.2) or k, range(2), 2))
"""
    assert python(code) == ["0 1"]


# --- predict with worker processes ---

COUNTED = """
import catclf.processes
made = 0
class Counted(catclf.processes._Worker):
    def __init__(self, *arguments):
        global made
        made += 1
        super().__init__(*arguments)
catclf.processes._Worker = Counted
from catclf.cli import main
code = main(sys.argv[1:])
print(code, made, file=sys.stderr)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.npz"
    w = np.random.default_rng(0).normal(0, 0.01, 3 * 8 * 8)
    save(Model(w, 0.0, Pixels(8), "cat", "dog"), str(path))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{k}.png" for k in range(100)]
    for k, path in enumerate(paths):
        picture("cat", k).save(path)
    return paths


@pytest.fixture
def listing(pictures: list[Path], tmp_path: Path) -> Path:
    """A list of 121 paths, NUL behind each: odd names, broken, empty and missing files among them."""
    folder = os.fsencode(tmp_path) + b"/"
    contents = {b"broken.png": b"broken", b"empty.png": b""}
    contents |= dict.fromkeys(
        (b"line\nend.png", b"\xff.png", b'tab\tquote".png'), pictures[0].read_bytes()
    )
    names = [os.fsencode(path.name) for path in pictures]
    for k, (name, content) in enumerate(contents.items()):
        Path(os.fsdecode(folder + name)).write_bytes(content)
        names.insert(20 * k, name)
    names += [b"missing%d.png" % k for k in range(16)]
    path = tmp_path / "list"
    path.write_bytes(b"".join(folder + name + b"\0" for name in names))
    return path


def predict(model: Path, *arguments: object) -> tuple[bytes, bytes]:
    return run_counted("predict", "-m", model, *arguments)


def run_counted(*arguments: object) -> tuple[bytes, bytes]:
    """Run catclf; its output, and the exit code with the number of workers."""
    command = [sys.executable, "-c", BEGUN + COUNTED, *arguments]
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, timeout=120)
    return done.stdout, done.stderr.splitlines()[-1]


@pytest.mark.parametrize("style", ["text", "csv", "jsonl"])
def test_predict_gives_the_same_bytes_with_workers(model: Path, listing: Path, style: str) -> None:
    arguments = ("--files-from", listing, "-0", "-F", style)
    alone, told = predict(model, *arguments, "-j", 1)
    assert told == b"3 0"
    for jobs in (2, 3):
        assert predict(model, *arguments, "-j", jobs) == (alone, b"3 %d" % jobs)


def test_explanations_are_the_same_bytes_with_workers(
    model: Path, listing: Path, tmp_path: Path
) -> None:
    drawn = []
    for jobs in (1, 2):
        folder = tmp_path / f"explained{jobs}"
        rows, told = predict(model, "--files-from", listing, "-0", "-j", jobs, "--explain", folder)
        assert told == b"3 %d" % (jobs if jobs > 1 else 0)
        drawn.append((rows, {path.name: path.read_bytes() for path in folder.iterdir()}))
    assert drawn[0] == drawn[1]
    assert len(drawn[0][1]) == 103


def test_a_report_is_the_same_bytes_with_workers(model: Path, pictures: list[Path]) -> None:
    album = pictures[0].parent / "album"
    for k, path in enumerate(pictures):
        (album / ("cat", "dog")[k % 2]).mkdir(parents=True, exist_ok=True)
        path.rename(album / ("cat", "dog")[k % 2] / path.name)
    (album / "cat" / "broken.png").write_bytes(b"broken")
    written = []
    for jobs in (1, 2):
        table, page = album.parent / f"{jobs}.csv", album.parent / f"{jobs}.html"
        out, told = run_counted(
            *("eval", "-m", model, album, "-F", "json", "-j", jobs),
            *("--predictions", table, "--report", page),
        )
        assert told == b"3 %d" % (jobs if jobs > 1 else 0)
        written.append((out, table.read_bytes(), page.read_bytes()))
    assert written[0] == written[1]


def test_what_is_no_file_is_read_by_the_process_itself(model: Path, pictures: list[Path]) -> None:
    rows = pictures[0].with_name("rows.h5")
    with h5py.File(rows, "w") as file:
        file["test_set_x"] = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    mixed = [*pictures[:20], rows, *pictures[20:]]
    alone, told = predict(model, *mixed, "-j", 1)
    assert (alone.count(b"\n"), told) == (140, b"0 0")
    assert predict(model, *mixed, "-j", 2) == (alone, b"0 2")


def test_few_pictures_are_worth_no_worker(model: Path, pictures: list[Path]) -> None:
    assert predict(model, *pictures[:15], "-j", 2)[1] == b"0 0"
    assert predict(model, *pictures[:16], "-j", 2)[1] == b"0 1"


class _SoManySeconds:
    """A pool that computes at once, and says that it took so many seconds a picture."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.lengths: list[int] = []

    def submit(self, function: Callable[[Any], Any], item: Any, /) -> _Known:
        answers, _ = function(item)
        self.lengths.append(len(answers))
        return _Known((answers, self._seconds * len(answers)))


class _Known:
    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value

    def cancel(self) -> None: ...


PATHS = [str(k) for k in range(168)]
ALONE = [16] * 10 + [8]


def by_workers(pool: _SoManySeconds, paths: Iterable[str]) -> Iterator[str]:
    """Paths of the answers; each chunk is scored as it is, whatever it is sent with."""
    scored = []

    def work(chunk: list[Picture]) -> list[Scored]:
        scored.append(len(chunk))
        return [Scored(picture.path, (0.5,)) for picture in chunk]

    for part in _in_processes(pool, 1, cast(Scorer, work), batches(map(Picture, paths), CHUNK)):
        yield from (row.path for row in part)
    assert scored == ALONE


@pytest.mark.parametrize(
    ("seconds", "lengths"), [(0.001, [16, 16, 16, 64, 56]), (0.003, ALONE), (0.1, ALONE)]
)
def test_chunks_are_sent_together_where_they_are_quick(seconds: float, lengths: list[int]) -> None:
    pool = _SoManySeconds(seconds)
    assert list(by_workers(pool, PATHS)) == PATHS
    assert pool.lengths == lengths


def test_chunks_do_not_wait_for_each_other_where_their_names_come_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def slowly() -> Iterator[str]:
        nonlocal now
        for path in PATHS:
            now += 0.1
            yield path

    monkeypatch.setattr(scoring, "time", SimpleNamespace(perf_counter=lambda: now))
    pool = _SoManySeconds(0.001)
    assert list(by_workers(pool, slowly())) == PATHS
    assert pool.lengths == ALONE


def test_what_comes_before_a_failure_of_the_list_is_answered_first() -> None:
    def broken() -> Iterator[str]:
        yield from PATHS[:150]
        raise DataError("list", "breaks off")

    answers = by_workers(_SoManySeconds(0.001), broken())
    assert [next(answers) for _ in range(150)] == PATHS[:150]
    with pytest.raises(DataError, match="list: breaks off"):
        next(answers)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_workers_live_without_standard_streams(
    model: Path, listing: Path, tmp_path: Path, closed: str
) -> None:
    output = tmp_path / "rows.tsv"
    command = f"{sys.executable} -m catclf predict -m {model} -0 --files-from {listing} -j 2 -o {output}"
    done = subprocess.run(
        ["bash", "-c", f"{command} {closed}"], cwd=ROOT, capture_output=True, timeout=60
    )
    assert done.returncode == 3
    assert output.read_bytes().count(b"\n") == 1 + 121


def test_predict_works_where_the_end_of_processes_is_ignored(
    model: Path, listing: Path, tmp_path: Path
) -> None:
    output = tmp_path / "rows.tsv"
    done = run(
        *("predict", "-m", model, "-0", "--files-from", listing, "-j", "2", "-o", output),
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert done.returncode == 3
    assert output.read_bytes().count(b"\n") == 1 + 121


@pytest.fixture
def endless(model: Path, pictures: list[Path], tmp_path: Path) -> list[str]:
    paths = tmp_path / "endless"
    paths.write_text(f"{pictures[0]}\n" * 300_000)
    options = ("-m", str(model), "-j", "2", "--files-from", str(paths))
    return [sys.executable, "-m", "catclf", "predict", *options]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_leaves_whole_rows(
    endless: list[str], number: signal.Signals
) -> None:
    with subprocess.Popen(
        endless, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        os.killpg(process.pid, number)
        rest, err = process.stdout.read(), process.stderr.read()
    assert (process.returncode, err) == (128 + number, b"")
    assert set((first + rest).splitlines(keepends=True)) == {first}


def test_a_killed_worker_is_an_error_that_says_what_to_do(endless: list[str]) -> None:
    with subprocess.Popen(endless, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(workers) == 2
        os.kill(int(workers[0]), signal.SIGKILL)
        rest, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 1
    assert b"a worker process was killed: is there enough memory?" in err
    assert b"is there enough memory? --jobs 1 needs the least" in err
    assert set((first + rest).splitlines(keepends=True)) == {first}
    assert all(_ends(int(number)) for number in workers)
