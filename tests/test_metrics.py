"""metrics.py against scikit-learn, published values and slow but obvious computations."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import astuple
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from catclf import metrics

Vector = NDArray[np.float64]
Labels = NDArray[np.int64]
Case = tuple[Labels, Vector]

# few distinct values make ties; the others are where rounding and clipping happen
ties = st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 1.0])
edges = st.sampled_from([5e-324, 1e-300, 1e-17, 1 - 2**-53, math.nextafter(0.5, 1)])
probabilities = st.one_of(ties, edges, st.floats(0, 1))


def as_case(rows: list[tuple[int, float]]) -> Case:
    return np.array([y for y, _ in rows], np.int64), np.array([p for _, p in rows], np.float64)


def cases(min_size: int = 0, max_size: int = 40) -> st.SearchStrategy[Case]:
    one = st.tuples(st.integers(0, 1), probabilities)
    return st.lists(one, min_size=min_size, max_size=max_size).map(as_case)


def random_case(seed: int) -> Case:
    """Cover one picture, one class only, all ties, rounded and sure probabilities as `seed` grows."""
    rng = np.random.default_rng(seed)
    m = 1 if seed % 10 == 0 else int(rng.integers(1, 60))
    y = rng.integers(0, 2, m)
    if seed % 10 in (1, 2):
        y[:] = seed % 10 - 1
    p = rng.random(m)
    if seed % 10 == 3:
        p[:] = p[0]
    if seed % 10 in (4, 5, 6):
        p = np.round(p, 1)
    return y, p


def assert_same(ours: float | None, theirs: float | None) -> None:
    if theirs is None:
        assert ours is None
    else:
        assert ours is not None
        assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


# ---- scikit-learn as the oracle


@pytest.fixture(scope="module")
def sklearn_metrics() -> Any:
    return pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle here")


def or_none(defined: bool, function: Callable[..., Any], *columns: Any, **options: Any) -> Any:
    """Ask scikit-learn only where the number exists; elsewhere it warns and says 0 or nan."""
    return float(function(*columns, **options)) if defined else None


def expected_scores(sk: Any, y: Labels, p: Vector, threshold: float) -> dict[str, float | None]:
    called = (p >= threshold).astype(int)
    has_positive, has_both = bool(y.any()), 0 < y.sum() < len(y)
    return {
        "accuracy": or_none(True, sk.accuracy_score, y, called),
        "balanced_accuracy": or_none(has_both, sk.balanced_accuracy_score, y, called),
        "precision": or_none(bool(called.any()), sk.precision_score, y, called),
        "recall": or_none(has_positive, sk.recall_score, y, called),
        "f1": or_none(has_positive or bool(called.any()), sk.f1_score, y, called),
        "roc_auc": or_none(has_both, sk.roc_auc_score, y, p),
        "average_precision": or_none(has_positive, sk.average_precision_score, y, p),
        "log_loss": or_none(True, sk.log_loss, y, np.column_stack([1 - p, p]), labels=[0, 1]),
        "brier": or_none(True, sk.brier_score_loss, y, p, pos_label=1),
    }


def check_against_sklearn(sk: Any, y: Labels, p: Vector, threshold: float) -> None:
    scores = metrics.score(y, p, threshold)
    for name, theirs in expected_scores(sk, y, p, threshold).items():
        assert_same(getattr(scores, name), theirs)
    tn, fp, fn, tp = sk.confusion_matrix(y, p >= threshold, labels=[0, 1]).ravel()
    assert astuple(scores.confusion) == (tp, fp, fn, tn)


@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_scores_agree_with_sklearn_on_a_thousand_random_cases(sklearn_metrics: Any, first: int) -> None:
    for seed in range(first, first + 100):
        y, p = random_case(seed)
        check_against_sklearn(sklearn_metrics, y, p, threshold=0.5)


@settings(max_examples=200, deadline=None)
@given(case=cases(min_size=1), threshold=probabilities)
@example(case=as_case([(1, 1.0)]), threshold=0.5)
@example(case=as_case([(0, 1.0), (1, 0.0)]), threshold=0.5)
@example(case=as_case([(1, 0.5), (0, 0.5), (0, 0.5)]), threshold=0.5)
def test_scores_agree_with_sklearn(sklearn_metrics: Any, case: Case, threshold: float) -> None:
    check_against_sklearn(sklearn_metrics, *case, threshold)


@settings(max_examples=200, deadline=None)
@given(case=cases(min_size=1))
def test_curves_agree_with_sklearn(sklearn_metrics: Any, case: Case) -> None:
    y, p = case
    roc, pr = metrics.roc_curve(y, p), metrics.precision_recall_curve(y, p)
    assert (roc is None) == (len(set(y)) < 2)
    assert (pr is None) == (not y.any())
    if roc is not None:
        expected = sklearn_metrics.roc_curve(y, p, drop_intermediate=False)
        for ours, theirs in zip(roc, expected, strict=True):
            assert_allclose(ours, theirs, rtol=1e-12)
    if pr is not None:
        precision, recall, thresholds = sklearn_metrics.precision_recall_curve(y, p)
        # theirs rise and end with a made-up point (recall 0, precision 1)
        assert_allclose(pr.precision, precision[-2::-1], rtol=1e-12)
        assert_allclose(pr.recall, recall[-2::-1], rtol=1e-12)
        assert_array_equal(pr.thresholds, thresholds[::-1])


# ---- confusion and what follows from it


def test_a_probability_equal_to_the_threshold_is_called_positive() -> None:
    assert metrics.confusion([1, 0], [0.5, 0.5], 0.5) == metrics.Confusion(1, 1, 0, 0)


def test_confusion_properties() -> None:
    c = metrics.Confusion(tp=6, fp=2, fn=4, tn=8)
    assert c.n == 20
    assert c.accuracy == 14 / 20
    assert c.precision == 6 / 8
    assert c.recall == 6 / 10
    assert c.specificity == 8 / 10
    assert c.balanced_accuracy == pytest.approx(0.7, abs=1e-15)
    assert c.f1 == 12 / 18


def test_an_empty_confusion_defines_nothing() -> None:
    c = metrics.Confusion(0, 0, 0, 0)
    numbers = (c.accuracy, c.precision, c.recall, c.specificity, c.balanced_accuracy, c.f1)
    assert numbers == (None,) * 6


@pytest.mark.parametrize(
    ("y", "expected"),
    [([], None), ([1], 1.0), ([0, 0, 1], 2 / 3), ([0, 1], 0.5), ([1, 1, 0], 2 / 3)],
)
def test_baseline_accuracy_is_the_share_of_the_more_common_class(
    y: list[int], expected: float | None
) -> None:
    assert metrics.baseline_accuracy(y) == expected


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"), [(9, 1, 0.25), (1, 9, 0.75), (5, 5, None)]
)
def test_training_baseline_answers_what_was_more_common_in_training(
    positives: int, negatives: int, expected: float | None
) -> None:
    y = [0, 0, 0, 1]
    assert metrics.training_baseline(y, positives=positives, negatives=negatives) == expected
    assert metrics.training_baseline([], positives=positives, negatives=negatives) is None


# ---- Wilson and the verdict


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (35, 50, 0.5625, 0.8090),
    ],
)
def test_wilson_interval_has_the_published_ends(successes: int, n: int, low: float, high: float) -> None:
    assert metrics.wilson_interval(successes, n) == pytest.approx((low, high), abs=5.1e-5)


@given(n=st.integers(1, 10_000), data=st.data(), confidence=st.floats(0.5, 0.999))
def test_wilson_ends_are_where_the_score_test_just_rejects(
    n: int, data: st.DataObject, confidence: float
) -> None:
    s = data.draw(st.integers(0, n))
    interval = metrics.wilson_interval(s, n, confidence)
    assert interval is not None
    low, high = interval
    assert 0 <= low <= s / n <= high <= 1
    # sqrt(2) erf^-1(confidence) is the quantile; |s/n - end| = q sqrt(end (1 - end)/n)
    for end in (low, high):
        if 0 < end < 1:
            q = abs(s / n - end) / math.sqrt(end * (1 - end) / n)
            assert math.erf(q / math.sqrt(2)) == pytest.approx(confidence, abs=1e-6)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_wilson_ends_are_exact_where_all_or_none_succeed(confidence: float) -> None:
    for n in range(1, 200):
        none, every = (metrics.wilson_interval(s, n, confidence) for s in (0, n))
        assert none is not None
        assert every is not None
        assert (none[0], every[1]) == (0.0, 1.0)


def test_wilson_interval_of_nothing_is_none() -> None:
    assert metrics.wilson_interval(0, 0) is None


@pytest.mark.parametrize(
    ("correct", "baseline", "word"),
    [
        (35, 0.5, "better than"),
        (35, 0.66, "not distinguishable from"),
        (35, 0.82, "worse than"),
        (50, 1.0, "not distinguishable from"),
        (0, 0.5, "worse than"),
    ],
)
def test_verdict_follows_the_side_of_the_baseline(correct: int, baseline: float, word: str) -> None:
    assert metrics.verdict(correct, 50, baseline).startswith(
        f"{word} always answering with the more common"
    )


def test_verdict_gives_its_numbers() -> None:
    assert metrics.verdict(35, 50, 0.66) == (
        "not distinguishable from always answering with the more common class "
        "(accuracy 0.700, 95 % interval 0.562\u20130.809, baseline 0.660)"
    )


def test_verdict_without_images_says_so() -> None:
    assert "no pictures" in metrics.verdict(0, 0, None)


# ---- ROC area


def slow_auc_and_variance(y: Labels, p: Vector) -> tuple[float, float]:
    """Area and DeLong's variance from the full (n1, n0) matrix of comparisons."""
    gap = p[y == 1][:, None] - p[y == 0][None, :]  # (n1, n0)
    psi = np.where(gap > 0, 1.0, np.where(gap == 0, 0.5, 0.0))
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    n1, n0 = psi.shape
    s10 = sum((v - psi.mean()) ** 2 for v in v10) / (n1 - 1)
    s01 = sum((v - psi.mean()) ** 2 for v in v01) / (n0 - 1)
    return float(psi.mean()), float(s10 / n1 + s01 / n0)


