"""What is known of labelled pictures: paths, labels, classes, and what is not among them. No pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from catclf.errors import DataError
from catclf.printable import number_of


@dataclass(frozen=True)
class Labelled:
    """Pictures with their classes: those that are listed or, after reading, those that could be read.

    Attributes
    ----------
    source : str
        As the user named it.
    labels : (m,) intp
        Index into `classes`.
    classes : tuple of str
    paths : sequence of str, m of them
    usual_positive : str or None
        The class that is positive if nobody says otherwise.
    ignored : tuple of str
        The files that were not tried because of their names.
    skipped : tuple of DataError
        The pictures that could not be read.
    endless : int
        Pictures read that lack the end of their file, and nothing else.
    """

    source: str
    labels: NDArray[np.intp]
    classes: tuple[str, ...]
    paths: Sequence[str]
    usual_positive: str | None
    ignored: tuple[str, ...] = ()
    skipped: tuple[DataError, ...] = ()
    endless: int = 0

    @property
    def m(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def counts(self) -> dict[str, int]:
        """Number of pictures of each class."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, numbers.tolist(), strict=True))

    def only(self, read: Sequence[int], skipped: Sequence[DataError]) -> Self:
        """Return what is known of the pictures that could be `read`.

        Raises
        ------
        DataError
            If there are none.
        """
        if not len(read):
            raise DataError(self.source, f"has no picture that can be read ({self.m} tried)")
        if len(read) == self.m:
            return self
        paths = tuple(self.paths[k] for k in read)
        return replace(self, labels=self.labels[read], paths=paths, skipped=tuple(skipped))

    def refuse_none(self) -> None:
        """Raise a DataError if there are no pictures, with a file that is not taken for one."""
        if not self.m:
            others = self.ignored
            seen = (
                f", but {number_of(len(others), 'other file')}, such as {others[-1]}" if others else ""
            )
            raise DataError(self.source, f"has no pictures{seen}")


def usual_positive(classes: Sequence[str]) -> str | None:
    """Find the class that is positive if nobody says otherwise: cat or cats, in any case."""
    exact = [name for name in ("cat", "cats") if name in classes]
    alike = [name for name in classes if name.casefold() in ("cat", "cats")]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None
