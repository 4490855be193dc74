"""Pictures of the same scene: found, kept together when some are held out, and named by eval."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

import catclf
from catclf import near_duplicates
from catclf.cli import main
from catclf.config import DescentSettings, ReadOptions, TrainSettings
from catclf.errors import TooFewPicturesError
from catclf.images.decode import seen
from catclf.near_duplicates import Pair, Thumbnails, groups, nearest
from catclf.progress import Progress, silent
from catclf.view import THUMBNAIL

SIDE = 96
FRAMES = 5


def scene(seed: int) -> Image.Image:
    """Coloured patches of several sizes, as in a photograph."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (n, n, 3), np.uint8)).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            ),
            float,
        )
        for n in (3, 6, 12, 24)
    ]
    return Image.fromarray(
        np.clip(np.average(layers, axis=0, weights=(3, 3, 2, 1)), 0, 255).astype(np.uint8)
    )


def part(image: Image.Image, share: float, right: float = 0.0, down: float = 0.0) -> Image.Image:
    """Cut out a part, its centre moved by shares of the picture."""
    w, h = image.size
    left, top = ((1 - share) / 2 + right) * w, ((1 - share) / 2 + down) * h
    return image.crop((round(left), round(top), round(left + share * w), round(top + share * h)))


def frames(seed: int, count: int = FRAMES) -> list[Image.Image]:
    """Pictures of a burst: a moving part of one scene, a little noisy."""
    rng, whole = np.random.default_rng((seed, 1)), scene(seed)
    found = []
    for _ in range(count):
        right, down = rng.uniform(-0.04, 0.04, 2)
        pixels = np.asarray(part(whole, 0.9, right, down), float)
        found.append(
            Image.fromarray(np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8))
        )
    return found


def small(images: list[Image.Image]) -> Thumbnails:
    return np.concatenate(
        [seen(np.asarray(image.convert("RGB"))[np.newaxis], THUMBNAIL) for image in images]
    )


