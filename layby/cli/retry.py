"""`layby retry`: take runs up again at the step that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .commanding import INTERRUPTED, commanding
from .connected import with_client
from .errors import FAILED, OK, CliError, UsageError
from .invocation import Invocation, command
from .output import print_json, stderr, stdout
from .progress import progress
from .times import duration

if TYPE_CHECKING:
    from ..rows import Retried, RunRow

_SAMPLE = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(retry)


@command
def retry(
    call: Invocation,
    run: Annotated[
        str | None,
        typer.Argument(help="Its id, the start of it, or its ticket.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--as",
            "--by",
            metavar="NAME",
            help="Who asks; default: the NATS user, or your login.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the run's history.")] = "",
    all_: Annotated[
        bool, typer.Option("--all", metavar="", help="All that fit the options below.")
    ] = False,
    workflow: Annotated[
        str | None, typer.Option(help="With --all: of this workflow.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="With --all: changed so lately, 1h for instance.", show_default=False),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="With --all: only blocked, failed, timed_out, max_turns or budget_spent.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Say which runs these are, no more.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", metavar="", help="Do not ask before many runs.")
    ] = False,
) -> int:
    """Take up a run that is blocked or ended badly, at the step that failed.

    What is recorded stays: no finished step runs again. Completed and cancelled runs stay as they
    are. A worker does it. With none up, exit code 2: the command is stored, and done when one
    starts.

    Example: layby retry T125 --reason "the card was changed"

    Example: layby retry --all --workflow refund --since 1h --dry-run
    """
    if all_ == (run is not None):
        raise UsageError("name one run, or several with --all", "layby retry RUN")
    if run is not None:
        row = commanding(call, lambda client: client.retry(run, by=by, reason=reason))
        _say(call, row)
        return OK
    if workflow is None or since is None:
        raise UsageError("--all needs --workflow and --since", "for instance --since 1h")
    return _many(call, _Many(workflow, duration(since), _status(status), by, reason), dry_run, yes)


class _Many:
    """Which runs, and in whose name."""

    def __init__(
        self, workflow: str, since: float, status: str | None, by: str | None, reason: str
    ) -> None:
        self.workflow = workflow
        self.since = since
        self.status = status
        self.by = by
        self.reason = reason


def _many(call: Invocation, wanted: _Many, dry_run: bool, yes: bool) -> int:
    with progress("runs looked at", quiet=call.json) as tell:
        rows = with_client(
            call,
            lambda client: client.retryable(
                wanted.workflow, since=wanted.since, status=wanted.status, progress=tell
            ),
        )
    if dry_run or not rows:
        _sample(call, rows)
        return OK
    if not yes:
        _sample(call, rows)
        _confirm(len(rows))
    with progress("runs taken up", quiet=call.json) as tell:
        done = commanding(
            call,
            lambda client: client.retry_all(
                wanted.workflow,
                since=wanted.since,
                status=wanted.status,
                by=wanted.by,
                reason=wanted.reason,
                progress=tell,
            ),
        )
    if call.json:
        print_json(done)
    else:
        _tell(done)
    return OK if done.count == done.retried else FAILED


def _tell(done: Retried) -> None:
    from .foreign import one_line

    stdout().print(f"{_runs(done.retried)} taken up again")
    for reason in done.refused.values():
        stderr().print(one_line(reason), style="yellow", markup=False, soft_wrap=True)
    if (more := done.count - done.retried - len(done.refused)) > 0:
        stderr().print(f"and {_runs(more)} more that cannot be", style="yellow")
    if done.again:
        stderr().print(INTERRUPTED, style="yellow", soft_wrap=True)


def _sample(call: Invocation, rows: list[RunRow]) -> None:
    if call.json:
        print_json({"count": len(rows), "runs": rows})
        return
    stdout().print(f"{_runs(len(rows))} can be retried")
    if rows:
        from .tables import run_table

        console = stdout()
        console.print(run_table(rows[:_SAMPLE], width=console.width))
    if len(rows) > _SAMPLE:
        stdout().print(f"and {len(rows) - _SAMPLE} more", style="dim")


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _confirm(count: int) -> None:
    import sys

    if not sys.stdin.isatty():
        raise UsageError(f"{_runs(count)} would be retried", "say --yes where nobody can be asked")
    if not typer.confirm(f"Retry {_runs(count)}?"):
        raise CliError("nothing was retried", kind="Aborted")


def _say(call: Invocation, row: RunRow) -> None:
    if call.json:
        print_json(row)
        return
    from .foreign import one_line
    from .tables import status_text

    line = status_text(row.status).append(f"  {one_line(row.ticket)}  {row.id}", style="not dim")
    stdout().print(line, soft_wrap=True)


def _status(text: str | None) -> str | None:
    from ..retrying import RETRIED

    if text is None or text in RETRIED:
        return text
    raise UsageError(f"no run is retried that is {text!r}", "one of: " + ", ".join(RETRIED))
