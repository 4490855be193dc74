"""Numbers about predictions: counts, curves, intervals, thresholds. Reads no files, prints nothing.

Everywhere ``y`` (m,) holds the labels, 0 or 1, with 1 the positive class; ``p`` (m,) holds the
probability of that class, from 0 to 1; a picture is *called* positive when ``p >= threshold``.

A number that is not defined (precision when nothing is called positive, an area with one class
only, anything at m = 0) is None, never a silent 0. What breaks these rules raises ValueError.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catclf.config import THRESHOLD_BOUNDS, THRESHOLD_GOALS

Vector = NDArray[np.float64]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
Interval = tuple[float, float]


def _numbers(name: str, values: ArrayLike, low: float, high: float) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        found = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"{name}: found {found}, expected numbers of shape (m,)")
    # subtle: a NaN fails both comparisons, so it is outside without a test of its own
    outside = np.flatnonzero(~((array >= low) & (array <= high)))
    if outside.size:
        i = outside[0]
        raise ValueError(f"{name}[{i}]: found {array[i]}, expected from {low:g} to {high:g}")
    return array


def _labels(**columns: ArrayLike) -> list[Mask]:
    arrays = [_numbers(name, column, 0, 1) for name, column in columns.items()]
    for name, array in zip(columns, arrays, strict=True):
        between = array[(array != 0) & (array != 1)]
        if between.size:
            raise ValueError(f"{name}: found {between[0]}, expected 0 or 1")
    _same_length(**dict(zip(columns, arrays, strict=True)))
    return [array == 1 for array in arrays]


def _same_length(**columns: NDArray[Any]) -> None:
    if len({len(column) for column in columns.values()}) > 1:
        found = ", ".join(f"{len(column)} of {name}" for name, column in columns.items())
        raise ValueError(f"found {found}, expected equal lengths")


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[Mask, Vector]:
    (positive,) = _labels(y=y)
    probability = _numbers("p", p, 0, 1).astype(np.float64)
    _same_length(y=positive, p=probability)
    return positive, probability


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: found {confidence}, expected between 0 and 1")
    from statistics import NormalDist  # only where it is needed: it takes time to import

    return NormalDist().inv_cdf((1 + confidence) / 2)


# ---- at one threshold


@dataclass(frozen=True)
class Confusion:
    """Pictures counted by truth and call: true/false positives and negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        """All pictures: tp + fp + fn + tn."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> float | None:
        """(tp + tn) / n."""
        return _ratio(self.tp + self.tn, self.n)

    @property
    def precision(self) -> float | None:
        """Precision, tp / (tp + fp); None when nothing is called positive."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Recall, tp / (tp + fn); None without positives."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """Specificity, tn / (tn + fp); None without negatives."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def balanced_accuracy(self) -> float | None:
        """(recall + specificity) / 2; None unless both classes are there."""
        if self.recall is None or self.specificity is None:
            return None
        return (self.recall + self.specificity) / 2

    @property
    def f1(self) -> float | None:
        """2 tp / (2 tp + fp + fn); None when no picture is positive and none is called so."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def confusion(y: ArrayLike, p: ArrayLike, threshold: float = 0.5) -> Confusion:
    """Count truth against call, where a picture is called positive when p >= threshold.

    >>> confusion([0, 0, 1, 1], [0.1, 0.5, 0.4, 0.9])
    Confusion(tp=1, fp=1, fn=1, tn=1)
    """
    if not math.isfinite(threshold):
        raise ValueError(f"threshold: found {threshold}, expected a finite number")
    positive, p = _checked(y, p)
    called = p >= threshold
    tp = int(np.count_nonzero(called & positive))
    fp = int(np.count_nonzero(called)) - tp
    fn = int(np.count_nonzero(positive)) - tp
    return Confusion(tp, fp, fn, tn=len(p) - tp - fp - fn)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval | None:
    """Score interval of a proportion, s `successes` out of `n` (Wilson 1927); None at n = 0.

    (s + q^2/2 -+ q sqrt(s (n - s)/n + q^2/4)) / (n + q^2) with the normal quantile q. It stays in
    [0, 1], and has a width at 0 and 1, where the textbook interval has none.

    >>> [round(end, 4) for end in wilson_interval(35, 50)]
    [0.5625, 0.809]
    """
    q = _quantile(confidence)
    if not 0 <= successes <= n:
        raise ValueError(f"successes: found {successes}, expected from 0 to n = {n}")
    if n == 0:
        return None
    centre = successes + q * q / 2
    half = q * math.sqrt(successes * (n - successes) / n + q * q / 4)
    low = (centre - half) / (n + q * q) if successes else 0.0
    high = (centre + half) / (n + q * q) if successes < n else 1.0
    return low, high


