"""What a path is: a folder, an HDF5 file, a list with labels, a URL, or the file of a picture."""

from __future__ import annotations

import os
from typing import Literal

from catclf.images.hdf5_process import is_hdf5_name
from catclf.images.urls import is_url

Kind = Literal["folder", "hdf5", "csv", "url", "file"]


def kind_of(path: str) -> Kind:
    """Say what a path is, by what is there and by its name; what is not there is a file."""
    if os.path.isdir(path):
        return "folder"
    if is_hdf5_name(path):
        return "hdf5"
    if path.lower().endswith(".csv"):
        return "csv"
    return "url" if is_url(path) and not os.path.exists(path) else "file"


class RealPaths:
    """Gives the real paths of many files in few folders."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)
