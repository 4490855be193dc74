"""The estimator: scikit-learn's own checks, and the same numbers as `catclf.train`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from catclf import (
    ConfigError,
    DescentSettings,
    PictureClassifier,
    ReadOptions,
    TrainingError,
    TrainSettings,
    train,
)
from tests.pictures import cats_and_dogs, course_h5, load_labelled


def checks() -> Any:
    with pytest.warns(UserWarning, match="does not inherit"):  # which is the point of it
        return list(estimator_checks_generator(PictureClassifier()))


def name(check: Any) -> str:
    return str(getattr(check, "func", check).__name__)


@pytest.mark.parametrize("check", [check for _, check in checks()], ids=name)
def test_scikit_learn_finds_an_estimator(check: Any) -> None:
    check(PictureClassifier())


# --- the same numbers ---


@pytest.fixture
def numbers() -> tuple[Any, Any]:
    """300 rows of 5 numbers with overlapping classes."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 5))
    y = np.where(X @ [1, -2, 0.5, 0, 1] + rng.standard_normal(300) > 0.3, "yes", "no")
    return X, y


@pytest.mark.parametrize("engine", ["primal", "gram"])
def test_rows_have_the_optimum_that_scikit_learn_finds(numbers: tuple[Any, Any], engine: str) -> None:
    X, y = numbers
    ours = PictureClassifier(l2=0.01, iterations=20_000, epsilon=1e-8, engine=engine).fit(X, y)
    theirs = LogisticRegression(C=1 / (0.01 * len(y)), tol=1e-10, solver="newton-cholesky").fit(X, y)
    assert_array_equal(ours.classes_, theirs.classes_)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-5)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("features", ["pixels", "patches"])
def test_pictures_have_the_model_that_train_makes(tmp_path: Path, features: str) -> None:
    data = course_h5(tmp_path / "a.h5", m=24, size=16)
    pictures, labelled = load_labelled(data)
    read = ReadOptions(jobs=1)
    settings = TrainSettings(DescentSettings(iterations=50), read, features=features, flip=True)
    model = train(data, settings).model
    ours = PictureClassifier(iterations=50, features=features, flip=True)
    pixels = pictures[:]
    ours.fit(pixels, labelled.labels)
    assert_allclose(ours.coef_[0], model.w, rtol=1e-12)
    assert_allclose(ours.predict_proba(pixels), model.predict_proba(pixels))
    assert ours.n_features_in_ == 3 * 16**2


# --- inside scikit-learn ---


def test_a_clone_has_the_parameters_and_not_the_fit(numbers: tuple[Any, Any]) -> None:
    ours = PictureClassifier(l2=0.5, momentum=0.9).fit(*numbers)
    copy = clone(ours)
    assert copy.get_params() == ours.get_params()
    assert not hasattr(copy, "coef_")
    assert repr(copy) == "PictureClassifier(momentum=0.9, l2=0.5)"


def test_it_is_cross_validated_searched_and_put_into_a_pipeline(numbers: tuple[Any, Any]) -> None:
    X, y = numbers
    pipeline = make_pipeline(StandardScaler(), PictureClassifier(iterations=200))
    assert cross_val_score(pipeline, X, y, cv=4).min() > 0.7
    search = GridSearchCV(PictureClassifier(iterations=200), {"l2": [0.0, 0.01, 100.0]}, cv=3)
    assert search.fit(X, y).best_params_["l2"] < 100
    assert search.score(X, y) > 0.8


def test_pictures_are_cross_validated_as_they_are() -> None:
    pixels, y = cats_and_dogs(24)
    scores = cross_val_score(PictureClassifier(iterations=100), pixels, y, cv=3)
    assert_array_equal(scores, 1.0)


def test_scikit_learn_is_not_needed() -> None:
    code = """
import sys, catclf
ours = catclf.PictureClassifier().fit([[0.0], [1.0]], [0, 1])
print(ours.predict([[2.0]]).tolist(), ours.score([[2.0]], [1]), "sklearn" in sys.modules)
try:
    catclf.PictureClassifier().predict([[0.0]])
except AttributeError as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        *("[1] 1.0 False", "this PictureClassifier is not fitted: call fit first")
    ]


# --- what cannot be ---


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((4, 8, 8, 3)), r"X is \(4, 8, 8, 3\) float64; expected pictures \(m, s, s, 3\) uint8"),
        (np.zeros((4, 8, 9, 3), np.uint8), r"X is \(4, 8, 9, 3\)"),
        (np.zeros((4, 8, 8), np.uint8), "Expected 2D array"),
    ],
)
def test_an_x_of_another_kind_is_refused(X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PictureClassifier().fit(X, [0, 1, 0, 1])


def test_pictures_of_another_size_than_those_of_the_fit_are_refused() -> None:
    pixels, y = cats_and_dogs(6)
    ours = PictureClassifier(iterations=5).fit(pixels, y)
    with pytest.raises(ValueError, match=r"X is \(2, 9, 9, 3\); expected \(m, 8, 8, 3\)"):
        ours.predict(np.zeros((2, 9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match=r"X is \(2, 192\); expected \(m, 8, 8, 3\)"):
        ours.predict(np.zeros((2, 192)))


def test_parameters_are_checked_by_fit(numbers: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="momentum = 2"):
        PictureClassifier(momentum=2).fit(*numbers)
    with pytest.raises(ConfigError, match="flip = True"):
        PictureClassifier(flip=True).fit(*numbers)
    with pytest.raises(ValueError, match="no parameter 'C'"):
        PictureClassifier().set_params(C=1)


def test_a_descent_that_diverges_is_an_error_with_a_usable_rate(numbers: tuple[Any, Any]) -> None:
    with pytest.raises(TrainingError, match=r"The learning rate 1e\+06 is too large"):
        PictureClassifier(learning_rate=1e6, l2=1.0).fit(*numbers)
