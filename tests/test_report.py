"""The page and the pictures: self-contained, safe against names, the same bytes twice."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from catclf import evaluate, load, predict
from catclf.features.pixels import Pixels
from catclf.report.evaluation_page import evaluation_page as render
from catclf.report.figures import _learning_curve
from tests.conftest import Runner, run

HOSTILE = "<img onerror=alert(1) src=x>.png"


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two classes, one with a name and a picture that would like to be markup."""
    folder = tmp_path / "album"
    rng = np.random.default_rng(0)
    for kind, channel in (("cat", 0), ("<b>$猫$", 2)):
        (folder / kind).mkdir(parents=True)
        for k in range(6):
            pixels = rng.integers(0, 80, (12, 12, 3))
            pixels[..., channel] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / f"{k}.png")
    (folder / "cat" / "0.png").rename(folder / "cat" / HOSTILE)
    (folder / "cat" / "broken.png").write_bytes(b"\x89PNG broken")
    return folder


@pytest.fixture
def page(catclf: Runner, album: Path, model: Path, tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    result = catclf("eval", "-m", model, album, "--report", path, "-t", "0.99")
    assert result.code == 3  # one file cannot be read
    return path.read_text("utf-8")


def test_nothing_is_loaded_and_no_script_runs_but_ours(page: str) -> None:
    parsed = Page(page)
    assert not [tag for tag, _ in parsed.tags if tag in ("iframe", "object", "base", "form")]
    assert [attributes for tag, attributes in parsed.tags if tag == "script"] == [{}]
    script = page.partition("<script>")[2].partition("</script>")[0].encode()
    allowed = f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
    policies = [a["content"] or "" for _, a in parsed.tags if a.get("http-equiv")]
    assert [policy.startswith("default-src 'none';") for policy in policies] == [True]
    assert allowed in policies[0].split("; ")
    for tag, attributes in parsed.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "xlink:href", "srcset", "action", "poster"):
                assert (value or "").startswith(("data:", "#")), (tag, name, value)
            if name == "href":
                assert (value or "").startswith(("data:", "#", "file:///")), (tag, name, value)
    assert "@import" not in page
    assert all(part.startswith(("#", "data:")) for part in page.split("url(")[1:])


def test_every_picture_says_what_it_is(page: str) -> None:
    tags = Page(page).tags
    pictures = [attributes for tag, attributes in tags if tag == "img"]
    assert pictures
    assert all(a.get("alt") and (a.get("src") or "").startswith("data:image/") for a in pictures)
    drawings = [attributes for tag, attributes in tags if tag == "svg"]
    assert drawings
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in drawings)


def test_names_stay_text(page: str) -> None:
    assert HOSTILE not in page
    assert HOSTILE in Page(page).text
    assert "<b>$猫$" in Page(page).text


def test_ids_stand_once(page: str) -> None:
    ids = [a["id"] for _, a in Page(page).tags if a.get("id")]
    assert len(ids) == len(set(ids))


def test_pictures_that_cannot_be_read_are_named(page: str) -> None:
    assert "broken.png" in Page(page).text


def test_the_page_begins_with_the_verdict(page: str) -> None:
    assert "None: the model was trained on all 12 of these pictures; score it on other pictures." in page


