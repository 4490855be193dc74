"""What a long task tells whoever waits for it. Prints nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from catclf.printable import number_of
from catclf.unread import sentences

if TYPE_CHECKING:  # only the name of a type: this module stays below the descent
    from catclf.descent import Step

T = TypeVar("T")

Advanced = Callable[[str, int, int], None]
"""What every long loop reports to: what, how many are done, of how many."""


def silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


_NAMED = 5


class Progress:
    """Observer of a long task; nothing happens until a subclass says otherwise."""

    wants_details = False
    """Whether somebody reads notes; for those that take time to make."""

    def advanced(self, what: str, done: int, total: int) -> None:
        """`done` of `total` are done, 0 if nobody knows; `what` says of what, as in "pictures read"."""

    def began(self, what: str) -> None:
        """Hear of work that cannot say how far it is, such as "learning patterns"."""

    def note(self, message: str) -> None:
        """Hear a sentence on what happens next, for those who want details."""

    def ignored(self, paths: Sequence[str]) -> None:
        """Hear of files that are not tried because of their names; some are noted, and how many more."""
        for path in paths[:_NAMED]:
            self.note(f"{path}: ignored")
        if len(paths) > _NAMED:
            self.note(f"and {number_of(len(paths) - _NAMED, 'more file')} ignored")
        for sentence in sentences(paths):
            self.hint(sentence)

    def hint(self, message: str) -> None:
        """Hear a sentence on what could be done."""

    def warnings(self, sentences: Sequence[str]) -> None:
        """Hear several sentences that must not be missed."""
        for sentence in sentences:
            self.warning(sentence)

    def endless(self, count: int) -> None:
        """Hear how many pictures lack the end of their file, and nothing else."""
        if count:
            said = "1 picture lacks" if count == 1 else f"{count} pictures lack"
            self.warning(f"{said} the end-of-file marker, but nothing else: read")

    def warning(self, message: str) -> None:
        """Hear a sentence that must not be missed; another thread may say it."""

    def descending(self, iterations: int) -> None:
        """Prepare for a descent of at most that many updates, of which `step` tells."""

    def step(self, step: Step) -> None:
        """Hear of a recorded step."""

    def optional(self, work: Callable[[], T]) -> T | None:
        """Do work that the result can do without; None if somebody stopped it."""
        return None if self.interrupted() else work()

    def interrupted(self) -> bool:
        """Whether the descent shall stop now and keep the best so far."""
        return False
