"""What CONTRIBUTING says of additions: a column and an engine are one definition and one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catclf.cli import predict_command
from catclf.cli.tables import Column
from catclf.config import ENGINES, EngineKind
from catclf.engines.primal import PrimalEngine
from catclf.model import load
from tests.conftest import Runner


@pytest.mark.parametrize("format_name", ["csv", "tsv", "json", "jsonl"])
def test_a_column_is_defined_once(
    model: Path, album: Path, catclf: Runner, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    doubt = Column("doubt", lambda row: None if row.error else round(abs(row.probability - 0.5), 3))
    table = predict_command._TABLE
    monkeypatch.setattr(predict_command, "_TABLE", table._replace(columns=[*table.columns, doubt]))
    (album / "broken.png").write_bytes(b"no picture")
    found = catclf("predict", "-m", model, album, "-F", format_name)
    text = found.out.decode()
    rows: list[Any]
    if format_name == "json":
        rows = json.loads(text)
    elif format_name == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
    else:
        delimiter = "," if format_name == "csv" else "\t"
        rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
        assert list(rows[0])[-1] == "doubt"
    assert len(rows) == 13
    broken, *others = sorted(rows, key=lambda row: "broken" not in row["path"])
    assert broken["doubt"] in (None, "")
    assert all(0 <= float(row["doubt"]) <= 0.5 for row in others)


class Halved(PrimalEngine):
    """An engine that nobody has heard of."""


def test_an_engine_is_one_row(
    album: Path, tmp_path: Path, catclf: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "halved", EngineKind("halved", f"{__name__}:Halved", ("memory",)))
    common = ("train", album, "--size", "8", "-i", "20", "-q", "--engine")
    assert catclf(*common, "halved", "-o", tmp_path / "new.npz").code == 0
    assert catclf(*common, "primal", "-o", tmp_path / "old.npz").code == 0
    new, old = load(str(tmp_path / "new.npz")), load(str(tmp_path / "old.npz"))
    np.testing.assert_array_equal(new.w, old.w)
    refused = catclf(*common, "unknown", "-o", tmp_path / "no.npz")
    assert refused.code == 2
    assert "halved" in refused.err
