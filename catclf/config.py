"""Settings, each of which checks itself, and the tables of choices. Knows no NumPy and no files.

A row of `FEATURES` or `ENGINES` declares what a kind needs and can do. Everybody else asks the row and
never for a name; the code is imported when it is used.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal

from catclf.errors import ConfigError, Setting, Text

Auto = Literal["auto"]
Place = Literal["memory", "file", "workers"]
"""Where pictures or rows are kept: in this process, in their file, on the workers of a cluster."""

LOSS_NAMES = ("cross-entropy", "squared-error")
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


@dataclass(frozen=True, eq=False, repr=False)
class _Kind:
    """A row of a table.

    Parameters
    ----------
    name : str
        What users type.
    code : str
        ``module:class``, imported when it is used.
    """

    name: str
    code: str

    def load(self) -> Any:
        """Import the class."""
        module, _, name = self.code.partition(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureKind(_Kind):
    """What a kind of features needs and can do.

    Parameters
    ----------
    name, code
        The class is as `catclf.features.Features` describes.
    learns : bool
        Whether something is learned from training pictures, and so again in every fold.
    learns_from_files : bool
        Whether it can be learned from pictures of which only slices are ever in memory.
    standardised : bool
        Whether rows are centred and scaled before they are fitted.
    one_scale : bool
        Whether all numbers of a standardised row are divided by one number, instead of each by its own.
    anywhere : bool
        Whether rows are made at no cost whenever they are asked for, from a file or on workers too.
        Others are computed once, from pictures in memory.
    size : int
        Side in pixels of the pictures, where neither the user nor the data has one.
    own_view : bool
        Whether the features say how a picture is cut and resized, whatever the size of the data. For
        others it is squashed to `size`.
    l2, momentum : float or "auto"; float
        The penalty and the momentum where nobody chooses one.
    l2_pictures : int or None
        If given, the penalty is l2 / max(m, l2_pictures) in a fit of m pictures.
    mirrored : bool
        Whether a picture and its mirror image have the same row, so that ``flip`` changes nothing.
    on_photographs : str or None
        The features to try on photographs instead of these.
    drawn : "map", "patterns" or None
        How w can be drawn: where in the picture its numbers belong, or as what they look for.
    right_with_few : tuple of (int, float)
        What to expect of few pictures: pictures a class, and the share of other photographs that was
        called right with so many.
    tells_unusual : bool
        Whether pictures unlike all others have rows unlike all others.
    explained : "beside", "over" or None
        Where what each place of a picture adds to z is drawn, if it is known.
    exported : bool
        Whether a model can become an ONNX file.
    """

    learns: bool
    standardised: bool
    learns_from_files: bool = False
    one_scale: bool = False
    anywhere: bool = False
    size: int = 64
    own_view: bool = False
    l2: float | Auto = 0.0
    l2_pictures: int | None = None
    momentum: float = 0.0
    mirrored: bool = False
    on_photographs: str | None = None
    drawn: Literal["map", "patterns"] | None = None
    right_with_few: tuple[tuple[int, float], ...] = ()
    tells_unusual: bool = False
    explained: Literal["beside", "over"] | None = None
    exported: bool = False

    @property
    def at_reading(self) -> bool:
        """Whether rows are made once, as pictures are read, and the pictures are not kept."""
        return not (self.learns or self.anywhere)


@dataclass(frozen=True, eq=False, repr=False)
class EngineKind(_Kind):
    """What an engine needs.

    Parameters
    ----------
    name, code
        The class is as `catclf.engines.MakeEngine` describes.
    reads : tuple of str
        The places that rows may be kept in.
    standardises : bool
        Whether it standardises rows itself, since its coordinates are not w and b; for all others
        standardisation is a change of coordinates.
    """

    reads: tuple[Place, ...]
    standardises: bool = False


FEATURES: dict[str, FeatureKind] = {
    kind.name: kind
    for kind in (
        FeatureKind(
            "pixels",
            "catclf.features.pixels:Pixels",
            learns=False,
            standardised=False,
            anywhere=True,
            on_photographs="network",
            drawn="map",
            explained="beside",
            exported=True,
        ),
        FeatureKind(
            "patches",
            "catclf.features.patches:Patches",
            learns=True,
            standardised=True,
            learns_from_files=True,
            l2="auto",
            mirrored=True,
            drawn="patterns",
            explained="beside",
        ),
        FeatureKind(
            "network",
            "catclf.features.network:Network",
            learns=False,
            standardised=True,
            one_scale=True,
            size=224,
            own_view=True,
            l2=0.03,
            l2_pictures=300,
            momentum=0.9,
            right_with_few=((1, 0.80), (2, 0.92), (4, 0.97), (8, 0.98)),
            tells_unusual=True,
            explained="over",
            exported=True,
        ),
    )
}

ENGINES: dict[str, EngineKind] = {
    kind.name: kind
    for kind in (
        EngineKind("primal", "catclf.engines.primal:PrimalEngine", ("memory",)),
        EngineKind("gram", "catclf.engines.gram:GramEngine", ("memory",), standardises=True),
        EngineKind("stream", "catclf.engines.stream:StreamEngine", ("memory", "file")),
        EngineKind("dask", "catclf.engines.dask:DaskEngine", ("memory", "file", "workers")),
    )
}


def own_views() -> Iterator[str]:
    """Names of the kinds of features that a network may be named for."""
    return (kind.name for kind in FEATURES.values() if kind.own_view)


def _check(holds: bool, name: str, value: object, *rule: Text) -> None:
    if not holds:
        raise ConfigError(name, value, *rule)


def _check_choice(name: str, value: str, *choices: str) -> None:
    _check(value in choices, name, value, "must be one of " + ", ".join(choices))


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


@dataclass(frozen=True)
class ReadOptions:
    """How pictures are read, and with what: the same for every tool.

    Parameters
    ----------
    size : int or None
        Side of the pictures in pixels; None is an HDF5 file's own, or as usual for the features.
        A model has one already: there it stays None.
    memory : int
        Budget in bytes for the pixels, and again for what an engine adds to them. Pixels to train on
        that do not fit stay in their HDF5 file, if that is not compressed; other data is refused.
        For evaluating it bounds how many pictures are worked on at a time.
    max_pixels : int
        Largest width × height of a picture that is decoded.
    x_key, y_key : str or None
        Names of the data sets in an HDF5 file, where they are not the usual ones.
    on_error : str
        ``skip`` or ``fail`` at a picture that cannot be read.
    jobs : int or None
        Cores to use; None is all. No result depends on it.
    scheduler : str or None
        Address of a Dask scheduler whose workers read the pictures, or "local" for worker processes on
        this machine.
    exclude : tuple of str
        Patterns of files and folders that are left out, as in .gitignore, relative to the data's folder.
    follow : bool
        Whether linked folders are entered.
    encoder : path or None
        For features of a network another one than the package's: an ONNX file, or a folder with
        ``model.onnx``; or the package's file itself.
    encoder_output : str or None
        The output of that network to take, where it has several; ``:first`` after its name takes the
        first token, ``:mean`` the mean over tokens or places.
    """

    size: int | None = None
    memory: int = 2_000_000_000
    max_pixels: int = MAX_PIXELS
    x_key: str | None = None
    y_key: str | None = None
    on_error: str = "skip"
    jobs: int | None = None
    scheduler: str | None = None
    exclude: tuple[str, ...] = ()
    follow: bool = False
    encoder: str | PathLike[str] | None = None
    encoder_output: str | None = None

    def __post_init__(self) -> None:
        _check_choice("on_error", self.on_error, *ON_ERROR)
        size_fits = self.size is None or 1 <= self.size <= LARGEST_SIZE
        _check(size_fits, "size", self.size, f"must be between 1 and {LARGEST_SIZE}")
        _check(self.memory > 0, "memory", self.memory, "must be a positive number of bytes")
        _check(self.jobs is None or self.jobs > 0, "jobs", self.jobs, "must be a positive number")
        _check(self.max_pixels > 0, "max_pixels", self.max_pixels, "must be a positive number")

    @property
    def cores(self) -> int:
        """How many to use."""
        from catclf.work.parts import core_count  # only where it is needed: it takes time to import

        return self.jobs or core_count()

    def of_size(self, size: int) -> ReadOptions:
        """Return the same for pictures of a model's size.

        Raises
        ------
        ConfigError
            If there is a size already.
        """
        _check(
            self.size is None, "size", self.size, f"cannot be chosen: the model takes pictures of {size}"
        )
        return replace(self, size=size)


def _check_encoder(read: ReadOptions, kind: FeatureKind) -> None:
    for name in ("encoder", "encoder_output"):
        value, able = getattr(read, name), [*own_views()]
        rule = f"cannot be used with {kind.name} features, only with {' and '.join(able)}"
        _check(value is None or kind.own_view, name, value, rule)


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
    momentum : float or None
        Nesterov's β in [0, 1); 0 is plain gradient descent, None is as usual for the features.
    l2 : float, "auto" or None
        λ of the penalty λ/2 ‖w‖², never on b; "auto" is chosen by cross-validation, None is as usual
        for the features.
    start : str
        ``zeros`` or ``random``.
    seed : int
        Of everything that is drawn at random.
    patience : int or None
        Stop after this many steps without a lower validation cost, and keep the best.
    record_every : int or None
        Record every so many steps too, besides those that are recorded anyway.
    """

    loss: str = "cross-entropy"
    learning_rate: float | Auto = "auto"
    iterations: int = 2000
    stop: str = "gradient"
    epsilon: float = 1e-4
    momentum: float | None = None
    l2: float | Auto | None = None
    start: str = "zeros"
    seed: int = 0
    patience: int | None = None
    record_every: int | None = None

    def __post_init__(self) -> None:
        _check_choice("loss", self.loss, *LOSS_NAMES)
        _check_choice("stop", self.stop, *STOP_RULES)
        _check_choice("start", self.start, *STARTS)
        rate, l2, momentum = self.learning_rate, self.l2, self.momentum
        _check(
            rate == "auto" or (not isinstance(rate, str) and _is_positive(rate)),
            "learning_rate",
            rate,
            "must be a positive number or auto",
        )
        _check(
            l2 is None or l2 == "auto" or (not isinstance(l2, str) and math.isfinite(l2) and l2 >= 0),
            "l2",
            l2,
            "must be zero, a positive number or auto",
        )
        _check(self.iterations >= 0, "iterations", self.iterations, "must be zero or more")
        _check(_is_positive(self.epsilon), "epsilon", self.epsilon, "must be a positive number")
        _check(
            momentum is None or 0 <= momentum < 1, "momentum", momentum, "must be at least 0 and below 1"
        )
        _check(self.seed >= 0, "seed", self.seed, "must be zero or more")
        for name in ("patience", "record_every"):
            number = getattr(self, name)
            _check(number is None or number > 0, name, number, "must be a positive number")

    def usual_for(self, kind: FeatureKind, m: int | None = None) -> DescentSettings:
        """Return the same with what is usual for the features instead of None.

        Where the usual penalty depends on the number of pictures, it stays None without `m`.
        """
        usual: float | Auto | None = kind.l2
        if kind.l2_pictures is not None and not isinstance(kind.l2, str):
            usual = None if m is None else kind.l2 / max(m, kind.l2_pictures)
        return replace(
            self,
            l2=usual if self.l2 is None else self.l2,
            momentum=kind.momentum if self.momentum is None else self.momentum,
        )


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
    wanted = (
        "must be " + ", ".join(THRESHOLD_GOALS) + ", precision=P or recall=R with P and R from 0 to 1"
    )
    _check(goal in THRESHOLD_BOUNDS and 0 <= bound <= 1, "tune_threshold", text, wanted)
    return goal, bound


