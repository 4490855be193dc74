"""Failing machines: killed at any call, full and read-only disks, little memory, few descriptors."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catclf.model import load, save
from tests import killed_saves
from tests.conftest import ROOT
from tests.pictures import class_folder, course_h5, save_picture

Done = subprocess.CompletedProcess[str]


def python(
    *arguments: str, before: Callable[[], None] | None = None, prefix: tuple[str, ...] = ()
) -> Done:
    command = [*prefix, sys.executable, *arguments]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=before,
    )


def catclf(*arguments: str | Path, before: Callable[[], None] | None = None) -> Done:
    return python("-m", "catclf", *map(str, arguments), before=before)


def limit(kind: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (value, value))


# --- killed ---


def test_killed_at_any_call_the_old_or_the_new_model_is_whole(tmp_path: Path) -> None:
    done = python("-m", "tests.killed_saves", str(tmp_path), "calls")
    assert done.returncode == 0, done.stderr
    kills, old, new = map(int, done.stdout.split())
    assert kills >= 15  # each of at least seven calls, before and after it
    assert old >= 10
    assert new >= 1


def test_killed_at_any_moment_the_old_or_the_new_model_is_whole(tmp_path: Path) -> None:
    done = python("-m", "tests.killed_saves", str(tmp_path), "moments", "100")
    assert done.returncode == 0, done.stderr
    kills, old, new = map(int, done.stdout.split())
    assert kills == 100 == old + new


STRACE = ("strace", "-f", "-qq", "-o", os.devnull)


@pytest.fixture(scope="session")
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    inject = ("-e", "trace=chdir", "-e", "inject=chdir:error=EIO")
    done = python("-c", "import os; os.chdir('/')", prefix=(*STRACE, *inject))
    if "Input/output error" not in done.stderr:
        pytest.skip("strace may not disturb programs here")


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "chmod"])
def test_killed_in_a_system_call_the_old_or_the_new_model_is_whole(tmp_path: Path, call: str) -> None:
    path = tmp_path / "m.npz"
    save(killed_saves.made("old"), str(path))
    for when in range(1, 60):
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={when}")
        done = python("-m", "tests.killed_saves", str(tmp_path), "once", prefix=(*STRACE, *inject))
        killed_saves.check(path)
        killed_saves.clear_litter(tmp_path)
        if done.returncode == 0:
            break
    assert killed_saves.check(path) == "new"
    assert when > 1


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize(
    "fault",
    ["write:error=ENOSPC:when=2+", "fsync:error=EIO", "rename:error=EDQUOT", "chmod:error=EROFS"],
)
def test_a_failing_system_call_leaves_the_old_model_and_no_litter(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "m.npz"
    save(killed_saves.made("old"), str(path))
    call = fault.partition(":")[0]
    inject = ("-e", f"trace={call}", "-e", f"inject={fault}")
    done = python("-m", "tests.killed_saves", str(tmp_path), "once", prefix=(*STRACE, *inject))
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == ["m.npz"]
    assert killed_saves.check(path) == "old"


# --- no room ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return class_folder(tmp_path / "album")


def test_a_full_disk_leaves_the_old_model_and_no_litter(small_disk: Path, album: Path) -> None:
    path = small_disk / "m.npz"
    assert catclf("train", album, "-o", path, "--size", "8", "-i", "1", "-q").returncode == 0
    before = path.read_bytes()
    done = catclf("train", album, "-o", path, "-f", "--size", "64", "-i", "1", "-q")
    assert done.returncode == 1
    assert done.stderr == f"catclf: error: {path}: cannot be written (No space left on device)\n"
    assert path.read_bytes() == before
    assert os.listdir(small_disk) == ["m.npz"]


def test_rows_that_find_no_room_wait_for_some(small_disk: Path, album: Path) -> None:
    model = small_disk / "m.npz"
    assert catclf("train", album, "-o", model, "--size", "8", "-i", "1", "-q").returncode == 0
    (small_disk / "filler").write_bytes(bytes(48_000))
    command: list[str | Path]
    command = ["predict", "-m", model, "-o", small_disk / "rows", *[album / "cat" / "01.png"] * 200]
    done = catclf(*command)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert f"kept in {small_disk}/rows.partial; run the same command to continue" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(small_disk)) == ["filler", "m.npz", "rows.partial"]
    os.remove(small_disk / "filler")
    done = catclf(*command)
    assert (done.returncode, done.stderr[:16]) == (0, "continuing after")
    assert (small_disk / "rows").read_bytes().count(b"\n") == 200
    assert sorted(os.listdir(small_disk)) == ["m.npz", "rows"]


def test_a_read_only_disk_is_found_out_before_the_training(small_disk: Path, album: Path) -> None:
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    assert subprocess.run(remount, capture_output=True).returncode == 0
    done = catclf("train", album, "-o", small_disk / "m.npz", "-q")
    assert done.returncode == 1
    assert "there is no permission to write in the folder" in done.stderr


def test_a_limit_on_the_size_of_files_leaves_the_old_model(tmp_path: Path, album: Path) -> None:
    path = tmp_path / "m.npz"
    assert catclf("train", album, "-o", path, "--size", "8", "-i", "1", "-q").returncode == 0
    before = path.read_bytes()
    small = limit(resource.RLIMIT_FSIZE, 20_000)
    done = catclf("train", album, "-o", path, "-f", "-i", "1", "-q", before=small)
    assert done.returncode == 1
    assert done.stderr == f"catclf: error: {path}: cannot be written (File too large)\n"
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["album", "m.npz"]


@pytest.mark.parametrize(("size", "where"), [("64", "a.h5.partial"), ("32", "a.h5")])
def test_a_full_disk_leaves_no_half_of_a_packed_file(
    small_disk: Path, album: Path, size: str, where: str
) -> None:
    """It becomes full while pictures gather, or while the file is made of them."""
    done = catclf("pack", album, small_disk / "a.h5", "--size", size, "-q")
    assert done.returncode == 1
    assert done.stderr.startswith(f"catclf: error: {small_disk / where}: cannot be written (")
    assert done.stderr.count("\n") == 1
    assert os.listdir(small_disk) == ["a.h5.partial"]
    done = catclf("pack", album, small_disk / "a.h5", "--size", "16", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(small_disk) == ["a.h5"]


def test_a_limit_on_the_size_of_files_leaves_no_half_of_a_packed_file(
    tmp_path: Path, album: Path
) -> None:
    arguments = ("pack", album, tmp_path / "a.h5", "--size", "32", "-q")
    done = catclf(*arguments, before=limit(resource.RLIMIT_FSIZE, 38_500))  # the pictures, no more
    assert done.returncode == 1
    assert "cannot be written (" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.h5.partial", "album"]
    assert catclf(*arguments).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["a.h5", "album"]


# --- where a model may go ---


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path, album: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.npz"
    link.symlink_to(tmp_path / "real" / "m.npz")
    settings = ("--size", "8", "-i", "1", "-q", "-f")
    assert catclf("train", album, "-o", link, *settings).returncode == 0
    assert link.is_symlink()
    assert load(str(tmp_path / "real" / "m.npz")).size == 8


@pytest.mark.parametrize("target", ["folder", os.devnull, "fifo"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, album: Path, target: str) -> None:
    path = tmp_path / target  # an absolute one stands for itself
    if target == "folder":
        path.mkdir()
    elif target == "fifo":
        os.mkfifo(path)
    kind = os.stat(path).st_mode
    done = catclf("train", album, "-o", path, "-f", "-q")
    assert done.returncode == 1
    assert done.stderr == f"catclf: error: {path}: is not a regular file; give the name of a file\n"
    assert os.stat(path).st_mode == kind


# --- little of everything ---


@pytest.fixture
def model(tmp_path: Path, album: Path) -> Path:
    path = tmp_path / "m.npz"
    assert catclf("train", album, "-o", path, "--size", "8", "-i", "5", "-q").returncode == 0
    return path


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that takes 360 MB and its file 0.4 MB."""
    path = tmp_path_factory.mktemp("large") / "large.png"
    Image.new("RGB", (9500, 9500), (10, 20, 30)).save(path)
    return path


