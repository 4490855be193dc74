"""What one pass over the pictures takes and gives, the same for every engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Vector

EVERY_PICTURE = slice(None)


class Summand(Protocol):
    """What is summed over the pictures, as functions of their scores z. It may be sent elsewhere."""

    def residual(self, z: Vector, part: slice, out: Vector) -> None:
        """Write r, the factor of each picture's x in X r, for the pictures `part`."""

    def losses(self, z: Vector, part: slice) -> Vector:
        """Sums of losses over the pictures `part`."""

    def of(self, part: slice) -> Summand:
        """The same for the pictures `part` alone."""


Sweep = tuple[NDArray[Any], float, Vector | None]
"""What a pass gives: coordinates of X r, the caller's own; Σ r; the losses where they were asked for."""

# Pictures are cut into at least this many parts, each of at most so many values of X …
_FEWEST_PARTS = 16
_PART_VALUES = 2**27
# … but not into more than this: whoever hands out work needs time for each part.
_MOST_PARTS = 4096

# Sums of neighbouring parts are added up by so many.
FAN_IN = 4


def parts(m: int, n_x: int) -> list[slice]:
    """Cut m pictures into parts that depend on the data alone.

    Their sums are added by `added`, so a result does not depend on how many threads or machines there
    are to compute them.
    """
    count = min(max(_FEWEST_PARTS, -(-m * n_x // _PART_VALUES)), _MOST_PARTS)
    bounds = np.linspace(0, m, count + 1).astype(int).tolist()
    return [slice(i, j) for i, j in itertools.pairwise(bounds) if i < j]


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
    xr, r_sums, losses = zip(*sweeps, strict=True)
    return np.add.reduce(xr), sum(r_sums), None if losses[0] is None else np.add.reduce(losses)
