"""Events that expired in their stream before any worker had read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog

from ..bus.errors import BusError
from ..bus.requests import Requests
from ..mailboxes import Row
from ..views.rows import Finding

log = structlog.get_logger("layby.worker")

_ADVICE = (
    "no worker ran for longer than events are kept: send those that still matter again, and "
    "keep events longer (nats stream edit {} --max-age 90d)"
)


def gap(state: dict[str, Any], consumers: Iterable[dict[str, Any]]) -> tuple[int, int] | None:
    """The range of removed sequences that no consumer of a stream was given; None: none.

    Each worker of an app serves all its consumers: if one of them was given an event, a worker was
    running, and none missed it for lack of one.
    """
    read = [int(info["delivered"]["stream_seq"]) for info in consumers]
    first = int(state["first_seq"])
    return (max(read) + 1, first - 1) if read and max(read) + 1 < first else None


def finding(stream: str, lost: tuple[int, int]) -> Finding:
    """The finding of `layby doctor` about such a gap."""
    first, last = lost
    advice = _ADVICE.format(stream)
    return Finding(
        level="error",
        subject=stream,
        message=f"{last - first + 1} events, {first} to {last}, were removed before a worker had "
        "read them",
        advice=f"{advice[:1].upper()}{advice[1:]}.",
    )


async def report(requests: Requests, mailboxes: Iterable[Row]) -> None:
    """Log the events that were removed before this worker started."""
    streams: dict[str, list[str]] = {}
    for consumer, duty in mailboxes:
        if duty.kind in {"events", "waits"}:
            streams.setdefault(consumer.stream, []).append(consumer.name)
    for stream, names in streams.items():
        try:
            state = (await requests.api(f"STREAM.INFO.{stream}"))["state"]
            infos = [await requests.api(f"CONSUMER.INFO.{stream}.{name}") for name in names]
        except BusError:
            continue  # a worker without this permission works all the same
        if lost := gap(state, infos):
            advice = _ADVICE.format(stream)
            log.error("events.unread", stream=stream, first=lost[0], last=lost[1], advice=advice)