def test_too_little_memory_for_a_picture_is_its_row(model: Path, album: Path, large: Path) -> None:
    good = album / "cat" / "01.png"
    done = catclf(
        *("predict", "-j", "1", "-m", model, good, large, good),
        before=limit(resource.RLIMIT_AS, 450_000_000),
    )
    assert done.returncode == 3
    first, middle, last = done.stdout.splitlines()
    assert first == last
    assert middle == f"{large}\tERROR\tnot enough memory to decode it"
    assert done.stderr == "1 of 3 could not be read\n"


@pytest.mark.parametrize("count", [1, 9])  # albums: with one there are no worker processes
@pytest.mark.parametrize("megabytes", [110, 120, 130, 140, 150, 170, 200])
def test_too_little_memory_for_anything_is_no_traceback(
    model: Path, album: Path, megabytes: int, count: int
) -> None:
    little = limit(resource.RLIMIT_AS, megabytes * 10**6)
    done = catclf("predict", "-m", model, *[album] * count, "-j", "2", before=little)
    if "failed to map segment" in done.stderr:
        pytest.skip("not even the libraries can be loaded in so little memory")
    assert done.returncode in (0, 1, 3)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "memory" in done.stderr + done.stdout


def test_few_descriptors_are_enough(model: Path, album: Path, tmp_path: Path) -> None:
    few = limit(resource.RLIMIT_NOFILE, 32)
    course_h5(tmp_path / "a.h5")
    done = catclf("predict", "-m", model, *[album] * 20, tmp_path / "a.h5", before=few)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 20 * 12 + 12


