"""One word for one thing: the glossary of CONTRIBUTING, and the words that it replaces."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += [*sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "README.md"]
SOURCES = sorted(path for folder in ("catclf", "scripts") for path in (ROOT / folder).rglob("*.py"))
SOURCES += sorted((ROOT / "catclf").rglob("*.j2"))

# A word that is not to be used, and the one to use.
BANNED = {
    r"passed over": "ignored",
    r"files? (?:is|are|was|were) left out": "ignored",
    r"called like a picture": "with the suffix of a picture",
    r"commoner": "more common",
    r"always (?:saying|naming)": "always answering",
    r"in the place of": "instead of",
    r"(?:begins?|begun|beginning) anew": "start over, restarted",
    r"must be left out": "cannot be used with, cannot be changed",
    r"move it away": "move or delete it",
    r"the same command goes on": "run the same command to continue",
    r"which flatters": "which makes the scores too good",
    r"does not remember its pictures": "too many pictures to store fingerprints of",
    r"a (?:process|thread|worker) a core": "per core",
    r"(?:is|are|was|were|be|been) told\b(?! apart)": "say who tells, or what it says",
    r"cop(?:y|ies) of (?:this|the|its) process|copies of itself": "worker process",
}
# In our own words; an API, a parameter or a mirror image may be called so.
IMAGE = re.compile(r"(?<![\w.`/:-])(?<!mirror )images?\b(?!['\w.`()/:]| [(:]| of train)", re.IGNORECASE)


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of prose with their numbers: of Python only comments, docstrings and other texts."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), start=1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            yield from enumerate(token.string.splitlines(), start=token.start[0])


@pytest.mark.parametrize("path", PAGES + SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_banned_word(path: Path) -> None:
    lines = [(k, line) for k, line in words_of(path) if "(not:" not in line]
    found = [
        f"{path.relative_to(ROOT)}:{k}: {line.strip()!r}: say {better!r}"
        for k, line in lines
        for banned, better in BANNED.items()
        if re.search(banned, line, re.IGNORECASE)
    ]
    assert found == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "catclf").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_picture_is_called_a_picture(path: Path) -> None:
    lines = [(k, line.strip()) for k, line in words_of(path) if IMAGE.search(line)]
    assert lines == []


@pytest.mark.parametrize(
    ("sentence", "is_banned"),
    [
        ("3 other files passed over", True),
        ("the commoner class", True),
        ("better than always naming the more common class", True),
        ("it begins anew", True),
        ("The caller is told of every file", True),
        ("cannot be told apart", False),
        ("forked copies of this process", True),
        ("mirrored copies of each picture", False),
        ("the setting must be left out", True),
        ("the network instead of pixels", False),
    ],
)
def test_the_patterns_find_what_they_are_for(sentence: str, is_banned: bool) -> None:
    assert any(re.search(banned, sentence, re.IGNORECASE) for banned in BANNED) == is_banned


def test_the_glossary_has_a_line_for_each_banned_word() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    glossary = text[text.index("## Glossary") :]
    for word in ("picture", "skipped", "ignored", "worker process", "more common class"):
        assert f"**{word}**" in glossary
