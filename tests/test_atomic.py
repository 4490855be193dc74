"""Writing whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from catclf.atomic import check_replaceable, replacing
from catclf.errors import OutputError


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    mask: int = request.param
    before = os.umask(mask)
    yield mask
    os.umask(before)


def write(path: Path, data: bytes) -> None:
    with replacing(str(path)) as file:
        file.write(data)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_new_file_holds_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / "new", b"all of it")
    assert (tmp_path / "new").read_bytes() == b"all of it"
    assert names(tmp_path) == ["new"]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old and longer")
    write(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"
    assert names(tmp_path) == ["f"]


def test_the_old_file_is_whole_until_the_block_ends(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with replacing(str(tmp_path / "f")) as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "f").read_bytes() == b"old"
        assert not any(name.endswith((".npz", ".h5")) for name in names(tmp_path))
    assert (tmp_path / "f").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_error_leaves_the_old_file_and_no_litter(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(error), replacing(str(tmp_path / "f")) as file:
        file.write(b"half")
        raise error
    assert (tmp_path / "f").read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
def test_a_failing_disk_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "f").write_bytes(b"old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        write(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_the_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    write(tmp_path / "f", b"x")
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o666 & ~umask
    assert os.umask(umask) == umask  # and the umask is as before


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, umask: int, mode: int) -> None:
    write(tmp_path / "f", b"old")
    (tmp_path / "f").chmod(mode)
    write(tmp_path / "f", b"new")
    assert (tmp_path / "f").stat().st_mode & 0o777 == mode
    assert os.umask(umask) == umask


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "f").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "f")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "f").read_bytes() == b"new"
    assert names(tmp_path / "there") == ["f"]


def test_a_dangling_link_gets_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("f"), b"new")
    assert (tmp_path / "f").read_bytes() == b"new"


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [_folder, os.mkfifo, _loop, _device])
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = tmp_path / "f"
    make(path)
    before = path.lstat().st_mode
    with pytest.raises(OutputError, match="is not a regular file") as caught:
        write(path, b"x")
    assert caught.value.path == str(path)
    assert path.lstat().st_mode == before
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("act", [check_replaceable, lambda path: write(Path(path), b"x")])
def test_a_missing_folder_is_named(tmp_path: Path, act: object) -> None:
    assert callable(act)
    with pytest.raises(OutputError, match=f"there is no folder {tmp_path}/missing; make it first"):
        act(str(tmp_path / "missing" / "f"))
    assert names(tmp_path) == []


@pytest.mark.parametrize("act", [check_replaceable, lambda path: write(Path(path), b"x")])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, act: object) -> None:
    assert callable(act)
    with pytest.raises(OutputError, match="File name too long"):
        act(str(tmp_path / ("n" * 300)))
    assert names(tmp_path) == []


def test_a_folder_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="no permission to write in the folder"):
        check_replaceable(str(tmp_path / "f"))


def test_checking_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    check_replaceable(str(tmp_path / "f"))
    check_replaceable(str(tmp_path / "new"))
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"
