"""Help without `<bool>` beside the option that shows it."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class _Command(TyperCommand):
    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, which takes no value."""
        return _without_value(super().get_help_option(ctx))


class _Group(TyperGroup):
    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, which takes no value."""
        return _without_value(super().get_help_option(ctx))


def plain(app: typer.Typer) -> None:
    """Have all commands of `app` show their help so."""
    app.info.cls = _Group
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        group.cls = _Group
        if group.typer_instance is not None:
            plain(group.typer_instance)


def _without_value(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option
