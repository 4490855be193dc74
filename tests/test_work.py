"""Pools: results in order with every start method, whatever happens to worker processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catclf.work.pools import Here, OnThreads, Pool, Task
from catclf.work.processes import start_method
from catclf.work.spread import MOST, Waiting, spread
from tests.conftest import ROOT
from tests.workers import same

pytestmark = pytest.mark.alone

METHODS = ["fork", "forkserver", "spawn"]

BEGUN = """
import os, signal, sys, time
from catclf.work.processes import InProcesses, start_method
from tests import workers
from tests.workers import *
def pool(function, count=2, method=METHOD):
    return InProcesses(function, count, lost, say, method)
"""

NOBODY_LEFT = """
import multiprocessing
print(multiprocessing.active_children())
"""


def python(code: str, method: str | None = None, seconds: float = 60) -> list[str]:
    """Run code in a process without other threads; the lines it prints."""
    begun = BEGUN.replace("METHOD", repr(method))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", begun + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


# --- worker processes, with every start method


@pytest.mark.parametrize("method", METHODS)
def test_results_are_those_of_map_and_nobody_is_left(method: str) -> None:
    code = """
for count in (1, 2, 5):
    for m in (0, 1, 7, 300):
        assert results(pool(same, count), range(m)) == list(range(m)), (count, m)
"""
    assert python(code + NOBODY_LEFT, method, 120) == ["[]"]


@pytest.mark.parametrize("method", METHODS)
def test_several_processes_do_the_work_and_none_of_them_is_this_one(method: str) -> None:
    code = """
numbers = set(results(pool(process_numbers), range(400)))
print(len(numbers), os.getpid() in numbers)
"""
    assert python(code, method) == ["2 False"]


@pytest.mark.parametrize("method", METHODS)
def test_messages_of_any_size_block_nobody(method: str) -> None:
    code = """
items = [bytes(4000) for _ in range(2000)]
assert results(pool(same), items) == items
assert sum(map(len, results(pool(large), range(100)))) == 100_000_000
"""
    assert python(code, method) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("kill", "was killed"),
        ("abort", "crashed (SIGABRT)"),
        ("hangup", "crashed (SIGHUP)"),
        ("odd", "crashed (signal 50)"),
        ("exit", "ended early (exit code 3)"),
    ],
)
def test_an_item_that_ends_processes_is_found_and_all_others_have_results(
    method: str, deed: str, told: str
) -> None:
    code = f"""
items = [*range(40), {deed!r}, *range(40, 90)]
found = results(pool(deadly), items)
assert found == [*range(40), {deed + ": " + told!r}, *range(40, 90)], found
"""
    assert python(code + NOBODY_LEFT, method, 120) == ["[]"]


@pytest.mark.parametrize("method", METHODS)
def test_processes_that_others_kill_lose_nothing(method: str) -> None:
    code = """
import contextlib, random
rng = random.Random(0)
kills = 0
mine = pool(same)
def items():
    global kills
    for k in range(4000):
        if k % 500 == 250 and mine._context.started:
            with contextlib.suppress(ProcessLookupError):  # it has been noticed already
                os.kill(rng.choice(mine._context.started).pid, rng.choice([9, 11, 1]))
                kills += 1
        yield k
assert results(mine, items()) == list(range(4000))
print(kills > 3)
"""
    assert python(code + NOBODY_LEFT, method, 120) == ["True", "[]"]


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_of_the_function_or_of_the_items_comes_after_all_results_before_it(
    method: str,
) -> None:
    code = """
from catclf.work.spread import spread
def broken():
    yield from range(1, 50)
    raise KeyError("no more")
for function, items in ((failing, [*[1] * 49, 0, 1]), (same, broken())):
    mine, seen = pool(function), 0
    try:
        for some in spread(items, mine):
            seen += len(some)
    except (ZeroDivisionError, KeyError) as exc:
        print(type(exc).__name__, seen)
    mine.close()
"""
    found = python(code + NOBODY_LEFT, method)
    assert found[1:] == ["KeyError 49", "[]"]
    name, seen = found[0].split()
    assert name == "ZeroDivisionError"
    assert 49 - MOST < int(seen) <= 49


@pytest.mark.parametrize("method", METHODS)
def test_workers_leave_signals_and_standard_streams_alone(method: str) -> None:
    code = "print(set(map(repr, results(pool(handlers), range(20)))))"
    assert python(code, method) == ["{'(True, [True, True])'}"]


@pytest.mark.parametrize("method", METHODS)
def test_workers_end_with_the_process_that_made_them(method: str) -> None:
    code = """
mine = pool(process_numbers)
task = []
from catclf.work.spread import spread
seen = set()
for some in spread(iter(int, 1), mine):
    seen.update(some)
    if len(seen) == 2:
        break
