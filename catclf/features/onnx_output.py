"""From the outputs of a network to a row: which one is taken, and what is made of its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.errors import ConfigError
from catclf.features.onnx_graph import Graph

FIRST, MEAN = ":first", ":mean"
"""May follow the name of an output: the first of its tokens, or the mean of its tokens or places."""

# What may be made of an output for one picture, by its dimensions: 1 × numbers, 1 × tokens × numbers,
# and a map, 1 × numbers × rows × columns or with the numbers last.
_MADE: Mapping[int, tuple[str, ...]] = {2: ("",), 3: (MEAN, FIRST), 4: (MEAN,)}

_EXPECTED = "1×numbers, 1×tokens×numbers or a map of one picture, in floating point"


def choose(outputs: Mapping[str, Any], asked: str | None) -> str:
    """Choose an output: the one asked for, or the only one, or the only one that is a row.

    Parameters
    ----------
    outputs : mapping
        What a network gave for a picture, by name.
    asked : str or None
        A name, which may be followed by `FIRST` or `MEAN`. Without it the mean is taken.

    Returns
    -------
    str
        The same with what is made of it, for `row_of`.

    Raises
    ------
    ConfigError
        If there is no such output, or none or several to choose from.
    """
    fit = {name: value.ndim for name, value in outputs.items() if _fits(value)}
    if asked is None:
        names = [*fit] if len(fit) == 1 else [name for name, count in fit.items() if count == 2]
        if len(names) == 1:
            return _with_ending(names[0], fit[names[0]])
    elif asked in fit:
        return _with_ending(asked, fit[asked])
    elif (name := name_of(asked)) in fit and asked.removeprefix(name) in _MADE[fit[name]]:
        return asked
    shown = ", ".join(f"{name} ({_shown(value)})" for name, value in outputs.items())
    rule = f"must be one of the network's outputs that is {_EXPECTED}; it has {shown}"
    raise ConfigError("encoder_output", asked, rule)


def _fits(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.kind == "f"
        and value.ndim in _MADE
        and value.shape[0] == 1
    )


def _with_ending(name: str, dimensions: int) -> str:
    return name + _MADE[dimensions][0]


def _shown(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return "no tensor"
    return f"{'×'.join(map(str, value.shape)) or 'a number'} {value.dtype}"


def name_of(output: str) -> str:
    """The network's own name of what `choose` has chosen."""
    return output.removesuffix(FIRST).removesuffix(MEAN)


def row_of(raw: NDArray[Any], output: str, channels_first: bool) -> NDArray[np.float32]:
    """Numbers (n_x,) of a picture."""
    if raw.ndim == 4:
        places = map_of(raw, channels_first)
        raw = places.reshape(1, -1, places.shape[2])
    values: NDArray[np.float32] = np.asarray(raw[0], np.float32)
    if values.ndim == 1:
        return values
    row: NDArray[np.float32] = values[0] if output.endswith(FIRST) else values.mean(axis=0)
    return row


def export(graph: Graph, found: str, output: str, shape: Sequence[int], channels_first: bool) -> str:
    """Add to a graph what `row_of` does with an output of a shape, and return the row (1, n_x)."""
    if len(shape) == 2:
        return found
    if len(shape) == 3:
        if output.endswith(FIRST):
            return graph.add("Gather", found, graph.constant(np.array(0)), axis=1)
        return graph.add("ReduceMean", found, graph.whole(1), keepdims=0)
    places = graph.whole(*((2, 3) if _has_channels_first(shape, channels_first) else (1, 2)))
    return graph.add("ReduceMean", found, places, keepdims=0)


def map_of(raw: NDArray[Any], channels_first: bool) -> NDArray[np.float32]:
    """Numbers (rows, columns, n_x) of an output with four dimensions.

    Pictures are square, and so are their maps: the channels are where the odd length is. If there is
    none they are where they are in the picture.
    """
    first = _has_channels_first(raw.shape, channels_first)
    return np.asarray(raw[0].transpose(1, 2, 0) if first else raw[0], np.float32)


def _has_channels_first(shape: Sequence[int], if_unknown: bool) -> bool:
    _, one, two, three = shape
    return two == three if (two == three) != (one == two) else if_unknown
