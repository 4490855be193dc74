"""Settings, each of which checks itself, and the names of all choices. Knows no NumPy and no files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike
from typing import Literal

from catclf.errors import ConfigError

Auto = Literal["auto"]

FEATURE_NAMES = ("pixels", "patches")
LOSS_NAMES = ("cross-entropy", "squared-error")
ENGINE_NAMES = ("primal", "gram", "stream", "dask")
STOP_RULES = ("gradient", "step", "none")
STARTS = ("zeros", "random")
CLASS_WEIGHTS = ("none", "balanced")
ON_ERROR = ("skip", "fail")
THRESHOLD_GOALS = ("accuracy", "balanced_accuracy", "f1")
THRESHOLD_BOUNDS = ("precision", "recall")

USUAL_FOLDS = 5
"""Folds of a cross-validation that is needed but was not asked for."""

LARGEST_SIZE = 1024
"""Largest side of a picture in pixels that a model may have: n_x is 3 million there."""

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: as RGB they would take over 300 MB."""


def _check(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ConfigError(name, value, rule)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    _check(value in choices, name, value, "one of " + ", ".join(choices))


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


@dataclass(frozen=True)
class DescentSettings:
    """How the cost is defined and how it is brought down.

    Parameters
    ----------
    loss : str
        One of `LOSS_NAMES`.
    learning_rate : float or "auto"
        The step size α; "auto" is 1/L, L the largest curvature of the cost.
    iterations : int
        Largest number of updates.
    stop : str
        ``gradient``: when ‖(dw, db)‖ ≤ epsilon; ``step``: when ‖(w, b)⁺ − (w, b)‖ ≤ epsilon;
        ``none``: after `iterations`.
    epsilon : float
        The bound of the stopping test.
    momentum : float
        Nesterov's β in [0, 1); 0 is plain gradient descent.
    l2 : float, "auto" or None
        λ of the penalty λ/2 ‖w‖², never on b; "auto" is chosen by cross-validation; None is the
        features' usual one, see `USUAL_L2`.
    start : str
        ``zeros`` or ``random``.
    seed : int
        Of everything that is drawn at random.
    patience : int or None
        Stop after this many steps without a lower validation cost, and keep the best.
    """

    loss: str = "cross-entropy"
    learning_rate: float | Auto = "auto"
    iterations: int = 2000
    stop: str = "gradient"
    epsilon: float = 1e-4
    momentum: float = 0.0
    l2: float | Auto | None = None
    start: str = "zeros"
    seed: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        _check_choice("loss", self.loss, LOSS_NAMES)
        _check_choice("stop", self.stop, STOP_RULES)
        _check_choice("start", self.start, STARTS)
        rate, l2 = self.learning_rate, self.l2
        _check(
            rate == "auto" or (not isinstance(rate, str) and _is_positive(rate)),
            "learning_rate",
            rate,
            "a positive number or auto",
        )
        _check(
            l2 is None or l2 == "auto" or (not isinstance(l2, str) and math.isfinite(l2) and l2 >= 0),
            "l2",
            l2,
            "zero, a positive number or auto",
        )
        _check(self.iterations >= 0, "iterations", self.iterations, "zero or more")
        _check(_is_positive(self.epsilon), "epsilon", self.epsilon, "a positive number")
        _check(0 <= self.momentum < 1, "momentum", self.momentum, "at least 0 and below 1")
        _check(self.seed >= 0, "seed", self.seed, "zero or more")
        _check(self.patience is None or self.patience > 0, "patience", self.patience, "positive")


def parse_threshold_goal(text: str) -> tuple[str, float | None]:
    """Take ``f1`` or ``precision=0.9`` apart into a goal and the value to hold.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    goal, equals, value = text.partition("=")
    if goal in THRESHOLD_GOALS and not equals:
        return goal, None
    try:
        bound = float(value)
    except ValueError:
        bound = math.nan
    wanted = ", ".join(THRESHOLD_GOALS) + ", precision=P or recall=R with P and R from 0 to 1"
    _check(goal in THRESHOLD_BOUNDS and 0 <= bound <= 1, "tune_threshold", text, wanted)
    return goal, bound


USUAL_L2: dict[str, float | Auto] = {"pixels": 0.0, "patches": "auto"}
"""The penalty where nobody chooses one."""


@dataclass(frozen=True)
class TrainSettings:
    """All settings of `catclf.train`.

    Parameters
    ----------
    descent : DescentSettings
        The cost and its minimisation.
    positive : str or None
        Name of the class that is y = 1; None finds ``cat`` or ``cats``.
    features : str
        One of `FEATURE_NAMES`.
    size : int or None
        Side of the pictures in pixels; None is 64, or an HDF5 file's own.
    class_weight : str
        ``balanced`` weighs each class by m / (2 m_class).
    flip : bool
        Train on the mirrored pictures as well.
    validation : float, path or None
        A share in (0, 1) of the training pictures to hold out, or the path of other data.
    cv : int or None
        Number of folds of cross-validation.
    tune_threshold : str or None
        What the model's threshold shall be best at, on cross-validated probabilities: one of
        `THRESHOLD_GOALS`, or ``precision=P`` or ``recall=R``, which hold it at P or R and make the
        other one as high as possible. None leaves the threshold at 1/2.
    engine : str
        One of `ENGINE_NAMES`, or "auto".
    memory : int
        Budget in bytes for the pixels, and again for what an engine adds to them. Pixels that do not
        fit stay in their HDF5 file, if that is not compressed; other data is refused.
    scheduler : str or None
        Address of a Dask scheduler whose workers read the pictures and keep them, or "local" for
        worker processes on this machine.
    on_error : str
        ``skip`` or ``fail`` at a picture that cannot be read.
    jobs : int or None
        Threads; None is one for each core. No result depends on it.
    max_pixels : int
        Largest width × height of a picture that is decoded.
    x_key, y_key : str or None
        Names of the data sets in an HDF5 file, where they are not the usual ones.
    """

    descent: DescentSettings = DescentSettings()
    positive: str | None = None
    features: str = "pixels"
    size: int | None = None
    class_weight: str = "none"
    flip: bool = False
    validation: float | str | PathLike[str] | None = None
    cv: int | None = None
    tune_threshold: str | None = None
    engine: str | Auto = "auto"
    memory: int = 2_000_000_000
    scheduler: str | None = None
    on_error: str = "skip"
    jobs: int | None = None
    max_pixels: int = MAX_PIXELS
    x_key: str | None = None
    y_key: str | None = None

    def __post_init__(self) -> None:
        _check_choice("features", self.features, FEATURE_NAMES)
        _check_choice("class_weight", self.class_weight, CLASS_WEIGHTS)
        _check_choice("engine", self.engine, ("auto", *ENGINE_NAMES))
        _check_choice("on_error", self.on_error, ON_ERROR)
        size_fits = self.size is None or 1 <= self.size <= LARGEST_SIZE
        _check(size_fits, "size", self.size, f"between 1 and {LARGEST_SIZE}")
        share = self.validation
        is_path = isinstance(share, str | PathLike)
        share_fits = share is None or is_path or (isinstance(share, float) and 0 < share < 1)
        _check(share_fits, "validation", share, "a share above 0 and below 1, or a path")
        _check(self.cv is None or self.cv >= 2, "cv", self.cv, "at least 2 folds")
        if self.tune_threshold is not None:
            parse_threshold_goal(self.tune_threshold)
        _check(self.memory > 0, "memory", self.memory, "a positive number of bytes")
        _check(self.jobs is None or self.jobs > 0, "jobs", self.jobs, "a positive number")
        _check(self.max_pixels > 0, "max_pixels", self.max_pixels, "a positive number")
        _check(
            self.descent.patience is None or self.validation is not None,
            "patience",
            self.descent.patience,
            "used together with validation",
        )

        if self.scheduler is not None:
            engine_fits = self.engine in ("auto", "dask")
            _check(engine_fits, "engine", self.engine, "auto or dask where there is a scheduler")
            rule = "pixels where there is a scheduler: patches are learned in one memory"
            _check(self.features == "pixels", "features", self.features, rule)

    @property
    def penalty(self) -> float | Auto:
        """λ or "auto": as chosen, or as usual for the features."""
        return USUAL_L2[self.features] if self.descent.l2 is None else self.descent.l2


@dataclass(frozen=True)
class PackSettings:
    """All settings of `catclf.pack`.

    Parameters
    ----------
    size : int or None
        Side of the pictures in pixels; None is 64, or an HDF5 file's own.
    positive : str or None
        Of two classes the one that is y = 1; None finds ``cat`` or ``cats``.
    on_error, jobs, max_pixels, x_key, y_key
        As in `TrainSettings`.
    """

    size: int | None = None
    positive: str | None = None
    on_error: str = "skip"
    jobs: int | None = None
    max_pixels: int = MAX_PIXELS
    x_key: str | None = None
    y_key: str | None = None

    def __post_init__(self) -> None:
        _check_choice("on_error", self.on_error, ON_ERROR)
        size_fits = self.size is None or 1 <= self.size <= LARGEST_SIZE
        _check(size_fits, "size", self.size, f"between 1 and {LARGEST_SIZE}")
        _check(self.jobs is None or self.jobs > 0, "jobs", self.jobs, "a positive number")
        _check(self.max_pixels > 0, "max_pixels", self.max_pixels, "a positive number")
