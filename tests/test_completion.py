"""Completion in bash, zsh and fish, asked for in the way in which the shells ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from catclf.cli import COMMANDS

COMPLETE = "from catclf.cli import main; main()"
COMPLETE_AND_TELL_HEAVY_LIBRARIES = f"""
import atexit, sys
atexit.register(lambda: print(*sorted({{'numpy', 'PIL', 'h5py'}} & set(sys.modules)), sep=","))
{COMPLETE}
"""


def ask(instruction: str, *words: str, code: str = COMPLETE) -> str:
    """What catclf says to a shell that completes the last of `words`."""
    environment = {
        **os.environ,
        "_CATCLF_COMPLETE": instruction,
        "COMP_WORDS": " ".join(("catclf", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def completed(*words: str) -> list[str]:
    """Completions as ``kind,value``."""
    return ask("bash_complete", *words).splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("without bash Click cannot ask for its version")
    script = ask(f"{shell}_source")
    assert f"_CATCLF_COMPLETE={shell}_complete" in script
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=script, text=True, timeout=60, check=True)


def test_commands_complete() -> None:
    assert completed("tr") == ["plain,train"]
    assert completed("") == [f"plain,{name}" for name in COMMANDS]


def test_options_and_choices_complete() -> None:
    assert completed("train", "--learn") == ["plain,--learning-rate"]
    assert completed("train", "photos", "--engine", "") == [
        *("plain,auto", "plain,primal", "plain,gram", "plain,stream", "plain,dask")
    ]
    assert completed("predict", "-F", "js") == ["plain,json", "plain,jsonl"]


@pytest.mark.parametrize(
    "words",
    [
        *(("train", "pho"), ("train", "-o", "pho"), ("train", "d", "--validation", "pho")),
        *(("predict", "pho"), ("predict", "a.jpg", "pho"), ("predict", "-m", "pho")),
        *(("predict", "--files-from", "pho"), ("predict", "--explain", "pho"), ("eval", "pho")),
        *(("eval", "--against", "pho"), ("info", "pho"), ("info", "m.npz", "--weights", "pho")),
    ],
    ids=" ".join,
)
def test_the_names_of_files_are_left_to_the_shell(words: tuple[str, ...]) -> None:
    assert completed(*words) == ["file,pho"]


def test_completion_needs_no_heavy_library() -> None:
    told = ask("bash_complete", "train", "--eng", code=COMPLETE_AND_TELL_HEAVY_LIBRARIES)
    assert told == "plain,--engine\n\n"
