"""`pack`: the same pictures, classes and models from one file, whatever happens while it is made."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import catclf
from catclf.cli import main
from catclf.config import DescentSettings, PackSettings, ReadOptions, TrainSettings
from catclf.errors import ConfigError, DataError, OutputError
from catclf.images import hdf5_writer
from catclf.images.decode import Decoder
from catclf.images.hdf5_writer import write_hdf5
from catclf.images.labelled import Labelled
from catclf.images.picture import Decoded, Picture
from catclf.images.spool import Spool
from catclf.pipeline.packing import Packed, pack
from catclf.progress import Progress
from tests.conftest import ROOT, Runner
from tests.pictures import (
    Pixels,
    cats_and_dogs,
    class_folder,
    course_h5,
    load_labelled,
    noise,
    save_h5,
    save_picture,
)

SIZE = 8


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five pictures of 8 × 8 together, so that little data has several chunks."""
    monkeypatch.setattr(hdf5_writer, "CHUNK_BYTES", 5 * 3 * SIZE * SIZE + 100)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Twenty-three pictures in cat/ and dog/."""
    return class_folder(tmp_path / "album", m=23)


def pack_settings(positive: str | None = None, **options: Any) -> PackSettings:
    """By default pictures of `SIZE`, decoded by two threads."""
    return PackSettings(ReadOptions(**{"size": SIZE, "jobs": 2} | options), positive)


def packed(data: Path, output: Path, **settings: Any) -> Packed:
    return pack(str(data), str(output), pack_settings(**settings))


def pixels_of(path: Path) -> Pixels:
    return load_labelled(path, SIZE).pictures[:]


def labelled(path: Path) -> Labelled:
    return load_labelled(path, SIZE).labelled


def stored_paths(path: Path) -> list[bytes]:
    with h5py.File(path) as file:
        return [bytes(name) for name in file["paths"][:]]


def model_hash(data: Path, model: Path, memory: int = ReadOptions().memory, **settings: Any) -> str:
    descent, read = DescentSettings(iterations=20, seed=3), ReadOptions(size=SIZE, memory=memory)
    fit = catclf.train(data, TrainSettings(descent=descent, read=read, **settings))
    catclf.save(fit.model, str(model))
    return hashlib.sha256(model.read_bytes()).hexdigest()


def several_classes(folder: Path) -> Path:
    for k in range(18):
        save_picture(folder / ("cat", "dog", "horse")[k % 3] / f"{k}.png", noise(SIZE, SIZE, 3, seed=k))
    return folder


def listed_in_csv(folder: Path) -> Path:
    class_folder(folder / "pictures", m=14)
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    rows = [f"{path},{path.parent.name}" for path in reversed(paths)]
    (folder / "labels.csv").write_text("\n".join(["path,label", *rows]))
    return folder / "labels.csv"


def with_unreadable(folder: Path) -> Path:
    class_folder(folder, m=23)
    for name in ("cat/00.jpg", "cat/051.png", "dog/99.gif"):
        (folder / name).write_bytes(b"\xff\xd8\xff")
    (folder / "cat" / "notes.txt").touch()
    return folder


SOURCES: dict[str, Callable[[Path], Path]] = {
    "folder": lambda path: class_folder(path, m=23),
    "three classes": several_classes,
    "csv": listed_in_csv,
    "hdf5": lambda path: course_h5(path.with_suffix(".h5"), m=23),
    "unreadable pictures": with_unreadable,
    "larger pictures": lambda path: class_folder(path, m=12, size=20),
}
sources = pytest.mark.parametrize("kind", SOURCES)


# --- the same as the source ---


@sources
def test_the_packed_file_holds_what_is_read_from_the_source(tmp_path: Path, kind: str) -> None:
    source = SOURCES[kind](tmp_path / "source")
    report = packed(source, tmp_path / "a.h5")
    expected, found = labelled(source), labelled(tmp_path / "a.h5")
    assert_array_equal(pixels_of(tmp_path / "a.h5"), pixels_of(source))
    names = [expected.classes[k] for k in expected.labels]
    assert [found.classes[k] for k in found.labels] == names
    assert found.counts() == expected.counts() == report.counts
    assert found.usual_positive == expected.usual_positive
    assert stored_paths(tmp_path / "a.h5") == [os.fsencode(path) for path in expected.paths]
    assert (report.m, report.size) == (expected.m, SIZE)
    assert (report.ignored, report.resumed) == (len(expected.ignored), 0)
    assert list(map(str, report.skipped)) == list(map(str, expected.skipped))
    assert report.file_size == (tmp_path / "a.h5").stat().st_size
    assert not (tmp_path / "a.h5.partial").exists()


@sources
@pytest.mark.parametrize("settings", [{}, {"validation": 0.3, "flip": True}], ids=str)
def test_training_from_the_packed_file_gives_the_same_model_to_the_byte(
    tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    source = SOURCES[kind](tmp_path / "source")
    packed(source, tmp_path / "a.h5")
    of_source = model_hash(source, tmp_path / "m.npz", **settings)
    assert model_hash(tmp_path / "a.h5", tmp_path / "n.npz", **settings) == of_source


def test_any_of_several_classes_can_be_the_positive_one(tmp_path: Path) -> None:
    source = several_classes(tmp_path / "source")
    packed(source, tmp_path / "a.h5")
    of_source = model_hash(source, tmp_path / "m.npz", positive="horse")
    assert model_hash(tmp_path / "a.h5", tmp_path / "n.npz", positive="horse") == of_source


def test_photographs_give_the_same_model_to_the_byte(tmp_path: Path, real_data: Path) -> None:
    packed(real_data / "natural_images", tmp_path / "a.h5", size=30)
    settings: dict[str, Any] = {"engine": "stream", "memory": 10**9}
    of_source = model_hash(real_data / "natural_images", tmp_path / "m.npz", **settings)
    pack(str(real_data / "natural_images"), str(tmp_path / "b.h5"), pack_settings(jobs=None))
    assert model_hash(tmp_path / "b.h5", tmp_path / "n.npz", **settings) == of_source


def test_the_same_pictures_are_the_same_bytes_for_any_number_of_threads(
    album: Path, tmp_path: Path
) -> None:
    for name, jobs in (("a.h5", 1), ("b.h5", 3)):
        packed(album, tmp_path / name, jobs=jobs)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_the_layout_is_that_of_the_course(album: Path, tmp_path: Path) -> None:
    packed(album, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        x, y = file["train_set_x"], file["train_set_y"]
        assert (x.shape, x.dtype, x.chunks, x.compression) == (
            (23, 8, 8, 3),
            np.uint8,
            (5, 8, 8, 3),
            None,
        )
        assert (y.shape, y.dtype) == ((23,), np.int64)
        assert file["list_classes"][:].tolist() == [b"dog", b"cat"]
        assert file["paths"][0] == os.fsencode(album / "cat" / "01.png")


# --- classes ---


def test_of_two_classes_the_positive_one_is_the_second(tmp_path: Path) -> None:
    folder = tmp_path / "album"
    for name in ("ant", "bee"):
        save_picture(folder / name / "a.png", noise(8, 8, 3))
    with pytest.raises(DataError, match="has the classes ant, bee; say which is positive"):
        packed(folder, tmp_path / "a.h5")
    with pytest.raises(DataError, match="has no class 'cow'; it has ant, bee"):
        packed(folder, tmp_path / "a.h5", positive="cow")
    packed(folder, tmp_path / "a.h5", positive="ant")
    assert labelled(tmp_path / "a.h5").classes == ("bee", "ant")
    assert labelled(tmp_path / "a.h5").labels.tolist() == [1, 0]


def test_a_folder_above_the_data_is_not_packed_as_one_class(tmp_path: Path) -> None:
    several_classes(tmp_path / "nest" / "pets")
    with pytest.raises(DataError, match=r"has only the class pets; did you mean .*/nest/pets\?$"):
        packed(tmp_path / "nest", tmp_path / "a.h5")
    save_picture(tmp_path / "ants" / "ant" / "a.png", noise(8, 8, 3))
    packed(tmp_path / "ants", tmp_path / "c.h5")
    assert labelled(tmp_path / "c.h5").counts() == {"ant": 1}


def test_several_classes_are_all_kept(tmp_path: Path) -> None:
    source = several_classes(tmp_path / "source")
    packed(source, tmp_path / "a.h5")
    assert labelled(tmp_path / "a.h5").classes == ("cat", "dog", "horse")
    with pytest.raises(ConfigError, match="cannot be used with 3 classes"):
        packed(source, tmp_path / "a.h5", positive="horse")


def test_names_that_are_not_utf_8_come_through(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "album")
    names = [b"cat/\xff\n.png", b"d\xf6g/tab\t.png"]
    data = save_picture(tmp_path / "a.png", noise(8, 8, 3)).read_bytes()
    for name in names:
        path = Path(os.fsdecode(os.path.join(folder, name)))
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    source = Path(os.fsdecode(folder))
    packed(source, tmp_path / "a.h5")
    assert stored_paths(tmp_path / "a.h5") == [os.path.join(folder, name) for name in names]
    assert labelled(tmp_path / "a.h5").classes == (os.fsdecode(b"d\xf6g"), "cat")
    of_source = model_hash(source, tmp_path / "m.npz")
    assert model_hash(tmp_path / "a.h5", tmp_path / "n.npz") == of_source


# --- pictures that cannot be read ---


def test_an_unreadable_picture_can_be_an_error(tmp_path: Path) -> None:
    source = with_unreadable(tmp_path / "source")
    with pytest.raises(DataError, match=r"00\.jpg"):
        packed(source, tmp_path / "a.h5", on_error="fail")
    assert not (tmp_path / "a.h5").exists()


def test_a_source_without_a_readable_picture_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "source" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="has no pictures"):
        packed(tmp_path / "source", tmp_path / "a.h5")
    (tmp_path / "source" / "cat" / "a.png").touch()
    with pytest.raises(DataError, match=r"has no picture that can be read \(1 tried\)"):
        packed(tmp_path / "source", tmp_path / "a.h5")
    assert os.listdir(tmp_path) == ["source"]


# --- interrupted ---


class Stop(Progress):
    """Stops a pack after so many pictures, and counts those that are read."""

    def __init__(self, after: int | None = None) -> None:
        self.first: int | None = None
        self._after = after

    def advanced(self, what: str, done: int, total: int) -> None:
        del total
        if what == "pictures read":
            self.first = self.first or done
            if done == self._after:
                raise KeyboardInterrupt


def interrupted(source: Path, output: Path, after: int, **settings: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        pack(str(source), str(output), pack_settings(**settings), progress=Stop(after))
    assert not output.exists()


def resumed(source: Path, output: Path, **settings: Any) -> tuple[int, Packed]:
    """Return the first picture that was read, and the report."""
    progress = Stop()
    report = pack(str(source), str(output), pack_settings(**settings), progress=progress)
    return progress.first or 0, report


@sources
@pytest.mark.parametrize("after", [1, 6, 12])
def test_a_second_run_goes_on_and_makes_the_same_file(tmp_path: Path, kind: str, after: int) -> None:
    source = SOURCES[kind](tmp_path / "source")
    whole = packed(source, tmp_path / "whole.h5")
    interrupted(source, tmp_path / "a.h5", after)
    first, report = resumed(source, tmp_path / "a.h5")
    assert report.resumed == 5 * ((after - 1) // 5)
    assert first == report.resumed + 1
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert list(map(str, report.skipped)) == list(map(str, whole.skipped))
    assert not (tmp_path / "a.h5.partial").exists()


def test_of_a_damaged_partial_file_the_good_records_are_used(album: Path, tmp_path: Path) -> None:
    packed(album, tmp_path / "whole.h5")
    output, partial = tmp_path / "a.h5", tmp_path / "a.h5.partial"
    interrupted(album, output, 16)
    data = partial.read_bytes()
    for kept in (*range(0, len(data), 97), len(data) - 1):
        partial.write_bytes(data[:kept])
        assert resumed(album, output)[1].resumed in (0, 5, 10)
        assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    start = data.index(b"\n") + 1
    for position in range(start, len(data), 131):
        partial.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert resumed(album, output)[1].resumed in (0, 5, 10)
        assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_pictures_that_have_changed_are_read_again(album: Path, tmp_path: Path) -> None:
    interrupted(album, tmp_path / "a.h5", 16)
    changed = sorted((album / "cat").iterdir())[7]
    save_picture(changed, noise(8, 8, 3, seed=9))
    assert resumed(album, tmp_path / "a.h5")[1].resumed == 5
    assert_array_equal(pixels_of(tmp_path / "a.h5"), pixels_of(album))


def test_a_picture_that_came_or_went_is_seen(album: Path, tmp_path: Path) -> None:
    for change in (lambda path: path.unlink(), lambda path: save_picture(path, noise(8, 8, 3))):
        interrupted(album, tmp_path / "a.h5", 16)
        change(album / "cat" / "13.png")
        assert resumed(album, tmp_path / "a.h5")[1].resumed == 5
        assert_array_equal(pixels_of(tmp_path / "a.h5"), pixels_of(album))
        (tmp_path / "a.h5").unlink()


def test_a_partial_file_of_another_size_is_not_used(album: Path, tmp_path: Path) -> None:
    interrupted(album, tmp_path / "a.h5", 16)
    assert resumed(album, tmp_path / "a.h5", size=6)[1].resumed == 0
    assert load_labelled(tmp_path / "a.h5").pictures.shape == (23, 6, 6, 3)


def test_a_pack_goes_on_after_the_picture_that_stopped_it_is_mended(tmp_path: Path) -> None:
    source = class_folder(tmp_path / "source", m=23)
    broken = source / "dog" / "08.png"
    good = broken.read_bytes()
    broken.write_bytes(b"x")
    with pytest.raises(DataError, match=r"08\.png"):
        packed(source, tmp_path / "a.h5", on_error="fail")
    broken.write_bytes(good)
    assert resumed(source, tmp_path / "a.h5", on_error="fail")[1].resumed == 15


def test_of_a_damaged_partial_file_no_failure_goes_to_another_picture(tmp_path: Path) -> None:
    source = with_unreadable(tmp_path / "source")
    packed(source, tmp_path / "whole.h5")
    output, partial = tmp_path / "a.h5", tmp_path / "a.h5.partial"
    interrupted(source, output, 6)
    data = partial.read_bytes()
    assert b'"failures": [[0, ' in data
    partial.write_bytes(data.replace(b'"failures": [[0, ', b'"failures": [[1, '))
    assert resumed(source, output)[1].resumed == 0
    assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_failure_of_the_run_before_is_an_error_if_they_are_to_be(tmp_path: Path) -> None:
    source = with_unreadable(tmp_path / "source")
    interrupted(source, tmp_path / "a.h5", 6)
    with pytest.raises(DataError, match=r"cat/00\.jpg: is not a picture in a known format"):
        resumed(source, tmp_path / "a.h5", on_error="fail")
    assert not (tmp_path / "a.h5").exists()


def test_a_picture_that_may_be_read_now_is_read_again(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Decoder.one

    def refuse(self: Decoder, picture: Picture) -> Decoded:
        path = picture.path
        if path.endswith("cat/03.png"):
            return Decoded(path, error=DataError(path, "permission denied"))
        return decode(self, picture)

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "one", refuse)
        interrupted(album, tmp_path / "a.h5", 16)
    (album / "cat" / "03.png").chmod(0o600)
    assert resumed(album, tmp_path / "a.h5")[1].skipped == ()
    assert labelled(tmp_path / "a.h5").m == 23


def test_a_partial_file_may_be_gone_at_the_end(album: Path, tmp_path: Path) -> None:
    class Tidying(Progress):
        def note(self, message: str) -> None:
            if message.startswith("writing"):
                (tmp_path / "a.h5.partial").unlink()

    pack(str(album), str(tmp_path / "a.h5"), pack_settings(jobs=None), progress=Tidying())
    assert labelled(tmp_path / "a.h5").m == 23


def test_a_file_that_somebody_else_calls_partial_is_left_alone(album: Path, tmp_path: Path) -> None:
    partial = tmp_path / "a.h5.partial"
    partial.write_bytes(b"my notes\n")
    with pytest.raises(OutputError, match="is not a partial pack file; move or delete it"):
        packed(album, tmp_path / "a.h5")
    assert partial.read_bytes() == b"my notes\n"
    partial.unlink()
    (tmp_path / "notes").write_bytes(b"")
    partial.symlink_to(tmp_path / "notes")
    with pytest.raises(OutputError, match="cannot be written"):
        packed(album, tmp_path / "a.h5")
    partial.unlink()
    os.mkfifo(partial)
    with pytest.raises(OutputError, match="is not a regular file"):
        packed(album, tmp_path / "a.h5")


def test_two_packs_into_one_file_are_refused(album: Path, tmp_path: Path) -> None:
    class Another(Progress):
        def advanced(self, what: str, done: int, total: int) -> None:
            del what, done, total
            with pytest.raises(OutputError, match="is in use"):
                packed(album, tmp_path / "a.h5")

    pack(str(album), str(tmp_path / "a.h5"), pack_settings(jobs=None), progress=Another())
    assert labelled(tmp_path / "a.h5").m == 23


PROGRAM = """
import sys
from catclf.cli import main
from catclf.images import hdf5_writer
from catclf.images.hdf5_writer import write_hdf5
hdf5_writer.CHUNK_BYTES = 1000
sys.exit(main(sys.argv[1:]))
"""


def test_killed_at_any_moment_the_file_is_whole_or_absent_and_the_next_run_goes_on(
    album: Path, tmp_path: Path
) -> None:
    packed(album, tmp_path / "whole.h5")
    output, seen = tmp_path / "a.h5", set()
    arguments = ["pack", str(album), str(output), "--size", str(SIZE), "-q", "-j", "2", "--json"]
    for k in range(40):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            begun = time.monotonic()
            while child.poll() is None:
                if (tmp_path / "a.h5.partial").exists() and time.monotonic() - begun > 0.002 * k:
                    child.send_signal(signal.SIGKILL)
                    break
            out, _ = child.communicate()
        if output.exists():
            assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()
        if child.returncode == 0:
            seen.add(json.loads(out)["resumed"])
            break
        for path in tmp_path.glob(".catclf-*"):
            path.unlink()
    else:
        assert resumed(album, output)[1].m == 23
    assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_file_is_written_leaves_what_was_read(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    packed(album, tmp_path / "whole.h5")
    true_blocks, blocks_written = Spool.blocks, []

    def blocks(self: Spool) -> Iterator[Pixels]:
        for k, block in enumerate(true_blocks(self)):
            blocks_written.append(k)
            if k == 1:  # twice, as by someone who cannot wait
                signal.raise_signal(number)
                signal.raise_signal(number)
            yield block

    monkeypatch.setattr(Spool, "blocks", blocks)
    assert main(["pack", str(album), str(tmp_path / "a.h5"), "--size", "8", "-q"]) == 128 + number
    assert blocks_written == [0, 1]
    assert sorted(os.listdir(tmp_path)) == ["a.h5.partial", "album", "whole.h5"]
    monkeypatch.undo()
    monkeypatch.setattr(hdf5_writer, "CHUNK_BYTES", 5 * 3 * SIZE * SIZE + 100)
    assert resumed(album, tmp_path / "a.h5")[1].resumed == 23
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as in a foreground process; those in the background begin with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("call", ["seek", "write", "truncate", "flush"])
def test_a_signal_in_the_midst_of_the_library_waits(tmp_path: Path, call: str) -> None:
    writing = threading.Event()

    def interrupted(self: io.FileIO, *arguments: Any) -> Any:
        if writing.is_set():
            signal.raise_signal(signal.SIGINT)
        return getattr(io.FileIO, call)(self, *arguments)

    kind = type("Interrupting", (io.FileIO,), {call: interrupted})
    blocks, labels = [noise(4, SIZE, SIZE, 3)], np.array([0, 1, 1, 0])
    with kind(tmp_path / "a.h5", "w+b") as file:
        writing.set()
        with pytest.raises(KeyboardInterrupt):
            write_hdf5(file, SIZE, blocks, labels, ["dog", "cat"], list("abcd"), "null")
        writing.clear()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interruptible")
def test_a_signal_that_only_leaves_a_note_leaves_the_file_whole(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(album, tmp_path / "whole.h5")
    true_blocks, notes = Spool.blocks, []

    def blocks(self: Spool) -> Iterator[Pixels]:
        for block in true_blocks(self):
            signal.raise_signal(signal.SIGINT)
            yield block

    monkeypatch.setattr(Spool, "blocks", blocks)
    signal.signal(signal.SIGINT, lambda number, frame: notes.append(number))
    packed(album, tmp_path / "a.h5")
    assert notes == 5 * [signal.SIGINT]
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


# --- the command ---


def test_the_command_sums_up_and_says_what_to_do_next(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, output = with_unreadable(tmp_path / "source"), tmp_path / "a.h5"
    assert main(["pack", str(source), str(output), "--size", "8", "--json"]) == 0
    out, err = capfd.readouterr()
    summary = json.loads(out)
    assert summary["classes"] == {"dog": 12, "cat": 11}
    assert (summary["m"], summary["skipped"], summary["ignored"]) == (23, 3, 1)
    assert "cat/00.jpg: is not a picture in a known format" in err
    assert "dog 12, cat 11 (3 unreadable, 1 other file ignored)" in err
    assert f"next: catclf train {output} -o MODEL.npz" in err
    assert main(["pack", str(source), str(output), "-q"]) == 2
    assert "exists; use --force to replace it" in capfd.readouterr().err
    assert main(["pack", str(source), str(output), "-q", "-f", "--size", "4"]) == 0
    assert main(["train", str(output), "-o", str(tmp_path / "m.npz"), "-q", "-i", "3"]) == 0
    assert main(["pack", str(source), str(output), "-qf", "--errors", "fail"]) == 1
    assert load_labelled(output).pictures.shape[1] == 4  # the old one is still there


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["album", "a.npz"], "must end in one of .h5"),
        (["a.h5", "a.h5", "-f"], "would be overwritten"),
        (["album", "a.h5", "--size", "0"], "0 is not in the range"),
        (["album", "b.h5", "--errors", "row"], "'row' is not one of"),
    ],
)
@pytest.mark.usefixtures("album")
def test_impossible_calls_are_usage_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    course_h5(tmp_path / "a.h5")
    assert main(["pack", *arguments]) == 2
    assert expected in capfd.readouterr().err


def test_where_the_file_goes_is_checked_first(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", str(tmp_path / "missing"), str(tmp_path / "no" / "a.h5")]) == 1
    assert "there is no folder" in capfd.readouterr().err


def test_an_interrupted_command_says_how_to_go_on(album: Path, tmp_path: Path) -> None:
    for k in range(3000):  # enough to be in the middle
        os.link(album / "cat" / "01.png", album / "cat" / f"more{k}.png")
    output = tmp_path / "a.h5"
    command = [sys.executable, "-c", PROGRAM, "pack", str(album), str(output), "--size", "8"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as child:
        partial = output.with_suffix(".h5.partial")
        while not (partial.exists() and b"checksum" in partial.read_bytes()):  # some have been read
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    assert child.returncode == 130
    assert b"a.h5.partial; run the same command to continue" in err
    assert b"Traceback" not in err
    assert not output.exists()


def test_of_a_file_that_is_not_ours_it_is_not_said_that_it_goes_on(
    album: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.h5.partial").write_bytes(b"my notes\n")
    (album / "notes.txt").touch()
    assert main(["pack", str(album), str(tmp_path / "a.h5"), "--size", "8"]) == 1
    error = capfd.readouterr().err
    assert error.endswith("is not a partial pack file; move or delete it\n")
    assert error.count("\n") == 1


# --- HDF5 as a source ---


def test_compressed_floats_and_other_keys_are_packed(tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=pixels / 255, compression="gzip")
        file["numbers"] = y
    packed(tmp_path / "a.h5", tmp_path / "b.h5", x_key="images", y_key="numbers", size=None)
    pictures, found = load_labelled(tmp_path / "b.h5")
    assert_array_equal(pictures[:], pixels)
    assert found.labels.tolist() == y.tolist()
    assert found.classes == ("0", "1")


def test_labels_without_a_name_are_refused(tmp_path: Path) -> None:
    X: Pixels = noise(3, 4, 4, 3)
    path = save_h5(tmp_path / "a.h5", a_set_x=X, a_set_y=[0, 1, 2], list_classes=[b"x", b"y"])
    with pytest.raises(DataError, match="has labels from 0 to 2 and 2 class names"):
        packed(path, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5.partial").exists()


def test_brackets_without_end_are_no_record(album: Path, tmp_path: Path) -> None:
    """A record of 200 000 of them beside the output was a traceback."""
    packed(album, tmp_path / "whole.h5")
    output, partial = tmp_path / "a.h5", tmp_path / "a.h5.partial"
    interrupted(album, output, 16)
    with partial.open("ab") as file:
        file.write(b"[" * 200_000 + b"\n")
    assert resumed(album, output)[1].resumed == 15
    assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()


# --- albums, which have no classes ---


def loose(folder: Path, *names: str) -> Path:
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_picture(folder / name, noise(8, 8, 3, seed=k))
    return folder


def test_an_album_is_one_class_and_no_picture_of_it_is_lost(
    catclf: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loose(tmp_path / "album", "a.png", "2024/b.png", "2024/c d.png", "phone/e.png", "f.png")
    done = catclf("pack", "album", "a.h5", "--size", "8")
    assert done.code == 0
    assert "album has pictures outside sub-folders: all its pictures are one class, 'album'" in done.err
    assert "pictures: album 5\n" in done.err
    assert "next: catclf next -n 10 a.h5 --labels labels.csv -F csv >> labels.csv\n" in done.err
    flat = catclf("pack", loose(tmp_path / "flat", "a.png", "b.png"), "b.h5", "--size", "8")
    assert "pictures: flat 2\n" in flat.err


def test_pictures_beside_the_folders_of_classes_are_ignored_with_a_warning(
    catclf: Runner, tmp_path: Path
) -> None:
    photos = loose(tmp_path / "photos", "cat/a.png", "cat/b.png", "dog/c.png", "cover.png")
    for command in (("pack", photos, tmp_path / "a.h5"), ("train", photos, "-o", tmp_path / "m.npz")):
        done = catclf(*command, "--size", "8")
        assert done.code == 0
        assert (
            f"1 picture lies in {photos} itself, and not in the folder of a class: ignored" in done.err
        )
        assert "(1 other file ignored)" in done.err
    chosen = catclf("pack", photos, tmp_path / "b.h5", "--size", "8", "--positive", "dog")
    assert "pictures: cat 2, dog 1 (1 other file ignored)" in chosen.err
    album = loose(tmp_path / "album", "2024/a.png", "b.png")
    alone = catclf("train", album, "-o", tmp_path / "n.npz")
    assert "has only the class 2024; training needs two: a sub-folder for each" in alone.err
