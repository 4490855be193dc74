"""One picture → RGB uint8 in the views wanted, or a DataError that says why not. Walks no folders."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from catclf.config import MAX_PIXELS
from catclf.errors import DataError
from catclf.images import formats, jpeg, oddities, profiles, tiff
from catclf.images.effort import refusal
from catclf.images.float_scale import full_scale, spread_of
from catclf.images.picture import Decoded, Picture
from catclf.images.profiles import ToSrgb
from catclf.images.urls import NEEDS_SCHEDULER, is_url
from catclf.regular import open_regular
from catclf.view import RgbArray, View

PILLOW = PIL.__version__
"""Version of the decoders: another one may give other pixels."""

UNKNOWN_FORMAT = "is not a picture in a known format (JPEG, PNG, GIF, BMP, WebP, TIFF, PPM, AVIF …)"

_JPEG = b"\xff\xd8\xff"

_BROWSERS_OPEN = ("PNG", "GIF", "BMP", "WEBP", "AVIF", "ICO")  # and JPEG

_WHOLE_BYTES = 4_000_000  # files up to this size are read at once

_HEAD = 100  # bytes that tell formats apart

_STRIP_PIXELS = 1_000_000
_MOST_SAMPLED = 1_000_000  # values that a scale is found from

# Filters with edges: rounding the borders of what is cut out would move pixels to their other sides.
_EDGED = (Image.Resampling.NEAREST, Image.Resampling.BOX)
_MOST_WHOLE = 20_000_000  # pixels of a picture that is resized before it is cut

# Without a handler Python would print Pillow's messages about broken files on standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())

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


@dataclass(frozen=True, eq=False)
class Decoder:
    """Reads, decodes and resizes pictures. It may be sent to other processes.

    Parameters
    ----------
    views : tuple of View
        What is wanted of each picture. None of them depends on the others.
    max_pixels : int
        Largest width × height that is decoded; half of that for WebP and JPEG 2000, whose decoders
        take twice the memory.
    """

    views: tuple[View, ...]
    max_pixels: int = MAX_PIXELS

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Decoded]:
        """Yield what becomes of each picture; whatever goes wrong ends up in its `error`."""
        return map(self.one, pictures)

    def one(self, picture: Picture) -> Decoded:
        """Decode one picture."""
        if picture.error is not None:
            return Decoded(picture.path, error=picture.error)
        try:
            if picture.pixels is not None:
                views = tuple(viewed(picture.pixels, view) for view in self.views)
                return Decoded(picture.path, views, shorter=min(picture.pixels.shape[:2]))
            with _opened(picture) as stream:
                return self._decoded(stream)._replace(path=picture.path)
        except Exception as exc:  # subtle: a broken file can raise anything at all in a decoder
            missing_url = isinstance(exc, FileNotFoundError) and is_url(picture.path)
            if isinstance(exc, Image.DecompressionBombError):  # Pillow's own limit is checked first
                exc = _RefusedError(f"has more pixels than the {self.max_pixels} allowed")
            reason = NEEDS_SCHEDULER if missing_url else (_reason(exc),)
            return Decoded(picture.path, error=DataError(picture.path, *reason))

    def _decoded(self, stream: BinaryIO) -> Decoded:
        _allow(self.max_pixels)
        image = _identify(stream, self.max_pixels)
        shorter = min(image.size)
        refused = refusal(image, stream, self.max_pixels)
        if refused is None:
            is_tiff = image.format == "TIFF"
            refused = tiff.refusal(image) if is_tiff else oddities.refusal(image, stream)
        if refused is not None:
            raise _RefusedError(refused)
        if image.format not in ("JPEG", "MPO"):
            opens = image.format in _BROWSERS_OPEN
            wanted = [view if opens else view.of_unopened for view in self.views]
            upright = _upright(image)
            return Decoded("", tuple(_viewed(*upright, view) for view in wanted), shorter=shorter)
        try:
            return Decoded("", self._of_jpeg(stream, image), shorter=shorter)
        except OSError as exc:
            if "truncated" not in str(exc):
                raise
            stream.seek(0)
            ended = [io.BytesIO(data) for data in jpeg.ended(stream.read())]
            views, others = (self._of_jpeg(data, _identify(data)) for data in ended)
            if not all(map(np.array_equal, views, others)):
                raise
            return Decoded("", views, shorter=shorter, endless=True)

    def _of_jpeg(self, stream: BinaryIO, image: Image.Image) -> tuple[RgbArray, ...]:
        views: dict[View, RgbArray] = {}
        for view in self.views:
            if view not in views:
                if views:  # a picture can be drafted once
                    stream.seek(0)
                    image = _identify(stream)
                image.draft(None, (view.needed, view.needed))  # at 1/2, 1/4 or 1/8, never below that
                views[view] = _viewed(*_upright(image), view)
        return tuple(views[view] for view in self.views)


def viewed(pixels: RgbArray, view: View) -> RgbArray:
    """Give a view of decoded pixels (h, w, 3) uint8, as `Decoder` does for a file."""
    size = pixels.shape[1], pixels.shape[0]
    seen = view.box(*size) in (None, (0, 0, *size))
    if seen and view.shrunk(*size) is None and view.shape(*size) == size:
        return pixels
    return _viewed(Image.fromarray(pixels), None, view)


def seen(images: RgbArray, view: View) -> RgbArray:
    """Give a square view of each decoded picture, (m, side, side, 3)."""
    found = [viewed(image, view) for image in images]
    return np.array(found, np.uint8).reshape(-1, view.side, view.side, 3)


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
    handle, size = open_regular(picture.path)
    try:
        if size == 0:
            raise _RefusedError("is empty")
        # Threads take turns at each call to the system: one call for a file instead of a dozen.
        data = os.read(handle, size) if size <= _WHOLE_BYTES else b""
        if len(data) == size:
            yield io.BytesIO(data)
        else:
            os.lseek(handle, 0, os.SEEK_SET)
            with open(handle, "rb", closefd=False) as stream:
                yield stream
    finally:
        os.close(handle)


def _upright(image: Image.Image) -> tuple[Image.Image, ToSrgb | None]:
    """Return a picture as `_plain` makes it, and what converts its colours to sRGB, if anything must."""
    reading = tiff.reading(image) if image.format == "TIFF" else tiff.AS_IT_IS
    oddities.put_right(image)
    covered = oddities.covered(image)
    image.load()
    if covered is not None:
        whole = Image.new("RGBA", image.size)
        whole.paste(image.convert("RGBA").crop(covered), covered)
        image = whole
    turn = _UPRIGHT.get(_orientation(image))
    profile = image.info.get("icc_profile")
    plain = _plain(image.transpose(turn) if turn is not None else image, reading)
    try:
        return plain, profiles.to_srgb(profile, plain.mode)
    except ImportError as exc:
        reason = "has a colour profile, and Pillow was built without what reads it (LittleCMS)"
        raise _RefusedError(reason) from exc


def _allow(max_pixels: int) -> None:
    """Raise Pillow's own limit, of which it refuses the double, where ours is above that."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def _identify(stream: BinaryIO, max_pixels: int = MAX_PIXELS) -> Image.Image:
    try:
        return Image.open(stream, formats=formats.USUAL)
    except UnidentifiedImageError:
        stream.seek(0)
        head = stream.read(_HEAD)
        if head.startswith(_JPEG):
            stream.seek(0)
            tidied = jpeg.tidied(stream.read())
            return Image.open(io.BytesIO(tidied or b""), formats=("JPEG",))
        if formats.is_heic(head):
            from catclf.images import heic  # only where it is needed: it takes time to import

            stream.seek(0)
            try:
                return heic.decoded(stream.read(), max_pixels)
            except heic.HeicError as exc:
                raise _RefusedError(str(exc)) from None
        if head.startswith(tiff.BIG_ENDIAN_BIG):
            raise _RefusedError(tiff.unread(stream)) from None
        stream.seek(0)
        try:
            return Image.open(stream, formats=formats.import_others())
        except UnidentifiedImageError:
            if head.startswith(tiff.BEGINNINGS):
                raise _RefusedError(tiff.unread(stream)) from None
            raise


