"""Pictures with an ICC profile, against the formulas; and who may use what was decoded by which rule."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageCms

import catclf
from catclf.cli import main
from catclf.config import PackSettings, ReadOptions, TrainSettings
from catclf.decoding import BEFORE, USUAL, decoding_of
from catclf.errors import DataError, ModelFileError
from catclf.images.decode import Decoder
from catclf.images.picture import Picture
from catclf.images.profiles import to_srgb
from catclf.model import load, save
from catclf.view import RgbArray, View
from tests.pictures import class_folder, ramps
from tests.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    grey_in_srgb,
    grey_profile,
    in_srgb,
    lab_in_srgb,
    rgb_profile,
)

P3 = rgb_profile(DISPLAY_P3)
SIDE = 32
FORMATS = ("png", "tiff", "webp", "jpg")


def decoded(data: bytes, view: View | None = None) -> RgbArray:
    (found,) = Decoder((view or View(SIDE),))([Picture("-", stream=io.BytesIO(data))])
    assert found.error is None, found.error
    return found.views[0]


def encoded(image: Image.Image, format_name: str, profile: bytes | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if format_name == "jpg":
        options = {"quality": 100, "subsampling": 0, **options}
    names = {"jpg": "JPEG", "tiff": "TIFF", "png": "PNG", "webp": "WEBP"}
    if format_name == "webp":
        options["lossless"] = True
    image.save(buffer, names[format_name], icc_profile=profile, **options)
    return buffer.getvalue()


def ignored(view: View | None = None) -> View:
    return (view or View(SIDE))._replace(decoding=BEFORE)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    ("primaries", "gamma"),
    [(DISPLAY_P3, None), (ADOBE_RGB, 2.19921875)],
    ids=["display-p3", "adobe-rgb"],
)
def test_colours_are_those_of_srgb(format_name: str, primaries: Any, gamma: float | None) -> None:
    pixels = ramps(SIDE, SIDE)
    profile = rgb_profile(primaries, gamma)
    data = encoded(Image.fromarray(pixels), format_name, profile)
    difference = np.abs(decoded(data) - in_srgb(pixels, primaries, gamma))
    assert difference.max() <= 2 or (format_name == "jpg" and difference.mean() < 1)
    assert np.abs(decoded(data, ignored()).astype(int) - pixels).max() <= (
        5 if format_name == "jpg" else 0
    )


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_pictures_have_profiles_of_their_own(mode: str) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = {
        "L": Image.fromarray(values),
        "LA": Image.merge("LA", [Image.fromarray(values), Image.new("L", (16, 16), 255)]),
        "I;16": Image.fromarray(values.astype(np.uint16) * 257),
    }[mode]
    found = decoded(encoded(made, "png", grey_profile(1.5)), View(16))
    assert_allclose(found, np.repeat(grey_in_srgb(values, 1.5)[..., None], 3, axis=-1), atol=2)


def test_the_profile_of_a_printer() -> None:
    inks = np.array(list(itertools.product((0, 255), repeat=4)), np.uint8)
    lab = np.array([[100 * (1 - k / 15), 2 * (k % 5), 1.5 * (k % 3)] for k in range(16)])
    whole = np.repeat(np.repeat(inks.reshape(4, 4, 4), 8, axis=0), 8, axis=1)
    image = Image.frombytes("CMYK", (32, 32), whole.tobytes())
    plain = np.repeat(np.repeat(lab_in_srgb(lab).reshape(4, 4, 3), 8, axis=0), 8, axis=1)
    for format_name in ("tiff", "jpg"):
        found = decoded(encoded(image, format_name, cmyk_profile(lab)))
        assert_allclose(found, plain, atol=3)
    without = np.asarray(image.convert("RGB"))
    assert_array_equal(decoded(encoded(image, "tiff", cmyk_profile(lab)), ignored()), without)
    assert_array_equal(decoded(encoded(image, "tiff")), without)


def test_transparent_pictures_lie_on_white_paper() -> None:
    layer = np.zeros((SIDE, SIDE, 4), np.uint8)
    layer[..., :3], layer[: SIDE // 2, :, 3] = (200, 80, 40), 255
    found = decoded(encoded(Image.fromarray(layer), "png", P3))
    assert_allclose(found[2, 2], in_srgb((200, 80, 40), DISPLAY_P3), atol=2)
    assert_array_equal(found[-2, 2], (255, 255, 255))


@pytest.mark.parametrize("view", [View(24), View(24, whole=True), View(48)], ids=str)
def test_converting_after_resizing_is_converting_before(view: View) -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(90, 160, (9, 12, 3), dtype=np.uint8))
    image = small.resize((160, 120), Image.Resampling.BICUBIC)
    srgb = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(P3)), ImageCms.createProfile("sRGB")
    )
    assert srgb is not None
    before = decoded(encoded(srgb, "png"), view).astype(int)
    assert np.abs(decoded(encoded(image, "png", P3), view) - before).mean() < 0.5


def test_a_profile_of_srgb_changes_nothing() -> None:
    pixels = ramps(SIDE, SIDE)
    ours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (ours, rgb_profile(SRGB)):
        assert to_srgb(profile, "RGB") is None
        assert_array_equal(decoded(encoded(Image.fromarray(pixels), "png", profile)), pixels)


@pytest.mark.parametrize(
    ("mode", "profile"),
    [("RGB", grey_profile(1.0)), ("L", P3), ("CMYK", P3), ("RGB", cmyk_profile(np.full((16, 3), 50.0)))],
    ids=["grey of colours", "colours of grey", "colours of inks", "inks of colours"],
)
def test_a_profile_of_other_colours_is_left_aside(mode: str, profile: bytes) -> None:
    image = Image.fromarray(ramps(SIDE, SIDE)).convert(mode)
    assert_array_equal(decoded(encoded(image, "tiff", profile)), decoded(encoded(image, "tiff")))


def test_no_picture_is_lost_to_a_broken_profile() -> None:
    pixels = ramps(SIDE, SIDE)
    image, rng = Image.fromarray(pixels), np.random.default_rng(0)
    profiles = [P3[:cut] for cut in (1, 4, 127, 128, 131, 140, 200, len(P3) - 1)]
    for _ in range(100):
        broken = np.frombuffer(P3, np.uint8).copy()
        broken[rng.integers(0, len(P3), 20)] = rng.integers(0, 256, 20)
        profiles.append(broken.tobytes())
    for profile in profiles:
        assert decoded(encoded(image, "png", profile)).shape == (SIDE, SIDE, 3)
    assert_array_equal(decoded(encoded(image, "png", b"no profile")), pixels)


def test_a_pillow_without_littlecms_refuses_what_it_cannot_convert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(data: object) -> None:
        del data
        raise ImportError("The _imagingcms C module is not installed")

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", missing)
    profile = rgb_profile(DISPLAY_P3, 1.7)  # not one that is kept
    data = encoded(Image.fromarray(ramps(8, 8)), "png", profile)
    (found,) = Decoder((View(8),))([Picture("-", stream=io.BytesIO(data))])
    assert found.error is not None
    assert "LittleCMS" in str(found.error)


# --- models and packed files ---


def with_profiles(folder: Path) -> Path:
    """`class_folder`, of pictures with the profile of a phone."""
    for file in class_folder(folder).rglob("*.png"):
        Image.open(file).save(file, icc_profile=P3)
    return folder


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_profiles(tmp_path_factory.mktemp("phone"))


def trained(data: Path, **settings: Any) -> catclf.Fit:
    return catclf.train(data, TrainSettings(read=ReadOptions(size=8), **settings))


def before_profiles(model: catclf.Model, path: Path) -> Path:
    """Save a model as an earlier version did, which said nothing of profiles."""
    save(model, str(path))
    with np.load(path) as archive:
        members = dict(archive)
    meta = json.loads(members["meta"].tobytes())
    assert meta.pop("decoding") == {"profiles": "converted to sRGB"}
    members["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(path, **members)
    return path


def packed_before_profiles(packed: Path, path: Path) -> Path:
    path.write_bytes(packed.read_bytes())
    with h5py.File(path, "r+") as file:
        del file.attrs["decoding"]
    return path


def test_a_model_decodes_as_it_was_trained(phone: Path, tmp_path: Path) -> None:
    model = trained(phone).model
    assert model.decoding == USUAL
    old = load(str(before_profiles(model, tmp_path / "old.npz")))
    assert old.decoding == BEFORE
    pictures = sorted(phone.rglob("*.png"))
    for one, expected in ((model, View(8)), (old, ignored(View(8)))):
        seen = np.stack([decoded(file.read_bytes(), expected) for file in pictures])
        found = [answer.probability for answer in catclf.predict(one, map(str, pictures))]
        assert found == one.probabilities(seen).tolist()
    # Each model sees the pictures in its own way, side by side.
    duel = catclf.evaluate(model, phone, against=old).duel
    assert duel is not None
    assert (
        catclf.evaluate(old, phone).probabilities.tolist()
        != catclf.evaluate(model, phone).probabilities.tolist()
    )


def test_who_was_trained_on_a_packed_file_is_the_same_model(phone: Path, tmp_path: Path) -> None:
    packed = tmp_path / "phone.h5"
    catclf.pack(phone, packed, PackSettings(read=ReadOptions(size=8)))
    with h5py.File(packed) as file:
        assert json.loads(file.attrs["decoding"]) == {"profiles": "converted to sRGB"}
    assert_array_equal(trained(packed).model.w, trained(phone).model.w)
    old = packed_before_profiles(packed, tmp_path / "old.h5")
    assert trained(old).model.decoding == BEFORE
    again = tmp_path / "again.h5"
    catclf.pack(old, again)
    assert trained(again).model.decoding == BEFORE


def test_rules_are_not_mixed(phone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "phone.h5"
    catclf.pack(phone, packed, PackSettings(read=ReadOptions(size=8)))
    old_packed = packed_before_profiles(packed, tmp_path / "old.h5")
    fit = trained(phone)
    new, old = tmp_path / "new.npz", before_profiles(fit.model, tmp_path / "old.npz")
    save(fit.model, str(new))
    for model, data, remedy in (
        (old, packed, "train the model again"),
        (new, old_packed, "pack the pictures again"),
    ):
        for arguments in (
            ["predict", "-m", str(model), str(data)],
            ["eval", "-m", str(model), str(data)],
            ["train", str(data), "--size", "8", "--resume", str(model), "-o", str(tmp_path / "x.npz")],
        ):
            assert main(arguments) == (3 if arguments[0] == "predict" else 1)
            out, err = capsys.readouterr()
            said = out if arguments[0] == "predict" else err
            assert "colour profiles ignored" in said
            assert "colour profiles converted to sRGB" in said
            assert remedy in said
    for other in ([new, old], [old, new]):
        assert main(["eval", "-m", str(other[0]), "--against", str(other[1]), str(packed)]) == 1
        assert "colour profiles" in capsys.readouterr().err
    settings = {"validation": str(old_packed)}
    with pytest.raises(DataError, match="was packed with colour profiles ignored"):
        trained(phone, **settings)


def test_old_models_go_on_with_pictures_as_they_were(phone: Path, tmp_path: Path) -> None:
    old = load(str(before_profiles(trained(phone).model, tmp_path / "old.npz")))
    fit = catclf.train(
        phone,
        TrainSettings(read=ReadOptions(size=8)),
        resume=dataclasses.replace(old, fingerprints=np.empty(0, np.uint64)),
    )
    assert fit.model.decoding == BEFORE


def test_pictures_that_say_nothing_fit_every_model(phone: Path, tmp_path: Path) -> None:
    course = tmp_path / "course.h5"
    with h5py.File(course, "w") as file:
        file["train_set_x"] = np.stack([ramps(8, 8)] * 4)
        file["train_set_y"] = [0, 1, 0, 1]
        file["list_classes"] = [b"dog", b"cat"]
    model = trained(phone).model
    for one in (model, dataclasses.replace(model, decoding=BEFORE)):
        assert [answer.error for answer in catclf.predict(one, str(course))] == [None] * 4
    assert trained(course).model.decoding == USUAL
    out = tmp_path / "out.h5"
    catclf.pack(course, out)
    with h5py.File(out) as file:
        assert file.attrs["decoding"] == "null"
    assert trained(out).model.decoding == USUAL


def test_a_rule_of_the_future_is_refused(phone: Path, tmp_path: Path) -> None:
    packed = tmp_path / "phone.h5"
    catclf.pack(phone, packed, PackSettings(read=ReadOptions(size=8)))
    with h5py.File(packed, "r+") as file:
        file.attrs["decoding"] = '{"profiles": "kept"}'
    with pytest.raises(
        DataError, match=r'is decoded as \{"profiles": "kept"\}, which this version does not know'
    ):
        trained(packed)
    for text in ("", "[" * 10_000, "7", '{"profiles": {}}'):
        with pytest.raises(ValueError, match="which this version does not know"):
            decoding_of(text)
    path = before_profiles(trained(phone).model, tmp_path / "model.npz")
    with np.load(path) as archive:
        members = dict(archive)
    meta = {**json.loads(members["meta"].tobytes()), "decoding": ["profiles"]}
    members["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(path, **members)
    with pytest.raises(ModelFileError, match="which this version does not know"):
        load(str(path))