print(*seen, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", BEGUN.replace("METHOD", repr(method)) + code],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 2
    for number in map(int, done.stdout.split()):
        assert ends(number)


def test_a_worker_ends_with_the_process_that_made_it_whatever_the_others_do() -> None:
    code = """
mine = pool(process_numbers)
from catclf.work.spread import spread
seen = set()
for some in spread(iter(int, 1), mine):
    seen.update(some)
    if len(seen) == 2:
        break
first, second = (process.pid for process in mine._context.started)
print(first, second, flush=True)
os.kill(second, signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", BEGUN.replace("METHOD", "'fork'") + code],
        cwd=ROOT, stdout=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    first, stopped = map(int, done.stdout.split())
    try:
        assert ends(first)
        assert not gone(stopped)
    finally:
        os.kill(stopped, signal.SIGKILL)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("close", ["stopped", "busy"])
def test_close_waits_for_nobody(method: str, close: str) -> None:
    code = f"""
from catclf.work.pools import Task
mine = pool({"same" if close == "stopped" else "process_numbers"})
task = Task([1])
mine.submit(task)
while not task.done:
    mine.wait(None)
if {close == "stopped"}:
    os.kill(mine._context.started[0].pid, signal.SIGSTOP)
mine.submit(Task(list(range(100_000))))
begun = time.monotonic()
mine.close()
print(time.monotonic() - begun < 10)
"""
    assert python(code + NOBODY_LEFT, method) == ["True", "[]"]


NO_PROCESS = """
import errno
fork, made = os.fork, []
def refusing():
    made.append(len(made))
    if made[-1] in {refused}:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = refusing
"""


WHY = "can be started (Resource temporarily unavailable)"
THREADS = f"no worker process {WHY}: using threads instead"


@pytest.mark.parametrize(
    ("refused", "count", "notes"),
    [
        ({0}, 2, [THREADS]),
        ({1}, 2, [f"only 1 worker process {WHY}"]),
        ({2}, 3, [f"only 2 worker processes {WHY}"]),
        ({1, 2}, 3, [f"only 1 worker process {WHY}", THREADS]),
    ],
)
def test_where_processes_cannot_be_had_there_are_fewer_or_threads(
    refused: set[int], count: int, notes: list[str]
) -> None:
    code = NO_PROCESS.replace("{refused}", repr(refused))
    code += f"assert results(pool(same, {count}), range(300)) == list(range(300))\n"
    assert python(code + NOBODY_LEFT, "fork") == [*notes, "[]"]


INTERRUPTED = """
from tests.interruptions import interrupted

def work():
    assert results(pool(same), range(100)) == list(range(100))

print(interrupted(work, times=150, seconds=0.02) > 20)
"""


def test_an_exception_at_any_moment_leaves_nobody_and_hangs_nowhere() -> None:
    assert python(INTERRUPTED + NOBODY_LEFT, "fork", 120) == ["True", "[]"]


def test_no_start_method_where_the_end_of_processes_is_ignored() -> None:
    code = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(start_method())
assert results(pool(same), range(300)) == list(range(300))
"""
    note = "no worker process can be started (SIGCHLD is ignored): using threads instead"
    assert python(code) == ["None", note]


def test_a_process_with_threads_is_not_forked() -> None:
    wait = threading.Event()
    thread = threading.Thread(target=wait.wait)
    thread.start()
    assert start_method() == "forkserver"
    wait.set()
    thread.join()


def test_a_process_without_threads_is_forked_also_after_a_break() -> None:
    code = """
print(start_method())
print(results(pool(deadly), [*range(40), "kill"])[-1])
print(start_method())
"""
    assert python(code) == ["fork", "kill: was killed", "fork"]


# --- chunks


class Recorded(Here):
    """A pool that remembers its chunks, and says how long an item took."""

    def __init__(self, seconds: float) -> None:
        super().__init__(same)
        self.chunks: list[list[Any]] = []
        self._seconds = seconds

    def submit(self, task: Task) -> None:
        super().submit(task)
        self.chunks.append(task.items)
        task.seconds = self._seconds * len(task.items)


@pytest.mark.parametrize(("seconds", "length"), [(1e-5, MOST), (0.003, 10), (0.02, 1), (5.0, 1)])
def test_chunks_are_small_where_items_are_slow(seconds: float, length: int) -> None:
    pool = Recorded(seconds)
    assert [k for some in spread(range(100), pool) for k in some] == list(range(100))
    assert len(pool.chunks[0]) == 4
    assert {len(chunk) for chunk in pool.chunks[1:-1]} == {length}


def test_a_chunk_of_heavy_items_is_small() -> None:
    pool = Recorded(1e-5)
    list(spread(range(20), pool, weigh=lambda item: 3_000_000))
    assert {len(chunk) for chunk in pool.chunks} == {2}


@pytest.mark.parametrize("make", [Here, lambda function: OnThreads(function, 2)])
def test_results_do_not_wait_for_items_that_have_not_come(make: Any) -> None:
    reader, writer = os.pipe()
    pool: Pool = make(same)
    events: list[object] = []

    def items() -> Iterator[object]:
        for k in range(3):
            events.append(k)
            yield k
            while not select.select([reader], [], [], 0)[0]:
                yield Waiting(reader)
            os.read(reader, 1)

    for some in spread(items(), pool):
        events.append(some)
        os.write(writer, b"\0")
    pool.close()
    os.close(reader)
    os.close(writer)
    assert events == [0, [0], 1, [1], 2, [2]]


@pytest.mark.parametrize("count", [1, 2, 8])
def test_no_more_items_are_taken_than_there_is_room_for(count: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for k in range(10_000):
            taken.append(k)
            yield k

    pool = OnThreads(same, count)
    most = 0
    for some in spread(items(), pool):
        most = max(most, len(taken) - some[-1])
    pool.close()
    assert most <= MOST * (2 * count + 1)


# --- helpers


def ends(number: int) -> bool:
    """Whether a process is gone soon, or only waits for somebody to ask for its exit code."""
    for _ in range(1000):
        if gone(number):
            return True
        time.sleep(0.01)
    return False


def gone(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
