"""`predict` and `eval` with worker processes: the same bytes as without, whatever happens to them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from catclf.features.pixels import Pixels
from catclf.model import Model, save
from catclf.pipeline.scoring import FEW
from tests.conftest import ROOT, picture, run
from tests.pictures import noise
from tests.test_work import ends

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

COUNTED = """
import os, signal, sys
from catclf.work.processes import start_method
assert start_method() == "fork"
fork, made = os.fork, 0
def counted():
    global made
    made += 1
    return fork()
os.fork = counted
"""

RUN = """
from catclf.cli import main
code = main(sys.argv[1:])
print(code, made, file=sys.stderr)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return made_model(tmp_path / "m.npz")


def made_model(path: Path, positive: str = "cat", negative: str = "dog") -> Path:
    w = np.random.default_rng(0).normal(0, 0.01, 3 * 8 * 8)
    save(Model(w, 0.0, Pixels(8), positive, negative), str(path))
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


def run_counted(*arguments: object, first: str = "", seconds: float = 120) -> tuple[bytes, bytes]:
    """Run catclf after some code; its output, and the exit code with the number of worker processes."""
    command = [sys.executable, "-c", COUNTED + first + RUN, *arguments]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # for `first`, as `main` does
        capture_output=True,
        timeout=seconds,
    )
    assert b"Traceback" not in done.stderr
    return done.stdout, done.stderr.splitlines()[-1]


# --- the same bytes


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
    entries = listing.read_bytes().split(b"\0")[:45]
    listing.write_bytes(b"\0".join(entries))
    drawn = []
    for jobs in (1, 2):
        folder = tmp_path / f"explained{jobs}"
        rows, told = predict(model, "--files-from", listing, "-0", "-j", jobs, "--explain", folder)
        assert told == b"3 %d" % (jobs if jobs > 1 else 0)
        drawn.append((rows, {path.name: path.read_bytes() for path in folder.iterdir()}))
    assert drawn[0] == drawn[1]
    assert len(drawn[0][1]) == 43  # two of them are broken or empty


def labelled(pictures: Iterable[Path]) -> Path:
    """Put pictures into the folders of two classes, and a broken one beside them."""
    folder = next(iter(pictures)).parent / "album"
    for k, path in enumerate(pictures):
        (folder / ("cat", "dog")[k % 2]).mkdir(parents=True, exist_ok=True)
        path.rename(folder / ("cat", "dog")[k % 2] / path.name)
    (folder / "cat" / "broken.png").write_bytes(b"broken")
    return folder


def test_a_report_is_the_same_bytes_with_workers(model: Path, pictures: list[Path]) -> None:
    album = labelled(pictures)
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


def test_rows_of_hdf5_files_among_files_give_the_same_bytes_with_workers(
    model: Path, pictures: list[Path]
) -> None:
    rows = pictures[0].with_name("rows.h5")
    with h5py.File(rows, "w") as file:
        file["test_set_x"] = noise(40, 8, 8, 3)
    mixed = [*pictures[:20], rows, *pictures[20:]]
    alone, told = predict(model, *mixed, "-j", 1)
    assert (alone.count(b"\n"), told) == (140, b"0 0")
    for jobs in (2, 3):
        assert predict(model, *mixed, "-j", jobs) == (alone, b"0 %d" % jobs)
    only = b"".join(alone.splitlines(keepends=True)[20:60])
    assert predict(model, rows, "-j", 2) == (only, b"0 0")  # decoded already: threads


def test_few_pictures_are_worth_no_worker(model: Path, pictures: list[Path]) -> None:
    assert FEW == 16
    assert predict(model, *pictures[:1], "-j", 2)[1] == b"0 0"
    assert predict(model, *pictures[:16], "-j", 2)[1] == b"0 0"
    assert predict(model, *pictures[:17], "-j", 2)[1] == b"0 2"


