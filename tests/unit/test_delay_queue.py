"""Calls that happen a fixed time from now."""

from __future__ import annotations

import asyncio
from typing import Any

from layby.runtime.delay_queue import DelayQueue

SOON = 0.02


async def test_calls_come_in_the_order_they_were_added_and_not_before_their_time() -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    queue, called = DelayQueue(SOON), list[tuple[str, float]]()
    began = loop.time()
    queue.add(lambda: called.append(("first", loop.time())))
    queue.add(lambda: called.append(("second", loop.time())))
    assert called == []
    queue.add(done.set)
    async with asyncio.timeout(30):
        await done.wait()
    assert [name for name, _ in called] == ["first", "second"]
    assert min(at for _, at in called) >= began + SOON


async def test_it_works_after_it_was_idle_and_takes_what_a_call_adds() -> None:
    queue = DelayQueue(SOON)
    for _ in range(2):
        done = asyncio.Event()
        queue.add(lambda done=done: queue.add(done.set))  # type: ignore[misc]
        async with asyncio.timeout(30):
            await done.wait()


async def test_a_call_that_raises_is_reported_and_stops_no_other() -> None:
    reported, done = list[dict[str, Any]](), asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    queue = DelayQueue(SOON)
    queue.add(lambda: 1 / 0)  # type: ignore[arg-type]
    queue.add(done.set)
    async with asyncio.timeout(30):
        await done.wait()
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]
