"""What is in the streams of an app, and what waits in its mailboxes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ..bus.errors import StreamMissing
from ..bus.layout import streams
from ..bus.log import Log
from ..bus.names import Names
from ..bus.ownership import is_marked
from ..bus.requests import Requests

_NANOS = 1_000_000_000
SCARCE = 0.7
"""The part of a stream's limit from which on people should know."""


class StreamRow(msgspec.Struct, kw_only=True, frozen=True):
    """One stream.

    Attributes:
        name: Its name.
        messages: How many messages it has.
        size: How large they are, bytes.
        limit: The most that it takes, bytes; None: no limit.
        max_age: Seconds after which a message goes; None: never.
        removes_read: Whether a message goes once it is handled.
        last: The sequence of its newest message.
    """

    name: str
    messages: int
    size: int
    limit: int | None = None
    max_age: float | None = None
    removes_read: bool = False
    last: int = 0

    @property
    def full(self) -> float | None:
        """How full it is, 0 to 1; None without a limit."""
        return self.size / self.limit if self.limit else None

    @property
    def is_scarce(self) -> bool:
        """Whether it is so full that people should know."""
        return (self.full or 0.0) >= SCARCE


class MailboxRow(msgspec.Struct, kw_only=True, frozen=True):
    """One mailbox: a consumer that workers share.

    Attributes:
        name: Its name.
        stream: The stream that it is on.
        lag: Messages that no worker has taken yet.
        redelivered: Messages that are being delivered again.
        in_flight: Messages that workers are handling.
        asking: Requests of workers for more; 0: no worker takes anything.
        subjects: The subjects that it takes.
        ours: Whether Layby created it.
        delivered: The sequence in the stream of the last message that a worker has taken.
        acked: The sequence up to which workers have finished all messages.
    """

    name: str
    stream: str
    lag: int = 0
    redelivered: int = 0
    in_flight: int = 0
    asking: int = 0
    subjects: list[str] = []
    ours: bool = True
    delivered: int = 0
    acked: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to say about it."""
        return not (self.lag or self.redelivered or self.in_flight)

    @property
    def is_stuck(self) -> bool:
        """Whether messages wait and nobody takes them."""
        return bool(self.lag) and not self.asking and not self.in_flight


class Traffic(msgspec.Struct, kw_only=True, frozen=True):
    """The streams and mailboxes of an app.

    Attributes:
        streams: Those that exist, in the order of their names.
        mailboxes: The busiest first.
        missing: The streams that should exist and do not.
    """

    streams: list[StreamRow]
    mailboxes: list[MailboxRow]
    missing: list[str] = []

    @property
    def lag(self) -> int:
        """Messages that no worker has taken yet."""
        return sum(each.lag for each in self.mailboxes)

    def stream(self, name: str) -> StreamRow | None:
        """A stream by its name."""
        return next((each for each in self.streams if each.name == name), None)


async def traffic(requests: Requests) -> Traffic:
    """Ask for all streams and mailboxes: two requests for each stream.

    Raises:
        BusError: the server does not answer, or this user may not ask.
    """
    try:
        logs = await Log(requests).streams()
    except StreamMissing:
        logs = 1
    names = [spec.name for spec in streams(["x"], ["x"], logs, requests.names)]
    infos = await asyncio.gather(*(_info(requests, name) for name in names))
    there = {name: info for name, info in zip(names, infos, strict=True) if info is not None}
    listed = await asyncio.gather(*(_consumers(requests, name) for name in there))
    mailboxes = [
        _mailbox(each, requests.names) for page in listed for each in page if _is_mailbox(each)
    ]
    return Traffic(
        streams=sorted((_stream(info) for info in there.values()), key=lambda row: row.name),
        mailboxes=sorted(mailboxes, key=lambda row: (-row.lag, -row.redelivered, row.name)),
        missing=[name for name in names if name not in there],
    )


async def _info(requests: Requests, stream: str) -> dict[str, Any] | None:
    try:
        return await requests.api(f"STREAM.INFO.{stream}")
    except StreamMissing:
        return None


async def _consumers(requests: Requests, stream: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    try:
        while True:
            page = await requests.api(f"CONSUMER.LIST.{stream}", {"offset": len(found)})
            listed: list[dict[str, Any]] = page.get("consumers") or []
            found += listed
            if not listed or len(found) >= page.get("total", 0):
                return found
    except StreamMissing:
        return found  # it was deleted a moment ago


def _is_mailbox(info: dict[str, Any]) -> bool:
    """Whether workers share it; the others only look ahead."""
    config = info["config"]
    return bool(config.get("durable_name")) and config.get("ack_policy") != "none"


def _mailbox(info: dict[str, Any], names: Names) -> MailboxRow:
    return MailboxRow(
        name=info["name"],
        stream=info["stream_name"],
        lag=info.get("num_pending", 0),
        redelivered=info.get("num_redelivered", 0),
        in_flight=info.get("num_ack_pending", 0),
        asking=info.get("num_waiting", 0),
        subjects=_filters(info["config"]),
        ours=is_marked(info["config"], names),
        delivered=info["delivered"]["stream_seq"],
        acked=info["ack_floor"]["stream_seq"],
    )


def _filters(config: dict[str, Any]) -> list[str]:
    several: list[str] | None = config.get("filter_subjects")
    return several or ([one] if (one := config.get("filter_subject")) else [])


def _stream(info: dict[str, Any]) -> StreamRow:
    config, state = info["config"], info["state"]
    limit, age = config.get("max_bytes", -1), config.get("max_age", 0)
    return StreamRow(
        name=config["name"],
        messages=state["messages"],
        size=state["bytes"],
        limit=limit if limit > 0 else None,
        max_age=age / _NANOS if age > 0 else None,
        removes_read=config.get("retention") == "workqueue",
        last=state.get("last_seq", 0),
    )
