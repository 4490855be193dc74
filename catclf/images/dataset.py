"""DATA of the command line: what is listed is known at once, pixels come when they are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from catclf.config import ReadOptions
from catclf.decoding import USUAL, Decoding
from catclf.errors import DataError
from catclf.images.labelled import Labelled
from catclf.images.listing import list_labelled
from catclf.images.local import FileDataSet, Hdf5DataSet, Loaded
from catclf.images.paths import kind_of
from catclf.images.picture import Picture
from catclf.images.taken import Taken
from catclf.images.urls import NEEDS_SCHEDULER, is_url
from catclf.progress import Advanced
from catclf.view import View

if TYPE_CHECKING:
    from catclf.work.cluster import Cluster


class DataSet(Protocol):
    """Labelled pictures of which none has been decoded yet.

    Attributes
    ----------
    labelled : Labelled
        What is listed.
    view : View
        The square that is made of each.
    decoding : Decoding or None
        By which rule files become pixels; None where that is not known.
    """

    labelled: Labelled
    view: View
    decoding: Decoding | None

    def pictures(self, first: int = 0) -> Iterator[Picture]:
        """Yield those from a position on, in order, to be decoded."""

    def identity(self, position: int) -> bytes:
        """What changes when somebody replaces the picture."""

    def load(self, advanced: Advanced) -> Loaded:
        """Decode them all.

        They come into memory, or stay in their file or on workers. Where a budget of memory does not
        suffice, or `on_error` is "fail" and a picture cannot be read, a DataError says so.
        """


@contextlib.contextmanager
def opened(
    source: str,
    options: ReadOptions,
    usual: View,
    cluster: Cluster | None = None,
    decodings: Sequence[Decoding] = (),
) -> Iterator[DataSet]:
    """Open labelled pictures for the length of the block.

    Parameters
    ----------
    source : str
        ``DIR`` with one sub-folder a class, ``FILE.h5``, or a CSV file with columns path and label;
        with a scheduler also the URL of a folder or a CSV file.
    options : ReadOptions
    usual : View
        The view wanted, of a side that `options` may change. Pictures of an HDF5 file keep their own
        where they are only to be squashed.
    cluster : Cluster or None
        Its workers read the pictures to load, and keep them.
    decodings : sequence of Decoding
        The rules of the models that the pictures are for; those to load are decoded by the first.
        None at all is that of a packed file, or the usual one.

    Raises
    ------
    DataError
        If the source is none of the three, is malformed, holds no picture, or was packed by another
        rule.
    """
    view = usual if options.size is None else usual._replace(side=options.size)
    if kind_of(source) == "hdf5":
        from catclf.images.hdf5 import Hdf5Pictures  # only where it is needed: it takes time to import

        if is_url(source):
            reason = "is a URL; an HDF5 file must have a path that the workers can open"
            raise DataError(source, *(NEEDS_SCHEDULER if options.scheduler is None else (reason,)))
        with Hdf5Pictures(source, options) as file:
            file.check_decoded(decodings)
            view = view._replace(decoding=decodings[0] if decodings else file.decoding or USUAL)
            if cluster is None:
                yield Hdf5DataSet(file, options, view)
            else:
                from catclf.images.on_workers import Hdf5OnWorkers

                yield Hdf5OnWorkers(file, options, view, cluster)
        return
    view = view._replace(decoding=decodings[0] if decodings else USUAL)
    taken = Taken(options.exclude, options.follow)
    listing = list_labelled(source, options.scheduler is not None, taken)
    if cluster is None:
        yield FileDataSet(listing, options, view)
    else:
        from catclf.images.on_workers import FilesOnWorkers

        yield FilesOnWorkers(listing, options, view, cluster)
