"""Where results go, whatever their names: -o, standard output, devices, JSON."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from catclf.cli import main
from catclf.cli.tables import json_bytes
from tests.conftest import Runner

ODD = os.fsdecode(b"\xff\xfe")


def shell(command: str) -> subprocess.CompletedProcess[bytes]:
    command = command.replace("catclf", f"{sys.executable} -m catclf", 1)
    return subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)


# --- JSON ---


def test_json_says_everything_in_valid_unicode_and_valid_numbers() -> None:
    values = {"path": "a\udcff", "items": ("\ud800", {"path": "b", "cost": float("inf")}), "\udcfe": 1}
    assert json.loads(json_bytes(values).decode()) == {
        "path": "a\ufffd",
        "path_bytes": "Yf8=",
        "items": ["\ufffd", {"path": "b", "cost": None}],
        "\ufffd": 1,
    }


def test_no_control_character_reaches_a_terminal(catclf: Runner, album: Path, model: Path) -> None:
    """U+009B is to a terminal what ESC [ is; DEL and U+0085 are no better."""
    name = "a\x1b\x7f\x85\x9b31m.png"
    (album / "cat" / "0.png").rename(album / "cat" / name)
    shown = rb"a\x1b\x7f\x85\x9b31m.png"
    command = ("predict", "-m", model, album / "cat")
    for options in ((), ("-F", "tsv"), ("--only", "cat")):
        out = catclf(*command, *options).out
        assert shown in out
        assert not any(ord(c) in range(127, 160) for c in out.decode())
    for name_of_format in ("json", "jsonl"):
        out = catclf(*command, "-F", name_of_format).out
        assert rb"a\u001b\u007f\u0085\u009b31m.png" in out
        rows = json.loads(out) if name_of_format == "json" else map(json.loads, out.splitlines())
        assert str(album / "cat" / name) in {row["path"] for row in rows}
    raw = os.fsencode(album / "cat" / name)
    assert raw in catclf(*command, "-F", "csv").out
    assert raw + b"\0" in catclf(*command, "--only", "cat", "-0").out


@pytest.mark.parametrize("name", ["=1+1", "+cat", "@cat", "\tcat"])
def test_a_class_that_would_be_a_formula_is_refused(
    catclf: Runner, album: Path, tmp_path: Path, name: str
) -> None:
    (album / "dog").rename(album / name)
    result = catclf("train", album, "-o", tmp_path / "n.npz")
    assert result.code == 1
    assert "which a spreadsheet would take for a formula: rename it" in result.err


@pytest.fixture
def odd_album(album: Path) -> Path:
    """An album with a class and a picture whose names are not UTF-8."""
    (album / "dog").rename(album / ODD)
    (album / "cat" / "0.png").rename(album / "cat" / f"{ODD}.png")
    return album


def test_json_of_every_command_is_utf8(catclf: Runner, odd_album: Path, tmp_path: Path) -> None:
    model, other = tmp_path / f"{ODD}.npz", tmp_path / "other.npz"
    summary = catclf("train", odd_album, "-o", model, "--size", "8", "--json")
    assert json.loads(summary.out.decode())["classes"] == {"cat": 6, "\ufffd\ufffd": 6}
    assert json.loads(catclf("info", model, "--json").out.decode())["negative"] == "\ufffd\ufffd"
    assert catclf("train", odd_album, "-o", other, "--size", "8", "-i", "0").code == 0  # all are cats
    report = catclf("eval", "-m", model, odd_album, "-F", "json", "--against", other)
    facts = json.loads(report.out.decode())
    assert facts["train_overlap"]["items"][5]["path"] == f"{odd_album}/cat/\ufffd\ufffd.png"
    assert "path_bytes" in facts["train_overlap"]["items"][5]
    assert facts["against"]["differing"][0] == f"{odd_album}/\ufffd\ufffd/0.png"


# --- -o ---


def test_a_dash_is_standard_output_where_the_output_is_text(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    for arguments in (("predict", "-m", model, album), ("eval", "-m", model, album, "-F", "json")):
        assert catclf(*arguments, "-o", "-") == catclf(*arguments)
    assert sorted(os.listdir()) == before


def test_a_dash_is_refused_where_the_output_is_a_file(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    for arguments in (
        ("train", album, "-o", "-"),
        ("train", album, "-o", "new.npz", "--plot", "-"),
        ("eval", "-m", model, album, "--report", "-"),
        ("info", model, "--weights", "-"),
    ):
        result = catclf(*arguments)
        assert result.code == 2
        assert "cannot be written to standard output; name a file" in result.err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("command", ["predict", "eval"])
def test_text_goes_to_devices_and_pipes(album: Path, model: Path, tmp_path: Path, command: str) -> None:
    plain = shell(f"catclf {command} -m {model} {album}").stdout
    for output in ("/dev/stdout", "/dev/stdout | cat", "/dev/fd/3 3>&1 | cat"):
        assert shell(f"catclf {command} -m {model} {album} -o {output}").stdout == plain
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    assert shell(f"catclf {command} -m {model} {album} -o /dev/stdout >> {log}").returncode == 0
    assert log.read_bytes() == b"before\n" + plain
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    full = shell(f"catclf {command} -m {model} {album} -o /dev/full")
    assert full.returncode == 1
    assert full.stderr == b"catclf: error: /dev/full: cannot be written (No space left on device)\n"


def test_outputs_are_checked_before_the_work(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    gone, long = tmp_path / "gone" / "x.html", tmp_path / ("n" * 300)
    for arguments in (
        ("eval", "-m", model, album / "nothing", "-o", gone),
        ("eval", "-m", model, album / "nothing", "--report", gone),
        ("info", album / "nothing", "--weights", gone.with_suffix(".png")),
    ):
        result = catclf(*arguments)
        assert result.code == 1
        assert "there is no folder" in result.err
    assert "File name too long" in catclf("train", album / "nothing", "-o", long).err
    refused = catclf("info", model, "--weights", model)
    assert refused.code == 2
    assert "would be overwritten" in refused.err


# --- errors of standard output and of standard error ---


def test_help_that_finds_no_room_is_an_error() -> None:
    done = shell("catclf train --help > /dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        b"catclf: error: standard output: cannot be written (No space left on device)\n"
    )


def test_an_error_without_a_name_is_not_blamed_on_standard_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> int:
        del arguments
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("catclf.cli._run", fail)
    with pytest.raises(OSError, match="Input/output error"):
        main([])


def test_messages_that_find_no_room_stop_nothing(album: Path, tmp_path: Path) -> None:
    done = shell(f"catclf train {album} -o {tmp_path}/new.npz --size 8 2> /dev/full")
    assert done.returncode == 0
    assert (tmp_path / "new.npz").exists()


def test_a_message_leaves_out_the_middle_of_what_is_long(catclf: Runner, album: Path) -> None:
    for arguments in (
        ("train", album, "-o", "m.npz", "-l", "1" + "x" * 100_000),
        ("predict", "-m", "m" * 3_000_000, album),
        ("x" * 100_000,),
    ):
        refused = catclf(*arguments)
        assert refused.code in (1, 2)
        assert " … " in refused.err
        assert len(refused.err) < 6000
