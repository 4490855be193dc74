"""A child process that says what it should not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from catclf.work.guarded import ChildError, GuardedChild


@pytest.fixture
def child(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[GuardedChild]:
    program = tmp_path / "child.py"
    program.write_text(request.param)
    child = GuardedChild(str(program), {})
    yield child
    child.close()


@pytest.mark.parametrize(
    ("child", "why"),
    [
        ("print('hello')", "does not answer in JSON"),
        ("print('{', end='')", r"ended early \(exit code 0\)"),
        ("import os; os.abort()", r"crashed \(SIGABRT\)"),
    ],
    indirect=["child"],
)
def test_a_child_without_an_answer_is_an_error_that_says_why(child: GuardedChild, why: str) -> None:
    with open(os.devnull, "rb") as file, pytest.raises(ChildError, match=why):
        child.begin({}, file.fileno(), 10.0)
