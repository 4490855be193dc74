"""Patch features: against loops over single patches, and what users may rely on."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from catclf.errors import ConfigError
from catclf.features import dictionary, patches
from catclf.features import responses as responses_module
from catclf.features.dictionary import FILTERS
from catclf.features.patches import COMPONENTS, Patches

UInt8 = NDArray[np.uint8]
Array = NDArray[Any]


def smooth_pictures(m: int, size: int, seed: int = 0) -> UInt8:
    """Blurred noise of full contrast: neighbours alike, as in photographs."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((m, size, size, 3))
    for axis in (1, 2):
        noise = np.mean([np.roll(noise, shift, axis) for shift in range(-2, 3)], axis=0)
    return np.clip(128 + 250 * noise, 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True, scope="module")
def few_samples() -> Iterator[None]:
    """Learn from fewer patches, though still in several blocks: 50 000 are for real data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dictionary, "SAMPLES", 3000)
        patch.setattr(dictionary, "ROUNDS", 4)
        yield


@pytest.fixture(scope="module")
def learned() -> Patches:
    return Patches.learn(smooth_pictures(20, 16), seed=1)


def cell_of(position: int, positions: int, cells: int) -> int:
    """Box that a row or column of patches is in, from the nearer border."""
    if position >= positions / 2:
        return cells - 1 - cell_of(positions - 1 - position, positions, cells)
    edges = [int(k * positions / cells + 0.5) for k in range(1, cells // 2 + 1)]
    return sum(edge <= position for edge in edges)


def weight(cell: int, cells: int, centre: int, grid: int) -> float:
    """Triangle over [0, 1]: 1 at the centre of the larger cell, 0 at the centre of the next."""
    distance = abs((cell + 0.5) / cells - (centre + 0.5) / grid)
    return max(0.0, 1.0 - distance * grid)


def responses(picture: UInt8, filters: Array) -> Array:
    """z of every position and filter, patch by patch: (rows, columns, FILTERS)."""
    columns = len(picture) - 5
    z = np.empty(((columns + 1) // 2, columns, filters.shape[1]))
    for row in range(len(z)):
        for column in range(columns):
            p = picture[2 * row : 2 * row + 6, column : column + 6].astype(np.float64).ravel()
            q = (p - p.mean()) / np.sqrt(p.var() + 1000)
            z[row, column] = q @ filters[:108] + filters[108]
    return z


def box_means(picture: UInt8, filters: Array) -> Array:
    """The four statistics in each box: (cells, cells, 4, FILTERS)."""
    z = responses(picture, filters.astype(np.float64))
    rows, columns = z.shape[:2]
    cells = max(odd for odd in (1, 3, 5, 7, 9) if odd <= rows and odd <= max(5, columns // 4))
    boxes: dict[tuple[int, int], list[Array]] = {}
    for row in range(rows):
        for column in range(columns):
            box = cell_of(row, rows, cells), cell_of(column, columns, cells)
            boxes.setdefault(box, []).append(z[row, column])
    means = np.empty((cells, cells, 4, filters.shape[1]))
    for box, values in boxes.items():
        v = np.array(values)
        statistics = (np.maximum(v - 0.5, 0), np.maximum(-v - 0.5, 0), v > 0.5, v < -0.5)
        means[box] = [statistic.mean(axis=0) for statistic in statistics]
    return means


def where(means: Array, grid: int) -> Array:
    """Square root of the means pooled over larger cells: (grid, grid, 4, FILTERS)."""
    cells = len(means)
    result = np.zeros((grid, grid, *means.shape[2:]))
    for i in range(grid):
        for j in range(grid):
            total = 0.0
            for row in range(cells):
                for column in range(cells):
                    w = weight(row, cells, i, grid) * weight(column, cells, j, grid)
                    result[i, j] += w * means[row, column]
                    total += w
            result[i, j] /= total
    return np.sqrt(result)


def together(plain: Array, mirrored: Array, features: Patches) -> list[float]:
    """Signed roots of the mean products of components, averaged over a picture and its mirror image."""
    channels = plain.shape[2] * plain.shape[3]
    a = np.sqrt(plain).reshape(-1, channels)
    b = np.sqrt(mirrored[:, ::-1]).reshape(-1, channels)  # the same place in the mirror image
    even = ((a + b) / 2 - features.centre) @ features.components[0]
    odd = (a - b) / 2 @ features.components[1]
    result = []
    for scores in (even, odd):
        for i in range(scores.shape[1]):
            for j in range(i, scores.shape[1]):
                product = float(np.mean(scores[:, i] * scores[:, j]))
                result.append(np.copysign(np.sqrt(abs(product)), product))
    return result


def slow_row(picture: UInt8, features: Patches) -> Array:
    """Features by their definition."""
    plain = box_means(picture, features.filters)
    mirrored = box_means(picture[:, ::-1], features.filters)
    first = (where(plain, features.grid) + where(mirrored, features.grid)) / 2
    return np.concatenate([first.ravel(), together(plain, mirrored, features)])


def of_other_size(learned: Patches, size: int, grid: int) -> Patches:
    return replace(learned, size=size, grid=grid)


@pytest.mark.parametrize(("size", "grid"), [(16, 2), (13, 1), (33, 3), (7, 2)])
def test_rows_agree_with_a_loop_over_patches(learned: Patches, size: int, grid: int) -> None:
    """To 1e-3 everywhere: the root of a rounding error of 1e-6; to 1e-5 nearly everywhere."""
    features = of_other_size(learned, size, grid)
    images = smooth_pictures(2, size, seed=5)
    rows = features.rows(images)
    expected = [slow_row(picture, features) for picture in images]
    assert_allclose(rows, expected, rtol=0, atol=1e-3)
    assert (np.abs(rows - expected) <= 1e-5).mean() > 0.99


@pytest.mark.parametrize("height", [1, 2, 3, 7])
def test_bands_of_any_height_give_the_same_features(
    learned: Patches, monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    """Bands of some rows of patches, across the borders of boxes, against all rows at once."""
    images = smooth_pictures(2, 45, seed=2)
    monkeypatch.setattr(responses_module, "_BLOCK", 40 * 40)
    whole = of_other_size(learned, 45, 2).rows(images)
    monkeypatch.setattr(responses_module, "_BLOCK", height * 40)
    assert_allclose(of_other_size(learned, 45, 2).rows(images), whole, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(6, 1), (9, 1), (10, 3), (13, 3), (14, 5), (32, 5), (33, 7), (40, 7), (41, 9), (300, 9)],
)
def test_boxes_are_odd_in_number_and_four_positions_wide(size: int, expected: int) -> None:
    """In small pictures less, so that there are five by five; in tiny ones a row of patches for each."""
    assert responses_module.cells_of(size) == expected


@pytest.mark.parametrize("size", range(6, 75))
def test_boxes_are_symmetric_and_nearly_equal(size: int) -> None:
    cells = responses_module.cells_of(size)
    columns = size - 5
    for side in (columns, (columns + 1) // 2):
        widths = responses_module._widths(side, cells)
        assert len(widths) == cells
        assert widths.sum() == side
        assert widths.min() >= 1
        assert widths.max() - widths.min() <= 2
        assert_array_equal(widths, widths[::-1])


def test_a_picture_and_its_mirror_image_have_the_same_features(learned: Patches) -> None:
    images = smooth_pictures(3, 16, seed=3)
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    assert_allclose(learned.rows(mirrored), learned.rows(images), rtol=0, atol=1e-3)


def test_the_dictionary_is_the_same_when_training_pictures_are_mirrored() -> None:
    """Mirrored moments make the whitening symmetric: W commutes with mirroring."""
    sample = dictionary._normalised(
        np.random.default_rng(0).uniform(0, 255, (500, 108)).astype(np.float32)
    )
    mean, whitening = dictionary._whitening(sample)
    other_mean, other = dictionary._whitening(sample[:, dictionary._MIRROR])
    assert_allclose(other_mean, mean, atol=1e-12)
    assert_allclose(other, whitening, atol=1e-6)
    assert_allclose(whitening[np.ix_(dictionary._MIRROR, dictionary._MIRROR)], whitening, atol=1e-12)


def test_any_split_into_batches_and_any_number_of_jobs_gives_the_same_bytes(
    learned: Patches,
) -> None:
    images = smooth_pictures(19, 16, seed=4)
    whole = learned.rows(images)
    assert_array_equal(learned.rows(images, jobs=2), whole)
    assert_array_equal(learned.rows(images, jobs=3), whole)
    single = [learned.rows(images[i : i + 1])[0] for i in range(len(images))]
    assert_array_equal(single, whole)
    assert_array_equal(learned.rows(images[::-1]), whole[::-1])


def test_a_copy_of_features_that_have_been_used_gives_the_same_bytes(learned: Patches) -> None:
    """Of pictures that the buffers have not seen."""
    learned.rows(smooth_pictures(3, 16, seed=4))
    copies = (copy.deepcopy(learned), pickle.loads(pickle.dumps(learned)))
    images = smooth_pictures(3, 16, seed=5)
    for copied in copies:
        assert_array_equal(copied.rows(images), learned.rows(images))


@pytest.mark.parametrize("size", [6, 9, 16, 24, 31, 32, 33, 45, 64])
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_company_of_a_picture_does_not_change_a_bit_of_its_features(
    learned: Patches, size: int, jobs: int
) -> None:
    """One task and the beginning of another, in groups of every length, whatever the size shares."""
    features = of_other_size(learned, size, 1)
    images = smooth_pictures(patches._TASK + 3, size, seed=6)
    single = np.concatenate([features.rows(images[i : i + 1]) for i in range(len(images))])
    for length in (2, 3, 5, len(images)):
        batches = [images[i : i + length] for i in range(0, len(images), length)]
        rows = np.concatenate([features.rows(batch, jobs) for batch in batches])
        assert rows.tobytes() == single.tobytes(), length


@pytest.mark.parametrize("size", [*range(6, 70), 128, 300, 1100])
def test_as_many_patches_at_a_time_as_a_block_has(learned: Patches, size: int) -> None:
    """A block of several whole pictures, or one picture in bands; never more than a row beyond it."""
    encoder = responses_module.Responses(size, learned.filters)
    columns = size - 5
    positions = columns * ((columns + 1) // 2)
    at_a_time = encoder.together * columns * encoder._height
    assert at_a_time <= max(responses_module._BLOCK, columns)
    assert encoder.together == 1 or len(encoder._bands) == 1
    assert encoder._height <= 255  # counts are bytes
    assert (encoder.together + 1) * positions > responses_module._BLOCK


def test_rows_are_float32_one_picture_a_row(learned: Patches) -> None:
    rows = learned.rows(smooth_pictures(3, 16))
    assert rows.shape == (3, learned.n_x)
    assert learned.n_x == 4 * 4 * FILTERS + COMPONENTS * (COMPONENTS + 1)
    assert rows.dtype == np.float32
    assert rows[:, : 4 * 4 * FILTERS].min() >= 0
    assert learned.rows(smooth_pictures(3, 16)[:0]).shape == (0, learned.n_x)


def test_contributions_are_those_of_the_features_that_have_a_place(learned: Patches) -> None:
    w, image = np.random.default_rng(2).standard_normal(learned.n_x), smooth_pictures(1, 16)[0]
    cells = learned.contributions(w, image, 0.0)
    assert cells.shape == (2, 2)
    x = learned.rows(image[None])[0]
    for k, (row, column) in enumerate(np.ndindex(2, 2)):
        some = slice(4 * FILTERS * k, 4 * FILTERS * (k + 1))
        assert_allclose(cells[row, column], w[some] @ x[some], rtol=1e-9)


def test_patterns_come_with_their_negatives_and_the_mean_weight_of_their_strength(
    learned: Patches,
) -> None:
    w = np.zeros((4, 4, FILTERS))  # cell, statistic, filter
    w[:, 0, 3] = 1, 2, 3, 6
    w[1, 1, 5] = -8
    w[:, 2:] = 100  # how often, which is another question
    patterns, weights = learned.patterns(np.append(w.ravel(), np.ones(COMPONENTS * (COMPONENTS + 1))))
    assert patterns.shape == (2 * FILTERS, 6, 6, 3)
    assert_allclose(patterns[3].ravel(), learned.filters[:108, 3])
    assert_array_equal(patterns[FILTERS:], -patterns[:FILTERS])
    expected = np.zeros(2 * FILTERS)
    expected[3], expected[FILTERS + 5] = 3, -2
    assert_allclose(weights, expected)


def test_learning_depends_on_the_seed_alone() -> None:
    images = smooth_pictures(6, 12)
    one = Patches.learn(images, seed=7, jobs=1)
    two = Patches.learn(images, seed=7, jobs=2)
    other = Patches.learn(images, seed=8, jobs=2)
    for name, array in one.arrays().items():
        assert array.tobytes() == two.arrays()[name].tobytes()
        assert array.tobytes() != other.arrays()[name].tobytes()


def test_components_are_learned_from_a_bounded_number_of_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = smooth_pictures(9, 12)
    monkeypatch.setattr(patches, "LOCAL_PICTURES", 4)
    some = patches._some(images, seed=0)
    places = [int(np.flatnonzero((images == one).all(axis=(1, 2, 3)))[0]) for one in some]
    assert len(places) == 4
    assert places == sorted(set(places))
    assert patches._some(images[:4], seed=0) is not None
    assert_array_equal(patches._some(images[:4], seed=0), images[:4])


def test_components_are_orthonormal_and_hold_the_largest_variances(learned: Patches) -> None:
    for directions in learned.components:
        assert_allclose(directions.T @ directions, np.eye(COMPONENTS), atol=1e-5)
    encoder = responses_module.Responses(16, learned.filters)
    every = encoder.maps(smooth_pictures(20, 16))
    parts = [parities[0].reshape(-1, 4 * FILTERS).copy() for _, parities in every]
    local = np.concatenate(parts).astype(np.float64)
    assert_allclose(local.mean(axis=0), learned.centre, atol=1e-4)
    variances = np.linalg.eigvalsh(np.cov(local.T, bias=True))[::-1][:COMPONENTS]
    scores = (local - learned.centre) @ learned.components[0]
    assert_allclose(scores.var(axis=0), variances, rtol=1e-3)


def test_filters_take_the_mean_away(learned: Patches) -> None:
    """A brighter patch has the same responses, but for its contrast."""
    assert learned.filters.shape == (109, FILTERS)
    assert learned.filters.dtype == np.float32
    assert_allclose(learned.filters[:108].sum(axis=0), 0, atol=1e-5)


def test_learned_filters_respond_as_unit_centroids_to_white_patches() -> None:
    """Over the samples themselves the responses have mean 0 and a standard deviation near 1."""
    images = smooth_pictures(30, 16, seed=9)
    filters = Patches.learn(images, seed=0).filters
    z = np.concatenate([responses(p, filters).reshape(-1, FILTERS) for p in images])
    assert_allclose(z.mean(axis=0), 0, atol=0.2)
    assert 0.3 < z.std(axis=0).mean() < 1.3


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_have_finite_features(learned: Patches, level: int) -> None:
    flat = np.full((3, 16, 16, 3), level, np.uint8)
    assert np.isfinite(learned.rows(flat)).all()
    from_flat = Patches.learn(flat)
    assert np.isfinite(from_flat.filters).all()
    assert_allclose(from_flat.rows(flat), 0, atol=1e-3)


def test_one_small_picture_is_enough_to_learn_from() -> None:
    features = Patches.learn(smooth_pictures(1, 7))
    assert np.isfinite(features.rows(smooth_pictures(2, 7))).all()


@pytest.mark.parametrize("size", [1, 5])
def test_pictures_smaller_than_a_patch_are_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"size = {size}: must be at least 6"):
        Patches.learn(np.zeros((2, size, size, 3), np.uint8))


@pytest.mark.parametrize("grid", [-1, 0, 4])
def test_a_grid_without_a_patch_in_every_cell_is_refused(grid: int) -> None:
    with pytest.raises(ConfigError, match=f"grid = {grid}: must be between 1 and 3 for .* size 10"):
        Patches.learn(np.zeros((2, 10, 10, 3), np.uint8), grid=grid)


@pytest.mark.parametrize(
    ("m", "size", "expected"), [(1, 10, 2), (249, 10, 2), (250, 10, 3), (250, 9, 1), (1, 6, 1)]
)
def test_many_pictures_have_a_finer_grid_if_they_are_large_enough(
    m: int, size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters = np.zeros((109, FILTERS), np.float32)
    monkeypatch.setattr(patches, "learn_filters", lambda images, seed, jobs: filters)
    monkeypatch.setattr(patches, "LOCAL_PICTURES", 2)
    assert Patches.learn(np.zeros((m, size, size, 3), np.uint8)).grid == expected
    assert Patches.learn(np.zeros((m, size, size, 3), np.uint8), grid=1).grid == 1


def test_restore_undoes_settings_and_arrays(learned: Patches) -> None:
    again = Patches.restore(learned.settings(), learned.arrays())
    images = smooth_pictures(2, 16)
    assert (again.size, again.grid) == (learned.size, learned.grid)
    assert_array_equal(again.rows(images), learned.rows(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": None}, "expected a size of at least 6, found None"),
        ({"size": 6}, "expected a grid of at most 1, found 2"),
        ({"row_step": 1}, "expected row_step = 2, found 1"),
        ({"size": 64.0}, "expected a size"),
        ({"size": True}, "expected a size"),
        ({"grid": 0}, "expected a grid of at least 1, found 0"),
        ({"patch": 8}, "expected patch = 6, found 8"),
        ({"cells": 9}, "expected cells = 5, found 9"),
        ({"contrast": 10.0}, r"expected contrast = 1000\.0, found 10\.0"),
        ({"threshold": None}, r"expected threshold = 0\.5, found None"),
    ],
)
def test_impossible_settings_are_refused(learned: Patches, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Patches.restore(learned.settings() | change, learned.arrays())


def test_missing_settings_are_refused(learned: Patches) -> None:
    for name in learned.settings():
        settings = {key: value for key, value in learned.settings().items() if key != name}
        with pytest.raises(ValueError, match=rf"expected .*{name}.*found None"):
            Patches.restore(settings, learned.arrays())


@pytest.mark.parametrize("name", ["filters", "centre", "components"])
def test_wrong_arrays_are_refused(learned: Patches, name: str) -> None:
    array = learned.arrays()[name]
    infinite = array.copy()
    infinite.flat[7] = np.inf
    shape = rf"expected {name} of float32 \({', '.join(map(str, array.shape))},?\), found "
    wrong: list[tuple[Array, str]] = [
        (array[:-1], shape + "float32"),
        (array.astype(np.float64), shape + "float64"),
        (infinite, f"expected finite {name}, found 1 number"),
    ]
    for other, message in wrong:
        with pytest.raises(ValueError, match=message):
            Patches.restore(learned.settings(), learned.arrays() | {name: other})


def test_missing_and_unknown_arrays_are_refused(learned: Patches) -> None:
    expected = "expected the arrays filters, centre, components; found "
    with pytest.raises(ValueError, match=expected + "none"):
        Patches.restore(learned.settings(), {})
    with pytest.raises(ValueError, match=expected + "centre, components, dictionary, filters"):
        Patches.restore(learned.settings(), learned.arrays() | {"dictionary": learned.centre})
