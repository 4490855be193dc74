"""The model file: what is saved comes back; what is no model is refused, and nothing is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal, assert_array_max_ulp
from numpy.typing import ArrayLike, NDArray

from catclf import model as model_module
from catclf.errors import ConfigError, ModelFileError, OutputError
from catclf.features.pixels import Pixels
from catclf.fingerprints import MOST_KEPT
from catclf.model import HISTORY_COLUMNS, Model, describe, load, save
from catclf.provenance import Provenance
from tests.pictures import noise, open_files

SIZE = 4
N_X = 3 * SIZE**2
GOLDEN = Path(__file__).parent / "golden"


def made_model(**changes: Any) -> Model:
    rng = np.random.default_rng(0)
    model = Model(
        w=rng.standard_normal(N_X),
        b=0.25,
        features=Pixels(SIZE),
        positive="cat",
        negative="non-cat",
        threshold=0.5,
        training=Provenance(m=3, classes={"cat": 1, "dog": 2}, loss="cross-entropy"),
        fingerprints=np.array([1, 2, 2**64 - 1], np.uint64),
        history=np.array([[0.0, 0.69, 0.2], [1.0, 0.5, 0.1]]),
    )
    return replace(model, **changes)


def assert_same(found: Model, expected: Model) -> None:
    assert_array_equal(found.w, expected.w)
    assert_array_equal(found.fingerprints, expected.fingerprints)
    assert_array_equal(found.history, expected.history)
    assert describe(found) == describe(expected)


def test_a_model_that_could_not_be_read_again_is_not_saved(tmp_path: Path) -> None:
    many = made_model(fingerprints=np.zeros(8_000_000, np.uint64))
    with pytest.raises(OutputError, match="64000000 are the most that are read"):
        save(many, tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())
    save(replace(many, fingerprints=many.fingerprints[:MOST_KEPT]), tmp_path / "m")
    load(str(tmp_path / "m"))


# --- what is saved comes back ---


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"b": -1e-300},
        {"positive": "кошка", "negative": "a\nb"},
        {"positive": "\udcff", "training": Provenance(classes={"\udcff": 1})},
        {"training": Provenance(), "fingerprints": np.empty(0, np.uint64)},
        {"history": np.empty((0, len(HISTORY_COLUMNS)))},
        {"features": Pixels(1), "w": np.array([1.0, 2.0, 3.0])},
    ],
    ids=str,
)
def test_a_model_comes_back_as_it_was_saved(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = made_model(**changes)
    save(model, str(tmp_path / "m.npz"))
    loaded = load(str(tmp_path / "m.npz"))
    assert_same(loaded, model)
    assert loaded.w.shape == model.w.shape
    assert isinstance(loaded.b, float)


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    save(made_model(), str(tmp_path / "a.npz"))
    save(load(str(tmp_path / "a.npz")), str(tmp_path / "b"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_name_is_kept_without_an_added_suffix(tmp_path: Path) -> None:
    save(made_model(), str(tmp_path / "model"))
    assert os.listdir(tmp_path) == ["model"]


def test_numpy_alone_reproduces_the_probabilities(tmp_path: Path) -> None:
    save(made_model(), str(tmp_path / "m.npz"))
    with np.load(tmp_path / "m.npz", allow_pickle=False) as saved:
        w, b = saved["w"], saved["b"]
    assert w.shape == (N_X, 1)
    assert b.shape == ()
    images = noise(5, SIZE, SIZE, 3)
    x = images.reshape(5, -1).T / 255  # (n_x, m)
    expected = 1 / (1 + np.exp(-(w.T @ x + b)))  # (1, m)
    assert_allclose(made_model().probabilities(images), expected[0], rtol=0, atol=1e-9)


def test_a_picture_on_the_threshold_is_positive() -> None:
    model = made_model(threshold=0.7)
    assert [model.label(p) for p in (0.7, 0.69)] == ["cat", "non-cat"]
    assert [model.label(p, 0.2) for p in (0.2, 0.19)] == ["cat", "non-cat"]


def test_a_model_that_cannot_be_saved_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save(made_model(), str(path))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save(made_model(training=Provenance(cost=float("nan"))), str(path))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.npz"]


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="make it first"):
        save(made_model(), str(tmp_path / "missing" / "m.npz"))


def test_a_description_is_ready_for_json() -> None:
    text = json.dumps(describe(made_model()), allow_nan=False)
    assert json.loads(text)["features"] == {"name": "pixels", "size": SIZE}


def test_the_golden_file_loads_for_ever() -> None:
    model = load(str(GOLDEN / "model_v1.npz"))
    assert (model.positive, model.negative, model.threshold) == ("cat", "dog", 0.5)
    assert (model.features.kind.name, model.size) == ("pixels", 4)
    assert_array_equal(model.w, (np.arange(48) - 24) / 32)
    assert model.b == -0.125
    assert model.training.m == 2
    assert model.fingerprints.tolist() == [1, 2]
    assert_array_equal(model.history, [[0, 0.5, 0.25], [1, 0.25, 0.125]])
    images = np.stack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)])
    expected = 1 / (1 + np.exp([0.125, 0.125 + 0.75]))
    assert_allclose(model.probabilities(images), expected, rtol=1e-12)


# Models that an earlier version trained, and what it said of them and of the next pictures. The last
# bits of products depend on NumPy and on the processor.
PREDICTED = json.loads((GOLDEN / "predicted_v1.json").read_text("utf-8"))
golden_models = pytest.mark.parametrize("name", PREDICTED["models"])


def golden_pictures(size: int) -> NDArray[np.uint8]:
    """Six regular patterns, two ramps, black and white."""
    numbers = np.arange(3 * size**2)
    patterns = [numbers * (7 + 2 * k) + numbers // 3 % size * 5 * k + 31 * k for k in range(6)]
    ramp, black = numbers * 255 // len(numbers), 0 * numbers
    pictures = np.array([*patterns, ramp, 255 - ramp, black, black + 255]) % 256
    return pictures.astype(np.uint8).reshape(-1, size, size, 3)


def made_here() -> bool:
    found = np.show_config(mode="dicts") or {}
    simd = found.get("SIMD Extensions", {}).get("found")
    made = PREDICTED["made"]
    return (np.__version__, simd) == (made["numpy"], made["simd"])


@golden_models
def test_a_model_of_an_earlier_version_predicts_as_it_did(name: str) -> None:
    model = load(str(GOLDEN / f"{name}.npz"))
    expected = np.array(PREDICTED["models"][name]["probabilities"])
    probabilities = model.probabilities(golden_pictures(model.size))
    assert_allclose(probabilities, expected, rtol=1e-4 if name == "patches_v1" else 1e-12)
    if made_here():
        # Products had the height of all pictures then; the last bit of those beyond a multiple of four,
        # which went another way through them, may differ.
        whole = slice(len(expected) // 4 * 4)
        assert_array_equal(probabilities[whole], expected[whole])
        assert_array_max_ulp(probabilities, expected, maxulp=2)
        pictures = golden_pictures(model.size)
        assert_array_equal(model.probabilities(pictures, jobs=2), probabilities)


@golden_models
def test_a_model_of_an_earlier_version_is_described_as_it_was(name: str) -> None:
    found = describe(load(str(GOLDEN / f"{name}.npz")))
    expected = PREDICTED["models"][name]["description"]
    assert found.pop("decoding") == {"profiles": "ignored"}
    assert found | {"norm_w": 0.0} == expected | {"norm_w": 0.0}
    assert_allclose(found["norm_w"], expected["norm_w"], rtol=1e-14)


@pytest.mark.parametrize("name", ["model_v1", *PREDICTED["models"]])
def test_a_model_of_an_earlier_version_loses_nothing_when_it_is_saved_again(
    tmp_path: Path, name: str
) -> None:
    path = GOLDEN / f"{name}.npz"
    save(load(str(path)), tmp_path / "m.npz")
    assert (tmp_path / "m.npz").read_bytes() == path.read_bytes()


# --- what is no model ---

Members = dict[str, bytes]


def npy(values: ArrayLike, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(values), **options)
    return buffer.getvalue()


def npy_with_header(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def good_members(folder: Path) -> Members:
    path = folder / "good.npz"
    save(made_model(), str(path))
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def meta(**changes: Any) -> Members:
    """Member meta with changed values; those that are `...` are left out."""
    values: dict[str, Any] = {
        "features": {"name": "pixels", "size": SIZE},
        "positive": "cat",
        "negative": "dog",
        "threshold": 0.5,
        "training": {},
    } | changes
    values = {key: value for key, value in values.items() if value is not ...}
    return meta_text(json.dumps(values))


def meta_text(text: str | bytes) -> Members:
    data = text.encode() if isinstance(text, str) else text
    return {"meta.npy": npy(np.frombuffer(data, np.uint8))}


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("evil",)


WIDE = np.zeros((N_X, 1))

# What is put in place of a good member, by the reason why it must be refused.
BAD_MEMBERS: dict[str, Members] = {
    "w is flat": {"w.npy": npy(np.zeros(N_X))},
    "w is a row": {"w.npy": npy(WIDE.T)},
    "w of another size": {"w.npy": npy(np.zeros((N_X + 3, 1)))},
    "w is empty": {"w.npy": npy(np.zeros((0, 1)))},
    "w is float32": {"w.npy": npy(WIDE.astype("f4"))},
    "w is integer": {"w.npy": npy(WIDE.astype("i8"))},
    "w is complex": {"w.npy": npy(WIDE.astype(complex))},
    "w is byte-swapped": {"w.npy": npy(WIDE.astype(">f8"))},
    "w is text": {"w.npy": npy(np.full((N_X, 1), "x"))},
    "w is empty bytes": {"w.npy": npy(np.zeros((N_X, 1), "S1").astype("S0"))},
    "w is bool": {"w.npy": npy(WIDE.astype(bool))},
    "w is dates": {"w.npy": npy(WIDE.astype("M8[s]"))},
    "w is structured": {"w.npy": npy(np.zeros((N_X, 1), [("a", "f8")]))},
    "w has a subarray dtype": {
        "w.npy": npy_with_header(
            "{'descr': ('<f8', (1,)), 'fortran_order': False, 'shape': (48, 1)}", bytes(8 * N_X)
        )
    },
    "w is NaN": {"w.npy": npy(np.full((N_X, 1), np.nan))},
    "w is infinite": {"w.npy": npy(np.full((N_X, 1), -np.inf))},
    "w is objects": {"w.npy": npy(np.full((N_X, 1), Evil()), allow_pickle=True)},
    "w is a pickle": {"w.npy": pickle.dumps(Evil())},
    "w has 40 dimensions": {"w.npy": npy(np.zeros((N_X, *[1] * 39)))},
    "w is no array": {"w.npy": b"words"},
    "w is nothing": {"w.npy": b""},
    "w is cut": {"w.npy": npy(WIDE)[:-1]},
    "w is too long": {"w.npy": npy(WIDE) + b"\0"},
    "w of a newer array format": {"w.npy": npy(WIDE, version=(2, 0))},
    "header too long": {
        "w.npy": npy_with_header(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (48, 1)}" + " " * 60_000, bytes(8 * N_X)
        )
    },
    "header is no dict": {"w.npy": npy_with_header("[1, 2]")},
    "header does not parse": {"w.npy": npy_with_header("{'descr': '<f8', ((((")},
    "header does not tokenise": {"w.npy": npy_with_header("{'''")},
    "header nested deeply": {"w.npy": npy_with_header("(" * 3000 + ")" * 3000)},
    "header of an unknown dtype": {
        "w.npy": npy_with_header("{'descr': 'q9', 'fortran_order': False, 'shape': (48, 1)}")
    },
    "header of a dtype without end": {
        "w.npy": npy_with_header("{'descr': [[]], 'fortran_order': False, 'shape': (48, 1)}")
    },
    "negative shape": {
        "w.npy": npy_with_header(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-48, -1)}", bytes(8 * N_X)
        )
    },
    "shape without end": {
        "w.npy": npy_with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**300}, 1)}}")
    },
    "b is a list": {"b.npy": npy([0.5])},
    "b is integer": {"b.npy": npy(1)},
    "b is NaN": {"b.npy": npy(np.nan)},
    "another version": {"version.npy": npy(np.int64(2))},
    "version 0": {"version.npy": npy(np.int64(0))},
    "version is a list": {"version.npy": npy(np.array([1]))},
    "version is float": {"version.npy": npy(1.0)},
    "fingerprints are signed": {"fingerprints.npy": npy(np.array([1]))},
    "fingerprints are a table": {"fingerprints.npy": npy(np.array([[1]], np.uint64))},
    "history is flat": {"history.npy": npy(np.array([1.0]))},
    "history is NaN": {"history.npy": npy(np.array([[np.nan, 0.0, 0.0]]))},
    "unknown member": {"more.npy": npy(1.0)},
    "member that is no array": {"readme.txt": b"hello"},
    "member without suffix": {"w": npy(WIDE)},
    "array of features unasked for": {"feature_x.npy": npy(1.0)},
    "many members": {f"feature_{k}.npy": npy(1.0) for k in range(100)},
    "meta is no JSON": meta_text("words"),
    "meta is empty": meta_text(""),
    "meta is a list": meta_text("[]"),
    "meta is nested deeply": meta_text("[" * 100_000),
    "meta is no UTF-8": meta_text(b"\xff\xfe\xfd"),
    "meta is float": {"meta.npy": npy(np.zeros(3))},
    "no features": meta(features=...),
    "features is text": meta(features="pixels"),
    "features has no name": meta(features={"size": SIZE}),
    "features is a list": meta(features={"name": ["pixels"], "size": SIZE}),
    "unknown features": meta(features={"name": "smells", "size": SIZE}),
    "no size": meta(features={"name": "pixels"}),
    "size is text": meta(features={"name": "pixels", "size": "4"}),
    "size is true": meta(features={"name": "pixels", "size": True}),
    "size 0": meta(features={"name": "pixels", "size": 0}),
    "size below 0": meta(features={"name": "pixels", "size": -4}),
    "another size": meta(features={"name": "pixels", "size": 5}),
    "size without end": meta(features={"name": "pixels", "size": 10**200}),
    "size of too many digits": meta_text('{"features": {"size": ' + "9" * 5000 + "}}"),
    "no positive": meta(positive=...),
    "positive is a number": meta(positive=1),
    "negative is null": meta(negative=None),
    "positive is half a character": meta(positive="\ud83d"),
    "negative is half a character": meta(negative="cat\ude00"),
    "no threshold": meta(threshold=...),
    "threshold 2": meta(threshold=2),
    "threshold below 0": meta(threshold=-0.1),
    "threshold is NaN": meta(threshold=float("nan")),
    "threshold is text": meta(threshold="0.5"),
    "threshold is true": meta(threshold=True),
    "training is a list": meta(training=[]),
}


def reason(path: Path) -> str:
    before = open_files()
    with pytest.raises(ModelFileError) as caught:
        load(str(path))
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert open_files() == before
    return caught.value.reason


@pytest.mark.parametrize("kind", BAD_MEMBERS)
def test_a_bad_member_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "m.npz", good_members(tmp_path) | BAD_MEMBERS[kind])
    assert reason(path).startswith("is not a catclf model (")
    assert not (tmp_path / "evil").exists()


def test_reasons_name_what_was_expected_and_found(tmp_path: Path) -> None:
    good = good_members(tmp_path)
    expected = {
        "w of another size": "w is (51, 1) float64; expected (48, 1) float64",
        "another version": "its format is version 2; expected 1",
        "threshold 2": "meta has threshold = 2; expected 0 to 1",
        "w is NaN": "member 'w' has values that are not finite",
    }
    for kind, text in expected.items():
        assert text in reason(write(tmp_path / "m.npz", good | BAD_MEMBERS[kind]))


@pytest.mark.parametrize("name", ["version", "w", "b", "meta", "fingerprints", "history"])
def test_a_missing_member_is_named(tmp_path: Path, name: str) -> None:
    members = good_members(tmp_path)
    del members[f"{name}.npy"]
    assert f"{name} is missing" in reason(write(tmp_path / "m.npz", members))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.npz", good_members(tmp_path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("w.npy", npy(WIDE))
    assert "unexpected member 'w.npy'" in reason(path)


def test_deflated_members_are_read_as_stored_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "m.npz", good_members(tmp_path), zipfile.ZIP_DEFLATED)
    assert_same(load(str(path)), made_model())


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, compression: int) -> None:
    path = write(tmp_path / "m.npz", good_members(tmp_path), compression)
    assert "is compressed in an unexpected way" in reason(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.npz", good_members(tmp_path))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the first member …
    data[data.index(b"PK\x01\x02") + 8] |= 1  # … and in the directory
    path.write_bytes(data)
    assert "is not a catclf model (" in reason(path)


def test_model_without_columns_in_order_is_the_same(tmp_path: Path) -> None:
    fortran = np.asfortranarray(made_model().w.reshape(-1, 1))
    path = write(tmp_path / "m.npz", good_members(tmp_path) | {"w.npy": npy(fortran)})
    assert_same(load(str(path)), made_model())


@pytest.mark.parametrize(
    ("header", "zeros"),
    [
        (b"", 300_000_000),
        (b"", 50_000_000),
        (npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (48, 1)}"), 50_000_000),
    ],
    ids=["beyond the limit", "no array", "more than its shape"],
)
def test_a_bomb_of_zeros_is_refused_without_unpacking_it(
    tmp_path: Path, header: bytes, zeros: int
) -> None:
    path = tmp_path / "m.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("w.npy", "w") as member,
    ):
        member.write(header)
        for _ in range(zeros // 10_000_000):
            member.write(bytes(10_000_000))
    assert path.stat().st_size < 3_000_000
    tracemalloc.start()
    try:
        reason(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_size_that_no_picture_can_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "m.npz", good_members(tmp_path))
    monkeypatch.setattr(model_module, "LARGEST_SIZE", SIZE - 1)
    assert "takes pictures of size 4; expected at most 3" in reason(path)


@pytest.mark.parametrize("data", [b"", b"words", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_of_arrays_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(data)
    assert reason(tmp_path / "m.npz").startswith("is not a catclf model (")


@pytest.mark.parametrize("value", [{"a": 1}, np.zeros(3)])
def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.npz").write_bytes(pickle.dumps([value, Evil()]))
    assert reason(tmp_path / "m.npz").startswith("is not a catclf model (")
    assert not (tmp_path / "evil").exists()


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "self").symlink_to("self")
    assert reason(tmp_path / "missing") == "no such file or directory"
    assert reason(tmp_path / "self") == "too many levels of symbolic links"
    assert reason(tmp_path) == "is a directory"
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        assert reason(path) == "is not a regular file"


def positions(size: int) -> Iterator[int]:
    """Some fifty positions in a file of `size` bytes, its ends among them."""
    yield from range(0, size, max(1, size // 50))
    yield from range(size - 30, size)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "m.npz", good_members(tmp_path)).read_bytes()
    for end in positions(len(data)):
        (tmp_path / "m.npz").write_bytes(data[:end])
        what = "is damaged (" if end >= 4 else "is not a catclf model ("
        assert reason(tmp_path / "m.npz").startswith(what)


@given(flips=st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 255)), min_size=1, max_size=3))
@settings(deadline=None, max_examples=200)
def test_an_altered_model_is_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "altered.npz"
    data = bytearray(write(path, good_members(path.parent)).read_bytes())
    for position, change in flips:
        data[position % len(data)] ^= change
    path.write_bytes(data)
    try:
        model = load(str(path))
    except ModelFileError as error:
        assert error.path == str(path)
    else:  # checksums cover the data, so only the packaging was touched
        assert_same(model, made_model())


# --- borders ---


def test_a_file_at_the_limits_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "m.npz")
    model = made_model()
    save(model, path)
    with zipfile.ZipFile(path) as archive:
        count, total = len(archive.infolist()), sum(entry.file_size for entry in archive.infolist())
    for name, limit, expected in (
        ("_MOST_MEMBERS", count, f"it has {count} members"),
        ("_LARGEST_FILE", total, f"its members would take {total} bytes"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(model_module, name, limit)
            load(path)
            patched.setattr(model_module, name, limit - 1)
            with pytest.raises(ModelFileError, match=expected):
                load(path)
    size = sum(
        array.nbytes + model_module._LARGEST_HEADER for array in model_module._members(model).values()
    )
    monkeypatch.setattr(model_module, "_LARGEST_FILE", size)
    save(model, path)
    monkeypatch.setattr(model_module, "_LARGEST_FILE", size - 1)
    with pytest.raises(OutputError, match=f"would take {size} bytes"):
        save(model, path)


def test_a_prior_moves_b_by_the_difference_of_the_log_odds() -> None:
    model = made_model(training=Provenance(positive_share=0.2))
    moved = model.with_prior(0.5)
    assert moved.b == pytest.approx(model.b + np.log(4))
    assert_array_equal(moved.w, model.w)
    assert model.with_prior(0.2).b == pytest.approx(model.b)
    for share in (0, 1, -0.1, 1.1, np.nan):
        with pytest.raises(ConfigError, match="above 0 and below 1"):
            model.with_prior(share)
    for before in (None, 0.0, 1.0):
        with pytest.raises(ConfigError, match="does not record the shares of its training data"):
            made_model(training=Provenance(positive_share=before)).with_prior(0.5)


def test_an_empty_model_has_no_history_and_no_pictures() -> None:
    model = Model(np.zeros(N_X), 0.0, Pixels(SIZE), "cat", "dog")
    assert model.history.shape == (0, 4)
    assert model.fingerprints.shape == (0,)
    assert model.label(0.5) == "cat"
    assert model.label(0.5, 0.6) == "dog"


def test_an_array_of_four_dimensions_is_refused(tmp_path: Path) -> None:
    save(made_model(), tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as archive:
        members = {**archive, "feature_a": np.zeros((1, 1, 1, 1))}
    np.savez(tmp_path / "m.npz", **members)
    with pytest.raises(ModelFileError, match=r"member 'feature_a' has shape \(1, 1, 1, 1\)"):
        load(str(tmp_path / "m.npz"))


@pytest.mark.parametrize("deep", [60, 600, 200_000])
def test_what_is_nested_without_end_is_no_model(tmp_path: Path, deep: int) -> None:
    """`info --json` of one whose provenance held a list 600 deep was a traceback."""
    path = tmp_path / "m.npz"
    save(made_model(), path)
    with np.load(path) as file:
        members = dict(file)
    text = members["meta"].tobytes().decode()
    text = text[:-1] + ', "more": ' + "[" * deep + "]" * deep + "}"
    np.savez(path, **{**members, "meta": np.frombuffer(text.encode(), np.uint8)})
    with pytest.raises(ModelFileError, match="nested too deeply"):
        load(str(path))
