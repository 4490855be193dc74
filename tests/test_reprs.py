"""What people see of objects at Python's prompt, in a notebook, and of pictures that explain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import catclf
from catclf.features import Placed
from catclf.model import load, save
from catclf.provenance import Provenance
from catclf.report.weights import _words, explanation
from tests.pictures import noise

SETTINGS = catclf.TrainSettings(catclf.DescentSettings(iterations=20), catclf.ReadOptions(size=16), cv=3)


def test_tab_shows_the_public_names() -> None:
    assert {"train", "load", "Fit", "compare_rates", "__version__"} <= set(dir(catclf))
    assert "importlib" not in dir(catclf)
    assert catclf.__version__.count(".") == 2


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    data = catclf.sample()
    fit = catclf.train(data, SETTINGS)
    output = tmp_path_factory.mktemp("packed") / "a.h5"
    return [
        fit,
        fit.model,
        catclf.evaluate(fit.model, data),
        catclf.check(data, catclf.CheckSettings(catclf.ReadOptions(size=16), features="pixels")),
        catclf.pack(data, str(output), catclf.PackSettings(catclf.ReadOptions(size=16))),
        catclf.suggest(data, 2, catclf.NextSettings(catclf.ReadOptions(size=16), features="pixels")),
        catclf.compare_rates(data, [0.001], SETTINGS)[0],
    ]


def test_an_object_is_one_line(objects: list[object]) -> None:
    for one in objects:
        shown = repr(one)
        assert shown.startswith(f"<{type(one).__name__}: ")
        assert "\n" not in shown
        assert len(shown) < 300
        assert str(one) == shown


def test_a_notebook_gets_tables(objects: list[object]) -> None:
    fit, _, evaluation, *_ = objects
    assert isinstance(fit, catclf.Fit)
    assert isinstance(evaluation, catclf.Evaluation)
    assert "<th>cross-validated accuracy</th>" in fit._repr_html_()
    assert "<td>200</td>" in evaluation._repr_html_()


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> catclf.Classifier:
    settings = catclf.TrainSettings(
        catclf.DescentSettings(iterations=20, l2=0.01), catclf.ReadOptions(size=16), features="patches"
    )
    path = str(tmp_path_factory.mktemp("model") / "m.npz")
    save(catclf.train(catclf.sample(), settings).model, path)
    return catclf.load(path)


def test_patches_are_compared_with_the_mean_training_picture(patches: catclf.Classifier) -> None:
    rows = patches.features.rows(noise(1, 16, 16, 3))
    features = patches.features
    assert isinstance(patches.training.mean_places, list)
    usual = np.array(patches.training.mean_places)
    placed: Placed = features  # type: ignore[assignment]
    assert placed.by_place(patches.w).size == usual.size
    beyond = placed.by_place(patches.w * rows[0]).ravel() - usual
    verdict, legend, parts, sigmoid = _words(patches, beyond, 1.25, True)
    assert verdict == f"called {patches.positive}; probability of {patches.positive}: 0.7773"
    assert "more than in the average training picture" in legend
    added = beyond.sum()
    assert parts == f"these places add {added:+.2f}, the rest {1.25 - added:+.2f}: z = +1.25"
    assert sigmoid.endswith("0.7773")


def test_the_mean_of_the_training_pictures_explains_nothing(tmp_path: Path) -> None:
    settings = catclf.TrainSettings(
        catclf.DescentSettings(iterations=20, l2=0.01), catclf.ReadOptions(size=16), features="patches"
    )
    data = str(tmp_path / "a.h5")
    catclf.pack(catclf.sample(), data, catclf.PackSettings(settings.read))
    model = catclf.train(data, settings).model
    with h5py.File(data) as file:
        (name,) = (key for key in file if key.endswith("_x"))
        pictures = file[name][:]
    features: Placed = model.features  # type: ignore[assignment]
    added = [features.by_place(model.w * row) for row in features.rows(pictures)]
    assert model.training.mean_places is not None
    np.testing.assert_allclose(np.mean(added, axis=0).ravel(), model.training.mean_places, atol=1e-4)


@pytest.mark.parametrize("names", [("cat", "dog"), ("猫", "犬"), ("a\tb", "c")])
def test_a_name_that_cannot_be_drawn_is_left_to_words(
    patches: catclf.Classifier, names: tuple[str, str]
) -> None:
    named = replace(patches, positive=names[0], negative=names[1])
    said = " ".join(_words(named, np.zeros((2, 2)), -1.0, False))
    assert ("called dog" if names[0] == "cat" else "called negative") in said
    drawn = explanation(named, noise(16, 16, 3))
    assert drawn.width > drawn.height


def test_other_facts_than_numbers_are_not_known(tmp_path: Path) -> None:
    for wrong in ([1.0, "x"], [float("nan")], [True]):
        assert Provenance.from_dict({"mean_places": wrong}).mean_places is None
    model = load(str(_saved(tmp_path)))
    assert replace(model, training=Provenance(mean_places=[0.5])).training.mean_places == [0.5]


def _saved(folder: Path) -> Path:
    fit = catclf.train(catclf.sample(), catclf.TrainSettings(catclf.DescentSettings(iterations=2)))
    save(fit.model, str(folder / "m.npz"))
    return folder / "m.npz"