def numbered(m: int) -> Any:
    return np.arange(m, dtype=np.uint64)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: image.resize((SIDE // 2, SIDE // 2)),
    "mirrored": ImageOps.mirror,
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "90 % of it": lambda image: part(image, 0.9),
    "85 % of it, mirrored": lambda image: ImageOps.mirror(part(image, 0.85, 0.02, -0.03)),
    "turned by 4 degrees": lambda image: part(image.rotate(4, Image.Resampling.BICUBIC), 0.9),
    "the next frame": lambda image: part(image, 0.92, 0.03, -0.02),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_picture_is_found_again(name: str) -> None:
    scenes = [scene(k) for k in range(40)]
    changed = [CHANGES[name](image) for image in scenes]
    assert nearest(small(changed), small(scenes)) == [Pair(k, k) for k in range(40)]


def test_other_scenes_are_not_near_duplicates() -> None:
    some = small([scene(k) for k in range(300)])
    assert_array_equal(groups(some, numbered(300)), np.arange(300))
    assert nearest(some[:150], some[150:]) == []


def test_other_colours_are_another_picture() -> None:
    image = scene(0)
    recoloured = Image.merge("RGB", image.split()[::-1])
    assert nearest(small([recoloured]), small([image])) == []
    assert nearest(small([image.convert("L")]), small([image])) == [Pair(0, 0)]


def test_groups_are_named_by_their_first_picture_and_go_by_way_of_others() -> None:
    a, b = frames(1, 3), frames(2, 2)
    some = small([a[0], b[0], scene(3), a[1], b[1], a[2]])
    assert groups(some, numbered(6)).tolist() == [0, 1, 2, 0, 1, 0]
    # The same marks are one picture, though they look different.
    marks = np.array([5, 6, 7, 8, 9, 6], np.uint64)
    assert groups(some, marks).tolist() == [0, 1, 2, 0, 1, 1]


def test_pictures_of_one_colour_are_near_nothing() -> None:
    plain = small([Image.new("RGB", (64, 64), colour) for colour in ("white", "white", "black", "red")])
    assert groups(plain, numbered(4)).tolist() == [0, 1, 2, 3]
    assert groups(plain, np.zeros(4, np.uint64)).tolist() == [0] * 4


def test_nothing_is_no_group() -> None:
    none = np.empty((0, 32, 32, 3), np.uint8)
    assert len(groups(none, numbered(0))) == 0
    assert nearest(none, small([scene(0)])) == []
    assert nearest(small([scene(0)]), none) == []


def test_a_mirrored_picture_has_the_same_numbers_in_another_order() -> None:
    some = small([scene(k) for k in range(5)])
    order = near_duplicates._mirror_order()
    mirrored = near_duplicates._descriptors(some[:, :, ::-1])
    assert_allclose(mirrored, near_duplicates._descriptors(some)[:, order], atol=1e-5)


def test_no_result_depends_on_how_much_is_compared_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = small([image for k in range(15) for image in frames(k, 3)])
    expected = groups(pictures, numbered(45))
    assert len(set(expected.tolist())) == 15
    pairs = nearest(pictures[::3], pictures[1::3])
    monkeypatch.setattr(near_duplicates, "_BLOCK", 7)
    monkeypatch.setattr(near_duplicates, "_CHECKED", 2)
    assert_array_equal(groups(pictures, numbered(45)), expected)
    assert nearest(pictures[::3], pictures[1::3]) == pairs


def test_a_thousand_equal_pictures_are_not_compared_pair_by_pair() -> None:
    begun = time.process_time()
    many = np.repeat(small([scene(0)]), 1000, axis=0)
    assert not groups(many, numbered(1000)).any()
    assert time.process_time() - begun < 20  # half a million pairs would take minutes


# --- training ---


def bursts(folder: Path, scenes: int = 10, count: int = FRAMES) -> Path:
    """Two classes that have nothing in common but scenes of which there are several frames."""
    for number, name in enumerate(("cat", "dog")):
        for k in range(scenes):
            for j, image in enumerate(frames(100 * number + k, count)):
                path = folder / name / f"{k}-{j}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
    return folder


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bursts(tmp_path_factory.mktemp("bursts"))


DESCENT = DescentSettings(iterations=200, l2=0.01)


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"descent": DESCENT, "read": ReadOptions(size=32), **changes})


