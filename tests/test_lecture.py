"""The lecture is true: its snippets run, and what it quotes and names is in the code."""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from catclf.cli.train_command import command
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "lecture.md"
TEXT = PAGE.read_text("utf-8")
COURSE_FILES = "<!-- course files -->"

# A fence and its language, or a link to a name in a file of Python.
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\[`([\w.]+)`\]\(([\w./]+\.py)\)")

Session = dict[str, Any]


class Quotation(NamedTuple):
    """Lines of code, and the file and name of the last link before them."""

    file: str
    name: str
    lines: list[str]


def quotations() -> list[Quotation]:
    found = []
    for fence in FENCE.finditer(TEXT):
        if fence[1] == "python":
            name, file = NAMED.findall(TEXT[: fence.start()])[-1]
            found.append(Quotation(file, name, stripped(fence[2])))
    return found


def stripped(code: str) -> list[str]:
    return [line.strip() for line in code.splitlines() if line.strip()]


def source(file: str, name: str) -> str:
    """The definition of ``name``, such as ``Class.method``, in a file named as the page does."""
    text = (PAGE.parent / file).read_text("utf-8")
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        found = [child for child in ast.iter_child_nodes(node) if part in defined(child)]
        assert found, f"{file} has no {name}"
        node = found[0]
    return ast.get_source_segment(text, node) or ""


def defined(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


@pytest.mark.parametrize(("name", "file"), sorted(set(NAMED.findall(TEXT))))
def test_every_name_is_defined_in_the_file_that_it_links_to(name: str, file: str) -> None:
    assert source(file, name)


@pytest.mark.parametrize("quotation", quotations(), ids=lambda quotation: quotation.name)
def test_every_quoted_line_is_in_the_code(quotation: Quotation) -> None:
    code = stripped(source(quotation.file, quotation.name))
    k = len(quotation.lines)
    assert quotation.lines in [code[i : i + k] for i in range(len(code))]


def test_every_link_leads_to_a_file() -> None:
    prose = FENCE.sub("", TEXT)
    for target in re.findall(r"\]\(([^)#:]+)\)", prose):
        assert (PAGE.parent / target).exists(), target


def test_every_option_is_one_of_train() -> None:
    known = {name for option in command.params for name in option.opts}
    prose = FENCE.sub("", TEXT)
    named = set(re.findall(r"`(-[-a-z0-9]+)", prose)) | set(re.findall(r" (-[a-z])\b", prose))
    assert {"--stop", "--init", "-i"} <= named <= known


def run_snippets(section: slice, session: Session) -> str:
    """Run the examples of a part of the page, in `session`, and return what went wrong."""
    # Everything else becomes empty lines, so that failures have the line numbers of the page.
    kept = "\n" * TEXT.count("\n", 0, section.start)
    for fence in FENCE.finditer(TEXT, section.start, section.stop):
        if fence[1] == "pycon":
            kept += "\n" * (TEXT.count("\n", 0, fence.start(2)) - kept.count("\n")) + fence[2]
    test = doctest.DocTestParser().get_doctest(kept, session, PAGE.name, str(PAGE), 0)
    complaints: list[str] = []
    with np.printoptions():  # those of the page are its own
        doctest.DocTestRunner().run(test, out=complaints.append, clear_globs=False)
    session.update(test.globs)
    return "".join(complaints)


class Reading(NamedTuple):
    """The names that the page has defined before the section that needs the course's files."""

    session: Session
    complaints: str


@pytest.fixture(scope="module")
def reading() -> Reading:
    session: Session = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return Reading(session, run_snippets(slice(0, TEXT.index(COURSE_FILES)), session))


def test_the_snippets_run(reading: Reading) -> None:
    assert not reading.complaints


def test_the_numbers_of_the_course_are_reproduced(
    reading: Reading, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(real_data / "catvnoncat")
    assert not run_snippets(slice(TEXT.index(COURSE_FILES), len(TEXT)), dict(reading.session))


def test_every_snippet_is_one_that_runs() -> None:
    prompts = len(re.findall("^>>> ", TEXT, re.MULTILINE))
    in_fences = [fence[2].count(">>> ") for fence in FENCE.finditer(TEXT) if fence[1] == "pycon"]
    assert prompts == sum(in_fences) > 0


def test_the_figure_of_both_costs_is_drawn_anew(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the figure needs the extra report")
    script = ROOT / "scripts" / "study_convexity.py"
    figures = [tmp_path / "a.png", tmp_path / "b.png"]
    command = [sys.executable, str(script), "--out", str(figures[0]), "--chords", str(figures[1])]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)
    for number in re.findall(r"J = ([\d.]+)", out):
        assert f"cost {number}" in TEXT
