"""Errors: what they say, and that they survive the way from one process to another."""

from __future__ import annotations

import pickle

import pytest

from catclf import errors

MADE_OF = {
    errors.CatclfError: ("said",),
    errors.ConfigError: ("l2", -1.0, "zero or more"),
    errors.DataError: ("a.jpg", "is empty"),
    errors.ModelFileError: ("m.npz", "is empty"),
    errors.OutputError: ("out.csv", "is not a regular file"),
    errors.TooFewPicturesError: (1, True, "for 5 folds", "take fewer"),
    errors.TrainingError: (10, 1e9, "Use a smaller learning rate."),
    errors.ClusterError: ("local", "has gone"),
    errors.WorkerError: ("ended early",),
}


def test_there_is_an_example_of_every_public_error() -> None:
    public = {
        value
        for name, value in vars(errors).items()
        if name.endswith("Error") and not name.startswith("_")
    }
    assert set(MADE_OF) == public


@pytest.mark.parametrize("kind", MADE_OF, ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_after_pickling(kind: type[errors.CatclfError]) -> None:
    error = kind(*MADE_OF[kind])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.ConfigError("l2", -1.0, "zero or more"), "l2 = -1.0: must be zero or more"),
        (errors.DataError("a.jpg", "is empty"), "a.jpg: is empty"),
        (
            errors.TooFewPicturesError(1, True, "for 5 folds", "take fewer"),
            "the positive class has too few pictures for 5 folds (1): take fewer",
        ),
        (
            errors.TrainingError(10, 1e9, "Do this."),
            "the descent diverged at step 10 (cost 1e+09). Do this.",
        ),
        (errors.ClusterError("local", "has gone"), "the Dask scheduler local: has gone"),
    ],
)
def test_what_an_error_says(error: errors.CatclfError, said: str) -> None:
    assert str(error) == said
