"""A worker: the mailboxes of an app's actors in one process, from ready to drained."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from ..bus.connection import Connection
from ..bus.mailbox import Delivery, Mailbox
from ..bus.requests import Requests
from ..bus.topology import ConsumerSpec
from .hints import Hints
from .host import Host
from .supervision import Supervision
from .taking_up import BLOCKED, TakingUp

log = structlog.get_logger("layby.worker")

CANCEL = "layby.cancel"
"""Subject prefix of the hint to all workers that a run was cancelled, or removed."""

Handle = Callable[[Delivery], Awaitable[None]]
"""Handles one delivery, and acknowledges it last."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """Consumers of one kind, in one stream or several, and who handles what they deliver."""

    consumers: tuple[ConsumerSpec, ...]
    handle: Handle
    concurrency: int = 64
    """How many messages are handled at the same time, of all consumers together."""


class Worker:
    """Serves posts over one connection."""

    def __init__(
        self,
        connection: Connection,
        requests: Requests,
        host: Host,
        posts: list[Post],
        taking_up: TakingUp,
    ) -> None:
        self._taking_up = taking_up
        self._cancels = Hints(host.look_up)
        self._connection = connection
        self._requests = requests
        self.host = host
        """Brings the runs forward."""
        self._mailboxes = [mailbox for post in posts for mailbox in self._boxes(post)]
        self._supervision = Supervision(on_give_up=self._gave_up)
        self.beside: dict[str, Callable[[], Awaitable[None]]] = {}
        """What is done beside the work for as long as the worker lives, by name."""
        self.on_give_up: list[Callable[[], None]] = []
        """Called when a part of the worker cannot be kept alive: end the process."""

    def _boxes(self, post: Post) -> list[Mailbox]:
        """A mailbox for each consumer of a post, each with an equal share of its concurrency.

        Where there are more consumers than messages may be handled, each may hold one, and they
        take turns.
        """
        count = len(post.consumers)
        handle, share = post.handle, max(1, post.concurrency // count)
        if share * count > post.concurrency:
            handle = _in_turns(handle, post.concurrency)
        return [self._mailbox(consumer, handle, share) for consumer in post.consumers]

    def _mailbox(self, consumer: ConsumerSpec, handle: Handle, concurrency: int) -> Mailbox:
        async def guarded(delivery: Delivery) -> None:
            await self.host.guard.take(consumer.name, delivery, handle)

        return Mailbox(
            self._connection.nc,
            consumer.stream,
            consumer.name,
            guarded,
            concurrency=concurrency,
            ack_wait=consumer.ack_wait,
            on_interrupted=self.host.interrupted,
        )

    async def start(self) -> None:
        """Begin to take work."""
        self._connection.on_reconnect.append(self._back)
        cancels = self._requests.names.subject(f"{CANCEL}.*")
        await self._connection.nc.subscribe(cancels, cb=self._on_cancel)
        for mailbox in self._mailboxes:
            await mailbox.start()
            self._supervision.run(mailbox.name, mailbox.keep)
        for name, chore in self.beside.items():
            self._supervision.run(name, chore)
        blocked = self._requests.names.subject(f"{BLOCKED}.*")
        await self._connection.nc.subscribe(blocked, cb=self._taking_up.heard)
        self._taking_up.begin()
        log.info("worker.ready", mailboxes=len(self._mailboxes))

    async def drain(self, grace: float = 20.0) -> None:
        """Take nothing new, finish or hand back what is under way, within `grace` seconds."""
        log.info("worker.draining")
        await self._taking_up.stop()
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

    def _back(self) -> None:
        self.host.interrupted()
        self._taking_up.begin()
        for mailbox in self._mailboxes:
            mailbox.reconnected()

    async def _on_cancel(self, msg: object) -> None:
        run = str(getattr(msg, "subject", "")).rpartition(".")[2]
        if self._requests.vault is not None:
            self._requests.vault.forget(run)  # erased, perhaps: it may be a person's key, too
        self.host.cache.drop(run)  # it may be removed, and begin anew from its first position
        ticket = bytes(getattr(msg, "data", b"")).decode("utf-8", "replace")
        if ticket:  # of a run that was removed
            self.host.forget(ticket)
        if self.host.works_on(run):
            self._cancels.hear(run)


def _in_turns(handle: Handle, at_once: int) -> Handle:
    slots = asyncio.Semaphore(at_once)

    async def in_turn(delivery: Delivery) -> None:
        async with slots:
            await handle(delivery)

    return in_turn
