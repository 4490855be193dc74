"""JSON of files that anybody may have made → plain values that are not nested without end."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 50
"""So many lists and objects may lie within each other; ours are four deep."""


def loads(text: str | bytes) -> Any:
    """Parse JSON as `json.loads` does.

    Raises
    ------
    ValueError
        If it is not JSON, or is nested more deeply than `DEEPEST`.

    Examples
    --------
    >>> loads('{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> loads("[" * 200_000)
    Traceback (most recent call last):
    ValueError: is nested too deeply
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return value
        level = [
            inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)
        ]
    raise ValueError("is nested too deeply")
