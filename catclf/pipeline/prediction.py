"""The tool `predict`: a model and a stream of inputs → a stream of answers, one for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.errors import DataError
from catclf.images.folder import OnIgnored
from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.inputs import Inputs, pictures_of
from catclf.images.picture import Picture
from catclf.logistic import sigmoid
from catclf.model import Model
from catclf.pipeline.scoring import Scored, Scorer, loaded, scored
from catclf.progress import Progress
from catclf.view import PREVIEW
from catclf.work.spread import Waiting

Watch = Callable[[Iterator[Picture | Waiting]], Iterator[Picture | Waiting]]


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
    unusual : bool or None
        Whether it is unlike the pictures that the model was trained on; None if that is not known.
    preview : (h, w, 3) uint8 or None
        The picture made small, in its own proportions, if that was asked for.
    """

    path: str
    label: str | None
    probability: float | None
    error: DataError | None
    pixels: NDArray[np.uint8] | None = None
    unusual: bool | None = None
    preview: NDArray[np.uint8] | None = None


def predict(
    model: Model | str | os.PathLike[str],
    inputs: Inputs,
    *,
    threshold: float | None = None,
    prior: float | None = None,
    read: ReadOptions | None = None,
    keep_pixels: bool = False,
    previews: bool = False,
    on_ignored: OnIgnored = lambda path: None,
    progress: Progress | None = None,
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
        Expected share of positive pictures, if it differs from the training data.
    read : ReadOptions or None
        How they are read; None is the defaults. With a scheduler its workers do the work, and they can
        open the same files by their absolute paths. If `on_error` is "fail" the first picture that
        cannot be read is raised; otherwise its answer has the reason.
    keep_pixels : bool
        Whether the predictions carry the decoded pictures.
    previews : bool
        Whether they carry small pictures for people.
    on_ignored : (path) -> None
        Called for each file in a folder that is not tried.
    progress : Progress or None
        Hears warnings and notes: workers with other versions, cores that cannot be had.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached or is lost.
    """
    chunks = predict_chunks(
        model,
        inputs,
        threshold=threshold,
        prior=prior,
        read=read,
        keep_pixels=keep_pixels,
        previews=previews,
        on_ignored=on_ignored,
        progress=progress,
        processes=False,
    )
    with closing(chunks):
        for chunk in chunks:
            yield from chunk


def predict_chunks(
    model: Model | str | os.PathLike[str],
    inputs: Inputs,
    *,
    threshold: float | None = None,
    prior: float | None = None,
    read: ReadOptions | None = None,
    keep_pixels: bool = False,
    previews: bool = False,
    on_ignored: OnIgnored = lambda path: None,
    progress: Progress | None = None,
    processes: bool = True,
    watch: Watch = iter,
    total: int = 0,
) -> Generator[list[Prediction], None, None]:
    """Yield all predictions that are there at a time, as `predict` does one by one.

    The parameters are those of `predict`, and three more. `processes` is whether many pictures may be
    scored in worker processes, which need not take turns as threads do. The program that calls it then
    has no threads of its own, or can be imported again by its worker processes. Through `watch` all
    pictures go before they are scored; what it leaves out is not. `total` is how many there are,
    for `progress`; 0 if nobody knows.
    """
    read = read or ReadOptions()
    (model,) = loaded([model], prior, read, may_be_rows(inputs))
    kept = ((model.view,) if keep_pixels else ()) + ((PREVIEW,) if previews else ())
    scorer = Scorer((model,), read.of_size(model.size), kept=kept)
    pictures = pictures_of(inputs, scorer.options, on_ignored, [model], whole=keep_pixels)
    progress, found, let_through = progress or Progress(), _Counter(), _Counter()
    done, wanted = 0, let_through.counted(watch(found.counted(pictures)))
    with closing(scored(scorer, wanted, processes, progress)) as answers:
        for some in answers:
            done += len(some)
            left = total - (found.count - let_through.count)
            progress.advanced("pictures scored", done, left if done <= left else 0)
            errors = (answer.error for answer in some) if read.on_error == "fail" else ()
            failed = next(((k, error) for k, error in enumerate(errors) if error is not None), None)
            good = some if failed is None else some[: failed[0]]
            yield _predictions(model, good, threshold, keep_pixels, previews)
            if failed is not None:
                raise failed[1]


class _Counter:
    """Counts the pictures that pass.

    Attributes
    ----------
    count : int
    """

    def __init__(self) -> None:
        self.count = 0

    def counted(self, pictures: Iterator[Picture | Waiting]) -> Iterator[Picture | Waiting]:
        for picture in pictures:
            self.count += isinstance(picture, Picture)
            yield picture


def may_be_rows(inputs: Inputs) -> bool:
    """Whether nothing but HDF5 files is named, as far as that is known before they are opened."""
    named = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    if not isinstance(named, list | tuple):
        return False
    return all(isinstance(one, str | os.PathLike) and is_hdf5_name(os.fspath(one)) for one in named)


def _predictions(
    model: Model, some: list[Scored], threshold: float | None, keep_pixels: bool, previews: bool
) -> list[Prediction]:
    z = np.array([answer.scores[0] for answer in some if answer.error is None])
    probabilities = iter(sigmoid(z).tolist())
    return [
        Prediction(one.path, None, None, one.error)
        if one.error is not None
        else Prediction(
            one.path,
            model.label(p := next(probabilities), threshold),
            p,
            None,
            one.views[0] if keep_pixels else None,
            one.unusual,
            one.views[-1] if previews else None,
        )
        for one in some
    ]
