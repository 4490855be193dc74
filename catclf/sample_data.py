"""Where the drawings are that come with catclf. Reads nothing."""

from __future__ import annotations

from pathlib import Path

from catclf.errors import DataError

_NAME = "drawings_test.h5"
_PACKAGE = Path(__file__).parent
_FOLDERS = (_PACKAGE / "data", _PACKAGE.parent / "data")  # installed; in the source tree


def sample() -> Path:
    """Path of an HDF5 file with 200 labelled drawings of 64×64 pixels, 85 of them cats.

    They are drawings, not photographs: enough to try everything on, offline.

    Raises
    ------
    DataError
        If the file did not come with this copy of catclf.

    Examples
    --------
    >>> sample().name
    'drawings_test.h5'
    """
    for folder in _FOLDERS:
        if (folder / _NAME).is_file():
            return folder / _NAME
    raise DataError(str(_FOLDERS[0] / _NAME), "is missing from this copy of catclf")
