"""What a person sees of long work: on a terminal a line that lives, in a log lines now and then."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf.cli.console import Console
from catclf.cli.live import LiveProgress
from catclf.cli.training_report import TrainingProgress
from catclf.config import DescentSettings, ReadOptions, TrainSettings
from catclf.model import load
from catclf.work.signals import Interrupted, signals
from tests.conftest import Runner, needs_network, run

pytestmark = pytest.mark.alone

SILENT = 1.5  # seconds


class Seen:
    """What a command writes to a terminal of its own, and when.

    Attributes
    ----------
    silent : float
        The longest time without a byte, the start included.
    """

    def __init__(self, arguments: list[str], width: int = 80) -> None:
        child, terminal = pty.fork()
        if not child:
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
            os.execv(sys.executable, [sys.executable, "-m", "catclf", *arguments])
        begun = last = time.monotonic()
        self.silent, self.output = 0.0, b""
        while True:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # Linux says so where a pipe would be at its end
                break
            if not data:
                break
            now = time.monotonic()
            self.silent, last = max(self.silent, now - last), now
            self.output += data
        self.seconds = time.monotonic() - begun
        self.code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)

    @property
    def lines(self) -> list[str]:
        """Every state of the live line, and every line that stays."""
        return [line for line in re.split(r"[\r\n]+|\x1b\[K", self.output.decode()) if line.strip()]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of large pictures, which take their time."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (folder / kind).mkdir()
        drawn = Image.fromarray(rng.integers(0, 256, (1200, 1600, 3)).astype(np.uint8))
        drawn.save(folder / kind / "0.png", compress_level=1)
        for k in range(1, 65):
            shutil.copy(folder / kind / "0.png", folder / kind / f"{k}.png")
    return folder


def shapes(folder: Path) -> Path:
    """A hundred and fifty small pictures, none like another."""
    for k in range(150):
        path = folder / ("cat" if k % 2 else "dog") / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(k).integers(0, 256, (7, 7, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(path)
    return folder


@pytest.fixture(scope="module")
def ready(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import catclf

    path = tmp_path_factory.mktemp("model") / "m.npz"
    settings = TrainSettings(read=ReadOptions(size=16), descent=DescentSettings(iterations=9))
    catclf.save(catclf.train(photos, settings).model, path)
    return path


@pytest.mark.parametrize(
    "name", ["predict", "eval", "pack", "check", "patches", pytest.param("network", marks=needs_network)]
)
def test_no_command_is_silent_for_long(name: str, photos: Path, ready: Path, tmp_path: Path) -> None:
    data, model, out = str(photos), str(ready), str(tmp_path / "out")
    small = str(shapes(tmp_path / "small")) if name == "patches" else ""
    commands = {
        "predict": ["predict", "-m", model, data, "-j", "1", "-o", out],
        "eval": ["eval", "-m", model, data, "-j", "1"],
        "pack": ["pack", data, f"{out}.h5", "-j", "1"],
        "check": ["check", data, "--features", "pixels", "--size", "32", "-j", "1"],
        "patches": ["train", small, "--features", "patches", "--cv", "3", "-j", "1", "-o", f"{out}.npz"],
        "network": ["train", data, "--features", "network", "-o", f"{out}.npz"],
    }
    seen = Seen(commands[name])
    assert seen.code == 0, seen.output[-400:]
    assert seen.silent < SILENT, seen.lines[-3:]
    assert any(re.search(r"pictures .*: \d+/\d+", line) for line in seen.lines)
    if name == "patches":
        assert any(line.startswith("learning patches") for line in seen.lines)
        assert any(line.startswith("cross-validating in 3 folds") for line in seen.lines)


def test_the_total_is_that_of_what_is_left(
    catclf: Runner, ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, int]] = []
    monkeypatch.setattr(
        LiveProgress, "advanced", lambda self, what, done, total: heard.append((done, total))
    )
    data, listing = shapes(tmp_path / "data"), tmp_path / "list"
    listing.write_text("".join(f"{data}/cat/{k}.png\n" for k in range(1, 21, 2)) + str(data / "dog"))
    command: list[str | Path] = ["predict", "-m", ready, "-o", tmp_path / "rows.csv", "-v"]
    assert catclf(*command, "--files-from", listing).code == 0
    assert heard[-1] == (85, 85)
    assert catclf(*command, "--append", data).code == 0
    assert heard[-1] == (65, 65)


@pytest.mark.parametrize("width", [0, 1, 20])
def test_the_line_fits_any_width(width: int, photos: Path, ready: Path, tmp_path: Path) -> None:
    seen = Seen(["predict", "-m", str(ready), str(photos), "-o", str(tmp_path / "rows")], width)
    assert seen.code == 0
    lines = [line for line in seen.lines if "saved" not in line]
    assert all(len(line) <= max(width or 80, 1) - 1 for line in lines)


def test_rows_on_a_terminal_have_no_line_among_them(photos: Path, ready: Path) -> None:
    seen = Seen(["predict", "-m", str(ready), str(photos)])
    assert b"\x1b" not in seen.output
    assert len(seen.lines) == 130


def test_a_line_says_how_fast_it_goes_and_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    said: list[str] = []
    monkeypatch.setattr("catclf.cli.live.time.monotonic", lambda: now[0])
    progress = LiveProgress(Console())
    monkeypatch.setattr(progress, "draw", said.append)
    for done, moment in ((0, 0.0), (100, 0.1), (200, 2.0), (900, 9.0)):
        now[0] = moment
        progress.advanced("pictures read", done, 1000)
    assert said == [
        "pictures read: 0/1000",
        "pictures read: 100/1000",
        "pictures read: 200/1000  100/s  0:08 left",
        "pictures read: 900/1000  100/s  0:01 left",
    ]
    now[0] = 10.0
    progress.advanced("pictures scored", 50, 0)
    now[0] = 60.0
    progress.advanced("pictures scored", 100, 0)
    assert said[-1] == "pictures scored: 100  1.0/s"


def test_a_log_has_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("catclf.cli.live.time.monotonic", lambda: now[0])
    with LiveProgress(Console(verbose=True)) as progress:
        for second in range(101):
            now[0] = float(second)
            progress.advanced("pictures read", second, 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" (after ")[2] for line in lines] == [
        "0:05)",
        "0:10)",
        "0:20)",
        "0:40)",
        "1:20)",
    ]
    assert lines[1].startswith("pictures read: 10/100  1.0/s  1:30 left")


def test_the_clock_leaves_no_alarm_behind(catclf: Runner, album: Path, model: Path) -> None:
    assert catclf("predict", "-m", model, album).code == 0
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert run("predict", "-m", model, album).stderr == b""


def test_a_log_file_has_everything_with_its_time(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    (album / "cat" / "notes.txt").write_text("no picture")
    path = tmp_path / "catclf.log"
    command = ("predict", "-m", model, album, "-o", tmp_path / "rows", "--log-file", path)
    assert catclf(*command, "-q").err == ""
    assert catclf(*command, "-q").code == 2  # the rows are there: a matter of usage, not of the run
    assert catclf("predict", "-m", model, album / "none.h5", "--errors", "fail", "--log-file", path).code
    lines = path.read_text("utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S", line) for line in lines)
    said = [line[20:] for line in lines]
    assert f"{album}/cat/notes.txt: ignored" in said
    assert "1 other file ignored; -v names them" in said
    assert any(line.startswith("catclf: error: ") and "none.h5" in line for line in said)
    for name in ("m.npz", "a.jpg", "rows.csv"):
        refused = catclf("predict", "-m", model, album, "--log-file", tmp_path / name)
        assert refused.code == 2
        assert "would be a log; choose another name" in refused.err


def test_an_interrupted_cross_validation_keeps_the_model(tmp_path: Path) -> None:
    data, model = shapes(tmp_path / "data"), tmp_path / "m.npz"
    choices = ["--cv", "5", "--stop", "none", "-i", "20000", "--tune-threshold", "f1", "-v"]
    command = [sys.executable, "-m", "catclf", "train", str(data), *choices, "-o", str(model)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"cross-validating" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
    assert process.returncode == 130
    without = "the model has no scores of it, and its threshold is 0.5"
    assert f"interrupted before cross-validation was done: {without}\n" in said
    assert load(str(model)).threshold == 0.5


def test_a_second_signal_ends_what_the_first_left_to_be_saved() -> None:
    def stopped(times: int) -> None:
        for _ in range(times - 1):
            with contextlib.suppress(Interrupted):
                os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with signals.installed(), TrainingProgress(Console()) as progress:
        progress.descending(10)
        os.kill(os.getpid(), signal.SIGINT)
        assert progress.interrupted()
        assert progress.optional(lambda: 1) is None
    for times in (1, 2):
        with signals.installed(), TrainingProgress(Console()) as progress:
            progress.descending(10)
            assert progress.optional(lambda: 1) == 1
            if times == 2:
                with pytest.raises(Interrupted):
                    progress.optional(lambda: stopped(2))
            else:
                progress.optional(lambda: stopped(1))
                assert (progress.interrupted(), progress.exit_code) == (True, 130)
                with pytest.raises(Interrupted):
                    os.kill(os.getpid(), signal.SIGINT)
