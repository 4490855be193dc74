"""The tool `pack`: labelled pictures of any source → one HDF5 file that is read at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.atomic import check_replaceable, replacing
from catclf.config import FEATURES, PackSettings, ReadOptions
from catclf.errors import ConfigError, DataError
from catclf.images.dataset import DataSet, opened
from catclf.images.decode import Decoder
from catclf.images.hdf5_process import HDF5_SUFFIXES, is_hdf5_name
from catclf.images.hdf5_writer import rows_of_chunk, write_hdf5
from catclf.images.labelled import Labelled
from catclf.images.picture import Pixels
from catclf.images.spool import Spool
from catclf.pipeline.classes import did_you_mean, named_class
from catclf.progress import Progress
from catclf.view import View
from catclf.work.parts import batches
from catclf.work.threads import ordered_map

PARTIAL_SUFFIX = ".partial"
"""Added to the output's name for the file that an interrupted run leaves behind."""


@dataclass(frozen=True)
class Packed:
    """What `pack` gives back.

    Attributes
    ----------
    m, size : int
        Number of pictures in the file, and their side in pixels.
    counts : dict
        Number of pictures of each class, in the order of ``list_classes``.
    skipped : tuple of DataError
        Pictures that could not be read.
    ignored : int
        Files not tried because of their names.
    resumed : int
        Pictures that an earlier, interrupted run had done with.
    file_size : int
        Bytes.
    seconds : float
    """

    m: int
    size: int
    counts: dict[str, int]
    skipped: tuple[DataError, ...]
    ignored: int
    resumed: int
    file_size: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, ready for JSON."""
        return {
            "m": self.m,
            "size": self.size,
            "classes": self.counts,
            "skipped": len(self.skipped),
            "ignored": self.ignored,
            "resumed": self.resumed,
            "bytes": self.file_size,
            "seconds": self.seconds,
        }


def pack(
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: PackSettings | None = None,
    *,
    progress: Progress | None = None,
) -> Packed:
    """Decode every picture of `data` into one HDF5 file in the layout of the course's files.

    Training from that file gives the same model, to the byte, as training from `data`. The pictures
    gather in ``OUTPUT.partial``; a run that is interrupted leaves it behind, and the next one with the
    same settings goes on from there. `output` itself appears when it is whole, replacing what was there.

    Parameters
    ----------
    data : path
        As in `catclf.train`.
    output : path
        Its name ends in .h5, .hdf5 or .hdf. Twice its size is needed on the disk for a while.
    settings : PackSettings or None
        None is the defaults.
    progress : Progress or None
        Hears of every picture.

    Raises
    ------
    DataError
        If the data cannot be read or nobody says which class is positive.
    OutputError
        If the file cannot be written.
    """
    begun = time.perf_counter()
    settings, progress = settings or PackSettings(), progress or Progress()
    data, output = os.fspath(data), os.fspath(output)
    if not is_hdf5_name(output):
        raise ConfigError("output", output, f"a name that ends in {', '.join(HDF5_SUFFIXES)}")
    check_replaceable(output)
    with opened(data, settings.read, View(FEATURES["pixels"].size)) as source:
        labelled = source.labelled
        progress.ignored(labelled.ignored)
        progress.warnings(labelled.warnings)
        classes = _ordered_classes(labelled, settings.positive)
        kept_by = {"max_pixels": settings.read.max_pixels, **source.view.decoding.to_dict()}
        spool = Spool(output + PARTIAL_SUFFIX, source.view.side, kept_by, partial(_digest, source))
        with contextlib.closing(spool):
            resumed = spool.taken
            if settings.read.on_error == "fail" and spool.failures:
                k, reason = spool.failures[0]
                raise DataError(labelled.paths[k], reason)
            if resumed:
                progress.note(f"{resumed} pictures are in {spool.path} already; going on")
            _decode_rest(source, spool, settings.read, progress)
            labels = _write(source, spool, classes, output, progress)
            spool.remove()
    return Packed(
        m=len(labels),
        size=source.view.side,
        counts=dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True)),
        skipped=tuple(DataError(labelled.paths[k], reason) for k, reason in spool.failures),
        ignored=len(labelled.ignored),
        resumed=resumed,
        file_size=os.path.getsize(output),
        seconds=time.perf_counter() - begun,
    )


def _ordered_classes(labelled: Labelled, positive: str | None) -> tuple[str, ...]:
    """Class names by their new numbers: of two the positive one is 1, others stay as they are."""
    classes, data = labelled.classes, labelled.source
    if positive is None and len(classes) != 2:
        if len(classes) == 1 and (meant := did_you_mean(data)):
            raise DataError(data, f"has only the class {classes[0]}{meant}")
        return classes
    positive = named_class(labelled, positive)
    if len(classes) != 2:
        rule = f"left out: the {len(classes)} classes are all kept, and train chooses one"
        raise ConfigError("positive", positive, rule)
    return (classes[1 - classes.index(positive)], positive)


def _digest(source: DataSet, first: int, stop: int) -> str:
    if stop > source.labelled.m:
        raise LookupError(stop)
    return hashlib.sha256(b"\0\0".join(map(source.identity, range(first, stop)))).hexdigest()


def _decode_rest(source: DataSet, spool: Spool, read: ReadOptions, progress: Progress) -> None:
    """Decode what the spool does not have yet, as many pictures at a time as a chunk will hold."""
    m, size = source.labelled.m, source.view.side
    decoder, endless = Decoder((source.view,), read.max_pixels), 0
    with contextlib.closing(
        ordered_map(decoder.one, source.pictures(spool.taken), read.cores)
    ) as decoded:
        for pictures in batches(decoded, rows_of_chunk(size)):
            failures = []
            for k, picture in enumerate(pictures, spool.taken):
                progress.advanced("pictures read", k + 1, m)
                if picture.error is not None:
                    if read.on_error == "fail":
                        raise picture.error
                    failures.append((k, picture.error.reason))
            good = [picture.views[0] for picture in pictures if picture.error is None]
            endless += sum(picture.endless for picture in pictures)
            spool.append(np.array(good, dtype=np.uint8).reshape(-1, size, size, 3), failures)
    progress.endless(endless)


def _write(
    source: DataSet, spool: Spool, classes: tuple[str, ...], output: str, progress: Progress
) -> NDArray[np.intp]:
    """Make the file out of the spool and return the labels of its pictures."""
    failed = {k for k, _ in spool.failures}
    read = [k for k in range(source.labelled.m) if k not in failed]
    if not read:
        spool.remove()
    labelled = source.labelled.only(read, ())
    number = np.array([classes.index(name) for name in labelled.classes])
    labels = number[labelled.labels]

    def blocks() -> Iterator[Pixels]:
        done = 0
        for block in spool.blocks():
            yield block
            done += len(block)
            progress.advanced("pictures written", done, len(read))

    progress.note(f"writing {output}")
    with replacing(output) as file:
        decoding = json.dumps(None if source.decoding is None else source.decoding.to_dict())
        write_hdf5(file, source.view.side, blocks(), labels, classes, labelled.paths, decoding)
    return labels