def baseline_accuracy(y: ArrayLike) -> float | None:
    """Accuracy of always answering with the more common class of y, in [0.5, 1]; None at m = 0."""
    (positive,) = _labels(y=y)
    positives = int(np.count_nonzero(positive))
    return _ratio(max(positives, len(positive) - positives), len(positive))


def training_baseline(y: ArrayLike, *, positives: int, negatives: int) -> float | None:
    """Accuracy here of always answering with the more common class of the training data, in [0, 1].

    `positives` and `negatives` count the training data; None when they are equal, or at m = 0.
    """
    (positive,) = _labels(y=y)
    if positives == negatives:
        return None
    return _ratio(int(np.count_nonzero(positive == (positives > negatives))), len(positive))


def verdict(correct: int, n: int, baseline: float | None, common: str = "") -> str:
    """Say whether `correct` of `n` pictures are more than `baseline`, a constant answer's accuracy.

    Better or worse only if the 95 % `wilson_interval` of the accuracy excludes the baseline. `common` is
    the name of the more common class, if it is known.
    """
    interval = wilson_interval(correct, n)
    if interval is None or baseline is None:
        return "no verdict: there are no pictures to score"
    low, high = interval
    is_above, is_below = low > baseline, high < baseline
    word = "better than" if is_above else "worse than" if is_below else "not distinguishable from"
    facts = f"accuracy {correct / n:.3f}, 95 % interval {low:.3f}\u2013{high:.3f}"
    answer = f"{common!r}, the more common class" if common else "with the more common class"
    return f"{word} always answering {answer} ({facts}, baseline {baseline:.3f})"


# ---- over all thresholds


class RocCurve(NamedTuple):
    """False and true positive rate (k + 1,), from 0 to 1; `thresholds` fall from infinity."""

    fpr: Vector
    tpr: Vector
    thresholds: Vector


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall (k,) at each distinct probability, from the highest to the lowest."""

    precision: Vector
    recall: Vector
    thresholds: Vector


def _steps(positive: Mask, p: Vector) -> tuple[Counts, Counts, Vector]:
    """Count tp and fp (k,) when everything down to each of the k distinct probabilities is called."""
    values, inverse = np.unique(p, return_inverse=True)
    tp = np.bincount(inverse[positive], minlength=len(values))[::-1].cumsum()
    fp = np.bincount(inverse[~positive], minlength=len(values))[::-1].cumsum()
    return tp, fp, values[::-1]


def roc_curve(y: ArrayLike, p: ArrayLike) -> RocCurve | None:
    """Receiver operating characteristic, ties grouped; None unless both classes are there."""
    tp, fp, values = _steps(*_checked(y, p))
    if not len(values) or not tp[-1] or not fp[-1]:
        return None
    rates = np.zeros((2, len(values) + 1))
    rates[:, 1:] = fp / fp[-1], tp / tp[-1]
    return RocCurve(rates[0], rates[1], np.append(np.inf, values))


def precision_recall_curve(y: ArrayLike, p: ArrayLike) -> PrecisionRecallCurve | None:
    """Precision against recall, ties grouped; None without positives.

    Every point belongs to a threshold; none is made up at recall 0, where precision has no value.
    """
    tp, fp, values = _steps(*_checked(y, p))
    if not len(values) or not tp[-1]:
        return None
    return PrecisionRecallCurve(tp / (tp + fp), tp / tp[-1], values)


def average_precision(y: ArrayLike, p: ArrayLike) -> float | None:
    """Sum of precision times gain in recall over the steps of the curve; None without positives.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 6)
    0.833333
    """
    curve = precision_recall_curve(y, p)
    if curve is None:
        return None
    return float(np.diff(curve.recall, prepend=0.0) @ curve.precision)


def _wins(left: Vector, right: Vector) -> Counts:
    """For each of `left`: twice the number of `right` below it plus the number equal to it."""
    ranked = np.sort(right)
    # twice, so that a tie's half is a whole number and sums are exact
    return np.searchsorted(ranked, left, "left") + np.searchsorted(ranked, left, "right")


def roc_auc(y: ArrayLike, p: ArrayLike) -> float | None:
    """Chance that a random positive has a higher p than a random negative, a tie counting one half.

    The rank statistic of Wilcoxon (1945) and of Mann & Whitney (1947), which is the area under
    `roc_curve` (Hanley & McNeil 1982). None unless both classes are there.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    positive, p = _checked(y, p)
    of_positives, of_negatives = p[positive], p[~positive]
    pairs = len(of_positives) * len(of_negatives)
    return _ratio(int(_wins(of_positives, of_negatives).sum()), 2 * pairs)


