"""The same fit with scikit-learn's manners: fit, predict, get_params. Does not need scikit-learn."""

from __future__ import annotations

import inspect
import sys
import warnings
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catclf.config import Auto, DescentSettings, FeatureKind, ReadOptions, TrainSettings
from catclf.errors import ConfigError
from catclf.features import FeaturesClass
from catclf.fitting import Encoded, Problem, divergence, fit, prepare
from catclf.logistic import Vector, sigmoid
from catclf.model import Model
from catclf.stores.here import InMemory
from catclf.view import View


class PictureClassifier:
    """Logistic regression of two classes by gradient descent, as an estimator for scikit-learn.

    X is either pictures (m, s, s, 3) uint8, described by `features`, or rows (m, n) of finite numbers,
    which are used as they are: put a ``StandardScaler`` before them. y has two different values, of any
    kind; the second in sorted order is y = 1.

    Parameters
    ----------
    features : str
        What x is made of for pictures: one of `catclf.config.FEATURES`.
    loss, learning_rate, iterations, stop, epsilon, momentum, l2, start, seed
        See `catclf.DescentSettings`.
    balanced : bool
        Whether both classes count the same.
    flip : bool
        Train on the mirrored pictures as well.
    engine : str
        One of `catclf.config.ENGINES`, or "auto".
    jobs : int
        Threads. One by default, since scikit-learn runs fits beside each other.

    Attributes
    ----------
    classes_ : (2,)
    coef_ : (1, n_x) float64
    intercept_ : (1,) float64
        z = coef_ᵀx + intercept_; for pictures x are the features.
    n_features_in_ : int
        Numbers a row, or 3 s² for pictures.
    n_iter_ : int
        Number of updates made.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> PictureClassifier(l2=0.01).fit(X, ["no", "no", "yes", "yes"]).predict([[0.5], [2.5]]).tolist()
    ['no', 'yes']
    """

    def __init__(
        self,
        *,
        features: str = "pixels",
        loss: str = "cross-entropy",
        learning_rate: float | Auto = "auto",
        iterations: int = 2000,
        stop: str = "gradient",
        epsilon: float = 1e-4,
        momentum: float | None = None,
        l2: float | Auto | None = None,
        start: str = "zeros",
        balanced: bool = False,
        flip: bool = False,
        engine: str | Auto = "auto",
        seed: int = 0,
        jobs: int = 1,
    ) -> None:
        self.features = features
        self.loss = loss
        self.learning_rate = learning_rate
        self.iterations = iterations
        self.stop = stop
        self.epsilon = epsilon
        self.momentum = momentum
        self.l2 = l2
        self.start = start
        self.balanced = balanced
        self.flip = flip
        self.engine = engine
        self.seed = seed
        self.jobs = jobs

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit w and b.

        Parameters
        ----------
        X : (m, n) numbers, or (m, s, s, 3) uint8
        y : (m,) of two different values

        Raises
        ------
        ValueError
            If X or y is not of this kind; as `ConfigError` if a parameter cannot be what it is.
        TrainingError
            If the descent diverges.
        """
        inputs = _inputs(X)
        self.classes_, numbers = _two_classes(y, len(inputs))
        problem = Problem(InMemory(inputs), numbers, self._settings())
        everything = np.ones(len(inputs), dtype=bool)
        given = inputs.ndim == 2
        if given and self.flip:
            raise ConfigError("flip", self.flip, "must be False where X is not pictures")
        encoded = Encoded(_Rows(inputs.shape[1]), problem.pictures) if given else None
        if not given and problem.settings.kind.own_view:
            encoded = _encoded(problem)
        prepared = prepare(problem, everything, encoded=encoded)
        fitted = fit(prepared, everything)
        if fitted.descent.stop_reason == "diverged":
            raise divergence(fitted)
        w, b = prepared.parameters(fitted.descent)
        negative, positive = map(str, self.classes_)
        self._model = Model(w, b, prepared.features, positive, negative)
        self._shape = inputs.shape[1:]
        self.coef_, self.intercept_ = w[np.newaxis], np.array([b])
        self.n_features_in_ = int(np.prod(self._shape))
        self.n_iter_ = fitted.descent.iterations
        return self

    def decision_function(self, X: ArrayLike) -> Vector:
        """z = wᵀx + b for each row or picture of X, (m,); above 0 it is ``classes_[1]``."""
        if not hasattr(self, "_model"):
            name = type(self).__name__
            raise _kind("NotFittedError", AttributeError)(f"this {name} is not fitted: call fit first")
        inputs = _inputs(X)
        if inputs.shape[1:] != self._shape:
            if inputs.ndim == 2 and len(self._shape) == 1:  # said in scikit-learn's words
                raise ValueError(
                    f"X has {inputs.shape[1]} features, but {type(self).__name__} is expecting "
                    f"{self.n_features_in_} features as input"
                )
            raise ValueError(f"X is {inputs.shape}; expected (m, {', '.join(map(str, self._shape))})")
        if self._model.features.kind.own_view:
            inputs = _seen(inputs, self._model.view)
        return self._model.scores(inputs, self.jobs)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (m, 2), columns in the order of `classes_`."""
        z = self.decision_function(X)
        return np.column_stack([sigmoid(-z), sigmoid(z)])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the likelier class of each row or picture, (m,)."""
        above: NDArray[Any] = self.decision_function(X) > 0
        return np.asarray(self.classes_[above.astype(int)])

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; `deep` makes no difference, as none is an estimator."""
        del deep
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change parameters.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {[*known]}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        usual = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if v is not usual[k]]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn, the only caller, wants to know of an estimator."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(multi_class=False),
            input_tags=InputTags(),
        )

    def _settings(self) -> TrainSettings:
        names = {field.name for field in fields(DescentSettings)}
        chosen = {name: value for name, value in self.get_params().items() if name in names}
        return TrainSettings(
            descent=DescentSettings(**chosen),
            features=self.features,
            class_weight="balanced" if self.balanced else "none",
            flip=self.flip,
            engine=self.engine,
            read=ReadOptions(jobs=self.jobs),
        )