@dataclass(frozen=True)
class TrainSettings:
    """All settings of `catclf.train`.

    Parameters
    ----------
    descent : DescentSettings
        The cost and its minimisation.
    read : ReadOptions
        How the pictures are read.
    positive : str or None
        Name of the class that is y = 1; None finds ``cat`` or ``cats``.
    features : str
        One of `FEATURES`.
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
        One of `ENGINES`, or "auto".
    labels : path or None
        A CSV file of paths and labels that are laid over those of the data.
    spool : path or None
        Where rows of features are kept while training that take more than the memory: a file that has no
        name while it is used, and is gone afterwards. None refuses such data.
    """

    descent: DescentSettings = DescentSettings()
    read: ReadOptions = ReadOptions()
    positive: str | None = None
    features: str = "pixels"
    class_weight: str = "none"
    flip: bool = False
    validation: float | str | PathLike[str] | None = None
    cv: int | None = None
    tune_threshold: str | None = None
    engine: str | Auto = "auto"
    labels: str | PathLike[str] | None = None
    spool: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        _check_choice("features", self.features, *FEATURES)
        _check_choice("class_weight", self.class_weight, *CLASS_WEIGHTS)
        _check_choice("engine", self.engine, "auto", *ENGINES)
        share = self.validation
        is_path = isinstance(share, str | PathLike)
        share_fits = share is None or is_path or (isinstance(share, float) and 0 < share < 1)
        _check(share_fits, "validation", share, "must be a share above 0 and below 1, or a path")
        _check(self.cv is None or self.cv >= 2, "cv", self.cv, "must be at least 2")
        if self.tune_threshold is not None:
            parse_threshold_goal(self.tune_threshold)
        rule = f"cannot be used with {self.features} features"
        _check(not (self.flip and self.kind.at_reading), "flip", self.flip, rule)
        _check_encoder(self.read, self.kind)
        _check(
            self.descent.patience is None or self.validation is not None,
            "patience",
            self.descent.patience,
            "requires ",
            Setting("validation"),
        )
        if self.read.scheduler is not None:
            able = [name for name, engine in ENGINES.items() if "workers" in engine.reads]
            rule = f"must be auto or {' or '.join(able)} with a scheduler"
            _check(self.engine in ("auto", *able), "engine", self.engine, rule)
            able = [name for name, kind in FEATURES.items() if not kind.learns]
            rule = f"must be {' or '.join(able)} with a scheduler: others are learned on this machine"
            _check(not self.kind.learns, "features", self.features, rule)

    @property
    def kind(self) -> FeatureKind:
        """The row of `FEATURES`."""
        return FEATURES[self.features]

    @property
    def folds(self) -> int | None:
        """Of cross-validation, which tuning a threshold needs too; None if nobody asked for either."""
        return self.cv or (None if self.tune_threshold is None else USUAL_FOLDS)

    @property
    def holds_out(self) -> bool:
        """Whether pictures are held out of a fit, for scores or to choose something."""
        scored = (self.cv, self.validation, self.tune_threshold) != (None, None, None)
        return scored or self.usual_descent.l2 == "auto"

    @property
    def usual_descent(self) -> DescentSettings:
        """`descent` with the features' penalty and momentum instead of None."""
        return self.descent.usual_for(self.kind)


