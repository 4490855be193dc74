"""Tables of results → bytes of text, CSV, TSV or JSON. A column is defined once, for all of them."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from catclf import bounded_json
from catclf.errors import DataError, system_reason
from catclf.printable import looks_like_formula

_ESCAPES = {bytes((code,)): f"\\x{code:02x}".encode() for code in (*range(32), 127)}
_ESCAPES |= {b"\t": b"\\t", b"\n": b"\\n", b"\\": b"\\\\"}
_ESCAPES |= {chr(code).encode(): f"\\x{code:02x}".encode() for code in range(128, 160)}  # C1
_ODD = re.compile(rb"[\x00-\x1f\x7f\\]|\xc2[\x80-\x9f]")
_ODD_IN_JSON = re.compile("[\x7f-\x9f]")
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
    return "./" + path if looks_like_formula(path) and path != "-" else path


def _quoted(field: bytes) -> bytes:
    if any(byte in field for byte in b',"\r\n'):
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field


def _json_row(table: Table, row: Any) -> bytes:
    return json_bytes(table.values(row))


def json_bytes(values: Any, indent: int | None = None) -> bytes:
    """Plain values as JSON in UTF-8, without line end.

    What is not Unicode becomes U+FFFD, and control characters become escapes. A ``path`` that is not
    Unicode is followed by its bytes, base64, in ``path_bytes``. A number that is not finite is null.
    """
    text = json.dumps(_sayable(values), indent=indent, ensure_ascii=False, allow_nan=False)
    return _ODD_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


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
    yield from joined(table, chunks, format_name, begun=False)
    yield style.tail


def joined(
    table: Table, chunks: Iterable[Sequence[Any]], format_name: str, begun: bool
) -> Iterator[bytes]:
    """Yield some rows at a time; `begun` is whether there are some before them."""
    style = FORMATS[format_name]
    between = style.between if begun else b""
    for rows in chunks:
        if rows:
            yield between + style.between.join([style.row(table, row) for row in rows])
            between = style.between


@dataclass
class RowsOfFile:
    """A file of rows that more are to be added to.

    Attributes
    ----------
    body : bytes
        All of it but what ends the rows.
    has_rows : bool
    format_name : str
    paths : set of bytes
        Those of the rows, as they are written.
    met : int
        Pictures that were left out so far, since they have a row.
    """

    body: bytes
    has_rows: bool
    format_name: str
    paths: frozenset[bytes]
    met: int = 0

    def without(self, pictures: Iterable[Any]) -> Iterator[Any]:
        """Yield pictures whose paths are in none of the rows, and whatever has no path."""
        write = _PATH_WRITERS[self.format_name]
        for picture in pictures:
            path = getattr(picture, "path", None)
            if path is None or write(path) not in self.paths:
                yield picture
            else:
                self.met += 1


def rows_of_file(file: str, format_name: str) -> RowsOfFile | None:
    """Read what `written` wrote, or None if there is no such file.

    Raises
    ------
    DataError
        If it cannot be read, or has not that format.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise DataError(file, system_reason(exc)) from exc
    if not data:
        return None
    tail = FORMATS[format_name].tail
    try:
        if not data.endswith(tail or b"\n"):
            raise ValueError("the end is missing")
        paths = _PATH_READERS[format_name](data)
    except (ValueError, LookupError, TypeError) as exc:
        raise DataError(file, f"is not what predict writes as {format_name} ({exc})") from exc
    return RowsOfFile(data[: len(data) - len(tail)], bool(paths), format_name, frozenset(paths))


def _first_fields(data: bytes) -> list[bytes]:
    return [line.partition(b"\t")[0] for line in data.split(b"\n")[:-1]]


def _csv_paths(data: bytes) -> list[bytes]:
    import csv  # only where it is needed: it takes time to import

    text = io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")
    try:
        return [os.fsencode(row["path"]) for row in csv.DictReader(text, strict=True)]
    except csv.Error as exc:
        raise ValueError(str(exc)) from exc


def _json_path(row: Any) -> bytes:
    if "path_bytes" in row:
        return base64.b64decode(row["path_bytes"], validate=True)
    return os.fsencode(row["path"])


_PATH_READERS: dict[str, Callable[[bytes], list[bytes]]] = {
    "text": _first_fields,
    "tsv": lambda data: _first_fields(data)[1:],
    "csv": _csv_paths,
    "json": lambda data: list(map(_json_path, bounded_json.loads(data))),
    "jsonl": lambda data: [_json_path(bounded_json.loads(line)) for line in data.split(b"\n")[:-1]],
}

_PATH_WRITERS: dict[str, Callable[[str], bytes]] = {
    "text": escaped,
    "tsv": escaped,
    "csv": lambda path: os.fsencode(_no_formula(path)),
    "json": os.fsencode,
    "jsonl": os.fsencode,
}
