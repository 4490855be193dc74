"""A model that reads pictures by itself: what Python users hold in their hands."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.model import Model
from catclf.model import load as load_model

if TYPE_CHECKING:
    from catclf.images.inputs import Inputs


@dataclass(frozen=True, repr=False)
class Classifier(Model):
    """A `Model` with the two methods that scikit-learn's users expect.

    `pictures` is a path, an array (m, h, w, 3) uint8, or an iterable of paths, binary files and arrays
    (h, w, 3) uint8 of any sizes. As in `catclf.predict`, a folder stands for the pictures below it, and
    an HDF5 file for its rows; everything is resized to `size`.
    """

    @property
    def classes_(self) -> NDArray[np.str_]:
        """Names of the negative and of the positive class, in the order of the columns, (2,)."""
        return np.array([self.negative, self.positive])

    def predict_proba(self, pictures: Inputs, *, read: ReadOptions | None = None) -> NDArray[np.float64]:
        """Probabilities of the two classes for each picture.

        Parameters
        ----------
        pictures : path, array, or iterable of paths, binary files and arrays
            See `Classifier`.
        read : ReadOptions or None
            How they are read; None is the defaults.

        Returns
        -------
        (m, 2) float64 in [0, 1]
            Columns as in `classes_`: ``[:, 1]`` is the positive class. Rows in the order of `pictures`.

        Raises
        ------
        DataError
            At the first picture that cannot be read, with its path. `catclf.predict` goes on instead.
        """
        from catclf.pipeline.prediction import predict  # it takes time to import, and training does not

        read = replace(read or ReadOptions(), on_error="fail")
        with contextlib.closing(predict(self, pictures, read=read)) as answers:
            p = [answer.probability for answer in answers]
        positive = np.array(p, dtype=np.float64)
        return np.column_stack([1.0 - positive, positive])

    def predict(self, pictures: Inputs, *, read: ReadOptions | None = None) -> NDArray[np.str_]:
        """Name of the class of each picture, (m,): the positive one from `threshold` on.

        Parameters and errors are those of `predict_proba`.
        """
        p = self.predict_proba(pictures, read=read)[:, 1]
        names: NDArray[np.str_] = self.classes_[(p >= self.threshold).astype(int)]
        return names


def load(path: str | os.PathLike[str]) -> Classifier:
    """Read a model file.

    Nothing in it is run and no other file is opened; sizes are checked before data is read.

    Raises
    ------
    ModelFileError
        If it is not a model of this format, with what was expected and found.
    """
    return Classifier(**vars(load_model(os.fspath(path))))
