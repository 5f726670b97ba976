"""A worker: the mailboxes of an app's actors in one process, from ready to drained."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from ..bus.connection import Connection
from ..bus.mailbox import Delivery, Mailbox
from ..bus.requests import Requests
from ..bus.specs import ConsumerSpec
from .adoption import BLOCKED, Adopter
from .hints import Hints
from .host import Host
from .supervision import Supervision

log = structlog.get_logger("layby.worker")

CANCEL = "layby.cancel"
"""Subject prefix of the hint to all workers that a run was cancelled or removed."""

Handle = Callable[[Delivery], Awaitable[None]]
"""Handles one delivery, and acknowledges it last."""


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """Consumers of one kind, in one stream or several, and who handles what they deliver."""

    consumers: tuple[ConsumerSpec, ...]
    handle: Handle
    concurrency: int = 64
    """How many messages are handled at the same time, over all consumers."""


class Worker:
    """Serves subscriptions over one connection."""

    def __init__(
        self,
        connection: Connection,
        requests: Requests,
        host: Host,
        subscriptions: list[Subscription],
        adopter: Adopter | None,
    ) -> None:
        self._adopter = adopter
        """None: it leaves blocked runs to other workers."""
        self._cancels = Hints(host.check_still_active)
        self._connection = connection
        self._requests = requests
        self.host = host
        """Brings the runs forward."""
        self._mailboxes = [box for each in subscriptions for box in self._boxes(each)]
        self._supervision = Supervision(on_give_up=self._gave_up)
        self.draining = False
        """Whether it takes nothing new."""
        self.background: dict[str, Callable[[], Awaitable[None]]] = {}
        """What runs in the background for as long as the worker lives, by name."""
        self.on_give_up: list[Callable[[], None]] = []
        """Called when a part of the worker cannot be kept alive: the process should end."""

    def _boxes(self, subscription: Subscription) -> list[Mailbox]:
        """A mailbox for each consumer, each with an equal share of the concurrency.

        With more consumers than messages that may be handled at once, each takes one message, and
        they take turns.
        """
        count, limit = len(subscription.consumers), subscription.concurrency
        handle, share = subscription.handle, max(1, limit // count)
        if share * count > limit:
            handle = _in_turns(handle, limit)
        return [self._mailbox(consumer, handle, share) for consumer in subscription.consumers]

    def _mailbox(self, consumer: ConsumerSpec, handle: Handle, concurrency: int) -> Mailbox:
        async def take(delivery: Delivery) -> None:
            await self.host.policy.take(consumer.name, delivery, handle)

        return Mailbox(
            self._connection.nc,
            consumer.stream,
            consumer.name,
            take,
            concurrency=concurrency,
            ack_wait=consumer.ack_wait,
            one_at_a_time=consumer.one_at_a_time,
            on_interrupted=self.host.interrupted,
        )

    @property
    def mailboxes(self) -> int:
        """How many mailboxes it reads."""
        return len(self._mailboxes)

    @property
    def busy(self) -> int:
        """How many messages it is handling."""
        return sum(mailbox.busy for mailbox in self._mailboxes)

    @property
    def load(self) -> dict[str, tuple[int, int]]:
        """By mailbox: how many messages it is handling, and how many it handles at most."""
        return {each.name: (each.busy, each.concurrency) for each in self._mailboxes}

    @property
    def unbound(self) -> list[str]:
        """The mailboxes whose consumers do not answer now."""
        return [each.name for each in self._mailboxes if not each.bound]

    async def start(self) -> None:
        """Start taking work."""
        self._connection.on_reconnect.append(self._reconnected)
        cancels = self._requests.names.subject(f"{CANCEL}.*")
        await self._connection.nc.subscribe(cancels, cb=self._on_cancel)
        for mailbox in self._mailboxes:
            await mailbox.start()
            self._supervision.run(mailbox.name, mailbox.keep)
        for name, loop in self.background.items():
            self._supervision.run(name, loop)
        if self._adopter is not None:
            blocked = self._requests.names.subject(f"{BLOCKED}.*")
            await self._connection.nc.subscribe(blocked, cb=self._adopter.on_blocked)
            self._adopter.scan()
        log.info("worker.ready", mailboxes=len(self._mailboxes))

    async def drain(self, grace: float = 20.0) -> None:
        """Take nothing new; finish or hand back what is in progress, within `grace` seconds."""
        self.draining = True
        log.info("worker.draining")
        if self._adopter is not None:
            await self._adopter.stop()
        await self._cancels.stop()
        for mailbox in self._mailboxes:
            mailbox.stop()
        await asyncio.gather(*(mailbox.drain(grace) for mailbox in self._mailboxes))
        await self._supervision.stop()
        log.info("worker.drained")

    def _gave_up(self, name: str) -> None:
        del name
        for hook in self.on_give_up:
            hook()

    def _reconnected(self) -> None:
        self.host.interrupted()
        if self._adopter is not None:
            self._adopter.scan()
        for mailbox in self._mailboxes:
            mailbox.reconnected()

    async def _on_cancel(self, msg: object) -> None:
        run = str(getattr(msg, "subject", "")).rpartition(".")[2]
        if self._requests.vault is not None:
            self._requests.vault.forget(
                run
            )  # it may have been erased, and `run` may be a person's key
        self.host.cache.drop(run)  # it may have been removed, and begin again
        ticket = bytes(getattr(msg, "data", b"")).decode("utf-8", "replace")
        if ticket:  # the run was removed
            self.host.forget(ticket)
        if self.host.works_on(run):
            self._cancels.receive(run)


def _in_turns(handle: Handle, at_once: int) -> Handle:
    slots = asyncio.Semaphore(at_once)

    async def in_turn(delivery: Delivery) -> None:
        async with slots:
            await handle(delivery)

    return in_turn
