"""HEIC pictures: right against those that they were made from, by a child that may crash or hang."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import catclf
from catclf.config import ReadOptions, TrainSettings
from catclf.decoding import BEFORE
from catclf.images import formats, heic
from catclf.images.decode import Decoder
from catclf.images.picture import Decoded, Picture
from catclf.view import View
from catclf.work.guarded import GuardedChild
from tests.conftest import Runner
from tests.pictures import cats_and_dogs, class_folder, noise, ramps, save_picture
from tests.profiles import DISPLAY_P3, in_srgb, rgb_profile

HIGH, WIDE = 48, 64

pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs the extra heic")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No child outlives a test."""
    yield
    heic._close_idle()


def encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    made = pillow_heif.from_pillow(image)
    made.save(buffer, **{"quality": -1, "chroma": 444, "matrix_coefficients": 0, **options})
    return buffer.getvalue()


def one(data: bytes, max_pixels: int = 100_000_000, view: View | None = None) -> Decoded:
    decoder = Decoder((view or View(WIDE, whole=True),), max_pixels)
    return decoder.one(Picture("-", stream=io.BytesIO(data)))


def pixels(data: bytes) -> Any:
    found = one(data)
    assert found.error is None, found.error
    return found.views[0].astype(int)


def reason(data: bytes, max_pixels: int = 100_000_000) -> str:
    error = one(data, max_pixels).error
    assert error is not None
    return error.reason


PICTURE = ramps(HIGH, WIDE)


def test_pixels_are_those_it_was_made_from() -> None:
    assert np.abs(pixels(encoded(Image.fromarray(PICTURE))) - PICTURE).max() <= 1
    lossy = pixels(encoded(Image.fromarray(PICTURE), quality=90, matrix_coefficients=6, chroma=420))
    assert np.abs(lossy - PICTURE).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright(orientation: int) -> None:
    stored = {
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2),
        6: PICTURE.transpose(1, 0, 2)[::-1],
        7: PICTURE.transpose(1, 0, 2)[::-1, ::-1],
        8: PICTURE.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif.tobytes())
    assert np.abs(pixels(data) - PICTURE).max() <= 1


def test_deep_grey_and_transparent_pictures() -> None:
    deep = PICTURE.astype(np.uint16) * 257
    made = pillow_heif.from_bytes("RGB;16", (WIDE, HIGH), deep.tobytes())
    buffer = io.BytesIO()
    made.save(buffer, quality=-1, chroma=444, matrix_coefficients=0)
    assert pillow_heif.open_heif(buffer.getvalue(), convert_hdr_to_8bit=False).info["bit_depth"] >= 10
    assert np.abs(pixels(buffer.getvalue()) - PICTURE).max() <= 2
    grey = Image.fromarray(PICTURE[..., 0])
    assert np.abs(pixels(encoded(grey, chroma=420)) - PICTURE[..., :1]).max() <= 2
    layer = np.dstack([PICTURE, np.full((HIGH, WIDE), 255, np.uint8)])
    layer[:, : WIDE // 2, 3] = 0
    found = pixels(encoded(Image.fromarray(layer)))
    assert np.abs(found[:, WIDE // 2 + 2 :] - PICTURE[:, WIDE // 2 + 2 :]).max() <= 2
    assert found[:, : WIDE // 2 - 2].min() >= 254


def test_the_colours_of_a_phone_are_converted() -> None:
    data = encoded(Image.fromarray(PICTURE), icc_profile=rgb_profile(DISPLAY_P3))
    difference = np.abs(pixels(data) - in_srgb(PICTURE, DISPLAY_P3))
    assert difference.mean() < 1
    plain = one(data, view=View(WIDE, whole=True, decoding=BEFORE)).views[0]
    assert np.abs(plain.astype(int) - PICTURE).max() <= 1


def test_of_several_pictures_the_primary_one_is_taken() -> None:
    several = pillow_heif.HeifFile()
    for value in (10, 200, 90):
        several.add_from_pillow(Image.new("RGB", (WIDE, HIGH), (value,) * 3))
    buffer = io.BytesIO()
    several.save(buffer, quality=-1, primary_index=1)
    assert np.abs(pixels(buffer.getvalue()) - 200).max() <= 2


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(PICTURE)))
    found = Decoder((View(8),)).one(Picture(str(path)))
    assert found.error is None
    assert found.shorter == HIGH


def test_brands_say_what_a_file_is() -> None:
    for head, expected in (
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", True),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", True),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0hevcmsf1", True),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", False),
        (b"\0\0\0\x10ftypmif1\0\0\0\0heic", False),  # beyond the box
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp41isom", False),
        (b"\xff\xd8\xff", False),
    ):
        assert formats.is_heic(head) == expected


# --- broken and hostile files ---


