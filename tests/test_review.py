"""The pages to review with, without a browser: what is on them, what they need, and what is kept."""

from __future__ import annotations

import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf import load
from catclf.pipeline.album import FAILURES_KEPT, Album
from catclf.pipeline.gallery import SHOWN, others
from catclf.pipeline.prediction import Prediction
from catclf.report.cards import cards
from catclf.report.review import album_page
from tests.conftest import Runner


class Cards(HTMLParser):
    """The attributes of the cards of a page, their text, and where their links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cards: list[dict[str, str]] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "li":
            self.cards.append(found)
            self.text.append("")
            self._open = True
        if self._open and tag == "a" and "href" in found:
            self.links.append(found["href"])
        if self._open and tag == "img":
            self.sources.append(found["src"])

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "li"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.text[-1] += data


def test_predict_shows_every_picture_with_the_least_sure_first(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (album / "dog" / "broken.png").write_bytes(b"no picture")
    shutil.copytree(album / "dog", album / "dog" / "Küste 2024")
    monkeypatch.chdir(tmp_path)
    plain = catclf("predict", "-m", model, "album")
    result = catclf("predict", "-m", model, "album", "--report", "page.html")
    assert result.out == plain.out
    assert result.code == plain.code == 3
    assert "saved page.html: 18 pictures to review" in result.err
    text = (tmp_path / "page.html").read_text("utf-8")
    page = Cards(text)
    rows = [line.split("\t") for line in result.out.decode().splitlines() if "ERROR" not in line]
    rows.sort(key=lambda row: abs(float(row[2]) - 0.5))
    assert [card["data-path"] for card in page.cards] == [str(tmp_path / row[0]) for row in rows]
    assert [card["data-claim"] for card in page.cards] == [row[1] for row in rows]
    for (path, label, p), words in zip(rows, page.text, strict=True):
        sure = float(p) if label == "cat" else 1 - float(p)
        assert f"called {label}, " in words
        assert Path(path).name in words
        assert sure > 0.99 or f"{100 * sure:.0f} %" in words
    assert any("dog/Küste 2024" in words for words in page.text)
    assert str(tmp_path) not in "".join(page.text)
    assert (album / "dog" / "Küste 2024" / "0.png").as_uri() in page.links
    assert "broken.png" in text
    again = catclf("predict", "-m", model, "album", "--report", "page.html", "-q")
    assert (again.code, again.err) == (3, "")
    assert (tmp_path / "page.html").read_text("utf-8") == text


def test_of_one_class_only_its_pictures_are_shown(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    catclf("predict", "-m", model, album, "--only", "cat", "--report", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text("utf-8")
    assert {card["data-claim"] for card in Cards(text).cards} == {"cat"}
    assert "6 pictures: 6 called cat." in text
    assert catclf("predict", "-m", model, album / "nothing", "--report", tmp_path / "q.html").code == 3
    assert "No pictures." in (tmp_path / "q.html").read_text("utf-8")


def test_the_title_says_what_was_looked_at(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    page, pictures = tmp_path / "p.html", sorted(album.rglob("*.png"))
    (tmp_path / "list").write_text(f"{pictures[0]}\n")
    for arguments, title in (
        ([album], f"{album}"),
        ([*pictures], f"{pictures[0]}, {pictures[1]}, {pictures[2]} and 9 more"),
        (["--files-from", tmp_path / "list"], f"the paths in {tmp_path}/list"),
    ):
        assert catclf("predict", "-m", model, *arguments, "--report", page).code == 0
        assert f"<h1>{title}</h1>" in page.read_text("utf-8")


def test_a_page_needs_no_matplotlib(
    catclf: Runner, album: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = tmp_path / "p.html"
    assert catclf("predict", "-m", model, album, "--report", page).code == 0
    options = ("--features", "pixels", "--size", "8")
    assert catclf("check", album, *options, "--report", page).code == 0
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for command in (("predict", "-m", model, album), ("check", album, *options)):
        refused = catclf(*command, "--report", tmp_path / "none.html")
        assert refused.code == 2
        assert "--report needs jinja2: pip install 'catclf[report]'" in refused.err
        assert refused.out == b""
    assert not (tmp_path / "none.html").exists()


def test_a_page_is_never_written_over_what_is_read(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.html").write_text(f"{album}\n")
    files = ("--files-from", tmp_path / "list.html")
    refused = catclf("predict", "-m", model, *files, "--report", tmp_path / "list.html")
    assert refused.code == 2
    assert (tmp_path / "list.html").read_text() == f"{album}\n"
    assert catclf("check", album, "--report", tmp_path / "page.txt").code == 2


def test_a_page_is_of_the_least_sure_and_counts_the_others(model: Path) -> None:
    found, tiny = load(model), np.zeros((1, 1, 3), np.uint8)
    album = Album(found, 0.4, None)
    sure = np.random.default_rng(0).permutation(np.linspace(0, 1, SHOWN + 500)).tolist()
    rows = [Prediction(f"{p:.6f}.png", found.label(p, 0.4), p, None, preview=tiny) for p in sure]
    passed = list(album.watched([rows[:700], rows[700:]]))
    assert [row.path for chunk in passed for row in chunk] == [row.path for row in rows]
    assert all(row.preview is None for chunk in passed for row in chunk)
    nearest = sorted(rows, key=lambda row: abs((row.probability or 0) - 0.4))[:SHOWN]
    assert [shot.path for shot in album.shots()] == [row.path for row in nearest]
    assert sum(album.counts.values()) == SHOWN + 500
    text = album_page("album", album)
    assert f"The model is least sure of these {SHOWN}, and surer of the other 500." in text
    assert len(Cards(text).cards) == SHOWN


def test_unreadable_pictures_are_counted_and_some_named(
    catclf: Runner, model: Path, tmp_path: Path
) -> None:
    for k in range(FAILURES_KEPT + 3):
        (tmp_path / f"{k:03d}.png").write_bytes(b"no picture")
    assert catclf("predict", "-m", model, tmp_path, "--report", tmp_path / "p.html").code == 3
    text = (tmp_path / "p.html").read_text("utf-8")
    assert f"{FAILURES_KEPT - 1:03d}.png" in text
    assert f"{FAILURES_KEPT:03d}.png" not in text
    assert "and 3 more" in text


def test_what_has_no_file_is_shown_without_a_link(
    catclf: Runner, album: Path, model: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "p.h5"
    assert catclf("pack", album, packed, "--size", "16").code == 0
    assert catclf("predict", "-m", model, packed, "--report", tmp_path / "p.html").code == 0
    page = Cards((tmp_path / "p.html").read_text("utf-8"))
    assert page.links == []
    assert {card["data-path"] for card in page.cards} == {f"{packed}[{k}]" for k in range(12)}
    assert len(page.sources) == 12


def test_check_shows_each_issue_and_what_else_a_picture_may_be(
    catclf: Runner, album: Path, tmp_path: Path
) -> None:
    (album / "dog" / "5.png").rename(album / "cat" / "slip.png")
    shutil.copy(album / "cat" / "0.png", album / "dog" / "twin.png")
    Image.new("RGB", (40, 400), "white").save(album / "dog" / "blank.png")
    (album / "dog" / "broken.png").write_bytes(b"no picture")
    options = ("--features", "pixels", "--size", "8", "--report", tmp_path / "p.html")
    result = catclf("check", album, *options, "-F", "csv")
    assert result.code == 3
    text = (tmp_path / "p.html").read_text("utf-8")
    titles = re.findall("<h2>(.*?)</h2>", text)
    page = Cards(text)
    rows = [line.split(",") for line in result.out.decode().splitlines()[1:]]
    shown = [row for row in rows if row[2] != "unreadable"]
    assert [card["data-path"] for card in page.cards] == [row[0] for row in shown]
    assert [card["data-claim"] for card in page.cards] == [row[1] for row in shown]
    assert all(card["data-instead"] in ('["cat"]', '["dog"]') for card in page.cards)
    assert [title.split(" (")[0] for title in titles] == [
        "Labels the model doubts",
        "Near-duplicates",
        "Unlike the others",
        "Not read",
    ]
    told = dict(zip(((row[0], row[2]) for row in shown), page.text, strict=True))
    assert "called dog, " in told[str(album / "cat" / "slip.png"), "label"]
    assert "labelled cat" in told[str(album / "cat" / "slip.png"), "label"]
    assert f"like {album / 'cat' / '0.png'}" in told[str(album / "dog" / "twin.png"), "duplicate"]
    assert "of it is one shade of grey" in told[str(album / "dog" / "blank.png"), "unusual"]


def test_check_that_finds_nothing_says_so(catclf: Runner, album: Path, tmp_path: Path) -> None:
    options = ("--features", "pixels", "--size", "8", "--report", tmp_path / "p.html")
    assert catclf("check", album, *options).code == 0
    text = (tmp_path / "p.html").read_text("utf-8")
    assert Cards(text).cards == []
    assert "0 of 12 pictures look more like the other class" in text


def test_the_class_that_the_model_says_stands_first() -> None:
    assert others(("cat", "dog", "fox"), "cat", "fox") == ("fox", "dog")
    assert others(("cat", "dog", "fox"), "fox", "non-cat") == ("cat", "dog")


def test_names_that_are_odd_stay_text(model: Path, tmp_path: Path) -> None:
    album = Album(load(model), None, None)
    pixels = np.zeros((9, 9, 3), np.uint8)
    names = ["<script>alert(1)<script>.png", 'a"b&c.png', "new\nline.png", "\udcff.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    paths = [*(str(tmp_path / name) for name in names), "-"]
    rows = [Prediction(path, "cat", 0.9, None, preview=pixels) for path in paths]
    list(album.watched([rows]))
    made = cards(album.shots())
    assert [bool(card.path_bytes) for card in made] == [False, False, False, True, False]
    assert made[-1].path == ""  # standard input has no name to be called by
    text = album_page("here", album)
    assert text.count("<script>") == 1
    page = Cards(text)
    assert len(page.cards) == 5
    assert page.cards[1]["data-path"] == rows[1].path
    assert "\\n" in page.text[2]
    assert (tmp_path / "\udcff.png").as_uri() in page.links
