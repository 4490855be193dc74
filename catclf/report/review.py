"""The pages to review pictures with: what `predict` and `check` found. Needs no matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from catclf.errors import DataError
from catclf.pipeline.album import FAILURES_KEPT, Album
from catclf.pipeline.checking import Check
from catclf.printable import number_of, printable
from catclf.report.cards import Card, cards, key_of
from catclf.report.templates import rendered

CORRECTIONS = ("corrections.csv", "catclf train DATA --labels corrections.csv -o MODEL.npz")
"""The file that a page of labelled pictures hands out, and a command that takes it."""


class Part(NamedTuple):
    """Some cards under a heading; the heading may be empty."""

    title: str
    said: str
    cards: list[Card]


_UNUSUAL = (
    " Those marked unusual are unlike the pictures that the model was trained on, so that its answers"
    " are worth little there; about 1 in 200 ordinary photographs gets this mark too."
)


def album_page(source: str, album: Album) -> str:
    """Return the page of a prediction; `source` is what was looked at."""
    shots, total = album.shots(), sum(album.counts.values())
    shown = "Those that the model is least sure of come first."
    if len(shots) < total:
        rest = f"and surer of the other {total - len(shots)}"
        shown = f"The model is least sure of these {len(shots)}, {rest}."
    if any(shot.unusual for shot in shots):
        shown += _UNUSUAL
    called = ", ".join(f"{count} called {printable(name)}" for name, count in album.counts.items())
    return _page(
        printable(source),
        f"{number_of(total, 'picture')}: {called}" if total else "No pictures",
        [Part("", shown, cards(shots))] if shots else [],
        key_of(shots, "album"),
        ("labels.csv", "catclf train labels.csv -o MODEL.npz"),
        album.failures,
        album.failed,
    )


_PARTS = (
    (
        "label",
        "Labels the model doubts",
        "The model has not seen these pictures, and calls them something else.",
    ),
    (
        "duplicate",
        "Near-duplicates",
        "Each with the picture that it is most like. Groups with more than one label come first.",
    ),
    ("unusual", "Unlike the others", "Screenshots, drawings, blank pictures: do they belong here?"),
)


def findings_page(source: str, found: Check, verdict: str) -> str:
    """Return the page of what `check` found.

    Parameters
    ----------
    source : str
        The data.
    found : Check
        With its shots.
    verdict : str
        A sentence on the labels.
    """
    made = cards(found.shots)
    parts = []
    for issue, title, said in _PARTS:
        some = [card for card, shot in zip(made, found.shots, strict=True) if shot.issue == issue]
        if some:
            parts.append(Part(f"{title} ({len(some)})", said, some))
    unread = found.of("unreadable")
    failed = [DataError(one.path, one.reason) for one in unread]
    key = key_of(found.shots, "findings")
    return _page(printable(source), verdict, parts, key, CORRECTIONS, failed, len(unread))


def _page(
    source: str,
    verdict: str,
    parts: list[Part],
    key: str,
    file: tuple[str, str],
    failed: Sequence[DataError],
    missed: int,
) -> str:
    return rendered(
        "review.html.j2",
        source=source,
        verdict=verdict,
        parts=parts,
        every=[card for part in parts for card in part.cards],
        key=key,
        download=file[0],
        use=file[1],
        failed=failed[:FAILURES_KEPT],
        missed=missed,
    )
