"""DATA of the command line → pictures on the workers of a cluster, with their labels here."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from catclf.cluster import Cluster
from catclf.errors import DataError
from catclf.images.decode import decode
from catclf.images.hdf5 import Hdf5Pictures
from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.labelled import (
    DEFAULT_SIZE,
    Check,
    LabelledPictures,
    described_files,
    described_hdf5,
    hdf5_pixels,
    labelled,
    list_labelled,
)
from catclf.images.picture import Picture, Pixels
from catclf.images.remote import Piece, RemotePictures
from catclf.images.urls import fetch, is_url
from catclf.parallel import parts

_FETCHED = 64
"""Encoded pictures that a worker holds at a time."""


def read_on_workers(
    cluster: Cluster,
    source: str,
    size: int | None,
    on_error: str,
    x_key: str | None,
    y_key: str | None,
    max_pixels: int,
    check: Check,
) -> LabelledPictures[RemotePictures]:
    """Have every picture of `source` read by a worker, and keep it there.

    Parameters
    ----------
    cluster : Cluster
        Its workers can open the same files by the same absolute paths.
    source : str
        As for `read_labelled`, or a URL for fsspec of a folder or a CSV file; a CSV file may have URLs.

    The other parameters and what is raised are those of `read_labelled`.
    """
    if is_hdf5_name(source) and not os.path.isdir(source):
        return _hdf5_on_workers(cluster, source, size, x_key, y_key, max_pixels, check)
    side = size or DEFAULT_SIZE
    listing = list_labelled(source)
    check(described_files(source, listing, side))
    pictures, folder = listing.pictures, os.getcwd()
    cut = parts(len(pictures), 3 * side**2)
    loaded = [cluster.submit(_load_files, pictures[part], side, max_pixels, folder) for part in cut]
    failures = cluster.gather([cluster.submit(_failures, block) for block in loaded])
    skipped = [error for failed in failures for error in failed.values()]
    if skipped and on_error == "fail":
        raise skipped[0]
    pieces, read = [], []
    for part, block, failed in zip(cut, loaded, failures, strict=True):
        numbers = [k for k in range(part.stop - part.start) if k not in failed]
        read += [part.start + k for k in numbers]
        pieces.append(Piece(cluster.submit(_pixels, block, set(failed)), np.array(numbers, np.intp)))
    return labelled(source, listing, RemotePictures(cluster, side, pieces), read, skipped)


def _hdf5_on_workers(
    cluster: Cluster,
    path: str,
    size: int | None,
    x_key: str | None,
    y_key: str | None,
    max_pixels: int,
    check: Check,
) -> LabelledPictures[RemotePictures]:
    if is_url(path):
        raise DataError(path, "is a URL; an HDF5 file must have a path that the workers can open")
    with Hdf5Pictures(path, x_key, y_key, max_pixels) as file:
        described = described_hdf5(file, size)
    check(described)
    side = described.pixels
    where = os.path.abspath(path)
    pieces = [
        Piece(
            cluster.submit(_load_rows, where, x_key, max_pixels, side, part),
            np.arange(part.stop - part.start),
        )
        for part in parts(described.m, 3 * side**2)
    ]
    return described.holding(RemotePictures(cluster, side, pieces))


def decode_anywhere(
    pictures: list[Picture], size: int, max_pixels: int, folder: str
) -> Iterator[Picture]:
    """Decode as `decode` does in a process whose working folder is `folder`; fetch what has a URL."""
    for start in range(0, len(pictures), _FETCHED):
        some = pictures[start : start + _FETCHED]
        urls = [picture.path for picture in some if is_url(picture.path)]
        contents = dict(zip(urls, fetch(urls), strict=True))
        for picture in some:
            content = contents.get(picture.path)
            if isinstance(content, DataError):
                yield picture._replace(error=content)
                continue
            stream = picture.stream if content is None else io.BytesIO(content)
            here = picture._replace(path=os.path.join(folder, picture.path), stream=stream)
            pixels, error = decode(here, size, max_pixels)[2:]
            named = None if error is None else DataError(picture.path, error.reason)
            yield Picture(picture.path, pixels=pixels, error=named)


# What the workers do.


class _Loaded(NamedTuple):
    """Pictures (k, size, size, 3), black where a number has an error instead."""

    pixels: Pixels
    failures: dict[int, DataError]


def _load_files(pictures: list[Picture], size: int, max_pixels: int, folder: str) -> _Loaded:
    pixels = np.zeros((len(pictures), size, size, 3), dtype=np.uint8)
    failures = {}
    for number, picture in enumerate(decode_anywhere(pictures, size, max_pixels, folder)):
        if picture.pixels is not None:
            pixels[number] = picture.pixels
        elif picture.error is not None:
            failures[number] = picture.error
    return _Loaded(pixels, failures)


def _failures(loaded: _Loaded) -> dict[int, DataError]:
    return loaded.failures


def _pixels(loaded: _Loaded, known: set[int]) -> Pixels:
    """Pick the pixels; when they had to be loaded again, what was readable must be so still."""
    for number, error in loaded.failures.items():
        if number not in known:
            raise error
    return loaded.pixels


def _load_rows(path: str, x_key: str | None, max_pixels: int, side: int, rows: slice) -> Pixels:
    with Hdf5Pictures(path, x_key, max_pixels=max_pixels) as file:
        return hdf5_pixels(file, side, rows)
