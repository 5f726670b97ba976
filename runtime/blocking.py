"""Blocks mails that cannot be handled until people have mended something, with its reason."""

from __future__ import annotations

from contextlib import suppress

from ..bus.log import NOBODY
from . import crash
from .entry import Blocked
from .errors import Fenced
from .need import Held
from .run import LiveRun


def record_of(held: Held, frame: str, cause: int, fingerprint: str) -> Blocked:
    """The record of a mail that is blocked."""
    return Blocked(
        cause=cause,
        frame=frame,
        key=held.key,
        kind=held.need.kind,
        reason=held.reason,
        needs=held.need.advice,
        fingerprint=fingerprint,
    )


async def block(live: LiveRun, record: Blocked) -> None:
    """Block a mail whose body was not entered, unless the run has moved on without it."""
    crash.point("before_blocked")
    with suppress(Fenced):
        await live.append([record], to=NOBODY, cause=record.cause)
    crash.point("after_blocked")
