"""Folder → sorted paths of the pictures below it. Opens no picture."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator

from catclf.errors import DataError, system_reason
from catclf.images.formats import suffixes
from catclf.images.picture import Picture
from catclf.images.taken import Taken, is_left_behind

OnIgnored = Callable[[str], None]

EVERYTHING = Taken()


def is_picture_name(name: str) -> bool:
    """Whether the suffix is that of a picture format, in either case."""
    return os.path.splitext(name)[1].lower() in suffixes()


def walk(
    folder: str, on_ignored: OnIgnored, taken: Taken = EVERYTHING, above: str = ""
) -> Iterator[Picture]:
    """Yield the pictures below `folder`, sorted by their paths' bytes, not yet decoded.

    Everything without the suffix of a picture is handed to `on_ignored`, and so is what is excluded or
    was left behind by a system. A sub-folder that cannot be listed is yielded as a `Picture` with an
    error. Sub-folders that are symbolic links are ignored, unless they are to be followed: then each
    folder is entered once.

    Parameters
    ----------
    folder : str
    on_ignored : (path) -> None
    taken : Taken
    above : str
        Where `folder` is below the folder that patterns are for, with a slash at its end.
    """
    # Not recursive: folders can be nested deeper than Python's calls.
    listings = [(_listing(folder), above, os.path.basename(os.path.abspath(folder)))]
    entered = {_identity(folder)} if taken.follow else set()
    while listings:
        entries, below, name = listings[-1]
        entry = next(entries, None)
        if entry is None:
            listings.pop()
            continue
        if isinstance(entry, DataError):
            yield Picture(entry.path, error=entry)
            continue
        linked = taken.follow and entry.is_symlink() and _leads_to_folder(entry)
        is_folder = linked or entry.is_dir(follow_symlinks=False)
        path = below + entry.name
        if is_left_behind(entry.name, name) or taken.excludes(path, is_folder):
            on_ignored(entry.path)
        elif is_folder:
            identity = _identity(entry.path) if taken.follow else None
            if identity is not None and identity in entered:
                on_ignored(entry.path)
                continue
            entered.add(identity)
            listings.append((_listing(entry.path, None if linked else entry), f"{path}/", entry.name))
        elif is_picture_name(entry.name) and not _leads_to_folder(entry):
            yield Picture(entry.path)
        else:
            on_ignored(entry.path)


def _identity(folder: str) -> tuple[int, int] | None:
    """What is the same of a folder by whatever path it is reached; None if nobody knows."""
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _listing(
    folder: str, entry: os.DirEntry[str] | None = None
) -> Iterator[os.DirEntry[str] | DataError]:
    """Yield the entries of a folder in order, or the one reason why they are not known.

    `entry` is what the folder above it has said of it: one that has been replaced since, as by a link
    that leads elsewhere, is not listed.
    """
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=_path_order)
            for one in entries:
                if one.is_dir(follow_symlinks=False):
                    one.stat(follow_symlinks=False)  # it is remembered
        if entry is not None and not _is_still(entry):
            yield DataError(folder, "was replaced while the folder above it was read")
            return
    except OSError as exc:
        yield DataError(folder, system_reason(exc))
        return
    yield from entries


def _is_still(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is the one that it was when it was listed."""
    then, now = entry.stat(follow_symlinks=False), os.lstat(entry.path)
    return (then.st_dev, then.st_ino) == (now.st_dev, now.st_ino)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a symbolic link to itself
        return False


def _path_order(entry: os.DirEntry[str]) -> bytes:
    # With its slash a folder sorts among files as its contents' full paths do.
    return os.fsencode(entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)


def class_folders(folder: str, on_ignored: OnIgnored, taken: Taken = EVERYTHING) -> list[str]:
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
    names, here = [], os.path.basename(os.path.abspath(folder))
    for entry in entries:
        left_out = is_left_behind(entry.name, here) or taken.excludes(entry.name, True)
        if _leads_to_folder(entry) and not left_out:
            names.append(entry.name)
        else:
            on_ignored(entry.path)
    if not names:
        raise DataError(folder, _no_classes(folder, [entry.name for entry in entries]))
    return names


_FLAT = re.compile(r"([A-Za-z]+)[._ -]?[0-9].*")
_MAKES_CSV = r"(echo path,label; ls | sed -nE 's/^([A-Za-z]+)[._ -]?[0-9].*/&,\1/p') > labels.csv"


def _no_classes(folder: str, names: list[str]) -> str:
    """Say what a folder without sub-folders lacks; if its files are named by class, what makes a CSV."""
    expected = "has no sub-folders; expected one for each class, as in cat/, dog/"
    pictures = [name for name in names if is_picture_name(name)]
    begins = {found[1] for found in map(_FLAT.fullmatch, pictures) if found is not None}
    if not 2 <= len(begins) <= 20 or 10 * len(begins) > max(20, len(pictures)):
        return expected
    shown = ", ".join(sorted(begins)[:5])
    made = f"cd {shlex.quote(folder)} && {_MAKES_CSV}"
    return f"{expected}. Its files are named by class ({shown}): make a CSV and train from it: {made}"
