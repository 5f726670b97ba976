"""A worker is killed at a rung: another goes on, and each rung happens once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from layby.bus.reading import every
from layby.runtime.envelope import decode
from layby.runtime.ladder_records import Reached
from layby.testing import TestRuntime
from tests.engine import is_handled, until
from tests.examples import proofs_but

pytestmark = [pytest.mark.nats, pytest.mark.slow, pytest.mark.timeout(240)]
Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
TARGET = "tests.ladder_app:app"


async def published(rt: TestRuntime, role: str) -> list[str]:
    """The rungs published for a role, in order; `-` for the question itself."""
    subject = f"{role}.question.T1"
    found = every(rt._requests, "QUESTIONS", subject)
    return [message.headers.get("Layby-Rung", "-") async for message in found]


async def reached(rt: TestRuntime, run: str) -> Counter[int]:
    """How often the log says that a rung was reached."""
    messages = await rt._log.load(run)
    records = [record for each in messages for record in decode(each.data).records]
    return Counter(each.rung for each in records if isinstance(each, Reached))


async def at_rest(rt: TestRuntime) -> None:
    """Return when nothing of the ladder is unhandled."""
    consumers = ("TIMERS.rungs", "RUNS.human-developer", "RUNS.human-lead")
    await until(lambda: is_handled(rt._requests, *consumers))


async def all_reached(rt: TestRuntime, run: str) -> None:
    async def look() -> bool:
        return len(await reached(rt, run)) == 3

    await until(look)
    await at_rest(rt)


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1,
        [
            ("after_rung_armed", 1),
            ("before_reached", 1),
            ("after_reached", 2),
            *(("after_rung_published", n) for n in (1, 2, 3)),
            *(("after_rung_recorded", n) for n in (1, 2, 3)),
        ],
    ),
)
async def test_each_rung_happens_once(layby_running: Running, point: str, after: int) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        run = await rt.send("ladder.asked", {"ticket": "T1"})
        await rt.crash(point, after=after)
        async with rt.worker():
            await all_reached(rt, run)
            assert await reached(rt, run) == Counter({0: 1, 1: 1, 2: 1})
            first, *reminders = await published(rt, "developer")
            assert first == "-"
            assert sorted(reminders) == ["0", "2"], "in any order: both were due"
            assert await published(rt, "lead") == ["1"]
            [row] = await rt.client.questions("lead")
            assert [bool(each.reached) for each in row.ladder] == [True] * 3
            receipt = await rt.client.answer("T1", "yes", role="lead", timeout=30)
            assert receipt.outcome == "accepted"
            assert (await rt.result("T1"))["text"] == "yes"
            assert await rt.client.questions() == []


async def test_rungs_that_came_due_while_nobody_worked_are_reached_once(
    layby_running: Running,
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        async with rt.worker():
            run = await rt.send("ladder.asked", {"ticket": "T1"})
            await rt.question()
        await fired(rt, 3)
        async with rt.worker(), rt.worker():
            await all_reached(rt, run)
            assert await reached(rt, run) == Counter({0: 1, 1: 1, 2: 1})
            assert await published(rt, "lead") == ["1"]


async def fired(rt: TestRuntime, count: int) -> None:
    """Return when so many rungs are due and nobody has taken them."""

    async def look() -> bool:
        info = await rt._requests.api("STREAM.INFO.TIMERS", {"subjects_filter": "rung.>"})
        return len(info["state"].get("subjects") or {}) >= count

    await until(look)


async def test_a_question_that_closed_before_its_rungs_came_due_is_left_alone(
    layby_running: Running,
) -> None:
    async with layby_running(TARGET, workers=0) as rt:
        run = await rt.send("ladder.asked", {"ticket": "T1"})
        await rt.crash("after_rung_armed", after=3)
        await fired(rt, 3)
        await rt._requests.store("developer.response.T1", b"yes")
        async with rt.worker():
            await rt.result("T1")
            await at_rest(rt)
        closed = await reached(rt, run)
        seen = await published(rt, "developer")
        assert len(seen) - 1 + len(await published(rt, "lead")) <= closed.total()
