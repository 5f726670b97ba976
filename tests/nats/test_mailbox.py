from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from layby.bus import mailbox as module
from layby.bus.delivery import parse_ack_subject
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.server import EmbeddedServer
from tests.engine import is_handled, until
from tests.fix_bus import Bus, bus_at
from tests.fix_proxy import Proxy

pytestmark = pytest.mark.nats


class Post:
    """A stream with one consumer, and a record of what was delivered."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.came: list[tuple[str, int]] = []
        self.busy = 0
        self.peak = 0

    async def publish(self, *subjects: str) -> None:
        await asyncio.gather(*(self.bus.requests.store(f"mail.{s}", b"body") for s in subjects))

    async def about(self) -> dict[str, Any]:
        return await self.bus.about("MAIL", "box")

    @asynccontextmanager
    async def read(
        self,
        handle: Callable[[Delivery], Awaitable[None]] | None = None,
        *,
        keep: bool = True,
        grace: float = 5.0,
        **options: Any,
    ) -> AsyncGenerator[Mailbox]:
        """A mailbox that is read by `handle` while the block is open, then drained."""

        async def take(delivery: Delivery) -> None:
            self.came.append((delivery.subject.removeprefix("mail."), delivery.num_delivered))
            self.busy += 1
            self.peak = max(self.peak, self.busy)
            try:
                if handle is not None:
                    await handle(delivery)
            finally:
                self.busy -= 1
            await delivery.ack()

        mailbox = Mailbox(self.bus.connection.nc, "MAIL", "box", take, **options)
        await mailbox.start()
        self.bus.connection.on_reconnect.append(mailbox.reconnected)
        keeper = asyncio.ensure_future(mailbox.keep() if keep else asyncio.Event().wait())
        try:
            yield mailbox
        finally:
            await mailbox.drain(grace)
            keeper.cancel()

    async def until(self, holds: Callable[[], bool]) -> None:
        async def look() -> bool:
            return holds()

        await until(look)

    async def idle(self) -> None:
        """Return when the server holds nothing that is not acknowledged."""

        await until(lambda: is_handled(self.bus.requests, "MAIL.box"))


@pytest.fixture
async def post(bus: Bus) -> Post:
    return await post_on(bus)


async def post_on(bus: Bus, **consumer: Any) -> Post:
    await bus.stream("MAIL", "mail.*", storage="file")
    await bus.consumer("MAIL", "box", **consumer)
    return Post(bus)


# -- taking mail -------------------------------------------------------------------------------


async def test_everything_is_handled_once_and_acknowledged(post: Post) -> None:
    await post.publish("early")
    async with post.read():
        await post.publish(*(f"m{n}" for n in range(200)))
        await post.idle()
    assert sorted(post.came) == sorted([("early", 1), *((f"m{n}", 1) for n in range(200))])


async def test_a_delivery_says_what_it_is(post: Post) -> None:
    seen: list[tuple[str, bytes, dict[str, str], int, int]] = []

    async def handle(delivery: Delivery) -> None:
        assert abs(delivery.at - time.time()) < 60
        seen.append(
            (
                delivery.subject,
                delivery.data,
                delivery.headers,
                delivery.seq,
                delivery.num_delivered,
            )
        )

    await post.bus.requests.store("mail.a", b"1")
    await post.bus.requests.store("mail.b", b"2", {"Nats-Msg-Id": "x"})
    async with post.read(handle):
        await post.until(lambda: len(seen) == 2)
    assert sorted(seen, key=lambda one: one[3]) == [
        ("mail.a", b"1", {}, 1, 1),
        ("mail.b", b"2", {"Nats-Msg-Id": "x"}, 2, 1),
    ]


async def test_no_more_is_taken_than_can_be_handled_at_once(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.001)  # the keeper looks all the time
    gate = asyncio.Semaphore(0)

    async def handle(_: Delivery) -> None:
        await gate.acquire()

    async with post.read(handle, concurrency=4):
        for number in range(60):
            await post.publish(f"m{number}")
            if number % 3 == 0:
                gate.release()
        await post.until(lambda: post.busy == 4)
        assert (await post.about())["num_ack_pending"] <= 4
        for _ in range(60):
            gate.release()
        await post.idle()
    assert post.peak == 4
    assert len(post.came) == 60


async def test_a_mailbox_that_was_idle_asks_for_no_more_than_it_may_hold(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.001)
    asked: list[int] = []

    async def overhear(msg: Any) -> None:
        asked.append(msg.data)

    await post.bus.connection.nc.subscribe("$JS.API.CONSUMER.MSG.NEXT.MAIL.box", cb=overhear)
    gate = asyncio.Event()

    async def handle(_: Delivery) -> None:
        await gate.wait()

    async with post.read(handle, concurrency=4) as mailbox:
        for _ in range(20):  # the keeper has looked more than once by then
            await post.about()
            await asyncio.sleep(0.001)
        await post.publish(*(f"m{n}" for n in range(20)))
        await post.until(lambda: post.busy >= 4)
        mailbox.reconnected()  # to be told so when nothing is lost must not ask for more either
        await post.about()
        gate.set()
        await post.idle()
    assert post.peak == 4
    assert len(asked) >= 5


async def test_two_mailboxes_share_the_mail(bus: Bus) -> None:
    post, other = await post_on(bus), Post(bus)
    gate = asyncio.Barrier(2)

    async def handle(_: Delivery) -> None:
        await gate.wait()  # one alone, with room for one, would never go on

    async with post.read(handle, concurrency=1), other.read(handle, concurrency=1):
        await post.publish(*(f"m{n}" for n in range(10)))
        await post.idle()
    assert len(post.came) == len(other.came) == 5


# -- again -------------------------------------------------------------------------------------


async def test_a_message_whose_handler_fails_is_redelivered(post: Post) -> None:
    async def handle(delivery: Delivery) -> None:
        if delivery.num_delivered == 1:
            raise ValueError("not now")

    async with post.read(handle):
        await post.publish("m")
        await post.idle()
    assert post.came == [("m", 1), ("m", 2)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
async def test_nothing_that_a_handler_raises_ends_the_mailbox(
    post: Post, error: BaseException
) -> None:
    async def handle(delivery: Delivery) -> None:
        if delivery.subject == "mail.bad" and delivery.num_delivered == 1:
            raise error

    async with post.read(handle):
        await post.publish("bad")
        await post.publish("good")
        await post.idle()
    assert sorted(post.came) == [("bad", 1), ("bad", 2), ("good", 1)]


async def test_a_handler_may_ask_for_it_again_later(post: Post) -> None:
    times: list[float] = []

    async def handle(delivery: Delivery) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            await delivery.nak(0.3)

    async with post.read(handle):
        await post.publish("m")
        await post.until(lambda: len(times) == 2)
        await post.idle()
    assert times[1] - times[0] >= 0.29


async def test_what_is_refused_for_good_does_not_come_again(post: Post) -> None:
    async def handle(delivery: Delivery) -> None:
        await delivery.term()

    async with post.read(handle):
        await post.publish("m")
        await post.idle()
    assert post.came == [("m", 1)]


async def test_only_the_first_word_on_a_delivery_counts(post: Post) -> None:
    async def handle(delivery: Delivery) -> None:
        await delivery.ack()
        await delivery.nak()
        await delivery.term()

    async with post.read(handle):
        await post.publish("m")
        await post.idle()
    assert post.came == [("m", 1)]


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
async def test_slow_work_is_not_given_to_others_while_it_is_kept(bus: Bus, keep: bool) -> None:  # noqa: FBT001
    post = await post_on(bus, ack_wait=1_000_000_000)
    other = Post(bus)
    done = asyncio.Event()

    async def slow(_: Delivery) -> None:
        await done.wait()

    def came_again() -> bool:
        return len(post.came) + len(other.came) > 1

    async with post.read(slow, keep=keep, ack_wait=1.0):
        await post.publish("slow")
        await post.until(lambda: post.busy == 1)
        began = time.monotonic()
        async with other.read():

            async def twice_the_wait_is_over() -> bool:
                await other.about()
                return came_again() or time.monotonic() - began > 2.2

            await until(twice_the_wait_is_over)
            done.set()
            await post.idle()
    assert came_again() is not keep


# -- ends and interruptions --------------------------------------------------------------------


async def test_draining_lets_running_work_finish(post: Post) -> None:
    go_on = asyncio.Event()
    done: list[str] = []

    async def handle(delivery: Delivery) -> None:
        await go_on.wait()
        done.append(delivery.subject)

    async with post.read(handle):
        await post.publish("m")
        await post.until(lambda: post.busy == 1)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert done == ["mail.m"]
    await post.idle()


async def test_draining_hands_back_what_does_not_finish(bus: Bus) -> None:
    post, other = await post_on(bus), Post(bus)
    cancelled: list[str] = []

    async def endless(delivery: Delivery) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(delivery.subject)

    async with post.read(endless, grace=0.01):
        await post.publish("m")
        await post.until(lambda: post.busy == 1)
    assert cancelled == ["mail.m"]
    async with other.read():  # at once, not after the ack-wait of 30 s
        await other.idle()
    assert other.came == [("m", 2)]


async def test_a_drained_mailbox_takes_nothing_more(bus: Bus) -> None:
    post, other = await post_on(bus), Post(bus)
    async with post.read():
        await post.publish("before")
        await post.idle()
    await post.publish("after")
    async with other.read():
        await other.idle()
    assert (post.came, other.came) == ([("before", 1)], [("after", 1)])


async def test_mail_comes_again_after_a_restart_of_the_server(own_server: EmbeddedServer) -> None:
    async with bus_at(own_server.url) as bus:
        post = await post_on(bus)
        async with post.read():
            await post.publish("before")
            await post.idle()
            back = asyncio.Event()
            bus.connection.on_reconnect.append(back.set)
            await own_server.restart()
            await back.wait()
            await post.publish("after")
            await post.idle()
    # What was acknowledged just before may come again: a single server may forget it.
    assert {name for name, _ in post.came} == {"before", "after"}


async def test_what_was_in_hand_when_the_server_was_killed_is_not_lost(
    own_server: EmbeddedServer,
) -> None:
    async with bus_at(own_server.url) as bus:
        post = await post_on(bus, ack_wait=1_000_000_000)
        go_on, back = asyncio.Event(), asyncio.Event()
        bus.connection.on_reconnect.append(back.set)

        async def handle(_: Delivery) -> None:
            await go_on.wait()

        async with post.read(handle):
            await post.publish("m")
            await post.until(lambda: post.busy == 1)
            own_server.kill()
            go_on.set()  # its acknowledgement goes nowhere
            await post.until(lambda: post.busy == 0)
            await own_server.start()
            await back.wait()
            await post.idle()
    assert {name for name, _ in post.came} == {"m"}


async def test_a_mailbox_is_bound_while_its_consumer_answers(post: Post) -> None:
    async with post.read() as mailbox:
        assert mailbox.bound
        await post.bus.requests.api("CONSUMER.DELETE.MAIL.box")
        await post.until(lambda: not mailbox.bound)
        await post.bus.consumer("MAIL", "box")
        await post.publish("again")
        await post.until(lambda: mailbox.bound)
    assert not mailbox.bound
    assert post.came == [("again", 1)]


async def test_a_consumer_that_was_deleted_is_read_again_when_it_is_back(post: Post) -> None:
    interrupted: list[bool] = []
    async with post.read(on_interrupted=lambda: interrupted.append(True)):
        await post.publish("before")
        await post.idle()
        await post.bus.requests.api("CONSUMER.DELETE.MAIL.box")
        await post.until(lambda: bool(interrupted))
        await post.bus.consumer("MAIL", "box", deliver_policy="new")
        await post.publish("after")
        await post.until(lambda: ("after", 1) in post.came)
    assert post.came == [("before", 1), ("after", 1)]


async def test_mail_after_a_long_silence_may_be_with_another_worker(
    clean_nats: str, proxy: Proxy
) -> None:
    order: list[str] = []

    async def handle(delivery: Delivery) -> None:
        order.append(delivery.subject)

    async with bus_at(clean_nats) as near, bus_at(proxy.url) as far:
        other, cut_off = await post_on(near, ack_wait=400_000_000), Post(far)
        reading = cut_off.read(
            handle,
            keep=False,
            concurrency=2,
            ack_wait=0.4,
            on_interrupted=lambda: order.append("interrupted"),
        )
        async with reading:
            await other.publish("early")
            await cut_off.until(lambda: bool(cut_off.came))
            proxy.hold(clients=False)
            await other.publish("late")
            async with other.read():
                await other.until(lambda: ("late", 2) in other.came)
            proxy.release()
            await cut_off.until(lambda: ("late", 1) in cut_off.came)
    assert order == ["mail.early", "interrupted", "mail.late"]


@pytest.mark.slow
async def test_a_request_that_was_lost_is_renewed_before_half_an_ack_wait(proxy: Proxy) -> None:
    handled = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        if delivery.subject == "mail.first":
            proxy.is_deaf = True  # what is sent now is lost: the acknowledgement, the next request
        else:
            handled.set()

    async with bus_at(proxy.url) as far:
        post = await post_on(far)
        async with post.read(handle, concurrency=1, ack_wait=50.0) as mailbox:
            await post.publish("first")
            await post.until(lambda: proxy.is_deaf and not mailbox.busy and mailbox._asked == 1)
            proxy.is_deaf = False
            await post.publish("second")
            async with asyncio.timeout(25):
                await handled.wait()


async def test_what_is_being_handled_is_kept_at_once_after_an_interruption(proxy: Proxy) -> None:
    done = asyncio.Event()

    async def handle(_: Delivery) -> None:
        await done.wait()

    async with bus_at(proxy.url) as far:
        post = await post_on(far)
        async with post.read(handle, ack_wait=90.0):
            await post.publish("long")
            await post.until(lambda: bool(post.came))
            await far.requests.api("CONSUMER.DELETE.MAIL.box")  # as when its leader is lost
            async with asyncio.timeout(25):  # usually after a third of the ack-wait
                await post.until(lambda: b"+WPI" in proxy.passed)
            done.set()


async def _full(_: Delivery) -> None:
    await asyncio.Event().wait()


async def test_a_full_mailbox_notices_that_its_consumer_is_gone(post: Post) -> None:
    """It has no request open, so there are no heartbeats that could fail to come."""
    interrupted: list[bool] = []
    options: dict[str, Any] = {"concurrency": 1, "ack_wait": 90.0, "grace": 0.1}
    async with post.read(_full, on_interrupted=lambda: interrupted.append(True), **options) as box:
        await post.publish("m", "left")
        await post.until(lambda: box.busy == 1)
        await post.bus.requests.api("CONSUMER.DELETE.MAIL.box")  # as when its leader is lost
        async with asyncio.timeout(25):
            await post.until(lambda: bool(interrupted) and not box.bound)


async def test_a_full_mailbox_notices_a_server_that_hangs_and_then_answers(
    own_server: EmbeddedServer,
) -> None:
    interrupted: list[bool] = []
    async with bus_at(own_server.url) as bus:
        post = await post_on(bus)
        options: dict[str, Any] = {"concurrency": 1, "ack_wait": 1.5, "grace": 0.1}
        hook = lambda: interrupted.append(True)  # noqa: E731
        async with post.read(_full, on_interrupted=hook, **options) as box:
            await post.publish("m", "left")
            await post.until(lambda: box.busy == 1)
            os.kill(own_server.pid, signal.SIGSTOP)
            try:
                await post.until(lambda: bool(interrupted) and not box.bound)
            finally:
                os.kill(own_server.pid, signal.SIGCONT)
            await post.until(lambda: box.bound)


async def test_a_full_mailbox_whose_server_answers_is_not_interrupted(post: Post) -> None:
    interrupted: list[bool] = []
    asked: list[str] = []

    async def hear(msg: Any) -> None:
        if msg.data == b"+WPI" and msg.reply:
            asked.append(msg.reply)

    await post.bus.connection.nc.subscribe("$JS.ACK.>", cb=hear)
    options: dict[str, Any] = {"concurrency": 1, "ack_wait": 1.5, "grace": 0.1}
    async with post.read(_full, on_interrupted=lambda: interrupted.append(True), **options) as box:
        await post.publish("m", "left")
        await post.until(lambda: len(asked) == 4)  # more than the heartbeats that may be missed
        assert box.bound
    assert not interrupted


async def test_a_mailbox_may_open_before_its_consumer_is_there(bus: Bus) -> None:
    await bus.stream("MAIL", "mail.*")
    post = Post(bus)
    async with post.read():
        await post.publish("m")
        await bus.consumer("MAIL", "box")
        await post.idle()
    assert post.came == [("m", 1)]


def test_both_forms_of_an_ack_subject_are_read() -> None:
    old = "$JS.ACK.MAIL.box.2.7.3.1700000000000000000.5"
    new = "$JS.ACK.domain.hash.MAIL.box.2.7.3.1700000000000000000.5.token"
    assert parse_ack_subject(old) == parse_ack_subject(new) == ("MAIL", 2, 7, 3, 1_700_000_000.0, 5)


async def test_what_comes_while_a_mailbox_is_drained_goes_to_others_at_once(bus: Bus) -> None:
    """And not after the ack-wait: 30 s in which nobody knows who has it."""
    post, other = await post_on(bus), Post(bus)
    published = 0
    for _ in range(10):
        async with post.read(concurrency=8, grace=0.5):
            burst = asyncio.ensure_future(post.publish(*(f"m{n}" for n in range(50))))
            await post.until(lambda: len(post.came) > 0)
        await burst
        await post.publish("after")
        published += 51
    async with other.read():
        await other.idle()
    assert len(post.came) + len(other.came) >= published
