"""Leaves a run to workers of another release, for as long as one of them may take it."""

from __future__ import annotations

import structlog

from ..bus.mailbox import Delivery
from .blockers import blocker_of
from .blocking import block_mail, blocked_record
from .errors import Undeclared
from .run import LiveRun

log = structlog.get_logger("layby.host")

_RELEASES = 14
"""Deliveries, about four minutes, in which a worker of the right release may take a run."""


async def left_to_others(
    live: LiveRun, delivery: Delivery, why: Undeclared, fingerprint: str
) -> bool:
    """Hand a mail back; False if no worker took it for minutes, and its run is blocked now."""
    log.warning("run.left", run=live.id, why=str(why), num_delivered=delivery.num_delivered)
    if not why.frame:  # the worker that adopted it is running, so this is short
        await delivery.nak(min(2.0, 0.1 * delivery.num_delivered))
        return True
    if delivery.num_delivered < _RELEASES:
        await delivery.nak(min(30.0, 0.25 * 2**delivery.num_delivered))
        return True
    blocker = blocker_of(why)
    if blocker is not None:
        await block_mail(live, blocked_record(blocker, why.frame, why.cause, fingerprint))
    return False
