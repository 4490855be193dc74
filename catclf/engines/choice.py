"""Which engine for which problem: a pure function. Builds nothing."""

from __future__ import annotations

from catclf.config import ENGINES, Place

# Measured on one core of a 2.6 GHz server processor; only their ratios matter.
_SECONDS_PER_GRAM_FLOP = 5e-11
_SECONDS_PER_CACHED_BYTE = 1.2e-11
_SECONDS_PER_FAR_BYTE = 8e-11
_SECONDS_PER_STREAMED_VALUE = 3e-10
_SECONDS_PER_STREAM_SWEEP = 1e-3
_CACHE_BYTES = 1_000_000


def choose_engine(m: int, n_x: int, sweeps: int, memory: int, place: Place = "memory") -> str:
    """Name the engine with the shortest expected time among those that fit and can read the rows.

    Parameters
    ----------
    m, n_x : int
        Number of pictures and of features.
    sweeps : int
        Number of passes expected, such as iterations × fits.
    memory : int
        Budget in bytes for what an engine adds to the stored rows.
    place : str
        Where the rows themselves are.

    Returns
    -------
    str
        One of `ENGINES`.

    Examples
    --------
    >>> choose_engine(m=209, n_x=12288, sweeps=2000, memory=10**9)
    'gram'
    >>> choose_engine(m=100_000, n_x=12288, sweeps=2000, memory=10**9)
    'stream'
    """
    able = [name for name, engine in ENGINES.items() if place in engine.reads]
    if len(able) == 1:
        return able[0]
    gram_bytes, primal_bytes = 8 * m * m, 8 * m * n_x
    gram_build = m * m * n_x * _SECONDS_PER_GRAM_FLOP
    seconds = {
        "gram": gram_build + sweeps * gram_bytes * _byte_time(gram_bytes),
        "primal": sweeps * 2 * primal_bytes * _byte_time(primal_bytes),
        "stream": sweeps * (m * n_x * _SECONDS_PER_STREAMED_VALUE + _SECONDS_PER_STREAM_SWEEP),
    }
    needed = {"gram": 2 * gram_bytes, "primal": primal_bytes, "stream": 0}
    fitting = (name for name in seconds if name in able and needed[name] <= memory)
    return min(fitting, key=seconds.__getitem__)


def _byte_time(size: int) -> float:
    return _SECONDS_PER_CACHED_BYTE if size <= _CACHE_BYTES else _SECONDS_PER_FAR_BYTE
