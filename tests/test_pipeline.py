"""The three tools on small made data and, where it is, on real data."""

from __future__ import annotations

import errno
import io
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from catclf import fingerprints, fitting
from catclf.cli.parameters import spelling
from catclf.cli.train_command import command
from catclf.config import DescentSettings, ReadOptions, TrainSettings
from catclf.engines import Sweeping
from catclf.errors import ConfigError, DataError, TooFewPicturesError, TrainingError, spelled
from catclf.features.pixels import Pixels
from catclf.fitting import Fitted
from catclf.images.inputs import Input
from catclf.images.labelled import Labelled
from catclf.metrics import mcnemar
from catclf.model import Model, load, save
from catclf.pipeline import training
from catclf.pipeline.classes import labels_by_name, negative_class, positive_class
from catclf.pipeline.evaluation import _ranked, evaluate
from catclf.pipeline.gallery import Gallery
from catclf.pipeline.prediction import Prediction, predict
from catclf.pipeline.training import Fit, train
from catclf.progress import Progress
from catclf.work.spread import MOST
from tests.conftest import ROOT
from tests.pictures import (
    cats_and_dogs,
    class_folder,
    course_h5,
    noise,
    save_h5,
    save_picture,
    save_turned,
)

SIZE = 8
GOLDEN = Path(__file__).parent / "golden"


def made_model(size: int = SIZE) -> Model:
    """Any weights: probabilities differ from picture to picture."""
    w = np.random.default_rng(1).standard_normal(3 * size**2) / size
    return Model(w=w, b=0.1, features=Pixels(size), positive="cat", negative="non-cat")


def settings(descent: dict[str, Any] | None = None, **others: Any) -> TrainSettings:
    usual: dict[str, Any] = {"learning_rate": 0.05, "iterations": 100, "stop": "none"}
    read: dict[str, Any] = {"jobs": 1}
    for name in [field.name for field in fields(ReadOptions) if field.name in others]:
        read[name] = others.pop(name)
    return TrainSettings(DescentSettings(**usual | (descent or {})), ReadOptions(**read), **others)


ONE_THREAD = ReadOptions(jobs=1)
OR_FAIL = ReadOptions(on_error="fail")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 separable pictures in the course's layout."""
    return course_h5(tmp_path_factory.mktemp("data") / "train.h5", m=24)


@pytest.fixture(scope="module")
def fitted(data: Path) -> Fit:
    return train(data, settings())


# --- train ---


def test_separable_pictures_are_separated(data: Path, fitted: Fit) -> None:
    assert fitted.train_accuracy == 1.0
    assert fitted.counts == {"non-cat": 12, "cat": 12}
    assert (fitted.m, fitted.n_x, fitted.iterations) == (24, 192, 100)
    assert (fitted.model.positive, fitted.model.negative) == ("cat", "non-cat")
    scores = evaluate(fitted.model, data, read=ONE_THREAD).scores
    assert scores.accuracy == 1.0
    assert scores.confusion.tp == scores.confusion.tn == 12


def test_history_begins_with_a_blind_guess_and_ends_with_the_model(fitted: Fit) -> None:
    assert_allclose(fitted.history[0].cost, np.log(2), rtol=1e-12)
    assert fitted.history[-1] == fitted.last
    assert fitted.last.cost < 0.2


def test_the_saved_model_evaluates_alike(tmp_path: Path, data: Path, fitted: Fit) -> None:
    save(fitted.model, str(tmp_path / "m.npz"))
    of_file = evaluate(tmp_path / "m.npz", data)
    assert_array_equal(of_file.probabilities, evaluate(fitted.model, data).probabilities)


def test_the_kind_of_source_makes_no_difference(tmp_path: Path) -> None:
    of_folder = train(class_folder(tmp_path / "f", m=10), settings(size=SIZE))
    pixels, y = cats_and_dogs(10)
    classes = np.array([b"dog", b"cat"])
    path = save_h5(tmp_path / "a.h5", a_set_x=pixels, a_set_y=y, list_classes=classes)
    of_file = train(path, settings())
    assert of_folder.model.positive == of_file.model.positive == "cat"
    assert_allclose(of_folder.model.w, of_file.model.w, rtol=1e-9, atol=1e-12)
    assert_allclose(of_folder.model.b, of_file.model.b, rtol=1e-9)


def test_threads_and_engines_change_no_result(data: Path, fitted: Fit) -> None:
    for engine in ("primal", "gram", "stream"):
        for jobs in (1, 2):
            other = train(data, settings(engine=engine, jobs=jobs))
            assert other.engine == engine
            assert_allclose(other.model.w, fitted.model.w, rtol=1e-7, atol=1e-10)


