"""`layby send`: publish an event."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .connected import with_client
from .errors import FAILED, OK, CliError, UsageError
from .invocation import Invocation, command
from .output import print_json, stdout

if TYPE_CHECKING:
    from ..client import Client
    from ..rows import Dispatched, RunDetail

_TAKEN_WITHIN = 2.0
"""Seconds in which a worker that is up takes an event, as a rule."""
_FAILED = frozenset(
    {"failed", "timed_out", "max_turns", "budget_spent", "cancelled", "blocked", "erased"}
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(send)


@command
def send(
    call: Invocation,
    subject: Annotated[str, typer.Argument(help="The event's subject.", show_default=False)],
    body: Annotated[
        str,
        typer.Argument(
            metavar="JSON", help="The event; - reads it from standard input.", show_default=False
        ),
    ],
    event_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="Name the event: sent twice under one id, it starts one run.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", metavar="", help="Follow its run to its end, or to its question."),
    ] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", metavar="", help="Take a subject that triggers no workflow."),
    ] = False,
    internal: Annotated[
        bool,
        typer.Option(
            "--internal",
            metavar="",
            help="With --raw: take Layby's own subjects and the server's. They are obeyed.",
        ),
    ] = False,
) -> int:
    """Publish an event; each workflow that listens starts a run.

    It takes subjects that trigger workflows, or that runs wait for, and refuses all others.

    It returns when JetStream has stored the event and, where a worker is up, a run has begun.
    A worker need not be up. Exits with 1 when nothing can take the event, or when the
    run that it waits for fails.

    Example: layby send support.ticket.created '{"ticketId": "T125"}' --wait
    """
    if internal and not raw:
        raise UsageError("--internal goes with --raw", "without both, it takes triggers only")
    event = parse_event(text_or_stdin(body))

    from ..sending import NotATrigger

    within = None if wait else _TAKEN_WITHIN

    async def work(client: Client) -> tuple[Dispatched, list[RunDetail]]:
        sent = await client.dispatch(
            subject, event, event_id=event_id, within=within, raw=raw, internal=internal
        )
        if not call.json:
            _print(sent)
        runs = sent.runs if wait else []
        return sent, [await _until_it_stands(client, run.id, quiet=call.json) for run in runs]

    try:
        sent, details = with_client(call, work)
    except NotATrigger as error:
        raise CliError(str(error), _how_else(raw=raw), kind=type(error).__name__) from None
    if sent.told:
        _demand_takers(sent, subject)
    elif wait:
        raise CliError(
            "the event is stored, and this user may not see its run",
            "follow it as another user, with `layby show`; do not send it again",
            kind="PermissionDenied",
            facts={"sent": _plain(sent)},
        )
    if call.json:
        print_json({**_plain(sent), "details": details} if wait else sent)
    return FAILED if any(detail.status in _FAILED for detail in details) else OK


def _how_else(*, raw: bool) -> str:
    if raw:
        return "add --internal if you mean it"
    return "check the subject against on= of your workflows; --raw takes others that are not obeyed"


def _demand_takers(sent: Dispatched, subject: str) -> None:
    """Fail where nothing can take the event. Raises CliError."""
    if sent.refused:
        raise CliError(
            f"a worker cannot read the event: {'; '.join(sent.refused)}",
            "it is a dead letter now: see `layby dead list`; mend the event and send it again",
            kind="EventRefused",
            facts={"sent": _plain(sent)},
        )
    if not sent.workflows and not sent.awaited:
        raise CliError(
            f"no workflow takes events on {subject!r}: {sent.stream} has stored it, and nothing "
            "will come of it",
            "check the subject against on= of your workflows; a worker, or `layby provision APP`, "
            "makes a new one known to the server",
            kind="NoWorkflow",
            facts={"sent": _plain(sent)},
        )


def _print(sent: Dispatched) -> None:
    from rich.text import Text

    from .foreign import safe

    out = stdout()
    if sent.duplicate:
        text = f"already there: {sent.stream} holds this event as number {sent.seq}"
    else:
        text = f"stored in {sent.stream} as number {sent.seq}"
    out.print(Text.assemble(text, (f"  event {safe(sent.event_id)}", "dim")), soft_wrap=True)
    for run in sent.runs:
        out.print(Text.assemble(f"run {run.id}", (f"  {run.workflow}", "dim")), soft_wrap=True)
    if sent.runs or sent.refused or sent.duplicate:
        return
    if not sent.told:
        out.print("this user may not see what becomes of it", style="dim")
    elif not sent.workflows and sent.awaited:
        out.print("it starts no workflow; runs that wait for it get it", style="dim")
    elif sent.elsewhere:
        text = "an app of another prefix takes it: name the prefix to see its run (--prefix)"
        out.print(text, style="dim", soft_wrap=True)
    elif sent.workflows and not sent.worker:
        out.print("no worker is up: its run starts when one is", style="yellow")
    elif sent.workflows:
        out.print("no worker has taken it yet: `layby runs` shows its run", style="dim")


async def _until_it_stands(client: Client, run: str, *, quiet: bool) -> RunDetail:
    """Follow a run until it has ended or somebody is asked, and print what happens."""
    from .show import print_end, print_head
    from .timeline import Timeline

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


def _plain(sent: Dispatched) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(sent)


def text_or_stdin(text: str) -> str:
    """The text itself, or all of standard input when it is `-`."""
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError("standard input is not UTF-8 text", kind="NotText") from error


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