def test_long_names_of_classes_and_files_block_nobody(tmp_path: Path) -> None:
    folder = tmp_path
    while len(str(folder)) + 251 < 3_900:
        folder /= "f" * 250
    path = folder / ("p" * (3_900 - len(str(folder)) - 5) + ".png")
    assert len(str(path)) == 3_900
    folder.mkdir(parents=True)
    picture("cat", 0).save(path)
    listing = tmp_path / "list"
    listing.write_text(f"{path}\n" * 1_000)
    model = made_model(tmp_path / "long.npz", "c" * 3_400, "d" * 3_400)
    alone, told = predict(model, "--files-from", listing, "-j", 1)
    assert (alone.count(b"\n"), told) == (1_000, b"0 0")
    assert len(alone.splitlines()[0]) > 7_300
    assert predict(model, "--files-from", listing, "-j", 2) == (alone, b"0 2")


# --- rows come promptly


class Asked:
    """`predict` with a list that we write bit by bit."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "catclf", "predict", "--files-from", "-", *map(str, arguments)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def read(self, lines: int = 1) -> bytes:
        """So many lines of its output, which come without anything else that is written."""
        found = b""
        while found.count(b"\n") < lines:
            assert self.answers(30)
            assert self._process.stdout is not None
            data = self._process.stdout.read(65_536)
            assert data
            found += data
        assert found.count(b"\n") == lines
        return found

    def answers(self, seconds: float) -> bool:
        """Whether there is something to read before so many seconds are over."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def end(self) -> tuple[bytes, int]:
        """What else it prints when the list ends, and the exit code."""
        return self._process.communicate(timeout=30)[0], self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def asked(*arguments: object) -> Iterator[Asked]:
    process = Asked(*arguments)
    try:
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("style", ["text", "csv", "jsonl"])
def test_a_row_comes_before_anything_else_is_written(
    model: Path, pictures: list[Path], style: str, jobs: int
) -> None:
    expected = predict(model, *pictures[:3], "-F", style)[0].splitlines(keepends=True)
    with asked("-m", model, "-F", style, "-j", jobs) as process:
        if style == "csv":
            assert process.read() == expected.pop(0)
        for path, row in zip(pictures, expected, strict=False):
            process.write(os.fsencode(path) + b"\n")
            assert process.read() == row
        assert process.end() == (b"", 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_rows_come_of_what_has_been_written_and_no_row_of_half_a_path(
    model: Path, pictures: list[Path], jobs: int
) -> None:
    expected = predict(model, *pictures)[0].splitlines(keepends=True)
    paths = [os.fsencode(path) + b"\0" for path in pictures]
    with asked("-m", model, "-j", jobs, "-0") as process:
        process.write(b"".join(paths[:90]) + paths[90][:7])
        assert process.read(90) == b"".join(expected[:90])
        assert not process.answers(0.1)
        process.write(paths[90][7:] + b"".join(paths[91:]).removesuffix(b"\0"))
        assert process.read(9) == b"".join(expected[90:99])
        assert process.end() == (expected[99], 0)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("count", [1, 16, 40])
def test_rows_of_paths_named_first_do_not_wait_for_the_list(
    model: Path, pictures: list[Path], count: int, jobs: int
) -> None:
    expected = predict(model, *pictures[:count])[0]
    with asked("-m", model, "-j", jobs, *pictures[:count]) as process:
        assert process.read(count) == expected
        assert process.end() == (b"", 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_array_of_json_comes_row_by_row(model: Path, pictures: list[Path], jobs: int) -> None:
    expected = predict(model, *pictures[:2], "-F", "json")[0].splitlines(keepends=True)
    assert len(expected) == 4
    with asked("-m", model, "-j", jobs, "-F", "json") as process:
        assert process.read() == expected[0]
        process.write(os.fsencode(pictures[0]) + b"\n")
        assert process.answers(30)  # with a row, which does not end yet
        process.write(os.fsencode(pictures[1]) + b"\n")
        assert process.end() == (b"".join(expected[1:]), 0)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("count", [1, 40])
def test_rows_before_a_list_that_cannot_be_read_are_written(
    model: Path, pictures: list[Path], count: int, jobs: int
) -> None:
    rows, told = predict(model, *pictures[:count], "-j", jobs, "--files-from", model.parent / "none")
    assert rows == predict(model, *pictures[:count])[0]
    assert told.startswith(b"1 ")


# --- what happens to processes


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
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
        *("predict", "-m", model, "-0", "--files-from", listing, "-j", "2", "-o", output, "-v"),
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert done.returncode == 3
    assert output.read_bytes().count(b"\n") == 1 + 121
    assert b"SIGCHLD is ignored" in done.stderr


def repeated(path: Path, times: int) -> Path:
    """A list of the same path again and again."""
    listing = path.with_name("endless")
    listing.write_text(f"{path}\n" * times)
    return listing


def started(model: Path, listing: Path, **options: Any) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "catclf",
        "predict",
        "-m",
        model,
        "-j",
        "2",
        "--files-from",
        listing,
    ]
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # a line that is read by itself takes nothing else with it
        **options,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_leaves_whole_rows(
    model: Path, pictures: list[Path], number: signal.Signals
) -> None:
    with started(model, repeated(pictures[0], 300_000), process_group=0) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        workers = children(process.pid)
        os.killpg(process.pid, number)
        rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, b"catclf: interrupted\n")
    assert set((first + rest).splitlines(keepends=True)) == {first}
    assert len(workers) == 2
    assert all(map(ends, workers))


