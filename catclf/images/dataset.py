"""DATA of the command line: what is listed is known at once, pixels come when they are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from catclf.config import ReadOptions
from catclf.decoding import USUAL, Decoding
from catclf.errors import DataError
from catclf.images.labelled import Labelled
from catclf.images.listing import list_labelled
from catclf.images.local import FileDataSet, Hdf5DataSet, Loaded, RowDataSet
from catclf.images.paths import kind_of
from catclf.images.picture import Picture
from catclf.images.taken import Taken
from catclf.images.urls import NEEDS_SCHEDULER, is_url
from catclf.progress import Advanced
from catclf.view import View

if TYPE_CHECKING:
    from catclf.images.hdf5_rows import Hdf5Rows
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
    rows : Hdf5Rows or None
        The rows of features that there are instead of pictures.
    """

    labelled: Labelled
    view: View
    decoding: Decoding | None
    rows: Hdf5Rows | None

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
    usual: View | Callable[[], View],
    cluster: Cluster | None = None,
    decodings: Sequence[Decoding] = (),
    own_view: bool = False,
    album: bool = False,
) -> Iterator[DataSet]:
    """Open labelled pictures for the length of the block.

    Parameters
    ----------
    source : str
        ``DIR`` with one sub-folder a class, ``FILE.h5``, or a CSV file with columns path and label;
        with a scheduler also the URL of a folder or a CSV file.
    options : ReadOptions
    usual : View, or () -> View
        The view wanted, of a side that `options` may change; pictures of an HDF5 file keep
        their own otherwise. A function is asked only where there are pictures.
    cluster : Cluster or None
        Its workers read the pictures to load, and keep them.
    decodings : sequence of Decoding
        The rules of the models that the pictures are for; those to load are decoded by the first.
        None at all is that of a packed file, or the usual one.
    own_view : bool
        Whether the view has its final side, whatever that of the pictures is.
    album : bool
        Whether labels do not matter: see `list_labelled`.

    Raises
    ------
    DataError
        If the source is none of the three, is malformed, holds no picture, or was packed by another
        rule.
    """
    if kind_of(source) == "hdf5":
        from catclf.images.hdf5_channel import Hdf5Channel  # only where it is needed

        if is_url(source):
            reason = "is a URL; an HDF5 file must have a path that the workers can open"
            raise DataError(source, *(NEEDS_SCHEDULER if options.scheduler is None else (reason,)))
        with Hdf5Channel(source, options) as channel:
            channel.check_decoded(decodings)
            if channel.holds_rows:
                from catclf.images.hdf5_rows import Hdf5Rows

                yield RowDataSet(Hdf5Rows(channel), options)
                return
            from catclf.images.hdf5 import Hdf5Pictures

            file = Hdf5Pictures(source, options, channel)
            rule = decodings[0] if decodings else file.decoding or USUAL
            view, options = _sized(usual, rule, options, own_view)
            if cluster is None:
                yield Hdf5DataSet(file, options, view)
            else:
                from catclf.images.on_workers import Hdf5OnWorkers

                yield Hdf5OnWorkers(file, options, view, cluster)
        return
    rule = decodings[0] if decodings else USUAL
    view, options = _sized(usual, rule, options, own_view)
    taken = Taken(options.exclude, options.follow)
    listing = list_labelled(source, options.scheduler is not None, taken, album)
    if cluster is None:
        yield FileDataSet(listing, options, view)
    else:
        from catclf.images.on_workers import FilesOnWorkers

        yield FilesOnWorkers(listing, options, view, cluster)


def _sized(
    usual: View | Callable[[], View], rule: Decoding, options: ReadOptions, own_view: bool
) -> tuple[View, ReadOptions]:
    """Give the view the side that the options say, or the options that of the view."""
    view = (usual if isinstance(usual, View) else usual())._replace(decoding=rule)
    if own_view:
        return view, replace(options, size=view.side)
    return view if options.size is None else view._replace(side=options.size), options
