"""The wheel and the source distribution: complete, small, and working without the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import catclf

ROOT = Path(__file__).resolve().parents[1]
MADE = (".git", ".venv*", "build", "dist", "demo", "__pycache__", ".coverage", "*.egg-info", ".*_cache")


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(part) for part in command], capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def major(name: str) -> int:
    """First number of a distribution's version; 0 if it is not installed. Imports nothing."""
    try:
        return int(metadata.version(name).partition(".")[0])
    except metadata.PackageNotFoundError:
        return 0


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel built from it, as `python -m build` makes them."""
    for name, oldest in (("build", 1), ("pip", 23), ("setuptools", 77)):
        if major(name) < oldest:
            pytest.skip(f"packages are made with {name} {oldest} or newer")
    tree, out = (tmp_path_factory.mktemp("package") / name for name in ("tree", "dist"))
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*MADE))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree)
    (source,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return source, wheel


def test_the_source_distribution_has_all_that_the_tests_need(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    folders = ("catclf", "data", "docs", "scripts", "tests")
    wanted = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {"Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml"}
    assert wanted - found == set()


def test_the_wheel_has_the_package_and_one_file_of_drawings(distributions: tuple[Path, Path]) -> None:
    wheel = distributions[1]
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "catclf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == wanted | {"catclf/data/drawings_test.h5"}
    assert wheel.stat().st_size < 2_000_000


def test_the_version_is_that_of_the_source(distributions: tuple[Path, Path]) -> None:
    source, wheel = distributions
    assert source.name == f"catclf-{catclf.__version__}.tar.gz"
    assert wheel.name == f"catclf-{catclf.__version__}-py3-none-any.whl"


def test_the_installed_wheel_trains_on_its_drawings(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", "--target", site, distributions[1])
    work = tmp_path / "work"
    work.mkdir()
    where = {"cwd": work, "env": {**os.environ, "PYTHONPATH": str(site)}}
    python = (sys.executable, "-W", "error", "-c")
    ask = "import catclf; print(catclf.__file__); print(catclf.sample())"
    home, sample = run(*python, ask, **where).splitlines()
    assert Path(home).parent == Path(sample).parents[1] == site / "catclf"
    assert Path(sample).read_bytes() == catclf.sample().read_bytes()
    program = site / "bin" / "catclf"
    run(program, "train", sample, "-o", "cat.npz", "--iterations", "20", **where)
    assert run(program, "predict", "-m", "cat.npz", sample, **where).count("\n") == 200


def test_the_sample_of_the_source_tree_is_the_file_in_data() -> None:
    assert catclf.sample() == ROOT / "data" / "drawings_test.h5"
