"""Text that is safe to show: no raw control characters, no stray bytes."""

from __future__ import annotations

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_SHOWN |= {ord("\n"): "\\n", ord("\t"): "\\t"}


def printable(text: str) -> str:
    """Make `text` safe for a terminal: control characters and stray bytes become escapes."""
    return text.translate(_SHOWN).encode("utf-8", "backslashreplace").decode("utf-8")
