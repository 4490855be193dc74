"""Pictures with what a model says of them → cards of a page, on which a person answers."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape

from catclf.pipeline.gallery import GalleryItem
from catclf.printable import printable
from catclf.report.templates import data_uri


class Card(NamedTuple):
    """A picture as the templates take it.

    Attributes
    ----------
    source : str
        Address of the thumbnail, or empty.
    tiny : bool
        Whether the thumbnail is to be shown to the pixel.
    link : str
        Address of the picture itself, or empty.
    path, path_bytes : str
        How the CSV file names it; the second is base64, for a path that is not UTF-8. Both empty: it
        has no name, and no answer.
    name, folder : str or Markup
        For people.
    claim : str
        The class that is right or wrong.
    instead : tuple of str
        What it may be otherwise.
    called, sure : str
        What the model says, and how sure it is, for people; empty if it was not asked.
    percent : float or None
        The same as a number.
    label, note : str
    unusual : bool
    """

    source: str
    tiny: bool
    link: str
    path: str
    path_bytes: str
    name: Markup
    folder: str
    claim: str
    instead: tuple[str, ...]
    called: str
    sure: str
    percent: float
    label: str
    note: str
    unusual: bool


def cards(shots: Sequence[GalleryItem]) -> list[Card]:
    """Make a card of each picture, in order; folders are named from the one that holds them all."""
    files = {shot.path for shot in shots if os.path.isfile(shot.path)}
    folders = {os.path.dirname(os.path.abspath(path)) for path in files}
    common = os.path.commonpath(folders) if folders else ""
    return [_card(shot, common, shot.path in files) for shot in shots]


def key_of(shots: Iterable[GalleryItem], what: str) -> str:
    """What tells a page from others, so that answers are those of this one."""
    digest = hashlib.sha256(what.encode())
    for shot in shots:
        digest.update(os.fsencode(os.path.abspath(shot.path)) + b"\0")
        digest.update(shot.label.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


def _card(shot: GalleryItem, common: str, is_file: bool) -> Card:
    whole = os.path.abspath(shot.path) if is_file else shot.path
    raw = os.fsencode(whole)
    text = raw.decode("utf-8", "replace")
    folder, name = os.path.split(whole) if is_file else ("", whole)
    thumbnail = shot.thumbnail or b""
    nameless = shot.path == "-"
    return Card(
        source=data_uri(thumbnail) if thumbnail else "",
        tiny=thumbnail.startswith(b"\x89PNG"),
        link="file://" + quote(raw) if is_file else "",
        path="" if nameless else text,
        path_bytes=base64.b64encode(raw).decode("ascii") if text.encode() != raw else "",
        name=_breakable(printable(name)),
        folder=printable(os.path.relpath(folder, common)) if is_file and folder != common else "",
        claim=shot.label or shot.called,
        instead=shot.instead,
        called=printable(shot.called),
        sure=percent(shot.probability),
        percent=round(100 * shot.probability, 3),
        label=printable(shot.label),
        note=printable(shot.note),
        unusual=shot.unusual,
    )


def percent(probability: float) -> str:
    """A probability for people.

    Examples
    --------
    >>> percent(0.97), percent(0.9962), percent(0.99999), percent(0.004)
    ('97 %', '99.6 %', 'over 99.9 %', '0.4 %')
    """
    if probability > 0.999:
        return "over 99.9 %"
    near_an_end = not 0.01 <= probability <= 0.99
    return f"{100 * probability:.1f} %" if near_an_end else f"{100 * probability:.0f} %"


def _breakable(name: str) -> Markup:
    """A file's name that a line may end in after each of its parts."""
    safe = str(escape(name))
    for mark in ("_", "-", "."):
        safe = safe.replace(mark, f"{mark}<wbr>")
    return Markup(safe)
