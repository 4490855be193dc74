"""The formats of pictures that are read, a row each. Imports no decoder until one is needed."""

from __future__ import annotations

import importlib
import re
from typing import NamedTuple


class Format(NamedTuple):
    """A format that Pillow decodes by itself, without running another program.

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
    """

    name: str
    suffixes: tuple[str, ...]
    begins: bytes = b""
    plugin: str | None = None
    weight: int = 1


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
)

SUFFIXES = frozenset(suffix for format_ in FORMATS for suffix in format_.suffixes)

USUAL = tuple(format_.name for format_ in FORMATS if format_.plugin is None)

WEIGHTS = {format_.name: format_.weight for format_ in FORMATS}

_BEGINNINGS = re.compile(b"|".join(format_.begins for format_ in FORMATS if format_.begins), re.DOTALL)


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
