"""The command line as its users meet it: results, messages, exit codes."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import pytest
from PIL import Image

import catclf as library
from catclf.cli import COMMANDS, main
from catclf.cli.group import SECTIONS
from catclf.cli.parameters import long_name
from catclf.config import DescentSettings, ReadOptions, TrainSettings
from catclf.errors import CatclfError
from catclf.images.decode import Decoder
from catclf.images.picture import Decoded, Picture
from tests.conftest import Runner, picture, run

# --- train ---


def test_train_saves_a_model_and_says_what_to_do_next(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    result = catclf("train", album, "-o", tmp_path / "cat.npz", "--size", "8")
    assert result.code == 0
    assert result.out == b""
    assert "cat 6, dog 6" in result.err
    assert "with fewer than 20 pictures in a class, no score is reliable" in result.err
    assert "says nothing about new pictures; add --cv 5, and --features network" in result.err
    assert f"next: catclf eval -m {tmp_path}/cat.npz" in result.err
    assert (tmp_path / "cat.npz").exists()


def test_train_json_has_the_fields_of_the_contract(catclf: Runner, album: Path, tmp_path: Path) -> None:
    result = catclf("train", album, "-o", tmp_path / "c.npz", "--json", "-q", "--validation", "0.3")
    summary = json.loads(result.out)
    assert set(summary) >= {
        *("model", "m", "n_x", "classes", "skipped", "engine", "iterations", "stop_reason"),
        *("converged", "cost", "gradient_norm", "step_norm", "learning_rate"),
        *("learning_rate_limit", "l2", "train_accuracy", "seconds", "validation"),
    }
    assert summary["classes"] == {"cat": 6, "dog": 6}
    assert summary["m"] == 8
    assert summary["n_x"] == 64 * 64 * 3
    assert summary["validation"]["n"] == 4


def test_train_does_not_replace_a_model_unless_forced(catclf: Runner, album: Path, model: Path) -> None:
    before = model.read_bytes()
    result = catclf("train", album, "-o", model, "--size", "8", "-i", "3")
    assert result.code == 2
    assert "--force" in result.err
    assert model.read_bytes() == before
    assert catclf("train", album, "-o", model, "--size", "8", "-i", "3", "-f").code == 0
    assert model.read_bytes() != before


def test_train_checks_where_the_model_goes_before_it_reads(catclf: Runner, tmp_path: Path) -> None:
    result = catclf("train", tmp_path / "missing", "-o", tmp_path / "no" / "m.npz")
    assert result.code == 1
    assert "there is no folder" in result.err


def test_divergence_exits_1_with_a_usable_rate_and_writes_nothing(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.npz"
    for k in range(6):  # the same pictures under both labels, so that no step can please them all
        (album / "dog" / f"cat{k}.png").write_bytes((album / "cat" / f"{k}.png").read_bytes())
    result = catclf("train", album, "-o", path, "-l", "1000", "--json")
    assert result.code == 1
    assert "use --learning-rate auto or 0.00" in result.err
    assert json.loads(result.out)["stop_reason"] == "diverged"
    assert list(tmp_path.glob("*.npz")) == []


def test_train_is_deterministic_to_the_byte(catclf: Runner, album: Path, tmp_path: Path) -> None:
    for name, jobs in (("a", "1"), ("b", "2")):
        catclf("train", album, "-o", tmp_path / name, "-j", jobs, "--init", "random", "--seed", "7")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_history_has_a_row_for_each_recorded_step(
    catclf: Runner, album: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"history.{suffix}"
    catclf("train", album, "-o", tmp_path / "m", "--history", path, "-i", "20", "--stop", "none")
    text = path.read_text()
    rows = (
        list(csv.DictReader(text.splitlines()))
        if suffix == "csv"
        else [json.loads(line) for line in text.splitlines()]
    )
    assert [int(row["step"]) for row in rows] == list(range(21))
    assert float(rows[0]["cost"]) == pytest.approx(np.log(2))
    assert list(rows[0]) == [
        *("step", "cost", "gradient_norm", "step_norm", "learning_rate", "validation_cost")
    ]


def test_history_of_another_kind_is_refused_before_training(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    result = catclf("train", album, "-o", tmp_path / "m", "--history", tmp_path / "h.txt")
    assert result.code == 2
    assert "neither .csv nor .jsonl" in result.err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
@pytest.mark.parametrize("start", ["zeros", "random"])
@pytest.mark.parametrize("stop", ["gradient", "step", "none"])
def test_every_combination_trains(
    catclf: Runner, album: Path, tmp_path: Path, loss: str, start: str, stop: str
) -> None:
    path = tmp_path / "m.npz"
    choices = ("--loss", loss, "--init", start, "--stop", stop, "--size", "4", "-i", "50", "-q")
    assert catclf("train", album, "-o", path, *choices).code == 0
    assert catclf("eval", "-m", path, album).code == 0


def test_unreadable_pictures_are_skipped_named_and_counted(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    (album / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (album / "cat" / "Thumbs.db").write_bytes(b"x")
    result = catclf("train", album, "-o", tmp_path / "m.npz", "--json")
    summary = json.loads(result.out)
    assert (result.code, summary["skipped"], summary["ignored"]) == (0, 1, 1)
    assert "broken.jpg: " in result.err
    failed = catclf("train", album, "-o", tmp_path / "n.npz", "--errors", "fail")
    assert failed.code == 1
    assert "broken.jpg: " in failed.err
    assert not (tmp_path / "n.npz").exists()


def test_resume_goes_on_and_refuses_another_cost(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    size = ("--size", "8", "-q")
    assert catclf("train", album, "-o", tmp_path / "r", "--resume", model, *size).code == 0
    refused = catclf("train", album, "-o", tmp_path / "s", "--resume", model, "--l2", "1", *size)
    assert refused.code == 2
    assert "--l2" in refused.err


def test_a_missing_positive_class_lists_the_classes(catclf: Runner, album: Path, tmp_path: Path) -> None:
    result = catclf("train", album, "-o", tmp_path / "m", "--positive", "fish")
    assert result.code == 1
    assert "cat, dog" in result.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("-l", "0"), ("-l", "fast"), ("-e", "0"), ("-i", "-1"), ("--momentum", "1")),
        *(("--size", "0"), ("--l2", "-1"), ("--memory", "lots"), ("--memory", "0"), ("--cv", "1")),
        *(("--validation", "1.5"), ("--patience", "3"), ("--jobs", "0"), ("--seed", "-1")),
        ("--engine", "steam"),
    ],
)
def test_impossible_values_are_usage_errors(
    catclf: Runner, album: Path, tmp_path: Path, option: str, value: str
) -> None:
    result = catclf("train", album, "-o", tmp_path / "m", option, value)
    assert result.code == 2
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_rows_before_an_error_that_ends_prediction_are_there(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, jobs: str
) -> None:
    missing = tmp_path / "missing"
    photos = 50 * [next((album / "cat").iterdir())]
    for last in (("--files-from", missing), (missing, "--errors", "fail")):
        result = catclf("predict", "-m", model, "-j", jobs, *photos, *last)
        assert (result.code, result.out.count(b"\n")) == (1, 50)
        assert f"{missing}: no such file" in result.err


def test_the_folders_of_classes_instead_of_the_one_above_get_the_remedy(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    for command in (("train", "-o", tmp_path / "m"), ("eval", "-m", model), ("pack", album / "bird")):
        result = catclf(*command, album / "cat", album / "dog")
        assert result.code == 2
        assert f"{album / 'dog'} as well" in result.err.replace("\n", " ")
        assert "give the folder that contains them" in result.err.replace("\n", " ")
    assert not (tmp_path / "m").exists()


def test_options_come_from_the_environment(
    catclf: Runner, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATCLF_TRAIN_ITERATIONS", "7")
    monkeypatch.setenv("CATCLF_TRAIN_STOP", "none")
    result = catclf("train", album, "-o", tmp_path / "m.npz", "--json")
    assert json.loads(result.out)["iterations"] == 7
    monkeypatch.setenv("CATCLF_MODEL", str(tmp_path / "m.npz"))
    monkeypatch.setenv("CATCLF_INFO_JSON", "1")
    assert json.loads(catclf("info", tmp_path / "m.npz").out)["positive"] == "cat"
    monkeypatch.setenv("CATCLF_EVAL_FORMAT", "json")
    assert json.loads(catclf("eval", album).out)["n"] == 12
    assert catclf("predict", album).out.count(b"\n") == 12


def test_the_model_of_a_command_comes_before_that_of_all(
    catclf: Runner, album: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATCLF_MODEL", "of-all.npz")
    for command in ("predict", "eval"):
        assert "of-all.npz: no such file" in catclf(command, album).err
        monkeypatch.setenv(f"CATCLF_{command.upper()}_MODEL", str(model))
        assert catclf(command, album).code == 0


def test_an_option_in_the_environment_has_the_name_that_is_typed(
    catclf: Runner, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not that of the setting that it becomes: --init is `start`, --errors is `on_error`."""
    plain, random = tmp_path / "plain.npz", tmp_path / "random.npz"
    size = ("--size", "8", "-i", "3", "-q", "-f")
    assert catclf("train", album, "-o", random, "--init", "random", *size).code == 0
    monkeypatch.setenv("CATCLF_TRAIN_START", "random")
    assert catclf("train", album, "-o", plain, *size).code == 0
    assert plain.read_bytes() != random.read_bytes()
    monkeypatch.setenv("CATCLF_TRAIN_INIT", "random")
    assert catclf("train", album, "-o", plain, *size).code == 0
    assert plain.read_bytes() == random.read_bytes()
    assert catclf("train", album, "-o", plain, *size, "--init", "zeros").code == 0
    assert plain.read_bytes() != random.read_bytes()
    monkeypatch.setenv("CATCLF_TRAIN_INIT", "ones")
    refused = catclf("train", album, "-o", plain, *size)
    assert refused.code == 2
    assert "Invalid value for '--init'" in refused.err


