"""Fuzz the reading of model files: whatever the bytes, a model that works or a ModelFileError.

python scripts/fuzz_model.py -max_total_time=60 [CORPUS]        (libFuzzer's options)

An input whose first byte is even is a whole file, otherwise one member of a file that is sound else.
"""

from __future__ import annotations

import os
import sys
import tempfile

import atheris
import numpy as np

with atheris.instrument_imports(include=["catclf", "zipfile", "json"]):
    import zipfile

    from catclf.errors import ModelFileError
    from catclf.features.pixels import Pixels
    from catclf.model import Model, describe, load, save

FOLDER = tempfile.TemporaryDirectory()
PATH = os.path.join(FOLDER.name, "m.npz")


def sound_members() -> dict[str, bytes]:
    save(Model(np.ones(12), 0.5, Pixels(2), positive="cat", negative="dog"), PATH)
    with zipfile.ZipFile(PATH) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


MEMBERS = sound_members()
NAMES = sorted(MEMBERS)


def write(data: bytes) -> None:
    if not data or data[0] % 2 == 0:
        with open(PATH, "wb") as file:
            file.write(data[1:])
        return
    changed = NAMES[data[0] // 2 % len(NAMES)]
    with zipfile.ZipFile(PATH, "w") as archive:
        for name in NAMES:
            archive.writestr(name, data[1:] if name == changed else MEMBERS[name])


def try_one(data: bytes) -> None:
    write(data)
    try:
        model = load(PATH)
    except ModelFileError:
        return
    describe(model)
    if model.size <= 64:
        p = model.probabilities(np.zeros((1, model.size, model.size, 3), np.uint8))
        assert p.shape == (1,)


def seeds() -> None:
    """Write the sound members where libFuzzer looks for its corpus, if it looks anywhere."""
    for folder in (argument for argument in sys.argv[1:] if not argument.startswith("-")):
        os.makedirs(folder, exist_ok=True)
        for k, name in enumerate(NAMES):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(bytes([2 * k + 1]) + MEMBERS[name])
        sound_members()
        with open(PATH, "rb") as source, open(os.path.join(folder, "whole"), "wb") as file:
            file.write(b"\0" + source.read())


if __name__ == "__main__":
    seeds()
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
