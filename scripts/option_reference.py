"""Writes docs/options.md, the reference of all commands and options, from what their --help says.

python scripts/option_reference.py docs/options.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from catclf.cli import cli
from catclf.cli.group import ExampleFirst

HEAD = """\
# Commands and options

Made by `scripts/option_reference.py` from what `catclf COMMAND --help` says. A test fails when it is out
of date."""


def reference() -> str:
    """The whole page."""
    with click.Context(cli, info_name="catclf", **cli.context_settings) as root:
        names = cli.list_commands(root)
        sections = [HEAD, *_section(cli, root)]
        for name in names:
            command = cli.get_command(root, name)
            assert command is not None
            with click.Context(command, parent=root, info_name=name) as context:
                sections += _section(command, context)
    return "\n\n".join(sections) + "\n"


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {context.command_path}"
    yield f"`{context.command_path} {usage}`"
    yield _escaped(cleandoc(command.help or ""))
    yield "```sh\n" + cleandoc((command.epilog or "").partition("Example:\n")[2]) + "\n```"
    assert isinstance(command, ExampleFirst)
    for title, records in command.sections(context):
        yield f"**{title}**"
        yield "\n".join(f"- `{names}`: {_escaped(text)}" for names, text in records)


def _escaped(text: str) -> str:
    """Text in which Markdown finds nothing to emphasise."""
    return re.sub(r"([\\*_<])", r"\\\1", text).replace("  [", " [")  # Click has two spaces there


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), "utf-8")
