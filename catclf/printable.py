"""Text for people: no raw control characters, no stray bytes, no "1 pictures"."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from html import escape

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_SHOWN |= {ord("\n"): "\\n", ord("\t"): "\\t"}


def printable(text: str) -> str:
    """Make `text` safe for a terminal: control characters and stray bytes become escapes."""
    return text.translate(_SHOWN).encode("utf-8", "backslashreplace").decode("utf-8")


_LONGEST = 5000  # characters of a message: a path has 4096 bytes at most


def shortened(text: str) -> str:
    """Leave out the middle of what nobody would read.

    Examples
    --------
    >>> shortened("short"), len(shortened("x" * 3_000_000))
    ('short', 5003)
    """
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet would take a cell for a formula.

    Examples
    --------
    >>> looks_like_formula("=1+1"), looks_like_formula("cat"), looks_like_formula("")
    (True, False, False)
    """
    return text.startswith(("=", "+", "-", "@", "\t", "\r"))


def shown(value: object) -> str:
    """Write a value for people: numbers in six digits, two of them as an interval.

    Examples
    --------
    >>> shown([0.1234567, 0.5]), shown([1, 2, 3]), shown("zeros")
    ('0.123457 to 0.5', '1, 2, 3', 'zeros')
    """
    if isinstance(value, list):
        return (" to " if len(value) == 2 else ", ").join(map(shown, value))
    return printable(f"{value:.6g}" if isinstance(value, float) else str(value))


def number_of(count: int, thing: str) -> str:
    """Say how many there are.

    Examples
    --------
    >>> number_of(1, "other file"), number_of(1200, "picture"), number_of(2, "worker process")
    ('1 other file', '1200 pictures', '2 worker processes')
    """
    if count == 1:
        return f"{count} {thing}"
    return f"{count} {thing}{'es' if thing.endswith('s') else 's'}"


def html_table(rows: Iterable[tuple[str, str]]) -> str:
    """Lay out names and what they are as a table in HTML, for a notebook.

    Examples
    --------
    >>> html_table([("a < b", "1")])
    '<table><tr><th>a &lt; b</th><td>1</td></tr></table>'
    """
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def ending(code: int) -> str:
    """Say how a process ended that should not have; `code` is as in `subprocess`, negative for a signal.

    Examples
    --------
    >>> ending(3), ending(-9), ending(-11)
    ('ended early (exit code 3)', 'was killed', 'crashed (SIGSEGV)')
    """
    if code >= 0:
        return f"ended early (exit code {code})"
    if code == -signal.SIGKILL:
        return "was killed"
    named = {number.value: number.name for number in signal.Signals}
    return f"crashed ({named.get(-code, f'signal {-code}')})"
