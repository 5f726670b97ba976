from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from layby.bus import group_commit
from layby.bus.group_commit import SETTING
from layby.bus.layout import streams
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.server import EmbeddedServer
from layby.bus.specs import ConsumerSpec, Topology
from layby.bus.timers import STREAM, Timers
from layby.bus.topology import Provisioner
from tests.engine import until
from tests.fix_bus import Bus, bus_at
from tests.slow_disk import SlowDisk

pytestmark = pytest.mark.nats

DUE = ConsumerSpec(stream=STREAM, name="due", filter="due.>")


class Fired:
    """The wake-ups that have come, in their order."""

    def __init__(self) -> None:
        self.came: list[tuple[str, bytes, float]] = []
        self._changed = asyncio.Condition()

    async def take(self, delivery: Delivery) -> None:
        async with self._changed:
            self.came.append((delivery.subject, delivery.data, delivery.at))
            self._changed.notify_all()
        await delivery.ack()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(holds)

    @property
    def names(self) -> list[str]:
        return [subject for subject, _, _ in self.came]


async def provision(bus: Bus) -> None:
    wanted = tuple(spec for spec in streams([], []) if spec.name == STREAM)
    await Provisioner(bus.requests).ensure(Topology(streams=wanted, consumers=(DUE,)))


@asynccontextmanager
async def listening(bus: Bus) -> AsyncGenerator[Fired]:
    fired = Fired()
    mailbox = Mailbox(bus.connection.nc, STREAM, "due", fired.take)
    await mailbox.start()
    keeper = asyncio.ensure_future(mailbox.keep())
    bus.connection.on_reconnect.append(mailbox.reconnected)
    try:
        yield fired
    finally:
        keeper.cancel()
        await mailbox.drain(1)


@pytest.fixture
async def timers(bus: Bus) -> Timers:
    await provision(bus)
    return Timers(bus.requests)


async def test_a_timer_fires_when_it_is_due_with_its_body(bus: Bus, timers: Timers) -> None:
    async with listening(bus) as fired:
        at = time.time() + 0.3
        await timers.arm("q1", at, b"wake up")
        await fired.until(lambda: bool(fired.came))
    [(subject, body, came)] = fired.came
    assert (subject, body) == ("due.q1", b"wake up")
    assert came >= at - 0.005


async def test_timers_fire_in_the_order_they_are_due(bus: Bus, timers: Timers) -> None:
    async with listening(bus) as fired:
        now = time.time()
        for name, wait in (("c", 1.5), ("a", -5.0), ("b", 0.4)):
            await timers.arm(name, now + wait, b"")
        await fired.until(lambda: len(fired.came) == 3)
    assert fired.names == ["due.a", "due.b", "due.c"]


async def test_a_timer_that_is_past_due_fires_at_once(bus: Bus, timers: Timers) -> None:
    async with listening(bus) as fired:
        await timers.arm("late", time.time() - 3600, b"")
        await fired.until(lambda: bool(fired.came))


async def test_arming_a_timer_again_for_the_same_time_is_harmless(bus: Bus, timers: Timers) -> None:
    async with listening(bus) as fired:
        at = time.time() + 0.3
        for _ in range(3):
            await timers.arm("q1", at, b"")
        await timers.arm("last", at + 0.5, b"")
        await fired.until(lambda: "due.last" in fired.names)
    assert fired.names.count("due.q1") == 1


async def test_a_timer_that_has_fired_leaves_nothing(bus: Bus, timers: Timers) -> None:
    async with listening(bus) as fired:
        await timers.arm("q1", time.time(), b"")
        await fired.until(lambda: bool(fired.came))

    async def nothing_left() -> bool:
        return not (await bus.requests.api(f"STREAM.INFO.{STREAM}"))["state"]["messages"]

    await until(nothing_left)


async def test_many_timers_at_once_all_fire_once(bus: Bus, timers: Timers) -> None:
    async with listening(bus) as fired:
        at = time.time() + 0.3
        await asyncio.gather(*(timers.arm(f"q{n}", at, b"%d" % n) for n in range(300)))
        await fired.until(lambda: len(fired.came) >= 300)
    assert sorted(fired.names) == sorted(f"due.q{n}" for n in range(300))


async def test_timers_that_are_armed_in_batches_fire_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "1")
    monkeypatch.setattr(group_commit, "DiskPace", SlowDisk)
    await provision(bus)
    timers = Timers(bus.requests)
    async with listening(bus) as fired:
        await timers.arm("first", time.time(), b"")  # from here on it knows what the stream takes
        await asyncio.gather(*(timers.arm(f"w{n}", time.time(), b"") for n in range(4)))
        at = time.time() + 0.3
        for _ in range(2):
            await asyncio.gather(*(timers.arm(f"q{n}", at, b"%d" % n) for n in range(100)))
        await fired.until(lambda: len(fired.came) >= 105)
    assert timers._group.batches  # pyright: ignore[reportPrivateUsage]
    armed = ["first", *(f"w{n}" for n in range(4)), *(f"q{n}" for n in range(100))]
    assert sorted(fired.names) == sorted(f"due.{name}" for name in armed)


async def test_a_timer_outlives_the_kill_of_its_server(own_server: EmbeddedServer) -> None:
    async with bus_at(own_server.url) as bus:
        await provision(bus)
        timers = Timers(bus.requests)
        await timers.arm("during", time.time() + 0.2, b"due while the server is down")
        await timers.arm("after", time.time() + 1.5, b"due when it is back")
    own_server.kill()
    await own_server.start()
    async with bus_at(own_server.url) as bus, listening(bus) as fired:
        await fired.until(lambda: len(fired.came) == 2)
        assert set(fired.names) == {"due.during", "due.after"}
