"""`layby questions`: the open questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.filters import Role, SearchText, Since, Ticket
from ..screen.errors import UsageError
from ..screen.output import print_json, stdout
from ..screen.times import duration
from ..target.connection import with_client

if TYPE_CHECKING:
    from ...client import Client
    from ...views.rows import QuestionRow

_REFRESH = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(questions)


@command
def questions(
    call: Invocation,
    role: Role = None,
    ticket: Ticket = None,
    since: Since = None,
    text: SearchText = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", metavar="", help="Keep the list up to date until Ctrl-C."),
    ] = False,
) -> None:
    """List the open questions, nearest deadline first.

    --since counts from when a question was asked. --text searches ticket, question and context.

    Example: layby questions --role developer --watch
    """
    if watch and call.json:
        raise UsageError(
            "--watch does not end, so it cannot print one JSON document",
            "leave one of --watch and --json out",
        )
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
    from ..screen.question_list import print_questions

    if rows:
        print_questions(stdout(), call, rows)
    else:
        stdout().print(_nothing(role), style="dim")


async def _watch(look: Callable[[], Awaitable[list[QuestionRow]]], role: str | None) -> None:
    import asyncio

    from rich.console import Group, RenderableType
    from rich.live import Live
    from rich.text import Text

    from ..screen.question_list import question_list

    console = stdout()

    def screen(rows: Sequence[QuestionRow]) -> RenderableType:
        body = question_list(rows, console.width) if rows else Text(_nothing(role), style="dim")
        return Group(body, Text("\nCtrl-C stops", style="dim"))

    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(screen(await look()), refresh=True)
            await asyncio.sleep(_REFRESH)


def _nothing(role: str | None) -> str:
    return f"no open questions to {role}" if role else "no open questions"
