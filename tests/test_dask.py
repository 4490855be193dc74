"""The three tools on a real cluster of worker processes: the same bits as without."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import catclf
from catclf.cli import main
from catclf.cli.training_report import TrainingProgress
from catclf.config import ENGINES, DescentSettings, ReadOptions, TrainSettings
from catclf.descent import Step
from catclf.design import Design
from catclf.engines.dask import DaskEngine
from catclf.engines.sweep import Request
from catclf.errors import ClusterError, ConfigError, DataError
from catclf.features.pixels import Pixels
from catclf.images import on_workers
from catclf.images.inputs import Input
from catclf.images.urls import fetch, files_below
from catclf.objective import Objective
from catclf.pipeline import scoring
from catclf.progress import Progress
from catclf.stores.here import InMemory
from catclf.stores.on_workers import OnWorkers, Piece
from catclf.work import cluster as clusters
from catclf.work import parts
from catclf.work.cluster import Cluster, connected
from tests import reference
from tests.pictures import cats_and_dogs, class_folder, course_h5, noise, save_picture

distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
pytest.importorskip("fsspec", reason="the extra `dask` is not installed")

SETTINGS = TrainSettings(
    descent=DescentSettings(iterations=12, stop="none", momentum=0.5),
    read=ReadOptions(size=8),
    engine="stream",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folder(tmp_path_factory.mktemp("photos"), m=40)


def test_two_clusters_on_one_machine_are_nothing_to_warn_about(address: str) -> None:
    with connected("local", 1) as cluster:
        assert cluster._client.scheduler.address != address


def on_dask(address: str, settings: TrainSettings = SETTINGS) -> TrainSettings:
    return replace(settings, engine="dask", read=replace(settings.read, scheduler=address))


def assert_same_fit(actual: catclf.Fit, expected: catclf.Fit) -> None:
    assert_array_equal(actual.model.w, expected.model.w)
    assert actual.model.b == expected.model.b
    assert actual.model.training == expected.model.training
    assert_array_equal(actual.model.fingerprints, expected.model.fingerprints)
    assert_array_equal(actual.history, expected.history)
    assert (actual.validation, actual.cv) == (expected.validation, expected.cv)


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param({}, id="plain"),
        pytest.param({"flip": True, "class_weight": "balanced"}, id="mirrored pictures"),
        pytest.param({"validation": 0.25, "cv": 2}, id="held out and cross-validated"),
    ],
)
def test_training_gives_the_bits_of_the_engine_stream(
    choices: dict[str, object], address: str, photos: Path
) -> None:
    settings = replace(SETTINGS, **choices)  # type: ignore[arg-type]
    expected = catclf.train(photos, settings)
    actual = catclf.train(photos, on_dask(address, settings))
    assert actual.engine == "dask"
    assert_same_fit(actual, expected)


def test_hdf5_and_other_data_for_validation(address: str, photos: Path, tmp_path: Path) -> None:
    data = course_h5(tmp_path / "train.h5", m=20)
    # The classes of the folder are cat and dog, those of the file cat and non-cat.
    other = photos.rename(tmp_path / "photos")
    try:
        settings = replace(SETTINGS, validation=str(other))
        assert_same_fit(catclf.train(data, on_dask(address, settings)), catclf.train(data, settings))
    finally:
        other.rename(photos)


def test_unreadable_pictures_are_skipped_and_named_as_without(address: str, tmp_path: Path) -> None:
    folder = class_folder(tmp_path, m=40)
    for name in ("cat/05.png", "dog/10.png"):
        (folder / name).write_bytes(b"not a picture")
    expected, actual = (catclf.train(folder, s) for s in (SETTINGS, on_dask(address)))
    assert list(map(str, actual.skipped)) == list(map(str, expected.skipped))
    assert len(actual.skipped) == 2
    assert_same_fit(actual, expected)
    failing = replace(SETTINGS, read=replace(SETTINGS.read, on_error="fail"))
    with pytest.raises(DataError, match=r"05\.png"):
        catclf.train(folder, on_dask(address, failing))


def test_a_part_may_have_no_readable_picture(address: str, tmp_path: Path) -> None:
    folder = class_folder(tmp_path, m=40)
    for name in ("01", "03", "05"):  # the first two are a part
        (folder / "cat" / f"{name}.png").write_bytes(b"not a picture")
    assert_same_fit(catclf.train(folder, on_dask(address)), catclf.train(folder, SETTINGS))


@pytest.mark.parametrize("source", ["folder", "csv"])
def test_pictures_of_a_store_are_read_through_their_urls(
    source: str, address: str, photos: Path, tmp_path: Path
) -> None:
    url = f"file://{photos}"
    if source == "csv":
        files = [*files_below(f"{url}/cat"), *files_below(f"{url}/dog")]
        rows = [f"{file},{file.split('/')[-2]}" for file in files]
        (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
        url = str(tmp_path / "labels.csv")
    assert_same_fit(catclf.train(url, on_dask(address)), catclf.train(photos, SETTINGS))


def test_a_store_says_what_is_wrong() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/one.png", b"1")
    memory.pipe("/bucket/.hidden/two.png", b"2")
    memory.pipe("/bucket/notes.txt", b"3")
    memory.pipe("/bucket/one[1].png", b"4")
    assert files_below("memory://bucket/") == [
        "memory:///bucket/one.png",
        "memory:///bucket/one[1].png",
    ]
    assert fetch(files_below("memory://bucket/")) == [b"1", b"4"]
    with pytest.raises(DataError, match="no such file or directory"):
        files_below("memory://nowhere/")
    found, missing, unknown = fetch(
        ["memory://bucket/one.png", "memory://bucket/none.png", "nowhere://bucket/x.png"]
    )
    assert found == b"1"
    assert str(missing) == "memory://bucket/none.png: no such file or directory"
    assert "nowhere" in str(unknown)


class Acting(Progress):
    """Does something once, at a step of the descent."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self.acted = False

    def step(self, step: Step) -> None:
        if step.step == 6:
            self._act()
            self.acted = True


