"""A Dask scheduler and its workers: connecting, computing, noticing that they have gone.

The only module that knows Dask, and only while a scheduler is used. Knows no pictures.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from catclf.errors import ClusterError, ConfigError, Setting
from catclf.work.parts import core_count
from catclf.work.signals import left_to_others
from catclf.work.threads import ordered_on

if TYPE_CHECKING:
    from distributed import Client, Future

Result = TypeVar("Result")

LOCAL = "local"
"""The scheduler's address that stands for worker processes on this machine."""

_CONNECT_SECONDS = 10
_FIRST_WORKER_SECONDS = 120
# How long all workers may be away, and how often it is asked whether they are.
_LONELY_SECONDS = 120.0
_WATCH_SECONDS = 5.0
# Whatever is computed with: another version may give other bits.
_MISSING = "missing"
_COMPARED = ("catclf", "numpy", "pillow", "h5py", "onnxruntime", "dask", "distributed")

_connected: list[Cluster] = []


_LARGE = "distributed.admin.large-graph-warning-threshold"


@contextlib.contextmanager
def connected(
    address: str, jobs: int | None = None, on_warning: Callable[[str], None] = lambda message: None
) -> Iterator[Cluster]:
    """Connect to the scheduler at `address` for the length of the block.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786``, or `LOCAL`: then there are `jobs` worker processes until the
        end of the block.
    jobs : int or None
        None is one for each core.
    on_warning : (message) -> None
        Called, by another thread, when there are no workers any more.

    Raises
    ------
    ClusterError
        If it cannot be reached, has no workers, or its workers cannot run catclf.
    """
    import dask
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        _silence()
        # Whoever sends a network or a shard of rows means to.
        stack.enter_context(dask.config.set({_LARGE: sys.maxsize}))
        try:
            if address == LOCAL:
                processes: Any = LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=jobs or core_count(),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                    # Its server for web pages starts all the same: at a port that nobody else has.
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL,
                )
                stack.enter_context(processes)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions: see `Cluster.differences`
                client: Any = Client(  # type: ignore[no-untyped-call]
                    processes if address == LOCAL else address, timeout=_CONNECT_SECONDS
                )
            stack.enter_context(client)
            client.wait_for_workers(1, timeout=_FIRST_WORKER_SECONDS)
        except (OSError, ValueError) as exc:
            detail = " ".join(str(exc).split()) or type(exc).__name__
            raise ClusterError(address, f"cannot be reached, or has no workers ({detail})") from exc
        cluster = Cluster(client, address)
        if address == LOCAL:
            cluster.run_everywhere(left_to_others)
        stack.enter_context(cluster.watched(on_warning))
        _connected.append(cluster)
        stack.callback(_connected.remove, cluster)
        yield cluster


