"""Commands whose help begins with an example, in a group that imports a command when it is called."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Mapping
from typing import Any

import click

from catclf.printable import printable


class Invocation:
    """What is known of a command when it has ended.

    Attributes
    ----------
    failed : int
        Exit code of an error.
    command : click.Command or None
    """

    def __init__(self, failed: int) -> None:
        self.failed = failed
        self.command: click.Command | None = None


class ExampleFirst(click.Command):
    """A command whose help shows its example, the epilog, before the options."""

    def invoke(self, ctx: click.Context) -> Any:
        """Remember for messages which command it was."""
        if isinstance(ctx.obj, Invocation):
            ctx.obj.command = self
        return super().invoke(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, purpose, example, options."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_epilog(ctx, formatter)
        self.format_options(ctx, formatter)


class OfOneDataSet(ExampleFirst):
    """A command whose first argument is DATA, which a user may take for a list of class folders."""

    allow_extra_args = True  # or Click would refuse them, without a word on what to do

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse one argument too many with the remedy."""
        super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            names = " and ".join(self.collect_usage_pieces(ctx)[1:])
            extra = printable(shlex.quote(ctx.args[0]))
            remedy = "if these are the folders of the classes, name the folder above them"
            raise click.UsageError(
                f"only {names} can be named, but there is {extra} as well; {remedy}", ctx
            )
        return ctx.args


class LazyGroup(ExampleFirst, click.Group):
    """Commands live as ``command`` in ``catclf.cli.<name>_command``.

    Parameters
    ----------
    commands_help : mapping
        Name of each command and its line in the group's help.
    """

    def __init__(self, *args: Any, commands_help: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_help = commands_help

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the mapping."""
        del ctx
        return list(self._commands_help)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        del ctx
        if cmd_name not in self._commands_help:
            return None
        module = importlib.import_module(f"catclf.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest a command that is spelt alike."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as exc:
            known = self._commands_help
            raise click.exceptions.NoSuchCommand(exc.command_name, None, known, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self._commands_help.items()))
