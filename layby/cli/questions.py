"""`layby questions`: what people are asked right now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .connected import with_client
from .errors import UsageError
from .invocation import Invocation, command
from .output import print_json, stdout
from .times import duration

if TYPE_CHECKING:
    from rich.console import Console

    from ..client import Client
    from ..rows import QuestionRow

_REFRESH = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(questions)


@command
def questions(
    call: Invocation,
    role: Annotated[
        str | None, typer.Option(help="Only questions to this role.", show_default=False)
    ] = None,
    ticket: Annotated[
        str | None, typer.Option(help="Only questions on this ticket.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only questions asked so long ago at most: 2h.", show_default=False),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Only questions with this text in ticket, question or context.", show_default=False
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", metavar="", help="Keep the list up to date.")
    ] = False,
) -> None:
    """List the open questions, the nearest deadline first.

    Example: layby questions --role developer --watch
    """
    if watch and call.json:
        raise UsageError("--watch has no end, so it cannot print one JSON document")
    age = None if since is None else duration(since)

    async def look(client: Client) -> list[QuestionRow]:
        return await client.questions(role, ticket=ticket, since=age, text=text)

    if watch:
        with_client(call, lambda client: _watch(lambda: look(client), role))
        return
    rows = with_client(call, look)
    if call.json:
        print_json(rows)
    else:
        _print(call, rows, role)


def _print(call: Invocation, rows: Sequence[QuestionRow], role: str | None) -> None:
    from .tables import question_table

    if rows:
        stdout().print(question_table(rows))
        print_commands(stdout(), call, rows)
    else:
        stdout().print(_nothing(role), style="dim")


def print_commands(console: Console, call: Invocation, rows: Sequence[QuestionRow]) -> None:
    """Print the command that answers each question."""
    from rich.text import Text

    from .question import command_for

    console.print(Text("\nTo answer:", style="dim"))
    for row in rows:
        console.print(Text(command_for(row, call)), soft_wrap=True)


async def _watch(look: Callable[[], Awaitable[list[QuestionRow]]], role: str | None) -> None:
    import asyncio

    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    from .tables import question_table

    def screen(rows: Sequence[QuestionRow]) -> RenderableType:
        body = question_table(rows) if rows else Text(_nothing(role), style="dim")
        return Group(body, Text("\nCtrl-C ends", style="dim"))

    with Live(console=stdout(), auto_refresh=False) as live:
        while True:
            live.update(screen(await look()), refresh=True)
            await asyncio.sleep(_REFRESH)


def _nothing(role: str | None) -> str:
    return f"no open questions to {role}" if role else "no open questions"
