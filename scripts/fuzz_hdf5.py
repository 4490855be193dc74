"""Fuzz what the child process does with an HDF5 file: an answer to every question, or a dead child.

python scripts/fuzz_hdf5.py -max_total_time=60 [CORPUS]         (libFuzzer's options)

The library may crash: each file is read in a fork, so that coverage does not guide the search. What
counts as a finding is an exception in our code, an answer that is no answer, or a second too many.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import tempfile
from typing import Any

import atheris
import h5py
import numpy as np

from catclf.images import hdf5_child

FOLDER = tempfile.TemporaryDirectory()
PATH = os.path.join(FOLDER.name, "a.h5")
SECONDS = 10
QUESTIONS: list[list[Any]] = [
    *(["structure"], ["span", 0, 2], ["rows", 0, 2, 1.0]),
    *(["labels"], ["classes"]),
]
DEATHS: dict[int, int] = {}


def seeds() -> list[bytes]:
    """Sound files of several kinds; an input alters one of them."""
    x = np.arange(4 * 4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 4, 3)
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"compression": "gzip", "shuffle": True},
        {"chunks": (1, 4, 4, 3)},
        {"dtype": "f4"},
    )
    found = []
    for options in kinds:
        with h5py.File(PATH, "w") as file:
            file.create_dataset("a_set_x", data=x, **options)
            file["a_set_y"] = np.array([0, 1, 1, 0])
            file["list_classes"] = np.array([b"non-cat", b"cat"])
        with open(PATH, "rb") as source:
            found.append(source.read())
    return found


SOUND = seeds()


def altered(data: bytes) -> bytes:
    """Three bytes of input are a position and a value in one of the sound files."""
    provider = atheris.FuzzedDataProvider(data)
    result = bytearray(SOUND[provider.ConsumeIntInRange(0, len(SOUND) - 1)])
    while provider.remaining_bytes():
        position = provider.ConsumeIntInRange(0, len(result) - 1)
        result[position] = provider.ConsumeIntInRange(0, 255)
    return bytes(result)


def read() -> None:
    """Ask everything, as `Hdf5Pictures` would."""
    signal.alarm(SECONDS)
    opened = functools.cache(lambda: hdf5_child._open(PATH, None, None))
    for question in QUESTIONS:
        head, payload = hdf5_child._answered(opened, question, PATH)
        json.dumps(head)
        assert head.get("bytes", 0) == len(payload)


def try_one(data: bytes) -> None:
    with open(PATH, "wb") as file:
        file.write(altered(data))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            read()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        DEATHS[code] = DEATHS.get(code, 0) + 1
    assert code <= 0, "an exception in our code"


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
