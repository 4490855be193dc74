"""Lists of paths, in whatever blocks they come: every path once, and no more memory than for one."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from catclf.cli import lists
from catclf.cli.lists import LONGEST, listed
from catclf.errors import DataError
from catclf.images.formats import begins_like_picture
from catclf.images.picture import Picture
from catclf.work.spread import Waiting
from tests.conftest import picture

NAME = "the list"
ENDS = {False: b"\n", True: b"\0"}
PIPE = 65_536  # bytes that a pipe takes before it makes the writer wait

Entry = str | Picture


def through_pipe(blocks: Iterable[bytes], null: bool = False) -> list[Entry]:
    """Write some blocks to a pipe, each when all before it has been read; the entries of the list."""
    reader, writer = os.pipe()
    found: list[Entry] = []
    with open(reader, "rb", buffering=0) as file, open(writer, "wb", buffering=0) as out:
        entries = listed(file, NAME, null)
        for block in blocks:
            assert len(block) <= PIPE
            out.write(block)
            found += until_waiting(entries, reader)
        out.close()
        for entry in entries:
            assert not isinstance(entry, Waiting)
            found.append(entry)
    return found


def until_waiting(entries: Iterator[Entry | Waiting], handle: int) -> list[Entry]:
    found: list[Entry] = []
    for entry in entries:
        if isinstance(entry, Waiting):
            assert entry == Waiting(handle)
            return found
        found.append(entry)
    raise AssertionError("the list has ended")


def from_file(path: Path, null: bool = False) -> list[Entry]:
    """The entries of a list in a file, which is there from the start."""
    found: list[Entry] = []
    with path.open("rb", buffering=0) as file:
        for entry in listed(file, NAME, null):
            assert not isinstance(entry, Waiting)
            found.append(entry)
    return found


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes before each of some places."""
    bounds = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def every(data: bytes, length: int) -> list[bytes]:
    """Cut bytes into blocks of equal length."""
    return cut(data, range(0, len(data), length))


def errors(entries: Iterable[Entry]) -> list[str | None]:
    """The reason of each entry that is no path, and None for each that is."""
    reasons: list[str | None] = []
    for entry in entries:
        if isinstance(entry, Picture):
            assert entry.error is not None
            assert entry.error.path == entry.path
            reasons.append(entry.error.reason)
        else:
            reasons.append(None)
    return reasons


def paths_of(entries: Iterable[Entry]) -> list[bytes]:
    return [os.fsencode(entry.path if isinstance(entry, Picture) else entry) for entry in entries]


# --- what the entries are


def lists_of(end: bytes) -> st.SearchStrategy[list[bytes]]:
    """Paths of any bytes, often of those that matter, but for NUL and what ends them."""
    usual = st.lists(st.sampled_from(list(b"ab/\r\n\t \"'\\\xff\xc3\xa4")), min_size=1).map(bytes)
    path = (usual | st.binary(min_size=1)).filter(
        lambda path: end not in path and b"\0" not in path and not os.path.lexists(path.rstrip(b"\r"))
    )
    return st.lists(path, max_size=20)


@pytest.mark.parametrize("null", [False, True])
@given(data=st.data())
def test_paths_come_back_however_the_list_is_cut(null: bool, data: st.DataObject) -> None:
    paths = data.draw(lists_of(ENDS[null]))
    whole = ENDS[null].join(paths) + data.draw(st.sampled_from([b"", ENDS[null]]))
    assume(not begins_like_picture(whole))
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=30))
    found = through_pipe(cut(whole, places), null)
    assert errors(found) == [None] * len(paths)
    assert paths_of(found) == paths


def test_a_list_in_a_file_is_never_waited_for(tmp_path: Path) -> None:
    paths = [b"%d.png" % k for k in range(50_000)]
    (tmp_path / "list").write_bytes(b"\n".join(paths))
    assert paths_of(from_file(tmp_path / "list")) == paths


def test_a_list_without_a_descriptor_is_read_as_well() -> None:
    assert list(listed(io.BytesIO(b"a.png\nb.png"), NAME, null=False)) == ["a.png", "b.png"]


@pytest.mark.parametrize("length", [1, 2, 3, 100])
def test_empty_lines_are_skipped(length: int) -> None:
    assert through_pipe(every(b"\n\na\n\n\nb\n\n", length)) == ["a", "b"]
    assert through_pipe(every(b"\0\0a\0\0\0b\0\0", length), null=True) == ["a", "b"]


@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n\n"])
def test_a_list_of_nothing_has_no_paths(data: bytes, tmp_path: Path) -> None:
    assert through_pipe([data]) == []
    (tmp_path / "list").write_bytes(data)
    assert from_file(tmp_path / "list") == []


