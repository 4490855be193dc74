"""What a long task tells whoever waits for it. Prints nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # only the name of a type: this module stays below the descent
    from catclf.descent import Step


class Progress:
    """Listener to a training; every method does nothing until a subclass says otherwise."""

    def reading(self, done: int, total: int) -> None:
        """`done` of `total` pictures are decoded."""

    def note(self, message: str) -> None:
        """Hear a sentence on what happens next, for those who want details."""

    def warning(self, message: str) -> None:
        """Hear a sentence that must not be missed; another thread may say it."""

    def descending(self, iterations: int) -> None:
        """Prepare for a descent of at most that many updates."""

    def step(self, step: Step) -> None:
        """Hear of a recorded step."""

    def interrupted(self) -> bool:
        """Whether the descent shall stop now and keep the best so far."""
        return False
