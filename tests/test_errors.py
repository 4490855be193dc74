"""Errors: what they say, and that they survive the way from one process to another."""

from __future__ import annotations

import pickle

import pytest

from catclf import errors
from catclf.config import ReadOptions
from catclf.errors import Setting

MADE_OF: dict[type[errors.CatclfError], tuple[object, ...]] = {
    errors.CatclfError: ("said",),
    errors.ConfigError: ("l2", -1.0, "must be zero or more"),
    errors.DataError: ("a.jpg", "is empty"),
    errors.ModelFileError: ("m.npz", "is empty"),
    errors.OutputError: ("out.csv", "is not a regular file"),
    errors.TooFewPicturesError: (1, True, "for 5 folds", "use fewer"),
    errors.MissingExtraError: ("network features", ("onnx", "onnxruntime"), "network"),
    errors.TrainingError: (10, 1e9, "Use a smaller learning rate."),
    errors.ClusterError: ("local", "has gone"),
}


def test_there_is_an_example_of_every_public_error() -> None:
    public = {
        value
        for name, value in vars(errors).items()
        if name.endswith("Error") and not name.startswith("_")
    }
    assert set(MADE_OF) == public


SPEAKING_OF_SETTINGS: list[errors.CatclfError] = [
    errors.ConfigError("patience", 3, "requires ", Setting("validation")),
    errors.DataError("a.h5", "has two; say which: ", Setting("x_key", "train x"), " or another"),
    errors.TooFewPicturesError(1, True, "to choose l2", "as in ", Setting("l2", 0.001)),
    errors.TrainingError(10, 1e9, "Use ", Setting("learning_rate", "auto"), "."),
]
EXAMPLES = [*(kind(*values) for kind, values in MADE_OF.items()), *SPEAKING_OF_SETTINGS]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_pickling(error: errors.CatclfError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert list(again.parts()) == list(error.parts())
    assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.ConfigError("l2", -1.0, "must be zero or more"), "l2 = -1.0: must be zero or more"),
        (errors.DataError("a.jpg", "is empty"), "a.jpg: is empty"),
        (
            errors.TooFewPicturesError(1, True, "for 5 folds", "use fewer"),
            "the positive class has too few pictures for 5 folds (1): use fewer",
        ),
        (
            errors.TrainingError(10, 1e9, "Do this."),
            "the descent diverged at step 10 (cost 1e+09). Do this.",
        ),
        (errors.ClusterError("local", "has gone"), "the Dask scheduler local: has gone"),
        (
            errors.MissingExtraError("network features", ["onnx", "onnxruntime"], "network"),
            "network features need onnx, onnxruntime: pip install 'catclf[network]'",
        ),
        *zip(
            SPEAKING_OF_SETTINGS,
            [
                "patience = 3: requires validation",
                "a.h5: has two; say which: x_key='train x' or another",
                "the positive class has too few pictures to choose l2 (1): as in l2=0.001",
                "the descent diverged at step 10 (cost 1e+09). Use learning_rate='auto'.",
            ],
            strict=True,
        ),
    ],
)
def test_what_an_error_says(error: errors.CatclfError, said: str) -> None:
    assert str(error) == said


def test_settings_of_a_message_can_be_spelled_otherwise() -> None:
    def shouted(setting: Setting) -> str:
        return f"<{setting.name.upper()}>"

    found = [errors.spelled(error.parts(), shouted) for error in SPEAKING_OF_SETTINGS]
    assert found == [
        "patience = 3: requires <VALIDATION>",
        "a.h5: has two; say which: <X_KEY> or another",
        "the positive class has too few pictures to choose l2 (1): as in <L2>",
        "the descent diverged at step 10 (cost 1e+09). Use <LEARNING_RATE>.",
    ]


def test_a_reason_is_the_message_without_the_path() -> None:
    error = errors.DataError("a.h5", "give a ", Setting("size", 8))
    assert (error.path, error.reason) == ("a.h5", "give a size=8")
    assert error.reason_as(lambda setting: f"{setting.name}!") == "give a size!"
    other = error.of("b.h5")
    assert type(other) is errors.DataError
    assert (other.path, other.reason) == ("b.h5", "give a size=8")
    assert other.reason_as(lambda setting: setting.name) == "give a size"


def test_an_error_of_a_setting_is_a_value_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="size = 0: must be between 1 and 1024") as caught:
        ReadOptions(size=0)
    assert isinstance(caught.value, errors.ConfigError)
    assert (caught.value.name, caught.value.value) == ("size", 0)


@pytest.mark.parametrize("text", ["", "a --dash", "100 %", "{braces}", "%s", "\udcff\n"])
def test_any_text_can_be_said(text: str) -> None:
    assert str(errors.DataError(text, text)) == f"{text}: {text}"
    assert errors.DataError(text, text).reason == text
