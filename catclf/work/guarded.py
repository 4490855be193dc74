"""A program of ours in a child process that may crash or hang. Knows nothing of what it does there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from catclf import bounded_json
from catclf.printable import ending

START_SECONDS = 60.0
"""A busy machine may take long to import a library; no file has been touched by then."""


class ChildError(Exception):
    """The child gave no answer: the message says why, as a phrase."""


class GuardedChild:
    """Asks a child process questions, one at a time.

    The child says hello when it has started. Then it gets an order: one byte, with which the number of
    an open file comes, if it is given one, and a line of JSON. From then on it answers every line of
    JSON on its stdin with one on its stdout. ``{"bytes": n, …}`` announces n bytes that follow it.

    Parameters
    ----------
    program : str
        Path of the Python file that it runs.
    environment : mapping
        Added to this process's own.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(self, program: str, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        try:
            # -P keeps the folders of the program and of the user's files out of the path of imports,
            # while everything that this interpreter can import stays importable.
            self._process = subprocess.Popen(
                [sys.executable, "-P", program],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env={**os.environ, **environment},
                process_group=0,  # Ctrl-C is for us; the child ends when we close our end
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self._reader = ours.makefile("rb")

    def begin(self, order: Mapping[str, Any], handle: int | None, seconds: float) -> dict[str, Any]:
        """Wait for its hello, and give it an order and an open file of ours.

        Parameters
        ----------
        order : mapping
        handle : int or None
            None gives it no file, and no byte before the order.
        seconds : float
            How long it may be silent from now on before it is given up and killed.

        Returns
        -------
        dict
            Its hello.

        Raises
        ------
        ChildError
            If it has not come to say hello.
        """
        self._socket.settimeout(START_SECONDS)
        hello = self._answer()
        self._socket.settimeout(seconds)
        with contextlib.suppress(OSError):  # it has died: reading says how
            if handle is not None:
                socket.send_fds(self._socket, [b"\n"], [handle])
            self._send(order)
        return hello

    def close(self) -> None:
        """End the child, whatever it does."""
        self._reader.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def ask(self, question: Sequence[Any], data: bytes = b"") -> dict[str, Any]:
        """Send a question, with bytes that follow it, and return the answer.

        Raises
        ------
        ChildError
            If the child crashes or is silent for too long; it is of no use from then on.
        """
        with contextlib.suppress(OSError):  # as above
            self._send(question)
            self._socket.sendall(data)
        return self._answer()

    def read_into(self, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes that an answer announced; raises as `ask` does."""
        try:
            count = self._reader.readinto(buffer)
        except OSError as exc:
            raise self._death(exc) from None
        if count != len(buffer):
            raise self._death()

    def _send(self, message: Any) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._reader.readline()
        except OSError as exc:
            raise self._death(exc) from None
        if not line.endswith(b"\n"):
            raise self._death()
        try:
            answer: dict[str, Any] = bounded_json.loads(line)
        except ValueError:
            raise ChildError("does not answer in JSON") from None
        if not isinstance(answer, dict):
            raise ChildError("sent an unexpected answer")
        return answer

    def _death(self, error: OSError | None = None) -> ChildError:
        self._process.kill()  # of no effect on one that has died
        if isinstance(error, TimeoutError):
            return ChildError(f"took more than {self._socket.gettimeout():g} s")
        return ChildError(ending(self._process.wait()))