def _orientation(image: Image.Image) -> int:
    if image.format == "JPEG" and image.info.keys().isdisjoint(("exif", "xmp")):
        return 1  # what follows takes its time even where there is nothing to be found
    # Broken EXIF is no reason to lose a picture whose pixels are whole.
    with contextlib.suppress(Exception):
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    return 1


def _plain(image: Image.Image, reading: tiff.Reading) -> Image.Image:
    """Colours or grey without transparency, 8 bits each: mode RGB, L or CMYK."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image, reading)
    if reading.palette is not None:
        image = image.copy()
        image.putpalette(reading.palette)
    if reading.inverted:
        image = ImageOps.invert(image.convert("L"))
    if image.mode in ("L", "CMYK") and not image.has_transparency_data:
        return image  # grey is resized as one channel instead of three equal ones
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, mask=layer)
        return paper.convert("L") if image.mode in ("L", "LA", "La") else paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image, reading: tiff.Reading) -> Image.Image:
    """Scale deep grey values to 0–255; Pillow's own conversion would clip them to white."""
    full = reading.full or _full_scale(image, reading.unsigned)
    scaled = np.empty((image.height, image.width), dtype=np.uint8)
    for top, values in _strips(image, reading.unsigned):
        share = np.clip(values / full, 0, 1)
        if image.info.get("transparency") is not None:  # the one value that is
            share[values == image.info["transparency"]] = 1.0
        scaled[top : top + len(values)] = np.rint((1 - share if reading.inverted else share) * 255)
    return Image.fromarray(scaled)


