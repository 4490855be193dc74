"""Commands whose help begins with an example, in a group that imports a command when it is called."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Collection, Iterator, Mapping
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


SECTIONS: Mapping[str, Collection[str]] = {
    "Data": ("labels", "x_key", "y_key", "on_error", "exclude", "follow", "max_pixels"),
    "Features": ("size", "encoder", "encoder_output", "flip", "seed"),
    "Gradient descent": (
        *("loss", "learning_rate", "iterations", "epsilon", "stop", "momentum", "start", "l2"),
        *("class_weight", "patience", "resume"),
    ),
    "Evaluation": ("validation", "tune_threshold"),
    "Speed and memory": ("engine", "memory", "scheduler", "jobs"),
    "Output": (
        *("format_name", "record_every", "compare_rates", "history", "plot", "weights"),
        *("quiet", "verbose", "log_file"),
    ),
}
"""Where parameters stand in the help of every command; what is not here comes first."""


class ExampleFirst(click.Command):
    """A command whose help shows its example, the epilog, before the options, which are in sections."""

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

    def sections(self, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Yield the title of each section with its options and their help."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        placed = {name for names in SECTIONS.values() for name in names}
        first = [option.name or "" for option in options if option.name not in placed]
        for title, names in {"Options": first, **SECTIONS}.items():
            records = [option.get_help_record(ctx) for option in options if option.name in names]
            if shown := [record for record in records if record is not None]:
                yield title, shown

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in their sections."""
        for title, records in self.sections(ctx):
            with formatter.section(title):
                formatter.write_dl(records)


class OfOneDataSet(ExampleFirst):
    """A command whose first argument is DATA, which a user may take for a list of class folders."""

    allow_extra_args = True  # or Click would refuse them, without a word on what to do

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse one argument too many with the remedy."""
        super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            names = " and ".join(self.collect_usage_pieces(ctx)[1:])
            extra = printable(shlex.quote(ctx.args[0]))
            remedy = "if these are class folders, give the folder that contains them"
            raise click.UsageError(f"expected only {names}, found {extra} as well; {remedy}", ctx)
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

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands after the options."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self._commands_help.items()))