def auc_interval(y: ArrayLike, p: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Interval of the ROC area A, from the variance of DeLong, DeLong & Clarke-Pearson (1988).

    With n1 positives, n0 negatives and the share V of the other class that each picture beats::

        var(A) = var(V of positives)/n1 + var(V of negatives)/n0        (divisors n1 - 1 and n0 - 1)
        logit(A)  -+  q sqrt(var(A)) / (A (1 - A))

    taken back from the logit to (0, 1). None with fewer than two of either class, and where the
    variance is 0 (A is 0 or 1, all p tied): no width would claim a certainty that is not there.
    """
    q = _quantile(confidence)
    positive, p = _checked(y, p)
    of_positives, of_negatives = p[positive], p[~positive]
    n1, n0 = len(of_positives), len(of_negatives)
    if min(n1, n0) < 2:
        return None
    wins, losses = _wins(of_positives, of_negatives), _wins(of_negatives, of_positives)
    variance = wins.var(ddof=1) / n1 / (2 * n0) ** 2 + losses.var(ddof=1) / n0 / (2 * n1) ** 2
    if variance == 0:  # subtle: exact, because the variance of equal whole numbers is
        return None
    area = int(wins.sum()) / (2 * n1 * n0)
    odds = area / (1 - area)
    spread = math.exp(q * math.sqrt(variance) / (area * (1 - area)))
    return odds / (odds + spread), odds * spread / (1 + odds * spread)


# ---- of the probabilities themselves


def log_loss(y: ArrayLike, p: ArrayLike) -> float | None:
    """Mean cross entropy -(y log p + (1 - y) log(1 - p)), natural logarithm; None at m = 0.

    The probability given to the true class is kept within [eps, 1 - eps], eps = 2^-52, so that one
    sure mistake costs 36 and not infinity.
    """
    positive, p = _checked(y, p)
    if not len(p):
        return None
    eps = np.finfo(np.float64).eps
    of_truth = np.where(positive, p, 1 - p)
    return float(-np.log(np.clip(of_truth, eps, 1 - eps)).mean())


def log_likelihood(y: ArrayLike, p: ArrayLike) -> float | None:
    """Logarithm of the probability of all m labels together, -m `log_loss`; None at m = 0."""
    loss = log_loss(y, p)
    return None if loss is None else -loss * len(np.asarray(y))


def brier(y: ArrayLike, p: ArrayLike) -> float | None:
    """Mean of (p - y)^2, in [0, 1] (Brier 1950); None at m = 0."""
    positive, p = _checked(y, p)
    return float(np.square(p - positive).mean()) if len(p) else None


@dataclass(frozen=True)
class CalibrationBin:
    """Pictures with low <= p < high (the last bin: p <= 1); means are None where `count` is 0."""

    low: float
    high: float
    count: int
    mean_p: float | None
    share_positive: float | None


def calibration(y: ArrayLike, p: ArrayLike, bins: int = 10) -> list[CalibrationBin]:
    """Stated against observed frequency in `bins` equal parts of [0, 1] (reliability diagram)."""
    if bins < 1:
        raise ValueError(f"bins: found {bins}, expected at least 1")
    positive, p = _checked(y, p)
    edges = np.arange(bins + 1) / bins
    # not floor(p * bins): 0.29 * 100 is 28.999999999999996, yet 0.29 belongs to the bin from 0.29
    index = np.minimum(np.searchsorted(edges, p, "right") - 1, bins - 1)
    counts, hits, sums = (np.bincount(index, w, bins).tolist() for w in (None, positive, p))
    rows = zip(edges[:-1].tolist(), edges[1:].tolist(), counts, hits, sums, strict=True)
    return [CalibrationBin(a, b, n, _ratio(s, n), _ratio(h, n)) for a, b, n, h, s in rows]


# ---- two classifiers on the same pictures


class Comparison(NamedTuple):
    """What `mcnemar` found; `difference` is accuracy of a minus accuracy of b, in [-1, 1]."""

    only_a_right: int
    only_b_right: int
    p_value: float
    difference: float
    difference_ci95: Interval


def _binomial_two_sided(k: int, n: int) -> float:
    """min(1, 2 P(X <= k)) for X binomial(n, 1/2) and k <= n/2."""
    # logarithms, because the whole numbers n over i would have thousands of digits
    whole = math.lgamma(n + 1) - n * math.log(2)
    terms = (math.exp(whole - math.lgamma(i + 1) - math.lgamma(n - i + 1)) for i in range(k + 1))
    return min(1.0, 2 * math.fsum(terms))


def _agresti_min(b: int, c: int, m: int) -> Interval:
    q, total = _quantile(0.95), m + 2
    centre = (b - c) / total
    half = q * math.sqrt(b + c + 1 - (b - c) ** 2 / total) / total
    return max(-1.0, centre - half), min(1.0, centre + half)


def mcnemar(y: ArrayLike, called_a: ArrayLike, called_b: ArrayLike) -> Comparison | None:
    """Compare two classifiers by their calls (m,), 0 or 1, of the same pictures; None at m = 0.

    Only pictures on which exactly one is right tell them apart; two equally good classifiers would
    win half of those each: McNemar's test (1947), here exact and two-sided. The 95 % interval is
    that of Agresti & Min (2005): Wald's after adding half a picture to each of the four cells.

    >>> mcnemar([1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0])[:4]
    (2, 0, 0.5, 0.5)
    """
    positive, a, b = _labels(y=y, called_a=called_a, called_b=called_b)
    m = len(positive)
    if m == 0:
        return None
    only_a = int(np.count_nonzero((a == positive) & (b != positive)))
    only_b = int(np.count_nonzero((a != positive) & (b == positive)))
    p_value = _binomial_two_sided(min(only_a, only_b), only_a + only_b)
    interval = _agresti_min(only_a, only_b, m)
    return Comparison(only_a, only_b, p_value, (only_a - only_b) / m, interval)


# ---- choosing a threshold


GOALS = THRESHOLD_GOALS + THRESHOLD_BOUNDS


def _worth(goal: str, tp: Counts, fp: Counts, at: float) -> tuple[ArrayLike, ArrayLike]:
    """Two columns to make large, the second deciding among equals of the first; -1 is ruled out."""
    positives, tn, called = max(int(tp[-1]), 1), fp[-1] - fp, tp + fp
    precision = np.where(called > 0, tp / np.maximum(called, 1), -1.0)
    # accuracies as whole numbers, so that equal means equal
    columns: dict[str, tuple[ArrayLike, ArrayLike]] = {
        "accuracy": (tp + tn, 0 * tp),
        "balanced_accuracy": (tp * fp[-1] + tn * tp[-1], 0 * tp),
        "f1": (2 * tp / (called + positives), 0 * tp),
        "precision": (np.where(precision >= at, tp, -1), tn),
        "recall": (np.where(tp / positives >= at, precision, -1.0), tp),
    }
    return columns[goal]


def _check_goal(goal: str, at: float | None) -> None:
    if goal not in GOALS:
        raise ValueError(f"goal: found {goal!r}, expected one of {', '.join(GOALS)}")
    is_bounded = goal in THRESHOLD_BOUNDS
    if is_bounded != (at is not None) or (at is not None and not 0 <= at <= 1):
        expected = "from 0 to 1" if is_bounded else "None"
        raise ValueError(f"at: found {at}, expected {expected} with the goal {goal}")


def _halfway(values: Vector) -> Vector:
    """Thresholds (k + 1,) above, between and below the k falling `values`, within [0, 1]."""
    above, below = np.append(1.0, values), np.append(values, 0.0)
    middle = (above + below) / 2
    # subtle: halfway between neighbouring floats may round down to the one that must stay uncalled
    return np.where(middle > below, middle, above)


def choose_threshold(y: ArrayLike, p: ArrayLike, goal: str, at: float | None = None) -> float | None:
    """Find the threshold in [0, 1] that serves a goal best on this data, in O(m log m).

    Parameters
    ----------
    y, p : (m,)
    goal : one of GOALS
        "precision" is the highest recall with precision >= `at`, "recall" the highest precision
        with recall >= `at`; the other three are made as large as possible.
    at : float in [0, 1]
        For "precision" and "recall" only.

    Returns
    -------
    float or None
        Halfway between neighbouring distinct probabilities, or between the outermost and 0 or 1.
        Of equally good ones the nearest to 0.5, then the higher; but of equal recalls first the
        highest precision, and the other way round. None if the goal is undefined or out of reach.

    Examples
    --------
    >>> choose_threshold([0, 0, 1, 1], [0.0, 0.25, 0.75, 1.0], "accuracy")
    0.5
    """
    _check_goal(goal, at)
    positive, p = _checked(y, p)
    needed = {"accuracy": (), "balanced_accuracy": (True, False)}.get(goal, (True,))
    if not len(p) or not all(np.any(positive == label) for label in needed):
        return None
    tp, fp, values = _steps(positive, p)
    # no threshold within [0, 1] leaves p = 1 uncalled: then "call nothing" is no candidate
    kept = slice(int(values[0] == 1), None)
    tp, fp, thresholds = np.append(0, tp)[kept], np.append(0, fp)[kept], _halfway(values)[kept]
    first, second = map(np.asarray, _worth(goal, tp, fp, 0.0 if at is None else at))
    best = np.lexsort((np.abs(thresholds - 0.5), -second, -first))[0]
    return float(thresholds[best]) if first[best] >= 0 else None


# ---- all of it


@dataclass(frozen=True)
class Scores:
    """Everything that follows from y, p and a threshold; None where a number is not defined."""

    n: int
    threshold: float
    confusion: Confusion
    accuracy: float | None
    accuracy_ci95: Interval | None
    balanced_accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    roc_auc_ci95: Interval | None
    average_precision: float | None
    log_loss: float | None
    log_likelihood: float | None
    brier: float | None
    baseline_accuracy: float | None
    verdict: str

    @property
    def accuracy_text(self) -> str:
        """The accuracy with its interval, for people."""
        if self.accuracy is None or self.accuracy_ci95 is None:
            return "–"
        low, high = self.accuracy_ci95
        return f"{self.accuracy:.3f} ({low:.3f}–{high:.3f})"

    @property
    def beats_baseline(self) -> bool:
        """Whether the accuracy is above the baseline, all of its 95 % interval."""
        if self.accuracy_ci95 is None or self.baseline_accuracy is None:
            return False
        return self.accuracy_ci95[0] > self.baseline_accuracy

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON gives back as they are: a dict of counts, intervals as lists."""
        plain = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def score(
    y: ArrayLike, p: ArrayLike, threshold: float = 0.5, names: tuple[str, str] = ("", "")
) -> Scores:
    """Compute all `Scores` of probabilities p (m,) against labels y (m,).

    `names` are those of the classes 0 and 1, for the verdict.
    """
    c = confusion(y, p, threshold)
    positives, negatives = c.tp + c.fn, c.tn + c.fp
    common = "" if positives == negatives else names[positives > negatives]
    baseline = baseline_accuracy(y)
    return Scores(
        n=c.n,
        threshold=float(threshold),
        confusion=c,
        accuracy=c.accuracy,
        accuracy_ci95=wilson_interval(c.tp + c.tn, c.n),
        balanced_accuracy=c.balanced_accuracy,
        precision=c.precision,
        recall=c.recall,
        f1=c.f1,
        roc_auc=roc_auc(y, p),
        roc_auc_ci95=auc_interval(y, p),
        average_precision=average_precision(y, p),
        log_loss=log_loss(y, p),
        log_likelihood=log_likelihood(y, p),
        brier=brier(y, p),
        baseline_accuracy=baseline,
        verdict=verdict(c.tp + c.tn, c.n, baseline, common),
    )
