"""`layby runs` and `layby cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from .connected import with_client
from .errors import UsageError
from .invocation import Invocation, command
from .output import print_json, stdout

if TYPE_CHECKING:
    from ..rows import RunStatus


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(runs)
    app.command()(cancel)


@command
def runs(
    call: Invocation,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only runs with this status: running, waiting, blocked, completed, failed, "
            "timed_out, max_turns, budget_spent or cancelled.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
) -> None:
    """List runs, the newest first.

    Example: layby runs --status waiting
    """
    wanted = _status(status)
    rows = with_client(call, lambda client: client.runs(status=wanted, limit=limit))
    if call.json:
        print_json(rows)
    elif rows:
        from .tables import run_table

        stdout().print(run_table(rows))
    else:
        stdout().print(f"no runs are {status}" if status else "no runs yet", style="dim")


@command
def cancel(
    call: Invocation,
    run: Annotated[
        str, typer.Argument(help="Its id, the start of it, or its ticket.", show_default=False)
    ],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the run's history.")] = "",
) -> None:
    """Cancel a run that has not ended.

    Its open questions close with it.

    Example: layby cancel T125 --reason "the customer closed it"
    """
    from .tables import status_text

    row = with_client(call, lambda client: client.cancel(run, reason=reason))
    if call.json:
        print_json(row)
        return
    line = status_text(row.status).append(f"  {row.ticket}  {row.id}", style="not dim")
    stdout().print(line, soft_wrap=True)


def _status(text: str | None) -> RunStatus | None:
    from ..rows import RunStatus

    if text is None or text in get_args(RunStatus):
        return cast("RunStatus | None", text)
    raise UsageError(f"there is no status {text!r}", "one of: " + ", ".join(get_args(RunStatus)))
