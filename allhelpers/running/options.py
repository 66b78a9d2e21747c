"""How settings become options of the command line, and what click does not do by itself."""

from __future__ import annotations

import importlib
import importlib.util
import typing
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from .._core.renaming import RENAMED, warn

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ..settings import DataSettings

# Said by --output and --overwrite.
NO_OPTIONS = ("run_folder", "overwrite")
# Commands of rooms that may not be there: name to module.
ELSEWHERE = {"cells": "allhelpers.segmentation.command"}
COMMAND_GROUPS = {
    "Cells": ("cells", "manifest", "audit", "relabel"),
    "Train and compare": ("run", "sweep", "summary"),
    "Use a trained model": ("predict", "serve", "export"),
    "Studies": ("collapse", "choices"),
}
MOST_LETTERS = 50  # of what may be chosen, beside an option's name
COLUMN = 10  # where the commands' descriptions begin
# The setting that opens each group of options in --help.
HEADINGS = {
    "images": "Cells",
    "architectures": "Networks",
    "architecture": "Networks",
    "weights": "Networks",
    "pool": "Study",
    "epochs": "Training",
    "feature_dtype": "Machine",
}


class Commands(click.Group):
    """The commands in groups, and those of rooms that are there."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        there = [name for name, module in ELSEWHERE.items() if _is_there(module)]
        return [*self.commands, *there]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        for heading, group in COMMAND_GROUPS.items():
            commands = {name: self.get_command(ctx, name) for name in group if name in names}
            rows = [(name, each.get_short_help_str()) for name, each in commands.items() if each]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows, col_spacing=COLUMN - max(map(len, commands)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = ELSEWHERE.get(cmd_name)
        if module and _is_there(module):
            return getattr(importlib.import_module(module), cmd_name)
        return super().get_command(ctx, cmd_name)


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module.rpartition(".")[0]) is not None


class Command(click.Command):
    """A command that takes the settings of a class, and options with several values (``lists``).

    ``former`` are names that were other ones once, beside those of settings.
    """

    def __init__(
        self,
        *args: Any,
        settings: str = "",
        lists: tuple[str, ...] = (),
        former: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.settings, self.lists = settings, lists
        self.former = {**RENAMED, **(former or {})}

    @cached_property
    def kind(self) -> type[DataSettings]:
        """The settings class."""
        return getattr(importlib.import_module("allhelpers.settings"), self.settings)

    @cached_property
    def groups(self) -> dict[str, list[click.Option]]:
        """Options of settings, as --help groups them."""
        groups: dict[str, list[click.Option]] = {}
        heading = ""
        for name, field in self.kind.model_fields.items() if self.settings else ():
            heading = HEADINGS.get(name, heading)
            if name not in NO_OPTIONS:
                groups.setdefault(heading, []).append(_option(name, field))
        return groups

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *(o for group in self.groups.values() for o in group)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list] = {"Options": super().get_params(ctx), **self.groups}
        for heading, options in sections.items():
            rows = [
                row
                for option in options
                if isinstance(option, click.Option) and (row := option.get_help_record(ctx))
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, _repeated(self._todays(ctx, args), self.lists))
        for name, value in ctx.params.items():
            if str(value).startswith("--"):
                option = f"--{name.replace('_', '-')}"
                raise click.UsageError(f"Option {option!r} needs a value, not {value}.", ctx)
        return rest

    def _todays(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Arguments with the options that had other names once under today's."""
        known = {option for param in self.get_params(ctx) for option in param.opts}
        todays = []
        for argument in args:
            option, equals, value = argument.partition("=")
            name = option.removeprefix("--").replace("-", "_")
            now = f"--{self.former.get(name, name).replace('_', '-')}"
            if option.startswith("--") and option not in known and now in known:
                warn(name, self.former[name])
                argument = f"{now}{equals}{value}"
            todays.append(argument)
        return todays

    def given(self, options: dict[str, Any]) -> dict[str, Any]:
        """Settings that stand on the command line."""
        from .parameters import parse_value

        return {
            name: value if value is True else parse_value(self.kind, name, value)
            for name, value in options.items()
            if value not in (None, False)
        }


def current() -> Command:
    """The command that is being run."""
    return typing.cast("Command", click.get_current_context().command)


def _repeated(arguments: Iterable[str], lists: tuple[str, ...]) -> list[str]:
    """``--images A B`` as click wants it: ``--images A --images B``."""
    spread: list[str] = []
    opened = ""
    for argument in arguments:
        if argument.startswith("-"):
            opened = argument if argument in lists else ""
        elif opened and spread[-1] != opened:
            spread.append(opened)
        spread.append(argument)
    return spread


def _option(name: str, field: FieldInfo) -> click.Option:
    """The option of a setting."""
    flag = field.annotation is bool
    text = f"{field.description}" + ("" if flag else f" (default: {field.default!r})")
    value = _metavar(field.annotation)
    if len(value) > MOST_LETTERS:
        text, value = f"{value.replace('|', ', ')}: {text}", name.upper()
    return click.Option(
        [f"--{name.replace('_', '-')}", name],
        is_flag=flag or None,
        metavar=None if flag else value,
        help=text,
    )


def _metavar(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(map(str, typing.get_args(kind)))
    return kind.__name__.upper() if isinstance(kind, type) else "VALUE"
