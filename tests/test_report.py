"""The page and the pictures: self-contained, safe against names, the same bytes twice."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import catclf
from catclf.cli import main

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
def model(album: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.npz"
    assert main(["train", str(album), "-o", str(path), "--size", "8", "-i", "30", "-q"]) == 0
    return path


@pytest.fixture
def page(album: Path, model: Path, tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    arguments = ["eval", "-m", str(model), str(album), "--report", str(path), "-t", "0.99"]
    assert main(arguments) == 3  # one file cannot be read
    return path.read_text("utf-8")


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    parsed = Page(page)
    assert not [tag for tag, _ in parsed.tags if tag in ("script", "iframe", "object", "base")]
    for tag, attributes in parsed.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
                assert (value or "").startswith(("data:", "#")), (tag, name, value)
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


def test_the_same_page_twice(page: str, album: Path, model: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    main(["eval", "-m", str(model), str(album), "--report", str(again), "-t", "0.99"])
    assert again.read_text("utf-8") == page


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_a_missing_extra_is_named_with_the_command_that_helps(
    missing: str,
    album: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    code = main(["eval", "-m", str(model), str(album), "--report", str(tmp_path / "p.html")])
    assert code == 2
    assert "pip install 'catclf[report]'" in capfd.readouterr().err
    assert not (tmp_path / "p.html").exists()


def test_the_weights_and_the_curve_are_pictures(album: Path, model: Path, tmp_path: Path) -> None:
    weights, curve = tmp_path / "w.png", tmp_path / "c.png"
    assert main(["info", str(model), "--weights", str(weights)]) == 0
    new = str(tmp_path / "n.npz")
    assert (
        main(["train", str(album), "-o", new, "--size", "8", "-i", "0", "--plot", str(curve), "-q"]) == 0
    )
    for path in (weights, curve):
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert min(image.size) > 200


def test_an_explanation_for_each_picture_and_nothing_elsewhere(
    album: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "why"
    before = sorted(path for path in tmp_path.rglob("*"))
    main(["predict", "-m", str(model), str(album), "--explain", str(folder), "-o", str(tmp_path / "o")])
    written = sorted(set(tmp_path.rglob("*")) - set(before) - {folder, tmp_path / "o"})
    assert len(written) == 12
    assert all(path.parent == folder and path.suffix == ".png" for path in written)


def test_an_explanation_is_not_an_input(album: Path, model: Path) -> None:
    folder = album / "zzz"
    arguments = ["predict", "-m", str(model), str(album), "--explain", str(folder), "-q"]
    assert main(arguments) == 2


def test_answers_do_not_hold_on_to_pixels(album: Path, model: Path) -> None:
    answers = list(catclf.predict(str(model), [str(album)]))
    assert all(answer.pixels is None for answer in answers)


def test_no_file_is_left_in_the_home(album: Path, model: Path, tmp_path: Path) -> None:
    import os
    import subprocess

    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG", "MPL"))}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "catclf",
            "eval",
            "-m",
            str(model),
            str(album),
            "--report",
            str(tmp_path / "h"),
        ],
        env=environment | {"HOME": str(home)},
        capture_output=True,
        check=False,
    )
    assert list(home.rglob("*")) == []


def test_contributions_add_up_to_z_minus_b(model: Path) -> None:
    loaded = catclf.load(str(model))
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    x = loaded.features.rows(image[None])[0] * loaded.features.scale
    total = loaded.features.by_place(loaded.w * x).sum()
    np.testing.assert_allclose(total, loaded.scores(image[None])[0] - loaded.b, rtol=1e-12)
