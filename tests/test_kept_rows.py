"""`predict -o`: what has been scored is kept, whatever ends it, and run the same command to continue."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf.cli.kept_rows import Counts, KeptRows
from catclf.errors import OutputError
from catclf.images.picture import Picture
from tests.conftest import Runner

FORMATS = pytest.mark.parametrize("format_name", ["text", "csv", "tsv", "json", "jsonl"])
HEAD, TAIL = b"head\n", b"tail\n"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "in").mkdir()
    found = [tmp_path / "in" / f"{k}.png" for k in range(6)]
    for path in found:
        path.write_bytes(path.name.encode())
    return found


def run(
    output: Path, paths: list[Path], stop: int = 99, anew: bool = False, **settings: int
) -> list[str]:
    """Keep a row for each picture but those after `stop`, two at a time; the pictures asked for."""
    kept = KeptRows(str(output), settings, anew)
    asked: list[str] = []
    counts, rows = kept.resumed, b""
    try:
        for picture in kept.watched(Picture(str(path)) for path in paths):
            assert isinstance(picture, Picture)
            asked.append(Path(picture.path).stem)
            rows += f"{asked[-1]}\n".encode()
            counts = Counts(counts.answered + 1, counts.negative, counts.failed)
            if counts.total % 2 == 0:
                kept.add(rows, counts)
                rows = b""
            if counts.total == stop:
                return asked
        kept.add(rows, counts)
        kept.finish(HEAD, TAIL)
    finally:
        kept.close()
    return asked


WHOLE = b"head\n0\n1\n2\n3\n4\n5\ntail\n"


def test_a_second_run_asks_for_the_rest_alone(paths: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "rows"
    assert run(output, paths, stop=5) == ["0", "1", "2", "3", "4"]
    assert not output.exists()
    assert run(output, paths) == ["4", "5"]
    assert output.read_bytes() == WHOLE
    assert not (tmp_path / "rows.partial").exists()


def test_of_a_damaged_file_the_good_records_are_used(paths: list[Path], tmp_path: Path) -> None:
    output, partial = tmp_path / "rows", tmp_path / "rows.partial"
    run(output, paths, stop=4)
    data = partial.read_bytes()
    for kept in range(0, len(data), 7):
        partial.write_bytes(data[:kept])
        run(output, paths)
        assert output.read_bytes() == WHOLE
        partial.write_bytes(data[:kept] + bytes(len(data) - kept))  # as after a loss of power
        run(output, paths)
        assert output.read_bytes() == WHOLE
    partial.write_bytes(bytes(4096))
    assert len(run(output, paths)) == 6
    partial.write_bytes(data + b"[" * 200_000 + b"\n")
    assert run(output, paths) == ["4", "5"]
    assert output.read_bytes() == WHOLE


def test_what_is_of_another_run_is_left_alone_unless_it_is_to_go(
    paths: list[Path], tmp_path: Path
) -> None:
    output, partial = tmp_path / "rows", tmp_path / "rows.partial"
    run(output, paths, stop=4)
    data = partial.read_bytes()
    with pytest.raises(OutputError, match="another model or other options; use -f to start over"):
        run(output, paths, threshold=1)
    with pytest.raises(OutputError, match="other pictures; use -f"):
        run(output, paths[1:])
    with pytest.raises(OutputError, match="more pictures; use -f"):
        run(output, paths[:3])
    os.utime(paths[1], ns=(1, 1))
    with pytest.raises(OutputError, match="other pictures; use -f"):
        run(output, paths)
    assert partial.read_bytes() == data
    assert len(run(output, paths, anew=True, threshold=1)) == 6
    assert output.read_bytes() == WHOLE
    partial.write_bytes(data)
    assert len(run(output, paths[::-1], anew=True)) == 6  # the same options, but other pictures
    partial.write_bytes(b"somebody's notes")
    with pytest.raises(OutputError, match="is not a partial predict file"):
        run(output, paths, anew=True)
    assert partial.read_bytes() == b"somebody's notes"


def test_two_at_once_do_not_share_a_file(paths: list[Path], tmp_path: Path) -> None:
    kept = KeptRows(str(tmp_path / "rows"), {}, False)
    with pytest.raises(OutputError, match="is in use: another predict is writing it"):
        run(tmp_path / "rows", paths)
    kept.close()
    assert list(tmp_path.glob("rows*")) == []  # nothing was in it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_another_user_is_not_gone_on_from(paths: list[Path], tmp_path: Path) -> None:
    run(tmp_path / "rows", paths, stop=4)
    os.chown(tmp_path / "rows.partial", 12345, 12345)
    with pytest.raises(OutputError, match="belongs to another user"):
        run(tmp_path / "rows", paths)


# --- the command ---


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six hundred pictures, some of them broken."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for k in range(600):
        path = folder / f"{k % 7}" / f"{k:03d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)).save(path, quality=90)
        if k % 50 == 49:
            path.write_bytes(b"no picture")
    return folder


def command(model: Path, many: Path, output: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "catclf", "predict", "-m", model, many, "-o", output, *more]
    return [str(word) for word in words]


@FORMATS
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    many: Path, model: Path, tmp_path: Path, format_name: str, jobs: str
) -> None:
    options = ("-F", format_name, "-j", jobs)
    whole, output = tmp_path / "whole", tmp_path / "rows"
    assert subprocess.run(command(model, many, whole, *options), check=False).returncode == 3
    partial, rng, killed = tmp_path / "rows.partial", random.Random(0), 0
    for _ in range(4):
        process = subprocess.Popen(command(model, many, output, *options), stderr=subprocess.PIPE)
        size = (partial.stat().st_size if partial.exists() else 0) + rng.randrange(15_000)
        while process.poll() is None and not (partial.exists() and partial.stat().st_size > size):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 3:
            break
        assert not output.exists()
    if not output.exists():
        done = subprocess.run(command(model, many, output, *options), capture_output=True, check=False)
        assert done.returncode == 3
        assert b"12 of 600 could not be read" in done.stderr
    assert killed > 0
    assert output.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "rows.partial").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_what_is_kept_and_goes_on(
    many: Path, model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output, partial = tmp_path / "rows.csv", tmp_path / "rows.csv.partial"
    process = subprocess.Popen(command(model, many, output, "-j", "1"), stderr=subprocess.PIPE)
    while process.poll() is None and (not partial.exists() or partial.stat().st_size < 2000):
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate()
    if process.returncode == 3:
        pytest.skip("it was done before it could be interrupted")
    assert process.returncode == 128 + number
    match = re.search(
        r"the rows of (\d+) pictures are kept in .*rows.csv.partial; run the same", said.decode()
    )
    assert match
    done = subprocess.run(command(model, many, output), capture_output=True, check=False)
    assert done.returncode == 3
    assert f"continuing after the {match[1]} pictures of an interrupted run" in done.stderr.decode()
    assert output.read_bytes().count(b"\n") == 601


def test_a_file_is_replaced_at_a_word_only(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    rows, scores = tmp_path / "rows.csv", tmp_path / "scores.json"
    for arguments, path in (
        (("predict", "-m", model, album), rows),
        (("eval", "-m", model, album), scores),
    ):
        assert catclf(*arguments, "-o", path).code == 0
        before = path.read_bytes()
        path.write_bytes(b"kept")
        refused = catclf(*arguments, "-o", path)
        assert (refused.code, path.read_bytes()) == (2, b"kept")
        assert f"{path} exists; use --force to replace it" in refused.err
        assert catclf(*arguments, "-o", path, "-f").code == 0
        assert path.read_bytes() == before


@FORMATS
def test_append_adds_what_is_not_there_yet(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, format_name: str
) -> None:
    odd = album / "cat" / '=a,"b"\t\udcff.png'
    shutil.copy(album / "cat" / "0.png", odd)
    output, whole = tmp_path / "rows", tmp_path / "whole"
    options = ("-m", model, "-F", format_name)
    assert catclf("predict", *options, album / "cat", "-o", output, "--append").code == 0
    assert catclf("predict", *options, album / "cat", album / "dog", "-o", whole).code == 0
    first = output.read_bytes()
    assert catclf("predict", *options, album / "cat", album / "dog", "-o", output, "--append").code == 0
    assert output.read_bytes() == whole.read_bytes() != first
    again = catclf("predict", *options, album, "-o", output, "--append", "--fail-if-empty")
    assert (again.code, again.err) == (0, f"already in {output}: 13 pictures\n")
    assert output.read_bytes() == whole.read_bytes()


def test_append_refuses_what_it_cannot_read(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "rows.json"
    for content in (b"[1, 2", b"[\n{}\n]\n", b"[" * 5000, b"\n]\n"):
        output.write_bytes(content)
        refused = catclf("predict", "-m", model, album, "-o", output, "--append")
        assert refused.code == 1
        assert "is not what predict writes as json" in refused.err
        assert output.read_bytes() == content
    assert catclf("predict", "-m", model, album, "--append").code == 2
    assert catclf("predict", "-m", model, album, "--only", "cat", "--append", "-o", output).code == 2


def test_resume_says_if_there_is_nothing_to_go_on_from(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    result = catclf("predict", "-m", model, album, "-o", tmp_path / "rows", "--resume")
    assert result.code == 0
    assert f"nothing to resume: there are no rows in {tmp_path}/rows.partial" in result.err
    assert catclf("predict", "-m", model, album, "--resume").code == 2


def test_nothing_found_is_an_error_at_a_word(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list").write_text("")
    for inputs in ((tmp_path / "empty",), ("--files-from", tmp_path / "list")):
        plain = catclf("predict", "-m", model, *inputs)
        assert (plain.code, "no pictures found" in plain.err) == (0, True)
        strict = catclf("predict", "-m", model, *inputs, "--fail-if-empty")
        assert (strict.code, "no pictures found" in strict.err) == (1, True)
    assert catclf("predict", "-m", model, album, "--fail-if-empty").code == 0


def test_json_is_whole_where_nothing_was_found_at_first(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    output = tmp_path / "rows.json"
    assert catclf("predict", "-m", model, tmp_path / "empty", "-o", output).code == 0
    assert json.loads(output.read_text()) == []
    assert catclf("predict", "-m", model, album, "-o", output, "--append").code == 0
    assert len(json.loads(output.read_text())) == 12