def test_files_that_are_cut_off_or_changed_have_a_reason() -> None:
    data = encoded(Image.fromarray(noise(HIGH, WIDE, 3)), quality=80)
    rng = np.random.default_rng(0)
    for cut in np.linspace(30, len(data) - 20, 20).astype(int):
        assert one(data[:cut]).error is not None
    for _ in range(60):
        broken = np.frombuffer(data, np.uint8).copy()
        broken[rng.integers(0, len(data), 8)] = rng.integers(0, 256, 8)
        found = one(broken.tobytes())
        assert (found.error is None) == (len(found.views) == 1)
    assert np.abs(pixels(encoded(Image.fromarray(PICTURE))) - PICTURE).max() <= 1


def test_hostile_pictures_called_heic_do_no_harm(real_data: Path, tmp_path: Path) -> None:
    hostile = real_data / "hostile" / "images"
    pictures = [path for path in sorted(hostile.rglob("*")) if path.is_file()][::10]
    for path in pictures:
        data = path.read_bytes()
        head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
        assert one(head + data).error is not None
    model = tmp_path / "m.npz"
    catclf.save(catclf.train(class_folder(tmp_path / "album")).model, str(model))
    for k, path in enumerate(pictures[:20]):
        (tmp_path / f"{k:02d}.heic").write_bytes(path.read_bytes())
    answers = list(catclf.predict(str(model), [str(tmp_path / f"{k:02d}.heic") for k in range(20)]))
    assert len(answers) == 20


def test_pixels_beyond_the_limit_are_not_decoded() -> None:
    data = encoded(Image.fromarray(PICTURE))
    assert reason(data, 2 * HIGH * WIDE - 1) == "has 64×48 pixels, more than the 3071 allowed"
    assert one(data, 2 * HIGH * WIDE).error is None


HELLO = """print('{"version": "1.8", "old": false}', flush=True)
input()
"""

CHILDREN = {
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "crashed (SIGSEGV)",
    "raise SystemExit(3)": "ended early (exit code 3)",
    "import time; time.sleep(60)": "took more than 0.5 s",
    "print('no JSON', flush=True); input()": "does not answer in JSON",
    "print('{\"size\": [2, 2]}', flush=True); input()": "sent an unexpected answer",
    'print(\'{"size": [2, 2], "mode": "RGB", "profile": ""}\\n{"bytes": 99}\', flush=True); input()': (
        "sent an unexpected answer"
    ),
    'print(\'{"size": [2, 2], "mode": "RGB", "profile": ""}\\n{"bytes": 12}\\nfew\', flush=True)': (
        "ended early (exit code 0)"
    ),
}


@pytest.mark.parametrize("program", CHILDREN)
def test_a_child_that_crashes_or_hangs_costs_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(HELLO + program)
    data = encoded(Image.fromarray(PICTURE))
    with monkeypatch.context() as patched:
        patched.setattr(heic, "_PROGRAM", str(child))
        patched.setattr(heic, "SECONDS_LIMIT", 0.5)
        assert reason(data) == f"is a broken picture (the decoder {CHILDREN[program]})"
    assert one(data).error is None


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ([0, 0], "is a HEIC picture of an unknown kind (0×0, RGB)"),
        ([2, -2], "is a HEIC picture of an unknown kind (2×-2, RGB)"),
    ],
)
def test_impossible_sizes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: list[int], found: str
) -> None:
    child = tmp_path / "child.py"
    answer = f'{{"size": {data}, "mode": "RGB", "profile": ""}}'
    child.write_text(f"{HELLO}print({answer!r}, flush=True)\ninput()")
    monkeypatch.setattr(heic, "_PROGRAM", str(child))
    assert reason(encoded(Image.fromarray(PICTURE))) == found


