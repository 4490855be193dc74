"""When two names mean one class: the rule for folders, CSV files, HDF5 files and models alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def bare(name: str) -> str:
    """A name without what does not matter: case, space around it, and Unicode form.

    Examples
    --------
    >>> bare(" Cat "), bare("cat") == bare("CAT")
    ('cat', True)
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def is_plural(one: str, other: str) -> bool:
    """Whether one of two names is the plural of the other, as English makes it.

    Examples
    --------
    >>> is_plural("cat", "Cats"), is_plural("foxes", "fox"), is_plural("kitty", "kitties")
    (True, True, True)
    >>> is_plural("cat", "cat"), is_plural("cat", "dog")
    (False, False)
    """
    short, long = sorted(map(bare, (one, other)), key=len)
    plurals = {f"{short}s", f"{short}es", *([f"{short[:-1]}ies"] if short.endswith("y") else [])}
    return bool(short) and long in plurals


def is_same(one: str, other: str) -> bool:
    """Whether a class of a model and one of other data are the same: alike, or singular and plural."""
    return bare(one) == bare(other) or is_plural(one, other)


def united(names: Sequence[str]) -> dict[str, str]:
    """Give for each name the one that it is written as: the plainest of those that are alike.

    Raises
    ------
    ValueError
        If one is the plural of another: is that one class, or two?

    Examples
    --------
    >>> united(["Cat", "cat", "dog", "cat "])
    {'Cat': 'cat', 'cat': 'cat', 'dog': 'dog', 'cat ': 'cat'}
    """
    chosen: dict[str, str] = {}
    for name in names:
        key = bare(name)
        if key not in chosen or name == key:
            chosen[key] = name
    written = [*chosen.values()]
    for k, one in enumerate(written):
        for other in written[k + 1 :]:
            if is_plural(one, other):
                raise ValueError(f"has the classes {one!r} and {other!r}, which may be meant to be one")
    return {name: chosen[bare(name)] for name in names}


def merged(names: Iterable[str], written: dict[str, str]) -> list[str]:
    """Sentences on names that were taken for one class."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(written[name], []).append(name)
    return [
        f"{', '.join(map(repr, alike))} are taken for one class, {name!r}"
        for name, alike in groups.items()
        if len(alike) > 1
    ]
