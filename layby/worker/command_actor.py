"""The worker's side of commands: takes one from the audit trail and carries it out.

The effect comes first, then its outcome is stored, and the message is acknowledged last. If a
worker dies in between, another repeats the command: every effect can be repeated, and the logs of
runs record which commands changed them. A command with an outcome is over, whatever has become of
its effect: after a restore or a takeover it may be delivered again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import structlog

from ..bus.errors import BusError, Conflict, KeyMissing, LaybyError, PermissionDenied
from ..bus.mailbox import Delivery
from ..bus.requests import Requests
from ..commands import (
    STREAM,
    CommandOutcome,
    Heartbeat,
    InvalidCommand,
    Kind,
    StoredCommand,
    heartbeat_subject,
    outcome_subject,
    parse_subject,
    read_command,
)
from ..runtime import crash
from ..runtime.delivery_policy import OUTAGES
from ..runtime.envelope import UNREADABLE
from ..runtime.host import Host
from ..runtime.times import iso

log = structlog.get_logger("layby.commands")

_HEARTBEAT = 1.0
"""Seconds between two heartbeats."""
_PATIENCE = 0.5
"""Seconds that a long command waits for another long command to end."""
_BUSY = 2.0
"""Seconds after which a long command is delivered again while another one runs."""
_ASKS_AGAIN = 30.0
"""Seconds, at most, after which a command for another app's workers is offered again.

All apps read one mailbox, so each offer goes to any worker. Where one in fifty is of the right app,
it takes fifty offers on average: with a longer pause a day would not do, and nobody else waits."""


_LONGEST = 2_000
"""Characters of a reason."""


class WrongWorker(LaybyError):
    """Another app's worker has to handle the command."""


class CommandTask:
    """A command that a worker is handling."""

    def __init__(self, stored: StoredCommand, *, again: bool, num_delivered: int = 1) -> None:
        self.stored = stored
        self.num_delivered = num_delivered
        self.again = again
        """It may have been delivered before."""
        self.done = 0
        """How many runs were handled so far."""

    def progress(self, done: int) -> None:
        """Report how many runs were handled so far."""
        self.done = done


CommandHandler = Callable[[CommandTask], Awaitable[dict[str, Any]]]
"""Carries out a command, repeatably; returns the result for its outcome."""
Afterwards = Callable[[StoredCommand], Awaitable[None]]


class CommandActor:
    """Handles the commands of people."""

    def __init__(
        self,
        requests: Requests,
        host: Host,
        handlers: Mapping[str, CommandHandler],
        afterwards: Mapping[str, Afterwards],
    ) -> None:
        """`afterwards`: by verb, what remains to be done once `done` is stored. Repeatable."""
        self._requests = requests
        self._names = requests.names
        self._host = host
        self._handlers = handlers
        self._afterwards = afterwards
        self._at_length = asyncio.Lock()

    async def take(self, delivery: Delivery) -> None:
        """Carry out a command, and store its outcome once."""
        crash.point("command_taken")
        try:
            found = read_command(
                self._names, delivery.subject, delivery.data, delivery.seq, delivery.at
            )
        except InvalidCommand as error:
            await self._end(delivery, "invalid", reason=str(error))
            return
        if self._host.may_repeat(delivery) and await self._is_over(found):
            await delivery.ack()
            return
        task = CommandTask(
            found, again=self._host.may_repeat(delivery), num_delivered=delivery.num_delivered
        )
        if not found.takes_long:
            await self._do(delivery, task)
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._at_length.acquire()
        except TimeoutError:
            await delivery.nak(_BUSY)  # leave the mailbox to quick commands
            return
        try:
            await self._do(delivery, task)
        finally:
            self._at_length.release()

    async def _is_over(self, found: StoredCommand) -> bool:
        """Whether a command has an outcome; what remains after it is done then."""
        subject = outcome_subject(self._names, found.by, found.seq)
        stored = await self._requests.stored(self._names.stream(STREAM), last=subject)
        if stored is None:
            return False
        try:
            outcome = msgspec.json.decode(stored.data, type=CommandOutcome)
        except UNREADABLE:
            return True  # a later release wrote it
        if outcome.outcome == "done":
            await self._finish(found)
        return True

    async def _finish(self, found: StoredCommand) -> None:
        if found.verb in self._afterwards:
            await self._afterwards[found.verb](found)

    async def _do(self, delivery: Delivery, task: CommandTask) -> None:
        found, handler = task.stored, self._handlers[task.stored.verb]
        try:
            async with self._heartbeats(task):
                result = await handler(task)
        except WrongWorker:
            await delivery.nak(min(_ASKS_AGAIN, 0.2 * 2 ** min(delivery.num_delivered, 8)))
        except PermissionDenied as error:
            reason = f"{error}; what a worker needs is in deploy/permissions.conf"
            await self._end(delivery, "failed", reason=reason, error=type(error).__name__)
        except (*OUTAGES, KeyMissing):
            raise
        except InvalidCommand as error:
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
    async def _heartbeats(self, task: CommandTask) -> AsyncGenerator[None]:
        """Send heartbeats until the block ends."""
        beating = asyncio.get_running_loop().create_task(self._beat(task))
        try:
            yield
        finally:
            beating.cancel()

    async def _beat(self, task: CommandTask) -> None:
        subject = heartbeat_subject(self._names, task.stored.by, task.stored.seq)
        while True:
            await asyncio.sleep(_HEARTBEAT)
            with suppress(BusError):
                heartbeat = msgspec.json.encode(Heartbeat(done=task.done))
                await self._requests.publish(subject, heartbeat)

    async def _end(
        self,
        delivery: Delivery,
        kind: Kind,
        *,
        reason: str = "",
        error: str = "",
        result: dict[str, Any] | None = None,
        task: CommandTask | None = None,
    ) -> None:
        """Store the outcome of a command, unless it is stored; acknowledge the command last."""
        verb, by = parse_subject(self._names, delivery.subject)
        outcome = CommandOutcome(
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
        if task is not None:
            await self._finish(task.stored)
        await delivery.ack()


async def store(requests: Requests, outcome: CommandOutcome) -> None:
    """Store the outcome of a command; one that exists stays."""
    subject = outcome_subject(requests.names, outcome.by, outcome.seq)
    with suppress(Conflict):
        await requests.store(
            subject, msgspec.json.encode(outcome), {"Nats-Expected-Last-Subject-Sequence": "0"}
        )