@dataclass(frozen=True)
class PackSettings:
    """All settings of `catclf.pack`.

    Parameters
    ----------
    read : ReadOptions
        How the pictures are read; with a scheduler only for features that do not learn.
    positive : str or None
        Of two classes the one that is y = 1; None finds ``cat`` or ``cats``.
    features : str
        One of `FEATURES`: what is kept of a picture. "pixels" is itself; of others rows are kept.
    labels : path or None
        As in `TrainSettings`; pictures that are left out are not packed.
    seed : int
        Random seed for features that are learned.
    """

    read: ReadOptions = ReadOptions()
    positive: str | None = None
    features: str = "pixels"
    labels: str | PathLike[str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("features", self.features, *FEATURES)
        rule = f"requires {' or '.join(own_views())} features: others are packed on this machine"
        made = self.kind.own_view or self.read.scheduler is None
        _check(made, "scheduler", self.read.scheduler, rule)
        _check(self.seed >= 0, "seed", self.seed, "must be zero or more")
        _check_encoder(self.read, self.kind)

    @property
    def kind(self) -> FeatureKind:
        """The row of `FEATURES`."""
        return FEATURES[self.features]


def _check_features(name: str | None, read: ReadOptions) -> None:
    if name is not None:
        _check_choice("features", name, *FEATURES)
        _check_encoder(read, FEATURES[name])


@dataclass(frozen=True)
class CheckSettings:
    """All settings of `catclf.check`.

    Parameters
    ----------
    read : ReadOptions
    positive : str or None
        As in `TrainSettings`.
    features : str or None
        One of `FEATURES`; None is what a packed file has, else the network where it is installed.
    labels : path or None
        As in `TrainSettings`.
    other : path or None
        Other pictures, with labels or without: near-duplicates between the two are named.
    seed : int
        Of the folds, and of what is drawn at random where features are learned.
    """

    read: ReadOptions = ReadOptions()
    positive: str | None = None
    features: str | None = None
    labels: str | PathLike[str] | None = None
    other: str | PathLike[str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_features(self.features, self.read)
        _check(self.seed >= 0, "seed", self.seed, "must be zero or more")


@dataclass(frozen=True)
class NextSettings:
    """All settings of `catclf.suggest`.

    Parameters
    ----------
    read : ReadOptions
    positive : str or None
        The class that is y = 1, all others being y = 0; None takes each class in turn.
    features : str or None
        One of `FEATURES`; None is what a packed file has, else the network where it is installed.
    seed : int
        Of what is drawn at random.
    """

    read: ReadOptions = ReadOptions()
    positive: str | None = None
    features: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_features(self.features, self.read)
        _check(self.seed >= 0, "seed", self.seed, "must be zero or more")
