"""A loaded model asked from Python: paths, arrays, and what cannot be read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import catclf
from tests.pictures import class_folder, course_h5, noise, save_h5, save_picture


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> catclf.Fit:
    data = course_h5(tmp_path_factory.mktemp("data") / "train.h5", m=24)
    return catclf.train(data, catclf.TrainSettings(catclf.DescentSettings(iterations=100)))


@pytest.fixture(scope="module")
def cat(fitted: catclf.Fit, tmp_path_factory: pytest.TempPathFactory) -> catclf.Classifier:
    path = tmp_path_factory.mktemp("model") / "cat.npz"
    catclf.save(fitted.model, path)
    return catclf.load(path)


def test_paths_arrays_and_bytes_have_the_same_probability(
    cat: catclf.Classifier, tmp_path: Path
) -> None:
    pixels = noise(20, 30, 3)
    path = save_picture(tmp_path / "a.png", pixels)
    p = cat.predict_proba([path, str(path), pixels, io.BytesIO(path.read_bytes())])
    assert p.shape == (4, 2)
    assert_array_equal(p, np.repeat(p[:1], 4, axis=0))
    assert_array_equal(p.sum(axis=1), 1.0)
    assert p[0, 1] == next(catclf.predict(cat, [path])).probability


def test_rows_are_in_the_order_of_the_pictures_and_columns_in_that_of_the_classes(
    cat: catclf.Classifier, tmp_path: Path
) -> None:
    folder = class_folder(tmp_path, m=10)
    paths = sorted(folder.rglob("*.png"))
    expected = [path.parent.name == "cat" for path in paths]
    assert list(cat.classes_) == ["non-cat", "cat"]
    assert_array_equal(cat.predict_proba(paths)[:, 1] > 0.5, expected)
    assert_array_equal(cat.predict(paths), np.where(expected, "cat", "non-cat"))


def test_one_path_is_not_taken_for_its_letters(cat: catclf.Classifier, tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png", noise(8, 8, 3))
    assert_array_equal(cat.predict_proba(str(path)), cat.predict_proba([path]))
    assert_array_equal(cat.predict_proba(path), cat.predict_proba([path]))


def test_an_array_of_pictures_a_folder_and_an_hdf5_file_are_many(
    cat: catclf.Classifier, tmp_path: Path
) -> None:
    pictures = noise(5, 12, 9, 3)
    assert_array_equal(cat.predict_proba(pictures), cat.predict_proba(list(pictures)))
    assert cat.predict_proba(class_folder(tmp_path / "f", m=6)).shape == (6, 2)
    assert cat.predict_proba(course_h5(tmp_path / "a.h5", m=3)).shape == (3, 2)
    assert cat.predict_proba([]).shape == (0, 2)


def test_the_first_picture_that_cannot_be_read_is_named(cat: catclf.Classifier, tmp_path: Path) -> None:
    good = save_picture(tmp_path / "a.png", noise(8, 8, 3))
    with pytest.raises(catclf.DataError, match=r"missing\.png: no such file"):
        cat.predict_proba([good, tmp_path / "missing.png"])


def test_how_pictures_are_read_is_an_option(cat: catclf.Classifier, tmp_path: Path) -> None:
    pictures = noise(3, 8, 8, 3)
    path = save_h5(tmp_path / "a.h5", one=pictures, other=255 - pictures)
    for key, expected in (("one", pictures), ("other", 255 - pictures)):
        read = catclf.ReadOptions(x_key=key)
        assert_array_equal(cat.predict_proba(path, read=read), cat.predict_proba(expected))
        assert_array_equal(cat.predict(path, read=read), cat.predict(expected))
    with pytest.raises(catclf.DataError, match="more than the 63 allowed"):
        cat.predict_proba(path, read=catclf.ReadOptions(x_key="one", max_pixels=63))
    with pytest.raises(catclf.DataError, match="no such file"):
        cat.predict_proba(tmp_path / "missing.png", read=catclf.ReadOptions(on_error="skip"))


def test_the_size_is_that_of_the_model(cat: catclf.Classifier) -> None:
    with pytest.raises(catclf.ConfigError, match="size = 16: cannot be chosen: the model"):
        cat.predict_proba(noise(1, 8, 8, 3), read=catclf.ReadOptions(size=16))


@pytest.mark.parametrize(
    "array",
    [
        noise(8, 8, 3) / 255.0,  # nobody could tell whether these are of 0 to 1 or of 0 to 255
        noise(8, 8),
        noise(8, 8, 4),
        noise(2, 8, 8, 3),
        noise(0, 8, 3),
    ],
    ids=["floats", "grey", "four channels", "several pictures", "empty"],
)
def test_an_array_that_is_no_picture_is_named_with_what_was_expected(
    cat: catclf.Classifier, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    with pytest.raises(
        catclf.DataError, match=r"inputs\[1\]: is an array \(.*expected \(h, w, 3\) uint8"
    ):
        cat.predict_proba([noise(8, 8, 3), array])


def test_a_trained_and_a_corrected_model_are_classifiers_too(
    fitted: catclf.Fit, cat: catclf.Classifier
) -> None:
    pictures = noise(3, 8, 8, 3)
    assert_array_equal(fitted.model.predict_proba(pictures), cat.predict_proba(pictures))
    rare = cat.with_prior(0.01)
    assert (rare.predict_proba(pictures)[:, 1] < cat.predict_proba(pictures)[:, 1]).all()


def test_every_public_name_is_there_and_documented() -> None:
    for name in catclf.__all__:
        assert getattr(catclf, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = catclf.nothing
