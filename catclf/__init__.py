"""catclf: a trainer of cat / non-cat picture classifiers that runs from a shell.

The tools of the command line are here as well: `train`, `load`, `evaluate`, `predict`, `pack`,
`check`, `suggest`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from catclf.config import CheckSettings as CheckSettings
    from catclf.config import DescentSettings as DescentSettings
    from catclf.config import NextSettings as NextSettings
    from catclf.config import PackSettings as PackSettings
    from catclf.config import ReadOptions as ReadOptions
    from catclf.config import TrainSettings as TrainSettings
    from catclf.errors import CatclfError as CatclfError
    from catclf.errors import ConfigError as ConfigError
    from catclf.errors import DataError as DataError
    from catclf.errors import ModelFileError as ModelFileError
    from catclf.errors import OutputError as OutputError
    from catclf.errors import TooFewPicturesError as TooFewPicturesError
    from catclf.errors import TrainingError as TrainingError
    from catclf.estimator import PictureClassifier as PictureClassifier
    from catclf.model import Model as Model
    from catclf.model import save as save
    from catclf.pipeline.checking import Check as Check
    from catclf.pipeline.checking import check as check
    from catclf.pipeline.classifier import Classifier as Classifier
    from catclf.pipeline.classifier import load as load
    from catclf.pipeline.evaluation import Evaluation as Evaluation
    from catclf.pipeline.evaluation import evaluate as evaluate
    from catclf.pipeline.exporting import ExportedModel as ExportedModel
    from catclf.pipeline.exporting import export as export
    from catclf.pipeline.packing import Packed as Packed
    from catclf.pipeline.packing import pack as pack
    from catclf.pipeline.prediction import Prediction as Prediction
    from catclf.pipeline.prediction import predict as predict
    from catclf.pipeline.rates import RateResult as RateResult
    from catclf.pipeline.rates import compare_rates as compare_rates
    from catclf.pipeline.rows import rows as rows
    from catclf.pipeline.suggesting import Suggested as Suggested
    from catclf.pipeline.suggesting import suggest as suggest
    from catclf.pipeline.training import Fit as Fit
    from catclf.pipeline.training import train as train
    from catclf.sample_data import sample as sample

_HOMES = {
    "config": "CheckSettings DescentSettings NextSettings PackSettings ReadOptions TrainSettings",
    "errors": "CatclfError ConfigError DataError ModelFileError OutputError TooFewPicturesError"
    " TrainingError",
    "estimator": "PictureClassifier",
    "model": "Model save",
    "pipeline.checking": "Check check",
    "pipeline.classifier": "Classifier load",
    "pipeline.evaluation": "Evaluation evaluate",
    "pipeline.exporting": "ExportedModel export",
    "pipeline.packing": "Packed pack",
    "pipeline.prediction": "Prediction predict",
    "pipeline.rates": "RateResult compare_rates",
    "pipeline.rows": "rows",
    "pipeline.suggesting": "Suggested suggest",
    "pipeline.training": "Fit train",
    "sample_data": "sample",
}
_HOME_OF = {name: f"catclf.{module}" for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __dir__() -> list[str]:
    """Public names, for Tab."""
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``catclf --help`` needs no NumPy."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'catclf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
