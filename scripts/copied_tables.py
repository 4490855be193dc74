"""Copies figures into the pages that people read, from the pages in docs/ that scripts have measured.

    python scripts/copied_tables.py          writes them between the markers of PAGES

Each table stands between ``<!-- table NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "lecture.md", ROOT / "docs" / "scaling.md"]

DATA_SETS = {
    "catvnoncat/": "course's cats, 209",
    "pets/": "pets, 400",
    "natural_images": "natural images, 990",
    "data/drawings": "drawings, 600",
}
CLASSIFIERS = (
    "always the more common class",
    "catclf, pixels",
    "catclf, patches",
    "catclf, network",
    "scikit-learn, RBF SVM",
    "PyTorch, small CNN",
)
LOOPS = ("textbook, float64", "PyTorch, float32", "gram")
PREDICTORS = (
    "catclf predict",
    "plain Pillow loop",
    "OpenCV loop",
    "torchvision DataLoader",
    "only decoding, processes",
)

Table = list[list[str]]


def section(page: str, start: str) -> str:
    """The part of a page of docs/ below the first heading that begins with `start`."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    found = re.search(rf"^#+ {re.escape(start)}.*?(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"docs/{page} has no section {start}: run the script that writes it")
    return found[0]


def tables(text: str) -> list[Table]:
    """Every table of a text: rows of cells, the first row being the head."""
    blocks = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
        for lines in (block.splitlines()[:1] + block.splitlines()[2:] for block in blocks)
    ]


def rows(table: Table, names: Sequence[str], columns: Sequence[str]) -> Iterator[list[str]]:
    """The rows called `names`, with the name and some columns."""
    head, *body = table
    by_name = {row[0]: row for row in body}
    for name in names:
        if name in by_name:
            yield [name, *(by_name[name][head.index(column)] for column in columns)]


def accuracy() -> Table:
    """Cross-validated accuracy of some classifiers on every data set."""
    found = {name: tables(section("accuracy.md", start))[0] for start, name in DATA_SETS.items()}
    columns = [
        [accuracy for _, accuracy in rows(table, CLASSIFIERS, ["accuracy"])] for table in found.values()
    ]
    body = [list(row) for row in zip(CLASSIFIERS, *columns, strict=True)]
    return [["", *found], *body]


def training() -> Table:
    """Time of the same 2000 steps, and of a whole process that makes them."""
    loop, process, _ = tables(section("bench_training.md", "train_catvnoncat"))
    return [
        ["2000 steps on 209 pictures", "s", "times the textbook's speed"],
        *rows(loop, LOOPS, ["loop, s", "faster"]),
        *([f"whole process: {name}", *rest] for name, *rest in rows(
            process, [row[0] for row in process[1:]], ["wall, s", "faster"]
        )),
    ]  # fmt: skip


def prediction() -> Table:
    """Pictures a second, beside other ways from JPEG files to probabilities."""
    (rates,) = tables(section("bench_predict.md", "Pictures a second"))
    columns = ["pictures/s", "of the Pillow loop", "peak memory"]
    return [["JPEG files to probabilities", *columns], *rows(rates, PREDICTORS, columns)]


def features() -> Table:
    """Pictures a second with each kind of features."""
    (found,) = tables(section("bench_predict.md", "Patches and network"))
    names = [row[0] for row in found[1:]]
    columns = ["pictures/s", "peak memory", "one picture, s"]
    return [["JPEG files to probabilities", *columns], *rows(found, names, columns)]


def steps() -> Table:
    """Time of one step on the course's pictures, from Python's loops to the Gram form."""
    return tables(section("bench_training.md", "train_catvnoncat"))[2]


def dask() -> Table:
    """A step on a cluster beside one of `stream`."""
    return tables(section("bench_dask.md", "The Dask engine"))[0]


def clusters() -> Table:
    """What the cost model makes of larger clusters."""
    return tables(section("bench_dask.md", "The Dask engine"))[1]


def encoding() -> Table:
    """What a picture costs with each kind of features."""
    return tables(section("bench_features.md", "What a picture and a step cost"))[0]


def kinds() -> Table:
    """What a step costs with each kind of features."""
    return tables(section("bench_features.md", "What a picture and a step cost"))[1]


def machines() -> Table:
    """What that says of clusters."""
    return tables(section("bench_features.md", "What a picture and a step cost"))[2]


TABLES: dict[str, Callable[[], Table]] = {
    "accuracy": accuracy,
    "training": training,
    "prediction": prediction,
    "features": features,
    "steps": steps,
    "dask": dask,
    "clusters": clusters,
    "encoding": encoding,
    "kinds": kinds,
    "machines": machines,
}


def markdown(table: Table) -> str:
    """`table` with figures to the right."""
    head, *body = table
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(text: str) -> str:
    """`text` with all tables written again."""

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}\n{markdown(TABLES[found[2]]())}\n{found[3]}"

    return re.sub(r"(<!-- table (\w+) -->\n)(?:.*?)(<!-- end -->)", table, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