def test_what_to_do_with_unreadable_pictures_comes_from_the_environment(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = album / "cat" / "broken.jpg"
    broken.write_bytes(b"")
    commands: dict[str, tuple[str | Path, ...]] = {
        "train": ("train", album, "-o", tmp_path / "new.npz", "-f", "-i", "3"),
        "pack": ("pack", album, tmp_path / "a.h5", "-f"),
        "eval": ("eval", "-m", model, album),
        "predict": ("predict", "-m", model, album),
    }
    for name, arguments in commands.items():
        variable, usual = f"CATCLF_{name.upper()}_ERRORS", "row" if name == "predict" else "skip"
        expected = 0 if name in ("train", "pack") else 3
        assert catclf(*arguments).code == expected
        monkeypatch.setenv(f"CATCLF_{name.upper()}_ON_ERROR", "fail")
        assert catclf(*arguments).code == expected
        monkeypatch.setenv(variable, "fail")
        failed = catclf(*arguments)
        assert failed.code == 1
        assert failed.err.splitlines()[-1] == f"catclf: error: {broken}: is empty"
        assert catclf(*arguments, "--errors", usual).code == expected
        monkeypatch.setenv(variable, usual)
        assert catclf(*arguments).code == expected
        monkeypatch.setenv(variable, "skip" if name == "predict" else "row")
        refused = catclf(*arguments)
        assert refused.code == 2
        assert "Invalid value for '--errors'" in refused.err


def test_json_is_a_format_and_an_older_option_that_is_not_shown(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: dict[str, tuple[str | Path, ...]] = {
        "train": ("train", album, "-o", tmp_path / "new.npz", "-f", "-i", "3"),
        "pack": ("pack", album, tmp_path / "a.h5", "-f"),
        "info": ("info", model),
    }

    def summary(*arguments: str | Path) -> dict[str, Any]:
        result = catclf(*arguments)
        assert result.code == 0
        facts: dict[str, Any] = json.loads(result.out)
        facts.pop("seconds", None)
        return facts

    for name, arguments in commands.items():
        shown = catclf(name, "--help").out.decode()
        assert "-F, --format [text|json]" in shown
        assert "--json" not in shown
        expected = summary(*arguments, "--json")
        assert len(expected) > 5
        for flags in (("-F", "json"), ("--format", "json"), ("-F", "json", "--json")):
            assert summary(*arguments, *flags) == expected
        with pytest.raises(ValueError, match="Expecting value"):
            summary(*arguments, "-F", "text")
        for variable, value in (("JSON", "1"), ("FORMAT", "json")):
            with monkeypatch.context() as environment:
                environment.setenv(f"CATCLF_{name.upper()}_{variable}", value)
                assert summary(*arguments) == expected
    for command in ("predict", "eval"):
        assert catclf(command, "-m", model, album, "--json").code == 2


# --- messages that speak of settings ---


def two_of_each(folder: Path) -> Path:
    """Write an HDF5 file in which two data sets have the names of pictures, and two those of labels."""
    path = folder / "two.h5"
    with h5py.File(path, "w") as file:
        for name in ("train", "test"):
            file[f"{name}_set_x"] = np.zeros((2, 8, 8, 3), np.uint8)
            file[f"{name}_set_y"] = [0, 1]
    return path


def oblong(folder: Path) -> Path:
    path = folder / "oblong.h5"
    with h5py.File(path, "w") as file:
        file["a_set_x"], file["a_set_y"] = np.zeros((2, 6, 8, 3), np.uint8), [0, 1]
    return path


def without_cats(folder: Path) -> Path:
    (folder / "album" / "cat").rename(folder / "album" / "big lion")
    return folder / "album"


def one_cat(folder: Path) -> Path:
    for k in range(1, 6):
        (folder / "album" / "cat" / f"{k}.png").unlink()
    return folder / "album"


def under_both_labels(folder: Path) -> Path:
    for k in range(6):
        data = (folder / "album" / "cat" / f"{k}.png").read_bytes()
        (folder / "album" / "dog" / f"cat{k}.png").write_bytes(data)
    return folder / "album"


MESSAGES: dict[str, tuple[Callable[[Path], str | Path], dict[str, Any], list[str], str, str]] = {
    "positive": (
        without_cats, {}, [],
        "say which is positive: positive='big lion' or positive='dog'",
        "say which is positive: --positive 'big lion' or --positive dog",
    ),
    "x_key": (two_of_each, {}, [], "or its name by x_key", "or its name by --x-key"),
    "y_key": (
        two_of_each, {"x_key": "test_set_x"}, ["--x-key", "test_set_x"],
        "or its name by y_key", "or its name by --y-key",
    ),
    "memory": (
        lambda folder: folder / "album", {"memory": 1000}, ["--memory", "1kB"],
        "raise memory, or", "raise --memory, or",
    ),
    "size": (oblong, {}, [], "choose a side with size", "choose a side with --size"),
    "scheduler": (
        lambda folder: "s3://bucket/photos", {}, [],
        "is a URL; train, eval, predict and pack read those with a scheduler",
        "is a URL; train, eval, predict and pack read those with a --scheduler",
    ),
    "patience": (
        lambda folder: folder / "album", {"patience": 3}, ["--patience", "3"],
        "patience = 3: requires validation",
        "--patience 3: requires --validation",
    ),
    "start": (
        lambda folder: folder / "album", {"start": "random", "resume": True}, ["--init", "random"],
        "start = 'random': cannot be combined", "--init random: cannot be combined",
    ),
    "l2": (
        one_cat, {"features": "patches", "size": 16}, ["--features", "patches", "--size", "16"],
        "as in l2=0.001", "as in --l2 0.001",
    ),
    "learning_rate": (
        under_both_labels, {"learning_rate": 1000.0}, ["--learning-rate", "1000"],
        "learning_rate='auto' or 0.00", "--learning-rate auto or 0.00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_the_library_names_settings_and_the_command_line_options(
    catclf: Runner, album: Path, tmp_path: Path, name: str
) -> None:
    made, values, flags, in_python, on_the_command_line = MESSAGES[name]
    start = tmp_path / "start.npz"
    if resumed := values.get("resume", False):
        assert catclf("train", album, "-o", start, "-i", "3", "-q").code == 0
    data = made(tmp_path)

    def settings() -> TrainSettings:
        """Each value in the class that has it."""
        kinds: list[Any] = [DescentSettings, ReadOptions, TrainSettings]
        given = [{k: v for k, v in values.items() if k in kind.__dataclass_fields__} for kind in kinds]
        descent, read = DescentSettings(**given[0]), ReadOptions(**given[1])
        return TrainSettings(descent=descent, read=read, **given[2])

    with pytest.raises(CatclfError) as caught:
        library.train(data, settings(), resume=library.load(start) if resumed else None)
    assert in_python in str(caught.value)
    assert "--" not in str(caught.value)
    resume = ("--resume", start) if resumed else ()
    result = catclf("train", data, "-o", tmp_path / "m.npz", *flags, *resume)
    assert result.code in (1, 2)
    assert on_the_command_line in result.err


@pytest.mark.usefixtures("album")
def test_rows_and_warnings_speak_of_options_too(catclf: Runner, model: Path, tmp_path: Path) -> None:
    path = two_of_each(tmp_path)
    for flags in ((), ("-F", "csv"), ("-F", "jsonl")):
        rows = catclf("predict", "-m", model, path, *flags)
        assert rows.code == 3
        assert b"or its name by --x-key" in rows.out
    (row,) = library.predict(model, path)
    assert row.error is not None
    assert row.error.reason.endswith("or its name by x_key")
    listing = tmp_path / "labels.csv"
    names = [f"album/{kind}/{k}.png,{kind}" for kind in ("cat", "dog") for k in range(6)]
    listing.write_text("\n".join(["path,label", *names, "s3://bucket/b.png,dog"]))
    why = "is a URL; train, eval, predict and pack read those with a --scheduler"
    told = f"s3://bucket/b.png: {why}; skipped\n"
    trained = catclf("train", listing, "-o", tmp_path / "n.npz", "-i", "3", "-q")
    assert (trained.code, trained.err) == (0, f"catclf: warning: {told}")
    scored = catclf("eval", "-m", model, listing, "-q")
    assert (scored.code, scored.err) == (3, f"catclf: warning: {told}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_descent_saves_the_best_so_far(
    album: Path, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "m.npz"
    choices = ["--stop", "none", "-i", "100000000", "-v", "--json"]
    command = [sys.executable, "-m", "catclf", "train", str(album), "-o", str(path), *choices]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"step 64" not in process.stderr.readline():
            pass
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    facts = json.loads(out)
    assert facts["stop_reason"] == "interrupted"
    assert not any("cross-validation" in warning for warning in facts["warnings"])
    assert main(["info", str(path)]) == 0


# --- predict ---


def test_predict_text_rows_are_path_label_probability(catclf: Runner, album: Path, model: Path) -> None:
    result = catclf("predict", "-m", model, album)
    rows = [line.split("\t") for line in result.out.decode().splitlines()]
    assert [row[0] for row in rows] == sorted(str(path) for path in album.rglob("*.png"))
    assert [row[1] for row in rows] == ["cat"] * 6 + ["dog"] * 6
    assert all(0 <= float(row[2]) <= 1 and len(row[2]) == 8 for row in rows)
    assert result.code == 0


def test_every_input_is_a_row_in_order_whatever_the_jobs(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    cat = album / "cat" / "0.png"
    empty = tmp_path / "empty.jpg"
    empty.touch()
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "dir.jpg").mkdir()
    inputs = [cat, empty, tmp_path / "missing.png", tmp_path / "fifo.jpg", tmp_path / "dir.jpg", cat]
    results = [catclf("predict", "-m", model, *inputs, "-j", jobs) for jobs in ("1", "2")]
    assert results[0] == results[1]
    rows = [line.split("\t") for line in results[0].out.decode().splitlines()]
    assert [row[1] for row in rows] == ["cat", "ERROR", "ERROR", "ERROR", "cat"]
    assert [row[2] for row in rows[1:4]] == [
        *("is empty", "no such file or directory", "is not a regular file")
    ]
    assert results[0].code == 3


def test_odd_names_survive_every_format(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    names = [b"new\nline.png", b"tab\there.png", b'comma,"quote".png', b"\xff\xfe.png", b"=1+1.png"]
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    data = (album / "cat" / "0.png").read_bytes()
    for name in names:
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(data)
    expected = sorted(os.path.join(folder, name) for name in names)

    listed = catclf("predict", "-m", model, os.fsdecode(folder), "--only", "cat", "-0")
    assert listed.out.split(b"\0")[:-1] == expected

    text = catclf("predict", "-m", model, os.fsdecode(folder)).out.splitlines()
    assert [unescape(line.split(b"\t")[0]) for line in text] == expected

    table = catclf("predict", "-m", model, os.fsdecode(folder), "-F", "csv").out
    rows = list(csv.reader(table.decode("utf-8", "surrogateescape").splitlines(keepends=True)))
    assert [os.fsencode(row[0]) for row in rows[1:]] == expected

    lines = catclf("predict", "-m", model, os.fsdecode(folder), "-F", "jsonl").out.splitlines()
    assert [path_of(json.loads(line)) for line in lines] == expected
    array = catclf("predict", "-m", model, os.fsdecode(folder), "-F", "json").out
    assert json.loads(array) == [json.loads(line) for line in lines]


def unescape(text: bytes) -> bytes:
    return text.decode("latin-1").encode("latin-1").decode("unicode_escape").encode("latin-1")


def path_of(row: dict[str, str]) -> bytes:
    import base64

    return base64.b64decode(row["path_bytes"]) if "path_bytes" in row else row["path"].encode()


def test_a_relative_path_that_looks_like_a_formula_is_made_harmless_in_csv(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("=cmd.png").write_bytes((album / "cat" / "0.png").read_bytes())
    assert (
        catclf("predict", "-m", model, "=cmd.png", "-F", "csv")
        .out.split(b"\n")[1]
        .startswith(b"./=cmd.png,cat,")
    )


def test_stdin_is_one_picture_or_a_list(album: Path, model: Path) -> None:
    paths = sorted(album.rglob("*.png"))
    by_name = run("predict", "-m", model, paths[0]).stdout.split(b"\t")[1:]
    by_bytes = run("predict", "-m", model, "-", input=paths[0].read_bytes()).stdout.split(b"\t")
    assert by_bytes == [b"-", *by_name]
    whole = run("predict", "-m", model, album).stdout
    for flags, separator in (((), "\n"), (("-0",), "\0")):
        listing = separator.join(map(str, paths)).encode()
        listed = run("predict", "-m", model, "--files-from", "-", *flags, input=listing)
        assert listed.stdout == whole


def test_standard_input_that_cannot_be_read_is_an_error_in_its_place(
    album: Path, model: Path, tmp_path: Path
) -> None:
    with (tmp_path / "written").open("wb") as file:
        done = run("predict", "-m", model, "-", album / "cat" / "0.png", stdin=file)
    first, second = done.stdout.splitlines()
    assert first == b"-\tERROR\tbad file descriptor"
    assert second.startswith(os.fsencode(album / "cat" / "0.png") + b"\tcat\t")
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


def test_a_list_of_paths_can_be_a_file(catclf: Runner, album: Path, model: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list"
    listing.write_text(f"{album}/cat/0.png\n\n{album}/dog/0.png\n")
    result = catclf("predict", "-m", model, "--files-from", listing)
    assert [line.split(b"\t")[1] for line in result.out.splitlines()] == [b"cat", b"dog"]
    missing = catclf("predict", "-m", model, "--files-from", tmp_path / "none")
    assert missing.code == 1
    assert "none: no such file" in missing.err


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["cat/0.png"], 0),
        (["cat/0.png", "cat/1.png"], 0),
        (["cat/0.png", "dog/0.png"], 1),
        (["cat/0.png", "missing.png"], 2),
    ],
)
def test_exit_status_answers_an_if(
    catclf: Runner, album: Path, model: Path, names: list[str], code: int
) -> None:
    paths = [album / name for name in names]
    assert catclf("predict", "-m", model, "--exit-status", *paths).code == code


def test_exit_status_is_2_where_there_is_too_little_memory(
    catclf: Runner, album: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: str) -> None:
        del path
        raise MemoryError

    monkeypatch.setattr("catclf.model.load", load)
    assert catclf("predict", "-m", model, album, "--exit-status").code == 2
    assert catclf("predict", "-m", model, album).code == 1


def test_exit_status_is_2_where_there_is_no_answer(catclf: Runner, album: Path, tmp_path: Path) -> None:
    result = catclf("predict", "-m", tmp_path / "no.npz", album / "cat" / "0.png", "--exit-status")
    assert result.code == 2
    assert "no.npz: no such file" in result.err


def test_exit_status_may_come_from_the_environment(
    catclf: Runner, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATCLF_PREDICT_EXIT_STATUS", "1")
    assert catclf("predict", "-m", tmp_path / "no.npz", album / "cat" / "0.png").code == 2
    assert catclf("info", tmp_path / "no.npz").code == 1


def test_numbers_that_are_none_are_refused(catclf: Runner, album: Path, model: Path) -> None:
    assert catclf("predict", "-m", model, album, "-t", "nan").code == 2
    assert catclf("eval", "-m", model, album, "-t", "nan").code == 2
    assert catclf("eval", "-m", model, album, "--fail-under", "accuracy=nan").code == 2


def test_no_output_replaces_an_input_or_another_output(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\nalbum/cat/0.png,cat\nalbum/dog/0.png,dog\n")
    before = (labels.read_bytes(), model.read_bytes())
    new = tmp_path / "new.csv"
    for arguments in (
        ("train", labels, "-o", tmp_path / "x.npz", "--history", labels),
        ("train", labels, "-o", new, "--history", new),
        ("train", album, "-o", tmp_path / "x.npz", "--validation", labels, "--history", labels),
        ("train", album, "-o", tmp_path / "x.npz", "--resume", model, "--plot", model),
        ("eval", "-m", model, labels, "--predictions", labels),
        ("eval", "-m", model, labels, "-o", model),
        ("predict", "-m", model, album, "-o", model),
    ):
        result = catclf(*arguments)
        assert result.code == 2
        assert "would be overwritten" in result.err
    assert (labels.read_bytes(), model.read_bytes()) == before


def test_an_output_that_is_a_folder_is_refused(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    result = catclf("predict", "-m", model, album, "-o", tmp_path)
    assert result.code == 1
    assert "is not a regular file" in result.err


def test_the_suffix_of_the_output_is_its_format_unless_one_is_given(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(name: str, *flags: str) -> bytes:
        assert catclf("predict", "-m", model, album, "-o", tmp_path / name, *flags).code == 0
        return (tmp_path / name).read_bytes()

    def printed(*flags: str) -> bytes:
        return catclf("predict", "-m", model, album, *flags).out

    for name in ("csv", "tsv", "json", "jsonl"):
        assert written(f"rows.{name}") == printed("-F", name)
    assert written("ROWS.CSV") == printed("-F", "csv")
    assert written("rows.txt") == printed()
    assert written("text.csv", "-F", "text") == printed()
    assert written("cats.csv", "--only", "cat") == printed("--only", "cat")
    monkeypatch.setenv("CATCLF_PREDICT_FORMAT", "json")
    assert written("set.csv") == printed("-F", "json")


def test_no_output_of_another_kind_replaces_a_picture(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    victims = {name: tmp_path / name for name in ("a.jpg", "b.PNG", "c.npz", "d.h5")}
    for victim in victims.values():
        victim.write_bytes(b"precious")
    jpeg = victims["a.jpg"]
    refusals: tuple[tuple[tuple[str | Path, ...], str], ...] = (
        (("eval", "-m", model, album, "--report", jpeg), "does not end in .html or .htm"),
        (("train", album, "-o", tmp_path / "x.npz", "--plot", jpeg), "does not end in .png"),
        (("info", model, "--weights", jpeg), "does not end in .png"),
        *(
            ((command, "-m", model, album, "-o", victim), "would be a text file; choose another name")
            for command in ("predict", "eval")
            for victim in victims.values()
        ),
    )
    no_models = [victim for name, victim in victims.items() if name != "c.npz"]
    refusals += tuple(
        (("train", album, "-f", "-o", victim), "would be a model; choose another name")
        for victim in no_models
    )
    for arguments, reason in refusals:
        result = catclf(*arguments)
        assert result.code == 2
        assert reason in result.err
    assert all(victim.read_bytes() == b"precious" for victim in victims.values())


def test_patience_does_not_cut_the_folds_short(catclf: Runner, album: Path, tmp_path: Path) -> None:
    flags = ("--cv", "3", "--validation", "0.3", "--size", "8", "--json", "-q", "-f")
    path = tmp_path / "m.npz"
    plain = json.loads(catclf("train", album, "-o", path, *flags).out)["cv"]
    patient = json.loads(catclf("train", album, "-o", path, *flags, "--patience", "1").out)["cv"]
    assert patient == plain


def test_threshold_and_only_refuse_what_makes_no_sense(catclf: Runner, album: Path, model: Path) -> None:
    assert catclf("predict", "-m", model, album, "-t", "2").code == 2
    result = catclf("predict", "-m", model, album, "--only", "fish")
    assert result.code == 2
    assert "neither 'cat' nor 'dog'" in result.err
    everything = catclf("predict", "-m", model, album, "-t", "0").out
    assert everything.count(b"\tcat\t") == 12


def test_options_that_would_do_nothing_are_refused(
    catclf: Runner, album: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flags, message in (
        (("-0",), "--files-from"),
        (("--only", "cat", "-F", "csv"), "--format"),
        (("--only", "cat", "-F", "text"), "--format"),
    ):
        result = catclf("predict", "-m", model, album, *flags)
        assert (result.code, result.out) == (2, b"")
        assert message in result.err
    monkeypatch.setenv("CATCLF_PREDICT_FORMAT", "csv")  # for other calls
    assert catclf("predict", "-m", model, album, "--only", "cat").out.count(b"\n") == 6


def test_errors_fail_stops_at_the_first_failure(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    result = catclf("predict", "-m", model, album / "cat", tmp_path / "no", album, "--errors", "fail")
    assert result.code == 1
    assert result.out.count(b"\n") <= 6
    assert "no such file" in result.err


def test_output_to_a_file_keeps_the_old_one_until_the_new_one_is_whole(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("old")
    gone = tmp_path / "gone.png"
    assert catclf("predict", "-m", model, gone, "--errors", "fail", "-o", path).code == 2
    assert catclf("predict", "-m", model, gone, "--errors", "fail", "-o", path, "-f").code == 1
    assert path.read_text() == "old"
    assert catclf("predict", "-m", model, album, "-o", path, "-f").out == b""
    assert path.read_text().count("\n") == 13  # with the head of a .csv
    assert catclf("predict", "-m", model, album, "-o", os.devnull).code == 0
    assert not os.path.isfile(os.devnull)


def test_rows_of_an_hdf5_file_are_numbered(
    catclf: Runner, model: Path, tmp_path: Path, album: Path
) -> None:
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["test_set_x"] = np.stack([np.asarray(picture("cat", 0)), np.asarray(picture("dog", 10))])
    result = catclf("predict", "-m", model, tmp_path / "two.h5")
    rows = [line.split(b"\t") for line in result.out.splitlines()]
    assert [row[0].rpartition(b"/")[2] for row in rows] == [b"two.h5[0]", b"two.h5[1]"]
    alone = catclf("predict", "-m", model, album / "cat" / "0.png", album / "dog" / "0.png")
    assert [row[1:] for row in rows] == [line.split(b"\t")[1:] for line in alone.out.splitlines()]


def test_a_closed_pipe_downstream_is_a_quiet_success(album: Path, model: Path) -> None:
    command = f"{sys.executable} -m catclf predict -m {model} {' '.join([str(album)] * 500)} | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1


def test_a_full_or_closed_stdout_is_an_error(album: Path, model: Path) -> None:
    commands = (f"predict -m {model} {album}", f"eval -m {model} {album}", f"info {model}")
    for arguments, redirection in itertools.product(commands, (">/dev/full", ">&-")):
        command = f"{sys.executable} -m catclf {arguments} {redirection}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
        assert done.returncode == 1
        assert b"standard output" in done.stderr
        assert b"Traceback" not in done.stderr


def test_interrupting_predict_leaves_whole_rows(album: Path, model: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list"
    listing.write_text("\n".join([str(album / "cat" / "0.png")] * 200_000))
    command = [sys.executable, "-m", "catclf", "predict", "-m", str(model), "--files-from", str(listing)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert err == b"catclf: interrupted\n"
    assert set((first + rest).splitlines(keepends=True)) == {first}


@pytest.mark.usefixtures("no_heic")
def test_what_is_ignored_is_counted_unless_quiet(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    for name in ("IMG_0001.HEIC", "notes.txt"):
        (album / "cat" / name).write_bytes(b"x")
    hint = "1 HEIC picture was not read: pip install 'catclf[heic]', or convert HEIC to JPEG\n"
    told = f"2 other files ignored; -v names them\n{hint}"
    assert catclf("predict", "-m", model, album).err == told
    assert f"{album}/cat/notes.txt: ignored" in catclf("predict", "-m", model, album, "-v").err
    assert catclf("eval", "-m", model, album).err == f"{hint}2 other files ignored\n"
    (tmp_path / "empty").mkdir()
    assert catclf("predict", "-m", model, tmp_path / "empty").err == "no pictures found\n"
    for command in ("predict", "eval"):
        assert catclf(command, "-m", model, album, "-q").err == ""


# --- eval and info ---


def test_eval_json_has_the_fields_of_the_contract(catclf: Runner, album: Path, model: Path) -> None:
    result = catclf("eval", "-m", model, album, "-F", "json")
    report = json.loads(result.out)
    assert report["confusion"] == {"tp": 6, "fp": 0, "fn": 0, "tn": 6}
    assert set(report) >= {
        *("n", "failed", "positive", "threshold", "accuracy", "accuracy_ci95"),
        *("balanced_accuracy", "precision", "recall", "f1", "roc_auc", "average_precision"),
        *("log_loss", "log_likelihood", "brier", "baseline_accuracy", "verdict"),
    }


def test_eval_text_shows_names_verdict_and_interval(catclf: Runner, album: Path, model: Path) -> None:
    for k in range(6):
        picture("cat", 50 + k).save(album / "cat" / f"{k}.png")
        picture("dog", 60 + k).save(album / "dog" / f"{k}.png")
    text = catclf("eval", "-m", model, album).out.decode()
    assert "verdict: better than always answering with the more common class" in text
    assert "actual / predicted" in text
    assert max(len(line) for line in text.splitlines()[2:] if str(album) not in line) <= 80


def test_eval_knows_the_pictures_that_the_model_was_trained_on(
    catclf: Runner, album: Path, model: Path
) -> None:
    def verdict() -> str:
        text = catclf("eval", "-m", model, album).out.decode()
        assert json.loads(catclf("eval", "-m", model, album, "-F", "json").out)["verdict"] in text
        return text.splitlines()[1]

    told = "verdict: none: the model was trained on all 12 of these pictures; score it on other pictures"
    assert verdict() == told
    picture("cat", 99).save(album / "cat" / "new.png")
    told = "verdict: trained on 12 of these 13 pictures; on the other 1 not distinguishable from always"
    assert verdict().startswith(told)
    text = catclf("eval", "-m", model, album).out.decode()
    assert "the model was trained on 12 of these pictures; accuracy without them 1.0000 of 1" in text
    overlap = json.loads(catclf("eval", "-m", model, album, "-F", "json").out)["train_overlap"]
    assert (overlap["count"], overlap["accuracy_without"]) == (12, 1.0)
    assert overlap["items"][0] == {"path": str(album / "cat" / "0.png"), "training_index": 0}


def test_train_tells_of_duplicates_and_of_torn_labels(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    (album / "dog" / "z.png").write_bytes((album / "cat" / "0.png").read_bytes())
    err = catclf("train", album, "-o", tmp_path / "m", "-i", "1").err
    assert f"1 picture found more than once; the first: {album}/dog/z.png is {album}/cat/0.png" in err
    assert "1 picture found with different labels" in err


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Pictures that the model has not seen: ten of each class."""
    folder = tmp_path / "others"
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for k in range(100, 110):
            picture(kind, k).save(folder / kind / f"{k}.png")
    return folder


def test_eval_gates_exit_4_when_missed(catclf: Runner, others: Path, model: Path) -> None:
    assert catclf("eval", "-m", model, others, "--fail-under", "accuracy=0.9").code == 0
    for gates in (["accuracy=0.9"], ["f1=0.1", "recall=0.2"]):
        flags = [flag for gate in gates for flag in ("--fail-under", gate)]
        # with the threshold at 1 every picture is called a dog: no precision, no recall
        result = catclf("eval", "-m", model, others, "-t", "1", *flags)
        assert result.code == 4
        assert "of --fail-under" in result.err
    assert catclf("eval", "-m", model, others, "--fail-under", "beauty=1").code == 2
    assert catclf("eval", "-m", model, others, "--fail-under", "f1=high").code == 2


def test_gates_are_about_pictures_that_the_model_has_not_seen(
    catclf: Runner, album: Path, others: Path, model: Path
) -> None:
    gate = ("--fail-under", "accuracy=0.5")
    seen = catclf("eval", "-m", model, album, *gate)
    assert seen.code == 4
    assert "accuracy of 0 pictures (without the 12 trained on) is undefined, below the 0.5" in seen.err
    (others / "cat" / "wrong.png").write_bytes((others / "dog" / "100.png").read_bytes())
    for file in [*(album / "cat").iterdir()]:
        (others / "cat" / file.name).write_bytes(file.read_bytes())
    mixed = catclf("eval", "-m", model, others, "--fail-under", "accuracy=0.96", "-F", "json")
    assert mixed.code == 4  # 20 of 21, and not 26 of 27
    facts = json.loads(mixed.out)
    assert facts["accuracy"] == pytest.approx(26 / 27)
    assert facts["fail_under"] == {
        "accuracy": {"wanted": 0.96, "found": pytest.approx(20 / 21), "n": 21, "passed": False}
    }


def test_the_lower_end_of_the_interval_can_be_a_gate(catclf: Runner, others: Path, model: Path) -> None:
    low = json.loads(catclf("eval", "-m", model, others, "-F", "json").out)["accuracy_ci95"][0]
    assert 0.8 < low < 0.9  # 20 of 20
    for bound, code in ((0.8, 0), (0.9, 4)):
        result = catclf(
            "eval", "-m", model, others, "--fail-under", f"accuracy_low={bound}", "-F", "json"
        )
        assert result.code == code
        outcome = json.loads(result.out)["fail_under"]["accuracy_low"]
        assert outcome == {"wanted": bound, "found": low, "n": 20, "passed": code == 0}
    assert json.loads(catclf("eval", "-m", model, others, "-F", "json").out)["fail_under"] is None


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_eval_writes_every_picture_with_its_loss(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, suffix: str
) -> None:
    table = tmp_path / f"t.{suffix}"
    assert catclf("eval", "-m", model, album, "--predictions", table).code == 0
    lines = table.read_text().splitlines()
    rows = list(csv.DictReader(lines)) if suffix == "csv" else [json.loads(line) for line in lines]
    assert [row["actual"] for row in rows] == ["cat"] * 6 + ["dog"] * 6
    for row in rows:
        called = "cat" if float(row["probability"]) >= 0.5 else "dog"
        assert row["label"] == row["predicted"] == called
        p = float(row["probability"]) if row["actual"] == "cat" else 1 - float(row["probability"])
        assert float(row["loss"]) == pytest.approx(-np.log(p), abs=1e-4)
    assert catclf("eval", "-m", model, album, "--predictions", tmp_path / "t.txt").code == 2


def test_eval_against_itself_finds_no_difference(catclf: Runner, album: Path, model: Path) -> None:
    facts = json.loads(catclf("eval", "-m", model, album, "--against", model, "-F", "json").out)
    assert facts["against"]["p_value"] == 1.0
    assert facts["against"]["differing"] == []
    assert "exact McNemar p = 1" in catclf("eval", "-m", model, album, "--against", model).out.decode()


@pytest.mark.parametrize("size", ["8", "6"])
def test_eval_against_another_model_decodes_each_picture_once(
    catclf: Runner,
    album: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: str,
) -> None:
    other = tmp_path / "other.npz"
    assert catclf("train", album, "-o", other, "--size", size, "-i", "1", "-q").code == 0
    alone = catclf("eval", "-m", model, album, "-F", "json").out
    decoded: list[str] = []
    true_one = Decoder.one

    def one(self: Decoder, picture: Picture) -> Decoded:
        decoded.append(picture.path)
        return true_one(self, picture)

    monkeypatch.setattr(Decoder, "one", one)
    flags = ("--against", other, "--report", tmp_path / "a.html", "-F", "json", "-j", "1")
    facts = json.loads(catclf("eval", "-m", model, album, *flags).out)
    assert decoded == sorted(str(path) for path in album.rglob("*.png"))
    assert set(facts.pop("against")) > {"p_value", "differing"}
    assert facts == json.loads(alone)


def test_a_model_to_compare_with_that_has_no_name_is_not_there(
    catclf: Runner, album: Path, model: Path
) -> None:
    result = catclf("eval", "-m", model, album, "--against", "")
    assert (result.code, result.out) == (1, b"")
    assert "no such file" in result.err


def test_eval_takes_a_budget_of_memory(catclf: Runner, album: Path, model: Path) -> None:
    plain = catclf("eval", "-m", model, album, "-F", "json")
    for memory in ("1B", "2GB"):
        assert catclf("eval", "-m", model, album, "-F", "json", "--memory", memory) == plain
    assert catclf("eval", "-m", model, album, "--memory", "lots").code == 2


def test_eval_takes_a_scheduler(album: Path, model: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    arguments = ("eval", "-m", model, album, "-F", "json")
    plain, on_workers = run(*arguments), run(*arguments, "--scheduler", "local", "-j", "1")
    assert plain.returncode == 0
    assert (on_workers.returncode, on_workers.stdout) == (0, plain.stdout)


def test_a_prior_shifts_the_log_odds(catclf: Runner, album: Path, model: Path) -> None:
    def logits(*flags: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        rows = catclf("predict", "-m", model, album, "-F", "tsv", *flags).out.splitlines()[1:]
        p = np.array([float(row.split(b"\t")[2]) for row in rows])
        return np.asarray(np.log(p / (1 - p)), dtype=np.float64)

    shift = logits("--prior", "0.2") - logits()
    np.testing.assert_allclose(shift, np.log(0.2 / 0.8), atol=2e-3)


def test_a_tuned_threshold_is_kept_in_the_model(catclf: Runner, album: Path, tmp_path: Path) -> None:
    path = tmp_path / "tuned.npz"
    goal = ("--tune-threshold", "recall=1", "--cv", "3", "--size", "8")
    assert catclf("train", album, "-o", path, *goal).code == 0
    threshold = json.loads(catclf("info", path, "--json").out)["threshold"]
    assert threshold != 0.5
    report = json.loads(catclf("eval", "-m", path, album, "-F", "json").out)
    assert report["threshold"] == threshold
    refused = catclf("train", album, "-o", tmp_path / "x", "--tune-threshold", "recall=2")
    assert refused.code == 2
    assert "--tune-threshold" in refused.err


def test_eval_reports_unreadable_pictures_with_exit_3(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    (album / "dog" / "broken.png").write_bytes(b"x")
    result = catclf("eval", "-m", model, album, "-F", "json", "-o", tmp_path / "report.json")
    assert result.code == 3
    assert json.loads((tmp_path / "report.json").read_text())["failed"] == 1
    assert catclf("eval", "-m", model, album, "--errors", "fail").code == 1


def test_eval_of_other_classes_lists_both(catclf: Runner, album: Path, model: Path) -> None:
    (album / "cat").rename(album / "fish")
    (album / "dog").rename(album / "fowl")
    result = catclf("eval", "-m", model, album)
    assert result.code == 1
    assert "fish, fowl" in result.err
    assert "cat, dog" in result.err


def test_info_as_text_and_json(catclf: Runner, model: Path) -> None:
    text = catclf("info", model).out.decode()
    assert "positive          cat\n" in text
    assert "\n  classes\n    cat           6\n" in text
    facts = json.loads(catclf("info", model, "--json").out)
    assert facts["n_x"] == 192
    assert facts["training"]["m"] == 12


def test_a_file_that_is_no_model_is_named(catclf: Runner, album: Path) -> None:
    for command in (("info",), ("predict", album, "-m"), ("eval", album, "-m")):
        result = catclf(*command, album / "cat" / "0.png")
        assert result.code == 1
        assert "0.png: is not a catclf model" in result.err


# --- help and start-up ---


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids="".join)
def test_help_leads_with_an_example(catclf: Runner, command: list[str]) -> None:
    for flag in ("-h", "--help"):
        result = catclf(*command, flag)
        assert result.code == 0
        before_the_options = result.out.partition(b"\nOptions:\n")[0]
        assert b"Example:\n    catclf " in before_the_options


@pytest.mark.parametrize("command", COMMANDS)
def test_options_stand_in_sections_each_once(catclf: Runner, command: str) -> None:
    text = catclf(command, "--help").out.decode()
    titles = re.findall(r"^(\w[\w ]+):$", text, re.MULTILINE)
    assert titles == [title for title in ("Options", *SECTIONS) if title in titles]
    found = importlib.import_module(f"catclf.cli.{command}_command").command
    options = [one for one in found.get_params(click.Context(found)) if isinstance(one, click.Option)]
    shown = re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE)
    assert sorted(shown) == sorted(long_name(one) for one in options if not one.hidden)
    if command == "train":
        first = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
        names = re.findall(r"^  (?:-\w, )?(--[\w-]+)", first, re.MULTILINE)
        assert names == ["--output", "--force", "--positive", "--features", "--cv", "--help"]
        assert len(titles) == 7


def test_help_shows_words_as_they_are_typed(catclf: Runner) -> None:
    assert catclf("train", "--help").out.count(b"X|auto") == 2


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian"], "train"),
        (["predcit"], "predict"),
        (["train", "x", "-o", "y", "--learning-rat", "1"], "--learning-rate"),
        (["predict", "-m", "x", "--treshold", "1"], "--threshold"),
        (["eval", "x", "--modle", "y"], "--model"),
        (["info", "x", "--wieghts", "y"], "--weights"),
        (["train", "x", "-o", "y", "--engine", "grma"], "gram"),
    ],
)
def test_what_is_spelt_alike_is_suggested(catclf: Runner, arguments: list[str], meant: str) -> None:
    result = catclf(*arguments)
    assert (result.code, result.out) == (2, b"")
    assert meant in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_needs_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys; from catclf.cli import main; main(sys.argv[1:]);"
        "print(*sorted({'numpy', 'PIL', 'h5py'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, timeout=60)
    assert done.stderr.strip() == b""


def test_predicting_files_needs_no_h5py(album: Path, model: Path) -> None:
    code = (
        "import sys; from catclf.cli import main; main(sys.argv[1:]);"
        "print(*sorted({'h5py'} & set(sys.modules)), file=sys.stderr)"
    )
    arguments = ["predict", "-m", str(model), str(album)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, timeout=60)
    assert done.stderr.strip() == b""
    assert done.stdout.count(b"\n") == 12


def test_messages_hide_control_characters(catclf: Runner) -> None:
    result = catclf("predict", "-m", "a\x1b[31m\nb", "x")
    assert "a\\x1b[31m\\nb: " in result.err


@pytest.mark.parametrize("command", ["train", "predict", "eval"])
def test_a_scheduler_without_the_extra_names_the_command_that_installs_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model = "-o" if command == "train" else "-m"
    assert main([command, "photos", model, str(tmp_path / "cat.npz"), "--scheduler", "local"]) == 2
    assert "pip install 'catclf[dask]'" in capfd.readouterr().err


def test_without_a_model_there_is_a_word_on_where_to_get_one(
    catclf: Runner, album: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CATCLF_MODEL", raising=False)
    for arguments in (("predict", model, album), ("eval", album)):
        result = catclf(*arguments)
        assert (result.code, result.out) == (2, b"")
        assert "name one with -m MODEL, or set CATCLF_MODEL" in result.err
    monkeypatch.setenv("CATCLF_MODEL", str(model))
    assert b"positive" in catclf("info").out


def test_a_class_called_cats_in_any_case_is_positive(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    (album / "cat").rename(album / "Cats")
    done = catclf("train", album, "-o", tmp_path / "cats.npz", "--size", "8", "-i", "5")
    assert "predicts 'Cats' or 'dog'" in done.err
    (album / "Cats").rename(album / "lion")
    refused = catclf("train", album, "-o", tmp_path / "lion.npz", "--size", "8", "-i", "5")
    assert "say which is positive: --positive dog or --positive lion" in refused.err


def test_a_picture_is_not_read_as_a_list_of_paths(catclf: Runner, model: Path, tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".gif", ".webp", ".tif", ".jp2"):
        photo = tmp_path / f"photo{suffix}"
        picture("cat", 3).save(photo)
        result = catclf("predict", "-m", model, "--files-from", photo)
        assert (result.code, result.out) == (1, b"")
        assert f"{photo}: is a picture, not a list of paths; drop --files-from" in result.err
    piped = run("predict", "-m", model, "--files-from", "-", input=photo.read_bytes())
    assert (piped.returncode, piped.stdout) == (1, b"")


def test_a_list_that_nul_divides_needs_the_option_for_it(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    paths = sorted(album.rglob("*.png"))
    listing = tmp_path / "list"
    listing.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
    refused = catclf("predict", "-m", model, "--files-from", listing)
    (row,) = refused.out.splitlines()
    path, error, reason = row.split(b"\t")
    assert (refused.code, path, error) == (3, listing.read_bytes().replace(b"\0", rb"\x00"), b"ERROR")
    assert reason == b"has a NUL byte, so it is not a path; for a NUL-separated list, use -0"
    assert catclf("predict", "-m", model, "--files-from", listing, "-0").out.count(b"\n") == len(paths)


def test_a_list_comes_through_a_pipe_bit_by_bit(album: Path, model: Path) -> None:
    paths = sorted(album.rglob("*.png"))
    command = [sys.executable, "-m", "catclf", "predict", "-m", str(model), "--files-from", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for path in paths:
            process.stdin.write(os.fsencode(path)[:1])
            process.stdin.flush()
            process.stdin.write(os.fsencode(path)[1:] + b"\n")
            process.stdin.flush()
        process.stdin.close()
        rows = process.stdout.read().splitlines()
    assert [row.split(b"\t")[0] for row in rows] == [os.fsencode(path) for path in paths]


def test_a_list_on_standard_input_in_place_of_a_picture_is_noticed(album: Path, model: Path) -> None:
    hint = b"for a list of paths, use --files-from -"
    paths = "\n".join(map(str, album.rglob("*.png"))).encode()
    result = run("predict", "-m", model, "-", input=paths)
    assert result.returncode == 3
    assert result.stdout.startswith(b"-\tERROR\tis not a picture")
    assert hint in result.stderr
    whole = next(album.rglob("*.png")).read_bytes()
    for data in (b"", whole, whole[:-100]):
        assert hint not in run("predict", "-m", model, "-", input=data).stderr


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), r"stopped at the limit of 3 updates; the gradient \(0\.\d+\) is still above 0\.0001"),
        (
            ("--stop", "step", "-e", "1e-9"),
            r"stopped at the limit of 3 updates; the step \(0\.\d+\) is still above 1e-09",
        ),
        (("--stop", "none"), "stopped after 3 updates"),
        (("-e", "10"), "converged after 0 updates: the gradient is below 10"),
        (
            ("--stop", "step", "-e", "0.1", "--lr", "1e-5"),
            r"stopped after 1 update: the step is below 0\.1; the gradient, [\d.]+, is not",
        ),
        (("--stop", "step", "-e", "9"), "converged after 1 update: the step is below 9"),
    ],
)
def test_the_summary_says_why_the_descent_stopped(
    catclf: Runner, album: Path, tmp_path: Path, flags: tuple[str, ...], expected: str
) -> None:
    result = catclf("train", album, "-o", tmp_path / "m.npz", "--size", "8", "-i", "3", *flags)
    assert any(re.fullmatch(expected, line) for line in result.err.splitlines())


def test_verbose_training_names_some_of_what_is_ignored(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    for k in range(7):
        picture("cat", k).save(album / f"beside{k}.png")
    packed, trained = tmp_path / "a.h5", tmp_path / "m.npz"
    for arguments in (("train", album, "-o", trained, "-i", "3"), ("pack", album, packed)):
        told = catclf(*arguments, "--size", "8", "-v", "-f").err
        for k in range(5):
            assert f"{album}/beside{k}.png: ignored\n" in told
        assert "beside5" not in told
        assert "and 2 more files ignored\n" in told
        brief = catclf(*arguments, "--size", "8", "-f").err
        assert "beside" not in brief
        assert "(7 other files ignored)" in brief


def test_a_report_has_the_format_of_its_suffix_unless_one_is_given(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    for name, flags, as_json in (
        ("a.json", (), True),
        ("b.JSON", (), True),
        ("c.txt", (), False),
        ("d.json", ("-F", "text"), False),
        ("e.txt", ("-F", "json"), True),
    ):
        assert catclf("eval", "-m", model, album, "-o", tmp_path / name, *flags).code == 0
        assert (tmp_path / name).read_text().startswith("{") == as_json


def test_too_few_pictures_for_patches_are_not_laid_to_an_option(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    for k in range(1, 6):
        (album / "cat" / f"{k}.png").unlink()
    result = catclf("train", album, "-o", tmp_path / "m.npz", "--features", "patches", "--size", "16")
    assert result.code == 1
    assert "auto" not in result.err
    assert "the positive class has too few pictures to choose the penalty l2 (1)" in result.err
    assert "add pictures of it, or choose the penalty yourself, as in --l2 0.001" in result.err


def test_rows_of_predict_that_somebody_has_edited_are_data(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    (album / "cat" / "broken.png").write_bytes(b"broken")
    rows = catclf("predict", "-m", model, album, "-F", "csv")
    assert rows.code == 3
    sheet = tmp_path / "sheet.csv"
    sheet.write_bytes(rows.out)
    trained = catclf("train", sheet, "-o", tmp_path / "again.npz", "-i", "5", "-F", "json")
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["classes"] == {"cat": 6, "dog": 6}
    assert f"1 row of {sheet} has an error and no label: skipped" in trained.err
    assert "has a column probability: its labels may come from a model, not from people" in trained.err
    assert catclf("eval", "-m", model, sheet).code == 0
    with sheet.open(newline="") as file:
        kept = [(row["path"], row["label"]) for row in csv.DictReader(file) if not row["error"]]
    sheet.write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in kept))
    assert "probability" not in catclf("eval", "-m", model, sheet).err


def test_a_tuned_threshold_comes_with_what_it_costs(catclf: Runner, album: Path, tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for k in range(20):
            noisy = np.random.default_rng(k).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(noisy).save(album / kind / f"noise{kind}{k}.png")
    begin = (
        "train",
        album,
        "-o",
        tmp_path / "m.npz",
        "-f",
        "-i",
        "20",
        "--tune-threshold",
        "recall=0.9",
    )
    said = catclf(*begin).err
    facts = json.loads(catclf(*begin, "-F", "json").out)["tuned"]
    assert facts["recall"] >= 0.9
    assert facts["precision"] < 1
    numbers = f"precision {facts['precision']:.3f}, recall {facts['recall']:.3f}"
    assert f"threshold tuned to {facts['threshold']:.4g}; cross-validated {numbers}" in said


def test_a_baseline_that_is_missing_says_why(catclf: Runner, album: Path, model: Path) -> None:
    assert (
        "both classes were equally common in training" in catclf("eval", "-m", model, album).out.decode()
    )


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_the_recipe_for_keywords_gives_them_to_the_cats_alone(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    """The line of the README, with the names of these files."""
    photographs = tmp_path / "photographs"
    for path in sorted(album.rglob("*.png")):
        place = photographs / f"{path.parent.name} {path.stem}.jpg"
        place.parent.mkdir(exist_ok=True)
        Image.open(path).save(place, quality=95)
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text("utf-8")
    (recipe,) = re.findall("`(catclf predict .*exiftool.*)`", readme)
    command = recipe.replace("cat.npz", shlex.quote(str(model))).replace("album/", f"'{photographs}'")
    command = command.replace("catclf predict", f"{sys.executable} -m catclf predict", 1)
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=60)
    told = subprocess.run(
        ["exiftool", "-json", "-XMP-dc:Subject", str(photographs)],
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    keywords = {Path(one["SourceFile"]).name: one.get("Subject") for one in json.loads(told)}
    found = {name for name, keyword in keywords.items() if keyword == "cat"}
    called = catclf("predict", "-m", model, photographs, "--only", "cat").out.decode().splitlines()
    assert found == {Path(path).name for path in called}
    assert 0 < len(found) < 12
