"""Pictures wherever they are: every kind of store gives the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from catclf.stores import Function, Store
from catclf.stores import here as here_module
from catclf.stores.here import InFile, InMemory
from catclf.stores.on_workers import OnWorkers, Piece
from catclf.work.cluster import Cluster
from tests.pictures import noise

M = 10
PICTURES = noise(M, 4, 4, 3)

Pixels = NDArray[Any]


class Sliced(InFile):
    """Slices of an array, each of them noted that has anything in it."""

    def __init__(self, array: Pixels) -> None:
        self.shape = array.shape
        self.asked: list[tuple[int, int]] = []
        self._array = array

    def __getitem__(self, part: slice, /) -> Pixels:
        start, stop, _ = part.indices(len(self))
        if start < stop:
            self.asked.append((start, stop))
        return self._array[start:stop].copy()


class Immediate:
    """Computes as a cluster does, but at once and here."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        return function(*arguments)

    def gather(self, futures: list[Any]) -> list[Any]:
        return list(futures)

    def send(self, value: Any) -> Any:
        return value


def on_workers(array: Pixels, cluster: Immediate | None = None) -> OnWorkers:
    """Blocks with more than is wanted of them, in another order."""
    pieces: list[Piece] = []
    for start in range(0, len(array), 4):
        wanted = array[start : start + 4]
        block: Any = np.concatenate([255 - wanted, wanted[::-1]])
        pieces.append(Piece(block, np.arange(2 * len(wanted) - 1, len(wanted) - 1, -1)))
    return OnWorkers(cast(Cluster, cluster or Immediate()), array[:0], pieces)


def plus_one(array: Pixels) -> Pixels:
    return array + np.uint8(1)


def as_rows(array: Pixels) -> Pixels:
    return array.reshape(len(array), 48).astype(np.float32)


def sums(array: Pixels) -> Pixels:
    total: Pixels = array.sum(axis=(1, 2, 3), dtype=np.int64)
    return total


def joined(*kinds: Callable[[Pixels], Store]) -> Callable[[Pixels], Store]:
    """Make a maker of stores that are joined: of one picture, of none in the middle, of the others."""

    def made(array: Pixels) -> Store:
        cuts = [0, *[min(1, len(array))] * (len(kinds) - 1), len(array)]
        parts = [kind(array[cuts[k] : cuts[k + 1]]) for k, kind in enumerate(kinds)]
        store = parts[0]
        for part in parts[1:]:
            store = store.joined(part)
        return store

    return made


def mapped(kind: Callable[[Pixels], Store]) -> Callable[[Pixels], Store]:
    return lambda array: kind(array - np.uint8(1)).mapped(plus_one)


