"""Where X lives while descending. An engine changes speed and memory, never meaning.

`catclf.config.ENGINES` has them all, with the places that each can read rows from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from catclf.design import Design
from catclf.engines.sweep import Request, Summand, Sweep
from catclf.errors import ClusterError
from catclf.logistic import Vector

Coordinates = NDArray[Any]
Result = TypeVar("Result")

Sweeping = Generator[Sequence[Request], list[Sweep], Result]
"""A computation that yields what it asks of an engine, and is sent an answer to each request."""


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

    def sweeps(self, requests: Sequence[Request]) -> list[Sweep]:
        """Answer several requests, in one pass where that takes less time than one for each."""

    def scores(self, c: Coordinates) -> Vector:
        """Compute z = wᵀX + b, (m,)."""

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


@np.errstate(over="ignore", invalid="ignore")  # a descent that explodes is found out by its cost
def run(engine: Engine, computation: Sweeping[Result]) -> Result:
    """Run a computation to its end; it may catch what the engine raises."""
    try:
        requests = next(computation)
        while True:
            try:
                alone = len(requests) == 1
                answers = [engine.sweep(*requests[0])] if alone else engine.sweeps(requests)
            except ClusterError as exc:
                requests = computation.throw(exc)
            else:
                requests = computation.send(answers)
    except StopIteration as end:
        result: Result = end.value
        return result


def together(computations: Sequence[Sweeping[Result]]) -> Sweeping[list[Result]]:
    """Run computations side by side: what all of them ask for at a time is asked for at once."""
    results: dict[int, Result] = {}
    answers: dict[int, list[Sweep] | None] = dict.fromkeys(range(len(computations)))
    while True:
        asked: dict[int, Sequence[Request]] = {}
        for k, answer in answers.items():
            try:
                asked[k] = next(computations[k]) if answer is None else computations[k].send(answer)
            except StopIteration as end:
                results[k] = end.value
        if not asked:
            return [results[k] for k in range(len(computations))]
        found = iter((yield [*itertools.chain(*asked.values())]))
        answers = {k: [*itertools.islice(found, len(of))] for k, of in asked.items()}


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