def test_an_old_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "pillow_heif"
    fake.mkdir()
    (fake / "__init__.py").write_text("__version__ = '1.6.0'\n")
    monkeypatch.setitem(heic._ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    assert reason(encoded(Image.fromarray(PICTURE))) == (
        "is HEIC, and pillow-heif 1.6.0 has a vulnerability that lets a file run code: "
        "pip install 'catclf[heic]' brings a newer one"
    )


def test_a_library_that_cannot_be_imported_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pillow_heif.py").write_text("raise ImportError('libc is too old')")
    monkeypatch.setitem(heic._ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    found = reason(encoded(Image.fromarray(PICTURE)))
    assert found == "the process that decodes HEIC cannot start (ended early (exit code 1))"


def test_the_child_is_kept_and_threads_have_their_own() -> None:
    data = encoded(Image.fromarray(PICTURE))
    pixels(data)
    (child,) = heic._idle[os.getpid()]
    pixels(data)
    assert heic._idle[os.getpid()] == [child]
    assert "broken" in reason(data[:-40])
    assert heic._idle[os.getpid()] == [child]
    errors: list[object] = []
    threads = [
        threading.Thread(target=lambda: errors.extend(one(data).error for _ in range(5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [None] * 20
    assert 1 <= len(heic._idle[os.getpid()]) <= 4


def test_nobody_is_left_when_the_program_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(encoded(Image.fromarray(PICTURE)))
    program = (
        "import sys; from catclf.images import heic; from catclf.images.decode import Decoder;"
        "from catclf.images.picture import Picture; from catclf.view import View;"
        "assert Decoder((View(8),)).one(Picture(sys.argv[1])).error is None;"
        "print([child._process.pid for child in next(iter(heic._idle.values()))][0])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert not Path(f"/proc/{int(done.stdout)}").exists()


# --- commands ---


def heic_folder(folder: Path, m: int = 12) -> Path:
    shades, y = cats_and_dogs(m, 16)
    for k in range(m):
        path = folder / ("cat" if y[k] else "dog") / f"IMG_{k}.HEIC"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(Image.fromarray(shades[k])))
    return folder


def test_commands_read_them(catclf: Runner, tmp_path: Path) -> None:
    album, model = heic_folder(tmp_path / "album", 40), tmp_path / "m.npz"
    result = catclf("train", album, "-o", model, "--size", "16", "-i", "50")
    assert result.code == 0
    assert "pictures: cat 20, dog 20" in result.err
    assert "not read" not in result.err
    assert catclf("eval", "-m", model, album).code == 0
    assert catclf("pack", album, tmp_path / "p.h5").code == 0
    for jobs in ("1", "2"):  # forty are enough for worker processes
        found = catclf("predict", "-m", model, album, "-j", jobs)
        assert found.code == 0
        assert len(found.out.splitlines()) == 40
        assert b"ERROR" not in found.out


@pytest.mark.usefixtures("no_heic")
def test_without_the_extra_everything_else_works_and_the_hint_is_the_same(
    catclf: Runner, tmp_path: Path
) -> None:
    album, model = class_folder(tmp_path / "album"), tmp_path / "m.npz"
    heic_folder(album, 4)
    hint = "4 HEIC pictures were not read: pip install 'catclf[heic]', or convert HEIC to JPEG"
    for command in (
        ("train", album, "-o", model, "--size", "8", "-i", "5"),
        ("eval", "-m", model, album),
        ("pack", album, tmp_path / "p.h5"),
        ("predict", "-m", model, album),
    ):
        result = catclf(*command)
        assert (result.code, result.err.count(hint)) == (0, 1)
    named = catclf("predict", "-m", model, album / "cat" / "IMG_1.HEIC")
    assert named.code == 3
    assert (
        b"is HEIC, which needs an extra: pip install 'catclf[heic]'; or convert it to JPEG" in named.out
    )
    assert not heic._idle.get(os.getpid())


@pytest.mark.usefixtures("no_heic")
def test_a_class_of_nothing_else_is_said(catclf: Runner, tmp_path: Path) -> None:
    album = heic_folder(tmp_path / "album", 4)
    save_picture(album / "dog" / "a.png", PICTURE)
    result = catclf("train", album, "-o", tmp_path / "m.npz")
    assert result.code == 1
    assert "4 HEIC pictures were not read: pip install 'catclf[heic]'" in result.err


def test_the_floor_is_the_one_that_is_declared() -> None:
    from catclf.images import heic_child

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    (declared,) = project["project"]["optional-dependencies"]["heic"]
    assert declared == "pillow-heif>=" + ".".join(map(str, heic_child.OLDEST))


def test_training_is_the_same_on_any_number_of_cores(tmp_path: Path) -> None:
    album = heic_folder(tmp_path)
    models = [
        catclf.train(album, TrainSettings(read=ReadOptions(size=16, jobs=jobs))).model for jobs in (1, 2)
    ]
    assert models[0].w.tolist() == models[1].w.tolist()


def test_a_file_at_the_limit_is_tried_and_a_longer_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(PICTURE))
    monkeypatch.setattr(heic, "_LARGEST_FILE", len(data))
    assert one(data).error is None
    assert reason(data + b"\0") == f"has {len(data) + 1} bytes, more than the {len(data)} allowed"


def test_the_clock_of_the_child_is_slower_than_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = []
    begin = GuardedChild.begin

    def watched(child: Any, order: Any, handle: None, seconds: float) -> Any:
        orders.append((order, seconds))
        return begin(child, order, handle, seconds)

    monkeypatch.setattr(GuardedChild, "begin", watched)
    pixels(encoded(Image.fromarray(PICTURE)))
    assert orders == [({"memory": 2_000_000_000, "alarm": 40}, 20.0)]
