"""The pages in a real browser, by clicking and typing: they ask for nothing, and answers come back."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import catclf
from catclf.cli import main
from tests.conftest import Runner

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HOSTILE = "<img onerror=alert(1) src=x>, \"quoted\" 'and' so on.png"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an album, a model, and the pages that eval, check and predict make of them."""
    home = tmp_path_factory.mktemp("pages")
    album = home / "album"
    for kind, channel in (("cat", 0), ("dog", 2)):
        (album / kind).mkdir(parents=True)
        for k in range(8):
            coarse = np.random.default_rng(k + channel).integers(0, 120, (5, 7, 3))
            coarse[..., channel] += 100
            drawn = Image.fromarray(coarse.astype(np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)
            drawn.save(album / kind / f"{k}.png")
    (album / "cat" / "0.png").rename(album / "cat" / HOSTILE)
    (album / "dog" / "7.png").rename(album / "cat" / "slip.png")
    shutil.copy(album / "cat" / HOSTILE, album / "dog" / "copy.png")
    (album / "dog" / "broken.png").write_bytes(b"no picture")
    os.rename(album / "dog" / "6.png", os.fsencode(album / "dog") + b"/\xff6.png")
    model = home / "m.npz"
    common = ("--size", "16", "-q")
    assert main(["train", str(album), "-o", str(model), "-i", "60", *common]) == 0
    scored = ["eval", "-m", str(model), str(album), "-t", "0.99", "-q", "-o", str(home / "scores")]
    assert main([*scored, "--report", str(home / "eval.html")]) == 3
    checked = ["check", str(album), "--features", "pixels", *common, "-o", str(home / "found.csv")]
    assert main([*checked, "--report", str(home / "check.html")]) == 3
    predicted = ["predict", "-m", str(model), str(album), "-q", "-o", str(home / "rows.csv")]
    assert main([*predicted, "--report", str(home / "predict.html")]) == 3
    return home


def opened(chromium: Browser, path: Path, **options: Any) -> Page:
    page = chromium.new_context(**options).new_page()
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("name", ["eval", "check", "predict"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_sees_all_of_it(chromium: Browser, pages: Path, name: str, width: int) -> None:
    asked: list[str] = []
    said: list[str] = []
    page = chromium.new_context(viewport={"width": width, "height": 900}).new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((pages / f"{name}.html").as_uri())
    pictures = page.locator("img")
    assert pictures.count() > 0
    for k in range(pictures.count()):
        pictures.nth(k).scroll_into_view_if_needed()
        assert pictures.nth(k).evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert HOSTILE in (page.text_content("main") or "")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [(pages / f"{name}.html").as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_can_be_read(chromium: Browser, pages: Path, scheme: Any) -> None:
    """The contrast of text with what it stands on is at least 4.5, as WCAG 2 asks (1.4.3)."""
    page = opened(chromium, pages / "check.html", color_scheme=scheme)
    page.locator(".yes").first.click()
    page.locator(".no").nth(1).click()
    colours = page.evaluate("""() => {
      const paper = (one) => {
        for (; one; one = one.parentElement) {
          const colour = getComputedStyle(one).backgroundColor;
          if (!colour.endsWith(", 0)")) return colour;
        }
      };
      return [...document.querySelectorAll("h1, .verdict, .muted, .card p, button, .told, .mark")]
        .map(one => [one.className, getComputedStyle(one).color, paper(one)])
    }""")
    assert len(colours) > 20
    for where, ink, ground in colours:
        assert contrast(ink, ground) >= 4.5, (where, ink, ground)


def contrast(one: str, other: str) -> float:
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of rgb(r, g, b), by WCAG 2."""
    levels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in levels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def card(page: Page, name: str) -> Any:
    return page.locator(".card", has=page.locator(".name", has_text=name)).first


def downloaded(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(".download").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def rows_of(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).name: row["label"] for row in csv.DictReader(file)}


def test_corrections_are_clicked_and_trained_with(
    chromium: Browser, pages: Path, tmp_path: Path, catclf: Runner
) -> None:
    page = opened(chromium, pages / "check.html")
    assert page.locator(".download").is_disabled()
    card(page, "slip.png").locator(".no").click()
    card(page, "copy.png").locator(".out").click()
    card(page, "onerror").locator(".yes").click()
    page.reload()
    assert page.locator(".told").inner_text().endswith("answered: 1 right, 2 not")
    twin = page.locator(".card", has=page.locator(".name", has_text="copy.png"))
    assert [twin.nth(k).locator(".out").get_attribute("aria-pressed") for k in range(twin.count())] == [
        "true" for _ in range(twin.count())
    ]
    file = downloaded(page, tmp_path)
    assert file.name == "corrections.csv"
    assert rows_of(file) == {"slip.png": "dog", "copy.png": "-", HOSTILE: "cat"}
    trained = catclf(
        *("train", pages / "album", "--labels", file, "-o", tmp_path / "n.npz"),
        *("--size", "16", "-i", "9"),
    )
    assert trained.code == 0, trained.err
    facts = json.loads(catclf("info", tmp_path / "n.npz", "--json").out)
    assert facts["training"]["corrections"] == {"changed": 1, "left_out": 1, "unknown": 0}
    card(page, "onerror").locator(".yes").click()
    assert page.locator(".told").inner_text().endswith("0 right, 2 not")  # a second click takes it back


def test_labels_are_typed_and_trained_with(
    chromium: Browser, pages: Path, tmp_path: Path, catclf: Runner
) -> None:
    page = opened(chromium, pages / "predict.html")
    count = page.locator(".card").count()
    assert count == 17  # all that can be read
    called = page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.called)")
    page.keyboard.press("r")  # goes to the first
    for key in ("w", "s", "x", "ArrowLeft", "u", *"r" * (count - 2)):
        page.keyboard.press(key)
    file = downloaded(page, tmp_path)
    assert file.name == "labels.csv"
    found = [line.rsplit(",", 2)[1] for line in file.read_text("utf-8").splitlines()[1:]]
    other = {"cat": "dog", "dog": "cat"}
    assert found == [other[called[0]], *called[2:]]
    trained = catclf("train", file, "-o", tmp_path / "n.npz", "--size", "16", "-i", "9")
    assert trained.code == 0, trained.err
    assert "(1 unreadable)" not in trained.err
    assert json.loads(catclf("info", tmp_path / "n.npz", "--json").out)["training"]["m"] == count - 1


def test_filters_leave_what_is_asked_for(chromium: Browser, pages: Path) -> None:
    page = opened(chromium, pages / "predict.html")
    cards = page.locator(".card:visible")
    every = cards.count()
    page.locator(".called").select_option("cat")
    cats = cards.count()
    assert 0 < cats < every
    assert set(cards.evaluate_all("cards => cards.map(card => card.dataset.called)")) == {"cat"}
    percents = cards.evaluate_all("cards => cards.map(card => Number(card.dataset.percent))")
    assert percents == sorted(percents)  # the least sure first
    page.locator(".to").fill(str(percents[2]))
    assert cards.count() == 3
    cards.first.locator(".yes").click()
    page.locator(".open").check()
    assert cards.count() == 2
    assert page.locator(".told").inner_text().startswith("2 shown, 1 of")


def test_without_a_script_it_is_a_contact_sheet(chromium: Browser, pages: Path) -> None:
    page = opened(chromium, pages / "predict.html", java_script_enabled=False)
    assert page.locator(".card:visible").count() == 17
    assert page.locator("button:visible, select:visible, input:visible").count() == 0
    assert "17 pictures: " in page.inner_text(".verdict")
    first = page.locator(".photo").first
    assert (first.get_attribute("href") or "").startswith((pages / "album").as_uri())


def test_where_nothing_is_kept_answers_still_come_out(
    chromium: Browser, pages: Path, tmp_path: Path
) -> None:
    context = chromium.new_context()
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('not here') } })"
    )
    page = context.new_page()
    page.goto((pages / "check.html").as_uri())
    card(page, "slip.png").locator(".no").click()
    assert rows_of(downloaded(page, tmp_path)) == {"slip.png": "dog"}


def test_of_many_classes_one_is_chosen(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A doubted label can become any other class; what the model says stands first."""
    album = tmp_path / "album"
    for number, kind in enumerate(("cat", "dog", "fox")):
        (album / kind).mkdir(parents=True)
        for k in range(6):
            coarse = np.random.default_rng(k + 10 * number).integers(0, 120, (5, 7, 3))
            coarse[..., number] += 100
            drawn = Image.fromarray(coarse.astype(np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)
            drawn.save(album / kind / f"{kind}{k}.png")
    (album / "cat" / "cat5.png").rename(album / "fox" / "slip.png")
    monkeypatch.chdir(tmp_path)
    settings = ("--features", "pixels", "--size", "16", "--positive", "cat", "-q")
    assert main(["check", "album", *settings, "--report", "check.html", "-o", "found.csv"]) == 0
    page = opened(chromium, tmp_path / "check.html")
    slip = card(page, "slip.png")
    slip.locator(".no").click()
    assert slip.locator("select").input_value() == "cat"
    slip.locator("select").select_option("dog")
    assert rows_of(downloaded(page, tmp_path)) == {"slip.png": "dog"}


def test_a_page_of_packed_rows_shows_the_pictures(
    chromium: Browser, pages: Path, tmp_path: Path
) -> None:
    """Or, of those that are gone, the thumbnails that were packed."""
    album, rows = tmp_path / "album", tmp_path / "rows.h5"
    shutil.copytree(pages / "album", album)
    catclf.pack(album, rows, catclf.PackSettings(features="patches"))
    shutil.move(album / "cat" / "slip.png", tmp_path / "elsewhere.png")
    assert main(["check", str(rows), "-q", "--report", str(tmp_path / "c.html")]) == 0
    page = opened(chromium, tmp_path / "c.html")
    size = "one => [one.naturalWidth, one.naturalHeight]"
    there, gone = (card(page, name).locator("img") for name in ("copy.png", "slip.png"))
    assert there.evaluate(size) == [160, 120]
    assert gone.evaluate(size) == [32, 32]
