"""What a long task tells whoever waits for it. Prints nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from catclf.printable import number_of

if TYPE_CHECKING:  # only the name of a type: this module stays below the descent
    from catclf.descent import Step


_NAMED = 5


class Progress:
    """Listener to a training; nothing happens until a subclass says otherwise."""

    def reading(self, done: int, total: int) -> None:
        """`done` of `total` pictures are decoded."""

    def note(self, message: str) -> None:
        """Hear a sentence on what happens next, for those who want details."""

    def passed_over(self, paths: Sequence[str]) -> None:
        """Hear of files that are not tried because of their names; some are noted, and how many more."""
        for path in paths[:_NAMED]:
            self.note(f"{path}: passed over")
        if len(paths) > _NAMED:
            self.note(f"and {number_of(len(paths) - _NAMED, 'more file')} passed over")

    def warning(self, message: str) -> None:
        """Hear a sentence that must not be missed; another thread may say it."""

    def descending(self, iterations: int) -> None:
        """Prepare for a descent of at most that many updates."""

    def step(self, step: Step) -> None:
        """Hear of a recorded step."""

    def interrupted(self) -> bool:
        """Whether the descent shall stop now and keep the best so far."""
        return False
