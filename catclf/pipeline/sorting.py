"""Pictures → a folder with a sub-folder for each class, as links or copies. Nothing is overwritten."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator

from catclf.errors import DataError, system_reason
from catclf.pipeline.prediction import Prediction

_NO_FILE = "is not a file of its own, so it cannot be sorted"


class Sorter:
    """Puts every picture into the sub-folder of the class that it is called.

    Pictures of one name are kept apart as ``name-2.jpg``. What is there already, as of an earlier run,
    is left alone: a link to the picture, or a file with the same content.

    Parameters
    ----------
    folder : str
        Made where it is needed.
    copies : bool
        Whether pictures are copied, with their times; otherwise symbolic links with absolute targets
        lead to them.
    """

    def __init__(self, folder: str, copies: bool) -> None:
        self._folder, self._copies = folder, copies

    def sorted(self, row: Prediction) -> Prediction:
        """Put one picture in its place; where that fails the row says why, instead of an answer."""
        if row.error is not None or row.label is None:
            return row
        try:
            if row.path == "-" or not os.path.isfile(row.path):
                raise DataError(row.path, _NO_FILE)
            place = os.path.join(self._folder, _component(row.label))
            os.makedirs(place, exist_ok=True)
            self._put(row.path, place)
        except OSError as exc:
            what = "copied" if self._copies else "linked"
            reason = f"cannot be {what} to {self._folder} ({system_reason(exc)})"
            return row._replace(label=None, probability=None, error=DataError(row.path, reason))
        except DataError as exc:
            return row._replace(label=None, probability=None, error=exc)
        return row

    def _put(self, path: str, place: str) -> None:
        put = self._copied if self._copies else self._linked
        for target in _names(place, os.path.basename(path)):
            if put(path, target):
                return

    def _linked(self, path: str, target: str) -> bool:
        try:
            os.symlink(os.path.abspath(path), target)
        except FileExistsError:
            return os.path.exists(target) and os.path.samefile(path, target)
        return True

    def _copied(self, path: str, target: str) -> bool:
        if os.path.lexists(target):
            return os.path.isfile(target) and filecmp.cmp(path, target)
        handle, half = tempfile.mkstemp(prefix=".", dir=os.path.dirname(target))
        os.close(handle)
        try:
            shutil.copy2(path, half)
            try:
                os.link(half, target)
            except FileExistsError:  # since a moment ago
                return False
            except OSError:  # there are no hard links there, as on a memory stick
                os.rename(half, target)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(half)
        return True


def _component(label: str) -> str:
    """A class name as the name of a folder."""
    name = label.replace("/", "-").replace("\0", "-")
    return f"_{name}" if name in ("", ".", "..") else name


def _names(place: str, name: str) -> Iterator[str]:
    stem, suffix = os.path.splitext(name)
    yield os.path.join(place, name)
    for number in itertools.count(2):
        yield os.path.join(place, f"{stem}-{number}{suffix}")