MAKERS: dict[str, Callable[[Pixels], Store]] = {
    "memory": InMemory,
    "file": Sliced,
    "workers": on_workers,
    "memory and memory": joined(InMemory, InMemory),
    "file and memory": joined(Sliced, InMemory),
    "memory and file": joined(InMemory, Sliced),
    "files": joined(Sliced, Sliced, Sliced),
    "file, memory and file": joined(Sliced, InMemory, Sliced),
    "joined and joined": joined(joined(Sliced, InMemory), joined(InMemory, Sliced)),
    "workers and workers": joined(on_workers, on_workers),
    "mapped memory": mapped(InMemory),
    "mapped file": mapped(Sliced),
    "mapped workers": mapped(on_workers),
    "mapped file and memory": joined(mapped(Sliced), InMemory),
    "mapped after it was joined": mapped(joined(InMemory, Sliced)),
    "workers and mapped workers": joined(on_workers, mapped(on_workers)),
    "mapped twice": mapped(mapped(Sliced)),
}
makers = pytest.mark.parametrize("kind", MAKERS)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pictures at a time."""
    monkeypatch.setattr(here_module, "_BLOCK_BYTES", 3 * 48)


def slices() -> Iterator[slice]:
    yield from (slice(i, j) for i in range(M + 1) for j in range(i, M + 1))
    yield from (slice(None), slice(None, 4), slice(7, None), slice(-3, None), slice(2, -2))
    yield from (slice(4, 99), slice(5, 2))


# --- the same results for all ---


@makers
def test_every_slice_is_that_of_the_array(kind: str) -> None:
    store = MAKERS[kind](PICTURES)
    assert store.shape == PICTURES.shape
    for part in slices():
        found = store[part]
        assert_array_equal(found, PICTURES[part], err_msg=str(part))
        assert found.dtype == np.uint8


@makers
@pytest.mark.parametrize("step", [1, 3, 10, 99])
@pytest.mark.parametrize(("start", "stop"), [(0, M), (2, 9), (4, 5), (3, 3)])
def test_pieces_are_the_slice_and_no_longer_than_asked_for(
    kind: str, step: int, start: int, stop: int
) -> None:
    store = MAKERS[kind](PICTURES)
    pieces = list(store.pieces(slice(start, stop), step))
    assert_array_equal(np.concatenate([PICTURES[:0], *pieces]), PICTURES[start:stop])
    if store.place == "memory":
        assert len(pieces) == 1
    else:
        lengths = [step] * ((stop - start) // step) + [(stop - start) % step]
        assert [len(piece) for piece in pieces] == [length for length in lengths if length]


@makers
def test_each_picture_has_an_entry(kind: str) -> None:
    found = MAKERS[kind](PICTURES).each(sums)
    assert_array_equal(found, sums(PICTURES))
    assert found.dtype == np.int64


@makers
def test_a_mapped_store_is_the_mapped_array(kind: str) -> None:
    store = MAKERS[kind](PICTURES)
    rows = store.mapped(as_rows)
    assert rows.shape == (M, 48)
    assert rows.place == store.place
    for part in (slice(None), slice(3, 8), slice(0, 0)):
        assert_array_equal(rows[part], as_rows(PICTURES)[part])
        assert rows[part].dtype == np.float32
    assert_array_equal(rows.each(lambda some: some.sum(axis=1)), as_rows(PICTURES).sum(axis=1))
    twice = store.mapped(plus_one).mapped(as_rows)
    assert_array_equal(twice[:], as_rows(plus_one(PICTURES)))


@makers
def test_a_store_stays_as_it_is_when_others_are_made_of_it(kind: str) -> None:
    store = MAKERS[kind](PICTURES)
    store.mapped(plus_one)
    store.joined(store)
    assert store.shape == PICTURES.shape
    assert_array_equal(store[:], PICTURES)


@makers
def test_a_store_is_joined_with_what_was_made_of_it(kind: str) -> None:
    store = MAKERS[kind](PICTURES)
    both, expected = store.joined(store.mapped(plus_one)), [PICTURES, plus_one(PICTURES)]
    assert both.shape == (2 * M, 4, 4, 3)
    assert_array_equal(both[:], np.concatenate(expected))
    assert_array_equal(both[M - 2 : M + 3], np.concatenate(expected)[M - 2 : M + 3])
    assert_array_equal(both.each(sums), np.concatenate([sums(some) for some in expected]))


# --- where they are ---


@makers
def test_only_what_is_all_in_memory_is_there(kind: str) -> None:
    kinds = kind.replace("mapped ", "").split()
    place = "workers" if "workers" in kinds else "memory" if set(kinds) <= {"memory", "and"} else "file"
    assert MAKERS[kind](PICTURES).place == place


def test_the_memory_of_a_store_is_that_of_its_parts_here() -> None:
    here, far = InMemory(PICTURES), Sliced(PICTURES)
    assert here.nbytes == PICTURES.nbytes
    assert here.joined(here).nbytes == 2 * PICTURES.nbytes
    assert here.mapped(as_rows).nbytes == 4 * PICTURES.nbytes
    assert far.joined(here).nbytes == here.joined(far).nbytes == PICTURES.nbytes
    assert far.nbytes == far.joined(far).nbytes == far.mapped(as_rows).nbytes == 0
    assert on_workers(PICTURES).nbytes == 0


def test_an_array_in_memory_is_not_copied() -> None:
    store = InMemory(PICTURES)
    (piece,) = store.pieces(slice(2, 7), 1)
    for view in (store[:], store[2:5], piece, store.mapped(lambda array: array)[:]):
        assert np.shares_memory(view, PICTURES)


# --- what is done, and when ---


class Counted:
    """Adds one, and notes of how many pictures each time."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, array: Pixels) -> Pixels:
        self.seen.append(len(array))
        return plus_one(array)


def test_pictures_in_memory_are_mapped_once() -> None:
    function = Counted()
    store = InMemory(PICTURES).mapped(function)
    assert function.seen == [M]
    for part in (slice(0, 3), slice(0, 3), slice(None)):
        assert_array_equal(store[part], plus_one(PICTURES)[part])
    assert function.seen == [M]


