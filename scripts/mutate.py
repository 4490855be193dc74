"""Put small faults into the code and see whether the tests notice.

    python scripts/mutate.py                    30 faults in each of eleven parts, drawn with a seed
    python scripts/mutate.py --part metrics --all

A fault turns a comparison or moves its border, negates a condition, adds one to a number, or swaps plus
and minus, and and or. Each is made in a copy of the repository, where the tests of that part then run
until one fails. What no test notices is listed: it is a test that is missing, or changes nothing.
"""

from __future__ import annotations

import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import click

from catclf.metrics import wilson_interval

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 180  # for the tests of a part; a fault that makes them hang has been noticed

PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mathematics": (
        ("logistic", "objective", "curvature", "design"),
        ("test_logistic", "test_descent", "test_design", "test_engines"),
    ),
    "engines": (
        ("engines/choice", "engines/gram", "engines/primal", "engines/stream", "engines/sweep"),
        ("test_engines", "test_descent"),
    ),
    "descent": (("descent",), ("test_descent",)),
    "metrics": (("metrics",), ("test_metrics",)),
    "folds": (("folds", "fingerprints"), ("test_folds", "test_fingerprints", "test_fitting")),
    "near-duplicates": (("near_duplicates",), ("test_near_duplicates",)),
    "fitting": (("fitting",), ("test_fitting", "test_design", "test_new_features")),
    "model": (("model", "provenance"), ("test_model", "test_provenance", "test_classifier")),
    "classes": (
        ("class_names", "pipeline/classes", "images/labelled", "images/listing", "images/taken"),
        ("test_class_names", "test_pipeline", "test_labelled", "test_folder"),
    ),
    "rows": (
        ("view", "features/preprocessing", "features/onnx_output", "features/onnx_file"),
        ("test_view", "test_encoders", "test_decode"),
    ),
    "decoding": (
        (
            *("images/decode", "images/tiff", "images/jpeg", "images/float_scale", "images/oddities"),
            *("images/profiles", "images/heic", "decoding"),
        ),
        ("test_decode", "test_tiff", "test_jpeg", "test_oddities", "test_profiles", "test_heic"),
    ),
}
"""Modules of each part, and the tests that are to notice."""

_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}


class Fault(NamedTuple):
    """A change of one place: a module, its line, what it was and what it becomes, and the new text."""

    module: str
    line: int
    change: str
    text: str


def faults(module: str) -> Iterator[Fault]:
    """Yield every fault that can be made in a module."""
    source = (ROOT / "catclf" / f"{module}.py").read_text("utf-8")
    tree = ast.parse(source)
    passed_over = {id(part) for part in _without_effect(tree)}
    for node in ast.walk(tree):
        if id(node) in passed_over:
            continue
        for replacement in _changed(node):
            old, new = ast.unparse(node), ast.unparse(replacement)
            begin, end = _span(source, node)
            text = f"{source[:begin]}({new}){source[end:]}"
            yield Fault(module, getattr(node, "lineno", 0), f"{old} -> {new}", text)


def _without_effect(tree: ast.AST) -> Iterator[ast.AST]:
    """Annotations, and what stands in texts or only for type checkers."""
    for node in ast.walk(tree):
        hints = [getattr(node, name, None) for name in ("annotation", "returns")]
        only_typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for part in [
            *filter(None, hints),
            *([node] if only_typing or isinstance(node, ast.JoinedStr) else []),
        ]:
            yield from ast.walk(part)


def _changed(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _TURNED:
        yield ast.Compare(node.left, [_TURNED[type(node.ops[0])]()], node.comparators)
    if isinstance(node, ast.BinOp) and type(node.op) in _SWAPPED and not _is_text(node):
        yield ast.BinOp(node.left, _SWAPPED[type(node.op)](), node.right)
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield ast.Constant(value + 1)


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(
        isinstance(s, ast.JoinedStr) or (isinstance(s, ast.Constant) and isinstance(s.value, str))
        for s in sides
    )


def _span(source: str, node: ast.AST) -> tuple[int, int]:
    """Where a node begins and ends in the text; the tree counts bytes of a line."""
    lines = source.splitlines(keepends=True)

    def place(line: int, column: int) -> int:
        return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())

    position = vars(node)
    return place(position["lineno"], position["col_offset"]), place(
        position["end_lineno"], position["end_col_offset"]
    )


def noticed(fault: Fault, tests: tuple[str, ...], copy: Path) -> bool:
    """Whether a test fails in a copy of the repository that has the fault."""
    path = copy / "catclf" / f"{fault.module}.py"
    whole = path.read_text("utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    # Processes that a test starts look for the package where this one does.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        path.write_text(fault.text, "utf-8")
        done = subprocess.run(
            [*command, *(f"tests/{name}.py" for name in tests)],
            cwd=copy,
            env=environment,
            capture_output=True,
            timeout=SECONDS,
        )
        return done.returncode != 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(whole, "utf-8")


def copied(folder: Path) -> Path:
    """Copy what the tests need."""
    for name in ("catclf", "tests", "data", "scripts", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
        shutil.copy(ROOT / name, folder)
    return folder


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this one.")
@click.option("--count", default=30, show_default=True, help="Faults of a part.")
@click.option("--all", "everything", is_flag=True, help="Every fault that can be made.")
@click.option("--seed", default=0, show_default=True)
@click.option("--jobs", default=2, show_default=True)
def main(parts: tuple[str, ...], count: int, everything: bool, seed: int, jobs: int) -> None:
    """Make faults and count those that the tests notice."""
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for k in range(jobs):
            copies.put(copied(Path(place) / str(k)))

        def tried(fault: Fault, tests: tuple[str, ...]) -> bool:
            copy = copies.get()
            try:
                return noticed(fault, tests, copy)
            finally:
                copies.put(copy)

        found = total = 0
        for part in parts or PARTS:
            modules, tests = PARTS[part]
            made = [fault for module in modules for fault in faults(module)]
            if not everything:
                made = random.Random(seed).sample(made, min(count, len(made)))
            answers = list(pool.map(lambda fault, tests=tests: tried(fault, tests), made))
            found, total = found + sum(answers), total + len(answers)
            click.echo(f"{part}: {sum(answers)} of {len(answers)} noticed")
            for fault, answer in zip(made, answers, strict=True):
                if not answer:
                    click.echo(f"  {fault.module}.py:{fault.line}: {fault.change}")
        low, high = wilson_interval(found, total) or (0.0, 1.0)
        share = f"{found / max(1, total):.0%}, 95 % interval {low:.2f} to {high:.2f}"
        click.echo(f"{found} of {total} noticed: {share}")


if __name__ == "__main__":
    main()
