"""The program that decodes HEIC pictures in a child process; only it knows pillow-heif.

It imports nothing of catclf, so that it can be run by its path. The libraries below it are large, and
were made to crash and to run code before; here a crash or a hang costs this process alone.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import resource
import signal
import sys
from typing import Any

import pillow_heif

OLDEST = (1, 7)
"""Earlier versions come with a libheif that can be made to run code (CVE-2026-84383)."""

Answer = tuple[dict[str, Any], bytes | memoryview]


class Reader:
    """Answers questions about one picture after the other."""

    def __init__(self) -> None:
        self._image: Any = None

    def open(self, data: bytes) -> Answer:
        """Size, mode and colour profile of the primary picture of a file; nothing is decoded."""
        self._image = None  # the last one
        self._image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        profile = self._image.info.get("icc_profile") or b""
        return {
            "size": self._image.size,
            "mode": self._image.mode,
            "profile": base64.b64encode(profile).decode("ascii"),
        }, b""

    def pixels(self) -> Answer:
        """The picture, upright, row by row without gaps."""
        image, (width, height) = self._image, self._image.size
        data, stride = memoryview(image.data).cast("B"), image.stride
        row = width * len(image.mode)
        if stride == row:
            return {"bytes": row * height}, data[: row * height]
        rows = [data[top * stride : top * stride + row] for top in range(height)]
        return {"bytes": row * height}, b"".join(rows)


def _limit(memory: int) -> None:
    """Bound what this process can take, and let it open and write no file."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 0,
    }
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a system may not know or allow one
            resource.setrlimit(name, (value, value))


def _answered(reader: Reader, question: list[Any]) -> Answer:
    name, size = question
    data = [sys.stdin.buffer.read(size)] if size else []
    try:
        answer: Answer = getattr(reader, name)(*data)
        return answer
    except MemoryError:
        return {"error": "not enough memory to decode it"}, b""
    except Exception as exc:  # subtle: a broken file can raise anything at all
        detail = " ".join(str(exc).split()) or type(exc).__name__
        return {"error": f"is a broken picture ({detail})"}, b""


def _send(answer: Answer) -> None:
    head, data = answer
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def main() -> None:
    """Say hello with our version, and answer questions until there are no more."""
    version = pillow_heif.__version__
    numbers = tuple(int(part) for part in version.split(".")[:2])
    _send(({"version": version, "old": numbers < OLDEST}, b""))
    order = json.loads(sys.stdin.buffer.readline())
    pillow_heif.options.DECODE_THREADS = 1
    _limit(order["memory"])
    reader = Reader()
    while line := sys.stdin.buffer.readline():
        # Ends this process even inside the library, should nobody be there to kill it.
        signal.alarm(order["alarm"])
        _send(_answered(reader, json.loads(line)))
        signal.alarm(0)


if __name__ == "__main__":
    main()
