"""Folder → sorted paths of the pictures below it. Opens no picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from catclf.errors import DataError, system_reason
from catclf.images.picture import Picture

PICTURE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".gif",
        ".bmp",
        ".dib",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".avif",
        ".jp2",
        ".j2k",
        ".jpx",
        ".ico",
    ]
)

OnIgnored = Callable[[str], None]


def is_junk(name: str) -> bool:
    """Whether an entry of a folder is ignored by its name: hidden, or an operating system's own."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini", "__macosx")


def is_picture_name(name: str) -> bool:
    """Whether the suffix is that of a picture format, in either case."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES


def walk(folder: str, on_ignored: OnIgnored) -> Iterator[Picture]:
    """Yield the pictures below `folder`, sorted by their paths' bytes, not yet decoded.

    Everything without the suffix of a picture is handed to `on_ignored`. A sub-folder that cannot be
    listed is yielded as a `Picture` with an error. Sub-folders that are symbolic links are ignored: they
    can form loops.
    """
    # Not recursive: folders can be nested deeper than Python's calls.
    listings = [_listing(folder)]
    while listings:
        entry = next(listings[-1], None)
        if entry is None:
            listings.pop()
        elif isinstance(entry, DataError):
            yield Picture(entry.path, error=entry)
        elif is_junk(entry.name):
            on_ignored(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            listings.append(_listing(entry.path))
        elif is_picture_name(entry.name) and not _leads_to_folder(entry):
            yield Picture(entry.path)
        else:
            on_ignored(entry.path)


def _listing(folder: str) -> Iterator[os.DirEntry[str] | DataError]:
    """Yield the entries of a folder in order, or the one reason why they are not known."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=_path_order)
    except OSError as exc:
        yield DataError(folder, system_reason(exc))
        return
    yield from entries


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a symbolic link to itself
        return False


def _path_order(entry: os.DirEntry[str]) -> bytes:
    # With its slash a folder sorts among files as its contents' full paths do.
    return os.fsencode(entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)


def class_folders(folder: str, on_ignored: OnIgnored) -> list[str]:
    """Names of the sub-folders of `folder`, sorted: one a class. Symbolic links to folders count.

    Raises
    ------
    DataError
        If there is none, or the folder cannot be listed.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError as exc:
        raise DataError(folder, system_reason(exc)) from exc
    names = []
    for entry in entries:
        if _leads_to_folder(entry) and not is_junk(entry.name):
            names.append(entry.name)
        else:
            on_ignored(entry.path)
    if not names:
        raise DataError(folder, "has no sub-folders; expected one for each class, as in cat/, dog/")
    return names