@pytest.mark.parametrize("length", [1, 2, 3, 100])
def test_the_last_path_needs_no_end(length: int) -> None:
    assert through_pipe(every(b"a.png\nb.png", length)) == ["a.png", "b.png"]
    assert through_pipe(every(b"a.png\0b.png", length), null=True) == ["a.png", "b.png"]


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 100])
def test_a_carriage_return_belongs_to_the_path(length: int) -> None:
    assert through_pipe(every(b"a.png\r\nb.png\r\n\r\n", length)) == ["a.png\r", "b.png\r", "\r"]


def test_newlines_belong_to_paths_that_nul_ends() -> None:
    assert through_pipe([b"a\nb\0\n\0"], null=True) == ["a\nb", "\n"]


# --- what is no path


@pytest.mark.parametrize("length", [1, 4, 100])
def test_a_nul_in_a_line_is_an_error_in_its_place(length: int) -> None:
    found = through_pipe(every(b"a.png\nb.png\0c.png\0\nd.png\n", length))
    told = "has a NUL byte, so it is not a path; for a NUL-separated list, use -0"
    assert errors(found) == [None, told, None]
    assert paths_of(found) == [b"a.png", b"b.png\0c.png\0", b"d.png"]


@pytest.mark.parametrize("length", [10, 997, 30_000, PIPE])
@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_what_is_longer_than_a_path_is_an_error_in_its_place(
    length: int, null: bool, last: bool
) -> None:
    end = ENDS[null]
    for size in (LONGEST - 1, LONGEST, LONGEST + 1, LONGEST + 2, 2 * LONGEST, 3 * LONGEST + 17):
        path = b"0123456789" * (size // 10) + b"x" * (size % 10)
        paths = [b"a.png", path] if last else [b"a.png", path, b"b.png", b"c.png"]
        found = through_pipe(every(end.join(paths), length), null)
        told = f"is {size} bytes long, so it is not a path; is a newline, or with -0 a NUL, missing?"
        assert errors(found) == [None, told if size > LONGEST else None, *[None] * (len(paths) - 2)]
        shown = paths_of(found)
        assert shown[:1] + shown[2:] == paths[:1] + paths[2:]
        assert shown[1] == (path[:60] if size > LONGEST else path)


@given(
    sizes=st.lists(st.sampled_from([1, 2, LONGEST - 1, LONGEST, LONGEST + 1, LONGEST + 70]), max_size=4),
    places=st.lists(st.integers(0, 4 * LONGEST), max_size=12),
)
@example(sizes=[LONGEST + 1, 1], places=[1])
@example(sizes=[1, LONGEST + 1, 1], places=[LONGEST])
def test_which_paths_are_too_long_does_not_depend_on_how_the_list_is_cut(
    sizes: list[int], places: list[int]
) -> None:
    whole = b"".join(b"x" * size + b"\n" for size in sizes)
    found = through_pipe(cut(whole, [*places, *range(0, len(whole), PIPE)]))
    assert [error is not None for error in errors(found)] == [size > LONGEST for size in sizes]


# --- pictures


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "jp2"])
def test_a_picture_is_no_list(suffix: str, null: bool, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    picture("cat", 0).save(path)
    told = f"^{NAME}: is a picture, not a list of paths; drop --files-from$"
    with pytest.raises(DataError, match=told):
        from_file(path, null)
    for length in (20, PIPE):
        with pytest.raises(DataError, match=told):
            through_pipe(every(path.read_bytes(), length), null)
    with pytest.raises(DataError, match=told):
        list(listed(io.BytesIO(path.read_bytes()), NAME, null))


def test_a_picture_that_is_waited_for_is_no_list_either(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture("cat", 0).save(path)
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as file, open(writer, "wb", buffering=0) as out:
        entries = listed(file, NAME, null=False)
        assert [next(entries) for _ in range(5)] == [Waiting(reader)] * 5
        out.write(path.read_bytes())
        with pytest.raises(DataError, match="is a picture, not a list of paths"):
            next(entries)


@pytest.mark.parametrize("name", [b"GIF89a-the-format.html", b"\xff\xd8\xff", b"liftftyp/a.png"])
def test_a_path_that_begins_like_a_picture_is_a_path_where_the_list_has_begun(
    name: bytes, tmp_path: Path
) -> None:
    assert begins_like_picture(name)
    assert paths_of(through_pipe([b"a.png\n", name + b"\n"])) == [b"a.png", name]
    assert paths_of(through_pipe([b"a.png\n" + name, b"\n" + name])) == [b"a.png", name, name]
    whole = b"1234567\n" * 8192  # as many bytes as are read at once
    (tmp_path / "list").write_bytes(whole + name)
    assert paths_of(from_file(tmp_path / "list")) == [*whole.split(), name]


# --- when they come


def test_paths_come_when_they_have_been_written_and_else_there_is_something_to_wait_for() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as file, open(writer, "wb", buffering=0) as out:
        entries = listed(file, NAME, null=False)
        waiting = Waiting(reader)
        assert [next(entries), next(entries)] == [waiting, waiting]
        out.write(b"a.pn")
        assert [next(entries), next(entries)] == [waiting, waiting]
        out.write(b"g\nb.png\nc")
        assert [next(entries) for _ in range(3)] == ["a.png", "b.png", waiting]
        out.write(b".png")
        assert next(entries) == waiting
        out.close()
        assert list(entries) == ["c.png"]


def test_a_list_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with (
        (tmp_path / "list").open("wb", buffering=0) as file,
        pytest.raises(DataError, match=f"^{NAME}: bad file descriptor$"),
    ):
        list(listed(file, NAME, null=False))


def test_what_comes_before_a_list_breaks_off_is_given_first() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as file, open(writer, "wb", buffering=0) as out:
        entries = listed(file, NAME, null=False)
        out.write(b"a.png\nb.png\nc")
        found = [next(entries), next(entries)]
        os.dup2(writer, reader)  # which cannot be read
        with pytest.raises(DataError, match="bad file descriptor"):
            found.extend(entry for entry in entries if not isinstance(entry, Waiting))
    assert found == ["a.png", "b.png"]


# --- what it takes


@pytest.mark.parametrize("null", [False, True])
def test_memory_is_bounded_whatever_the_list_is(null: bool, tmp_path: Path) -> None:
    path, megabyte = tmp_path / "list", b"x" * 1_000_000
    with path.open("wb") as file:
        for _ in range(100):
            file.write(megabyte)
    from_file(path, null)  # whatever is imported is
    tracemalloc.start()
    try:
        (entry,) = from_file(path, null)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    (reason,) = errors([entry])
    assert reason is not None
    assert reason.startswith("is 100000000 bytes long, so it is not a path")


class Block(bytes):
    """A block of a list that counts how often its bytes are looked through, and how many there are."""

    alive: ClassVar[int] = 0
    most: ClassVar[int] = 0
    searched: ClassVar[int] = 0

    def __new__(cls, data: bytes) -> Self:
        Block.alive += 1
        Block.most = max(Block.most, Block.alive)
        return super().__new__(cls, data)

    def __del__(self) -> None:
        Block.alive -= 1

    def split(self, *arguments: Any, **options: Any) -> list[bytes]:
        Block.searched += len(self)
        return super().split(*arguments, **options)


@pytest.mark.parametrize("data", [b"x" * 100_000, b"ab\n" * 100_000, b"\n" * 100_000], ids=len)
@pytest.mark.parametrize("length", [10, PIPE])
def test_each_byte_is_looked_at_once_and_no_block_is_kept(
    data: bytes, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocks(file: object) -> Iterator[bytes]:
        del file
        return map(Block, every(data, length))

    monkeypatch.setattr(lists, "_blocks", blocks)
    monkeypatch.setattr(Block, "searched", 0)
    monkeypatch.setattr(Block, "most", 0)
    for _ in listed(io.BytesIO(), NAME, null=False):
        pass
    assert Block.searched == len(data)
    assert Block.most <= 3
    assert Block.alive == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a.png\r\n", "the list has Windows line endings; convert it, for example with dos2unix"),
        (b"\xef\xbb\xbfa.png\n", "the list begins with a byte order mark; save it as UTF-8 without one"),
        (
            b"\xef\xbb\xbfa.png\r\n",
            "the list begins with a byte order mark; save it as UTF-8 without one",
        ),
    ],
)
def test_what_editors_write_beside_a_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    (found,) = [
        entry for entry in listed(io.BytesIO(text), "list", null=False) if not isinstance(entry, Waiting)
    ]
    assert isinstance(found, Picture)
    assert found.error is not None
    assert found.error.reason == f"no such file or directory: {reason}"
    (tmp_path / "a.png").unlink()
    (plain,) = [
        entry for entry in listed(io.BytesIO(text), "list", null=False) if not isinstance(entry, Waiting)
    ]
    assert isinstance(plain, str)


def test_a_list_in_utf_16_is_named() -> None:
    with pytest.raises(DataError, match="is text in UTF-16: save it as UTF-8"):
        list(listed(io.BytesIO("a.png\n".encode("utf-16")), "list", null=False))
