"""`layby send`: publish an event."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..invocation import Invocation, command
from ..options.standard_input import text_or_stdin
from ..screen.errors import FAILED, OK, CliError, UsageError
from ..screen.output import print_json, stdout
from ..target.connection import with_client

if TYPE_CHECKING:
    from ...client import Client
    from ...views.rows import Dispatched, RunDetail

_START_TIMEOUT = 2.0
"""Seconds in which a running worker normally takes an event."""
_FAILED = frozenset(
    {"failed", "timed_out", "max_turns", "budget_spent", "cancelled", "blocked", "erased"}
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(send)


@command
def send(
    call: Invocation,
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="Subject of the event.", show_default=False)
    ],
    body: Annotated[
        str,
        typer.Argument(
            metavar="JSON",
            help="Event, as JSON; - reads it from standard input.",
            show_default=False,
        ),
    ],
    event_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="Id of the event; sent twice under one id, it starts one run.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", metavar="", help="Follow the run to its end, or to its first question."
        ),
    ] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", metavar="", help="Allow a subject that triggers no workflow."),
    ] = False,
    internal: Annotated[
        bool,
        typer.Option(
            "--internal",
            metavar="",
            help="With --raw: allow subjects of Layby and of the server, which act on the message.",
        ),
    ] = False,
) -> int:
    """Publish an event and start the runs it triggers.

    Each workflow that listens to the subject starts a run. Accepts subjects that trigger a workflow
    or that runs wait for, and refuses all others.

    Returns once JetStream has stored the event and, if a worker is running, a run has started. Exit
    code 1 if nothing takes the event, or if the run that --wait follows fails.

    Example: layby send support.ticket.created '{"ticketId": "T125"}' --wait
    """
    if internal and not raw:
        raise UsageError("--internal needs --raw", "add --raw, or leave --internal out")
    event = parse_event(text_or_stdin(body))

    from ...client.dispatch import NotATrigger

    within = None if wait else _START_TIMEOUT

    async def work(client: Client) -> tuple[Dispatched, list[RunDetail]]:
        sent = await client.dispatch(
            subject, event, event_id=event_id, within=within, raw=raw, internal=internal
        )
        if not call.json:
            _print(sent)
        runs = sent.runs if wait else []
        return sent, [await _follow_to_question(client, run.id, quiet=call.json) for run in runs]

    try:
        sent, details = with_client(call, work)
    except NotATrigger as error:
        raise CliError(str(error), _advice(raw=raw), kind=type(error).__name__) from None
    if sent.told:
        _check_taken(sent, subject)
    elif wait:
        raise CliError(
            "the event is stored, but this user may not see its run",
            "follow it with `layby show` as another user; do not send it again",
            kind="PermissionDenied",
            facts={"sent": _as_dict(sent)},
        )
    if call.json:
        print_json({**_as_dict(sent), "details": details} if wait else sent)
    return FAILED if any(detail.status in _FAILED for detail in details) else OK


def _advice(*, raw: bool) -> str:
    if raw:
        return "add --internal if you mean it"
    return "check the subject against on= of your workflows, or add --raw to send it all the same"


def _check_taken(sent: Dispatched, subject: str) -> None:
    """Check that something takes the event. Raises CliError."""
    if sent.refused:
        raise CliError(
            f"a worker cannot read the event: {'; '.join(sent.refused)}",
            "it is a dead letter now: see `layby dead list`; fix the event and send it again",
            kind="EventRefused",
            facts={"sent": _as_dict(sent)},
        )
    if not sent.workflows and not sent.awaited:
        raise CliError(
            f"no workflow takes events on {subject!r}: {sent.stream} has stored it, but nothing "
            "will act on it",
            "check the subject against on= of your workflows; a new workflow becomes known to the "
            "server when a worker starts or with `layby provision APP`",
            kind="NoWorkflow",
            facts={"sent": _as_dict(sent)},
        )


def _print(sent: Dispatched) -> None:
    from rich.text import Text

    from ..screen.untrusted_text import safe

    out = stdout()
    if sent.duplicate:
        text = f"sent before: {sent.stream} has this event as number {sent.seq}"
    else:
        text = f"stored in {sent.stream} as number {sent.seq}"
    out.print(Text.assemble(text, (f"  event {safe(sent.event_id)}", "dim")), soft_wrap=True)
    for run in sent.runs:
        out.print(Text.assemble(f"run {run.id}", (f"  {run.workflow}", "dim")), soft_wrap=True)
    if sent.runs or sent.refused or sent.duplicate:
        return
    if not sent.told:
        out.print("this user may not see whether a run starts", style="dim")
    elif not sent.workflows and sent.awaited:
        out.print("it starts no workflow; runs that wait for it receive it", style="dim")
    elif sent.elsewhere:
        text = "an app with another prefix takes it: add --prefix to see its run"
        out.print(text, style="dim", soft_wrap=True)
    elif sent.workflows and not sent.worker:
        out.print("no worker is running: the run starts when one does", style="yellow")
    elif sent.workflows:
        out.print(
            "no worker has taken it yet: `layby runs` shows the run once one has", style="dim"
        )


async def _follow_to_question(client: Client, run: str, *, quiet: bool) -> RunDetail:
    """Follow a run until it ends, blocks or asks somebody, and print what happens."""
    from ..screen.run_detail import print_end, print_head
    from ..screen.timeline import Timeline

    detail = await client.show(run)
    out = stdout()
    if not quiet:
        print_head(out, detail)
    timeline = Timeline(out, start=detail.started_at)
    async with aclosing(client.follow(run)) as lines:
        async for line in lines:
            if not quiet:
                timeline.line(line)
            if line.kind in {"question.asked", "run.blocked"}:
                break
    detail = await client.show(run)
    if not quiet:
        print_end(out, detail)
    return detail


def _as_dict(sent: Dispatched) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(sent)


def parse_event(text: str) -> Any:
    """Read an event's JSON.

    Raises:
        UsageError: It is not JSON.
    """
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise UsageError(
            f"the event is not JSON: {error}",
            """quote it for the shell, for example: '{"ticketId": "T125"}'""",
            kind="NotJson",
        ) from error
