"""`layby runs` and `layby cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from ..invocation import Invocation, command
from ..options.common import As, Reason, RunName
from ..options.filters import Labels, Limit, Role, SearchText, Since, Ticket, Workflow
from ..screen.errors import UsageError
from ..screen.output import print_json, print_more, stdout
from ..screen.progress import progress
from ..screen.times import duration
from ..target.connection import with_client
from ..target.worker_commands import with_workers

if TYPE_CHECKING:
    from ...runtime.status import RunStatus


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(runs)
    app.command()(cancel)


@command
def runs(
    call: Invocation,
    ticket: Ticket = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS",
            help="Status to filter by, for example waiting, blocked or failed.",
            show_default=False,
        ),
    ] = None,
    workflow: Workflow = None,
    role: Role = None,
    since: Since = None,
    text: SearchText = None,
    label: Labels = None,
    limit: Limit = 50,
) -> None:
    """List runs, last changed first.

    Child runs follow their parent. --since counts from a run's last change. --text searches ticket,
    title, workflow, open question and error. --role lists the runs that wait for an answer from
    that role.

    Example: layby runs --status waiting --since 2h
    """
    wanted_status, age = _status(status), None if since is None else duration(since)
    labels = dict(map(_label, label or ()))
    with progress("runs checked", quiet=call.json) as report:
        rows = with_client(
            call,
            lambda client: client.runs(
                wanted_status,
                limit + 1,
                ticket=ticket,
                workflow=workflow,
                role=role,
                since=age,
                text=text,
                labels=labels,
                progress=report,
            ),
        )
    more, rows = len(rows) > limit, rows[:limit]
    if call.json:
        print_json(rows)
    elif rows:
        from ..screen.tables import blocked_reasons, run_table

        console = stdout()
        console.print(run_table(rows, width=console.width))
        for line in blocked_reasons(rows):
            stdout().print(line, soft_wrap=True)
    else:
        filtered = any((ticket, workflow, role, since, text, labels))
        none = f"no runs are {status}" if status and not filtered else "no such runs"
        stdout().print(none if status or filtered else "no runs yet", style="dim")
    if more:
        print_more(limit)


@command
def cancel(
    call: Invocation,
    run: RunName,
    reason: Reason = "",
    as_: As = None,
) -> None:
    """Cancel a run that has not ended.

    Its open questions close with it.

    A worker carries this out. If none is running, the command is stored for the next one and the
    exit code is 2.

    Example: layby cancel T125 --reason "the customer closed it"
    """
    from ..screen.tables import status_text
    from ..screen.untrusted_text import one_line

    row = with_workers(call, lambda client: client.cancel(run, reason=reason, by=as_))
    if call.json:
        print_json(row)
        return
    line = status_text(row.status).append(f"  {one_line(row.ticket)}  {row.id}", style="not dim")
    stdout().print(line, soft_wrap=True)


def _label(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (name and colon):
        raise UsageError(f"{text!r} is not a label", "give its name and its value: customer:c42")
    return name, value


def _status(text: str | None) -> RunStatus | None:
    from ...runtime.status import RunStatus

    if text is None or text in get_args(RunStatus):
        return cast("RunStatus | None", text)
    raise UsageError(
        f"there is no status {text!r}", "use one of: " + ", ".join(get_args(RunStatus))
    )
