"""`layby runs` and `layby cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from .commanding import As, commanding
from .connected import with_client
from .errors import UsageError
from .invocation import Invocation, command
from .output import print_json, stderr, stdout
from .progress import progress
from .times import duration

if TYPE_CHECKING:
    from ..rows import RunStatus


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(runs)
    app.command()(cancel)


@command
def runs(
    call: Invocation,
    ticket: Annotated[
        str | None, typer.Option(help="Only the runs of this ticket.", show_default=False)
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only runs with this status: waiting, blocked or failed, for instance.",
            show_default=False,
        ),
    ] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Only runs of this workflow.", show_default=False)
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(help="Only runs that wait for this role of people.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only runs that changed so long ago at most: 2h.", show_default=False),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Only runs with this text in ticket, workflow, open question or error.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """List runs, those that changed last first. Child runs follow their parent.

    Example: layby runs --status waiting --since 2h
    """
    wanted, age = _status(status), None if since is None else duration(since)
    with progress("runs looked at", quiet=call.json) as tell:
        rows = with_client(
            call,
            lambda client: client.runs(
                wanted,
                limit + 1,
                ticket=ticket,
                workflow=workflow,
                role=role,
                since=age,
                text=text,
                progress=tell,
            ),
        )
    more, rows = len(rows) > limit, rows[:limit]
    if call.json:
        print_json(rows)
    elif rows:
        from .tables import needed, run_table

        console = stdout()
        console.print(run_table(rows, width=console.width))
        for line in needed(rows):
            stdout().print(line, soft_wrap=True)
    else:
        filtered = any((ticket, workflow, role, since, text))
        none = f"no runs are {status}" if status and not filtered else "no such runs"
        stdout().print(none if status or filtered else "no runs yet", style="dim")
    if more:
        stderr().print(f"there are more than these {limit}: --limit shows them", style="dim")


@command
def cancel(
    call: Invocation,
    run: Annotated[
        str, typer.Argument(help="Its id, the start of it, or its ticket.", show_default=False)
    ],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the run's history.")] = "",
    as_: As = None,
) -> None:
    """Cancel a run that has not ended.

    Its open questions close with it. A worker does it. With none up, exit code 2: the command is
    stored, and done when one starts.

    Example: layby cancel T125 --reason "the customer closed it"
    """
    from .foreign import one_line
    from .tables import status_text

    row = commanding(call, lambda client: client.cancel(run, reason=reason, by=as_))
    if call.json:
        print_json(row)
        return
    line = status_text(row.status).append(f"  {one_line(row.ticket)}  {row.id}", style="not dim")
    stdout().print(line, soft_wrap=True)


def _status(text: str | None) -> RunStatus | None:
    from ..rows import RunStatus

    if text is None or text in get_args(RunStatus):
        return cast("RunStatus | None", text)
    raise UsageError(f"there is no status {text!r}", "one of: " + ", ".join(get_args(RunStatus)))
