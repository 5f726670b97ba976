"""Blocks mails that cannot be handled until people have fixed something, with the reason."""

from __future__ import annotations

from contextlib import suppress

from ..bus.log_subject import NOBODY
from . import crash
from .blockers import Blocker
from .entry import Blocked
from .errors import Fenced
from .run import LiveRun


def blocked_record(blocker: Blocker, frame: str, cause: int, fingerprint: str) -> Blocked:
    """The record of a mail that is blocked."""
    return Blocked(
        cause=cause,
        frame=frame,
        key=blocker.key,
        kind=blocker.need.kind,
        reason=blocker.reason,
        needs=blocker.need.advice,
        fingerprint=fingerprint,
    )


async def block_mail(live: LiveRun, record: Blocked) -> None:
    """Block a mail whose body was not entered, unless another worker has moved the run on."""
    crash.point("before_blocked")
    with suppress(Fenced):
        await live.append([record], to=NOBODY, cause=record.cause)
    crash.point("after_blocked")