def children(process: int) -> list[int]:
    """Numbers of the processes that any thread of another one has made."""
    found = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return [int(number) for text in found for number in text.split()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("count", [1, 2])
def test_killed_workers_lose_no_row(
    model: Path, pictures: list[Path], number: signal.Signals, count: int
) -> None:
    with started(model, repeated(pictures[0], 3_000)) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # and it waits soon until the others are read
        workers = children(process.pid)
        assert len(workers) == 2
        for worker in workers[:count]:
            os.kill(worker, number)
        rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert first + rest == 3_000 * first
    assert all(map(ends, workers))


DEADLY = """
from catclf.images.decode import Decoder
one, here = Decoder.one, os.getpid()
def deadly(self, picture):
    if picture.path.endswith(("13.png", "31.png")):
        assert os.getpid() != here
        os.kill(os.getpid(), signal.SIGKILL)
    return one(self, picture)
Decoder.one = deadly
"""


def test_a_picture_that_no_worker_survives_is_a_row_with_the_reason(
    model: Path, pictures: list[Path]
) -> None:
    expected = predict(model, *pictures, "-j", 1)[0].splitlines()
    reason = b"could not be decoded: a worker process that was given only this picture was killed"
    for k in (13, 31):
        expected[k] = os.fsencode(pictures[k]) + b"\tERROR\t" + reason
    found, told = run_counted("predict", "-m", model, "-j", 2, *pictures, first=DEADLY)
    assert found.splitlines() == expected
    assert told.startswith(b"3 ")


def test_pictures_that_no_worker_survives_are_skipped_by_eval(model: Path, pictures: list[Path]) -> None:
    album = labelled(pictures)
    alone = []
    for first, jobs in ((DEADLY, 2), ("", 1)):
        for k in (13, 31):
            if not first:
                (album / "dog" / f"{k}.png").write_bytes(b"broken")
        arguments = ("eval", "-m", model, album, "-F", "json", "-j", jobs)
        out, told = run_counted(*arguments, first=first)
        assert told.startswith(b"3 ")
        alone.append(out)
    assert alone[0] == alone[1]
    assert b'"failed": 3' in alone[0]


NO_THREAD = """
import threading
start, here, asked = threading.Thread.start, os.getpid(), 0
def refusing(thread):
    global asked
    if (os.getpid() == here) == REFUSED_HERE:
        asked += 1
        if asked == NUMBER:
            raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = refusing
"""


@pytest.mark.parametrize(("here", "number"), [(True, 1), (False, 1)])
def test_threads_that_cannot_be_had_lose_no_row(
    model: Path, pictures: list[Path], here: bool, number: int
) -> None:
    """The pool of the standard library has threads of its own, and so has each worker process."""
    first = NO_THREAD.replace("REFUSED_HERE", repr(here)).replace("NUMBER", repr(number))
    expected = predict(model, *pictures, "-j", 1)[0]
    found, told = run_counted("predict", "-m", model, "-j", 2, *pictures, first=first, seconds=20)
    assert found == expected
    assert told.startswith(b"0 ")
