"""Pictures at URLs, in an object store or any other place that fsspec knows: listed and fetched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from catclf.errors import DataError, Setting
from catclf.images.folder import is_picture_name
from catclf.images.taken import is_left_behind

NEEDS_SCHEDULER = ("is a URL; train, eval, predict and pack read those with a ", Setting("scheduler"))


def is_url(path: str) -> bool:
    """Whether `path` names its file system, as in ``s3://bucket/photos``."""
    return "://" in path


def class_files(url: str) -> tuple[dict[str, list[str]], list[str]]:
    """List the pictures in each sub-folder of `url`, and what is ignored.

    They are in the same order as `catclf.images.folder.walk` has for a folder.

    Raises
    ------
    DataError
        If it cannot be listed or has no sub-folders.
    """
    with _blaming(url):
        system, root = _file_system(url)
        entries = sorted(system.ls(root, detail=True), key=lambda entry: _name(entry["name"]))
        found: dict[str, list[str]] = {}
        ignored: list[str] = []
        for entry in entries:
            name = _name(entry["name"])
            if entry["type"] == "directory" and not is_left_behind(name):
                files = system.find(entry["name"])
                kept = [file for file in files if _is_wanted(file, entry["name"])]
                ignored += map(system.unstrip_protocol, sorted(set(files) - set(kept)))
                found[name] = [system.unstrip_protocol(file) for file in sorted(kept, key=os.fsencode)]
            else:
                ignored.append(system.unstrip_protocol(entry["name"]))
    if not found:
        raise DataError(url, "has no sub-folders; expected one for each class, as in cat/, dog/")
    return found, ignored


def files_below(url: str) -> list[str]:
    """List the pictures below a folder, in order; raises a DataError if that fails."""
    with _blaming(url):
        system, root = _file_system(url)
        found = system.find(root)
        if not found and not system.exists(root):  # it lists what is not there as empty
            raise FileNotFoundError
        kept = [file for file in found if _is_wanted(file, root)]
        return [system.unstrip_protocol(file) for file in sorted(kept, key=os.fsencode)]


def read(url: str) -> bytes:
    """Fetch a whole object; raises a DataError if that fails."""
    (content,) = fetch([url])
    if isinstance(content, DataError):
        raise content
    return content


def fetch(urls: Sequence[str]) -> list[bytes | DataError]:
    """Fetch whole objects, at the same time where their file system can; or the reasons why not."""
    answers: dict[str, bytes | DataError] = {}
    for protocol in sorted({url.partition("://")[0] for url in urls}):
        alike = [url for url in urls if url.startswith(f"{protocol}://")]
        try:
            with _blaming(alike[0]):
                system, _ = _file_system(alike[0])
                names = [system._strip_protocol(url) for url in alike]
                # Whole files. `cat` would do, but for it a name with [, * or ? is a pattern.
                contents = system.cat_ranges(names, None, None, on_error="return")
                answers |= zip(alike, contents, strict=True)
        except DataError as exc:
            answers |= dict.fromkeys(alike, exc)
    return [
        answer if isinstance(answer := answers[url], bytes) else DataError(url, _reason(answer))
        for url in urls
    ]


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    return system, path


@contextlib.contextmanager
def _blaming(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as exc:  # every file system has errors of its own
        raise DataError(url, _reason(exc)) from exc


def _reason(exc: object) -> str:
    if isinstance(exc, DataError):
        return exc.reason
    if isinstance(exc, FileNotFoundError):
        return "no such file or directory"
    strerror = getattr(exc, "strerror", None)
    return strerror.lower() if strerror else " ".join(str(exc).split()) or type(exc).__name__


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _is_wanted(file: str, folder: str) -> bool:
    below = file.removeprefix(folder).strip("/").split("/")
    return is_picture_name(below[-1]) and not any(is_left_behind(name) for name in below)
