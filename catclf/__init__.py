"""catclf: a trainer of cat / non-cat picture classifiers that runs from a shell.

The tools of the command line are here as well: `train`, `load`, `evaluate`, `predict`, `pack`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catclf.config import DescentSettings, PackSettings, TrainSettings
    from catclf.errors import (
        CatclfError,
        ConfigError,
        DataError,
        ModelFileError,
        OutputError,
        TooFewPicturesError,
        TrainingError,
    )
    from catclf.estimator import PictureClassifier
    from catclf.model import Model, save
    from catclf.pipeline.classifier import Classifier, load
    from catclf.pipeline.evaluation import Evaluation, evaluate
    from catclf.pipeline.packing import Packed, pack
    from catclf.pipeline.prediction import Prediction, predict
    from catclf.pipeline.training import Fit, train
    from catclf.sample_data import sample

_HOMES = {
    "catclf.config": ("DescentSettings", "PackSettings", "TrainSettings"),
    "catclf.errors": (
        "CatclfError",
        "ConfigError",
        "DataError",
        "ModelFileError",
        "OutputError",
        "TooFewPicturesError",
        "TrainingError",
    ),
    "catclf.estimator": ("PictureClassifier",),
    "catclf.model": ("Model", "save"),
    "catclf.pipeline.classifier": ("Classifier", "load"),
    "catclf.pipeline.evaluation": ("Evaluation", "evaluate"),
    "catclf.pipeline.packing": ("Packed", "pack"),
    "catclf.pipeline.prediction": ("Prediction", "predict"),
    "catclf.pipeline.training": ("Fit", "train"),
    "catclf.sample_data": ("sample",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CatclfError",
    "Classifier",
    "ConfigError",
    "DataError",
    "DescentSettings",
    "Evaluation",
    "Fit",
    "Model",
    "ModelFileError",
    "OutputError",
    "PackSettings",
    "Packed",
    "PictureClassifier",
    "Prediction",
    "TooFewPicturesError",
    "TrainSettings",
    "TrainingError",
    "evaluate",
    "load",
    "pack",
    "predict",
    "sample",
    "save",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``catclf --help`` needs no NumPy."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'catclf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
