"""What Click's completion lacks. Imported only when a shell asks."""

from __future__ import annotations

from typing import ClassVar

from click.shell_completion import FishComplete, add_completion_class


class WholeHelpInFish(FishComplete):
    """Click's script for fish, which would cut each line of help at its first comma."""

    source_template: ClassVar[str] = FishComplete.source_template.replace(
        'string split ","', 'string split -m 1 ","'
    )


def register() -> None:
    """Have Click use what is here."""
    add_completion_class(WholeHelpInFish)
