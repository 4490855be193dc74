"""Completion in bash, zsh and fish, asked for in the way in which the shells ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
    assert completed("train", "--features", "pa") == ["plain,patches"]
    assert completed("train", "--engine", "gr") == ["plain,gram"]
    for command in ("train", "pack", "info"):
        assert completed(command, "-F", "") == ["plain,text", "plain,json"]
        assert completed(command, "--js") == completed(command, "--nothing")  # hidden, but it works


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


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_itself_completes_commands_options_and_files(tmp_path: Path) -> None:
    (tmp_path / "a, photo.jpg").touch()
    (tmp_path / "completion.fish").write_text(ask("fish_source"))
    folders = [os.path.dirname(sys.executable), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(folders), "HOME": str(tmp_path)}

    def offered(line: str) -> list[str]:
        script = f"source completion.fish; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "-c", script],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.splitlines()

    assert [line.split("\t")[0] for line in offered("catclf tr")] == ["train"]
    assert offered("catclf predict -F js") == ["json", "jsonl"]
    assert offered("catclf predict -m a") == ["a, photo.jpg"]
    (rate,) = offered("catclf train --learn")
    assert (
        rate
        == "--learning-rate\tLearning rate; auto is 1/L, where L is the largest curvature of the cost."
    )


def test_completion_needs_no_heavy_library() -> None:
    told = ask("bash_complete", "train", "--eng", code=COMPLETE_AND_TELL_HEAVY_LIBRARIES)
    assert told == "plain,--engine\n\n"
