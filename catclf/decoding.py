"""The rule by which pictures became pixels, where there is more than one. Decodes nothing."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Self

from catclf import bounded_json


class Decoding(NamedTuple):
    """A rule of decoding: a model and a packed file say which theirs is.

    Attributes
    ----------
    profiles : bool
        Whether the colours of a picture with an ICC profile are converted to sRGB. Earlier versions
        ignored the profile.
    """

    profiles: bool = True

    def __str__(self) -> str:
        return f"colour profiles {_WORDS[self.profiles]}"

    def to_dict(self) -> dict[str, str]:
        """Return the rule as plain values, ready for JSON."""
        return {"profiles": _WORDS[self.profiles]}

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Take what `to_dict` returned.

        Raises
        ------
        ValueError
            If it is no rule that this version knows.
        """
        for profiles in _WORDS:
            if values == cls(profiles).to_dict():
                return cls(profiles)
        raise ValueError(f"is decoded as {_shortened(values)}, which this version does not know")


def decoding_of(text: str) -> Decoding | None:
    """Read what a packed file says, JSON; null where that is not known. Raises as `from_dict` does."""
    try:
        values = bounded_json.loads(text)
    except ValueError:
        values = text
    return None if values is None else Decoding.from_dict(values)


_WORDS = {True: "converted to sRGB", False: "ignored"}

_MOST_SHOWN = 80

USUAL = Decoding()

BEFORE = Decoding(profiles=False)
"""What models and packed files mean that do not say it."""


def _shortened(values: Any) -> str:
    text = json.dumps(values)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
