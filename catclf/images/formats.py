"""The formats of pictures that are read, a row each. Imports no decoder until one is needed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from typing import NamedTuple


class Format(NamedTuple):
    """A format: Pillow decodes it by itself, without running another program, if it needs no extra.

    Attributes
    ----------
    name : str
        Pillow's.
    suffixes : tuple of str
        In small letters.
    begins : bytes
        Regular expression for the first dozen bytes; nothing where they are no sure sign.
    plugin : str or None
        Module of Pillow that is imported when no usual format fits; None is a usual one.
    weight : int
        How many times the usual memory its decoder takes, which is up to 10 bytes a pixel.
    extra : str or None
        What must be installed for it beside catclf, and the module that this brings. It is decoded in
        a process of its own then.
    """

    name: str
    suffixes: tuple[str, ...]
    begins: bytes = b""
    plugin: str | None = None
    weight: int = 1
    extra: str | None = None
    module: str | None = None


# The most usual ones first, as they are tried in order. EPS is left out because its decoder runs an
# external program, TGA because it has no magic number.
FORMATS = (
    Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), rb"\xff\xd8\xff"),
    Format("PNG", (".png", ".apng"), rb"\x89PNG"),
    Format("GIF", (".gif",), rb"GIF8[79]a"),
    Format("BMP", (".bmp", ".dib")),
    Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm", ".pfm")),
    Format("WEBP", (".webp",), rb"RIFF....WEBP", "WebPImagePlugin", weight=2),
    Format("TIFF", (".tif", ".tiff"), rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "TiffImagePlugin"),
    Format("AVIF", (".avif",), rb"....ftyp", "AvifImagePlugin"),  # and HEIC begins so
    Format("JPEG2000", (".jp2", ".j2k", ".jpx"), rb"\0\0\0\x0cjP", "Jpeg2KImagePlugin", weight=2),
    Format("ICO", (".ico",), plugin="IcoImagePlugin"),
    Format(
        "HEIF", (".heic", ".heif", ".hif"), rb"....ftyp", weight=2, extra="heic", module="pillow_heif"
    ),
)

HEIC = FORMATS[-1]

USUAL = tuple(format_.name for format_ in FORMATS if format_.plugin is format_.extra is None)

WEIGHTS = {format_.name: format_.weight for format_ in FORMATS}

_BEGINNINGS = re.compile(b"|".join(format_.begins for format_ in FORMATS if format_.begins), re.DOTALL)


_HEVC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
"""Brands of files whose pictures are coded as HEVC: ISO/IEC 23008-12, B.4."""


@functools.cache
def suffixes() -> frozenset[str]:
    """Suffixes of the formats that can be read here, in small letters."""
    return frozenset(
        suffix for format_ in FORMATS if is_installed(format_) for suffix in format_.suffixes
    )


def is_installed(format_: Format) -> bool:
    """Whether the extra is there that a format may need."""
    return format_.module is None or importlib.util.find_spec(format_.module) is not None


def is_heic(head: bytes) -> bool:
    """Whether a file begins as a HEIC picture does; a hundred bytes are enough."""
    if head[4:8] != b"ftyp":
        return False
    brands = head[8 : int.from_bytes(head[:4])]
    return any(brands[k : k + 4] in _HEVC for k in range(0, len(brands), 4))


def begins_like_picture(head: bytes) -> bool:
    """Whether the first bytes of a file, a dozen or more, are those of a picture in a usual format."""
    return _BEGINNINGS.match(head) is not None


def import_others() -> tuple[str, ...]:
    """Import the plugins of the rarer formats, and only these: Pillow itself would import all 45."""
    found = []
    for format_ in FORMATS:
        if format_.plugin is not None:
            try:
                importlib.import_module(f"PIL.{format_.plugin}")
            except ImportError:  # built without it
                continue
            found.append(format_.name)
    from PIL import Image

    return tuple(name for name in found if name in Image.OPEN)
