"""Predictions → the pictures to review, and how many there were of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from catclf.errors import DataError
from catclf.model import Model
from catclf.pipeline.gallery import Gallery, GalleryItem
from catclf.pipeline.prediction import Prediction

FAILURES_KEPT = 50


class Album:
    """Keeps the least sure of the pictures that pass by.

    Parameters
    ----------
    model : Model
    threshold : float or None
        Replaces the model's.
    only : str or None
        The one class to keep pictures of.

    Attributes
    ----------
    counts : dict
        How many pictures were called what.
    failed : int
        Pictures that could not be read.
    failures : list of DataError
        The first of them.
    """

    def __init__(self, model: Model, threshold: float | None, only: str | None) -> None:
        self._model = model
        self._threshold = model.threshold if threshold is None else threshold
        self._gallery: Gallery[Prediction] = Gallery()
        classes = (model.positive, model.negative)
        self.counts = {name: 0 for name in classes if only in (None, name)}
        self.failed = 0
        self.failures: list[DataError] = []

    def watched(self, chunks: Iterable[list[Prediction]]) -> Iterator[list[Prediction]]:
        """Pass predictions on without their previews."""
        for chunk in chunks:
            for row in chunk:
                self._add(row)
            yield [row._replace(preview=None) for row in chunk]

    def shots(self) -> list[GalleryItem]:
        """The pictures kept, the least sure first."""
        return [self._shot(row, thumbnail) for row, thumbnail in self._gallery.kept()]

    def _add(self, row: Prediction) -> None:
        if row.error is not None:
            self.failed += 1
            if self.failed <= FAILURES_KEPT:
                self.failures.append(row.error)
        elif row.label in self.counts and row.probability is not None and row.preview is not None:
            self.counts[row.label] += 1
            rank = abs(row.probability - self._threshold)
            self._gallery.add((rank,), row._replace(preview=None), row.preview)

    def _shot(self, row: Prediction, thumbnail: bytes) -> GalleryItem:
        positive, negative, p = self._model.positive, self._model.negative, row.probability or 0.0
        is_positive = row.label == positive
        called, other = (positive, negative) if is_positive else (negative, positive)
        probability = p if is_positive else 1 - p
        return GalleryItem(row.path, called, probability, "", (other,), thumbnail, bool(row.unusual))
