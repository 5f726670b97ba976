"""A flooded mailbox: messages are admitted in batches, in order, and none waits for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple, cast

from layby.bus.mailbox import FLOODED
from layby.runtime.gate import Gate
from layby.runtime.log_throttle import LogThrottle


class Came(NamedTuple):
    """A delivery."""

    pending: int


class Crowd:
    """Messages that stay in the gate until they are released."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.entered: list[int] = []
        self.leave = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, count: int, pending: int) -> None:
        """So many at once; return when each is inside, or waits."""
        for number in range(count):
            self._tasks.append(asyncio.create_task(self._stay(number, pending)))
        for _ in range(3):
            await asyncio.sleep(0)

    async def _stay(self, number: int, pending: int) -> None:
        async with self.gate.admit(cast("Any", Came(pending))):
            self.entered.append(number)
            await self.leave.wait()

    async def all_gone(self) -> None:
        async with asyncio.timeout(30):
            await asyncio.gather(*self._tasks)

    async def all_give_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def give_up(self, number: int) -> None:
        self._tasks[number].cancel()
        with suppress(asyncio.CancelledError):
            await self._tasks.pop(number)


async def test_messages_are_admitted_at_once_without_a_flood() -> None:
    crowd = Crowd()
    await crowd.come(64, FLOODED)
    assert len(crowd.entered) == 64
    crowd.leave.set()
    await crowd.all_gone()


async def test_a_flood_is_admitted_in_batches_and_in_order() -> None:
    crowd = Crowd()
    await crowd.come(64, 1_000)
    assert 0 < len(crowd.entered) < 32
    crowd.leave.set()
    await crowd.all_gone()
    assert crowd.entered == list(range(64))


async def test_a_later_message_does_not_overtake() -> None:
    crowd = Crowd()
    await crowd.come(64, 1_000)
    await crowd.come(1, 0)
    crowd.leave.set()
    await crowd.all_gone()
    assert crowd.entered == [*range(64), 0]


async def test_slow_messages_do_not_block_the_gate() -> None:
    crowd = Crowd()
    await crowd.come(64, 1_000)
    async with asyncio.timeout(30):
        while len(crowd.entered) < 64:  # nobody has left  # noqa: ASYNC110
            await asyncio.sleep(0)
    crowd.leave.set()
    await crowd.all_gone()


async def test_a_message_that_stops_waiting_takes_no_place() -> None:
    crowd = Crowd()
    await crowd.come(64, 1_000)
    inside = len(crowd.entered)
    for _ in range(20):
        await crowd.give_up(inside + 1)
    crowd.leave.set()
    await crowd.all_gone()
    assert len(crowd.entered) == 44
    await crowd.come(64, 1_000)
    assert len(crowd.entered) == 44 + 64, "all places are free again"


async def test_a_warning_is_logged_twenty_times_and_then_counted() -> None:
    suppressed: list[tuple[str, int]] = []
    throttle = LogThrottle(lambda subject, count: suppressed.append((subject, count)))
    assert [throttle.allows("a") for _ in range(30)] == [True] * 20 + [False] * 10
    assert throttle.allows("b")
    throttle._end()
    assert suppressed == [("a", 10)]
    assert throttle.allows("a")


async def test_a_message_that_is_cancelled_once_admitted_frees_its_place() -> None:
    crowd = Crowd()
    await crowd.come(64, 1_000)
    crowd.leave.set()
    inside = len(crowd.entered)
    await asyncio.sleep(0)  # they leave, and others have their turn and have not woken yet
    await crowd.all_give_up()
    await crowd.come(64, 1_000)
    await crowd.all_gone()
    assert len(crowd.entered) == inside + 64
