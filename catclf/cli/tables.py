"""Tables of results → bytes of text, CSV, TSV or JSON. A column is defined once, for all of them."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

_ESCAPES = {bytes((code,)): f"\\x{code:02x}".encode() for code in (*range(32), 127)}
_ESCAPES |= {b"\t": b"\\t", b"\n": b"\\n", b"\\": b"\\\\"}
_ODD = re.compile(rb"[\x00-\x1f\x7f\\]")
_NO_CHARACTER = re.compile("[\ud800-\udfff]")  # such as a byte of a path that is not UTF-8


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    name : str
    value : (row) -> value
        Ready for JSON; None is an empty cell.
    cell : (value) -> str
        How it is written where everything is text.
    is_path : bool
        Whether a spreadsheet must not take it for a formula.
    """

    name: str
    value: Callable[[Any], Any]
    cell: Callable[[Any], str] = str
    is_path: bool = False

    def text(self, row: Any) -> str:
        """Return the cell of a row."""
        value = self.value(row)
        return "" if value is None else self.cell(value)


def six_digits(number: float) -> str:
    """How a probability or a loss is written."""
    return f"{number:.6f}"


class Table(NamedTuple):
    """Columns, and the fields that a row has as plain text.

    Attributes
    ----------
    columns : sequence of Column
    fields : ((row) -> fields) or None
        None is the cells.
    """

    columns: Sequence[Column]
    fields: Callable[[Any], Sequence[str]] | None = None

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [column.name for column in self.columns]

    def cells(self, row: Any) -> list[str]:
        """The cells of a row."""
        return [column.text(row) for column in self.columns]

    def values(self, row: Any) -> dict[str, Any]:
        """A row, ready for JSON."""
        return {column.name: column.value(row) for column in self.columns}


def escaped(text: str) -> bytes:
    """The bytes of `text` with tab, newline, backslash and control characters made visible."""
    return _ODD.sub(lambda found: _ESCAPES[found[0]], os.fsencode(text))


def path_lines(paths: Iterable[str], null: bool) -> bytes:
    """Paths, each a line, or as they are and ended by NUL."""
    return b"".join(os.fsencode(p) + b"\0" if null else escaped(p) + b"\n" for p in paths)


def _tabbed(fields: Iterable[str]) -> bytes:
    return b"\t".join(map(escaped, fields)) + b"\n"


def _text_row(table: Table, row: Any) -> bytes:
    return _tabbed(table.fields(row) if table.fields is not None else table.cells(row))


def _csv_row(table: Table, row: Any) -> bytes:
    cells = zip(table.columns, table.cells(row), strict=True)
    return _csv_line(_no_formula(cell) if column.is_path else cell for column, cell in cells)


def _csv_line(fields: Iterable[str]) -> bytes:
    """RFC 4180, but for the line end, which is a newline alone as everywhere in a shell."""
    return b",".join(_quoted(os.fsencode(field)) for field in fields) + b"\n"


def _no_formula(path: str) -> str:
    """Name the same file by a path that is no formula to a spreadsheet."""
    looks_like_formula = path.startswith(("=", "+", "-", "@", "\t", "\r")) and path != "-"
    return "./" + path if looks_like_formula else path


def _quoted(field: bytes) -> bytes:
    if any(byte in field for byte in b',"\r\n'):
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field


def _json_row(table: Table, row: Any) -> bytes:
    return json_bytes(table.values(row))


def json_bytes(values: Any, indent: int | None = None) -> bytes:
    """Plain values as JSON in UTF-8, without line end.

    What is not Unicode becomes U+FFFD. A ``path`` of which that is true is followed by its bytes,
    base64, in ``path_bytes``. A number that is not finite is null.
    """
    return json.dumps(_sayable(values), indent=indent, ensure_ascii=False, allow_nan=False).encode()


def _sayable(value: Any) -> Any:
    """`value` as it can be said in JSON."""
    if isinstance(value, str):
        return _NO_CHARACTER.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_sayable(item) for item in value]
    if isinstance(value, dict):
        said = {}
        for key, item in value.items():
            said[_sayable(key)] = shown = _sayable(item)
            if key == "path" and shown != item:
                said["path_bytes"] = base64.b64encode(os.fsencode(item)).decode("ascii")
        return said
    return value


class Format(NamedTuple):
    """What stands before the rows, a row, what stands between rows, and what ends them."""

    head: Callable[[Table], bytes]
    row: Callable[[Table, Any], bytes]
    between: bytes = b""
    tail: bytes = b""


FORMATS = {
    "text": Format(lambda table: b"", _text_row),
    "csv": Format(lambda table: _csv_line(table.names), _csv_row),
    "tsv": Format(lambda table: _tabbed(table.names), lambda table, row: _tabbed(table.cells(row))),
    "json": Format(lambda table: b"[\n", _json_row, b",\n", b"\n]\n"),
    "jsonl": Format(lambda table: b"", lambda table, row: _json_row(table, row) + b"\n"),
}


def written(table: Table, chunks: Iterable[Sequence[Any]], format_name: str) -> Iterator[bytes]:
    """Yield what stands before the rows, some rows at a time, and what ends them."""
    style = FORMATS[format_name]
    yield style.head(table)
    between = b""
    for rows in chunks:
        if rows:
            yield between + style.between.join([style.row(table, row) for row in rows])
            between = style.between
    yield style.tail
