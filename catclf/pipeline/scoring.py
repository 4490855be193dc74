"""A stream of pictures → a stream of scores, for `predict` and `evaluate`. Knows no labels."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.images.decode import Decoder
from catclf.images.picture import Picture, Pixels, View
from catclf.model import Model, load
from catclf.parallel import Pool, batches, grouped, ordered_map, ordered_on

CHUNK = 16
"""Pictures that are decoded and scored together, with one matrix product for all of them."""

_SENT_TO_WORKERS = 16 * CHUNK
"""Handing pictures out to another machine must cost less than decoding them."""

# A message to another process and back takes as long as half a picture. So one message carries several
# chunks, unless pictures or their names come so slowly that somebody would notice their rows waiting
# for each other. How quick the next pictures will be is guessed from the last answer.
_MOST_AT_ONCE = 4  # chunks
_QUICK = 0.003  # seconds for a picture


def classifier(model: Model | str | os.PathLike[str], prior: float | None) -> Model:
    """Load a model if it is a path, and correct it if another share of positive pictures is expected."""
    loaded = model if isinstance(model, Model) else load(os.fspath(model))
    return loaded if prior is None else loaded.with_prior(prior)


class Scored(NamedTuple):
    """A picture's scores, or the reason why there are none.

    Attributes
    ----------
    path : str
    scores : tuple of float
        z = wᵀx + b of each model.
    error : DataError or None
    mark : int or None
        Fingerprint of what the first model sees, if that was asked for.
    views : tuple of (h, w, 3) uint8
        Those that were to be kept.
    """

    path: str
    scores: tuple[float, ...]
    error: DataError | None = None
    mark: int | None = None
    views: tuple[Pixels, ...] = ()


@dataclass(frozen=True, eq=False)
class Scorer:
    """Decodes and scores chunks of pictures. It may be sent to other processes.

    Parameters
    ----------
    models : tuple of Model
        One decoding serves them all.
    options : ReadOptions
    marked : bool
        Whether fingerprints are wanted.
    kept : tuple of View
        What is to be kept of each picture.
    """

    models: tuple[Model, ...]
    options: ReadOptions
    marked: bool = False
    kept: tuple[View, ...] = ()

    @property
    def decoder(self) -> Decoder:
        """Gives a view for each model, then those to be kept."""
        seen = tuple(View(model.size) for model in self.models)
        return Decoder(seen + self.kept, self.options.max_pixels)

    def __call__(self, pictures: list[Picture], decoder: Decoder | None = None) -> list[Scored]:
        """Score some pictures: one matrix product for all of them."""
        decoded = list((decoder or self.decoder)(pictures))
        good = [views for _, views, error in decoded if error is None]
        scores, marks = [], None
        for k, model in enumerate(self.models):
            images = [views[k] for views in good]
            seen = np.array(images, np.uint8).reshape(-1, model.size, model.size, 3)
            scores.append(model.scores(seen).tolist())
            if self.marked and k == 0:
                from catclf.fingerprints import fingerprint  # only where it is needed

                marks = iter(fingerprint(seen).tolist())
        found = zip(*scores, strict=True)
        return [
            Scored(path, (), error)
            if error is not None
            else Scored(path, next(found), None, marks and next(marks), views[len(self.models) :])
            for path, views, error in decoded
        ]


_Chunk = list[Picture]
_Answers = Generator[list[Scored], None, None]


def scored(
    scorer: Scorer,
    pictures: Iterable[Picture],
    processes: bool = False,
    on_warning: Callable[[str], None] = lambda message: None,
) -> _Answers:
    """Yield the scores of some pictures at a time, in order, as soon as they are there.

    Parameters
    ----------
    scorer : Scorer
        Its options say on how many cores or on which cluster.
    pictures : iterable of Picture
        Read as needed.
    processes : bool
        Whether many files may be decoded in worker processes, which need not take turns as threads do.
        Threads do it where processes are not safe; see `catclf.processes.can_fork`.
    on_warning : (message) -> None
        Called if workers have other versions of Python or libraries, or have gone.
    """
    if scorer.options.scheduler is not None:
        return _on_cluster(scorer, pictures, on_warning)
    return _here(scorer, batches(pictures, CHUNK), scorer.options.cores, processes)


def _here(scorer: Scorer, chunks: Iterator[_Chunk], jobs: int, processes: bool) -> _Answers:
    first = next(chunks, [])
    chunks = chain([first] if first else [], chunks)
    # A process takes milliseconds to make: not for a few pictures.
    if processes and jobs > 1 and len(first) == CHUNK and _are_files(first):
        from catclf.processes import Processes, can_fork  # only here: sockets take time to import

        if can_fork():
            with closing(Processes(jobs)) as pool:
                in_processes = partial(_in_processes, pool, jobs, scorer)
                in_threads = partial(ordered_map, scorer, jobs=jobs)
                for files, run in groupby(chunks, _are_files):
                    yield from (in_processes if files else in_threads)(run)
            return
    yield from ordered_map(scorer, chunks, jobs)


def _are_files(pictures: _Chunk) -> bool:
    return all(picture.is_file for picture in pictures)


def _in_processes(pool: Pool, jobs: int, scorer: Scorer, chunks: Iterator[_Chunk]) -> _Answers:
    chunks_at_once, begun = 1, time.perf_counter()

    def full(bundle: list[_Chunk]) -> bool:
        late = time.perf_counter() - begun > _QUICK * sum(map(len, bundle))
        return late or len(bundle) >= chunks_at_once

    def bundles() -> Iterator[list[_Chunk]]:
        nonlocal begun
        for bundle in grouped(chunks, full):
            yield bundle
            begun = time.perf_counter()

    for answers, seconds in ordered_on(pool, partial(_timed, scorer), bundles(), 2 * jobs):
        chunks_at_once = _MOST_AT_ONCE if seconds < _QUICK * len(answers) else 1
        yield answers


def _timed(scorer: Scorer, bundle: list[_Chunk]) -> tuple[list[Scored], float]:
    """The scores of some chunks, and the seconds that it took."""
    begun = time.perf_counter()
    answers = [answer for chunk in bundle for answer in scorer(chunk)]
    return answers, time.perf_counter() - begun


def _on_cluster(
    scorer: Scorer, pictures: Iterable[Picture], on_warning: Callable[[str], None]
) -> _Answers:
    from catclf.cluster import connected  # only where it is needed: it takes time to import

    options = scorer.options
    assert options.scheduler is not None
    with connected(options.scheduler, options.jobs, on_warning) as cluster:
        for warning in cluster.differences():
            on_warning(warning)
        shared, folder = cluster.send(scorer), os.getcwd()
        sendable = map(_sendable, pictures)
        tasks = ((shared, folder, batch) for batch in batches(sendable, _SENT_TO_WORKERS))
        yield from cluster.ordered_map(_on_worker, tasks)


def _sendable(picture: Picture) -> Picture:
    """Read a stream, which cannot be sent."""
    if picture.stream is None:
        return picture
    return picture._replace(stream=io.BytesIO(picture.stream.read()))


# What the workers of a cluster do.


def _on_worker(task: tuple[Scorer, str, list[Picture]]) -> list[Scored]:
    from catclf.images.on_workers import DecoderAnywhere

    scorer, folder, pictures = task
    here = scorer.decoder
    decoder = DecoderAnywhere(here.views, here.max_pixels, folder)
    # As many at a time as without a cluster: the last bits of a product depend on its shape.
    return [answer for chunk in batches(pictures, CHUNK) for answer in scorer(chunk, decoder)]
