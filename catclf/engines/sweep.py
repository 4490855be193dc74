"""What one pass over the pictures takes and gives, the same for every engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Vector


class Summand(Protocol):
    """What is summed over the pictures, as functions of their scores z. It may be sent elsewhere."""

    def residual(self, z: Vector, part: slice, out: Vector) -> None:
        """Write r, the factor of each picture's x in X r, for the pictures `part`."""

    def losses(self, z: Vector, part: slice) -> Vector:
        """Sums of losses over the pictures `part`."""

    def of(self, part: slice) -> Summand:
        """The same for the pictures `part` alone."""


Sweep = tuple[NDArray[Any], Vector | None]
"""What a pass gives: coordinates of (X r, Σ r), the caller's own; the losses if they were asked for."""


class Request(NamedTuple):
    """What is asked of an engine: a pass from a point.

    Attributes
    ----------
    c : coordinates of (w, b)
    summand : Summand
    losses : bool
        Whether the losses are to be summed as well.
    """

    c: NDArray[Any]
    summand: Summand
    losses: bool = False


FAN_IN = 4
"""How many sums of neighbouring parts are added up at a time."""


def added(sweeps: Iterable[list[Sweep]]) -> list[Sweep]:
    """Add up sweeps over neighbouring parts, in a tree of `FAN_IN`; a list has several sweeps of a part.

    Sums that somebody else has added up from `FAN_IN` parts each, or from a power of it, give the same
    bits.
    """
    while True:
        source = iter(sweeps)
        sweeps = []
        while group := list(itertools.islice(source, FAN_IN)):
            sweeps.append([_sum(of_one) for of_one in zip(*group, strict=True)])
        if len(sweeps) == 1:
            return sweeps[0]


def _sum(sweeps: Sequence[Sweep]) -> Sweep:
    sums, losses = zip(*sweeps, strict=True)
    return np.add.reduce(sums), None if losses[0] is None else np.add.reduce(losses)
