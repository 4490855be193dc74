"""Every command and snippet of the README runs, in a folder with the files that it speaks of."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf.cli import COMMANDS

README = Path(__file__).resolve().parents[1] / "README.md"
TEXT = README.read_text("utf-8")
TOOLS = ("bash", "jq", "xargs", "find", "split")


def blocks(section: str, language: str) -> list[str]:
    """Contents of the code blocks of a section, headed `## section`."""
    body = TEXT.split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", body, re.DOTALL)


def noise(k: int, kind: str, side: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = np.random.default_rng(k).integers(0, 100, (side, side, 3))
    pixels[..., 0 if kind == "cat" else 2] += 120
    return pixels.astype(np.uint8)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos/, album/, test.h5 and photos, and catclf on the path."""
    for kind in ("cat", "other"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for k in range(8):
            Image.fromarray(noise(k, kind)).save(tmp_path / "photos" / kind / f"{k}.jpg")
    (tmp_path / "album").mkdir()
    for k, kind in enumerate(("cat", "other", "cat", "cat")):
        Image.fromarray(noise(20 + k, kind)).save(tmp_path / "album" / f"a {k}'s.jpg")
    Image.fromarray(noise(40, "cat")).save(tmp_path / "photo.jpg")
    Image.fromarray(noise(41, "cat")).save(tmp_path / "photo64.png")
    with h5py.File(tmp_path / "test.h5", "w") as file:
        file["test_set_x"] = np.stack([noise(50, "cat"), noise(51, "other")])
        file["test_set_y"] = np.array([1, 0])
        file["list_classes"] = np.array([b"other", b"cat"])
    tools = tmp_path / ".bin"
    tools.mkdir()
    (tools / "catclf").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m catclf "$@"\n')
    (tools / "catclf").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(script: str) -> str:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the commands use {', '.join(missing)}, which this system lacks")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_the_first_section_run(workshop: Path) -> None:
    pytest.importorskip("onnxruntime", reason="network features need the extra network")
    script, _ = blocks("Train, evaluate, predict", "sh")
    out = shell(script)
    assert "photo.jpg\tcat\t" in out
    assert (workshop / "cat.npz").exists()


def test_the_assignment_gives_the_numbers_of_the_course(workshop: Path, real_data: Path) -> None:
    for name in ("train_catvnoncat.h5", "test_catvnoncat.h5"):
        os.symlink(real_data / "catvnoncat" / name, workshop / name)
    (_, script) = blocks("Train, evaluate, predict", "sh")
    out = shell(f"{{ {script}\n}} 2>&1")
    assert "accuracy on the 209 training pictures: 99.043 %" in out
    assert "step 100: cost 0.584508" in out
    assert re.search(r"^accuracy +0\.7000 ", out, re.MULTILINE)
    table = [line.split() for line in out.splitlines() if line.endswith(" %")]
    found = [(row[0], row[3], row[5]) for row in table if len(row) == 7]
    assert found == [
        ("0.01", "99.522", "68.000"),
        ("0.001", "88.995", "64.000"),
        ("0.0001", "68.421", "36.000"),
    ]
    assert all((workshop / name).exists() for name in ("rates.png", "weights.png"))


def test_other_programs_take_models_and_tables(workshop: Path) -> None:
    pytest.importorskip("onnx", reason="exported models need the extra export")
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    if importlib.util.find_spec("sqlite_utils") is None:
        pytest.skip("sqlite-utils is not installed")
    tool = workshop / ".bin" / "sqlite-utils"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sqlite_utils "$@"\n')
    tool.chmod(0o755)
    shell("catclf train photos/ -o cat.npz -q")
    export, tables = blocks("In other programs", "sh")
    shell(export)
    assert (workshop / "cat.onnx").exists()
    *lines, last = tables.splitlines()
    out = shell("\n".join(lines))
    assert out.count(".jpg") == 3
    found = re.fullmatch(r'duckdb -c "(.*)"', last)
    assert found is not None
    duckdb.sql(found[1])
    rows = duckdb.sql(
        "SELECT label, count(*) FROM 'rows.parquet' GROUP BY label ORDER BY label"
    ).fetchall()
    assert rows == [("cat", 3), ("other", 1)]


NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-\d+)?")


def test_the_session_shows_what_is_printed(workshop: Path) -> None:
    os.symlink(README.parent / "data", workshop / "data")
    (session,) = blocks("Train, evaluate, predict", "console")
    for exchange in session.split("$ ")[1:]:
        command, _, shown = exchange.partition("\n")
        printed = shell(f"{{ {command}; }} 2>&1")
        # The words are the same; another processor or another NumPy may give other numbers.
        assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", shown).split()
        for found, wanted in zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True):
            off = 0.03 if "." in wanted else 2  # pictures
            assert float(found) == pytest.approx(float(wanted), rel=0.05, abs=off)


