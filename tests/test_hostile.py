"""The hostile files through the whole program, in batches; the script alone gives each its own run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(("part", "batch"), [("images", 300), ("hdf5", 80)])
def test_the_program_survives_the_hostile_files(real_data: Path, part: str, batch: int) -> None:
    script = ROOT / "scripts" / "run_hostile.py"
    folder = str(real_data / "hostile" / part)
    command = [sys.executable, str(script), folder, "--batch", str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
