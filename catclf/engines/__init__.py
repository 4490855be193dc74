"""Where X lives while descending. An engine changes speed and memory, never meaning.

`catclf.config.ENGINES` has them all, with the places that each can read rows from.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.sweep import Summand, Sweep
from catclf.logistic import Vector

Coordinates = NDArray[Any]


class Engine(Protocol):
    """A place where (w, b) lives as `Coordinates` c, on which linear operations act as on (w, b).

    Since c1 + s · c2 represents (w1, b1) + s · (w2, b2), one descent loop serves every engine.
    """

    @property
    def m(self) -> int: ...

    @property
    def n_x(self) -> int: ...

    def start(self) -> Coordinates:
        """Coordinates of the (w₀, b₀) that the engine was made with."""

    def sweep(self, c: Coordinates, summand: Summand, losses: bool = False) -> Sweep:
        """Sum (x, 1) r over the pictures, r being a function of their z = wᵀx + b, and the losses."""

    def scores(self, c: Coordinates) -> Vector:
        """Z = wᵀX + b (m,)."""

    def dot(self, c1: Coordinates, c2: Coordinates) -> float:
        """w1ᵀ w2 + b1 b2."""

    def weights(self, c: Coordinates) -> Vector:
        """w (n_x,) itself."""

    def bias(self, c: Coordinates) -> float:
        """b itself."""

    def shift(self, c: Coordinates, b: float) -> None:
        """Add `b` to the bias, in place."""


def length(engine: Engine, c: Coordinates) -> float:
    """‖(w, b)‖."""
    return math.sqrt(max(engine.dot(c, c), 0.0))


class MakeEngine(Protocol):
    """Build an engine over the pictures of a design.

    Parameters
    ----------
    design : Design
    w0 : (n_x,) float64
    jobs : int
        Threads.
    b0 : float
    own_bias : bool
        Whether `Engine.shift` is needed: where penalties spare b or its step is not that of w.
    """

    def __call__(
        self, design: Design, w0: Vector, jobs: int = 1, *, b0: float = 0.0, own_bias: bool = True
    ) -> Engine: ...
