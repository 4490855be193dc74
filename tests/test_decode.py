"""Decoding: whatever a file holds, RGB uint8 of the wanted size or one readable reason."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from catclf.images import decode as decoding
from catclf.images.decode import Decoder, viewed
from catclf.images.picture import Decoded, Picture
from catclf.view import PREVIEW, View
from tests.pictures import Pixels, noise, open_files, ramps, save_picture, save_turned


def decode(picture: Picture, size: int = 8, **options: int) -> Decoded:
    return Decoder((View(size),), **options).one(picture)


def pixels_of(picture: Decoded, shape: tuple[int, ...] = (8, 8, 3)) -> Pixels:
    """The one view of a picture that could be decoded."""
    assert picture.error is None, picture.error
    (pixels,) = picture.views
    assert pixels.shape == shape
    assert pixels.dtype == np.uint8
    return pixels


def decoded(path: Path, size: int = 8) -> Pixels:
    return pixels_of(decode(Picture(str(path)), size), (size, size, 3))


def reason(path: Path, **options: int) -> str:
    picture = decode(Picture(str(path)), **options)
    assert picture.views == ()
    assert picture.error is not None
    assert picture.error.path == str(path)
    assert "\n" not in picture.error.reason
    return picture.error.reason


def grey(values: NDArray[Any]) -> NDArray[Any]:
    """As RGB (…, 3)."""
    return np.repeat(values[..., np.newaxis], 3, axis=-1)


# --- every mode ---


def test_rgb_of_the_wanted_size_is_kept_as_it_is(tmp_path: Path) -> None:
    pixels = noise(8, 8, 3)
    assert_array_equal(decoded(save_picture(tmp_path / "a.png", pixels)), pixels)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "gif", "webp", "ico", "jp2"])
def test_grey_becomes_three_equal_channels_in_every_format(tmp_path: Path, suffix: str) -> None:
    values = np.full((16, 16), 90, np.uint8)
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(values).save(path, **options)
    assert_array_equal(decoded(path), np.full((8, 8, 3), 90))


def test_grey_values_are_kept(tmp_path: Path) -> None:
    values = noise(8, 8)
    assert_array_equal(decoded(save_picture(tmp_path / "a.png", values)), grey(values))


def test_black_and_white_becomes_0_and_255(tmp_path: Path) -> None:
    bits = noise(8, 8) > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert_array_equal(decoded(tmp_path / "a.png"), grey(np.where(bits, 255, 0).astype(np.uint8)))


def test_palette_entries_become_their_colours(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([1, 2, 3, 40, 50, 60])
    image.save(tmp_path / "a.png")
    assert_array_equal(decoded(tmp_path / "a.png")[0, 0], [40, 50, 60])


def _palette(path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(path, transparency=1)


def _rgb_with_a_transparent_colour(path: Path) -> None:
    Image.new("RGB", (8, 8), (10, 20, 30)).save(path, transparency=(10, 20, 30))


@pytest.mark.parametrize(
    "write",
    [
        _palette,
        _rgb_with_a_transparent_colour,
        lambda path: Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(path),
        lambda path: Image.new("LA", (8, 8), (10, 0)).save(path),
        lambda path: Image.new("L", (8, 8), 10).save(path, transparency=10),
    ],
    ids=["P", "RGB", "RGBA", "LA", "L"],
)
def test_hidden_colours_of_transparent_pixels_are_white(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "a.png")
    assert_array_equal(decoded(tmp_path / "a.png"), np.full((8, 8, 3), 255))


def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (0, 100, 200, 128)).save(tmp_path / "a.png")
    expected = [255 - (255 - value) * 128 / 255 for value in (0, 100, 200)]
    assert_allclose(decoded(tmp_path / "a.png")[0, 0], expected, atol=1)


def test_cmyk_jpeg_has_the_colours_of_its_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(ramps(16, 16))
    image.convert("CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    expected = viewed(ramps(16, 16), View(8)).astype(float)
    assert_allclose(decoded(tmp_path / "a.jpg"), expected, atol=6)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a.png", np.linspace(0, 65535, 64).astype(np.uint16)),
        ("a.tif", np.linspace(0, 65535, 64).astype(np.uint16)),
        ("a.pgm", np.linspace(0, 65535, 64).astype(np.uint16)),
        ("a.tif", np.linspace(0, 65535, 64).astype(np.int32)),
        ("a.tif", np.linspace(0, 2**31 - 1, 64).astype(np.int32)),
        ("a.tif", np.linspace(0, 1, 64).astype(np.float32)),
        ("a.tif", np.linspace(0, 255, 64).astype(np.float32)),
        ("a.tif", np.linspace(0, 65535, 64).astype(np.float32)),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.dtype}-{value.max():.0f}",
)
def test_deep_grey_is_scaled_and_not_clipped_white(tmp_path: Path, name: str, values: Any) -> None:
    Image.fromarray(values.reshape(8, 8)).save(tmp_path / name)
    expected = grey(np.linspace(0, 255, 64).reshape(8, 8))
    assert_allclose(decoded(tmp_path / name), expected, atol=1)


def test_float_pixels_that_are_not_finite_are_a_reason(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(tmp_path / "a.tif")
    assert reason(tmp_path / "a.tif") == "has pixel values that are not finite"


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, suffix: str) -> None:
    first, *others = (Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue"))
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    first.save(path, save_all=True, append_images=others, **options)
    assert_array_equal(decoded(path), np.full((8, 8, 3), (255, 0, 0)))


# --- size ---


def test_a_big_jpeg_is_nearly_the_same_as_when_decoded_at_full_scale(tmp_path: Path) -> None:
    Image.fromarray(ramps(600, 800)).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        expected = viewed(np.asarray(image.convert("RGB")), View(32)).astype(float)
    difference = np.abs(decoded(tmp_path / "a.jpg", 32) - expected)
    assert difference.mean() <= 1.0
    assert difference.max() <= 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (100, 1), (7, 13), (500, 3)])
def test_any_shape_becomes_square(tmp_path: Path, shape: tuple[int, int]) -> None:
    decoded(save_picture(tmp_path / "a.png", noise(*shape, 3)))


def test_a_mean_colour_survives_shrinking() -> None:
    checked = np.indices((64, 64)).sum(axis=0) % 2 * 255
    assert_allclose(viewed(grey(checked.astype(np.uint8)), View(4)), np.full((4, 4, 3), 127.5), atol=3)


def test_pixels_are_resized_as_those_of_a_file(tmp_path: Path) -> None:
    pixels = noise(20, 30, 3)
    of_file = decoded(save_picture(tmp_path / "a.png", pixels))
    of_pixels = decode(Picture("x.h5[0]", pixels=pixels))
    assert_array_equal(pixels_of(of_pixels), of_file)


# --- EXIF ---


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_a_picture_is_the_same_in_all_eight_orientations(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    pixels = noise(9, 14, 3)
    upright = decoded(save_picture(tmp_path / "upright.png", pixels))
    turned = decoded(save_turned(tmp_path / f"a.{suffix}", pixels, orientation))
    assert_array_equal(turned, upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_orientations_of_real_photographs(real_data: Path, shape: str, orientation: int) -> None:
    folder = real_data / "hostile" / "images" / "exif"
    expected = decoded(folder / f"{shape}_0.jpg", 16).astype(float)
    difference = np.abs(decoded(folder / f"{shape}_{orientation}.jpg", 16) - expected)
    assert difference.mean() <= 2


def _exif(orientation: bytes) -> bytes:
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00" + orientation
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"


@pytest.mark.parametrize(
    "header",
    [{"exif": _exif(b"\3\0\0\0")}, {"xmp": b'<rdf:Description tiff:Orientation="3"/>'}],
    ids=["exif", "xmp"],
)
def test_a_jpeg_says_its_orientation_in_exif_or_in_xmp(tmp_path: Path, header: dict[str, Any]) -> None:
    photo, path = Image.fromarray(ramps(16, 16)), tmp_path / "a.jpg"
    photo.save(path, quality=95)
    stored = decoded(path)
    photo.save(path, quality=95, **header)
    assert_array_equal(decoded(path), np.flip(stored, (0, 1)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage that is no TIFF",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        _exif(b"\0\0\0\0"),
        _exif(b"\x63\0\0\0"),
        _exif(b"\x01")[:-6],
    ],
    ids=["empty", "garbage", "offset", "zero", "99", "cut"],
)
def test_broken_exif_loses_no_picture(tmp_path: Path, exif: bytes) -> None:
    pixels = ramps(16, 16)
    Image.fromarray(pixels).save(tmp_path / "plain.jpg", quality=95)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, exif=exif)
    assert_array_equal(decoded(tmp_path / "a.jpg"), decoded(tmp_path / "plain.jpg"))


# --- what cannot be decoded ---


def _encoded(file_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise(24, 24, 3)).save(buffer, file_format)
    return buffer.getvalue()


FORMATS = ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]
ENCODED = {name: _encoded(name) for name in FORMATS}


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"])
def test_a_truncated_file_is_broken(tmp_path: Path, file_format: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(ENCODED[file_format][: len(ENCODED[file_format]) // 2])
    assert reason(path).startswith(("is a broken picture (", "is not a picture in a known format"))


def test_what_is_no_picture_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_text("a cat, in words")
    assert reason(path).startswith("is not a picture in a known format (JPEG, PNG")


@pytest.mark.usefixtures("no_heic")
def test_a_photo_of_a_telephone_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic")
    expected = "is HEIC, which needs an extra: pip install 'catclf[heic]'; or convert it to JPEG"
    assert reason(path) == expected


def test_postscript_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert reason(path).startswith("is not a picture in a known format")


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert reason(tmp_path / "a.jpg") == "is empty"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert reason(tmp_path / "a.jpg") == "no such file or directory"


def test_a_directory_says_so_and_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    before = open_files()
    assert reason(tmp_path / "a.jpg") == "is a directory"
    assert open_files() == before


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    before = open_files()
    assert reason(tmp_path / "a.jpg") == "is not a regular file"
    assert open_files() == before


def test_a_device_is_no_picture() -> None:
    assert reason(Path("/dev/zero")) == "is not a regular file"


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert reason(tmp_path / "a.jpg") == "permission denied"


def test_a_name_with_a_nul_is_an_error_and_no_exception() -> None:
    assert decode(Picture("a\0.jpg")).error is not None


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", noise(10, 20, 3))
    assert reason(tmp_path / "a.png", max_pixels=199).startswith("has 20×10 pixels, more than the 199")
    assert decode(Picture(str(tmp_path / "a.png")), max_pixels=200).error is None


def test_a_webp_or_jpeg_2000_may_have_half_as_many_pixels(tmp_path: Path) -> None:
    for name in ("a.webp", "a.jp2"):
        save_picture(tmp_path / name, noise(16, 20, 3))
        assert reason(tmp_path / name, max_pixels=639) == "has 20×16 pixels, more than the 319 allowed"
        assert decode(Picture(str(tmp_path / name)), max_pixels=640).error is None


def test_a_jpeg_of_endless_scans_is_refused(tmp_path: Path) -> None:
    Image.new("L", (4000, 4000), 100).save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    assert decode(Picture(str(tmp_path / "a.jpg"))).error is None
    scan = data[data.rindex(b"\xff\xda") : -2]
    (tmp_path / "a.jpg").write_bytes(data[:-2] + 400 * scan + data[-2:])
    assert reason(tmp_path / "a.jpg").endswith("scans; decoding it would take too long")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "I", "F", "L", "P"])
def test_memory_for_a_pixel_is_bounded_in_every_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode in ("I", "F") else "a.png")
    Image.new("L" if mode == "P" else mode, (3000, 3000)).convert(mode).save(path)
    code = (
        "import resource, sys; from catclf.images.decode import Decoder;"
        "from catclf.images.picture import Picture; from catclf.view import View;"
        "Decoder((View(8),)).one(Picture(sys.argv[1]));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    with_picture, without = (
        int(subprocess.run([sys.executable, "-c", code, name], capture_output=True).stdout)
        for name in (str(path), "missing")
    )
    assert (with_picture - without) * 1024 / 3000**2 <= 12  # 10, and what does not grow


def test_too_little_memory_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object, **__: object) -> None:
        raise MemoryError

    save_picture(tmp_path / "a.png", noise(8, 8, 3))
    monkeypatch.setattr(Image, "open", exhaust)
    assert reason(tmp_path / "a.png") == "not enough memory to decode it"


def test_an_error_is_handed_on(tmp_path: Path) -> None:
    failed = decode(Picture(str(tmp_path / "a.jpg")))
    assert failed.error is not None
    again = decode(Picture(failed.path, error=failed.error))
    assert again.error is failed.error
    assert again == failed


# --- streams ---


class Pipe(io.BytesIO):
    """Bytes that can be read only once, as those of a pipe."""

    def seekable(self) -> bool:
        return False

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("seek")


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
@pytest.mark.parametrize("file_format", FORMATS)
def test_a_stream_is_the_same_as_a_file(
    tmp_path: Path, file_format: str, kind: type[io.BytesIO]
) -> None:
    (tmp_path / "a").write_bytes(ENCODED[file_format])
    picture = decode(Picture("-", stream=kind(ENCODED[file_format])))
    assert_array_equal(pixels_of(picture), decoded(tmp_path / "a"))


def test_an_empty_stream_says_so() -> None:
    error = decode(Picture("-", stream=Pipe(b""))).error
    assert str(error) == "-: is empty"


# --- several views at once ---

VIEWS = (View(64), PREVIEW, View(8))


def alone(path: Path) -> list[Pixels]:
    """Each of the views, of a decoding of its own."""
    return [Decoder((view,)).one(Picture(str(path))).views[0] for view in VIEWS]


def together(picture: Picture, views: tuple[View, ...] = VIEWS) -> tuple[Pixels, ...]:
    found = Decoder(views).one(picture)
    assert found.error is None, found.error
    return found.views


def assert_same_bytes(found: Sequence[Pixels], expected: Sequence[Pixels]) -> None:
    assert len(found) == len(expected)
    for pixels, other in zip(found, expected, strict=True):
        assert pixels.dtype == np.uint8
        assert pixels.shape == other.shape
        assert pixels.tobytes() == other.tobytes()


@pytest.mark.parametrize("whole_bytes", [0, 10**9])
@pytest.mark.parametrize("shape", [(600, 800, 3), (300, 1000), (40, 30, 3)], ids=str)
@pytest.mark.parametrize("suffix", ["jpg", "mpo", "png", "webp", "gif"])
def test_several_views_are_the_same_bytes_as_each_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    shape: tuple[int, ...],
    whole_bytes: int,
) -> None:
    """Whether the file is read at once or bit by bit."""
    monkeypatch.setattr(decoding, "_WHOLE_BYTES", whole_bytes)
    path = save_picture(tmp_path / f"a.{suffix}", noise(*shape))
    picture, expected = Picture(str(path)), alone(path)
    assert_same_bytes(together(picture), expected)
    assert_same_bytes(together(picture, VIEWS[::-1]), expected[::-1])
    assert_same_bytes(together(picture, 2 * VIEWS), 2 * expected)
    assert together(picture, ()) == ()


def test_several_views_of_a_large_jpeg_are_the_same_bytes_as_each_alone(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.jpg", noise(2400, 1800, 3))
    assert_same_bytes(together(Picture(str(path))), alone(path))


def test_several_views_of_a_photograph_are_the_same_bytes_as_each_alone(real_data: Path) -> None:
    for path in sorted((real_data / "hostile" / "images" / "exif").glob("*.jpg"))[:6]:
        assert_same_bytes(together(Picture(str(path))), alone(path))


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_stream_that_is_read_only_once_has_several_views(tmp_path: Path, file_format: str) -> None:
    (tmp_path / "a").write_bytes(ENCODED[file_format])
    found = together(Picture("-", stream=Pipe(ENCODED[file_format])))
    assert_same_bytes(found, alone(tmp_path / "a"))


def test_decoded_pixels_have_several_views() -> None:
    pixels = noise(100, 300, 3)
    square, whole, _ = together(Picture("x.h5[0]", pixels=pixels))
    assert_array_equal(square, viewed(pixels, View(64)))
    assert whole.shape == (85, 256, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        *((300, 400, (75, 100)), (400, 300, (100, 75)), (1000, 1000, (100, 100))),
        *((30, 1000, (3, 100)), (1, 2000, (1, 100)), (2000, 1, (100, 1)), (4000, 801, (100, 20))),
        *((100, 100, (100, 100)), (99, 60, (99, 60)), (7, 100, (7, 100)), (1, 1, (1, 1))),
    ],
)
def test_a_whole_view_keeps_the_aspect_ratio_and_never_enlarges(
    tmp_path: Path, suffix: str, height: int, width: int, expected: tuple[int, int]
) -> None:
    pixels = noise(height, width, 3)
    path = save_picture(tmp_path / f"a.{suffix}", pixels)
    (of_file,) = together(Picture(str(path)), (View(100, whole=True),))
    (of_pixels,) = together(Picture("-", pixels=pixels), (View(100, whole=True),))
    assert of_file.shape == of_pixels.shape == (*expected, 3)
    if (height, width) == expected:
        assert_array_equal(of_pixels, pixels)
    if suffix == "png":
        assert_array_equal(of_file, of_pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_whole_view_is_upright(tmp_path: Path, orientation: int) -> None:
    pixels = ramps(90, 140)
    turned = save_turned(tmp_path / "a.png", pixels, orientation)
    assert_array_equal(together(Picture(str(turned)), (View(140, whole=True),))[0], pixels)


def test_what_cannot_be_decoded_has_no_view_at_all(tmp_path: Path) -> None:
    data = ENCODED["JPEG"]
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    found = Decoder(VIEWS).one(Picture(str(tmp_path / "a.jpg")))
    assert found.views == ()
    assert found.error is not None


def test_pictures_are_decoded_in_order_and_one_at_a_time(tmp_path: Path) -> None:
    paths = [str(save_picture(tmp_path / f"{k}.png", noise(8, 8, 3, seed=k))) for k in range(4)]
    taken = []

    def pictures() -> Iterator[Picture]:
        for path in [*paths, str(tmp_path / "missing")]:
            taken.append(path)
            yield Picture(path)

    found = Decoder((View(8),))(pictures())
    assert taken == []
    for k, path in enumerate(paths):
        one = next(found)
        assert (one.path, taken[-1]) == (path, path)
        assert_array_equal(pixels_of(one), noise(8, 8, 3, seed=k))
    assert next(found).error is not None


# --- properties ---

MAGIC = [ENCODED[name][:12] for name in FORMATS]


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some broken files
@given(data=st.tuples(st.sampled_from([b"", *MAGIC]), st.binary(max_size=300)).map(b"".join))
@settings(deadline=None, max_examples=150)
@example(data=b"P6 99999999 99999999 255\n")
@example(data=b"P5 0 0 255\n")
def test_random_bytes_never_raise(data: bytes) -> None:
    picture = decode(Picture("-", stream=io.BytesIO(data)))
    assert (picture.error is None) == (len(picture.views) == 1)


@pytest.mark.filterwarnings("ignore")
@given(
    file_format=st.sampled_from(FORMATS),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
@settings(deadline=None, max_examples=200)
def test_truncated_and_altered_pictures_never_raise(
    file_format: str, cut: float, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(ENCODED[file_format])
    for position, value in flips:
        data[int(position * len(data))] = value
    picture = decode(Picture("-", stream=io.BytesIO(data[: int(cut * len(data))])), max_pixels=10**6)
    assert (picture.error is None) == (len(picture.views) == 1)
