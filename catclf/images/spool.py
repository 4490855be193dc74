"""What pictures became, in a file that only grows: what an interrupted run leaves for the next one.

A record is of some pictures of the source: which could not be read, and what the others became: pixels,
or rows with what belongs to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.images.decode import PILLOW
from catclf.partial import Record, RecordFile


class Spool:
    """Opens the file, keeps those of its records that fit the source as it is now, and appends more.

    Parameters
    ----------
    path : str
        Made if there is no such file.
    item : numpy.dtype
        What is kept of a picture.
    settings : mapping
        Whatever that depends on; what was made with other settings is dropped.
    digest : (first, stop) -> str
        Changes when one of these pictures of the source does.

    Attributes
    ----------
    taken : int
        Number of pictures of the source that are in the file, or that could not be read.
    failures : list of (int, str)
        Position and reason of each of the latter.

    Raises
    ------
    OutputError
        If it cannot be written, is not such a file, or is in use.
    """

    def __init__(
        self,
        path: str,
        item: np.dtype[Any],
        settings: Mapping[str, Any],
        digest: Callable[[int, int], str],
    ) -> None:
        self.taken = 0
        self.failures: list[tuple[int, str]] = []
        self._item = item
        self._digest = digest
        depends_on = {"item": str(item), "decoder": PILLOW, **settings}
        self._file = RecordFile(path, "pack", depends_on, drops=True, fits=self._fits)

    def append(self, items: NDArray[Any], failures: Sequence[tuple[int, str]]) -> None:
        """Add the next pictures of the source: those that could be read, and why the others could not.

        Parameters
        ----------
        items : (k,) of the dtype
        failures : sequence of (int, str)
            Position in the source, reason.
        """
        count = len(items) + len(failures)
        digest = self._digest(self.taken, self.taken + count)
        record = {"pictures": count, "failures": list(failures), "digest": digest}
        self._file.append(record, items.reshape(-1).view(np.uint8).data)
        self.taken += count
        self.failures += failures

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the items (k,) in order."""
        for _, data in self._file.records():
            yield np.frombuffer(data, self._item)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file, which has done its duty."""
        self._file.remove()

    def _fits(self, record: Record, data: bytes) -> bool:
        """Take a record if its pictures are still the same."""
        stop = self.taken + record["pictures"]
        if record["digest"] != self._digest(self.taken, stop):
            return False
        failures = [(int(k), str(reason)) for k, reason in record["failures"]]
        if len(data) != (record["pictures"] - len(failures)) * self._item.itemsize:
            return False
        self.taken = stop
        self.failures += failures
        return True
