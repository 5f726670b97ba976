"""The worker's end of what people command: takes an entry of the trail, and does what it says.

An effect is done before its outcome is stored, and the entry is acknowledged last. A worker that
dies in between leaves the entry to another, which does it again: every effect can be repeated, and
the logs of runs remember which commands have changed them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import structlog

from .bus.errors import BusError, Conflict, KeyMissing, LaybyError, PermissionDenied
from .bus.mailbox import Delivery
from .bus.requests import Requests
from .commands import (
    Kind,
    Order,
    Outcome,
    Sign,
    Unreadable,
    addressed,
    order,
    outcome_subject,
    sign_subject,
)
from .runtime import crash
from .runtime.guard import OUTAGES
from .runtime.host import Host
from .runtime.times import iso

log = structlog.get_logger("layby.commands")

_SIGNS = 1.0
"""Seconds between two signs of work."""
_PATIENCE = 0.5
"""Seconds that long work waits for other long work to end."""
_BUSY = 2.0
"""Seconds after which long work is offered again where other long work is under way."""


_LONGEST = 2_000
"""Characters of a reason."""


class NotHere(LaybyError):
    """Another worker has to do it."""


class Task:
    """A command in a worker's hands."""

    def __init__(self, order: Order, *, again: bool) -> None:
        self.order = order
        self.again = again
        """It may have been delivered before."""
        self.done = 0
        """How many runs were dealt with so far."""
        self.afterwards: Callable[[], Awaitable[None]] | None = None
        """What remains to be done once the outcome is stored; repeated as the rest is."""

    def progress(self, done: int) -> None:
        """Take note of how far it is."""
        self.done = done


Deed = Callable[[Task], Awaitable[dict[str, Any]]]
"""Does what a command says, and can be repeated; returns the result for its outcome."""


class CommandActor:
    """Takes the commands of people."""

    def __init__(self, requests: Requests, host: Host, deeds: Mapping[str, Deed]) -> None:
        self._requests = requests
        self._names = requests.names
        self._host = host
        self._deeds = deeds
        self._at_length = asyncio.Lock()

    async def take(self, delivery: Delivery) -> None:
        """Do what a command says, once, and say what came of it."""
        crash.point("command_taken")
        try:
            found = order(self._names, delivery.subject, delivery.data, delivery.seq, delivery.at)
        except Unreadable as error:
            await self._end(delivery, "invalid", reason=str(error))
            return
        task = Task(found, again=self._host.may_repeat(delivery))
        if not found.takes_long:
            await self._do(delivery, task)
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._at_length.acquire()
        except TimeoutError:
            await delivery.nak(_BUSY)  # a place in the mailbox is for those who are quick
            return
        try:
            await self._do(delivery, task)
        finally:
            self._at_length.release()

    async def _do(self, delivery: Delivery, task: Task) -> None:
        found, deed = task.order, self._deeds[task.order.verb]
        try:
            async with self._telling(task):
                result = await deed(task)
        except NotHere:
            await delivery.nak(min(30.0, 0.2 * 2 ** min(delivery.num_delivered, 8)))
        except PermissionDenied as error:
            reason = f"{error}; what a worker needs is in deploy/permissions.conf"
            await self._end(delivery, "failed", reason=reason, error=type(error).__name__)
        except (*OUTAGES, KeyMissing):
            raise
        except Unreadable as error:
            await self._end(delivery, "invalid", reason=str(error))
        except LaybyError as error:
            await self._end(delivery, "refused", reason=str(error), error=type(error).__name__)
        except Exception as error:
            log.exception("command.failed", verb=found.verb, by=found.by, seq=found.seq)
            reason = f"the worker failed with {type(error).__name__}: its log says where"
            await self._end(delivery, "failed", reason=reason)
        else:
            crash.point("command_done")
            await self._end(delivery, "done", result=result, task=task)

    @asynccontextmanager
    async def _telling(self, task: Task) -> AsyncGenerator[None]:
        """Give signs of work until the block ends."""
        telling = asyncio.get_running_loop().create_task(self._tell(task))
        try:
            yield
        finally:
            telling.cancel()

    async def _tell(self, task: Task) -> None:
        subject = sign_subject(self._names, task.order.by, task.order.seq)
        while True:
            await asyncio.sleep(_SIGNS)
            with suppress(BusError):
                await self._requests.tell(subject, msgspec.json.encode(Sign(done=task.done)))

    async def _end(
        self,
        delivery: Delivery,
        kind: Kind,
        *,
        reason: str = "",
        error: str = "",
        result: dict[str, Any] | None = None,
        task: Task | None = None,
    ) -> None:
        """Store what came of a command, unless that is stored; acknowledge it last."""
        verb, by = addressed(self._names, delivery.subject)
        outcome = Outcome(
            outcome=kind,
            verb=verb[:40],
            by=by,
            seq=delivery.seq,
            at=iso(time.time()),
            reason=reason[:_LONGEST].encode("utf-8", "backslashreplace").decode(),
            error=error,
            again=task is not None and delivery.num_delivered > 1,
            result=result or {},
        )
        await store(self._requests, outcome)
        log.info("command.ended", verb=verb[:40], by=by, seq=delivery.seq, outcome=kind)
        crash.point("after_outcome")
        if task is not None and task.afterwards is not None:
            await task.afterwards()
        await delivery.ack()


async def store(requests: Requests, outcome: Outcome) -> None:
    """Create the outcome of a command; one that is there already stays."""
    subject = outcome_subject(requests.names, outcome.by, outcome.seq)
    with suppress(Conflict):
        await requests.store(
            subject, msgspec.json.encode(outcome), {"Nats-Expected-Last-Subject-Sequence": "0"}
        )