@pytest.mark.parametrize("seed", range(200))
def test_auc_interval_is_delongs_on_the_logit(seed: int) -> None:
    y, p = random_case(seed)
    interval = metrics.auc_interval(y, p)
    if min(y.sum(), len(y) - y.sum()) < 2:
        assert interval is None
        return
    area, variance = slow_auc_and_variance(y, p)
    if variance < 1e-15:
        assert interval is None
        return
    half = 1.959963984540054 * math.sqrt(variance) / (area * (1 - area))
    logits = np.log(area / (1 - area)) + np.array([-half, half])
    assert interval == pytest.approx(tuple(1 / (1 + np.exp(-logits))), rel=1e-9)
    assert metrics.roc_auc(y, p) == pytest.approx(area, abs=1e-12)


def test_auc_interval_resembles_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(300) < 0.4).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(size=300) + 1.2 * y - 0.5)))
    areas = np.empty(1000)
    for k in range(1000):
        i = rng.integers(0, 300, 300)
        areas[k] = metrics.roc_auc(y[i], p[i])
    assert metrics.auc_interval(y, p) == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=0.01)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([], []),
        ([1, 1, 1], [0.1, 0.2, 0.3]),
        ([0, 1, 1], [0.3, 0.2, 0.4]),  # one negative: no variance among negatives
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]),  # area 1
        ([0, 0, 1, 1], [0.3, 0.4, 0.1, 0.2]),  # area 0
        ([0, 0, 0, 1, 1, 1], [1 / 3] * 6),
    ],
)
def test_auc_interval_is_none_where_there_is_no_variance(y: list[int], p: list[float]) -> None:
    assert metrics.auc_interval(y, p) is None


