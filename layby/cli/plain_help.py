"""Help without `<bool>` beside the option that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object


class _Plain(_Base):
    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, which takes no value."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.metavar = ""
        return option


class _Command(_Plain, TyperCommand):
    """A command."""


class _Group(_Plain, TyperGroup):
    """A command with commands of its own."""


def plain(app: typer.Typer) -> None:
    """Have all commands of `app` show their help so."""
    app.info.cls = _Group
    for each in app.registered_commands:
        each.cls = _Command
    for each in app.registered_groups:
        each.cls = _Group
        if each.typer_instance is not None:
            plain(each.typer_instance)
