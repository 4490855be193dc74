"""``preprocessor_config.json``: how the makers of a network say that pictures are to be prepared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from catclf import bounded_json
from catclf.config import LARGEST_SIZE
from catclf.view import RESAMPLES, View

Three = tuple[float, float, float]

LARGEST_FILE = 1_000_000
"""In bytes; they have some hundred."""


class Preprocessing(NamedTuple):
    """What becomes of a picture before a network sees it.

    Attributes
    ----------
    view : View
    mean, deviation : (red, green, blue) or None
        A pixel x from 0 to 255 goes in as (x − mean) / deviation; None is as it is.
    """

    view: View
    mean: Three | None = None
    deviation: Three | None = None


_OBEYED = frozenset(
    (
        *("size", "crop_size", "crop_pct", "resample", "rescale_factor", "image_mean", "image_std"),
        *("do_resize", "do_center_crop", "do_rescale", "do_normalize"),
    )
)

# What changes no pixel of an RGB picture that is resized, cut and normalised by the keys above.
_HARMLESS = frozenset(
    (
        *("image_processor_type", "feature_extractor_type", "processor_class", "_processor_class"),
        *("_valid_processor_keys", "model_input_names", "do_convert_rgb", "data_format"),
        *("input_data_format", "return_tensors", "device", "disable_grouping", "transformers_version"),
    )
)

# Whose number for a size is that of both sides, although a centre is cut out; and the others that are
# known to mean the shorter edge.
_BOTH_SIDES = ("deit", "beit")
_SHORTER_EDGE = ("clip", "chineseclip", "bit", "convnext", "mobilenetv1", "mobilenetv2", "poolformer")

_LARGE = 384  # from here on a crop_pct alone means nothing but a square


def parse(text: bytes) -> Preprocessing:
    """Read the contents of the file.

    Raises
    ------
    ValueError
        If something in it would change pixels in a way that is not known, or is missing or impossible.
    """
    config = bounded_json.loads(text)
    if not isinstance(config, dict):
        raise ValueError("expected a JSON object")
    for key, value in config.items():
        if key not in _OBEYED | _HARMLESS and value not in (None, False):
            raise ValueError(f"has {key} = {json.dumps(value)[:60]}, which is not supported")
    _refuse_class(config)
    if not _flag(config, "do_resize", True):
        raise ValueError("has do_resize = false, but pictures come in all sizes")
    view = _view(config)._replace(resample=_resample(config))
    return Preprocessing(view, *_normalisation(config))


def _refuse_class(config: Mapping[str, Any]) -> None:
    """Refuse the one whose code does more to the size than its keys say."""
    if _class(config) == "levit":
        raise ValueError("is for a LevitImageProcessor, whose resizing is not supported")


def _class(config: Mapping[str, Any]) -> str:
    """``vit`` of a ViTImageProcessor, or nothing."""
    name = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    for ending in ("Fast", "ImageProcessor", "FeatureExtractor"):
        name = name.removesuffix(ending)
    return name.lower()


def _view(config: Mapping[str, Any]) -> View:
    found = config.get("size")
    if isinstance(found, int) and not isinstance(found, bool):
        names = ("shortest_edge",) if _is_shorter_edge(config) else ("height", "width")
        size = dict.fromkeys(names, found)
    elif isinstance(found, dict):
        size = found
    else:
        raise ValueError(f"expected a size, found {json.dumps(found)}")
    squashed = size.keys() == {"height", "width"}
    if not squashed and size.keys() != {"shortest_edge"}:
        known = "a number, height and width, or shortest_edge"
        raise ValueError(f"has the size {json.dumps(size)}; expected {known}")
    side = _square("size", size) if squashed else _side("size", size["shortest_edge"])
    share = config.get("crop_pct")
    if share is not None and not squashed:
        return _of_share(config, side, share)
    if share is not None:
        raise ValueError("has crop_pct with height and width; it needs a shortest_edge")
    if not _cuts(config):
        if not squashed:
            raise ValueError("has a shortest_edge without a crop: expected do_center_crop")
        return View(side)
    return _cut(side, _crop(config), squashed)


def _is_shorter_edge(config: Mapping[str, Any]) -> bool:
    """Whether a number for a size is that of the shorter edge; otherwise of both sides."""
    if config.get("crop_pct") is not None:
        return True
    if not _cuts(config):
        return False
    name = _class(config)
    if name and name not in _BOTH_SIDES + _SHORTER_EDGE:
        raise ValueError('has a number as its size: write {"shortest_edge": N} or height and width')
    return name not in _BOTH_SIDES


def _cuts(config: Mapping[str, Any]) -> bool:
    return _flag(config, "do_center_crop", config.get("crop_size") is not None)


def _of_share(config: Mapping[str, Any], side: int, share: Any) -> View:
    """View of a network that sees this share of a picture's side."""
    if not _is_number(share) or not 0 < share <= 1:
        raise ValueError(f"expected a crop_pct above 0 and up to 1, found {json.dumps(share)}")
    if _cuts(config):
        return _cut(int(side / share), _crop(config), squashed=False)
    return View(side) if side >= _LARGE else _cut(int(side / share), side, squashed=False)


