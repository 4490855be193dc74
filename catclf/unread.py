"""Pictures in formats that are not read: known by their suffix, counted, and named with a way out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from catclf.printable import number_of


class Unread(NamedTuple):
    """A kind of pictures that is not read.

    Attributes
    ----------
    thing : str
        One of them.
    suffixes : tuple of str
        In small letters.
    remedy : str
        What to do, as an imperative.
    beside : bool
        Whether it is no loss where a JPEG of the same name lies beside it.
    """

    thing: str
    suffixes: tuple[str, ...]
    remedy: str
    beside: bool = False


UNREAD = (
    Unread(
        "HEIC picture", (".heic", ".heif", ".hif"), "pip install 'catclf[heic]', or convert HEIC to JPEG"
    ),
    Unread(
        "raw camera file",
        (
            *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"),
            *(".rw2", ".pef", ".srw", ".x3f", ".iiq", ".3fr", ".erf", ".mrw", ".kdc", ".dcr", ".mef"),
        ),
        "take out the JPEG that is inside, as with exiv2 -ep3",
        beside=True,
    ),
    Unread("JPEG XL picture", (".jxl",), "convert JPEG XL to JPEG first, as with djxl"),
)

_JPEG = (".jpg", ".JPG", ".jpeg", ".JPEG", ".Jpg")


def sentences(ignored: Iterable[str]) -> list[str]:
    """Say how many of the files that were ignored are pictures, and what to do about them."""
    counts = dict.fromkeys(UNREAD, 0)
    for path in ignored:
        stem, suffix = os.path.splitext(path)
        for kind in UNREAD:
            if suffix.lower() in kind.suffixes and not (kind.beside and _has_jpeg(stem)):
                counts[kind] += 1
    return [
        f"{number_of(count, kind.thing)} {'was' if count == 1 else 'were'} not read: {kind.remedy}"
        for kind, count in counts.items()
        if count
    ]


def _has_jpeg(stem: str) -> bool:
    return any(os.path.lexists(stem + suffix) for suffix in _JPEG)
