"""What can be started by an event, as far as it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...actors.workflows.workflow import EVENTS_OF
from ...bus.token import slug
from ...health.traffic import MailboxRow
from ..console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A workflow and the event that starts it.

    Attributes:
        workflow: Its name.
        subject: The subject of its events.
        description: What it is for.
        schema: The JSON Schema of its events; None: not known.
        worker: Whether a worker takes its events now; None: not known.
    """

    workflow: str
    subject: str
    description: str = ""
    schema: dict[str, Any] | None = None
    worker: bool | None = None


async def starts(console: Console) -> list[Start]:
    """The workflows that can be started, by name."""
    await console.vitals.look()
    found = console.vitals.traffic.found
    boxes = found.mailboxes if found else []
    declared = [
        Start(
            workflow=each.name,
            subject=each.on,
            description=each.description,
            schema=each.form,
            worker=_is_read(boxes, each.on),
        )
        for app in console.vitals.apps
        for each in app.workflows
    ]
    return sorted(declared or await _provisioned(console, boxes), key=lambda start: start.workflow)


def awaited(console: Console) -> list[str]:
    """The subjects that runs wait for."""
    return sorted({subject for app in console.vitals.apps for subject in app.events})


def _is_read(boxes: list[MailboxRow], subject: str) -> bool:
    return any(box.asking or box.in_flight for box in boxes if subject in box.subjects)


async def _provisioned(console: Console, boxes: list[MailboxRow]) -> list[Start]:
    """What mailboxes say where no app has declared anything: their names and subjects."""
    guest = console.requests.names.guest("")
    known = {slug(name): name for name in await console.catalogue.workflows()}
    return [
        _start(box, known, name.removeprefix(EVENTS_OF))
        for box in boxes
        if box.subjects and (name := box.name.removeprefix(guest)).startswith(EVENTS_OF)
    ]


def _start(box: MailboxRow, known: dict[str, str], name: str) -> Start:
    """From a mailbox of events, whose name has fewer letters than the workflow's may have."""
    return Start(
        workflow=known.get(name, name),
        subject=box.subjects[0],
        worker=bool(box.asking or box.in_flight),
    )
