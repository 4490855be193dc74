"""The tool `predict`: a model and a stream of inputs → a stream of answers, one for each."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import MAX_PIXELS
from catclf.errors import DataError
from catclf.images.decode import decode
from catclf.images.folder import OnPassedOver
from catclf.images.inputs import Inputs, pictures_of
from catclf.images.picture import Picture
from catclf.model import Model, load
from catclf.parallel import Pool, batches, core_count, grouped, ordered_map, ordered_on

PREDICT_CHUNK = 16
"""Pictures that are decoded and scored together, with one matrix product for all of them."""

# A message to another process and back takes as long as half a picture. So one message carries several
# chunks, unless pictures or their names come so slowly that somebody would notice their rows waiting
# for each other. How quick the next pictures will be is guessed from the last answer.
_MOST_AT_ONCE = 4  # chunks
_QUICK = 0.003  # seconds for a picture


class Prediction(NamedTuple):
    """The answer for one input, or the reason why there is none.

    Attributes
    ----------
    path : str
    label : str or None
    probability : float or None
        Of the positive class.
    error : DataError or None
    pixels : (size, size, 3) uint8 or None
        What the model saw, if that was asked for.
    """

    path: str
    label: str | None
    probability: float | None
    error: DataError | None
    pixels: NDArray[np.uint8] | None = None


_Chunk = list[Picture]
_Answered = Generator[list[Prediction], None, None]
_Work = Callable[[_Chunk], list[Prediction]]
_Sendable = tuple[str | None, float | None, str | None]


def predict(
    model: Model | str | os.PathLike[str],
    inputs: Inputs,
    *,
    threshold: float | None = None,
    prior: float | None = None,
    jobs: int | None = None,
    x_key: str | None = None,
    max_pixels: int = MAX_PIXELS,
    keep_pixels: bool = False,
    on_passed_over: OnPassedOver = lambda path: None,
    scheduler: str | None = None,
    on_warning: Callable[[str], None] = lambda message: None,
    processes: bool = False,
) -> Generator[Prediction, None, None]:
    """Yield one prediction for each input, in order, as soon as it is there.

    Parameters
    ----------
    model : Model or path
    inputs : path, or iterable of paths, binary files and arrays
        See `catclf.images.inputs.pictures_of`. It is read as needed and no list of it is kept.
    threshold : float or None
        Replaces the model's.
    prior : float or None
        Share of positive pictures to expect, if it is another than in training.
    jobs : int or None
        Threads, or processes; None is one for each core.
    x_key : str or None
        Name of the pictures' data set in HDF5 files.
    max_pixels : int
        Largest width × height of a picture that is decoded.
    keep_pixels : bool
        Whether the predictions carry the decoded pictures.
    on_passed_over : (path) -> None
        Called for each file in a folder that is not tried.
    scheduler : str or None
        Address of a Dask scheduler, or "local": its workers do the work, and they can open the same
        files by their absolute paths. Inputs may then be URLs for fsspec as well.
    on_warning : (message) -> None
        Called if workers have other versions of Python or libraries.
    processes : bool
        Whether many files may be decoded in `jobs` copies of this process, which need not take turns
        as threads do. Threads do it where copies are not safe; see `catclf.processes.can_fork`. Of no
        effect with `keep_pixels`.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached or is lost.
    WorkerError
        If a copy of this process is killed.
    """
    loaded = model if isinstance(model, Model) else load(os.fspath(model))
    classifier = loaded if prior is None else loaded.with_prior(prior)
    if scheduler is not None:
        from catclf.pipeline.prediction_on_workers import predict_on_workers

        yield from predict_on_workers(
            classifier,
            inputs,
            scheduler,
            threshold=threshold,
            jobs=jobs,
            x_key=x_key,
            max_pixels=max_pixels,
            keep_pixels=keep_pixels,
            on_passed_over=on_passed_over,
            on_warning=on_warning,
        )
        return

    def work(chunk: list[Picture]) -> list[Prediction]:
        decoded = [decode(picture, classifier.size, max_pixels) for picture in chunk]
        answers = answered(classifier, decoded, threshold)
        return answers if keep_pixels else [answer._replace(pixels=None) for answer in answers]

    chunks = batches(pictures_of(inputs, on_passed_over, x_key, max_pixels), PREDICT_CHUNK)
    with closing(
        _in_order(work, chunks, jobs or core_count(), processes and not keep_pixels)
    ) as all_answers:
        for answers in all_answers:
            yield from answers


def _in_order(work: _Work, chunks: Iterator[_Chunk], jobs: int, processes: bool) -> _Answered:
    first = next(chunks, [])
    chunks = chain([first] if first else [], chunks)
    # A copy takes milliseconds to make: not for a few pictures.
    if processes and jobs > 1 and len(first) == PREDICT_CHUNK and _are_files(first):
        from catclf.processes import Processes, can_fork  # only here: sockets take time to import

        if can_fork():
            with closing(Processes(jobs)) as copies:
                by_copies = partial(_by_copies, copies, jobs, work)
                by_threads = partial(ordered_map, work, jobs=jobs)
                for files, run in groupby(chunks, _are_files):
                    yield from (by_copies if files else by_threads)(run)
            return
    yield from ordered_map(work, chunks, jobs)


def _are_files(pictures: _Chunk) -> bool:
    """Whether their paths are all there is to know of them."""
    return all(p.stream is None and p.pixels is None and p.error is None for p in pictures)


def _by_copies(copies: Pool, jobs: int, work: _Work, chunks: Iterator[_Chunk]) -> _Answered:
    sent: deque[list[_Chunk]] = deque()
    chunks_at_once, begun = 1, time.perf_counter()

    def full(bundle: list[_Chunk]) -> bool:
        late = time.perf_counter() - begun > _QUICK * sum(map(len, bundle))
        return late or len(bundle) >= chunks_at_once

    def bundles() -> Iterator[list[list[str]]]:
        nonlocal begun
        for bundle in grouped(chunks, full):
            sent.append(bundle)
            yield [[picture.path for picture in chunk] for chunk in bundle]
            begun = time.perf_counter()

    for answers, seconds in ordered_on(copies, partial(_timed, work), bundles(), 2 * jobs):
        pictures = list(chain.from_iterable(sent.popleft()))
        chunks_at_once = _MOST_AT_ONCE if seconds < _QUICK * len(pictures) else 1
        yield [
            Prediction(path, label, p, None if reason is None else DataError(path, reason))
            for (path, *_), (label, p, reason) in zip(pictures, answers, strict=True)
        ]


def _timed(work: _Work, bundle: list[list[str]]) -> tuple[list[_Sendable], float]:
    """The answers for some chunks of paths in a form that can be sent, and the seconds that it took."""
    begun = time.perf_counter()
    answers = [
        (answer.label, answer.probability, None if answer.error is None else answer.error.reason)
        for paths in bundle
        for answer in work([Picture(path) for path in paths])
    ]
    return answers, time.perf_counter() - begun


def answered(model: Model, decoded: list[Picture], threshold: float | None) -> list[Prediction]:
    """Score some decoded pictures: one matrix product for all of them."""
    good = [picture.pixels for picture in decoded if picture.pixels is not None]
    images: NDArray[np.uint8] = np.array(good, dtype=np.uint8).reshape(-1, model.size, model.size, 3)
    probabilities = iter(model.probabilities(images).tolist())
    answers = []
    for picture in decoded:
        if picture.error is not None:
            answers.append(Prediction(picture.path, None, None, picture.error))
        else:
            p = next(probabilities)
            answers.append(Prediction(picture.path, model.label(p, threshold), p, None, picture.pixels))
    return answers
