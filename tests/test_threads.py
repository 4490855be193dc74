"""The ordered map: order, a bounded look-ahead, exceptions in their places."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catclf.work.parts import core_count
from catclf.work.threads import Threads, ordered_map, ordered_on
from tests.conftest import ROOT

pytestmark = pytest.mark.alone

JOBS = [1, 2, 5]


class Counted:
    """Yields 0, 1 … below `end` and knows how many were taken; may fail after the last."""

    def __init__(self, end: int, error: Exception | None = None) -> None:
        self.end = end
        self.error = error
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        while self.taken < self.end:
            self.taken += 1
            yield self.taken - 1
        if self.error is not None:
            raise self.error


@given(items=st.lists(st.integers(), max_size=30), jobs=st.integers(1, 6))
@settings(deadline=None, max_examples=50)
def test_results_are_those_of_map(items: list[int], jobs: int) -> None:
    assert list(ordered_map(lambda item: item * 2, items, jobs)) == [item * 2 for item in items]


def test_order_is_kept_when_an_earlier_item_takes_longer() -> None:
    second_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(timeout=10)
        else:
            second_done.set()
        return item

    assert list(ordered_map(work, [0, 1], 2)) == [0, 1]


@pytest.mark.parametrize("jobs", [2, 5])
def test_several_items_are_worked_on_at_once(jobs: int) -> None:
    meeting = threading.Barrier(jobs, timeout=10)

    def work(item: int) -> int:
        meeting.wait()  # breaks unless all threads arrive
        return item

    assert list(ordered_map(work, range(jobs), jobs)) == list(range(jobs))


@pytest.mark.parametrize("jobs", JOBS)
def test_few_items_are_taken_ahead(jobs: int) -> None:
    items = Counted(1000)
    results = ordered_map(lambda item: item, items, jobs)
    assert items.taken == 0  # nothing happens before the first result is asked for
    for expected in range(100):
        assert next(results) == expected
        assert items.taken <= expected + 1 + 2 * jobs


@pytest.mark.parametrize("jobs", JOBS)
def test_an_endless_stream_can_be_begun(jobs: int) -> None:
    results = ordered_map(lambda item: item, Counted(10**12), jobs)
    assert [next(results) for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("jobs", JOBS)
def test_an_exception_comes_after_all_results_before_it(jobs: int) -> None:
    def work(item: int) -> int:
        if item == 7:
            raise LookupError("7")
        return item

    seen = []
    with pytest.raises(LookupError, match="7"):
        for result in ordered_map(work, Counted(50), jobs):
            seen.append(result)  # noqa: PERF402 - what came before the exception is the point
    assert seen == list(range(7))


@pytest.mark.parametrize("jobs", JOBS)
def test_an_exception_of_the_items_comes_after_all_results_before_it(jobs: int) -> None:
    seen = []
    with pytest.raises(LookupError, match="the list broke off"):
        for result in ordered_map(abs, Counted(3, LookupError("the list broke off")), jobs):
            seen.append(result)  # noqa: PERF402 - what came before the exception is the point
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("jobs", JOBS)
def test_closing_early_takes_no_more_items_and_leaves_no_thread(jobs: int) -> None:
    threads = threading.active_count()
    items = Counted(1000)
    results = iter(ordered_map(lambda item: item, items, jobs))
    assert next(results) == 0
    del results
    assert items.taken <= 1 + 2 * jobs
    assert threading.active_count() == threads


def test_there_is_at_least_one_core() -> None:
    assert core_count() >= 1


INTERRUPTED = """
import contextlib, threading, time
from catclf.work.threads import ordered_map
from tests.interruptions import interrupted

def alone():
    '''Whether no thread is left; one that has been told to end may take a moment on a busy machine.'''
    until = time.monotonic() + 20
    while threading.active_count() > 1 and time.monotonic() < until:
        time.sleep(0.001)
    return threading.active_count() == 1

def work():
    assert alone()
    with contextlib.closing(ordered_map(abs, range(500), 2)) as results:
        assert list(results) == list(range(500))

print(interrupted(work, times=500, seconds=0.002))
assert alone()
"""


def test_an_exception_at_any_moment_loses_no_thread_and_hangs_nowhere() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 100


def test_threads_end_with_the_last_reference_to_their_pool() -> None:
    before = set(threading.enumerate())
    pool = Threads(3)
    assert list(ordered_on(pool, abs, range(9), 4)) == list(range(9))
    started = set(threading.enumerate()) - before
    assert len(started) == 3
    del pool
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()
