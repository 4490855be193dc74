"""HEIC pictures, as of a phone → an image. The decoding is in `heic_child`, a process that is kept."""

from __future__ import annotations

import atexit
import base64
import os
from typing import Any

from PIL import Image

from catclf.images.effort import too_many_pixels
from catclf.images.formats import HEIC, is_installed
from catclf.work.guarded import ChildError, GuardedChild

MEMORY_LIMIT = 2_000_000_000
"""Bytes of address space that the child process gets: 100 million pixels take half of it."""

SECONDS_LIMIT = 20.0
"""How long the child may take for one picture; 50 million pixels take 2 s."""

_LARGEST_FILE = 200_000_000
_MODES = ("L", "LA", "RGB", "RGBA", "RGBa")
_PROGRAM = os.path.join(os.path.dirname(__file__), "heic_child.py")
_ENVIRONMENT = {"LIBHEIF_PLUGIN_PATH": ""}  # loads no plug-ins
_INSTALL = f"pip install 'catclf[{HEIC.extra}]'"

NEEDS_EXTRA = f"is HEIC, which needs an extra: {_INSTALL}; or convert it to JPEG"


class HeicError(Exception):
    """A picture is not decoded: the message says why, as a phrase."""


def decoded(data: bytes, max_pixels: int) -> Image.Image:
    """Decode the primary picture of a file: upright, 8 bits a channel, its colour profile in `info`.

    Parameters
    ----------
    data : bytes
        The file.
    max_pixels : int
        Largest width × height.

    Raises
    ------
    HeicError
        If it cannot be decoded, within limits on time and memory, or the extra is not installed.
    """
    if not is_installed(HEIC):
        raise HeicError(NEEDS_EXTRA)
    if len(data) > _LARGEST_FILE:
        raise HeicError(f"has {len(data)} bytes, more than the {_LARGEST_FILE} allowed")
    try:
        child = _taken()
    except (OSError, ChildError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise HeicError(f"the process that decodes HEIC cannot start ({reason})") from exc
    try:
        image = _read(child, data, max_pixels)
    except ChildError as exc:
        child.close()
        raise HeicError(f"is a broken picture (the decoder {exc})") from exc
    except HeicError:
        _give_back(child)
        raise
    except BaseException:  # subtle: interrupted between a question and its answer
        child.close()
        raise
    _give_back(child)
    return image


def _read(child: GuardedChild, data: bytes, max_pixels: int) -> Image.Image:
    opened = _answer(child, "open", data)
    try:
        width, height = map(int, opened["size"])
        mode, profile = str(opened["mode"]), base64.b64decode(opened["profile"])
    except (ValueError, TypeError, KeyError) as exc:  # a file that has taken the child over
        raise ChildError("sent an unexpected answer") from exc
    if width < 1 or height < 1 or mode not in _MODES:
        raise HeicError(f"is a HEIC picture of an unknown kind ({width}×{height}, {mode})")
    refused = too_many_pixels(width, height, max_pixels // HEIC.weight)
    if refused is not None:
        raise HeicError(refused)
    size = width * height * Image.getmodebands(mode)
    if _answer(child, "pixels").get("bytes") != size:
        raise ChildError("sent an unexpected answer")
    pixels = bytearray(size)
    child.read_into(memoryview(pixels))
    image = Image.frombuffer(mode, (width, height), pixels, "raw", mode, 0, 1)
    image.format = HEIC.name
    if profile:
        image.info["icc_profile"] = profile
    return image


def _answer(child: GuardedChild, question: str, data: bytes = b"") -> dict[str, Any]:
    answer = child.ask([question, len(data)], data)
    if "error" in answer:
        raise HeicError(str(answer["error"]))
    return answer


# A process is started once and kept for the next picture; threads take one each. A process that was
# forked from this one has none: what it inherits belongs to its parent.
_idle: dict[int, list[GuardedChild]] = {}


def _taken() -> GuardedChild:
    idle = _idle.setdefault(os.getpid(), [])
    return idle.pop() if idle else _started()


def _give_back(child: GuardedChild) -> None:
    _idle.setdefault(os.getpid(), []).append(child)


def _started() -> GuardedChild:
    child = GuardedChild(_PROGRAM, _ENVIRONMENT)
    try:
        order = {"memory": MEMORY_LIMIT, "alarm": int(2 * SECONDS_LIMIT)}
        hello = child.begin(order, None, SECONDS_LIMIT)
        if hello.get("old", True):
            found = f"pillow-heif {hello.get('version')} has a vulnerability that lets a file run code"
            raise HeicError(f"is HEIC, and {found}: {_INSTALL} brings a newer one")
    except BaseException:
        child.close()
        raise
    return child


@atexit.register
def _close_idle() -> None:
    for child in _idle.pop(os.getpid(), []):
        child.close()
