"""Fuzz the decoding of pictures: whatever the bytes, pixels of the wanted size or one DataError.

python scripts/fuzz_picture.py -max_total_time=60 [CORPUS]      (libFuzzer's options)

Only Python code is instrumented: Pillow's own fuzzers look after its decoders.
"""

from __future__ import annotations

import io
import logging
import sys
import time
import warnings

import atheris

with atheris.instrument_imports(include=["catclf", "PIL"]):
    from catclf.images.decode import decode
    from catclf.images.picture import Picture

MOST_SECONDS = 5.0


def try_one(data: bytes) -> None:
    begun = time.monotonic()
    picture = decode(Picture("-", stream=io.BytesIO(data)), 8, max_pixels=1_000_000)
    if picture.error is None:
        assert picture.pixels is not None
        assert picture.pixels.shape == (8, 8, 3)
    else:
        assert picture.pixels is None
        assert "\n" not in picture.error.reason
    assert time.monotonic() - begun < MOST_SECONDS


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
