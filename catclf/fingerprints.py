"""Pictures that are known again by their pixels: duplicates, overlap with training, resuming."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from catclf.printable import number_of

Marks = NDArray[np.uint64]

MOST_KEPT = 4_000_000
"""A model of more pictures does not remember them: its file would be too large to be read again."""


def fingerprint(images: NDArray[np.uint8]) -> Marks:
    """64 bits of the SHA-256 of the pixels of each picture, (m,), to know a picture again."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest()[:8] for image in images)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def kept(marks: Marks) -> Marks:
    """Return what a model remembers of the pictures that it was trained on."""
    return marks if len(marks) <= MOST_KEPT else marks[:0]


def overlap(known: Marks, marks: Marks) -> list[tuple[int, int]]:
    """Find the pictures that are `known`: the position in `marks`, and the first one in `known`."""
    first = {mark: k for k, mark in reversed(list(enumerate(known.tolist())))}
    return [(k, first[mark]) for k, mark in enumerate(marks.tolist()) if mark in first]


def count_new(known: Marks, marks: Marks) -> int | None:
    """Count the pictures of `marks` that are not `known`; None if both are the same pictures."""
    if np.array_equal(np.sort(marks), np.sort(known)):
        return None
    return int((~np.isin(marks, known)).sum())


def duplicates(
    marks: Marks, paths: Sequence[str], y: NDArray[np.float64], trained_on: NDArray[np.bool_]
) -> Iterator[str]:
    """Yield sentences about pictures that occur more than once.

    Parameters
    ----------
    marks : (m,) uint64
    paths : sequence of str, m of them
    y : (m,) float64, 0 or 1
    trained_on : (m,) bool
        The others are held out.
    """
    numbers = marks.tolist()
    first: dict[int, int] = {}
    again = [(k, first.setdefault(mark, k)) for k, mark in enumerate(numbers)]
    pairs = [(k, earlier) for k, earlier in again if k != earlier]
    torn = [pair for pair in pairs if y[pair[0]] != y[pair[1]]]
    seen = {mark: k for k, mark in enumerate(numbers) if trained_on[k]}
    held_out = np.flatnonzero(~trained_on).tolist()
    leaked = [(k, seen[numbers[k]]) for k in held_out if numbers[k] in seen]
    for found, what in (
        (pairs, "more than once"),
        (torn, "with different labels"),
        (leaked, "both held out and trained on, which makes the scores too good"),
    ):
        if found:
            k, other = found[0]
            count = number_of(len(found), "picture")
            yield f"{count} found {what}; the first: {paths[k]} is {paths[other]}"