def _silence() -> None:
    """Stop Dask's log, which is for those who run a cluster; what matters comes as an exception."""
    for name in [*logging.root.manager.loggerDict, "distributed"]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class Cluster:
    """Computes on the workers of a Dask scheduler.

    Functions are called with the same arguments again where a worker has died: they must be pure.

    Parameters
    ----------
    client : distributed.Client
    address : str
        For messages.
    """

    def __init__(self, client: Client, address: str) -> None:
        self._client: Any = client  # its methods have no types
        self._lost: str | None = None  # why it is of no use any more
        self.address = address

    @classmethod
    def current(cls) -> Cluster:
        """Return the one that this process is connected to.

        Raises
        ------
        ConfigError
            If there is none.
        """
        if not _connected:
            raise ConfigError("engine", "dask", "requires ", Setting("scheduler"))
        return _connected[-1]

    @contextlib.contextmanager
    def watched(self, on_warning: Callable[[str], None]) -> Iterator[None]:
        """Inside the block, say when there are no workers, and give up when none come.

        Dask itself would wait for ever.
        """
        ended = Event()
        watch = Thread(target=self._watch, args=(ended, on_warning), daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join(timeout=_WATCH_SECONDS)

    def _watch(self, ended: Event, on_warning: Callable[[str], None]) -> None:
        seen = time.monotonic()
        warned = False
        while not ended.wait(_WATCH_SECONDS):
            try:
                present = bool(self._client.nthreads())
            except Exception:  # the scheduler has gone as well, which whoever waits for it notices
                return
            if present:
                seen, warned = time.monotonic(), False
            elif time.monotonic() - seen >= _LONELY_SECONDS:
                self._lost = f"has had no workers for {_LONELY_SECONDS:g} s"
                self._client.close()  # ends all waiting
                return
            elif not warned:
                on_warning(f"the Dask scheduler {self.address} has no workers now; waiting for some")
                warned = True

    def send(self, value: Result) -> Future[Result]:
        """Put a value on the workers, as an argument for several calls."""
        return self.submit(_same, value)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have ``function(*arguments)`` computed; futures among the arguments stand for their values.

        The value stays on the workers for as long as its future is referred to here. It is computed
        again if its worker dies.
        """
        with self._noticing():
            future: Future[Any] = self._client.submit(function, *arguments, pure=False)
        return future

    def submit_each(self, function: Callable[..., Any], *lists: Sequence[Any]) -> list[Future[Any]]:
        """Do as `submit` for each item of the lists, in one message."""
        with self._noticing():
            futures: list[Future[Any]] = self._client.map(function, *lists, pure=False)
        return futures

    def gather(self, futures: Sequence[Future[Any]]) -> list[Any]:
        """Wait for values and fetch them; raises what their functions have raised."""
        with self._noticing():
            values: list[Any] = self._client.gather(futures)
        return values

    @property
    def ahead(self) -> int:
        """How many tasks should be under way at a time: two for each thread of all workers."""
        threads: dict[str, int] = self._client.nthreads()
        return 2 * max(1, sum(threads.values()))  # all may just be starting again

    def ordered_map(self, function: Callable[[Any], Result], items: Iterable[Any]) -> Iterator[Result]:
        """Yield ``function(item)`` for every item in order; few items are under way at a time.

        Futures in an item that is a tuple stand for their values.
        """
        with self._noticing():
            pool = self._client.get_executor(pure=False)
            yield from ordered_on(pool, function, items, self.ahead)

    def run_everywhere(self, function: Callable[[], Result]) -> dict[str, Result]:
        """Call a function in every worker process: its results by the worker's address."""
        with self._noticing():
            try:
                results: dict[str, Result] = self._client.run(function)
            except ImportError as exc:
                raise ClusterError(self.address, f"a worker cannot run catclf ({exc})") from exc
        return results

    def differences(self) -> list[str]:
        """Sentences about workers that have other versions of Python or libraries than we have."""
        ours = versions()
        found: dict[tuple[str, str], list[str]] = {}
        for worker, theirs in self.run_everywhere(versions).items():
            for name, version in theirs.items():
                if version != ours[name] != _MISSING:  # what is missing here is not used
                    found.setdefault((name, version), []).append(worker)
        return [
            f"{name} is {ours[name]} here and {version} on {len(workers)} workers, such as {workers[0]}"
            for (name, version), workers in sorted(found.items())
        ]

    @contextlib.contextmanager
    def _noticing(self) -> Iterator[None]:
        """Turn what Dask raises when nobody is there any more into a `ClusterError`."""
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            if self._lost is not None:
                raise CancelledError
            yield
        except KilledWorker as exc:
            self._lost = "several workers died of the same task, possibly out of memory"
            raise ClusterError(self.address, self._lost) from exc
        except (CancelledError, CommClosedError, TimeoutError) as exc:
            self._lost = self._lost or "has gone"
            raise ClusterError(self.address, self._lost) from exc


def versions() -> dict[str, str]:
    """Versions of what this process computes with."""
    import importlib.metadata
    import platform

    found = {"python": platform.python_version()}
    for name in _COMPARED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = _MISSING
    return found


def _same(value: Result) -> Result:
    return value
