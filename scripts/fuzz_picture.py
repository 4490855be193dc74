"""Fuzz the decoding of pictures: whatever the bytes, the views wanted or one DataError.

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
    from catclf.images.decode import Decoder
    from catclf.images.picture import Picture
from catclf.view import THUMBNAIL, View

MOST_SECONDS = 5.0
DECODER = Decoder((View(8), THUMBNAIL), max_pixels=1_000_000)


def try_one(data: bytes) -> None:
    begun = time.monotonic()
    decoded = DECODER.one(Picture("-", stream=io.BytesIO(data)))
    if decoded.error is None:
        square, thumbnail = decoded.views
        assert square.shape == (8, 8, 3)
        assert 1 <= min(thumbnail.shape[:2]) <= max(thumbnail.shape[:2]) <= THUMBNAIL.side
    else:
        assert not decoded.views
        assert "\n" not in decoded.error.reason
    assert time.monotonic() - begun < MOST_SECONDS


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
