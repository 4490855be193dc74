"""The tool `predict` on the workers of a cluster: the same answers, computed where the files are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from catclf.cluster import connected
from catclf.errors import DataError
from catclf.images.decode import decode
from catclf.images.folder import OnPassedOver
from catclf.images.inputs import Inputs, pictures_of
from catclf.images.on_workers import decode_anywhere
from catclf.images.picture import Picture
from catclf.images.urls import files_below, is_url
from catclf.model import Model
from catclf.parallel import batches
from catclf.pipeline.prediction import PREDICT_CHUNK, Prediction, answered

BATCH = 16 * PREDICT_CHUNK
"""Pictures that a worker is given at a time: handing them out must cost less than decoding them."""


class Order(NamedTuple):
    """What is the same for all pictures; parameters as of `catclf.predict`."""

    threshold: float | None
    max_pixels: int
    keep_pixels: bool
    folder: str


def predict_on_workers(
    model: Model,
    inputs: Inputs,
    scheduler: str,
    *,
    threshold: float | None,
    jobs: int | None,
    x_key: str | None,
    max_pixels: int,
    keep_pixels: bool,
    on_passed_over: OnPassedOver,
    on_warning: Callable[[str], None],
) -> Iterator[Prediction]:
    """Yield what `catclf.predict` does; few batches of pictures are under way at a time.

    An input may be a URL for fsspec; if it ends with a slash it stands for the pictures below it.
    """
    order = Order(threshold, max_pixels, keep_pixels, os.getcwd())
    pictures = (
        # A stream cannot be sent; what it gives can.
        picture if picture.stream is None else decode(picture, model.size, max_pixels)
        for picture in _expanded(pictures_of(inputs, on_passed_over, x_key, max_pixels))
    )
    with connected(scheduler, jobs, on_warning) as cluster:
        for warning in cluster.differences():
            on_warning(warning)
        shared = cluster.send(model)
        tasks = ((shared, order, batch) for batch in batches(pictures, BATCH))
        for answers in cluster.ordered_map(_predicted, tasks):
            yield from answers


def _expanded(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Replace each folder of a store by the pictures below it."""
    for picture in pictures:
        if not is_url(picture.path) or not picture.path.endswith("/"):
            yield picture
        else:
            try:
                yield from map(Picture, files_below(picture.path))
            except DataError as exc:
                yield Picture(picture.path, error=exc)


# What the workers do.


def _predicted(task: tuple[Model, Order, list[Picture]]) -> list[Prediction]:
    model, order, pictures = task
    predictions: list[Prediction] = []
    # As many at a time as without a cluster: the last bits of a product depend on its shape.
    for start in range(0, len(pictures), PREDICT_CHUNK):
        chunk = pictures[start : start + PREDICT_CHUNK]
        decoded = list(decode_anywhere(chunk, model.size, order.max_pixels, order.folder))
        predictions += answered(model, decoded, order.threshold)
    if order.keep_pixels:
        return predictions
    return [prediction._replace(pixels=None) for prediction in predictions]
