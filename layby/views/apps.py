"""What apps declare, as their workers have written it down: readable without their code."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..bus.bucket import Bucket
from ..bus.errors import StreamMissing
from ..bus.requests import Requests

BUCKET: Final = "apps"


class WorkflowRow(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A workflow that an app declares.

    Attributes:
        name: Its name.
        on: The subject of the events that start it.
        key: The field of the event that holds the ticket.
        description: The first paragraph of its docstring.
        form: The JSON Schema of its event; None if it takes any object, or if it is too large.
    """

    name: str
    on: str
    key: str
    description: str = ""
    form: dict[str, Any] | None = None


class AppRow(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What one app declares.

    Attributes:
        name: Its name.
        fingerprint: Of the release that wrote this.
        roles: The roles of people that it asks.
        workflows: Its workflows.
        events: Subjects of events that its runs wait for.
        agents: The names of its agents.
        networks: The names of its networks.
        declared_at: When this release was started first.
    """

    name: str
    fingerprint: str = ""
    roles: list[str] = []
    workflows: list[WorkflowRow] = []
    events: list[str] = []
    agents: list[str] = []
    networks: list[str] = []
    declared_at: str = ""


decode = msgspec.json.Decoder(AppRow).decode


async def read_apps(requests: Requests) -> list[AppRow]:
    """The apps whose workers have run on this server, by name."""
    found: dict[str, AppRow] = {}
    try:
        async for item in Bucket(requests, BUCKET).items():
            row = item.read(decode)
            if row is None:
                found.pop(item.key, None)
            else:
                found[item.key] = row
    except StreamMissing:
        return []  # nothing was provisioned yet, or by an earlier release
    return sorted(found.values(), key=lambda row: row.name)