def test_pictures_in_a_file_are_mapped_whenever_they_are_asked_for() -> None:
    far, function = Sliced(PICTURES), Counted()
    store = far.mapped(function)
    assert set(function.seen) <= {0}
    assert far.asked == []
    function.seen.clear()
    assert_array_equal(store[2:5], plus_one(PICTURES)[2:5])
    assert_array_equal(store[2:5], plus_one(PICTURES)[2:5])
    assert (function.seen, far.asked) == ([3, 3], [(2, 5), (2, 5)])


def test_only_the_parts_that_a_slice_meets_are_read() -> None:
    one, other = Sliced(PICTURES[:4]), Sliced(PICTURES[4:])
    store = one.joined(other)
    assert one.asked == other.asked == []
    for part in (slice(0, 4), slice(1, 3), slice(4, 9), slice(3, 6)):
        assert_array_equal(store[part], PICTURES[part])
    assert one.asked == [(0, 4), (1, 3), (3, 4)]
    assert other.asked == [(0, 5), (0, 2)]


def test_each_reads_a_file_block_by_block() -> None:
    far = Sliced(PICTURES)
    assert_array_equal(far.each(sums), sums(PICTURES))
    assert far.asked == [(0, 3), (3, 6), (6, 9), (9, 10)]


def test_a_block_has_as_many_bytes_whatever_the_numbers_are() -> None:
    far = Sliced(PICTURES.astype(np.uint16))  # two bytes each: one picture and a half
    assert_array_equal(far.each(sums), sums(PICTURES))
    assert far.asked == [(k, k + 1) for k in range(M)]


def test_a_picture_larger_than_a_block_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here_module, "_BLOCK_BYTES", 5)
    far = Sliced(PICTURES)
    assert_array_equal(far.each(sums), sums(PICTURES))
    assert far.asked == [(k, k + 1) for k in range(M)]


@pytest.mark.parametrize("kind", ["memory", "file", "mapped file", "files"])
def test_no_pictures_have_no_entries(kind: str) -> None:
    store = MAKERS[kind](PICTURES[:0])
    assert store.shape == (0, 4, 4, 3)
    assert store.each(sums).shape == (0,)
    assert store.mapped(as_rows)[:].shape == (0, 48)


def test_the_next_piece_is_read_while_the_last_one_is_worked_on() -> None:
    second_is_asked_for = threading.Event()

    class Watched(Sliced):
        def __getitem__(self, part: slice, /) -> Pixels:
            if part.start == 2:
                second_is_asked_for.set()
            return super().__getitem__(part)

    far = Watched(PICTURES)
    pieces = far.pieces(slice(0, 6), 2)
    assert far.asked == []
    assert_array_equal(next(pieces), PICTURES[:2])
    assert second_is_asked_for.wait(timeout=20)
    assert_array_equal(np.concatenate(list(pieces)), PICTURES[2:6])


def test_an_error_of_reading_comes_in_the_place_of_its_piece() -> None:
    class Broken(Sliced):
        def __getitem__(self, part: slice, /) -> Pixels:
            if part.start == 4:
                raise OSError("gone")
            return super().__getitem__(part)

    pieces = Broken(PICTURES).pieces(slice(0, M), 2)
    assert [len(next(pieces)) for _ in range(2)] == [2, 2]
    with pytest.raises(OSError, match="gone"):
        next(pieces)


# --- on workers ---


def test_what_is_on_workers_is_made_there_and_only_when_it_is_asked_for() -> None:
    cluster = Immediate()
    store = on_workers(PICTURES, cluster)
    rows = store.joined(store).mapped(as_rows)
    assert cluster.calls == 0
    assert_array_equal(rows[8:13], as_rows(np.concatenate([PICTURES, PICTURES])[8:13]))
    assert cluster.calls == 1  # one task, whatever the number of blocks
    rows.each(lambda some: some.sum(axis=1))
    assert cluster.calls == 1 + 6  # one for each block
    assert rows[3:3].shape == (0, 48)
    assert cluster.calls == 1 + 6


@pytest.mark.parametrize("kind", ["memory", "file", "workers", "mapped file", "mapped workers"])
def test_a_part_is_sent_to_the_cluster(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "current", Immediate)
    store, function = MAKERS[kind](PICTURES), cast(Function, as_rows)
    assert_array_equal(cast(Any, store.sent(slice(2, 9))), PICTURES[2:9])
    assert_array_equal(cast(Any, store.mapped(function).sent(slice(2, 9))), as_rows(PICTURES[2:9]))
