"""How a model came about: a typed value that JSON is made from, and made of again."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_Number = float | int


@dataclass(frozen=True)
class Provenance:
    """How a model was trained. None stands for what is not known, as of a model of an earlier version.

    Attributes
    ----------
    catclf : str
        Version that trained it.
    m : int
        Pictures trained on.
    classes : dict
        Number of pictures read of each class of the data.
    corrections : dict
        Of the labels laid over those of the data: ``changed`` and ``left_out``, numbers of pictures, and
        ``unknown``, of paths that the data does not have.
    loss, class_weight, flip, l2, momentum, learning_rate, seed
        See `catclf.DescentSettings` and `catclf.TrainSettings`; as they were used.
    iterations : int
        Number of updates, with those of the model that it went on from.
    stop_reason : str
    cost, gradient_norm : float
        Where the descent ended.
    positives : int
        Pictures of the positive class among the m.
    positive_share : float
        Their share in the cost.
    w_mean : float
        wᵀμ, μ being the mean row of the training pictures, where rows are standardised.
    mean_places : list of float
        What each place of the mean training picture adds to z, where features are explained beside it.
    train_accuracy : float
    cv : dict
        ``folds``, and of the cross-validated scores ``accuracy``, ``accuracy_ci95`` and ``roc_auc``.
    """

    catclf: str | None = None
    m: int | None = None
    classes: dict[str, int] | None = None
    corrections: dict[str, int] | None = None
    loss: str | None = None
    class_weight: str | None = None
    flip: bool | None = None
    l2: float | None = None
    momentum: float | None = None
    learning_rate: float | None = None
    iterations: int | None = None
    stop_reason: str | None = None
    cost: float | None = None
    gradient_norm: float | None = None
    seed: int | None = None
    positives: int | None = None
    positive_share: float | None = None
    w_mean: float | None = None
    mean_places: list[float] | None = None
    train_accuracy: float | None = None
    cv: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not all(
            isinstance(added, float) and math.isfinite(added) for added in self.mean_places or ()
        ):
            object.__setattr__(self, "mean_places", None)
        for name, kind in _TYPES.items():
            value = getattr(self, name)
            if kind == _Number and value is not None:  # a file would say 1 and give back 1.0
                object.__setattr__(self, name, float(value))

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain values, ready for JSON."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Take what is known from a model file; other keys, and values of other types, are left out."""
        known: dict[str, Any] = {}
        for name, expected in _TYPES.items():
            value: Any = values.get(name)
            if isinstance(value, expected) and not (isinstance(value, bool) and expected is not bool):
                known[name] = value
            if expected == _Number and name in known and not abs(value) <= sys.float_info.max:
                del known[name]
        return cls(**known)


_TYPES: dict[str, Any] = {
    **dict.fromkeys(("catclf", "loss", "class_weight", "stop_reason"), str),
    **dict.fromkeys(("m", "iterations", "seed", "positives"), int),
    **dict.fromkeys(("classes", "corrections", "cv"), dict),
    "flip": bool,
    "mean_places": list,
    **dict.fromkeys(
        (
            *("l2", "momentum", "learning_rate", "cost", "gradient_norm"),
            *("positive_share", "w_mean", "train_accuracy"),
        ),
        _Number,
    ),
}
