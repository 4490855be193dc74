"""Paths given for prediction → a stream of pictures, still to be decoded, in order. Keeps no list."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from catclf.config import MAX_PIXELS
from catclf.errors import DataError
from catclf.images.folder import OnPassedOver, walk
from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.picture import Picture

Input = str | os.PathLike[str] | BinaryIO | NDArray[Any]
Inputs = str | os.PathLike[str] | Iterable[Input]


def pictures_of(
    inputs: Inputs,
    on_passed_over: OnPassedOver = lambda path: None,
    x_key: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Picture]:
    """Yield every picture that `inputs` stand for, lazily and in order.

    Parameters
    ----------
    inputs : path, or iterable of paths, binary files and arrays
        A folder stands for the pictures below it, sorted; an HDF5 file for its rows, named
        ``FILE.h5[k]``; a binary file for one encoded picture, named ``-``; an array (h, w, 3) uint8 for
        the picture itself, named ``inputs[k]``; any other path for itself. So an array (m, h, w, 3)
        is m pictures.
    on_passed_over : (path) -> None
        Called for each file in a folder that is not tried.
    x_key : str or None
        Name of the pictures' data set in HDF5 files.
    max_pixels : int
        Largest width × height in HDF5 files; `catclf.images.decode.decode` has that of others.

    Yields
    ------
    Picture
        What cannot be opened comes as a picture with an error.
    """
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    for number, item in enumerate(inputs):
        if isinstance(item, np.ndarray):
            yield _array(f"inputs[{number}]", item)
            continue
        if not isinstance(item, str | os.PathLike):
            yield Picture("-", stream=item)
            continue
        path = os.fspath(item)
        if is_hdf5_name(path) and not os.path.isdir(path):
            yield from _rows_of_hdf5(path, x_key, max_pixels)
        elif os.path.isdir(path):
            yield from walk(path, on_passed_over)
        else:
            yield Picture(path)


def _array(name: str, array: NDArray[Any]) -> Picture:
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.size:
        return Picture(name, pixels=array)
    found = f"is an array {array.shape} {array.dtype}"
    return Picture(name, error=DataError(name, f"{found}; expected (h, w, 3) uint8"))


def _rows_of_hdf5(path: str, x_key: str | None, max_pixels: int) -> Iterator[Picture]:
    from catclf.images.hdf5 import Hdf5Pictures  # only where it is needed: it takes time to import

    done = 0
    try:
        with Hdf5Pictures(path, x_key, max_pixels=max_pixels) as file:
            for block in file.blocks():
                for pixels in block:
                    yield Picture(f"{path}[{done}]", pixels=pixels)
                    done += 1
    except DataError as exc:
        yield Picture(path, error=exc)
