"""Server settings that put data at risk, as far as a client can see them."""

from __future__ import annotations

from typing import Any

import msgspec

from ..bus.connection import Connection
from ..bus.errors import BusError
from ..bus.requests import Requests
from ..commands import ALL
from ..runtime.clock import SKEWED, Skew
from ..views.rows import Finding

_VARZ = "$SYS.REQ.SERVER.PING.VARZ"
_WHO = "$SYS.REQ.USER.INFO"
_EVERYBODY = "$G"
_SECOND = 1_000_000_000


def login(connection: Connection) -> list[Finding]:
    """Whether the server demands a login."""
    if connection.demands_login:
        return []
    return [
        Finding(
            level="warn",
            subject="authorisation",
            message="none: anybody who reaches the server may read, answer and delete everything",
            advice="Give it logins: `layby accounts config APP` writes them.",
        )
    ]


async def account(requests: Requests) -> list[Finding]:
    """Whether outsiders share the account of the streams, as far as this login can see.

    Everybody is in the account `$G` where a server has no others.
    """
    try:
        reply = await requests.request(_WHO, timeout=0.5)
        name: str = msgspec.json.decode(reply.data)["data"]["account"]
    except (BusError, msgspec.MsgspecError, KeyError, TypeError):
        text = "this login cannot see which account it is in"
        return [Finding(level="ok", subject="account", message=text)]
    if name != _EVERYBODY:
        found = Finding(level="ok", subject="account", message=f"logged in to account {name}")
        return [found, *await _trail(requests)]
    return [
        Finding(
            level="warn",
            subject="account",
            message="everybody shares one account: anybody with a login can plant answers and "
            "delete streams, whatever their permissions say",
            advice="Put outsiders into accounts of their own: `layby accounts config APP`, and "
            "docs/security.md.",
        )
    ]


async def _trail(requests: Requests) -> list[Finding]:
    """Whether the audit trail is in an account of its own, away from the logins of the streams."""
    body = {"subject": requests.names.subject(ALL)}
    try:
        holders = (await requests.api("STREAM.NAMES", body)).get("streams")
    except BusError:
        return []
    if not holders:
        text = "the audit trail is in an account of its own, in which nobody logs in"
        return [Finding(level="ok", subject="trail", message=text)]
    return [
        Finding(
            level="warn",
            subject="trail",
            message=f"{', '.join(holders)} is in the account of the other streams: anybody with a "
            "worker's or the provisioner's login can delete the commands of people",
            advice="Stop the server, run `layby accounts move STORE`, and start it with what "
            "`layby accounts config APP` writes: docs/operations.md.",
        )
    ]


async def store(requests: Requests) -> dict[str, Any]:
    """What the server reports about its store, only to its system account; else empty."""
    try:
        reply = await requests.request(_VARZ, timeout=0.5)
        found: dict[str, Any] = msgspec.json.decode(reply.data)["data"]["jetstream"]
        return found if isinstance(found.get("config"), dict) else {}
    except (BusError, msgspec.MsgspecError, AttributeError, KeyError, TypeError):
        return {}


def syncing(found: dict[str, Any]) -> list[Finding]:
    """How soon the server writes to disk; `found` is its `store`."""
    if not found:
        text = "this user cannot see it: with the default, a power cut loses up to 2 min"
        return [Finding(level="ok", subject="sync_interval", message=text)]
    config = found["config"]
    if config.get("sync_always"):
        return []
    pause = config.get("sync_interval", 120 * _SECOND) / _SECOND
    return [
        Finding(
            level="warn",
            subject="sync_interval",
            message=f"a power cut loses up to {pause:g} s of what was acknowledged",
            advice="Set `sync_interval: always` as deploy/nats-server.conf does.",
        )
    ]


def clocks(found: Skew | None) -> list[Finding]:
    """How far the clock here is from the server's, which decides deadlines."""
    if found is None:
        return []
    if abs(found.behind) < SKEWED + found.unsure:
        text = "within a second of the server's"
        return [Finding(level="ok", subject="clock", message=text)]
    where = "behind" if found.behind > 0 else "ahead of"
    return [
        Finding(
            level="warn",
            subject="clock",
            message=f"this machine's is {abs(found.behind):,.0f} s {where} the server's",
            advice="Set it with NTP. Workers correct theirs by the server's, and log clock.skewed.",
        )
    ]
