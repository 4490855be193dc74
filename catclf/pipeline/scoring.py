"""A stream of pictures → a stream of scores or rows, on all cores or on a cluster. Knows no labels."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from catclf.config import ReadOptions
from catclf.errors import ConfigError, DataError, MissingExtraError, system_reason
from catclf.features import Features, Viewing, carried, wants_file
from catclf.images.decode import Decoder, viewed
from catclf.images.picture import Picture
from catclf.model import Model, load
from catclf.printable import number_of
from catclf.progress import Progress
from catclf.unusual import FLAT, flat_shares
from catclf.view import RgbArray, View
from catclf.work.parts import delayed
from catclf.work.pools import Function, Here, OnThreads, Pool, await_readable
from catclf.work.spread import MOST, Waiting, spread

if TYPE_CHECKING:
    from distributed import Future

    from catclf.stores.on_workers import Piece
    from catclf.work.cluster import Cluster

FEW = 16
"""So many pictures are scored in one thread: a process takes milliseconds to make."""

_SENT_TO_WORKERS = 256
"""Handing pictures out to another machine must cost less than decoding them."""

Pictures = Iterable[Picture | Waiting]


def loaded(
    models: Iterable[Model | str | os.PathLike[str]],
    prior: float | None,
    read: ReadOptions,
    maybe_rows: bool = False,
) -> list[Model]:
    """Load those that are paths, and have them ready to score pictures.

    Parameters
    ----------
    models : iterable of Model or path
    prior : float or None
        Expected share of positive pictures, if it differs from the training data.
    read : ReadOptions
        Its `encoder` is the network of those models that need one.
    maybe_rows : bool
        Whether there may be rows alone to score, for which no network is needed.

    Raises
    ------
    ConfigError
        If no model needs the encoder.
    """
    found = [model if isinstance(model, Model) else load(os.fspath(model)) for model in models]
    if read.encoder is not None and not any(model.features.kind.own_view for model in found):
        rule = "cannot be used: the model's features need no network"
        raise ConfigError("encoder", os.fspath(read.encoder), rule)
    wanted = any(wants_file(model.features) for model in found)
    try:
        ready = [_at_hand(model, read, wanted) for model in found]
    except (DataError, MissingExtraError):
        if not maybe_rows or read.encoder is not None:
            raise
        ready = found
    return ready if prior is None else [model.with_prior(prior) for model in ready]


def _at_hand(model: Model, read: ReadOptions, wanted: bool) -> Model:
    """Have a model ready; `wanted` is whether one of several needs the encoder."""
    if not model.features.kind.own_view:
        return model
    if wanted and not wants_file(model.features):  # it finds its network by itself
        read = replace(read, encoder=None, encoder_output=None)
    return replace(model, features=cast(Viewing, model.features).at_hand(read))


class Scored(NamedTuple):
    """A picture's scores, or the reason why there are none.

    Attributes
    ----------
    path : str
    scores : tuple of float
        z = wᵀx + b of each model.
    error : DataError or None
    mark : int or None
        Fingerprint of what the first model sees, if that was asked for.
    views : tuple of (h, w, 3) uint8
        Those that were to be kept.
    shorter, endless
        See `catclf.images.picture.Decoded`.
    unusual : bool or None
        Whether it is unlike the pictures that the first model was trained on; None if that is not known.
    """

    path: str
    scores: tuple[float, ...]
    error: DataError | None = None
    mark: int | None = None
    views: tuple[RgbArray, ...] = ()
    shorter: int = 0
    endless: bool = False
    unusual: bool | None = None


@dataclass(frozen=True, eq=False)
class Scorer:
    """Decodes and scores some pictures at a time. It may be sent to other processes.

    Parameters
    ----------
    models : tuple of Model
        One decoding serves them all.
    options : ReadOptions
    marked : bool
        Whether fingerprints are wanted.
    kept : tuple of View
        What is to be kept of each picture.
    """

    models: tuple[Model, ...]
    options: ReadOptions
    marked: bool = False
    kept: tuple[View, ...] = ()

    @property
    def decoder(self) -> Decoder:
        """Gives a view for each model, then those to be kept."""
        seen = tuple(model.view for model in self.models)
        return Decoder(seen + self.kept, self.options.max_pixels)

    def carried(self) -> Scorer:
        """Return the same for other machines."""
        return replace(self, models=tuple(replace(m, features=carried(m.features)) for m in self.models))

    def __call__(self, pictures: list[Picture], decoder: Decoder | None = None) -> list[Scored]:
        """Score some pictures; the scores of a picture do not depend on those beside it."""
        scored: list[Scored] = []
        for are_rows, group in groupby(pictures, lambda picture: picture.row is not None):
            some = [*group]
            scored += self._of_rows(some) if are_rows else self._of_pictures(some, decoder)
        return scored

    def _of_rows(self, pictures: list[Picture]) -> list[Scored]:
        """Score pictures of which the rows are known; they fit all models."""
        rows = np.array([picture.row for picture in pictures])
        scores = zip(*(model.scores_of(rows).tolist() for model in self.models), strict=True)
        unusual = _unusual(self.models[0], rows, None)
        return [
            Scored(
                picture.path,
                found,
                mark=picture.mark if self.marked else None,
                views=self._views(picture),
                shorter=sys.maxsize,
                unusual=is_unusual,
            )
            for picture, found, is_unusual in zip(pictures, scores, unusual, strict=True)
        ]

    def _views(self, picture: Picture) -> tuple[RgbArray, ...]:
        assert picture.pixels is not None  # the thumbnail
        return tuple(viewed(picture.pixels, view) for view in self.kept)

    def _of_pictures(self, pictures: list[Picture], decoder: Decoder | None) -> list[Scored]:
        decoded = list((decoder or self.decoder)(pictures))
        good = [one.views for one in decoded if one.error is None]
        scores, marks = [], None
        unusual: Iterator[bool | None] = iter(())
        for k, model in enumerate(self.models):
            images = [views[k] for views in good]
            seen = np.array(images, np.uint8).reshape(-1, model.size, model.size, 3)
            rows = model.features.rows(seen)
            scores.append(model.scores_of(rows).tolist())
            if k == 0:
                unusual = iter(_unusual(model, rows, seen))
            if self.marked and k == 0:
                from catclf.fingerprints import fingerprint  # only where it is needed

                marks = iter(fingerprint(seen).tolist())
        found = zip(*scores, strict=True)
        kept = slice(len(self.models), None)
        return [
            Scored(one.path, (), one.error)
            if one.error is not None
            else Scored(
                one.path,
                next(found),
                mark=marks and next(marks),
                views=one.views[kept],
                shorter=one.shorter,
                endless=one.endless,
                unusual=next(unusual),
            )
            for one in decoded
        ]


def _unusual(model: Model, rows: NDArray[Any], seen: RgbArray | None) -> Sequence[bool | None]:
    """Whether pictures are unlike those of the training, by their rows; or flat, if rows do not tell."""
    if model.usual is not None:
        found: list[bool | None] = model.usual.are_unusual(rows).tolist()
        return found
    if seen is None or model.features.kind.tells_unusual:
        return [None] * len(rows)
    return [share > FLAT for share in flat_shares(seen).tolist()]


class Row(NamedTuple):
    """A picture's row of features, or the reason why there is none.

    Attributes
    ----------
    path : str
    numbers : (n_x,) array or None
    error : DataError or None
    mark : int or None
        Fingerprint of what the features see.
    views : tuple of (h, w, 3) uint8
        Those that were to be kept.
    shorter, endless
        See `catclf.images.picture.Decoded`.
    """

    path: str
    numbers: NDArray[Any] | None
    error: DataError | None = None
    mark: int | None = None
    views: tuple[RgbArray, ...] = ()
    shorter: int = 0
    endless: bool = False


@dataclass(frozen=True, eq=False)
class RowMaker:
    """Decodes some pictures at a time and computes their rows. It may be sent to other processes.

    Parameters
    ----------
    features : Features or None
        None makes no rows.
    view : View
        What is seen of a picture.
    options : ReadOptions
    kept : tuple of View
        What is to be kept of each picture.
    """

    features: Features | None
    view: View
    options: ReadOptions
    kept: tuple[View, ...] = ()

    @property
    def decoder(self) -> Decoder:
        """Gives what the features see, then the views to be kept."""
        return Decoder((self.view, *self.kept), self.options.max_pixels)

    def carried(self) -> RowMaker:
        """Return the same for other machines."""
        return self if self.features is None else replace(self, features=carried(self.features))

    def __call__(self, pictures: list[Picture], decoder: Decoder | None = None) -> list[Row]:
        """Compute the rows of some pictures, none of which depends on the others."""
        rows: list[Row] = []
        for are_rows, group in groupby(pictures, lambda picture: picture.row is not None):
            some = [*group]
            rows += map(self._known, some) if are_rows else self._made(some, decoder)
        return rows

    def _known(self, picture: Picture) -> Row:
        """Take the row that a picture comes with; its pixels are the thumbnail."""
        assert picture.pixels is not None
        views = tuple(viewed(picture.pixels, view) for view in self.kept)
        return Row(picture.path, picture.row, None, picture.mark, views, sys.maxsize)

    def _made(self, pictures: list[Picture], decoder: Decoder | None) -> list[Row]:
        from catclf.fingerprints import fingerprint

        rows = []
        for one in (decoder or self.decoder)(pictures):
            if one.error is not None:
                rows.append(Row(one.path, None, one.error))
                continue
            seen = np.array(one.views[:1])
            (numbers,) = (None,) if self.features is None else self.features.rows(seen)
            (mark,) = fingerprint(seen).tolist()
            rows.append(Row(one.path, numbers, None, mark, one.views[1:], one.shorter, one.endless))
        return rows


def scored(
    scorer: Scorer,
    pictures: Pictures,
    processes: bool = False,
    progress: Progress | None = None,
) -> Generator[list[Scored], None, None]:
    """Yield the scores of some neighbouring pictures at a time, in order, as soon as they are there.

    Parameters
    ----------
    scorer : Scorer
        Its options say on how many cores or on which cluster.
    pictures : iterable of Picture
        Read as needed. Where a `Waiting` stands among them, scores do not wait for what follows it.
    processes : bool
        Whether many pictures may be scored in worker processes, which need not take turns as threads do.
    progress : Progress or None
        Hears what did not go as planned.
    """
    progress = progress or Progress()
    if scorer.options.scheduler is not None:
        chunks = _on_cluster(scorer, pictures, progress)
    else:
        chunks = _here(scorer, scorer.options.cores, _crashed_scores, pictures, processes, progress)
    needed = [model.view.needed for model in scorer.models if model.features.kind.own_view]
    return _reporting(chunks, max(needed, default=0), progress)


def _reporting(
    chunks: Generator[list[Scored], None, None], needed: int, progress: Progress
) -> Generator[list[Scored], None, None]:
    """Pass scores on, and say at the end how many pictures were enlarged, or lacked their end."""
    small = done = endless = 0
    with closing(chunks):
        for some in chunks:
            good = [answer for answer in some if answer.error is None]
            done, small = done + len(good), small + sum(answer.shorter < needed for answer in good)
            endless += sum(answer.endless for answer in good)
            yield some
    progress.endless(endless)
    said = (
        f"{small} of {number_of(done, 'picture')} are smaller than {needed}×{needed} and were enlarged"
    )
    if small > done / 2:
        progress.warning(f"{said}: the model was trained on larger ones")
    elif small:
        progress.note(said)


def rows_of(
    maker: RowMaker, pictures: Pictures, processes: bool, progress: Progress
) -> Generator[list[Row], None, None]:
    """Yield rows as `scored` does scores."""
    if maker.options.scheduler is not None:
        return _on_cluster(maker, pictures, progress)
    return _here(maker, maker.options.cores, _crashed_row, pictures, processes, progress)


def _here(
    function: Function,
    jobs: int,
    crashed: Callable[[Picture, str], Any],
    pictures: Pictures,
    processes: bool,
    progress: Progress,
) -> Generator[list[Any], None, None]:
    source = iter(pictures)
    first, rest = _peeked(source) if processes else ([], source)
    many = len(first) > FEW or (first != [] and isinstance(first[-1], Waiting))
    # What is decoded already would have to be sent, which takes longer than to score it.
    files = all(isinstance(picture, Waiting) or picture.pixels is None for picture in first)
    pool: Pool = Here(function)
    if jobs > 1 and (many or not processes):
        try:
            pool = _pool(function, jobs, crashed, processes and files, progress)
        except OSError as exc:  # no file can be opened
            progress.note(f"using one core: {exc.strerror}")
    with closing(pool):
        yield from spread(map(_sendable, chain(first, rest)), pool, _bytes)


def _pool(
    function: Function,
    jobs: int,
    crashed: Callable[[Picture, str], Any],
    processes: bool,
    progress: Progress,
) -> Pool:
    if not processes:
        return OnThreads(function, jobs)
    from catclf.work.processes import InProcesses  # only here: it takes time to import

    return InProcesses(function, jobs, crashed, progress.note)


def _peeked(pictures: Iterator[Picture | Waiting]) -> tuple[list[Picture | Waiting], Pictures]:
    """Take enough pictures to know whether there are many, as far as they are there; and the others."""
    first: list[Picture | Waiting] = []
    try:
        for picture in islice(pictures, FEW + 1):
            first.append(picture)
            if isinstance(picture, Waiting):
                break
    except Exception as exc:  # it comes after the pictures before it
        return first, _failing(exc)
    return first, pictures


def _failing(exc: Exception) -> Iterator[Picture]:
    yield from ()
    raise exc


def _crashed_scores(picture: Picture, ending: str) -> Scored:
    return Scored(picture.path, (), _crashed(picture, ending))


def _crashed_row(picture: Picture, ending: str) -> Row:
    return Row(picture.path, None, _crashed(picture, ending))


def _crashed(picture: Picture, ending: str) -> DataError:
    """Say of a picture that no worker process survives it."""
    reason = f"could not be decoded: a worker process that was given only this picture {ending}"
    return DataError(picture.path, reason)


def _bytes(picture: Picture) -> int:
    if isinstance(picture.stream, io.BytesIO):
        return picture.stream.getbuffer().nbytes
    return 0 if picture.pixels is None else picture.pixels.nbytes


def _on_cluster(
    function: Scorer | RowMaker, pictures: Pictures, progress: Progress
) -> Generator[list[Any], None, None]:
    from catclf.work.cluster import connected  # only where it is needed: it takes time to import

    options = function.options
    assert options.scheduler is not None
    with connected(options.scheduler, options.jobs, progress.warning) as cluster:
        for warning in cluster.differences():
            progress.warning(warning)
        shared, folder = cluster.send(function.carried()), os.getcwd()
        tasks = ((shared, folder, batch) for batch in _batches(map(_sendable, pictures)))
        yield from cluster.ordered_map(_on_worker, tasks)


def rows_on_workers(
    maker: RowMaker, pictures: Pictures, empty: NDArray[Any], cluster: Cluster
) -> Generator[tuple[list[Row], Piece], None, None]:
    """Yield what is known of some neighbouring pictures at a time, and where their rows are.

    Parameters
    ----------
    maker : RowMaker
        Its features find what they need on the workers.
    pictures : iterable of Picture
    empty : (0, n_x) array
        Has the shape and dtype of the rows.
    cluster : Cluster

    Yields
    ------
    list of Row, Piece
        The rows without their numbers, and the numbers of those without an error.
    """
    from catclf.stores.on_workers import Piece

    shared, folder, submit = cluster.send(maker.carried()), os.getcwd(), cluster.submit

    def begun() -> Iterator[tuple[Future[RowBlock], Future[list[Row]]]]:
        for batch in _batches(map(_sendable, pictures)):
            block = submit(_block_of, shared, folder, batch, empty)
            yield block, submit(_all_but_numbers, block)

    for block, told in delayed(begun(), cluster.ahead):
        (rows,) = cluster.gather([told])
        failed = {k for k, row in enumerate(rows) if row.error is not None}
        good = np.array([k for k in range(len(rows)) if k not in failed], np.intp)
        yield rows, Piece(submit(_numbers, block, failed), good)


def _batches(pictures: Pictures) -> Iterator[list[Picture]]:
    """Yield as many as one message carries, fewer if there are no more right now."""
    batch: list[Picture] = []
    for picture in pictures:
        if not isinstance(picture, Waiting):
            batch.append(picture)
        if batch and (isinstance(picture, Waiting) or len(batch) == _SENT_TO_WORKERS):
            yield batch
            batch = []
        elif isinstance(picture, Waiting):
            await_readable(picture.handle)
    if batch:
        yield batch


def _sendable(picture: Picture | Waiting) -> Picture | Waiting:
    """Read a stream, which cannot be sent."""
    if isinstance(picture, Waiting) or picture.stream is None:
        return picture
    try:
        return picture._replace(stream=io.BytesIO(picture.stream.read()))
    except (OSError, ValueError) as exc:
        return Picture(picture.path, error=DataError(picture.path, system_reason(exc)))


# What the workers of a cluster do.


def _on_worker(task: tuple[Scorer | RowMaker, str, list[Picture]]) -> list[Scored] | list[Row]:
    function, folder, pictures = task
    decoder = _anywhere(function.decoder, folder)
    chunks = (pictures[k : k + MOST] for k in range(0, len(pictures), MOST))
    answers: list[Any] = [answer for chunk in chunks for answer in function(chunk, decoder)]
    return answers


def _anywhere(here: Decoder, folder: str) -> Decoder:
    """The same decoder for paths that are relative to `folder`, and for URLs."""
    from catclf.images.on_workers import DecoderAnywhere

    return DecoderAnywhere(here.views, here.max_pixels, folder)


class RowBlock(NamedTuple):
    """Rows (k, n_x), of zeros where a picture has an error, and what else is known of the pictures."""

    numbers: NDArray[Any]
    rows: list[Row]


def _block_of(maker: RowMaker, folder: str, pictures: list[Picture], empty: NDArray[Any]) -> RowBlock:
    numbers = np.zeros((len(pictures), *empty.shape[1:]), empty.dtype)
    rows = []
    for k, row in enumerate(maker(pictures, _anywhere(maker.decoder, folder))):
        if row.numbers is not None:
            numbers[k] = row.numbers
        rows.append(row._replace(numbers=None))
    return RowBlock(numbers, rows)


def _all_but_numbers(block: RowBlock) -> list[Row]:
    return block.rows


def _numbers(block: RowBlock, known: set[int]) -> NDArray[Any]:
    """Pick the rows; when they had to be made again, what was readable must be so still."""
    for k, row in enumerate(block.rows):
        if row.error is not None and k not in known:
            raise row.error
    return block.numbers
