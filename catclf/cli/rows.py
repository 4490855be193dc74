"""Predictions → bytes of text, CSV, TSV or JSON. One row for each, whatever is in its path."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from typing import NamedTuple

from catclf.pipeline.prediction import Prediction

_ESCAPES = {bytes((code,)): f"\\x{code:02x}".encode() for code in (*range(32), 127)}
_ESCAPES |= {b"\t": b"\\t", b"\n": b"\\n", b"\\": b"\\\\"}
_ODD = re.compile(rb"[\x00-\x1f\x7f\\]")


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
    row: dict[str, str | float | None] = {**json_path(prediction.path)}
    probability = prediction.probability
    row["label"] = prediction.label
    row["probability"] = None if probability is None else round(probability, 6)
    row["error"] = prediction.error.reason if prediction.error is not None else None
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")


def json_path(path: str) -> dict[str, str]:
    """`path`, and for a path that is not UTF-8 also its bytes, base64, in `path_bytes`."""
    raw = os.fsencode(path)
    text = raw.decode("utf-8", "replace")
    if text.encode() == raw:
        return {"path": text}
    return {"path": text, "path_bytes": base64.b64encode(raw).decode("ascii")}


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
