"""Help without the types of arguments and flags, and with `TICKET` instead of `{TICKET}`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup


class _Command(TyperCommand):
    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, which takes no value."""
        return _without_value(super().get_help_option(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line, as other commands write them."""
        pieces = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def get_params(self, ctx: Any) -> Any:
        """The parameters; the name of an argument says enough, so its type is not shown."""
        parameters = super().get_params(ctx)
        for each in parameters:
            if isinstance(each, TyperArgument):
                each.display_type_rich = _no_type  # type: ignore[method-assign]
        return parameters


class _Group(TyperGroup):
    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, which takes no value."""
        return _without_value(super().get_help_option(ctx))


def plain(app: typer.Typer) -> None:
    """Give all commands of `app` this help."""
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


def _no_type(ctx: Any) -> str | None:  # noqa: ARG001  typer names it
    """No type to show."""
    return None