def _full_scale(image: Image.Image, unsigned: bool) -> float:
    """What white is in deep grey values, as far as they show it."""
    least, most, some = 0.0, 0.0, []
    step = max(1, image.width * image.height // _MOST_SAMPLED)
    for _, values in _strips(image, unsigned):
        if not np.isfinite(values).all():
            raise _RefusedError("has pixel values that are not finite")
        least, most = min(least, values.min(initial=0.0)), max(most, values.max(initial=0.0))
        some.append(values.reshape(-1)[::step])
    if image.mode == "F":
        try:
            return full_scale(spread_of(np.concatenate(some), least, most))
        except ValueError as exc:
            raise _RefusedError(str(exc)) from exc
    if least < 0:
        raise _RefusedError(f"has negative pixel values, down to {least:g}: convert them first")
    return 65535.0 if most <= 65535 else 2.0**32 - 1 if unsigned else 2.0**31 - 1


def _strips(image: Image.Image, unsigned: bool) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield some rows at a time with the number of the first: as float64 all would take much memory."""
    step = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, step):
        strip = np.asarray(image.crop((0, top, image.width, min(image.height, top + step))))
        yield top, (strip.view(np.uint32) if unsigned else strip).astype(np.float64)


def _viewed(image: Image.Image, convert: ToSrgb | None, view: View) -> RgbArray:
    if not view.decoding.profiles:
        convert = None
    if image.mode == "CMYK" and convert is None:
        image = image.convert("RGB")
    # Antialiased: each output pixel is a weighted mean of all the input pixels it covers.
    resample = Image.Resampling[view.resample.upper()]
    if (smaller := view.shrunk(*image.size)) is not None:
        image = image.resize(smaller, resample)
    if view.cuts and resample in _EDGED and math.prod(whole := view.resized(*image.size)) <= _MOST_WHOLE:
        resized = image.resize(whole, resample).crop(view.centre(*whole))
    else:
        resized = image.resize(view.shape(*image.size), resample, view.box(*image.size))
    if convert is not None:  # of few pixels now, at the cost of half a level
        resized = convert(resized)
    return np.asarray(resized if resized.mode == "RGB" else resized.convert("RGB"))


def _reason(exc: Exception) -> str:
    if isinstance(exc, _RefusedError):
        return str(exc)
    if isinstance(exc, UnidentifiedImageError):
        return UNKNOWN_FORMAT
    if isinstance(exc, MemoryError):
        return "not enough memory to decode it"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    detail = " ".join(str(exc).split()) or type(exc).__name__
    return f"is a broken picture ({detail})"
