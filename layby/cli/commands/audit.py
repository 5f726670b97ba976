"""`layby audit`: who gave which command, and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.filters import Limit, Run, Since
from ..screen.errors import UsageError
from ..screen.output import print_json, print_more, stdout
from ..screen.progress import progress
from ..screen.times import duration
from ..target.connection import with_client

if TYPE_CHECKING:
    from ...client import Client
    from ...views.rows import AuditRow


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


@command
def audit(
    call: Invocation,
    since: Since = None,
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Person to filter by.", show_default=False)
    ] = None,
    verb: Annotated[
        str | None,
        typer.Option(
            metavar="VERB",
            help="Command to filter by: cancel, retry, purge, erase, dead-retry, dead-drop, rota.",
            show_default=False,
        ),
    ] = None,
    run: Run = None,
    limit: Limit = 50,
) -> None:
    """List the commands people have given, with their outcomes.

    Newest first. Nobody can change or remove an entry.

    Example: layby audit --since 24h --who ada
    """
    from ...commands import VERBS

    if verb is not None and verb not in VERBS:
        raise UsageError(f"there is no command {verb!r}", f"use one of {', '.join(VERBS)}")
    age = None if since is None else duration(since)
    with progress("entries read", quiet=call.json) as report:

        async def look(client: Client) -> list[AuditRow]:
            return await client.audit(
                limit + 1, since=age, who=who, verb=verb, run=run, progress=report
            )

        rows = with_client(call, look)
    more, rows = len(rows) > limit, rows[:limit]
    if call.json:
        print_json(rows)
    elif rows:
        from ..screen.tables import audit_table

        console = stdout()
        console.print(audit_table(rows, width=console.width))
    else:
        filtered = any(each is not None for each in (since, who, verb, run))
        text = "no such commands" if filtered else "no commands yet"
        stdout().print(text, style="dim")
    if more:
        print_more(limit)
