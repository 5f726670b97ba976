"""Turns on a channel: all at once while it is well, one after its rest, few while it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager

import pytest

from layby.actors.people import channel_pace
from layby.actors.people.channel_pace import Pace

LONG = 30.0
REST = 0.05


async def tried(pace: Pace) -> bool:
    """Whether there is a turn just now."""
    async with pace.turn(1, 0.001) as granted:
        return granted


async def test_a_channel_that_is_well_is_called_many_times_at_once() -> None:
    pace = Pace()
    async with AsyncExitStack() as turns:
        assert all([await turns.enter_async_context(pace.turn(1, LONG)) for _ in range(16)])


async def test_nobody_has_a_turn_while_it_rests_and_then_one() -> None:
    pace = Pace()
    pace.asked_for(REST)
    assert not await tried(pace)
    async with pace.turn(1, LONG) as granted:
        assert (granted, pace.rest) == (True, 0.0)
        assert not await tried(pace)
    assert await tried(pace)


async def test_each_success_doubles_how_many_may_call_it() -> None:
    pace = Pace()
    pace.asked_for(REST)
    async with pace.turn(1, LONG):
        pace.succeeded(pace.now)
    for allowed in (2, 4, 8):
        async with AsyncExitStack() as turns:
            for _ in range(allowed):
                assert await turns.enter_async_context(pace.turn(1, 0.001))
            assert not await tried(pace)
        pace.succeeded(pace.now)


async def test_what_began_before_a_rest_says_nothing_about_it() -> None:
    pace = Pace()
    began = pace.now
    pace.asked_for(REST)
    for _ in range(6):
        pace.succeeded(began - 0.001)
    async with pace.turn(1, LONG):
        assert not await tried(pace)


async def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    pace = Pace()
    pace.asked_for(60.0)
    pace.asked_for(0.001)
    assert pace.rest > 50.0


async def test_the_oldest_message_has_the_first_turn() -> None:
    pace, order = Pace(), list[int]()
    pace.asked_for(REST)

    async def take(seq: int) -> None:
        async with pace.turn(seq, LONG) as granted:
            assert granted
            order.append(seq)

    async with asyncio.TaskGroup() as group:
        for seq in (5, 3, 9, 4, 1, 8):
            group.create_task(take(seq))
    assert order == [1, 3, 4, 5, 8, 9]


async def test_a_waiter_that_gives_up_or_is_stopped_costs_nobody_a_turn() -> None:
    pace = Pace()
    pace.asked_for(REST)

    async def take() -> bool:
        async with pace.turn(1, LONG) as granted:
            return granted

    first, second = asyncio.ensure_future(take()), asyncio.ensure_future(take())
    assert not await tried(pace)
    first.cancel()
    assert await second
    assert await tried(pace)


async def test_a_waiter_stopped_at_the_moment_of_its_turn_gives_it_back() -> None:
    pace = Pace()
    pace.asked_for(REST)
    async with pace.turn(1, LONG):
        waits = asyncio.ensure_future(tried_long(pace))
        await asyncio.sleep(0)
    waits.cancel()  # its turn has come, and it does not know yet
    await asyncio.wait({waits})
    assert waits.cancelled()
    assert await tried(pace)


async def tried_long(pace: Pace) -> bool:
    async with pace.turn(1, LONG) as granted:
        return granted


async def test_a_channel_is_stuck_until_a_call_succeeds() -> None:
    pace = Pace()
    pace.asked_for(REST)
    async with pace.turn(1, LONG):
        assert pace.stuck_for >= REST * 0.9
        pace.succeeded(pace.now)
    assert pace.stuck_for < REST


@contextmanager
def going(at: list[float]) -> Generator[Pace]:
    """A pace whose clock shows `at[0]`."""
    loop = asyncio.get_running_loop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", lambda: at[0])
        yield Pace()


async def test_a_channel_that_fails_is_tried_after_a_quarter_of_that_time() -> None:
    at = [100.0]
    with going(at) as pace:
        calls = 0
        while at[0] < 700.0:
            for seq in range(8):
                pace.failed(seq, at[0])
            calls += 8
            long = min(max(1.0, (at[0] - 100.0) / 4.0), 15.0)
            assert pace.rest == pytest.approx(long)
            at[0] += pace.rest + 0.01
        assert calls <= 8 * 55
        pace.succeeded(at[0])
        assert (pace.rest, pace.fails) == (0.0, False)


async def test_few_call_a_channel_that_fails_however_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_pace, "SOONEST", REST)
    pace, called = Pace(), list[int]()

    async def call(seq: int) -> None:
        async with pace.turn(seq, LONG) as granted:
            if granted and pace.rest == 0.0:
                called.append(seq)
                await asyncio.sleep(0)
                pace.failed(seq, pace.now)

    async with asyncio.TaskGroup() as group:
        for seq in range(64):
            group.create_task(call(seq))
    first, began = len(called), pace.now
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(call(seq)) for seq in range(500)]
        async with asyncio.timeout(LONG):
            while len(called) < first + 4 * 8:
                await asyncio.wait(waiting, timeout=REST)
        assert len(called) <= first + 8 * (1 + (pace.now - began) / REST)
        for each in waiting:
            each.cancel()


async def test_the_card_with_the_fewest_failures_is_first_to_try_a_failing_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_pace, "SOONEST", REST)
    monkeypatch.setattr(channel_pace, "_PROBES", 1)
    pace, order = Pace(), list[int]()
    for seq in (1, 2, 3, 4, 1):
        pace.failed(seq, pace.now)

    async def take(seq: int) -> None:
        async with pace.turn(seq, LONG) as granted:
            assert granted
            order.append(seq)

    async with asyncio.TaskGroup() as group:
        for seq in (1, 2, 3, 9):
            group.create_task(take(seq))
    assert order == [9, 2, 3, 1]


async def test_one_card_that_fails_keeps_no_other_waiting() -> None:
    pace = Pace()
    for _ in range(100):
        pace.failed(7, pace.now)
    assert (pace.fails, pace.rest) == (False, 0.0)


async def test_a_card_that_fails_while_others_succeed_is_not_its_channels_fault() -> None:
    pace = Pace()
    began = pace.now
    await asyncio.sleep(0.001)
    pace.succeeded(pace.now)
    for seq in range(10):
        pace.failed(seq, began)
    assert not pace.fails


async def test_failures_of_long_ago_say_nothing() -> None:
    at = [100.0]
    with going(at) as pace:
        for seq in range(4):
            pace.failed(seq, at[0])
        at[0] += 3_600.0
        pace.failed(1, at[0])
        assert (pace.fails, pace.rest) == (False, 0.0)
