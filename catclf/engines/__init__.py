"""Where X lives while descending. An engine changes speed and memory, never meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.dask import DaskEngine
from catclf.engines.gram import GramEngine
from catclf.engines.primal import PrimalEngine
from catclf.engines.stream import StreamEngine
from catclf.engines.sweep import Summand, Sweep
from catclf.logistic import Vector

Coordinates = NDArray[Any]


class Engine(Protocol):
    """A place where w lives as `Coordinates` c, on which the linear operations act as on w.

    Since c1 + s · c2 represents w1 + s · w2, one descent loop serves every engine.
    """

    @property
    def m(self) -> int: ...

    @property
    def n_x(self) -> int: ...

    def start(self) -> Coordinates:
        """Coordinates of the w₀ that the engine was made with."""

    def sweep(self, c: Coordinates, b: float, summand: Summand, losses: bool = False) -> Sweep:
        """Sum x r and r over the pictures, r being a function of their z = wᵀx + b, and the losses."""

    def scores(self, c: Coordinates, b: float) -> Vector:
        """Z = wᵀX + b (m,)."""

    def dot(self, c1: Coordinates, c2: Coordinates) -> float:
        """w1ᵀ w2."""

    def weights(self, c: Coordinates) -> Vector:
        """w (n_x,) itself."""


def length(engine: Engine, c: Coordinates, b: float) -> float:
    """‖(w, b)‖, w being what `c` represents."""
    return math.sqrt(max(engine.dot(c, c), 0.0) + b * b)


ENGINES: dict[str, Callable[[Design, Vector, int], Engine]] = {
    "primal": PrimalEngine,
    "gram": GramEngine,
    "stream": StreamEngine,
    "dask": DaskEngine,
}