@pytest.mark.parametrize("many", [1, 2])
def test_workers_killed_in_mid_run_change_nothing(many: int, address: str, photos: Path) -> None:
    expected = catclf.train(photos, SETTINGS)

    def kill() -> None:  # if both die, every picture has to be loaded again
        for pid in list(Cluster.current().run_everywhere(os.getpid).values())[:many]:
            os.kill(pid, signal.SIGKILL)

    killing = Acting(kill)
    assert_same_fit(catclf.train(photos, on_dask(address), progress=killing), expected)
    assert killing.acted


def test_what_was_readable_must_be_so_when_it_is_loaded_again() -> None:
    error = DataError("a.png", "is empty")
    loaded = on_workers._Loaded(noise(2, 8, 8, 3), {1: error})
    assert on_workers._pixels(loaded, {1}) is loaded.pixels
    with pytest.raises(DataError, match=r"a\.png: is empty"):
        on_workers._pixels(loaded, set())


class Doomed(NamedTuple):
    address: str
    scheduler: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Doomed]:
    """A scheduler with a worker, to be killed."""
    file = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common)
    worker = start("dask_worker", "--no-nanny", "--nthreads", "1", *common)
    try:
        while not (file.exists() and file.read_text().endswith("}")):
            assert scheduler.poll() is None
            time.sleep(0.05)
        yield Doomed(json.loads(file.read_text())["address"], scheduler, worker)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("lost", ["scheduler", "worker"])
