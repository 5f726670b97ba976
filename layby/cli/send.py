"""`layby send`: publish an event."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from .connected import with_client
from .errors import UsageError
from .invocation import Invocation, command
from .output import print_json, stdout


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
) -> None:
    """Publish an event; each workflow that listens starts a run.

    It returns when JetStream has stored the event. A worker need not be up.

    Example: layby send support.ticket.created '{"ticketId": "T125"}'
    """
    event = parse_event(text_or_stdin(body))
    sent = with_client(call, lambda client: client.send(subject, event, event_id=event_id))
    if call.json:
        print_json(sent)
    elif sent.duplicate:
        stdout().print(f"already there: {sent.stream} holds this event as number {sent.seq}")
    else:
        stdout().print(f"stored in {sent.stream} as number {sent.seq}")


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