class Listening(Progress):
    """Keeps what it hears."""

    def __init__(self, wants_details: bool = False) -> None:
        self.wants_details = wants_details
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_bursts_do_not_flatter_cross_validation(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = catclf.train(album, settings(cv=5))
    assert fit.near_duplicates is not None
    assert (fit.near_duplicates.groups, fit.near_duplicates.pictures) == (20, 100)
    assert fit.to_dict()["near_duplicates"] == {"groups": 20, "pictures": 100}
    assert fit.cv is not None
    monkeypatch.setattr(
        "catclf.pipeline.training_data.groups", lambda thumbnails, marks, advanced: np.arange(len(marks))
    )
    apart = catclf.train(album, settings(cv=5))
    assert apart.cv is not None
    assert fit.cv.accuracy is not None and apart.cv.accuracy is not None
    assert apart.cv.accuracy > 0.9
    assert fit.cv.accuracy < 0.8
    assert_array_equal(fit.model.w, apart.model.w)  # the model itself is the same


def test_with_details_both_scores_are_said(album: Path) -> None:
    said = "with near-duplicates in different folds it would be: "
    for wants_details in (False, True):
        progress = Listening(wants_details)
        catclf.train(album, settings(cv=5), progress=progress)
        assert sum(note.startswith(said) for note in progress.notes) == wants_details


def test_a_share_to_validate_with_has_whole_scenes(album: Path) -> None:
    fit = catclf.train(album, settings(validation=0.2))
    assert fit.validation is not None
    assert fit.validation.n == 20
    assert fit.m == 80
    assert fit.validation.accuracy is not None
    assert fit.validation.accuracy < 0.9


def test_fewer_scenes_than_folds_are_refused(album: Path) -> None:
    with pytest.raises(TooFewPicturesError) as caught:
        catclf.train(album, settings(cv=11))
    assert str(caught.value) == (
        "the positive class has too few groups of near-duplicates for 11 folds (10, of 50 pictures): "
        "use fewer folds, or add pictures of other scenes"
    )


def test_the_penalty_is_chosen_on_whole_scenes(album: Path, tmp_path: Path) -> None:
    fit = catclf.train(album, settings(descent=DescentSettings(iterations=50, l2="auto")))
    assert fit.near_duplicates is not None
    bursts(tmp_path / "one", scenes=1)
    with pytest.raises(TooFewPicturesError, match=r"to choose the penalty l2 \(1, of 5 pictures\)"):
        catclf.train(tmp_path / "one", settings(descent=DescentSettings(l2="auto")))


def test_where_nothing_is_held_out_nobody_looks(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(*arguments: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(near_duplicates, "_descriptors", compared)
    assert catclf.train(album, settings()).near_duplicates is None


def test_other_data_to_validate_with_is_compared_with_what_is_trained_on(
    album: Path, tmp_path: Path
) -> None:
    for number, name in enumerate(("cat", "dog")):
        path = tmp_path / name / "new.png"
        path.parent.mkdir()
        frames(100 * number + 3, FRAMES + 1)[-1].save(path)
        scene(500 + number).save(path.with_name("other.png"))
    fit = catclf.train(album, settings(validation=str(tmp_path)))
    (warning,) = (text for text in fit.warnings if "makes the scores too good" in text)
    assert warning.startswith("2 validation pictures are like pictures trained on")
    assert f"{tmp_path}/cat/new.png is like {album}/cat/3-" in warning


def test_a_large_group_is_worth_a_word(tmp_path: Path) -> None:
    bursts(tmp_path, scenes=4, count=3)
    fit = catclf.train(tmp_path, settings(cv=2))
    (warning,) = (text for text in fit.warnings if "largest group" in text)
    assert warning.startswith("the largest group of near-duplicates has 3 of 24 pictures, such as ")


def test_the_command_says_how_many_groups_there_were(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "train",
        str(album),
        "--size",
        "32",
        "--cv",
        "5",
        "-i",
        "100",
        "-f",
        "-o",
        str(tmp_path / "m.npz"),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "20 groups of near-duplicates (100 pictures): each group is kept together" in said
    assert "it would be" not in said
    assert main([*arguments, "-v"]) == 0
    assert "with near-duplicates in different folds it would be: " in capsys.readouterr().err


# --- evaluation ---


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What a model was trained on; and one picture of that, four of its scenes, and two others."""
    trained, other = tmp_path_factory.mktemp("trained"), tmp_path_factory.mktemp("other")
    bursts(trained, scenes=6, count=2)
    for number, name in enumerate(("cat", "dog")):
        (other / name).mkdir()
        for k in (0, 1):
            frames(100 * number + k, 3)[-1].save(other / name / f"{k}.png")
        scene(700 + number).save(other / name / "new.png")
    (other / "cat" / "same.png").write_bytes((trained / "cat" / "2-0.png").read_bytes())
    return trained, other


def test_what_the_model_was_trained_on_is_found_again(halves: tuple[Path, Path]) -> None:
    trained, other = halves
    model = catclf.train(trained, settings()).model
    alone = catclf.evaluate(model, other)
    assert alone.near_duplicates is None
    assert alone.to_dict()["near_duplicates"] is None
    found = catclf.evaluate(model, other, training_data=trained)
    assert found.near_duplicates is not None
    assert [one.path for one in found.near_duplicates] == [
        str(other / name / f"{k}.png") for name in ("cat", "dog") for k in (0, 1)
    ]
    assert {Path(one.training_path).name[0] for one in found.near_duplicates} == {"0", "1"}
    assert [Path(one.path).name for one in found.overlap] == ["same.png"]
    assert found.scores_without_overlap.n == 2
    assert found.verdict.startswith(
        "trained on 5 of these 7 pictures or on near-duplicates of them; on the other 2 "
    )
    facts = found.to_dict()["near_duplicates"]
    assert facts["count"] == 4
    assert facts["items"][0]["path"] == str(other / "cat" / "0.png")
    assert found.scores == alone.scores


def test_the_command_names_near_duplicates(
    halves: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, other = halves
    model = tmp_path / "m.npz"
    catclf.save(catclf.train(trained, settings()).model, str(model))
    evaluated = ["eval", "-m", str(model), str(other)]
    assert main(evaluated) == 0
    assert "near-duplicates of training pictures: not checked" in capsys.readouterr().out
    page = tmp_path / "page.html"
    arguments = [
        *evaluated,
        "--training-data",
        str(trained),
        "--fail-under",
        "accuracy=0",
        "--report",
        str(page),
    ]
    assert main([*arguments, "-F", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["near_duplicates"]["count"] == 4
    assert facts["fail_under"]["accuracy"]["n"] == 2
    assert "near-duplicates of 4 of these pictures" in page.read_text()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "the model was trained on 1 of these pictures\n" in out
    assert "the model was trained on near-duplicates of 4 others; accuracy without them" in out
    assert f"  {other}/cat/0.png is like {trained}/cat/0-" in out
    strangers = ["eval", "-m", str(model), str(trained), "--training-data", str(other)]
    assert main(strangers) == 0
    assert "the model was trained on 23 pictures that" in capsys.readouterr().err


def test_pictures_of_a_packed_file_are_compared_too(halves: tuple[Path, Path], tmp_path: Path) -> None:
    trained, other = halves
    model = catclf.train(trained, settings()).model
    packed = tmp_path / "trained.h5"
    catclf.pack(trained, packed, catclf.PackSettings(read=ReadOptions(size=32)))
    found = catclf.evaluate(model, other, training_data=packed)
    assert found.near_duplicates is not None
    assert len(found.near_duplicates) == 4


# --- the arithmetic ---


def test_the_threshold_rises_with_the_number_of_pictures() -> None:
    found = [near_duplicates._threshold(m) for m in (0, 3000, 3001, 10_000, 10_001)]
    assert found == [1.15, 1.15, 1.20, 1.20, 1.25]


def test_the_window_leaves_out_the_border_and_rises_to_the_middle() -> None:
    window = near_duplicates._window()
    assert window[:1].tolist() == [0]
    assert window[2] == pytest.approx((2.5 / 32 - 0.05) / 0.15)
    assert window[6:26].tolist() == [1.0] * 20
    assert_array_equal(window, window[::-1])


def test_every_inner_pixel_belongs_to_cells_in_full() -> None:
    cells = near_duplicates._triangles()
    assert cells.shape == (6, 32)
    assert_allclose(cells.sum(axis=0)[3:-3], 1, atol=1e-6)
    centre = 1.5 * 32 / 6
    assert cells[1, 7] == pytest.approx(1 - abs(7.5 - centre) / (32 / 6))


def test_gradients_are_central_differences() -> None:
    grey = np.random.default_rng(0).normal(size=(2, 5, 5)).astype(np.float32)
    down, across = near_duplicates._gradients(grey)
    assert down[0, 2, 1] == pytest.approx((grey[0, 3, 1] - grey[0, 1, 1]) / 2)
    assert across[1, 4, 3] == pytest.approx((grey[1, 4, 4] - grey[1, 4, 2]) / 2)
    assert not down[:, [0, -1]].any()
    assert not across[:, :, [0, -1]].any()


def test_orientations_are_shared_between_neighbours() -> None:
    x = np.arange(32, dtype=np.float32)
    for angle, expected in (
        (0, {0: 1}),
        (45, {1: 1}),
        (90, {2: 1}),
        (180, {4: 1}),
        (270, {6: 1}),
        (112.5, {2: 1, 3: 1}),
    ):
        turn = np.radians(angle)
        ramp = (np.cos(turn) * x + np.sin(turn) * x[:, None]) * 4
        numbers = near_duplicates._hog(ramp[np.newaxis].astype(np.float32))[0].reshape(8, 36)
        strength = numbers - numbers.min()
        strongest = strength.sum(axis=1)
        assert set(np.flatnonzero(strongest > 0.4 * strongest.max())) == set(expected)
        assert np.linalg.norm(numbers) == pytest.approx(1)


def test_a_box_is_the_mean_of_a_window() -> None:
    grey = np.random.default_rng(1).normal(size=(1, 32, 32)).astype(np.float32)
    padded = np.pad(grey[0], 4, mode="edge")
    expected = [[padded[r : r + 9, c : c + 9].mean() for c in range(32)] for r in range(32)]
    assert_allclose(near_duplicates._box(grey)[0], expected, atol=1e-5)


def test_pictures_are_seen_through_affine_maps() -> None:
    grey = np.random.default_rng(2).normal(size=(1, 16, 16)).astype(np.float32)
    identity = np.eye(2, 3, dtype=np.float32)[np.newaxis]
    seen_, inside = near_duplicates._moved(grey, identity)
    assert inside.all()
    assert_allclose(seen_, grey, atol=0.02)
    right = identity.copy()
    right[0, 0, 2] = 2 / 16  # by one pixel
    seen_, inside = near_duplicates._moved(grey, right)
    assert_allclose(seen_[0, :, :-1], grey[0, :, 1:], atol=0.02)
    assert inside[0, :, :-1].all()
    assert not inside[0, :, -1].any()
    half = identity.copy()
    half[0, 1, 2] = 1 / 16  # half a pixel down
    seen_, _ = near_duplicates._moved(grey, half)
    assert_allclose(seen_[0, :-1], (grey[0, :-1] + grey[0, 1:]) / 2, atol=0.02)
    both = identity.copy()
    both[0, :, 2] = 1 / 16
    seen_, _ = near_duplicates._moved(grey, both)
    corners = grey[0, :-1, :-1] + grey[0, 1:, :-1] + grey[0, :-1, 1:] + grey[0, 1:, 1:]
    assert_allclose(seen_[0, :-1, :-1], corners / 4, atol=0.02)


def test_a_shift_is_found_by_alignment() -> None:
    whole = np.asarray(scene(3).resize((44, 44)).convert("L"), np.float32)
    template, moving = whole[np.newaxis, 4:36, 4:36], whole[np.newaxis, 6:38, 7:39]
    maps = np.eye(2, 3, dtype=np.float32)[np.newaxis]
    for scale in (2, 1):
        maps = near_duplicates._gauss_newton(
            near_duplicates._halved(template, scale), near_duplicates._halved(moving, scale), maps
        )
    assert_allclose(maps[0, :, 2], [-3 / 16, -2 / 16], atol=0.02)
    assert_allclose(maps[0, :, :2], np.eye(2), atol=0.05)
    assert near_duplicates._aligned(template, moving)[0] > 0.97


def test_a_map_is_put_after_the_inverse_of_a_step() -> None:
    rng = np.random.default_rng(4)
    maps = np.eye(2, 3) + rng.normal(0, 0.05, (3, 2, 3))
    step = rng.normal(0, 0.05, (3, 2, 3))
    last = np.tile([[[0.0, 0, 1]]], (3, 1, 1))
    full = np.concatenate([maps, last], axis=1)
    small_ = np.concatenate([np.eye(2, 3) + step, last], axis=1)
    expected = (full @ np.linalg.inv(small_))[:, :2]
    found = near_duplicates._composed(maps.astype(np.float32), step.astype(np.float32))
    assert_allclose(found, expected, atol=1e-5)
    some = maps[:1].astype(np.float32)
    away = np.zeros((1, 2, 3), np.float32)
    away[0, 0, 2] = 2
    folded = -np.eye(2, 3, dtype=np.float32)[np.newaxis]  # a step that has no inverse
    for impossible in (away, folded):
        assert_allclose(near_duplicates._composed(some, impossible), some, atol=1e-6)


def test_too_little_overlap_is_no_likeness() -> None:
    pictures = np.asarray(scene(5).resize((32, 32)).convert("L"), np.float32)[np.newaxis]
    assert near_duplicates._aligned(pictures, pictures)[0] == pytest.approx(1, abs=1e-3)
    assert near_duplicates._correlation(pictures[0], -pictures[0]) == pytest.approx(-1)


def test_pictures_that_are_all_alike_by_chance_have_few_candidates() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), np.uint8)
    noise[299] = noise[0, :, ::-1]
    every = [*near_duplicates._candidates(noise, None, silent, 1.15, 300)]
    few = [*near_duplicates._candidates(noise, None, silent)]
    counts = [sum(len(found.first) for found in of) for of in (every, few)]
    assert counts[0] > 3 * counts[1]
    assert counts[1] <= 2 * 300 * near_duplicates._MOST
    assert (few[0].first[0], few[0].second[0]) == (0, 299)  # the likest come first
    found = groups(noise, np.arange(300, dtype=np.uint64))
    assert found[299] == 0
    assert len(np.unique(found)) == 299


def test_pairs_within_groups_and_the_groups_that_are_shown() -> None:
    one, two = (np.asarray(scene(k).resize((32, 32))) for k in (1, 2))
    near = np.asarray(scene(1).resize((40, 40)).resize((32, 32)))
    thumbnails = np.stack([one, two, near, one, one])
    marks = np.array([5, 6, 7, 5, 5], np.uint64)
    found = groups(thumbnails, marks)
    pairs = near_duplicates.pairs_within(thumbnails, marks, found)
    assert sorted(pair[:2] for pair in pairs) == [(0, 2), (0, 3), (0, 4)]
    assert [pair.score for pair in pairs if pair.second > 2] == [1.0, 1.0]
    assert near_duplicates.half_linked(pairs, marks) == [[0, 2, 3, 4]]


def test_a_chain_comes_apart_and_copies_count_as_one() -> None:
    link = near_duplicates.Likeness
    chain = [link(0, 1, 0.9), link(1, 2, 0.8), link(2, 3, 0.95), link(3, 4, 0.7), link(4, 5, 0.9)]
    apart = np.arange(9, dtype=np.uint64)
    assert near_duplicates.half_linked(chain, apart) == [[0, 1], [2, 3], [4, 5]]
    marks = apart.copy()
    marks[[6, 7, 8]] = 0
    copies = [link(0, k, 1.0) for k in (6, 7, 8)]
    assert near_duplicates.half_linked([*copies, link(0, 1, 0.9)], marks) == [[0, 1, 6, 7, 8]]
    assert near_duplicates.half_linked(copies, marks) == [[0, 6, 7, 8]]
    assert near_duplicates.half_linked([], apart) == []


def test_many_pictures_that_are_alike_do_not_take_a_comparison_of_all() -> None:
    rng = np.random.default_rng(0)
    one = np.asarray(scene(1).resize((32, 32))).astype(int)
    many = np.clip(one + rng.integers(-3, 4, (200, 32, 32, 3)), 0, 255).astype(np.uint8)
    marks = np.arange(200, dtype=np.uint64)
    found = groups(many, marks)
    assert found.max() == 0
    pairs = near_duplicates.pairs_within(many, marks, found)
    assert len(pairs) <= 2 * 200 * near_duplicates._MOST
    assert {k for pair in pairs for k in pair[:2]} == set(range(200))