@given(case=cases())
def test_swapping_classes_mirrors_the_area(case: Case) -> None:
    y, p = case
    area, swapped = metrics.roc_auc(y, p), metrics.roc_auc(1 - y, p)
    assert (area is None) == (swapped is None) == (len(set(y)) < 2)
    if area is not None and swapped is not None:
        assert area + swapped == pytest.approx(1, abs=1e-15)


# ---- losses and calibration


def test_a_sure_mistake_costs_the_logarithm_of_eps() -> None:
    assert metrics.log_loss([1], [0.0]) == pytest.approx(52 * math.log(2), rel=1e-15)


@given(case=cases(min_size=1))
def test_log_likelihood_is_the_logarithm_of_the_joint_probability(case: Case) -> None:
    y, p = case
    eps = 2.0**-52
    of_truth = [min(max(p_i if y_i else 1 - p_i, eps), 1 - eps) for y_i, p_i in zip(y, p, strict=True)]
    expected = math.fsum(math.log(q) for q in of_truth)
    assert metrics.log_likelihood(y, p) == pytest.approx(expected, rel=1e-12)


@given(case=cases(), bins=st.integers(1, 12))
def test_calibration_puts_every_picture_between_the_edges_of_its_bin(case: Case, bins: int) -> None:
    y, p = case
    rows = metrics.calibration(y, p, bins)
    assert [row.low for row in rows] == [i / bins for i in range(bins)]
    assert [row.high for row in rows] == [(i + 1) / bins for i in range(bins)]
    for row in rows:
        inside = (row.low <= p) & ((p < row.high) | ((row.high == 1) & (p == 1)))
        assert row.count == inside.sum()
        assert_same(row.mean_p, float(p[inside].mean()) if inside.any() else None)
        assert_same(row.share_positive, float(y[inside].mean()) if inside.any() else None)


