"""One file → RGB uint8 of the wanted size, or a DataError that says why not. Walks no folders."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from catclf.config import MAX_PIXELS
from catclf.errors import DataError
from catclf.images.picture import Picture, Pixels

# Formats whose decoders are in Pillow itself; the most usual ones first, as they are tried in order.
# EPS is left out because its decoder runs an external program, TGA because it has no magic number.
_COMMON_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM")
_OTHER_FORMATS = ("WEBP", "TIFF", "AVIF", "JPEG2000", "ICO")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(picture: Picture, size: int, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read, decode and resize one picture; whatever goes wrong ends up in its `error`.

    Parameters
    ----------
    picture : Picture
        With a path, a stream, or pixels of any size.
    size : int
        Side of the result in pixels. The aspect ratio is not kept.
    max_pixels : int
        Largest width × height that is decoded.

    Returns
    -------
    Picture
        With `pixels` (size, size, 3) uint8, or with `error`.
    """
    if picture.error is not None:
        return picture
    try:
        if picture.pixels is not None:
            pixels = resize(picture.pixels, size)
        else:
            with _opened(picture) as stream:
                pixels = _decode_stream(stream, size, max_pixels)
    except Exception as exc:  # subtle: a broken file can raise anything at all in a decoder
        return Picture(picture.path, error=DataError(picture.path, _reason(exc)))
    return Picture(picture.path, pixels=pixels)


def resize(pixels: Pixels, size: int) -> Pixels:
    """Resize decoded pixels (h, w, 3) uint8 to (size, size, 3), as `decode` does for a file."""
    if pixels.shape == (size, size, 3):
        return pixels
    return _square(Image.fromarray(pixels), size)


class _RefusedError(Exception):
    """A reason of our own for not decoding a file."""


@contextlib.contextmanager
def _opened(picture: Picture) -> Iterator[BinaryIO]:
    if picture.stream is not None:
        data = picture.stream.read()  # subtle: a pipe cannot be rewound for a second try
        if not data:
            raise _RefusedError("is empty")
        yield io.BytesIO(data)
        return
    # Not blocking: opening a FIFO that nobody writes to would otherwise wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(picture.path, flags)
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):  # subtle: open() would refuse it too, but leave it open
            raise _RefusedError("is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise _RefusedError("is not a regular file")
        if status.st_size == 0:
            raise _RefusedError("is empty")
        with open(handle, "rb", closefd=False) as stream:
            yield stream
    finally:
        os.close(handle)


def _decode_stream(stream: BinaryIO, size: int, max_pixels: int) -> Pixels:
    image = _identify(stream)
    width, height = image.size
    if width * height > max_pixels:
        raise _RefusedError(f"has {width}×{height} pixels, more than the {max_pixels} allowed")
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (size, size))  # decodes at 1/2, 1/4 or 1/8, never below the wanted size
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    upright = image.transpose(turn) if turn is not None else image
    return _square(_to_rgb(upright), size)


def _identify(stream: BinaryIO) -> Image.Image:
    try:
        return Image.open(stream, formats=_COMMON_FORMATS)
    except UnidentifiedImageError:
        stream.seek(0)
        return Image.open(stream, formats=_import_other_formats())


def _import_other_formats() -> tuple[str, ...]:
    """Import the plugins of the rarer formats, and only these: Pillow itself would import all 45."""
    from PIL import IcoImagePlugin, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin

    with contextlib.suppress(ImportError):
        from PIL import AvifImagePlugin  # noqa: F401 - imported for its registration

    del IcoImagePlugin, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin
    return tuple(name for name in _OTHER_FORMATS if name in Image.OPEN)


def _orientation(image: Image.Image) -> int:
    # Broken EXIF is no reason to lose a picture whose pixels are whole.
    with contextlib.suppress(Exception):
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale deep grey values to 0–255; Pillow's own conversion would clip them to white."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise _RefusedError("has pixel values that are not finite")
    if image.mode == "F":
        top = values.max(initial=0.0)
        full = 1.0 if top <= 1 else 255.0 if top <= 255 else 65535.0
    else:
        full = 65535.0 if values.max(initial=0.0) <= 65535 else 2.0**31 - 1
    return Image.fromarray(np.rint(np.clip(values / full, 0, 1) * 255).astype(np.uint8))


def _square(image: Image.Image, size: int) -> Pixels:
    # Antialiased bilinear: each output pixel is a weighted mean of all the input pixels it covers.
    resized = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _reason(exc: Exception) -> str:
    if isinstance(exc, _RefusedError):
        return str(exc)
    if isinstance(exc, UnidentifiedImageError):
        return "is not a picture in a known format (JPEG, PNG, GIF, BMP, WebP, TIFF, PPM, AVIF …)"
    if isinstance(exc, MemoryError):
        return "there is not enough memory to decode it"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    detail = " ".join(str(exc).split()) or type(exc).__name__
    return f"is a broken picture ({detail})"
