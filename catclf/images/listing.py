"""DATA of the command line → the pictures that it stands for, with their labels. Opens no picture."""

from __future__ import annotations

import base64
import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from catclf.errors import DataError, system_reason
from catclf.images.folder import EVERYTHING, OnIgnored, class_folders, is_picture_name, walk
from catclf.images.labelled import LEFT_OUT, Labelled, classes_of, usual_positive
from catclf.images.paths import Kind, kind_of
from catclf.images.picture import Picture
from catclf.images.taken import Taken, is_left_behind
from catclf.images.urls import NEEDS_SCHEDULER, class_files, is_url, read
from catclf.printable import number_of

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Beginnings of a text."""

IS_UTF_16 = "is text in UTF-16: save it as UTF-8"


class Listing(NamedTuple):
    """Pictures with their labels, not yet decoded.

    Attributes
    ----------
    pictures : list of Picture
    labelled : Labelled
        Of the same length.
    """

    pictures: list[Picture]
    labelled: Labelled


def list_labelled(
    source: str, urls: bool = False, taken: Taken = EVERYTHING, album: bool = False
) -> Listing:
    """List the pictures of a folder or a CSV file.

    Parameters
    ----------
    source : str
        ``DIR`` with one sub-folder a class, or a CSV file with columns path and label. Either may be a
        URL for fsspec, and so may the paths of a CSV file.
    urls : bool
        Whether there are workers that can read what is at a URL.
    taken : Taken
        What is wanted of a folder; of a CSV file the paths are those in it.
    album : bool
        Whether a folder may be one class: if it has pictures of its own, and no sub-folder is called as
        a positive class usually is.

    Raises
    ------
    DataError
        If it is neither, is malformed, or has no pictures.
    """
    if is_url(source) and not urls and not os.path.exists(source):
        raise DataError(source, *NEEDS_SCHEDULER)
    kind = kind_of(source)
    if kind not in _LISTERS:
        other = "is neither a folder, nor an .h5 file, nor a .csv of paths and labels"
        raise DataError(source, other if os.path.exists(source) else "no such file or directory")
    ignored: list[str] = []
    warnings: list[str] = []
    if kind == "folder" and album and _is_album(source, taken):
        listed = _in_one_class(source, ignored.append, taken, warnings.append)
    else:
        listed = _LISTERS[kind](source, ignored.append, taken, warnings.append)
    found = list(listed)
    names = {name for _, name in found}
    ordered = sorted(names) if kind == "csv" else dict.fromkeys(name for _, name in found)
    classes = classes_of(source, [*ordered])
    pictures = [picture for picture, _ in found if picture is not None]
    labelled = Labelled(
        source=source,
        labels=np.array(
            [classes.numbers[name] for picture, name in found if picture is not None], np.intp
        ),
        classes=classes.names,
        paths=tuple(picture.path for picture in pictures),
        usual_positive=usual_positive(classes.names),
        ignored=tuple(ignored),
        relative_to=os.path.dirname(source) if kind == "csv" else None,
        warnings=(*classes.warnings, *warnings),
    )
    labelled.refuse_none()
    return Listing(pictures, labelled)


Warn = Callable[[str], None]

_Found = Iterator[tuple[Picture | None, str]]
"""Pictures with their classes in order; None is that of a class without any."""


def _loose_pictures(folder: str, taken: Taken) -> int:
    """Count the pictures that are in no sub-folder."""
    here = os.path.basename(os.path.abspath(folder))
    try:
        with os.scandir(folder) as entries:
            return sum(
                is_picture_name(entry.name)
                and not is_left_behind(entry.name, here)
                and not taken.excludes(entry.name, False)
                and not os.path.isdir(entry.path)
                for entry in entries
            )
    except OSError as exc:
        raise DataError(folder, system_reason(exc)) from exc


def _is_album(folder: str, taken: Taken) -> bool:
    """Whether pictures would be ignored, and nothing says that the sub-folders are classes."""
    if not _loose_pictures(folder, taken):
        return False
    with os.scandir(folder) as entries:
        return usual_positive([entry.name for entry in entries if os.path.isdir(entry.path)]) is None


def _in_one_class(folder: str, on_ignored: OnIgnored, taken: Taken, warn: Warn) -> _Found:
    name = os.path.basename(os.path.abspath(folder))
    warn(f"{folder} has pictures outside sub-folders: all its pictures are one class, {name!r}")
    yield None, name
    for picture in walk(folder, on_ignored, taken):
        yield picture, name


def _in_folders(folder: str, on_ignored: OnIgnored, taken: Taken, warn: Warn) -> _Found:
    names = class_folders(folder, on_ignored, taken)
    if loose := _loose_pictures(folder, taken):
        lie = "1 picture lies" if loose == 1 else f"{loose} pictures lie"
        warn(f"{lie} in {folder} itself, and not in the folder of a class: ignored")
    for name in names:
        yield None, name
        for picture in walk(os.path.join(folder, name), on_ignored, taken, f"{name}/"):
            yield picture, name


def _in_store(url: str, on_ignored: OnIgnored, taken: Taken, warn: Warn) -> _Found:
    del warn
    found, ignored = class_files(url)
    for path in ignored:
        on_ignored(path)
    for name, files in found.items():
        if taken.excludes(name, is_folder=True):
            on_ignored(f"{url.rstrip('/')}/{name}")
            continue
        yield None, name
        for file in files:
            if taken.excludes_any(file[file.index(f"/{name}/") + 1 :]):
                on_ignored(file)
            else:
                yield Picture(file), name


def _in_csv(path: str, on_ignored: OnIgnored, taken: Taken, warn: Warn) -> _Found:
    """Rows of a sheet, which predict may have written: with an error where there is no label."""
    folder, failed, unlabelled, left_out, told = os.path.dirname(path), 0, 0, 0, False
    for line, row in csv_rows(path):
        if row["path"] and not row["label"] and row.get("error"):
            failed += 1
            continue
        if "probability" in row and not told:
            warn(f"{path} has a column probability: its labels may come from a model, not from people")
            told = True
        if not row["path"] or row["label"] is None:
            raise DataError(path, f"line {line}: expected a path and a label")
        if not row["label"] or row["label"] == LEFT_OUT:
            unlabelled += not row["label"]
            left_out += bool(row["label"])
            continue
        if taken.excludes_any(row["path"]):
            on_ignored(row["path"])
            continue
        beside = not is_url(row["path"])
        yield Picture(os.path.join(folder, row["path"]) if beside else row["path"]), row["label"]
    if failed:
        have = "has" if failed == 1 else "have"
        warn(f"{number_of(failed, 'row')} of {path} {have} an error and no label: skipped")
    if left_out:
        warn(f"{number_of(left_out, 'row')} of {path} labelled {LEFT_OUT!r}: left out")
    if unlabelled:
        have = "has" if unlabelled == 1 else "have"
        warn(f"{number_of(unlabelled, 'row')} of {path} {have} no label: skipped")


_LISTERS: dict[Kind, Callable[[str, OnIgnored, Taken, Warn], _Found]] = {
    "folder": _in_folders,
    "csv": _in_csv,
    "url": _in_store,
}


def csv_rows(path: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield the rows of a sheet with the columns path and label, each with its line.

    The head may stand between rows as well, where one list was appended to another. Where there is a
    column path_bytes, its base64 is the path of those rows that have it.

    Raises
    ------
    DataError
        If it cannot be read, is no CSV file, lacks one of these columns, or has a row with more fields.
    """
    import csv  # only where it is needed: it takes time to import

    try:
        with _opened_text(path) as file:
            reader = csv.DictReader(file, strict=True)
            if not {"path", "label"} <= set(reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise DataError(path, f"has the columns {found}; expected path,label")
            for row in reader:
                if None in row:
                    reason = "more fields than columns; quote paths that contain commas"
                    raise DataError(path, f"line {reader.line_num}: {reason}")
                if (row["path"], row["label"]) == ("path", "label"):  # a head between two lists
                    continue
                if raw := row.get("path_bytes"):
                    try:
                        row["path"] = os.fsdecode(base64.b64decode(raw, validate=True))
                    except ValueError as exc:
                        reason = "path_bytes is not base64"
                        raise DataError(path, f"line {reader.line_num}: {reason}") from exc
                yield reader.line_num, row
    except OSError as exc:
        raise DataError(path, system_reason(exc)) from exc
    except csv.Error as exc:
        raise DataError(path, f"is not a CSV file ({exc})") from exc


def _opened_text(path: str) -> io.TextIOWrapper:
    raw = io.BytesIO(read(path)) if is_url(path) else open(path, "rb")  # noqa: SIM115 - the caller's
    begins = raw.read(2)
    raw.seek(0)
    if begins in UTF_16:
        raw.close()
        raise DataError(path, IS_UTF_16)
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def folders_with(source: str, fits: Callable[[tuple[str, ...]], bool]) -> list[str]:
    """Find the sub-folders of the folder `source` that are data themselves, of classes that fit.

    For those who named the folder above the one that they meant. Reads no pictures, and nothing at all
    if `source` is not a folder.
    """
    found = []
    with contextlib.suppress(DataError):  # such as no sub-folders
        for name in class_folders(source, lambda path: None) if os.path.isdir(source) else ():
            below = os.path.join(source, name)
            with contextlib.suppress(DataError):
                if fits(tuple(class_folders(below, lambda path: None))):
                    found.append(below)
    return found
