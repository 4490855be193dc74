"""What one pass over the pictures takes and gives, the same for every engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Protocol

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

FAN_IN = 4
"""How many sums of neighbouring parts are added up at a time."""


def added(sweeps: Iterable[Sweep]) -> Sweep:
    """Add up sweeps over neighbouring parts, in a tree of `FAN_IN`.

    Sums that somebody else has added up from `FAN_IN` parts each, or from a power of it, give the same
    bits.
    """
    while True:
        source = iter(sweeps)
        sweeps = []
        while group := list(itertools.islice(source, FAN_IN)):
            sweeps.append(_sum(group))
        if len(sweeps) == 1:
            return sweeps[0]


def _sum(sweeps: list[Sweep]) -> Sweep:
    sums, losses = zip(*sweeps, strict=True)
    return np.add.reduce(sums), None if losses[0] is None else np.add.reduce(losses)
