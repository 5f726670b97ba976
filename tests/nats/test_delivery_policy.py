"""What a failure means for its message: outages are waited out, other failures give it up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, cast

import pytest

from layby.bus.connection import ConnectionSettings
from layby.bus.dead import DeadLetters
from layby.bus.errors import BusError, NoLeader, PermissionDenied, StoreFull, StreamMissing
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.opened import opened
from layby.bus.server import EmbeddedServer
from layby.bus.specs import ConsumerSpec, StreamSpec, Topology
from layby.bus.topology import Provisioner
from layby.runtime import delivery_policy
from layby.runtime.delivery_policy import DeliveryPolicy, PoisonMessage
from layby.runtime.errors import Gone, Interrupted
from layby.runtime.observing import UNOBSERVED, Observer, Undone
from tests.engine import until

_NEEDED = Topology(
    streams=(
        StreamSpec(name="MAIL", subjects=("mail.>",), config={"allow_direct": True}),
        StreamSpec(name="DEAD", subjects=("dead.>",), config={"allow_direct": True}),
    ),
    consumers=(ConsumerSpec(stream="MAIL", name="reader", filter="mail.>"),),
)


class _Handler:
    """Fails the first time, and records the deliveries."""

    def __init__(self, first: BaseException, run: str = "") -> None:
        self.first = first
        self.run = run
        self.deliveries: asyncio.Queue[int] = asyncio.Queue()

    async def __call__(self, delivery: Delivery) -> None:
        delivery.run = self.run
        self.deliveries.put_nowait(delivery.num_delivered)
        if delivery.num_delivered == 1:
            raise self.first
        await delivery.ack()

    async def next(self) -> int:
        async with asyncio.timeout(30):
            return await self.deliveries.get()


@contextlib.asynccontextmanager
async def _mailbox_of(
    server: EmbeddedServer,
    handler: _Handler,
    failed: asyncio.Queue[str],
    observer: Observer = UNOBSERVED,
) -> AsyncGenerator[DeadLetters]:
    async def fail_run(delivery: Delivery, reason: str) -> None:
        failed.put_nowait(f"{delivery.run}: {reason}")

    async with opened(ConnectionSettings(servers=(server.url,))) as (connection, requests):
        await Provisioner(requests).ensure(_NEEDED)
        dead = DeadLetters(requests)
        take = partial(DeliveryPolicy(dead, fail_run, observer).take, "reader", handle=handler)
        mailbox = Mailbox(connection.nc, "MAIL", "reader", take)
        await mailbox.start()
        await requests.store("mail.a", b"text")
        yield dead
        await mailbox.drain(1)


def _interrupted_by(cause: Exception) -> Interrupted:
    error = Interrupted(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "outage",
    [
        StoreFull("full"),
        StreamMissing("nobody answers"),
        NoLeader("temporarily unavailable"),
        PermissionDenied("not allowed", subject="to.>"),
        _interrupted_by(PermissionDenied("not allowed", subject="to.>")),
        _interrupted_by(BusError("slow")),
    ],
)
async def test_an_outage_gives_no_message_up(
    own_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, outage: Exception | Interrupted
) -> None:
    monkeypatch.setattr(delivery_policy, "_GIVE_UP", 1)  # the first failure gives the message up
    handler, failed = _Handler(outage, run="r1"), asyncio.Queue[str]()
    async with _mailbox_of(own_server, handler, failed) as dead:
        assert [await handler.next(), await handler.next()] == [1, 2]
        assert await dead.list() == []
        assert failed.empty()


async def test_giving_a_message_up_fails_its_run(own_server: EmbeddedServer) -> None:
    handler, failed = _Handler(PoisonMessage("no way"), run="r1"), asyncio.Queue[str]()
    async with _mailbox_of(own_server, handler, failed) as dead:
        async with asyncio.timeout(30):
            assert await failed.get() == "r1: no way"
        assert [letter.reason for _, letter in await dead.list()] == ["no way"]


async def test_giving_up_a_message_without_a_run_fails_nothing(own_server: EmbeddedServer) -> None:
    handler, failed = _Handler(PoisonMessage("no way")), asyncio.Queue[str]()
    async with _mailbox_of(own_server, handler, failed) as dead:
        assert await handler.next() == 1

        async def given_up() -> bool:
            return bool(await dead.list())

        await until(given_up)
    assert failed.empty()


class _Counts:
    """An observer that remembers what was not handled."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Undone]] = []

    def undone(self, mailbox: str, what: Undone) -> None:
        self.seen.append((mailbox, what))

    def __getattr__(self, name: str) -> Any:
        return getattr(UNOBSERVED, name)


@pytest.mark.parametrize(
    ("first", "seen"),
    [
        (ValueError("a fault"), "failed"),
        (StoreFull("full"), "postponed"),
        (Gone("removed"), "postponed"),
        (PoisonMessage("no way"), "dead"),
    ],
)
async def test_the_observer_learns_of_unhandled_messages(
    own_server: EmbeddedServer, first: BaseException, seen: Undone
) -> None:
    handler, failed, counts = _Handler(first), asyncio.Queue[str](), _Counts()
    async with _mailbox_of(own_server, handler, failed, cast("Observer", counts)):
        assert await handler.next() == 1
        if seen != "dead":
            assert await handler.next() == 2

        async def told() -> bool:
            return bool(counts.seen)

        await until(told)
    assert counts.seen == [("reader", seen)]


async def test_a_message_redelivered_while_it_is_handled_is_not_handed_on(
    own_server: EmbeddedServer,
) -> None:
    """Its handler keeps it: a second worker would do the same at the same time."""
    held: list[Delivery] = []
    gate, words = asyncio.Event(), asyncio.Queue[bytes]()

    async def handle(delivery: Delivery) -> None:
        held.append(delivery)
        await gate.wait()
        await delivery.ack()

    async def hear(msg: Any) -> None:
        words.put_nowait(msg.data)

    async def fail_run(_: Delivery, reason: str) -> None:
        raise AssertionError(reason)

    async with opened(ConnectionSettings(servers=(own_server.url,))) as (connection, requests):
        await Provisioner(requests).ensure(_NEEDED)
        policy = DeliveryPolicy(DeadLetters(requests), fail_run)
        mailbox = Mailbox(
            connection.nc, "MAIL", "reader", partial(policy.take, "reader", handle=handle)
        )
        await mailbox.start()
        await requests.store("mail.a", b"text")
        await until(lambda: _some(held))
        await connection.nc.subscribe("$JS.ACK.>", cb=hear)
        # A new leader of the consumer does not know that somebody has it.
        reply = held[0]._msg.reply
        await requests.publish(reply, b"-NAK")
        assert await words.get() == b"-NAK"

        async def came_again() -> bool:
            info = await requests.api("CONSUMER.INFO.MAIL.reader")
            return info["num_redelivered"] == 1 and mailbox.busy == 1

        await until(came_again)
        gate.set()
        assert await words.get() == b"+ACK"
        await mailbox.drain(1)
    assert len(held) == 1


async def _some(held: list[Delivery]) -> bool:
    return bool(held)
