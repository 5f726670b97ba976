"""`layby audit`: who has commanded what, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .connected import with_client
from .invocation import Invocation, command
from .output import print_json, stderr, stdout
from .progress import progress
from .times import duration

if TYPE_CHECKING:
    from ..client import Client
    from ..rows import AuditRow


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


@command
def audit(
    call: Invocation,
    since: Annotated[
        str | None,
        typer.Option(help="Only what was commanded so long ago at most: 2h.", show_default=False),
    ] = None,
    who: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only by this person.", show_default=False)
    ] = None,
    verb: Annotated[
        str | None,
        typer.Option(
            help="Only cancel, retry, purge, erase, dead-retry or dead-drop.", show_default=False
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="Only of this run: its id, the start of it, or its ticket.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """List what people have commanded, the newest first: who, when, what, and what came of it.

    Nobody can change or remove an entry.

    Example: layby audit --since 24h --who ada
    """
    age = None if since is None else duration(since)
    with progress("entries read", quiet=call.json) as tell:

        async def look(client: Client) -> list[AuditRow]:
            return await client.audit(
                limit + 1, since=age, who=who, verb=verb, run=run, progress=tell
            )

        rows = with_client(call, look)
    more, rows = len(rows) > limit, rows[:limit]
    if call.json:
        print_json(rows)
    elif rows:
        from .tables import audit_table

        stdout().print(audit_table(rows))
    else:
        filtered = any(each is not None for each in (since, who, verb, run))
        text = "nothing of the kind was commanded" if filtered else "nothing was commanded yet"
        stdout().print(text, style="dim")
    if more:
        stderr().print(f"there are more than these {limit}: --limit shows them", style="dim")