def test_when_the_cluster_is_lost_the_best_so_far_is_saved(
    lost: str,
    doomed: Doomed,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(clusters, "_WATCH_SECONDS", 0.1)
    monkeypatch.setattr(clusters, "_LONELY_SECONDS", 1.0)
    killing = Acting((doomed.worker if lost == "worker" else doomed.scheduler).kill)
    monkeypatch.setattr(TrainingProgress, "step", lambda self, step: killing.step(step))
    output = tmp_path / "cat.npz"
    options = ["--size", "8", "-i", "12", "--stop", "none", "--scheduler", doomed.address]
    assert main(["train", str(photos), "-o", str(output), *options]) == 1
    messages, name = capfd.readouterr().err, f"the Dask scheduler {doomed.address}"
    reason = "has had no workers for 1 s" if lost == "worker" else "has gone"
    assert f"{name}: {reason}" in messages
    assert (f"{name} has no workers now; waiting for some" in messages) == (lost == "worker")
    assert f"after 6 updates, was saved to {output}" in messages
    model = catclf.load(str(output))
    assert model.training.stop_reason == "lost"
    six = replace(SETTINGS, descent=replace(SETTINGS.descent, iterations=6, momentum=0.0))
    assert_array_equal(model.w, catclf.train(photos, six).model.w)


def test_a_prediction_without_workers_ends(
    doomed: Doomed, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_WATCH_SECONDS", 0.1)
    monkeypatch.setattr(clusters, "_LONELY_SECONDS", 0.5)

    def pictures() -> Iterator[str]:
        doomed.worker.kill()
        yield str(photos)

    class Log(Progress):
        def warning(self, message: str) -> None:
            warnings.append(message)

    model, warnings = catclf.train(photos, SETTINGS).model, list[str]()
    read = ReadOptions(scheduler=doomed.address)
    with pytest.raises(ClusterError, match=r"has had no workers for 0\.5 s"):
        list(catclf.predict(model, pictures(), read=read, progress=Log()))
    assert "has no workers now" in warnings[-1]


def test_workers_that_are_all_starting_again_get_their_work_nevertheless() -> None:
    class Client:
        def nthreads(self) -> dict[str, int]:
            return {}

        def get_executor(self, pure: bool) -> Executor:
            del pure
            return pool

    with ThreadPoolExecutor(1) as pool:
        cluster = Cluster(Client(), "tcp://nobody")  # type: ignore[arg-type]
        assert list(cluster.ordered_map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_a_task_that_kills_its_workers_is_the_reason_from_then_on(address: str) -> None:
    from distributed import KilledWorker

    cluster = Cluster(Cluster.current()._client, address)  # another one: it is of no use afterwards
    killed = KilledWorker.__new__(KilledWorker)  # what it is made with depends on the version
    for error in (killed, TimeoutError()):
        with (
            pytest.raises(ClusterError, match="several workers died of the same task"),
            cluster._noticing(),
        ):
            raise error


def test_a_scheduler_that_is_not_there_is_an_error(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clusters, "_CONNECT_SECONDS", 0.5)
    options = ["-o", str(tmp_path / "cat.npz"), "--scheduler", "tcp://127.0.0.1:9"]
    assert main(["train", str(photos), *options]) == 1
    assert "the Dask scheduler tcp://127.0.0.1:9: cannot be reached" in capfd.readouterr().err


@pytest.mark.parametrize("rounds", [1, 2])
def test_rows_from_here_give_the_bits_of_the_engine_stream(
    rounds: int, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert address  # its client is the current one
    if rounds == 2:  # more shards than one task adds up
        monkeypatch.setattr(parts, "_PART_NUMBERS", 30)
    design = Design(InMemory(noise(90, 30)), 1 / 255)
    y = reference.labels(90)
    objective = Objective("cross-entropy", y, np.full(90, 1 / 90), 0.01, np.full(90, 1 / 90))
    w = np.random.default_rng(0).standard_normal(30)
    stream, dask = (ENGINES[name].load()(design, w, 2, b0=0.3) for name in ("stream", "dask"))
    c = stream.start()
    for expected, actual in zip(
        stream.sweep(c, objective, losses=True), dask.sweep(c, objective, losses=True), strict=True
    ):
        assert_array_equal(actual, expected)
    assert dask.sweep(c, objective)[1] is None
    several = [Request(k * c, objective, k > 1) for k in range(4)]
    for expected, actual in zip(stream.sweeps(several), dask.sweeps(several), strict=True):
        assert_array_equal(actual[0], expected[0])
        assert (actual[1] is None) == (expected[1] is None)
    assert_array_equal(dask.scores(c), stream.scores(c))
    assert_array_equal(dask.start(), c)
    assert (dask.m, dask.n_x) == (90, 30)


def test_terms_are_sent_once_for_each_objective_and_dropped_with_it(address: str) -> None:
    assert address
    engine = DaskEngine(Design(InMemory(noise(20, 6)), 1 / 255), np.zeros(6))
    objective = Objective("cross-entropy", reference.labels(20), np.full(20, 0.05), 0.0)
    engine.sweep(np.zeros(7), objective)
    sent = engine._terms[objective]
    engine.sweep(np.ones(7), objective)
    assert engine._terms[objective] is sent
    del objective, sent
    assert not engine._terms


class Kept(NamedTuple):
    """Seven pictures on workers, as two pieces, and the same here."""

    there: OnWorkers
    here: InMemory


@pytest.fixture
def kept(address: str) -> Kept:
    assert address
    cluster, pixels = Cluster.current(), noise(9, 4, 4, 3)
    blocks = [cluster.submit(np.ascontiguousarray, pixels[:5]), cluster.submit(np.array, pixels[5:])]
    pieces = [Piece(blocks[0], np.array([0, 2, 4])), Piece(blocks[1], np.arange(4))]
    return Kept(OnWorkers(cluster, pixels[:0], pieces), InMemory(pixels[[0, 2, 4, 5, 6, 7, 8]]))


PARTS = [slice(0, 14), slice(2, 5), slice(6, 9), slice(11, 12), slice(3, 3), slice(9, 99), slice(None)]


def test_items_on_workers_are_cut_mapped_and_joined_as_those_here(kept: Kept) -> None:
    both = []
    for pictures in kept:
        joined = pictures.joined(pictures.mapped(lambda images: images[:, :, ::-1]))
        both.append(joined.mapped(Pixels(4).rows))
    there, here = both
    assert (there.place, here.place) == ("workers", "memory")
    assert there.shape == here.shape == (14, 48)
    assert there.nbytes == 0
    for part in PARTS:
        assert_array_equal(there[part], here[part], strict=True)
    assert_array_equal(there[2:5], kept.here.array.reshape(7, 48)[2:5])  # nothing is done in place


def test_functions_are_called_one_after_the_other_where_the_items_are(kept: Kept) -> None:
    there, here = (
        pictures.mapped(lambda images: images.astype(np.float32)).mapped(lambda images: images - 128)
        for pictures in kept
    )
    assert there.shape == here.shape == (7, 4, 4, 3)
    assert_array_equal(there[1:6], here[1:6], strict=True)

    def process(images: NDArray[Any]) -> NDArray[Any]:
        return np.full(len(images), os.getpid())

    assert os.getpid() not in there.each(process)
    assert_array_equal(here.each(process), np.full(7, os.getpid()))


def test_an_entry_for_each_item_is_computed_in_their_order(kept: Kept) -> None:
    there, here = (
        pictures.joined(pictures).each(lambda images: images.sum(axis=(1, 2, 3))) for pictures in kept
    )
    assert_array_equal(there, here, strict=True)


def test_items_on_workers_come_some_at_a_time_or_stay_there(kept: Kept) -> None:
    pieces = list(kept.there.pieces(slice(1, 7), 4))
    assert list(map(len, pieces)) == [4, 2]
    assert_array_equal(np.concatenate(pieces), kept.here[1:7])
    cluster = Cluster.current()
    for pictures in kept:
        (sent,) = cluster.gather([pictures.sent(slice(2, 6))])
        assert_array_equal(sent, kept.here[2:6])


def test_predictions_are_the_same_bytes_in_the_same_order(
    address: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_SENT_TO_WORKERS", 16)
    model, album = tmp_path / "cat.npz", tmp_path / "album"
    catclf.save(catclf.train(photos, SETTINGS).model, str(model))
    for k in range(45):
        save_picture(album / f"{k:02}.png", noise(9, 9, 3, seed=k))
    (album / "07.png").write_bytes(b"not a picture")
    course_h5(tmp_path / "more.h5")
    monkeypatch.chdir(tmp_path)  # the workers are elsewhere
    inputs = ["album", "more.h5", "album/03.png", "none.png"]
    written = []
    for extra in ([], ["--scheduler", address]):
        output = tmp_path / f"rows{len(extra)}.csv"
        arguments = ["predict", "-m", str(model), *inputs, "-F", "csv", "-o", str(output)]
        assert main([*arguments, *extra]) == 3
        written.append(output.read_bytes())
    assert written[1] == written[0]
    assert written[0].count(b"\n") == 1 + 45 + 12 + 2


def test_pictures_on_stdin_and_of_a_store_are_predicted(address: str, photos: Path) -> None:
    model = catclf.train(photos, SETTINGS).model
    (first, *_) = expected = list(catclf.predict(model, [str(photos / "cat")]))
    with open(first.path, "rb") as stream:
        inputs: list[Input] = [f"file://{photos}/cat/", stream, f"file://{first.path}"]
        actual = list(catclf.predict(model, inputs, read=ReadOptions(scheduler=address)))
    files = [prediction.probability for prediction in expected]
    assert [p.probability for p in actual] == [*files, files[0], files[0]]
    assert [p.path for p in actual[-2:]] == ["-", f"file://{first.path}"]


def assert_same_evaluation(actual: catclf.Evaluation, expected: catclf.Evaluation) -> None:
    assert_array_equal(actual.y, expected.y)
    assert_array_equal(actual.probabilities, expected.probabilities)
    assert_array_equal(actual.losses, expected.losses)
    assert actual.paths == expected.paths
    assert list(map(str, actual.failed)) == list(map(str, expected.failed))
    assert actual.overlap == expected.overlap
    assert actual.to_dict() == expected.to_dict()
    assert len(actual.gallery) == len(expected.gallery) > 0
    assert actual.gallery == expected.gallery


@pytest.mark.parametrize("source", ["folder", "hdf5"])
def test_evaluation_gives_the_same_bits(
    source: str, address: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_SENT_TO_WORKERS", 16)
    model = catclf.train(photos, SETTINGS).model
    smaller = catclf.train(photos, replace(SETTINGS, read=ReadOptions(size=6))).model
    monkeypatch.chdir(tmp_path)  # the workers are elsewhere
    data = Path("data.h5")
    if source == "folder":
        data = class_folder(Path("data"), m=50, size=9, seed=1)
        save_picture(data / "dog" / "seen.png", cats_and_dogs(40)[0][6])
        (data / "cat" / "07.png").write_bytes(b"not a picture")
    else:
        model, smaller = (replace(one, negative="non-cat") for one in (model, smaller))
        course_h5(data, m=50, size=9)
    choices: dict[str, Any] = {"against": smaller, "prior": 0.2, "gallery": True}
    expected = catclf.evaluate(model, data, **choices)
    assert_same_evaluation(
        catclf.evaluate(model, data, read=ReadOptions(scheduler=address), **choices), expected
    )
    assert expected.scores.n == 50
    assert len(expected.overlap) == len(expected.failed) == (source == "folder")


def test_evaluation_through_urls_and_where_a_picture_cannot_be_read(
    address: str, photos: Path, tmp_path: Path
) -> None:
    model = catclf.train(photos, SETTINGS).model
    data = class_folder(tmp_path / "data", m=20, seed=1)
    (data / "cat" / "07.png").write_bytes(b"not a picture")
    files = [(path, path.parent.name) for path in sorted(data.rglob("*.png"))]
    rows = [f"file://{path},{kind}" for path, kind in files]
    (tmp_path / "urls.csv").write_text("\n".join(["path,label", *rows]))
    expected = catclf.evaluate(model, data)
    actual = catclf.evaluate(model, tmp_path / "urls.csv", read=ReadOptions(scheduler=address))
    assert_array_equal(actual.probabilities, expected.probabilities)
    assert actual.scores == expected.scores
    assert actual.paths == tuple(f"file://{path}" for path in expected.paths)
    assert list(map(str, actual.failed)) == [f"file://{error}" for error in expected.failed]
    assert len(expected.failed) == 1
    whole = catclf.evaluate(model, data.as_uri(), read=ReadOptions(scheduler=address))
    assert whole.scores == expected.scores
    with pytest.raises(DataError, match=r"07\.png: is not a picture"):
        catclf.evaluate(model, data, read=ReadOptions(scheduler=address, on_error="fail"))


def test_eval_writes_the_same_with_a_scheduler(
    address: str, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, folder = tmp_path / "cat.npz", class_folder(tmp_path / "data", m=30, seed=1)
    catclf.save(catclf.train(photos, SETTINGS).model, str(model))
    (folder / "cat" / "notes.txt").write_text("not even called a picture")
    (folder / "cat" / "05.png").write_bytes(b"not a picture")
    written = []
    for extra in ([], ["--scheduler", address]):
        rows = tmp_path / f"rows{len(extra)}.csv"
        arguments = ["eval", "-m", str(model), str(folder), "-F", "json", "--predictions", str(rows)]
        assert main([*arguments, *extra]) == 3
        out, err = capfd.readouterr()
        written.append((out, err, rows.read_bytes()))
    assert written[1] == written[0]
    assert json.loads(written[0][0])["n"] == 29
    assert f"{folder}/cat/05.png: " in written[0][1]
    assert "1 other file ignored" in written[0][1]


def test_other_versions_on_the_workers_are_reported(
    address: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.0" if name == "numpy" else real(name)
    )
    (warning,) = catclf.train(photos, on_dask(address)).warnings
    assert warning.startswith(f"numpy is 0.0 here and {np.__version__} on 2 workers")


@pytest.mark.parametrize(
    ("choices", "name"),
    [({"engine": "gram"}, "engine"), ({"engine": "auto", "features": "patches"}, "features")],
)
def test_what_a_cluster_cannot_do_is_refused(choices: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainSettings(read=ReadOptions(scheduler="local"), **choices)  # type: ignore[arg-type]
    assert caught.value.name == name


def test_the_engine_needs_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_connected", [])
    with pytest.raises(ConfigError, match="engine = 'dask': requires scheduler"):
        DaskEngine(Design(InMemory(noise(4, 6)), 1.0), np.zeros(6))


def test_nothing_of_dask_is_imported_without_a_scheduler() -> None:
    code = (
        "import sys, catclf.cli.train_command, catclf.cli.predict_command, catclf.cli.eval_command;"
        "import catclf.pipeline.training, catclf.pipeline.prediction, catclf.pipeline.evaluation;"
        "print({'dask', 'distributed', 'fsspec'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"
