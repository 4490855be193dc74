"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of data that is not shipped: the course's files, photographs, hostile pictures."""
    folder = (ROOT / os.environ.get("CATCLF_REAL_DATA", "../shared/data")).resolve()
    if not (folder / "catvnoncat").is_dir():
        pytest.skip(f"the real data is not at {folder}; say where it is with CATCLF_REAL_DATA")
    return folder