@dataclass(frozen=True)
class _Rows:
    """Features that are the input itself, (m, n_x) float64: nothing is learned, nothing has a place."""

    n_x: int
    kind: ClassVar[FeatureKind] = FeatureKind(
        "rows", "", learns=False, standardised=False, anywhere=True
    )
    size: ClassVar[int] = 0
    scale: ClassVar[float] = 1.0

    def rows(self, images: NDArray[Any], jobs: int = 1) -> NDArray[Any]:
        del jobs
        return images

    def settings(self) -> dict[str, int | float | str]:
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}


def _encoded(problem: Problem) -> Encoded:
    """Rows of features that resize pictures as they want them."""
    code: FeaturesClass = problem.settings.kind.load()
    features, side = code.chosen(problem.settings.read), problem.pictures.shape[1]
    if side < features.view.needed:
        features = features.of_small(side)
    return Encoded(features, InMemory(features.rows(_seen(problem.pictures[:], features.view))))


def _seen(images: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    from catclf.images.decode import seen  # only where it is needed: Pillow takes time to import

    return seen(images, view)


def _inputs(X: ArrayLike) -> NDArray[Any]:
    """Pictures as they are, or rows as float64; the messages are those of scikit-learn."""
    if hasattr(X, "toarray"):
        raise TypeError("Sparse data was passed, but dense data is required: use X.toarray()")
    array = np.asarray(X)
    if array.ndim == 4:
        if array.dtype != np.uint8 or len(set(array.shape[1:3])) != 1 or array.shape[3] != 3:
            raise ValueError(f"X is {array.shape} {array.dtype}; expected pictures (m, s, s, 3) uint8")
    elif array.dtype.kind == "c":
        raise ValueError("Complex data not supported")
    elif array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead. Reshape your data with "
            "X.reshape(-1, 1) if it has one feature, or X.reshape(1, -1) if it is one row"
        )
    else:
        array = array.astype(np.float64)
        if np.isnan(array).any():
            raise ValueError("Input X contains NaN")
        if np.isinf(array).any():
            raise ValueError("Input X contains infinity or a value too large for dtype('float64')")
    for size, what in zip(array.shape, ("sample", "feature"), strict=False):
        if size == 0:
            raise ValueError(f"0 {what}(s) (shape={array.shape}) while a minimum of 1 is required.")
    return np.ascontiguousarray(array)


def _two_classes(y: ArrayLike | None, m: int) -> tuple[NDArray[Any], Vector]:
    """Both values of y in sorted order, and y (m,) as 0 and 1."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected",
            _kind("DataConversionWarning", UserWarning),
            stacklevel=3,
        )
        labels = labels.ravel()
    if labels.shape != (m,):
        raise ValueError(f"y should be a 1d array of {m} labels, got an array of shape {labels.shape}")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise ValueError("Input y contains NaN or infinity")
        if (labels != labels.round()).any():
            raise ValueError("Unknown label type: continuous. Expected two classes")
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) > 2:
        found = f"The type of the target is multiclass, with {len(classes)} classes."
        raise ValueError(f"Only binary classification is supported. {found}")
    if len(classes) < 2:
        raise ValueError(f"y has one class, {classes[0]!r}; two are required")
    return classes, numbers.astype(np.float64)


def _kind(name: str, otherwise: type) -> Any:
    """Return scikit-learn's exception or warning of this name: who expects it has imported it."""
    return getattr(sys.modules.get("sklearn.exceptions"), name, otherwise)