def _cut(edge: int, side: int, squashed: bool) -> View:
    if side > edge:
        raise ValueError(f"crops {side}×{side} from pictures of {edge}, which are smaller")
    return View(side, squashed=squashed, edge=None if edge == side else _side("size", edge))


def _crop(config: Mapping[str, Any]) -> int:
    crop = config.get("crop_size")
    return _square("crop_size", crop) if isinstance(crop, dict) else _side("crop_size", crop)


def _square(name: str, size: Mapping[str, Any]) -> int:
    height, width = (_side(name, size.get(key)) for key in ("height", "width"))
    if height != width:
        raise ValueError(f"has the {name} {height}×{width}; expected a square")
    return height


def _side(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIZE:
        raise ValueError(f"expected a {name} from 1 to {LARGEST_SIZE}, found {json.dumps(value)}")
    return value


def _resample(config: Mapping[str, Any]) -> str:
    number = config.get("resample")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(RESAMPLES):
        known = ", ".join(f"{k} ({name})" for k, name in enumerate(RESAMPLES))
        raise ValueError(f"expected resample to be one of {known}; found {json.dumps(number)}")
    return RESAMPLES[number]


def _normalisation(config: Mapping[str, Any]) -> tuple[Three | None, Three | None]:
    """Mean and deviation in grey levels: x goes in as (factor · x − image_mean) / image_std."""
    factor, mean, deviation = 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    rescales, normalises = (_flag(config, f"do_{what}", True) for what in ("rescale", "normalize"))
    if not rescales and not normalises:
        return None, None
    if rescales:
        found = config.get("rescale_factor", 1 / 255)
        if not _is_number(found) or found <= 0:
            raise ValueError(f"expected a rescale_factor above 0, found {json.dumps(found)}")
        factor = float(found)
    if normalises:
        mean, deviation = _colours(config, "image_mean"), _colours(config, "image_std")
        if min(deviation) <= 0:
            raise ValueError(f"expected an image_std above 0, found {json.dumps(config['image_std'])}")
    red, green, blue = ((m / factor, d / factor) for m, d in zip(mean, deviation, strict=True))
    return (red[0], green[0], blue[0]), (red[1], green[1], blue[1])


def _colours(config: Mapping[str, Any], key: str) -> Three:
    values = config.get(key)
    if _is_number(values):
        values = [values] * 3
    if not isinstance(values, list) or len(values) != 3 or not all(map(_is_number, values)):
        raise ValueError(f"expected three numbers for {key}, found {json.dumps(values)}")
    red, green, blue = map(float, values)
    return red, green, blue


def _flag(config: Mapping[str, Any], key: str, usual: bool) -> bool:
    value = config.get(key)
    if value is None:
        return usual
    if not isinstance(value, bool):
        raise ValueError(f"expected {key} to be true or false, found {json.dumps(value)}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
