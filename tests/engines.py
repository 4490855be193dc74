"""The engines that tests run here; `tests/test_dask.py` holds dask to the bits of stream, on workers."""

from __future__ import annotations

from catclf.engines import ENGINES

LOCAL_ENGINES = tuple(name for name in ENGINES if name != "dask")
