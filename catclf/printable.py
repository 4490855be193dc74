"""Text for people: no raw control characters, no stray bytes, no "1 pictures"."""

from __future__ import annotations

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_SHOWN |= {ord("\n"): "\\n", ord("\t"): "\\t"}


def printable(text: str) -> str:
    """Make `text` safe for a terminal: control characters and stray bytes become escapes."""
    return text.translate(_SHOWN).encode("utf-8", "backslashreplace").decode("utf-8")


def number_of(count: int, thing: str) -> str:
    """Say how many there are.

    Examples
    --------
    >>> number_of(1, "other file"), number_of(1200, "picture")
    ('1 other file', '1200 pictures')
    """
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
