"""A program that saves a model again and again and is killed while it does.

python -m tests.killed_saves FOLDER calls      at every call that changes the disk, before and after it
python -m tests.killed_saves FOLDER moments N  at N random moments
python -m tests.killed_saves FOLDER once       saves once, for somebody else to disturb
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from catclf import atomic
from catclf.errors import OutputError
from catclf.features.pixels import Pixels
from catclf.model import Model, load, save

SIZE = 48
NAMES = ("old", "new")


def made(name: str) -> Model:
    """One of two models of several hundred kB."""
    marks = np.arange(40_000, dtype=np.uint64)
    w = np.full(3 * SIZE**2, float(NAMES.index(name)))
    return Model(w, 0.0, Pixels(SIZE), positive=name, negative="x", fingerprints=marks)


class Killer:
    """Counts calls and ends the process at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.tick()
            result = call(*arguments, **options)
            self.tick()
            return result

        return wrapped


def arm(killer: Killer) -> None:
    """Let every call of a save that changes the disk pass by the killer."""

    class File(io.FileIO):
        write = killer.around(io.FileIO.write)

    def opened(handle: int, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(File(handle, mode))

    atomic.open = opened  # type: ignore[attr-defined]  # hides the built-in one
    atomic.tempfile.mkstemp = killer.around(atomic.tempfile.mkstemp)  # type: ignore[attr-defined]
    for name in ("fsync", "replace", "chmod", "unlink"):
        setattr(os, name, killer.around(getattr(os, name)))


def in_child(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child


def killed(child: int) -> bool:
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def check(path: Path) -> str:
    """Return which of the two models is there, having seen that it is whole."""
    model = load(str(path))
    assert (model.w == NAMES.index(model.positive)).all()
    assert len(model.fingerprints) == 40_000
    return model.positive


def clear_litter(folder: Path) -> int:
    found = [path for path in folder.iterdir() if path.name.startswith(".catclf-")]
    for path in found:
        assert path.suffix != ".npz"
        path.unlink()
    return len(found)


def at_calls(path: Path) -> list[str]:
    seen = []
    for at in range(1, 1000):
        save(made("old"), str(path))

        def work(at: int = at) -> None:
            arm(Killer(at))
            save(made("new"), str(path))

        if not killed(in_child(work)):
            break
        seen.append(check(path))
        clear_litter(path.parent)
    return seen


def at_moments(path: Path, count: int) -> list[str]:
    rng = random.Random(0)
    seen: list[str] = []
    models = {name: made(name) for name in NAMES}

    def work() -> None:
        while True:
            for name in NAMES:
                save(models[name], str(path))

    save(models["old"], str(path))
    for _ in range(count):
        child = in_child(work)
        time.sleep(rng.uniform(0.001, 0.04))
        os.kill(child, signal.SIGKILL)
        assert killed(child)
        seen.append(check(path))
        clear_litter(path.parent)
    return seen


def main(folder: str, kind: str, count: str = "0") -> None:
    path = Path(folder) / "m.npz"
    if kind == "once":
        with contextlib.suppress(OutputError):
            save(made("new"), str(path))
        return
    seen = at_calls(path) if kind == "calls" else at_moments(path, int(count))
    print(len(seen), seen.count("old"), seen.count("new"))


if __name__ == "__main__":
    main(*sys.argv[1:])