def test_calibration_does_not_trust_p_times_bins() -> None:
    rows = metrics.calibration([1], [0.29], bins=100)
    assert [row.low for row in rows if row.count] == [0.29]


# ---- McNemar


def calls(both: int, only_a: int, only_b: int, neither: int) -> tuple[Labels, Labels, Labels]:
    """All pictures positive, so that a call of 1 is a right one."""
    counts = [both, only_a, only_b, neither]
    a, b = np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)
    return np.ones(sum(counts), np.int64), a, b


@pytest.mark.parametrize("only_a", [0, 1, 2, 5, 30, 200])
@pytest.mark.parametrize("only_b", [0, 1, 3, 5, 41, 230])
def test_mcnemar_p_is_the_sum_over_outcomes_no_likelier(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    weights = [math.comb(n, k) for k in range(n + 1)]
    extreme = sum(w for w in weights if w <= weights[only_a])
    found = metrics.mcnemar(*calls(7, only_a, only_b, 2))
    assert found is not None
    assert (found.only_a_right, found.only_b_right) == (only_a, only_b)
    assert found.p_value == pytest.approx(float(Fraction(extreme, 2**n)), rel=1e-10)


def test_mcnemar_interval_is_agresti_and_mins() -> None:
    """Approval of a prime minister in two surveys, from Agresti's Categorical Data Analysis."""
    found = metrics.mcnemar(*calls(794, 150, 86, 570))
    assert found is not None
    assert found.difference == 64 / 1600
    b, c, n = 150.5, 86.5, 1602
    half = 1.959963984540054 * math.sqrt((b + c) - (b - c) ** 2 / n) / n
    expected = ((b - c) / n - half, (b - c) / n + half)
    assert found.difference_ci95 == pytest.approx(expected, rel=1e-12)
    assert found.difference_ci95 == pytest.approx((0.021, 0.059), abs=5e-4)


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 3), min_size=1, max_size=30))
def test_mcnemar_swaps_sign_with_its_arguments(rows: list[tuple[int, int, int]]) -> None:
    y, a, b = np.array(rows).T
    one, other = metrics.mcnemar(y, a, b), metrics.mcnemar(y, b, a)
    assert one is not None
    assert other is not None
    assert one.p_value == other.p_value
    assert 0 < one.p_value <= 1
    assert one.difference == -other.difference
    assert one.difference == pytest.approx(np.mean(a == y) - np.mean(b == y), abs=1e-12)
    low, high = one.difference_ci95
    assert -1 <= low <= one.difference <= high <= 1
    assert other.difference_ci95 == (-high, -low)


def test_mcnemar_of_nothing_is_none() -> None:
    assert metrics.mcnemar([], [], []) is None


def test_mcnemar_keeps_its_digits_with_many_pictures() -> None:
    found = metrics.mcnemar(*calls(0, 50_000, 50_600, 0))
    assert found is not None
    # normal approximation with continuity correction
    z = (600 - 1) / math.sqrt(100_600)
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


# ---- choose_threshold


def every_threshold(p: Vector) -> list[float]:
    """The lowest, the halves and the highest, by the rule; 1.0 is no use when some p is 1."""
    values = sorted(set(p.tolist()))
    spots = [0.0, *values, 1.0]
    found = []
    for below, above in pairwise(spots):
        middle = (below + above) / 2
        found.append(middle if middle > below else above)
    return found[:-1] if values[-1] == 1 else found


