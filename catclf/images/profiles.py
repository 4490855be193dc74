"""ICC profiles of pictures: what turns the colours that they describe into sRGB. Decodes nothing."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

ToSrgb = Callable[[Image.Image], Image.Image]
"""A picture in the mode and the colours of its profile → RGB."""

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""Mode of a picture → the colour space that a profile of it must have."""

_MOST_KEPT = 32
_STEPS = 17
_NO_CHANGE = 1  # levels


def to_srgb(profile: bytes | None, mode: str) -> ToSrgb | None:
    """Find what converts pictures with a profile.

    Parameters
    ----------
    profile : bytes or None
    mode : str
        Of the pictures, as Pillow calls it.

    Returns
    -------
    callable or None
        None where there is nothing to convert: without a profile, with one that is broken or of
        another colour space than the pictures, and with one that changes no level by more than one.
    """
    return _transform(profile, mode) if profile and mode in _SPACES else None


# To build one takes 2 ms, and 25 ms for CMYK; a collection of pictures has few profiles.
@functools.lru_cache(maxsize=_MOST_KEPT)
def _transform(profile: bytes, mode: str) -> ToSrgb | None:
    from PIL import ImageCms  # only where it is needed: it takes time to import

    try:
        described = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if described.profile.xcolor_space != _SPACES[mode]:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        transform = ImageCms.ImageCmsTransform(described, srgb, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        sample = _sample(mode)
        converted = transform.apply(sample)
    except ImportError:  # built without LittleCMS
        raise
    except Exception:  # subtle: a broken profile can raise anything, and is no reason to lose a picture
        return None
    change = np.subtract(np.asarray(converted), np.asarray(sample.convert("RGB")), dtype=np.int16)
    return transform.apply if np.abs(change).max() > _NO_CHANGE else None


def _sample(mode: str) -> Image.Image:
    """Return a picture of colours that are spread evenly, as many channels as it has."""
    levels = np.linspace(0, 255, _STEPS).astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * Image.getmodebands(mode)), axis=-1)
    return Image.frombytes(mode, (grid[..., 0].size, 1), grid.tobytes())
