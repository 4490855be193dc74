"""The pages in docs/: their examples run, and what is made from the code is up to date."""

from __future__ import annotations

import doctest
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_option_reference_is_what_the_help_says(tmp_path: Path) -> None:
    script, made = ROOT / "scripts" / "option_reference.py", tmp_path / "options.md"
    subprocess.run([sys.executable, script, made], check=True, timeout=60)
    assert made.read_text("utf-8") == (ROOT / "docs" / "options.md").read_text("utf-8"), (
        "run python scripts/option_reference.py docs/options.md"
    )


def test_the_examples_of_the_python_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "python.md"
    failed, tried = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.FAIL_FAST, encoding="utf-8"
    )
    assert tried > 0
    assert failed == 0


def test_the_tables_of_the_pages_are_those_that_were_measured() -> None:
    copied = runpy.run_path(str(ROOT / "scripts" / "copied_tables.py"))
    shown = []
    for page in copied["PAGES"]:
        text = page.read_text("utf-8")
        shown += re.findall(r"<!-- table (\w+) -->", text)
        assert copied["filled"](text) == text, "run python scripts/copied_tables.py"
    assert sorted(shown) == sorted(copied["TABLES"])
