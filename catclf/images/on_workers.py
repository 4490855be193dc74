"""Labelled pictures that the workers of a cluster read and keep, with their labels here."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.images.decode import Decoder
from catclf.images.hdf5 import Hdf5Pictures
from catclf.images.listing import Listing
from catclf.images.local import FileDataSet, Hdf5DataSet, Loaded
from catclf.images.picture import Decoded, Picture
from catclf.images.urls import fetch, is_url
from catclf.progress import Advanced
from catclf.stores.on_workers import OnWorkers, Piece
from catclf.view import RgbArray, View
from catclf.work.cluster import Cluster
from catclf.work.parts import batches, parts

if TYPE_CHECKING:
    from distributed import Future

_FETCHED = 64
"""Encoded pictures that a worker holds at a time."""


class FilesOnWorkers(FileDataSet):
    """Pictures in files that the workers can open by the same absolute paths, or at URLs."""

    def __init__(self, listing: Listing, options: ReadOptions, view: View, cluster: Cluster) -> None:
        super().__init__(listing, options, view)
        self._cluster = cluster

    def load(self, advanced: Advanced) -> Loaded:
        """See `catclf.images.dataset.DataSet`."""
        submit, m = self._cluster.submit, self.labelled.m
        decoder = DecoderAnywhere((self.view,), self.options.max_pixels, os.getcwd())
        cut = parts(m, 3 * self.view.side**2)
        loaded = [submit(_load_files, self._listed[part], decoder) for part in cut]
        failed = []
        for part, failures in zip(cut, [submit(_failures, block) for block in loaded], strict=True):
            failed += self._cluster.gather([failures])
            advanced("pictures read", part.stop, m)
        skipped = [error for failures in failed for error in failures.values()]
        if skipped and self.options.on_error == "fail":
            raise skipped[0]
        pieces, read = [], []
        for part, block, failures in zip(cut, loaded, failed, strict=True):
            numbers = [k for k in range(part.stop - part.start) if k not in failures]
            read += [part.start + k for k in numbers]
            pieces.append(Piece(submit(_pixels, block, set(failures)), np.array(numbers, np.intp)))
        return Loaded(_stored(self._cluster, self.view.side, pieces), self.labelled.only(read, skipped))


class Hdf5OnWorkers(Hdf5DataSet):
    """Pictures of an HDF5 file that the workers can open by the same absolute path."""

    def __init__(self, file: Hdf5Pictures, options: ReadOptions, view: View, cluster: Cluster) -> None:
        super().__init__(file, options, view)
        self._cluster = cluster

    def load(self, advanced: Advanced) -> Loaded:
        """See `catclf.images.dataset.DataSet`."""
        path, size = os.path.abspath(self.labelled.source), self.view.side
        pieces = [
            Piece(self._rows(path, part), np.arange(part.stop - part.start))
            for part in parts(self.labelled.m, 3 * size**2)
        ]
        advanced("pictures read", self.labelled.m, self.labelled.m)
        return Loaded(_stored(self._cluster, size, pieces), self.labelled)

    def _rows(self, path: str, part: slice) -> Future[RgbArray]:
        return self._cluster.submit(_load_rows, path, self.options, self.view, part)


def _stored(cluster: Cluster, size: int, pieces: list[Piece]) -> OnWorkers:
    return OnWorkers(cluster, np.empty((0, size, size, 3), np.uint8), pieces)


@dataclass(frozen=True, eq=False)
class DecoderAnywhere(Decoder):
    """Decodes in a process whose working folder is another than `folder`, and fetches what has a URL."""

    folder: str = ""

    def __call__(self, pictures: Iterable[Picture]) -> Iterator[Decoded]:
        """See `Decoder`."""
        for some in batches(pictures, _FETCHED):
            urls = [p.path for p in some if p.error is None and is_url(p.path)]
            contents = dict(zip(urls, fetch(urls), strict=True))
            for picture in some:
                content = contents.get(picture.path)
                if isinstance(content, DataError):
                    yield Decoded(picture.path, error=content)
                    continue
                stream = picture.stream if content is None else io.BytesIO(content)
                path = os.path.join(self.folder, picture.path)
                found = self.one(picture._replace(path=path, stream=stream))
                error = found.error and found.error.of(picture.path)
                yield found._replace(path=picture.path, error=error)


# What the workers do.


class _Loaded(NamedTuple):
    """Pictures (k, size, size, 3), black where a number has an error instead."""

    pixels: RgbArray
    failures: dict[int, DataError]


def _load_files(pictures: list[Picture], decoder: DecoderAnywhere) -> _Loaded:
    size = decoder.views[0].side
    pixels = np.zeros((len(pictures), size, size, 3), dtype=np.uint8)
    failures = {}
    for number, (_, views, error, *_) in enumerate(decoder(pictures)):
        if error is None:
            pixels[number] = views[0]
        else:
            failures[number] = error
    return _Loaded(pixels, failures)


def _failures(loaded: _Loaded) -> dict[int, DataError]:
    return loaded.failures


def _pixels(loaded: _Loaded, known: set[int]) -> RgbArray:
    """Pick the pixels; when they had to be loaded again, what was readable must be so still."""
    for number, error in loaded.failures.items():
        if number not in known:
            raise error
    return loaded.pixels


def _load_rows(path: str, options: ReadOptions, view: View, rows: slice) -> RgbArray:
    with Hdf5Pictures(path, options) as file:
        return file.resized(view, rows)
