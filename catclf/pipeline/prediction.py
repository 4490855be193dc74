"""The tool `predict`: a model and a stream of inputs → a stream of answers, one for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.images.folder import OnIgnored
from catclf.images.inputs import Inputs, pictures_of
from catclf.images.picture import View
from catclf.logistic import sigmoid
from catclf.model import Model
from catclf.pipeline.scoring import Scorer, classifier, scored


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


def predict(
    model: Model | str | os.PathLike[str],
    inputs: Inputs,
    *,
    threshold: float | None = None,
    prior: float | None = None,
    read: ReadOptions | None = None,
    keep_pixels: bool = False,
    on_ignored: OnIgnored = lambda path: None,
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
    read : ReadOptions or None
        How they are read; None is the defaults. With a scheduler its workers do the work, and they can
        open the same files by their absolute paths. If `on_error` is "fail" the first picture that
        cannot be read is raised; otherwise its answer has the reason.
    keep_pixels : bool
        Whether the predictions carry the decoded pictures.
    on_ignored : (path) -> None
        Called for each file in a folder that is not tried.
    on_warning : (message) -> None
        Called if workers have other versions of Python or libraries.
    processes : bool
        Whether many files may be decoded in worker processes, which need not take turns as threads do.
        Threads do it where those are not safe; see `catclf.processes.can_fork`.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached or is lost.
    WorkerError
        If a worker process is killed.
    """
    model = classifier(model, prior)
    read = (read or ReadOptions()).of_size(model.size)
    pictures = pictures_of(inputs, read, on_ignored)
    scorer = Scorer((model,), read, kept=(View(model.size),) if keep_pixels else ())
    with closing(scored(scorer, pictures, processes, on_warning)) as answers:
        for some in answers:
            good = [answer.scores[0] for answer in some if answer.error is None]
            probabilities = iter(sigmoid(np.array(good)).tolist())
            for path, _, error, _, views in some:
                if error is None:
                    p = next(probabilities)
                    seen = views[0] if keep_pixels else None
                    yield Prediction(path, model.label(p, threshold), p, None, seen)
                elif read.on_error == "fail":
                    raise error
                else:
                    yield Prediction(path, None, None, error)