def test_the_same_page_twice(
    catclf: Runner, page: str, album: Path, model: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.html"
    catclf("eval", "-m", model, album, "--report", again, "-t", "0.99")
    assert again.read_text("utf-8") == page


def sources(page: str, alternative: str) -> list[str]:
    pictures = [attributes for tag, attributes in Page(page).tags if tag == "img"]
    return [a["src"] or "" for a in pictures if (a["alt"] or "").startswith(alternative)]


def test_the_weights_are_drawn_and_the_pictures_only_if_they_were_kept(
    page: str, album: Path, model: Path
) -> None:
    plain = render(evaluate(model, album, threshold=0.99))
    assert len(sources(plain, "The weights")) == len(sources(page, "The weights")) == 1
    assert len(sources(plain, "")) == 1
    assert len(sources(page, "")) == 13  # each stands once, whether it is called wrong or right
    assert "Pictures to look at" in Page(page).text
    assert "Pictures to look at" not in Page(plain).text


def test_small_pictures_are_shown_to_the_pixel_and_large_ones_small(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shown"
    pixels = np.random.default_rng(3).integers(0, 256, (500, 800, 3)).astype(np.uint8)
    (folder / "cat").mkdir(parents=True)
    Image.fromarray(pixels[:40, :64]).save(folder / "cat" / "small.png")
    Image.fromarray(pixels).save(folder / "cat" / "large.png")
    text = render(evaluate(model, folder, gallery=True))
    shown = {}
    for source in sources(text, ""):
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
            shown[image.size] = (image.format, np.asarray(image))
    assert_array_equal(shown[64, 40][1], pixels[:40, :64])
    assert shown[64, 40][0] == "PNG"
    assert shown[256, 160][0] == "JPEG"


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_a_missing_extra_is_named_with_the_command_that_helps(
    catclf: Runner,
    missing: str,
    album: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    result = catclf("eval", "-m", model, album, "--report", tmp_path / "p.html")
    assert result.code == 2
    assert "pip install 'catclf[report]'" in result.err
    assert not (tmp_path / "p.html").exists()


def test_the_weights_and_the_curve_are_pictures(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    weights, curve = tmp_path / "w.png", tmp_path / "c.png"
    assert catclf("info", model, "--weights", weights).code == 0
    settings = ("--size", "8", "-i", "0", "--plot", curve)
    assert catclf("train", album, "-o", tmp_path / "n.npz", *settings).code == 0
    for path in (weights, curve):
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert min(image.size) > 200


@pytest.mark.parametrize(("last", "scale"), [(1e-4, "log"), (0.3, "linear"), (0.0, "linear")])
def test_the_cost_axis_shows_how_far_it_falls(last: float, scale: str) -> None:
    steps = np.arange(5.0)
    history = np.column_stack([steps, np.linspace(0.69, last, 5), np.ones(5)])
    costs, _ = _learning_curve(history, 0.5).axes
    assert costs.get_yscale() == scale


def test_the_curve_says_its_learning_rate_and_shows_both_sides_of_what_swings() -> None:
    steps = np.array([0, 1, 2, 10, 11, 20, 21, 30])
    cost = np.where(steps % 2, 0.9, 0.5)
    figure = _learning_curve(np.column_stack([steps, cost, np.ones(8)]), 0.25)
    assert figure.get_suptitle() == "Gradient descent, learning rate 0.25"
    costs, _ = figure.axes
    (band,) = costs.collections
    (path,) = band.get_paths()
    low, high = path.get_extents().min, path.get_extents().max
    assert (*low, *high) == (1, 0.5, 20, 0.9)
    assert not _learning_curve(np.column_stack([steps, cost, np.ones(8)])[:3], None).axes[0].collections


def test_an_explanation_for_each_picture_and_nothing_elsewhere(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "why"
    before = sorted(path for path in tmp_path.rglob("*"))
    catclf("predict", "-m", model, album, "--explain", folder, "-o", tmp_path / "o")
    written = sorted(set(tmp_path.rglob("*")) - set(before) - {folder, tmp_path / "o"})
    assert len(written) == 12
    assert all(path.parent == folder and path.suffix == ".png" for path in written)


def test_an_explanation_is_not_an_input(catclf: Runner, album: Path, model: Path) -> None:
    assert catclf("predict", "-m", model, album, "--explain", album / "zzz").code == 2


def test_without_a_picture_there_is_no_folder_of_explanations(
    catclf: Runner, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    for path, code in ((tmp_path / "missing", 3), (broken, 3), (tmp_path / "empty", 0)):
        result = catclf("predict", "-m", model, path, "--explain", tmp_path / "why" / "deep")
        assert result.code == catclf("predict", "-m", model, path).code == code
        assert not (tmp_path / "why").exists()


def test_explanations_need_a_folder(catclf: Runner, album: Path, model: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"precious")
    result = catclf("predict", "-m", model, album, "--explain", photo)
    assert result.code == 1
    assert f"{photo}: is a file; name a folder" in result.err


def test_answers_do_not_hold_on_to_pixels(album: Path, model: Path) -> None:
    answers = list(predict(str(model), [str(album)]))
    assert all(answer.pixels is None for answer in answers)


def test_no_file_is_left_in_the_home(album: Path, model: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG", "MPL"))}
    done = run(
        *("eval", "-m", model, album, "--report", tmp_path / "h.html"),
        env=environment | {"HOME": str(home)},
    )
    assert done.returncode == 3
    assert list(home.rglob("*")) == []


def test_contributions_add_up_to_z_minus_b(model: Path) -> None:
    loaded = load(str(model))
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert isinstance(loaded.features, Pixels)
    places = loaded.features.contributions(loaded.w, image, 0.0)
    assert places.shape == (8, 8)
    z = loaded.scores(image[None])[0]
    np.testing.assert_allclose(places.sum(), z - loaded.b, rtol=1e-12)
    x = loaded.features.rows(image[None])[0] * loaded.features.scale
    np.testing.assert_allclose(places, loaded.features.map_of(loaded.w * x), rtol=1e-12, atol=1e-15)
