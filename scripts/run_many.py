"""Predict a folder of very many files: time and memory. `python scripts/run_many.py [100000]`."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image


def main(count: int = 100_000) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, colour in (("cat", "red"), ("dog", "blue")):
            (folder / "album" / kind).mkdir(parents=True)
            Image.new("RGB", (8, 8), colour).save(folder / "album" / kind / "0.png")
        source = folder / "album" / "cat" / "0.png"
        for k in range(1, count):
            with contextlib.suppress(OSError):  # of one file only so many links can be made
                os.link(source, source.with_name(f"{k}.png"))
                continue
            target = source.with_name(f"{k}.png")
            target.write_bytes(source.read_bytes())
            source = target
        catclf = [sys.executable, "-m", "catclf"]
        settings = ["--size", "8", "-i", "1", "-q"]
        model = str(folder / "m.npz")
        subprocess.run([*catclf, "train", folder / "album", "-o", model, *settings], check=True)
        begun = time.perf_counter()
        with subprocess.Popen(
            [*catclf, "predict", "-m", model, folder / "album"], stdout=subprocess.PIPE
        ) as done:
            assert done.stdout is not None
            rows = sum(1 for _ in done.stdout)
        seconds = time.perf_counter() - begun
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000
        print(f"{rows} rows in {seconds:.1f} s; train and predict took at most {memory} MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