def goal_value(c: metrics.Confusion, goal: str, at: float | None) -> tuple[Fraction, int] | None:
    """What to make large, in exact fractions; None where it is undefined or out of bounds."""
    if c.accuracy is None or (goal == "accuracy"):
        return Fraction(c.tp + c.tn, c.n), 0
    if goal == "balanced_accuracy":
        if c.balanced_accuracy is None:
            return None
        return Fraction(c.tp, c.tp + c.fn) + Fraction(c.tn, c.tn + c.fp), 0
    if c.recall is None:
        return None
    if goal == "f1":
        return Fraction(2 * c.tp, 2 * c.tp + c.fp + c.fn), 0
    if c.precision is None or at is None:
        return None
    if goal == "precision":
        return (Fraction(c.tp), -c.fp) if c.precision >= at else None
    return (Fraction(c.tp, c.tp + c.fp), c.tp) if c.recall >= at else None


def slow_choice(y: Labels, p: Vector, goal: str, at: float | None) -> float | None:
    worth = {t: goal_value(metrics.confusion(y, p, t), goal, at) for t in every_threshold(p)}
    allowed = [(value, -abs(t - 0.5), t) for t, value in worth.items() if value is not None]
    return max(allowed)[-1] if allowed else None


@pytest.mark.parametrize("goal", metrics.GOALS)
@settings(max_examples=150, deadline=None)
@given(case=cases(min_size=1, max_size=25), bound=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
@example(case=as_case([(0, 0.4), (1, 1.0)]), bound=0.5)
@example(case=as_case([(0, 1.0)]), bound=0.0)
@example(case=as_case([(0, math.nextafter(0.5, 0)), (1, 0.5)]), bound=1.0)
@example(case=as_case([(0, 0.0), (1, 5e-324)]), bound=1.0)
def test_choose_threshold_equals_trying_every_one(goal: str, case: Case, bound: float) -> None:
    at = bound if goal in ("precision", "recall") else None
    assert metrics.choose_threshold(*case, goal, at) == slow_choice(*case, goal, at)


@pytest.mark.parametrize(
    ("y", "p", "goal", "at", "expected"),
    [
        ([0, 1], [0.2, 0.6], "accuracy", None, 0.4),
        ([0, 0], [0.2, 0.6], "accuracy", None, 0.8),  # nothing is called
        ([1, 1], [0.2, 0.6], "accuracy", None, 0.1),  # everything is
        ([0, 1, 0, 1], [0.1, 0.3, 0.5, 0.9], "accuracy", None, 0.7),  # 0.2 is as good, but farther
        ([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1], "precision", 0.6, 0.05),
        ([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1], "precision", 0.9, 0.85),
        ([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], "recall", 1.0, 0.4),
        ([0, 1], [0.9, 0.1], "precision", 0.9, None),  # out of reach
        ([0, 0], [0.9, 0.1], "recall", 0.5, None),
        ([0, 0], [0.9, 0.1], "f1", None, None),
        ([1, 1], [0.9, 0.1], "balanced_accuracy", None, None),
        ([], [], "accuracy", None, None),
    ],
)
def test_choose_threshold_by_hand(
    y: list[int], p: list[float], goal: str, at: float | None, expected: float | None
) -> None:
    assert metrics.choose_threshold(y, p, goal, at) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("goal", "at", "message"),
    [
        ("speed", None, "goal: found 'speed', expected one of accuracy, "),
        ("precision", None, "at: found None, expected from 0 to 1 with the goal precision"),
        ("recall", 1.5, "at: found 1.5, expected from 0 to 1"),
        ("f1", 0.5, "at: found 0.5, expected None with the goal f1"),
    ],
)
def test_choose_threshold_refuses_a_wrong_goal(goal: str, at: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.choose_threshold([0, 1], [0.1, 0.9], goal, at)


# ---- Scores


@given(case=cases(), threshold=probabilities)
@example(case=as_case([]), threshold=0.5)
@example(case=as_case([(0, 0.0)]), threshold=0.5)
def test_scores_survive_json_and_never_warn(case: Case, threshold: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = metrics.score(*case, threshold).to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_scores_of_nothing_are_none() -> None:
    plain = metrics.score([], []).to_dict()
    told = {k: v for k, v in plain.items() if v is not None}
    assert told.pop("verdict") == metrics.verdict(0, 0, None)
    counts = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    assert told == {"n": 0, "threshold": 0.5, "confusion": counts}


def test_scores_hold_what_the_functions_say() -> None:
    y, p = random_case(7)
    scores = metrics.score(y, p, 0.4)
    c = metrics.confusion(y, p, 0.4)
    assert (scores.n, scores.threshold, scores.confusion) == (len(y), 0.4, c)
    assert scores.accuracy_ci95 == metrics.wilson_interval(c.tp + c.tn, c.n)
    assert scores.roc_auc_ci95 == metrics.auc_interval(y, p)
    assert scores.log_likelihood == metrics.log_likelihood(y, p)
    assert scores.baseline_accuracy == metrics.baseline_accuracy(y)
    assert scores.verdict == metrics.verdict(c.tp + c.tn, c.n, scores.baseline_accuracy)


def test_the_keys_of_scores_are_a_contract() -> None:
    assert list(metrics.score([], []).to_dict()) == [
        "n", "threshold", "confusion", "accuracy", "accuracy_ci95", "balanced_accuracy",
        "precision", "recall", "f1", "roc_auc", "roc_auc_ci95", "average_precision", "log_loss",
        "log_likelihood", "brier", "baseline_accuracy", "verdict",
    ]  # fmt: skip


def test_scores_do_not_depend_on_the_type_of_the_labels() -> None:
    y, p = random_case(8)
    expected = metrics.score(y, p)
    for same in (y.astype(bool), y.astype(np.uint8), y.astype(float), y.tolist()):
        assert metrics.score(same, p) == expected


# ---- what is refused

OF_Y_AND_P = [
    metrics.confusion,
    metrics.roc_curve,
    metrics.precision_recall_curve,
    metrics.roc_auc,
    metrics.auc_interval,
    metrics.average_precision,
    metrics.log_loss,
    metrics.log_likelihood,
    metrics.brier,
    metrics.calibration,
    metrics.score,
]
WRONG: list[tuple[Any, Any, str]] = [
    ([0, 1], [0.1], "found 2 of y, 1 of p, expected equal lengths"),
    ([[0, 1]], [0.1, 0.2], r"y: found int\d+ of shape \(1, 2\), expected numbers of shape \(m,\)"),
    ([0, 1], [[0.1], [0.2]], r"p: found float64 of shape \(2, 1\)"),
    ([0, 2], [0.1, 0.2], r"y\[1\]: found 2, expected from 0 to 1"),
    ([0, 0.5], [0.1, 0.2], r"y: found 0.5, expected 0 or 1"),
    ([0, 1], [0.1, 1.2], r"p\[1\]: found 1.2, expected from 0 to 1"),
    ([0, 1], [math.nan, 0.2], r"p\[0\]: found nan"),
    ([0, 1], [0.2, math.inf], r"p\[1\]: found inf"),
    (["cat", "dog"], [0.1, 0.2], "y: found <U3 of shape"),
    ([0, 1], [0.1, None], "p: found object of shape"),
]


@pytest.mark.parametrize("function", OF_Y_AND_P, ids=lambda f: str(f.__name__))
@pytest.mark.parametrize(("y", "p", "message"), WRONG)
def test_wrong_columns_are_refused(function: Callable[..., Any], y: Any, p: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(y, p)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.confusion([0], [0.1], math.nan), "threshold: found nan"),
        (lambda: metrics.wilson_interval(3, 2), "successes: found 3, expected from 0 to n = 2"),
        (lambda: metrics.wilson_interval(-1, 2), "successes: found -1"),
        (lambda: metrics.wilson_interval(1, 2, 1.0), "confidence: found 1.0"),
        (lambda: metrics.auc_interval([0], [0.1], 0.0), "confidence: found 0.0"),
        (lambda: metrics.calibration([0], [0.1], 0), "bins: found 0, expected at least 1"),
        (lambda: metrics.mcnemar([0, 1], [0, 1], [0]), "2 of y, 2 of called_a, 1 of called_b"),
        (lambda: metrics.mcnemar([0], [0.2], [0]), "called_a: found 0.2, expected 0 or 1"),
        (lambda: metrics.baseline_accuracy([3]), r"y\[0\]: found 3"),
    ],
)
def test_wrong_settings_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
