"""The time by the server's clock, which all deadlines use.

A worker whose own clock is wrong would set deadlines that pass before anybody has seen the
question, or that come hours late. So it asks the server for the time when it starts, when it
reconnects and once a minute, and corrects its own clock by the difference.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import NamedTuple

import structlog

from ..bus.errors import BusError
from ..bus.requests import Requests

log = structlog.get_logger("layby.worker")

_STREAM = "RUNS"
_TRIES = 3
_INTERVAL = 60.0
"""Seconds between two comparisons with the server's clock."""
_PRECISE = 0.1
"""Seconds: a smaller difference may come from the network, and is not corrected."""
SKEWED = 1.0
"""Seconds of difference that people should know about."""
_OLD = 5 * _INTERVAL
"""Seconds after which a comparison says nothing any more."""
_MALFORMED = (KeyError, TypeError, ValueError)


class Skew(NamedTuple):
    """How far this machine's clock is from the server's."""

    behind: float
    """Seconds that this clock is behind; negative when it is ahead."""
    unsure: float
    """Seconds by which `behind` may be wrong: half of the round trip."""


_known = {"behind": 0.0, "compared": 0.0}


def now() -> float:
    """Unix seconds by the server's clock, as far as it is known."""
    return time.time() + _known["behind"]


def behind() -> float:
    """Seconds that this machine's clock is behind the server's, as far as it is known."""
    return _known["behind"]


def trouble() -> str:
    """Why `now` may be wrong; empty: it is not, or this user may not read the server's time."""
    compared = _known["compared"]
    ago = time.monotonic() - compared
    if not compared or ago < _OLD:
        return ""
    return f"the clock was compared with the server's {ago:.0f} s ago"


async def skew(requests: Requests, stream: str = _STREAM) -> Skew | None:
    """Compare the clocks; None if this user may not read the server's time."""
    found: list[Skew] = []
    for _ in range(_TRIES):
        asked, began = time.time(), time.monotonic()
        try:
            reply = await requests.api(f"STREAM.INFO.{requests.names.stream(stream)}")
            theirs = datetime.fromisoformat(reply["ts"]).timestamp()
        except (BusError, *_MALFORMED):
            return None
        took = time.monotonic() - began
        found.append(Skew(theirs - (asked + took / 2), took / 2))
    return min(found, key=lambda each: each.unsure)


async def sync(requests: Requests) -> None:
    """Use the server's clock from now on; log a warning when the difference is large."""
    measured = await skew(requests)
    if measured is None:
        return
    known = _known["behind"]
    _known["compared"] = time.monotonic()
    _known["behind"] = measured.behind if abs(measured.behind) > _PRECISE + measured.unsure else 0.0
    changed = abs(_known["behind"] - known) >= SKEWED
    if changed:
        log.warning(
            "clock.skewed", behind=round(measured.behind, 3), unsure=round(measured.unsure, 3)
        )


async def keep_in_sync(requests: Requests) -> None:
    """Compare the clocks once a minute, until cancelled."""
    while True:
        await asyncio.sleep(_INTERVAL)
        await sync(requests)
