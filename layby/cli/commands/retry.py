"""`layby retry`: resume runs at the step that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..invocation import Invocation, command
from ..options.common import RUN_HELP, WHO_HELP, Reason
from ..options.filters import Since, Workflow
from ..screen.errors import FAILED, OK, CliError, UsageError
from ..screen.output import print_json, stderr, stdout
from ..screen.progress import progress
from ..screen.times import duration
from ..target.connection import with_client
from ..target.worker_commands import RESUMED, with_workers

if TYPE_CHECKING:
    from ...views.rows import Retried, RunRow

_SAMPLE = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(retry)


@command
def retry(
    call: Invocation,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help=RUN_HELP, show_default=False)
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--as",
            "--by",
            metavar="NAME",
            help=f"Name to record; default: {WHO_HELP}",
            show_default=False,
        ),
    ] = None,
    reason: Reason = "",
    all_: Annotated[
        bool,
        typer.Option("--all", metavar="", help="Retry all runs that match the options below."),
    ] = False,
    workflow: Workflow = None,
    since: Since = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS",
            help="Status to filter by: blocked, failed, timed_out, max_turns or budget_spent.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Show the runs without retrying them.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", metavar="", help="Do not ask for confirmation.")
    ] = False,
) -> int:
    """Resume a blocked or failed run at the step that failed.

    No finished step runs again. Completed and cancelled runs stay as they are. --all needs
    --workflow and --since, which counts from a run's last change, and asks for confirmation.

    A worker carries this out. If none is running, the command is stored for the next one and the
    exit code is 2.

    Example: layby retry T125 --reason "the card was changed"

    Example: layby retry --all --workflow refund --since 1h --dry-run
    """
    if all_ == (run is not None):
        raise UsageError("name one run, or several with --all", "for example: layby retry RUN")
    if run is not None:
        row = with_workers(call, lambda client: client.retry(run, by=by, reason=reason))
        _print_run(call, row)
        return OK
    if workflow is None or since is None:
        raise UsageError(
            "--all needs --workflow and --since",
            "for example: layby retry --all --workflow refund --since 1h",
        )
    return _retry_all(
        call, _Selection(workflow, duration(since), _status(status), by, reason), dry_run, yes
    )


class _Selection:
    """Which runs to retry, and who asks for it."""

    def __init__(
        self, workflow: str, since: float, status: str | None, by: str | None, reason: str
    ) -> None:
        self.workflow = workflow
        self.since = since
        self.status = status
        self.by = by
        self.reason = reason


def _retry_all(call: Invocation, selection: _Selection, dry_run: bool, yes: bool) -> int:
    with progress("runs checked", quiet=call.json) as report:
        rows = with_client(
            call,
            lambda client: client.retryable(
                selection.workflow, since=selection.since, status=selection.status, progress=report
            ),
        )
    if dry_run or not rows:
        _sample(call, rows)
        return OK
    if not yes:
        _sample(call, rows)
        _confirm(len(rows))
    with progress("runs resumed", quiet=call.json) as report:
        done = with_workers(
            call,
            lambda client: client.retry_all(
                selection.workflow,
                since=selection.since,
                status=selection.status,
                by=selection.by,
                reason=selection.reason,
                progress=report,
            ),
        )
    if call.json:
        print_json(done)
    else:
        _print_outcome(done)
    return OK if done.count == done.retried else FAILED


def _print_outcome(done: Retried) -> None:
    from ..screen.untrusted_text import one_line

    stdout().print(f"{_runs(done.retried)} resumed")
    for reason in done.refused.values():
        stderr().print(one_line(reason), style="yellow", markup=False, soft_wrap=True)
    if (more := done.count - done.retried - len(done.refused)) > 0:
        stderr().print(f"and {_runs(more)} more that cannot be retried", style="yellow")
    if done.again:
        stderr().print(RESUMED, style="yellow", soft_wrap=True)


def _sample(call: Invocation, rows: list[RunRow]) -> None:
    if call.json:
        print_json({"count": len(rows), "runs": rows})
        return
    stdout().print(f"{_runs(len(rows))} can be retried")
    if rows:
        from ..screen.tables import run_table

        console = stdout()
        console.print(run_table(rows[:_SAMPLE], width=console.width))
    if len(rows) > _SAMPLE:
        stdout().print(f"and {len(rows) - _SAMPLE} more", style="dim")


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _confirm(count: int) -> None:
    import sys

    if not sys.stdin.isatty():
        raise UsageError(
            f"{_runs(count)} would be retried",
            "there is no terminal to ask for confirmation on: add --yes",
        )
    if not typer.confirm(f"Retry {_runs(count)}?"):
        raise CliError("stopped: nothing was retried", kind="Aborted")


def _print_run(call: Invocation, row: RunRow) -> None:
    if call.json:
        print_json(row)
        return
    from ..screen.tables import status_text
    from ..screen.untrusted_text import one_line

    line = status_text(row.status).append(f"  {one_line(row.ticket)}  {row.id}", style="not dim")
    stdout().print(line, soft_wrap=True)


def _status(text: str | None) -> str | None:
    from ...operations.retrying import RETRIED

    if text is None or text in RETRIED:
        return text
    raise UsageError(
        f"a run with status {text!r} cannot be retried", "use one of: " + ", ".join(RETRIED)
    )