def test_the_same_settings_give_the_same_bytes(tmp_path: Path, data: Path) -> None:
    for name in ("a", "b"):
        fit = train(data, settings({"start": "random", "seed": 3}, validation=0.25))
        save(fit.model, str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_skipped_and_ignored_files_are_counted(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "f", m=10)
    (folder / "cat" / "bad.png").write_bytes(b"")
    (folder / "dog" / "Thumbs.db").write_bytes(b"")
    fit = train(folder, settings(size=SIZE))
    assert [error.reason for error in fit.skipped] == ["is empty"]
    assert (fit.ignored, fit.m) == (1, 10)
    with pytest.raises(DataError, match="is empty"):
        train(folder, settings(size=SIZE, on_error="fail"))


def test_progress_hears_of_the_reading_and_of_every_recorded_step(tmp_path: Path) -> None:
    class Log(Progress):
        def __init__(self) -> None:
            self.read: list[tuple[str, int, int]] = []
            self.steps: list[int] = []

        def advanced(self, what: str, done: int, total: int) -> None:
            self.read.append((what, done, total))

        def step(self, step: Any) -> None:
            self.steps.append(step.step)

    log = Log()
    fit = train(class_folder(tmp_path / "f", m=4), settings(size=SIZE), progress=log)
    assert log.read == [("pictures read", k, 4) for k in (1, 2, 3, 4)]
    assert log.steps == [step.step for step in fit.history]


def test_an_interrupted_training_keeps_the_best_so_far(data: Path) -> None:
    class Impatient(Progress):
        asked = 0

        def interrupted(self) -> bool:
            self.asked += 1
            return self.asked > 5

    fit = train(data, settings(), progress=Impatient())
    assert fit.stop_reason == "interrupted"
    assert not fit.converged
    assert fit.last.cost < np.log(2)
    assert fit.iterations == 5


def test_divergence_is_an_error_with_a_usable_learning_rate(tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(12)
    torn = save_h5(  # a third of the pictures occur with both labels, so no weights are right
        tmp_path / "torn.h5",
        a_set_x=np.concatenate([pixels, pixels[:6]]),
        a_set_y=np.concatenate([y, 1 - y[:6]]),
    )
    with pytest.raises(TrainingError) as caught:
        train(torn, settings({"learning_rate": 1e4, "iterations": 2000}))
    advice = spelled(caught.value.advice)
    assert "The learning rate 10000 is too large" in advice
    usable = float(advice.split("use learning_rate='auto' or ")[1].split()[0])
    fit = train(torn, settings({"learning_rate": usable, "iterations": 500}))
    assert fit.last.cost < np.log(2)
    assert not any("learning rate" in warning for warning in fit.warnings)


def test_a_rate_above_the_limit_of_stability_is_warned_of(data: Path, fitted: Fit) -> None:
    rate = 1.5 * fitted.learning_rate_limit
    fit = train(data, settings({"learning_rate": rate, "iterations": 3}))
    assert any("above the limit of stability" in warning for warning in fit.warnings)


# --- classes ---


def labelled(classes: tuple[str, ...], labels: list[int], usual: str | None) -> Labelled:
    return Labelled(
        source="photos",
        labels=np.array(labels, dtype=np.intp),
        classes=classes,
        paths=("",) * len(labels),
        usual_positive=usual,
    )


@pytest.mark.parametrize(
    ("wanted", "usual", "expected"),
    [(None, "cat", "cat"), ("dog", "cat", "dog"), ("bird", None, "bird")],
)
def test_the_positive_class_is_the_one_wanted_or_the_usual_one(
    wanted: str | None, usual: str | None, expected: str
) -> None:
    data = labelled(("bird", "cat", "dog"), [0, 1, 2], usual)
    assert positive_class(data, wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "usual", "labels", "message"),
    [
        ("cow", "cat", [0, 1], "photos: has no class 'cow'; it has cat, dog"),
        (
            None,
            None,
            [0, 1],
            "photos: has the classes cat, dog; say which is positive: positive='cat' or positive='dog'",
        ),
        (None, "cat", [1, 1], "photos: has no picture of 'cat'; training needs both classes"),
        (None, "cat", [0, 0], "photos: has only pictures of 'cat'; training needs both classes"),
    ],
)
def test_without_a_positive_class_or_its_opposite_the_classes_are_listed(
    wanted: str | None, usual: str | None, labels: list[int], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        positive_class(labelled(("cat", "dog"), labels, usual), wanted)
    assert str(caught.value) == message


def test_the_negative_class_is_the_other_one_or_all_others() -> None:
    assert negative_class(("cat", "dog"), "dog") == "cat"
    assert negative_class(("bird", "cat", "dog"), "cat") == "not cat"
    assert negative_class(("cat",), "cat") == "not cat"


@pytest.mark.parametrize(
    ("classes", "negative", "expected"),
    [
        (("cat", "dog"), "dog", [1, 0]),
        (("dog", "cat"), "dog", [0, 1]),
        (("Cats", "DOGS"), "dog", [1, 0]),
        (("cats", "plane"), "dog", [1, 0]),  # everything else is negative
        (("dogs", "Plane "), "dog", [0, 0]),  # no cats at all, but names that are known
        (("cats", "dogs"), None, [1, 0]),
    ],
)
def test_labels_follow_the_names_and_not_the_numbers(
    classes: tuple[str, ...], negative: str | None, expected: list[int]
) -> None:
    negatives = () if negative is None else (negative, "plane")
    y = labels_by_name(labelled(classes, [0, 1], None), "cat", negatives)
    assert y.tolist() == expected


@pytest.mark.parametrize(
    "classes", [("bird", "fish"), ("kitty", "dogs"), ("dog", "plane"), ("my cats", "other")]
)
@pytest.mark.parametrize("negatives", [("dog",), ()])
def test_names_that_do_not_match_are_both_listed(
    classes: tuple[str, ...], negatives: tuple[str, ...]
) -> None:
    with pytest.raises(DataError) as caught:
        labels_by_name(labelled(classes, [0, 1], None), "cat", negatives)
    known = ", ".join(("cat", *negatives))
    expected = f"photos: has the classes {', '.join(classes)}; the model knows {known}: "
    assert str(caught.value) == f"{expected}rename the folders, or use a CSV with path,label"
    with pytest.raises(DataError) as caught:
        labels_by_name(labelled(classes, [0, 1], None), "cat", negatives, nameable=True)
    assert str(caught.value) == f"{expected}name the class that is 'cat' with positive='NAME'"
    y = labels_by_name(labelled(classes, [0, 1], None), "cat", negatives, named=classes[0].upper())
    assert y.tolist() == [1, 0]


def test_a_class_that_is_named_must_be_there() -> None:
    with pytest.raises(DataError, match=r"has no class 'cow'; it has bird, fish"):
        labels_by_name(labelled(("bird", "fish"), [0, 1], None), "cat", ("dog",), named="cow")


@pytest.mark.parametrize(
    ("made", "wanted", "message"),
    [
        (["pets"], None, "has only the class pets; did you mean nest/pets?"),
        (["pets"], "cat", "has no class 'cat'; it has pets; did you mean nest/pets?"),
        (["pets"], "cow", "has no class 'cow'; it has pets"),
        (
            ["test", "train"],
            None,
            "has the classes test, train; did you mean nest/test or nest/train? If not, say which is "
            "positive: positive='test' or positive='train'",
        ),
    ],
)
def test_who_names_the_folder_above_the_data_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: list[str],
    wanted: str | None,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in made:
        class_folder(tmp_path / "nest" / name, m=4)
    with pytest.raises(DataError) as caught:
        train("nest", settings(positive=wanted))
    assert str(caught.value) == f"nest: {message}"


def test_who_evaluates_on_the_folder_above_the_data_is_told(tmp_path: Path, fitted: Fit) -> None:
    class_folder(tmp_path / "nest" / "pets", m=4)
    with pytest.raises(DataError, match=r"the model knows cat, non-cat; did you mean .*/nest/pets\?$"):
        evaluate(fitted.model, tmp_path / "nest")


def test_classes_that_do_not_fit_are_told_before_a_picture_is_decoded(
    tmp_path: Path, fitted: Fit
) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "broken.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="say which is positive"):
        train(tmp_path, settings(on_error="fail"))
    with pytest.raises(DataError, match="the model knows cat"):
        evaluate(fitted.model, tmp_path, read=OR_FAIL)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.nef").touch()
    progress = Ignored()
    with pytest.raises(DataError, match="has no picture of 'cat'"):
        train(tmp_path, settings(on_error="fail"), progress=progress)
    assert progress.paths == [str(tmp_path / "cat" / "a.nef")]  # which is why


class Ignored(Progress):
    paths: list[str]

    def ignored(self, paths: Sequence[str]) -> None:
        self.paths = list(paths)


def test_a_class_of_unreadable_pictures_is_told_as_what_it_is(tmp_path: Path) -> None:
    data = class_folder(tmp_path, m=4)
    for path in (data / "cat").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="has no readable picture of 'cat'"):
        train(data, settings())


def test_other_classes_for_validation_are_told_before_a_picture_of_them_is_decoded(
    tmp_path: Path,
) -> None:
    data = class_folder(tmp_path / "data", m=4)
    (tmp_path / "other" / "dog").mkdir(parents=True)
    (tmp_path / "other" / "dog" / "broken.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="the model knows cat"):
        train(data, settings(validation=str(tmp_path / "other"), on_error="fail"))


def test_one_class_is_not_asked_whether_it_is_positive() -> None:
    one = labelled(("ant",), [0], None)
    with pytest.raises(DataError, match="photos: has only the class ant; training needs two"):
        positive_class(one, None)


def test_the_names_of_classes_are_quoted_for_the_shell() -> None:
    two = labelled(("my cats", "rest"), [0, 1], None)
    with pytest.raises(DataError, match="positive: positive='my cats' or positive='rest'") as caught:
        positive_class(two, None)
    shown = spelled(caught.value.parts(), spelling(command))
    assert shown.endswith("positive: --positive 'my cats' or --positive rest")


def test_evaluation_does_not_depend_on_the_numbers_of_the_classes(tmp_path: Path, fitted: Fit) -> None:
    pixels, y = cats_and_dogs(10, seed=5)
    classes = np.array([b"cat", b"dog"])
    path = save_h5(tmp_path / "a.h5", a_set_x=pixels, a_set_y=1 - y, list_classes=classes)
    found = evaluate(fitted.model, path)
    assert_array_equal(found.y, y)
    assert found.scores.accuracy == 1.0


# --- validation and cross-validation ---


def test_a_share_of_each_class_is_held_out(data: Path) -> None:
    fit = train(data, settings(validation=0.25))
    assert fit.m == 18
    assert fit.validation is not None
    assert fit.validation.n == 6
    assert fit.validation.accuracy == 1.0
    assert (fit.validation.confusion.tp, fit.validation.confusion.tn) == (3, 3)
    assert all(np.isfinite(step.validation_cost) for step in fit.history)


def test_pictures_held_out_have_no_influence(tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(20)
    whole = save_h5(tmp_path / "whole.h5", a_set_x=pixels, a_set_y=y)
    fit = train(whole, settings(validation=0.3))
    known = set(fit.model.fingerprints.tolist())
    of_all = train(whole, settings()).model.fingerprints.tolist()
    kept = [k for k, mark in enumerate(of_all) if mark in known]
    assert len(kept) == fit.m == 14
    part = save_h5(tmp_path / "part.h5", a_set_x=pixels[kept], a_set_y=y[kept])
    alone = train(part, settings())
    assert_allclose(fit.model.w, alone.model.w, rtol=1e-9, atol=1e-12)


def test_other_data_can_be_held_out(tmp_path: Path, data: Path, fitted: Fit) -> None:
    other = class_folder(tmp_path / "other", m=8, size=20, seed=9)
    fit = train(data, settings(validation=other))
    assert fit.m == 24
    assert fit.validation is not None
    assert fit.validation.n == 8
    assert_allclose(fit.model.w, fitted.model.w, rtol=1e-9, atol=1e-12)


def test_other_data_held_out_is_read_and_told_of_as_the_data_itself(tmp_path: Path, data: Path) -> None:
    other = class_folder(tmp_path / "other", m=8, seed=9)
    (other / "cat" / "bad.png").write_bytes(b"")
    (other / "dog" / "Thumbs.db").write_bytes(b"")
    fit = train(data, settings(validation=str(other)))
    assert [error.path for error in fit.skipped] == [str(other / "cat" / "bad.png")]
    assert (fit.ignored, fit.counts) == (1, {"non-cat": 12, "cat": 12})
    pixels, y = cats_and_dogs(8, seed=9)
    keys: dict[str, Any] = {"x_key": "pictures", "y_key": "labels"}
    stored = [
        save_h5(tmp_path / name, pictures=some, labels=of, list_classes=np.array([b"non-cat", b"cat"]))
        for name, some, of in (("a.h5", *cats_and_dogs(24)), ("b.h5", pixels, y))
    ]
    by_key = train(stored[0], settings(validation=str(stored[1]), **keys))
    assert by_key.validation is not None
    assert (by_key.validation.n, by_key.validation.accuracy) == (8, 1.0)


def test_pictures_held_out_and_trained_on_are_warned_of(tmp_path: Path, data: Path) -> None:
    other = course_h5(tmp_path / "other.h5", m=3, seed=9)
    assert train(data, settings(validation=str(other))).warnings == ()
    pixels, y = cats_and_dogs(24)
    classes = np.array([b"non-cat", b"cat"])
    leaky = tmp_path / "leaky.h5"
    save_h5(leaky, a_set_x=pixels[20:], a_set_y=y[20:], list_classes=classes)
    _, leak = train(data, settings(validation=str(leaky))).warnings
    what = "4 pictures found both held out and trained on, which makes the scores too good"
    assert leak == f"{what}; the first: {leaky}[0] is {data}[20]"
    twice = np.concatenate([pixels, pixels])  # of a share of the pictures itself both stay on one side
    path = save_h5(tmp_path / "twice.h5", a_set_x=twice, a_set_y=np.concatenate([y, y]))
    (warning,) = train(path, settings(validation=0.25)).warnings
    assert "found more than once" in warning


def test_patience_stops_early_and_keeps_the_best(tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(20)
    wrong = save_h5(tmp_path / "wrong.h5", a_set_x=pixels, a_set_y=1 - y)
    path = save_h5(tmp_path / "a.h5", a_set_x=pixels, a_set_y=y)
    fit = train(path, settings({"patience": 5}, validation=str(wrong)))
    assert (fit.stop_reason, fit.iterations, fit.last.step) == ("patience", 5, 0)


def test_too_few_pictures_to_hold_out_or_to_fold_are_counted(tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(3)
    path = save_h5(tmp_path / "a.h5", a_set_x=pixels, a_set_y=y)
    with pytest.raises(TooFewPicturesError, match=r"too few pictures to hold any out \(1\)"):
        train(path, settings(validation=0.5))
    with pytest.raises(TooFewPicturesError, match=r"too few pictures for 2 folds \(1\)"):
        train(path, settings(cv=2))


def test_what_a_fold_refuses_is_not_laid_to_the_number_of_folds(tmp_path: Path) -> None:
    path = course_h5(tmp_path / "a.h5", m=4)  # without one of them a class is too small to choose λ
    with pytest.raises(TooFewPicturesError, match=r"too few pictures to choose the penalty l2 \(1\)"):
        train(path, settings({"l2": "auto"}, cv=2))


def test_cross_validated_scores_are_not_at_the_threshold_tuned_on_them(tmp_path: Path) -> None:
    pixels, y = cats_and_dogs(24)
    y[:6] = 1 - y[:6]
    path = save_h5(tmp_path / "a.h5", a_set_x=pixels, a_set_y=y)
    plain, tuned = (train(path, settings(cv=3, tune_threshold=goal)) for goal in (None, "recall=1"))
    assert tuned.model.threshold < 0.5
    assert tuned.cv == plain.cv
    assert tuned.cv is not None
    assert tuned.cv.threshold == 0.5


def test_cross_validation_scores_every_picture_and_leaves_the_fit_alone(data: Path, fitted: Fit) -> None:
    fit = train(data, settings(cv=4))
    assert fit.cv is not None
    assert (fit.cv.n, fit.cv.accuracy) == (24, 1.0)
    assert_allclose(fit.model.w, fitted.model.w, rtol=1e-9, atol=1e-12)


# --- resume ---


def test_a_resumed_descent_goes_on_where_it_stopped(tmp_path: Path, data: Path) -> None:
    half = {"iterations": 40}
    save(train(data, settings(half)).model, str(tmp_path / "m.npz"))
    resumed = train(data, settings(half), resume=load(str(tmp_path / "m.npz")))
    whole = train(data, settings({"iterations": 80}))
    assert_allclose(resumed.model.w, whole.model.w, rtol=1e-8, atol=1e-11)
    assert_allclose(resumed.model.b, whole.model.b, rtol=1e-8, atol=1e-11)
    assert resumed.model.training.iterations == 80
    assert resumed.iterations == 40


@pytest.mark.parametrize("features", ["pixels", "patches"])
def test_a_model_of_an_earlier_version_is_known_by_its_pictures_and_resumed(features: str) -> None:
    drawings, old = ROOT / "data" / "drawings_test.h5", load(str(GOLDEN / f"{features}_v1.npz"))
    usual: dict[str, Any] = {"learning_rate": "auto", "stop": "gradient"}
    usual["l2"] = old.training.l2
    resumed = train(
        drawings, settings(usual | {"iterations": 20}, features=features, size=old.size), resume=old
    )
    assert resumed.model.training.iterations == 70
    assert resumed.history[0].cost == pytest.approx(old.training.cost, rel=1e-6)
    assert resumed.last.cost < resumed.history[0].cost
    found = evaluate(old, drawings)
    assert [seen.training_index for seen in found.overlap] == list(range(200))
    assert found.scores.accuracy == old.training.train_accuracy
    assert evaluate(resumed.model, drawings).scores_without_overlap.n == 0


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (settings({"loss": "squared-error"}), "loss"),
        (settings({"l2": 0.1}), "l2"),
        (settings({"start": "random"}), "start"),
        (settings(class_weight="balanced"), "class_weight"),
        (settings(flip=True), "flip"),
        (settings(size=4), "size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_problem_is_not_resumed(
    data: Path, fitted: Fit, changed: TrainSettings, name: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(data, changed, resume=fitted.model)
    assert caught.value.name == name


def test_a_share_held_out_stays_so_when_the_descent_goes_on(data: Path) -> None:
    held_out = settings(validation=0.25)
    first = train(data, held_out)
    resumed = train(data, held_out, resume=first.model)
    assert_array_equal(resumed.model.fingerprints, first.model.fingerprints)
    assert resumed.last.validation_cost < first.last.validation_cost
    with pytest.raises(ConfigError, match="seed = 1: must be 0, as in the model to resume"):
        train(data, settings({"seed": 1}, validation=0.25), resume=first.model)


def test_a_penalty_chosen_by_cross_validation_need_not_be_the_same(data: Path, fitted: Fit) -> None:
    resumed = train(data, settings({"l2": "auto"}), resume=fitted.model)
    assert resumed.l2 > 0
    assert resumed.model.training.iterations == 200


def test_other_data_is_not_resumed(tmp_path: Path, fitted: Fit) -> None:
    path = course_h5(tmp_path / "a.h5", m=20)
    with pytest.raises(DataError) as caught:
        train(path, settings(), resume=fitted.model)
    assert str(caught.value) == (
        f"{path}: has the classes {{'non-cat': 10, 'cat': 10}}; "
        "expected {'non-cat': 12, 'cat': 12}, as in the model to resume"
    )


def test_fewer_pictures_are_not_resumed(data: Path, fitted: Fit) -> None:
    with pytest.raises(DataError, match="has the number of training pictures 18; expected 24"):
        train(data, settings(validation=0.25), resume=fitted.model)


def test_other_pictures_are_not_resumed(tmp_path: Path, fitted: Fit) -> None:
    pixels, y = (each[::-1].copy() for each in cats_and_dogs(24))  # in another order
    classes = np.array([b"non-cat", b"cat"])
    same = save_h5(tmp_path / "a.h5", train_set_x=pixels, train_set_y=y, list_classes=classes)
    assert train(same, settings(), resume=fitted.model).model.training.iterations == 200
    pixels[3] ^= 1
    other = save_h5(tmp_path / "b.h5", train_set_x=pixels, train_set_y=y, list_classes=classes)
    with pytest.raises(DataError, match="cannot resume: 1 of 24 pictures is new"):
        train(other, settings(), resume=fitted.model)
    forgetful = replace(fitted.model, fingerprints=np.empty(0, np.uint64))
    assert train(other, settings(), resume=forgetful).m == 24


def test_a_fold_that_diverges_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_fitting, calls = fitting._fitting, []

    def diverging(*arguments: Any, **keywords: Any) -> Sweeping[Fitted]:
        fitted = yield from true_fitting(*arguments, **keywords)
        calls.append(fitted)
        wrong = replace(fitted.descent, stop_reason="diverged")
        return replace(fitted, descent=wrong) if len(calls) == 2 else fitted

    monkeypatch.setattr(fitting, "_fitting", diverging)
    (warning,) = train(data, settings(cv=3)).warnings
    assert warning.startswith("the descent diverged in 1 fold of cross-validation, first at step ")


def test_a_model_of_too_many_pictures_does_not_remember_them(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fingerprints, training):
        monkeypatch.setattr(module, "MOST_KEPT", 23)
    fit = train(data, settings())
    assert "more than 23 pictures are too many to store fingerprints of" in fit.warnings[0]
    save(fit.model, str(tmp_path / "m.npz"))
    assert evaluate(str(tmp_path / "m.npz"), data).overlap == ()


# --- evaluate ---


def test_pictures_that_failed_are_told_and_the_rest_is_scored(tmp_path: Path, fitted: Fit) -> None:
    folder = class_folder(tmp_path / "f", m=10)
    (folder / "cat" / "01.png").write_bytes(b"")
    found = evaluate(fitted.model, folder, read=ReadOptions(jobs=2))
    assert [error.reason for error in found.failed] == ["is empty"]
    assert found.scores.n == len(found.paths) == len(found.probabilities) == 9
    assert found.to_dict()["failed"] == 1
    with pytest.raises(DataError, match="is empty"):
        evaluate(fitted.model, folder, read=OR_FAIL)


@pytest.mark.parametrize(("threshold", "called_cats"), [(0.0, 24), (1.0, 0), (None, 12)])
def test_the_threshold_replaces_that_of_the_model(
    data: Path, fitted: Fit, threshold: float | None, called_cats: int
) -> None:
    confusion = evaluate(fitted.model, data, threshold=threshold).scores.confusion
    assert confusion.tp + confusion.fp == called_cats


def test_data_of_one_class_can_be_evaluated(tmp_path: Path, fitted: Fit) -> None:
    pixels, y = cats_and_dogs(10)
    for name, keep in (("cat", y == 1), ("non-cat", y == 0)):
        folder = tmp_path / f"only-{name}"
        for k, picture in enumerate(pixels[keep]):
            save_picture(folder / name / f"{k}.png", picture)
        assert evaluate(fitted.model, folder).scores.accuracy == 1.0


def test_models_of_other_classes_are_not_compared(data: Path, fitted: Fit) -> None:
    other = train(data, settings(positive="non-cat"))
    with pytest.raises(DataError) as caught:
        evaluate(fitted.model, data, against=other.model)
    found = "the positive classes of the models are 'cat' and 'non-cat'; expected the same class"
    assert str(caught.value) == f"{data}: {found}"


def test_two_models_are_compared_picture_by_picture(tmp_path: Path, fitted: Fit) -> None:
    folder = class_folder(tmp_path / "f", m=20, seed=5)
    (folder / "cat" / "01.png").write_bytes(b"")
    other = made_model()
    one, two = (evaluate(model, folder) for model in (fitted.model, other))
    found = evaluate(fitted.model, folder, against=other)
    assert_array_equal(found.probabilities, one.probabilities)
    assert found.scores == one.scores
    called = [each.probabilities >= 0.5 for each in (one, two)]
    assert found.duel is not None
    assert found.duel.comparison == mcnemar(one.y, *called)
    differing = [path for path, a, b in zip(one.paths, *called, strict=True) if a != b]
    assert 0 < len(differing) < 19
    assert found.duel.differing == tuple(differing)
    assert found.to_dict()["against"]["differing"] == differing
    assert one.duel is None
    assert "against" not in one.to_dict()


def test_a_model_differs_nowhere_from_itself(tmp_path: Path, data: Path, fitted: Fit) -> None:
    save(fitted.model, tmp_path / "m.npz")
    found = evaluate(fitted.model, data, against=tmp_path / "m.npz").duel
    assert found is not None
    assert found.differing == ()
    assert found.comparison is not None
    assert (found.comparison.only_a_right, found.comparison.only_b_right) == (0, 0)


def test_models_of_different_sizes_each_see_their_own(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "f", m=12, size=40, seed=5)
    small, large = made_model(), made_model(16)
    found = evaluate(small, folder, against=large).duel
    assert found is not None
    called = [[answer.label for answer in predict(model, folder)] for model in (small, large)]
    paths = [answer.path for answer in predict(small, folder)]
    differing = [path for path, a, b in zip(paths, *called, strict=True) if a != b]
    assert found.differing == tuple(differing)


@pytest.mark.parametrize("options", [{}, {"threshold": 0.8}, {"prior": 0.1}], ids=str)
def test_a_threshold_and_a_prior_are_for_both_models(
    data: Path, fitted: Fit, options: dict[str, Any]
) -> None:
    other = train(data, settings({"iterations": 3})).model
    found = evaluate(other, data, against=fitted.model, **options).duel
    alone = [evaluate(model, data, **options) for model in (other, fitted.model)]
    limit = options.get("threshold", 0.5)
    assert found is not None
    assert found.comparison == mcnemar(alone[0].y, *(each.probabilities >= limit for each in alone))


def test_progress_hears_of_the_pictures_scored(tmp_path: Path, fitted: Fit) -> None:
    class Log(Ignored):
        def __init__(self) -> None:
            self.done: list[tuple[str, int, int]] = []

        def advanced(self, what: str, done: int, total: int) -> None:
            self.done.append((what, done, total))

    folder, log = class_folder(tmp_path / "f", m=20), Log()
    (folder / "dog" / "notes.txt").touch()
    evaluate(fitted.model, folder, read=ONE_THREAD, progress=log)
    done = [count for _, count, _ in log.done]
    assert log.done == [("pictures scored", count, 20) for count in sorted(set(done))]
    assert done[0] < done[-1] == 20
    assert log.paths == [str(folder / "dog" / "notes.txt")]


# --- the gallery ---


def test_a_gallery_has_all_mistakes_and_then_the_least_sure(tmp_path: Path) -> None:
    folder = class_folder(tmp_path / "f", m=60, size=20, seed=5)
    (folder / "cat" / "01.png").write_bytes(b"")
    found = evaluate(made_model(), folder, threshold=0.6, gallery=True)
    p, y, positions = found.probabilities, found.y, range(len(found.y))
    right = [(p[k] >= 0.6) == (y[k] == 1) for k in positions]
    wrong = sorted((k for k in positions if not right[k]), key=lambda k: p[k] if y[k] == 1 else 1 - p[k])
    sure = sorted((k for k in positions if right[k]), key=lambda k: abs(np.log(p[k] / (1 - p[k]) / 1.5)))
    paths = [found.paths[k] for k in wrong + sure]
    assert 0 < len(wrong) < len(positions)
    assert [shot.path for shot in found.gallery] == paths[: max(24, len(wrong))]
    for shot, k in zip(found.gallery, wrong + sure, strict=False):
        called = ("not cat", "cat")[int(p[k] >= 0.6)]
        assert shot.label == Path(shot.path).parent.name
        assert shot.probability == (p[k] if called == "cat" else 1 - p[k])
        assert shot.thumbnail is not None
        with Image.open(shot.path) as image, Image.open(io.BytesIO(shot.thumbnail)) as seen:
            assert_array_equal(np.asarray(seen), np.asarray(image))


def test_nothing_is_kept_of_pictures_that_nobody_wants_to_see(data: Path, fitted: Fit) -> None:
    assert evaluate(fitted.model, data).gallery == ()


@pytest.mark.parametrize(("name", "side"), [("a.png", 256), ("a.tif", 512)])
def test_large_pictures_are_shown_small_and_whole(tmp_path: Path, name: str, side: int) -> None:
    """Less small where no browser opens the picture itself."""
    save_picture(tmp_path / "f" / "cat" / name, noise(300, 600, 3))
    (shot,) = evaluate(made_model(), tmp_path / "f", gallery=True).gallery
    with Image.open(io.BytesIO(shot.thumbnail or b"")) as image:
        assert image.size == (side, side // 2)
        assert image.format == "JPEG"


def test_a_gallery_keeps_the_lowest_and_of_equal_ones_the_first() -> None:
    gallery, nothing = Gallery[int](3), noise(1, 1, 3)
    for k, rank in enumerate((5.0, 1.0, 1.0, 0.0, 1.0, 9.0)):
        gallery.add((rank,), k, nothing)
    assert [item for item, _ in gallery.kept()] == [3, 1, 2]


def test_how_wrong_is_told_even_where_probabilities_are_all_one() -> None:
    rank = _ranked(np.array([0.0, 1.0]), 0.5)
    assert rank(0, 90.0) < rank(0, 60.0) < rank(0, 0.0) < rank(1, 0.0) < rank(1, 50.0)


# --- predict ---


def mixed_inputs(folder: Path) -> Iterator[str | Path]:
    """More than two chunks of good, broken and missing files, a folder and an HDF5 file."""
    for k in range(2 * MOST + 5):
        path = folder / f"{k:03}.png"
        if k % 7 == 3:
            path.write_bytes(b"broken")
        elif k % 7 != 5:
            save_picture(path, noise(10, 12, 3, seed=k))
        yield str(path)
    yield class_folder(folder / "sub", m=4)
    yield course_h5(folder / "a.h5", m=3)
    (folder / "bad.h5").write_bytes(b"words")
    yield folder / "bad.h5"


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_input_has_one_answer_in_its_place(tmp_path: Path, jobs: int) -> None:
    answers = list(predict(made_model(), mixed_inputs(tmp_path), read=ReadOptions(jobs=jobs)))
    n = 2 * MOST + 5
    expected = [f"{k:03}.png" for k in range(n)]
    expected += ["01.png", "03.png", "00.png", "02.png", "a.h5[0]", "a.h5[1]", "a.h5[2]", "bad.h5"]
    assert [os.path.basename(answer.path) for answer in answers] == expected
    for k, answer in enumerate(answers):
        failed = (k < n and k % 7 in (3, 5)) or answer.path.endswith("bad.h5")
        assert (answer.error is not None) == failed
        assert (answer.label is None) == (answer.probability is None) == failed
        if answer.error is not None:
            assert answer.error.path == answer.path
    alone = [next(predict(made_model(), [answer.path])) for answer in answers[:n]]
    assert_array_equal(probabilities(answers[:n]), probabilities(alone))


def probabilities(answers: list[Prediction]) -> list[float]:
    """NaN for a failure."""
    return [np.nan if answer.probability is None else answer.probability for answer in answers]


def test_answers_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    inputs = list(mixed_inputs(tmp_path))
    one, two = (list(predict(made_model(), inputs, read=ReadOptions(jobs=jobs))) for jobs in (1, 2))
    assert [(a.path, a.label, a.probability, str(a.error)) for a in one] == [
        (a.path, a.label, a.probability, str(a.error)) for a in two
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_few_inputs_are_taken_ahead_of_the_answers(tmp_path: Path, jobs: int) -> None:
    taken = 0

    def inputs() -> Iterator[str]:
        nonlocal taken
        path = str(save_picture(tmp_path / "a.png", noise(8, 8, 3)))
        while True:
            taken += 1
            yield path

    answers = predict(made_model(), inputs(), read=ReadOptions(jobs=jobs))
    for _ in range(100):
        next(answers)
    answers.close()
    assert taken <= 100 + MOST * (1 + 2 * jobs)


@pytest.mark.parametrize("count", [1, 16, 17, 2 * MOST])
@pytest.mark.parametrize("jobs", [1, 2])
def test_inputs_that_break_off_do_not_lose_the_answers_before(
    tmp_path: Path, jobs: int, count: int
) -> None:
    path = str(save_picture(tmp_path / "a.png", noise(8, 8, 3)))

    def inputs() -> Iterator[str]:
        for _ in range(count):
            yield path
        raise DataError("list", "broke off")

    answers = predict(made_model(), inputs(), read=ReadOptions(jobs=jobs))
    assert [next(answers).path for _ in range(count)] == [path] * count
    with pytest.raises(DataError, match="broke off"):
        next(answers)


class Stream(io.BytesIO):
    """Three megabytes that are no picture, or nothing but an error."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self._broken = broken

    def read(self, size: int | None = -1, /) -> bytes:
        del size
        if self._broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return bytes(3_000_000)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_stream_that_cannot_be_read_is_one_error_in_its_place(tmp_path: Path, jobs: int) -> None:
    path = str(save_picture(tmp_path / "a.png", noise(8, 8, 3)))
    inputs: list[Input] = [*[path] * 20, Stream(broken=True), path]
    *first, error, last = predict(made_model(), inputs, read=ReadOptions(jobs=jobs))
    assert [answer.path for answer in (*first, last)] == [path] * 21
    assert all(answer.error is None for answer in (*first, last))
    assert str(error.error) == "-: input/output error"


@pytest.mark.parametrize("jobs", [1, 2])
def test_few_streams_are_kept_in_memory(jobs: int) -> None:
    list(predict(made_model(), [Stream()]))  # whatever is imported is
    tracemalloc.start()
    try:
        answers = list(
            predict(made_model(), (Stream() for _ in range(100)), read=ReadOptions(jobs=jobs))
        )
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
    assert len([answer for answer in answers if answer.error is not None]) == 100


def test_a_row_and_its_picture_have_the_same_probability(tmp_path: Path) -> None:
    pixels = noise(5, 12, 12, 3)
    h5 = save_h5(tmp_path / "a.h5", test_set_x=pixels)
    exported = [save_picture(tmp_path / f"{k}.png", pixels[k]) for k in range(5)]
    of_rows = list(predict(made_model(), [h5], read=ONE_THREAD))
    of_files = list(predict(made_model(), exported, read=ONE_THREAD))
    assert probabilities(of_rows) == probabilities(of_files)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_eight_orientations_have_one_probability(tmp_path: Path, suffix: str) -> None:
    turned = [save_turned(tmp_path / f"{k}.{suffix}", noise(9, 14, 3), k) for k in range(1, 9)]
    answers = list(predict(made_model(), turned, read=ONE_THREAD))
    assert_allclose(probabilities(answers), probabilities(answers[:1]) * 8, rtol=1e-12)


def test_the_bytes_of_a_picture_have_the_probability_of_its_file(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(10, 10, 3)).save(buffer, "WEBP")
    (tmp_path / "a.webp").write_bytes(buffer.getvalue())
    of_stream, of_file = predict(made_model(), [io.BytesIO(buffer.getvalue()), tmp_path / "a.webp"])
    assert of_stream.path == "-"
    assert_allclose(probabilities([of_stream]), probabilities([of_file]), rtol=1e-12)


def test_what_is_predicted_is_what_is_evaluated(data: Path, fitted: Fit) -> None:
    answers = list(predict(fitted.model, [data]))
    found = evaluate(fitted.model, data)
    assert [answer.path for answer in answers] == list(found.paths)
    assert_allclose(probabilities(answers), found.probabilities, rtol=1e-9)


@pytest.mark.parametrize(("threshold", "label"), [(0.0, "cat"), (1.0, "non-cat")])
def test_labels_follow_the_threshold(tmp_path: Path, threshold: float, label: str) -> None:
    path = save_picture(tmp_path / "a.png", noise(8, 8, 3))
    assert [a.label for a in predict(made_model(), [path], threshold=threshold)] == [label]


def test_without_inputs_there_are_no_answers() -> None:
    assert list(predict(made_model(), [])) == []


# --- real data ---


def test_the_course_numbers_are_reproduced(real_data: Path) -> None:
    folder = real_data / "catvnoncat"
    of_course = {"learning_rate": 0.005, "iterations": 2000}
    fit = train(folder / "train_catvnoncat.h5", settings(of_course))
    assert_allclose(fit.train_accuracy, 207 / 209)  # 99.043 %
    costs = {step.step: step.cost for step in fit.history}
    expected = {0: 0.693147, 100: 0.584508, 1000: 0.214820, 1900: 0.140872, 2000: 0.135608}
    assert_allclose([costs[step] for step in expected], list(expected.values()), atol=1e-6)
    found = evaluate(fit.model, folder / "test_catvnoncat.h5")
    assert (found.scores.n, found.scores.accuracy) == (50, 0.7)


def test_eight_real_classes_become_one_against_the_others(real_data: Path) -> None:
    fit = train(real_data / "natural_images", settings({"iterations": 20}, size=16, jobs=2))
    assert (fit.model.positive, fit.model.negative) == ("cat", "not cat")
    assert fit.counts["cat"] == 290
    assert sum(fit.counts.values()) == fit.m == 990
    assert (fit.ignored, fit.skipped) == (7, ())


def test_real_photographs_are_trained_on_and_predicted_in_order(real_data: Path) -> None:
    fit = train(real_data / "pets" / "test", settings({"iterations": 20}, size=16, jobs=2))
    assert (fit.model.positive, fit.model.negative) == ("cats", "dogs")
    assert fit.counts == {"cats": 100, "dogs": 100}
    answers = predict(fit.model, [real_data / "pets" / "test"], read=ReadOptions(jobs=2))
    paths = [answer.path for answer in answers]
    assert len(paths) == 200
    assert paths == sorted(paths, key=os.fsencode)
