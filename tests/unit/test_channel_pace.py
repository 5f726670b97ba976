"""Turns on a channel: all at once while it is well, one after its rest, in the order of arrival."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

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


async def test_whoever_gives_up_or_is_stopped_costs_nobody_a_turn() -> None:
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


async def test_whoever_is_stopped_in_the_moment_of_their_turn_gives_it_back() -> None:
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
