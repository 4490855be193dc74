"""What options are made of: their names and types, and several gathered into one value."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import reduce, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import click

from catclf.errors import Setting

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]


class Option(click.Option):
    """An option that the environment sets by its name, ``CATCLF_<COMMAND>_<OPTION>``.

    Click would take the name of the parameter, which is that of a setting. Its default is shown.
    """

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        self.given = attributes.get("default") is not None or "[default" in attributes.get("help", "")
        shown = self.given and "[default" not in attributes.get("help", "")
        kind = attributes.get("type")
        letter = (
            "N"
            if isinstance(kind, click.IntRange)
            else "X"
            if isinstance(kind, click.FloatRange)
            else None
        )
        super().__init__(*arguments, **{"show_default": shown, "metavar": letter, **attributes})

    def take_default(self, default: Any) -> None:
        """Take the default of a setting, unless it has one of its own, and show it."""
        if not self.is_flag and not self.given:
            self.default, self.show_default = default, True

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """See `click.Option`."""
        if self.envvar is not None or not ctx.auto_envvar_prefix:
            return super().resolve_envvar_value(ctx)
        return (
            os.environ.get(f"{ctx.auto_envvar_prefix}_{long_name(self)[2:].upper().replace('-', '_')}")
            or None
        )


def long_name(option: click.Parameter) -> str:
    """``--name`` of an option."""
    return next(name for name in option.opts if name.startswith("--"))


def option(*names: str, **attributes: Any) -> Decorator[Any]:
    """An `Option`, as `click.option` makes one."""
    return click.option(*names, cls=Option, **attributes)


def options(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Combine several options into one decorator, in the order in which they are to be listed."""

    def decorate(command: Command) -> Command:
        return reduce(lambda wrapped, option: option(wrapped), reversed(decorators), command)

    return decorate


def gathered(name: str, make: Callable[..., Any], *decorators: Decorator[Any]) -> Decorator[Any]:
    """Options whose values reach the command as one argument, ``name=make(**values)``.

    `make` may be a settings class: then the options' parameters have the names of its fields, and their
    defaults if they are given none.
    """
    defaults = {field.name: field.default for field in fields(make)} if is_dataclass(make) else {}

    def nothing() -> None: ...

    names = _arguments(options(*decorators)(nothing))

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def called(**values: Any) -> Any:
            taken = {argument: values.pop(argument) for argument in names}
            return command(**values, **{name: make(**taken)})

        vars(called)["gathered"] = {**vars(called).get("gathered", {}), name: names}
        gathering: Callable[..., Any] = options(*decorators)(called)
        for parameter in vars(gathering)["__click_params__"]:
            if isinstance(parameter, Option) and defaults.get(parameter.name or "") is not None:
                parameter.take_default(defaults[parameter.name])
        return gathering

    return decorate


def _arguments(command: Callable[..., Any]) -> list[str]:
    """Names of the arguments that options give to a function."""
    gathered: dict[str, list[str]] = vars(command).get("gathered", {})
    taken = {name for names in gathered.values() for name in names}
    given = [parameter.name for parameter in vars(command)["__click_params__"]]
    return [name for name in (*given, *gathered) if name not in taken]


def spelling(command: click.Command | None) -> Callable[[Setting], str]:
    """Return how settings are spelled on the command line of `command`."""
    parameters = command.params if command is not None else []
    known = {p.name: long_name(p) for p in parameters if isinstance(p, click.Option)}

    def spelled(setting: Setting) -> str:
        option = known.get(setting.name, "--" + setting.name.replace("_", "-"))
        return option if setting.value is None else f"{option} {shlex.quote(str(setting.value))}"

    return spelled


def current_spelling() -> Callable[[Setting], str]:
    """Return how settings are spelled on the command line of the command that is running."""
    context = click.get_current_context(silent=True)
    return spelling(context.command if context is not None else None)


class OneOf(click.ParamType[str]):
    """A name in a table, which may get more rows."""

    name = "NAME"

    def __init__(self, table: Mapping[str, Any], *more: str) -> None:
        self._table = table
        self._more = more

    @property
    def choices(self) -> list[str]:
        """The names."""
        return [*self._more, *self._table]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """See `click.ParamType`."""
        del param, ctx
        return f"[{'|'.join(self.choices)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType`."""
        return str(click.Choice(self.choices).convert(value, param, ctx))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """See `click.ParamType`."""
        return click.Choice(self.choices).shell_complete(ctx, param, incomplete)


class FiniteRange(click.FloatRange):
    """A range that NaN is not in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType`."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class NumberOrAuto(click.ParamType[Any]):
    """A number in a range, or the word auto."""

    name = "X|auto"

    def __init__(self, number: click.ParamType[Any]) -> None:
        self._number = number

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The name as it is: the word is typed in small letters."""
        del param, ctx
        return self.name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | Literal["auto"]:
        """See `click.ParamType`."""
        if value == "auto":
            return "auto"
        try:
            return float(self._number.convert(value, param, ctx))
        except click.BadParameter:
            bound = "number above 0" if getattr(self._number, "min_open", False) else "number from 0 on"
            self.fail(f"{value!r} is neither a {bound} nor auto", param, ctx)


class Numbers(click.ParamType[Any]):
    """Numbers above 0 with commas between them."""

    name = "A,B,…"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The name as it is."""
        del param, ctx
        return self.name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """See `click.ParamType`."""
        numbers = []
        for part in value.split(","):
            try:
                number = float(part)
            except ValueError:
                number = math.nan
            if not (math.isfinite(number) and number > 0):
                self.fail(f"{part.strip()!r} is not a number above 0", param, ctx)
            numbers.append(number)
        return tuple(numbers)


class ByteSize(click.ParamType[Any]):
    """A number of bytes such as 300MB, 2GB or 1.5GiB."""

    name = "SIZE"
    _units: ClassVar = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    _binary_units: ClassVar = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType`."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGT]?)(i?)B?", value.strip(), re.IGNORECASE)
        unit = found[2].upper() if found else ""
        if not found or (found[3] and not unit) or float(found[1]) == 0:
            self.fail(f"{value!r} is not a size such as 300MB or 2GB", param, ctx)
        factor = (self._binary_units if found[3] else self._units)[unit]
        return int(float(found[1]) * factor)


class PathName(click.ParamType[Any]):
    """The name of a file or folder, for shells to complete; nothing looks whether it is there."""

    name = "PATH"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete it by itself."""
        del ctx, param
        from click.shell_completion import CompletionItem  # only shells need it

        return [CompletionItem(incomplete, type="file")]


class FractionOrPath(PathName):
    """A share between 0 and 1, or where other data is."""

    name = "FRACTION|DATA"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """See `click.ParamType`."""
        try:
            share = float(value)
        except ValueError:
            return str(value)
        if not 0 < share < 1:
            self.fail(f"{value} is not a share above 0 and below 1", param, ctx)
        return share
