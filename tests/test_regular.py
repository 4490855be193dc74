"""Opening files: regular ones only, never waiting, nothing left open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catclf.regular import open_regular
from tests.pictures import open_files


def test_a_regular_file_is_opened_for_reading(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"all of it")
    handle, size = open_regular(str(tmp_path / "f"))
    with open(handle, "rb") as file:
        assert (size, file.read()) == (9, b"all of it")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (os.mkfifo, "Is not a regular file"),
        (lambda path: path.symlink_to(os.devnull), "Is not a regular file"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_everything_else_is_refused_at_once(tmp_path: Path, make: object, reason: str) -> None:
    assert callable(make)
    path = tmp_path / "f"
    make(path)
    before = open_files()
    with pytest.raises(OSError, match=reason) as caught:
        open_regular(str(path))
    assert caught.value.filename == str(path)
    assert open_files() == before