@pytest.mark.parametrize("number", [10, 12, 16])
def test_few_descriptors_are_enough_for_many_pictures(model: Path, album: Path, number: int) -> None:
    few = limit(resource.RLIMIT_NOFILE, number)
    done = catclf("predict", "-m", model, "-j", "2", *[album] * 20, before=few)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 20 * 12


MANY_DESCRIPTORS = """
import os, resource, sys
from catclf import ReadOptions, predict
resource.setrlimit(resource.RLIMIT_NOFILE, (1200, 1200))
kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
print(len(list(predict(sys.argv[1], 20 * [sys.argv[2]], read=ReadOptions(jobs=2)))))
"""


def test_many_open_files_are_nothing_to_a_prediction(model: Path, album: Path) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1200:
        pytest.skip("not so many files can be open here")
    done = python("-c", MANY_DESCRIPTORS, str(model), str(album / "cat" / "01.png"))
    assert (done.stdout, done.stderr) == ("20\n", "")


def test_too_few_descriptors_for_a_child_are_a_row(model: Path, album: Path, tmp_path: Path) -> None:
    files = [course_h5(tmp_path / name) for name in ("a.h5", "b.h5")]  # the first starts ahead
    good = album / "cat" / "01.png"
    few = limit(resource.RLIMIT_NOFILE, 8)
    done = catclf("predict", "-j", "1", "-m", model, good, *files, good, before=few)
    assert done.returncode == 3
    rows = done.stdout.splitlines()
    assert len(rows) == 1 + 12 + 1 + 1
    assert "\tERROR\tthe process that reads HDF5 files cannot start" in rows[-2]


# --- what libraries say ---


def broken_tiff(path: Path) -> Path:
    """Write a TIFF of which libtiff complains on file descriptor 2."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, compression="tiff_lzw")
    data = path.read_bytes()
    path.write_bytes(data[:4000] + bytes(800) + data[4800:])
    return path


def test_libraries_do_not_talk_to_the_user(model: Path, tmp_path: Path) -> None:
    path = broken_tiff(tmp_path / "a.tif")
    for options in ((), ("-X", "dev"), ("-W", "error"), ("-W", "always")):
        done = python(*options, "-m", "catclf", "predict", "-m", str(model), str(path))
        assert done.returncode == 3
        assert done.stderr == "1 of 1 could not be read\n"


def test_without_stderr_no_output_file_gets_what_libraries_say(model: Path, tmp_path: Path) -> None:
    path, output = broken_tiff(tmp_path / "a.tif"), tmp_path / "rows"
    done = catclf("predict", "-m", model, "-o", output, path, before=lambda: os.close(2))
    assert done.returncode == 3
    assert output.read_text().startswith(f"{path}\tERROR\t")
    assert len(output.read_text().splitlines()) == 1


def test_a_traceback_is_still_seen() -> None:
    code = "import sys, catclf.cli as c; c._run = lambda *a: 1 / 0; sys.exit(c.main([]))"
    done = python("-c", code)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_saved_pictures_of_any_kind_are_still_read(model: Path, tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    done: Any = catclf("predict", "-m", model, path)
    assert (done.returncode, done.stderr) == (0, "")


def test_of_two_trainings_of_one_model_the_second_says_so(album: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.npz"
    words = ["train", str(album), "-o", str(output), "--size", "8", "--stop", "none", "-i", "10000000"]
    with subprocess.Popen([sys.executable, "-m", "catclf", *words], stderr=subprocess.PIPE) as first:
        while not (tmp_path / "m.npz.lock").exists():
            time.sleep(0.01)
        second = catclf(*words[:-1], "1")
        first.send_signal(signal.SIGINT)
        first.communicate()
    assert second.returncode == 1
    assert "m.npz.lock: is in use: another train is writing it" in second.stderr
    assert first.returncode == 130
    assert not (tmp_path / "m.npz.lock").exists()
