"""The engines that tests run here; `tests/test_dask.py` holds dask to the bits of stream, on workers."""

from __future__ import annotations

from catclf.config import ENGINES
from catclf.engines import MakeEngine

LOCAL_ENGINES = tuple(name for name, kind in ENGINES.items() if "workers" not in kind.reads)


def engine_class(name: str) -> MakeEngine:
    """Import the class of an engine."""
    make: MakeEngine = ENGINES[name].load()
    return make
