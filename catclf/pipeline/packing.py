"""The tool `pack`: labelled pictures of any source → one HDF5 file that is read at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np

from catclf.atomic import check_replaceable, replacing
from catclf.config import PackSettings
from catclf.errors import ConfigError, DataError
from catclf.images.decode import decode
from catclf.images.hdf5_process import HDF5_SUFFIXES, is_hdf5_name
from catclf.images.hdf5_writer import rows_of_chunk, write_hdf5
from catclf.images.source import LabelledSource, labelled_source
from catclf.images.spool import Spool
from catclf.parallel import batches, core_count, ordered_map
from catclf.pipeline.classes import did_you_mean, named_class
from catclf.progress import Progress

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
    passed_over : int
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
    passed_over: int
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
            "passed_over": self.passed_over,
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
        Told of every picture.

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
    keys = {"x_key": settings.x_key, "y_key": settings.y_key}
    with labelled_source(data, settings.size, **keys, max_pixels=settings.max_pixels) as source:
        progress.passed_over(source.passed_over)
        classes = _ordered_classes(source, settings.positive, data)
        spool = Spool(
            output + PARTIAL_SUFFIX,
            source.size,
            {"max_pixels": settings.max_pixels},
            lambda first, stop: _digest(source, first, stop),
        )
        try:
            resumed = spool.taken
            if settings.on_error == "fail" and spool.failures:
                k, reason = spool.failures[0]
                raise DataError(source.paths[k], reason)
            if resumed:
                progress.note(f"{resumed} pictures are in {spool.path} already; going on")
            _decode_rest(source, spool, settings, progress)
            progress.note(f"writing {output}")
            labels = _write(source, spool, classes, data, output)
            spool.remove()
        finally:
            spool.close()
    return Packed(
        m=len(labels),
        size=source.size,
        counts=dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True)),
        skipped=tuple(DataError(source.paths[k], reason) for k, reason in spool.failures),
        passed_over=len(source.passed_over),
        resumed=resumed,
        file_size=os.path.getsize(output),
        seconds=time.perf_counter() - begun,
    )


def _ordered_classes(source: LabelledSource, positive: str | None, data: str) -> tuple[str, ...]:
    """Class names by their new numbers: of two the positive one is 1, others stay as they are."""
    classes = source.classes
    if positive is None and len(classes) != 2:
        if len(classes) == 1 and (meant := did_you_mean(data)):
            raise DataError(data, f"has only the class {classes[0]}{meant}")
        return classes
    positive = named_class(classes, source.usual_positive, positive, data)
    if len(classes) != 2:
        rule = f"left out: the {len(classes)} classes are all kept, and train chooses one"
        raise ConfigError("positive", positive, rule)
    return (classes[1 - classes.index(positive)], positive)


def _digest(source: LabelledSource, first: int, stop: int) -> str:
    if stop > source.m:
        raise LookupError(stop)
    return hashlib.sha256(b"\0\0".join(map(source.identity, range(first, stop)))).hexdigest()


def _decode_rest(
    source: LabelledSource, spool: Spool, settings: PackSettings, progress: Progress
) -> None:
    """Decode what the spool does not have yet, as many pictures at a time as a chunk will hold."""
    jobs, height = settings.jobs or core_count(), rows_of_chunk(source.size)
    decoded = ordered_map(
        lambda picture: decode(picture, source.size, settings.max_pixels),
        source.pictures(spool.taken),
        jobs,
    )
    with contextlib.closing(decoded):
        for pictures in batches(decoded, height):
            failures = []
            for k, picture in enumerate(pictures, spool.taken):
                progress.reading(k + 1, source.m)
                if picture.error is not None:
                    if settings.on_error == "fail":
                        raise picture.error
                    failures.append((k, picture.error.reason))
            good = [picture.pixels for picture in pictures if picture.pixels is not None]
            shape = (len(good), source.size, source.size, 3)
            spool.append(np.array(good, dtype=np.uint8).reshape(shape), failures)


def _write(
    source: LabelledSource, spool: Spool, classes: tuple[str, ...], data: str, output: str
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Make the file out of the spool and return the labels of its pictures."""
    read = np.ones(source.m, dtype=bool)
    read[[k for k, _ in spool.failures]] = False
    if not read.any():
        spool.remove()
        raise DataError(data, f"has no picture that can be read ({source.m} tried)")
    number = np.array([classes.index(name) for name in source.classes])
    labels = number[source.labels[read]]
    paths = compress(source.paths, read.tolist())
    with replacing(output) as file:
        write_hdf5(file, source.size, spool.blocks(), labels, classes, paths)
    return labels
