"""Predictions → bytes of text, CSV, TSV or JSON. One row for each, whatever is in its path."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from catclf.pipeline.prediction import Prediction

_ESCAPES = {bytes((code,)): f"\\x{code:02x}".encode() for code in (*range(32), 127)}
_ESCAPES |= {b"\t": b"\\t", b"\n": b"\\n", b"\\": b"\\\\"}
_ODD = re.compile(rb"[\x00-\x1f\x7f\\]")
_NO_CHARACTER = re.compile("[\ud800-\udfff]")  # such as a byte of a path that is not UTF-8


def escaped(text: str) -> bytes:
    """The bytes of `text` with tab, newline, backslash and control characters made visible."""
    return _ODD.sub(lambda found: _ESCAPES[found[0]], os.fsencode(text))


def text_row(prediction: Prediction) -> bytes:
    """path, label, probability; or path, ERROR, reason."""
    fields = [escaped(prediction.path)]
    if prediction.error is not None:
        fields += [b"ERROR", escaped(prediction.error.reason)]
    else:
        fields += [escaped(prediction.label or ""), _digits(prediction)]
    return b"\t".join(fields) + b"\n"


def tsv_row(prediction: Prediction) -> bytes:
    """path, label, probability, error; as in CSV, but escaped instead of quoted."""
    reason = prediction.error.reason if prediction.error is not None else ""
    label = escaped(prediction.label or "")
    fields = [escaped(prediction.path), label, _digits(prediction), escaped(reason)]
    return b"\t".join(fields) + b"\n"


def csv_row(prediction: Prediction) -> bytes:
    """path, label, probability, error; see `csv_line`."""
    reason = prediction.error.reason if prediction.error is not None else ""
    digits = _digits(prediction).decode()
    return csv_line(csv_path(prediction.path), prediction.label or "", digits, reason)


def csv_line(*fields: str) -> bytes:
    """RFC 4180, but for the line end, which is a newline alone as everywhere in a shell."""
    return b",".join(_quoted(os.fsencode(field)) for field in fields) + b"\n"


def csv_path(path: str) -> str:
    """Name the same file by a path that is no formula to a spreadsheet."""
    looks_like_formula = path.startswith(("=", "+", "-", "@", "\t", "\r")) and path != "-"
    return "./" + path if looks_like_formula else path


def json_row(prediction: Prediction) -> bytes:
    """Return one object without line end."""
    probability = prediction.probability
    row = {
        "path": prediction.path,
        "label": prediction.label,
        "probability": None if probability is None else round(probability, 6),
        "error": prediction.error.reason if prediction.error is not None else None,
    }
    return json_bytes(row)


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


def _digits(prediction: Prediction) -> bytes:
    return b"" if prediction.probability is None else b"%.6f" % prediction.probability


def _quoted(field: bytes) -> bytes:
    if any(byte in field for byte in b',"\r\n'):
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field


class Format(NamedTuple):
    """What stands before the rows, a row, what stands between rows, and what ends them."""

    head: bytes
    row: Callable[[Prediction], bytes]
    between: bytes
    tail: bytes


FORMATS = {
    "text": Format(b"", text_row, b"", b""),
    "csv": Format(b"path,label,probability,error\n", csv_row, b"", b""),
    "tsv": Format(b"path\tlabel\tprobability\terror\n", tsv_row, b"", b""),
    "json": Format(b"[\n", json_row, b",\n", b"\n]\n"),
    "jsonl": Format(b"", lambda prediction: json_row(prediction) + b"\n", b"", b""),
}
