"""What time it is by the server's clock, which every deadline is measured by.

A worker whose own clock is wrong would set deadlines that are over before anybody has seen the
question, or that come hours late. So it asks the server for its time when it starts, when its
connection is back and once in a while, and corrects its own by the difference.
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
_OFTEN = 60.0
"""Seconds between two looks at the server's clock."""
_PRECISE = 0.1
"""Seconds: a smaller difference may be the way of the message, and is not corrected."""
SKEWED = 1.0
"""Seconds of difference that people should know of."""
_BROKEN = (KeyError, TypeError, ValueError)


class Skew(NamedTuple):
    """How far this machine's clock is from the server's."""

    behind: float
    """Seconds that ours is behind; negative when it is ahead."""
    unsure: float
    """Seconds by which that may be wrong: half of what the answer took."""


_known = {"behind": 0.0}


def now() -> float:
    """Unix seconds by the server's clock, as far as it is known."""
    return time.time() + _known["behind"]


async def skew(requests: Requests, stream: str = _STREAM) -> Skew | None:
    """Compare the clocks; None where the server does not tell its time to this user."""
    found: list[Skew] = []
    for _ in range(_TRIES):
        asked, began = time.time(), time.monotonic()
        try:
            reply = await requests.api(f"STREAM.INFO.{requests.names.stream(stream)}")
            theirs = datetime.fromisoformat(reply["ts"]).timestamp()
        except (BusError, *_BROKEN):
            return None
        took = time.monotonic() - began
        found.append(Skew(theirs - (asked + took / 2), took / 2))
    return min(found, key=lambda each: each.unsure)


async def correct(requests: Requests) -> None:
    """Go by the server's clock from now on, and say so where ours is far from it."""
    measured = await skew(requests)
    if measured is None:
        return
    known = _known["behind"]
    _known["behind"] = measured.behind if abs(measured.behind) > _PRECISE + measured.unsure else 0.0
    changed = abs(_known["behind"] - known) >= SKEWED
    if changed:
        log.warning(
            "clock.skewed", behind=round(measured.behind, 3), unsure=round(measured.unsure, 3)
        )


async def keep(requests: Requests) -> None:
    """Compare the clocks again and again, until cancelled."""
    while True:
        await asyncio.sleep(_OFTEN)
        await correct(requests)