def test_the_pipelines_do_what_their_comments_say(workshop: Path) -> None:
    shell("catclf train photos/ -o cat.npz -q")
    (script,) = blocks("In a pipeline", "sh")
    out = shell(script).splitlines()
    cats = ["a 0's.jpg", "a 2's.jpg", "a 3's.jpg"]
    for folder in ("cats", "sorted"):
        assert sorted(path.name for path in (workshop / folder / "cat").iterdir()) == cats
    assert [path.name for path in (workshop / "sorted" / "other").iterdir()] == ["a 1's.jpg"]
    rows = (workshop / "answers.csv").read_text().splitlines()
    everything = list(workshop.rglob("*.jpg"))
    assert len(rows) == 1 + len(everything)
    assert sum(line.startswith('"album/') for line in out) == 4
    assert "cat" in out
    assert out[-1].startswith("-\tcat\t")
    shards = [path.read_text() for path in sorted(workshop.glob("shard.*.txt"))]
    assert sum(text.count("\n") for text in shards) == 4


def test_the_pipelines_stand_broken_pictures_and_albums_without_cats(workshop: Path) -> None:
    shell("catclf train photos/ -o cat.npz -q")
    (script,) = blocks("In a pipeline", "sh")
    sort, _, _, least_sure, *_ = script.split("\n\n")
    (workshop / "album" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    out = shell(f"set +o pipefail\n{least_sure}")  # as in a shell that people type into
    assert out.count('"album/') == 4
    shutil.rmtree(workshop / "album")
    (workshop / "album").mkdir()
    shell(sort)
    assert not (workshop / "cats").exists()


@pytest.mark.usefixtures("workshop")
def test_the_line_for_bash_completes() -> None:
    (script,) = blocks("Completion", "sh")
    for_bash = script.splitlines()[0]
    assert "catclf" in shell(f"{for_bash}\ncomplete -p catclf")
    assert "zsh_source" in script
    assert "fish_source" in script


@pytest.mark.parametrize(
    "section",
    [
        *("Many pictures", "Evaluation that cannot mislead", "Labels for an album", "Wrong labels"),
        "Features",
    ],
)
def test_the_commands_of_a_section_run(workshop: Path, section: str) -> None:
    pytest.importorskip("matplotlib", reason="the page and the plot need the extra report")
    pytest.importorskip("onnxruntime", reason="network features need the extra network")
    shell("catclf train photos/ -o cat.npz -q")
    for script in blocks(section, "sh"):
        shell(script)
    if section == "Many pictures":
        assert (workshop / "packed.npz").read_bytes() == (workshop / "cat.npz").read_bytes()
    elif section == "Labels for an album":
        rows = (workshop / "labels.csv").read_text().splitlines()
        assert rows[0] == "path,label"
        assert sorted(rows[1:]) == [f"album/a {k}'s.jpg," for k in range(4)]
    elif section == "Wrong labels":
        assert (workshop / "found.csv").read_text().startswith("path,label,issue,score,other,group\n")
        assert (workshop / "mended.npz").exists()
    elif section == "Features":
        assert (workshop / "net.npz").exists()
        assert len(list((workshop / "why").iterdir())) == 1
    else:
        assert len(list((workshop / "why").iterdir())) == 4
        assert b"<!doctype html>" in (workshop / "page.html").read_bytes()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_examples_of_the_help_run(workshop: Path, command: str) -> None:
    shell("catclf train photos/ -o cat.npz -q && mkdir cats && cp test.h5 train.h5")
    text = shell(f"catclf {command} --help").partition("Example:\n")[2]
    example = text.partition("\n\n")[0]
    if "-o cat.npz" in example:
        (workshop / "cat.npz").unlink()
    assert example.count("catclf ") >= 1
    shell(example)


@pytest.mark.usefixtures("workshop")
def test_the_model_is_read_in_six_lines() -> None:
    shell("catclf train photos/ -o cat.npz -q")
    (snippet,) = blocks("The model file", "python")
    lines = [line for line in snippet.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 6
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60)
    by_hand = float(done.stdout)

    import catclf

    (answer,) = catclf.predict("cat.npz", ["photo64.png"])
    assert answer.probability == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.usefixtures("workshop")
def test_the_python_snippet_runs() -> None:
    (snippet,) = blocks("From Python", "python")
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "photo.jpg cat " in done.stdout


def test_the_set_up_commands_are_targets_of_the_makefile() -> None:
    makefile = (README.parent / "Makefile").read_text("utf-8")
    commands = re.findall(r"^make (\w+)", TEXT, re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(f"\n{name}: " in makefile for name in commands)
