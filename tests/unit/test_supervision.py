"""Loops that are restarted, functions that do something twice, and hints that are looked into."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from layby.bus.errors import NotConnected
from layby.runtime import hints as hints_module
from layby.runtime.freshness import Looks
from layby.runtime.hints import Hints
from layby.runtime.repeated_effects import note_step, watch_reentry
from layby.runtime.supervision import Supervision


async def within(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Child:
    """A loop that dies some times, and then runs on or ends."""

    def __init__(self, deaths: int, *, ends: bool = False) -> None:
        self.deaths = deaths
        self.starts = 0
        self._ends = ends

    async def __call__(self) -> None:
        """Die, end, or wait to be cancelled."""
        self.starts += 1
        if self.starts <= self.deaths:
            raise OSError("down")
        if not self._ends:
            await asyncio.Event().wait()


async def test_a_loop_that_dies_is_started_again() -> None:
    given_up: list[str] = []
    supervision = Supervision(pause=0.0, on_give_up=given_up.append)
    child, beside = Child(deaths=5), Child(deaths=0)
    supervision.run("child", child)
    supervision.run("beside", beside)
    await within(lambda: child.starts == 6)
    await supervision.stop()
    assert (beside.starts, given_up) == (1, [])


async def test_a_loop_that_dies_too_often_is_given_up_and_the_others_run_on() -> None:
    given_up: list[str] = []
    supervision = Supervision(max_restarts=2, pause=0.0, on_give_up=given_up.append)
    child, beside = Child(deaths=99), Child(deaths=1)
    supervision.run("child", child)
    supervision.run("beside", beside)
    await within(lambda: given_up == ["child"] and beside.starts == 2)
    assert child.starts == 3
    await supervision.stop()


async def test_deaths_that_are_far_apart_do_not_count_together() -> None:
    supervision = Supervision(max_restarts=1, within=-1.0, pause=0.0)
    child = Child(deaths=6)
    supervision.run("child", child)
    await within(lambda: child.starts == 7)
    await supervision.stop()


async def test_a_loop_that_ends_is_not_started_again() -> None:
    supervision = Supervision(pause=0.0)
    child = Child(deaths=1, ends=True)
    supervision.run("child", child)
    await within(lambda: child.starts == 2)
    await supervision.stop()
    await supervision.stop()
    assert child.starts == 2


# -- effects that are repeated ------------------------------------------------------------------


async def warned(body: Callable[[], Awaitable[None]]) -> int:
    """How often it is warned of a function that is entered again."""
    warnings: list[int] = []
    with watch_reentry(lambda: warnings.append(1)):
        await body()
    note_step()
    return len(warnings)


async def test_a_function_that_waits_before_its_first_step_may_have_done_something() -> None:
    async def sends() -> None:
        await asyncio.sleep(0)
        note_step()
        note_step()

    assert await warned(sends) == 1


async def test_a_function_that_goes_straight_to_a_step_has_done_nothing() -> None:
    async def steps() -> None:
        note_step()
        await asyncio.sleep(0)
        note_step()

    async def ends() -> None:
        await asyncio.sleep(0)

    assert await warned(steps) == 0
    assert await warned(ends) == 0, "it has no step that it could have come before"


# -- hints ------------------------------------------------------------------------------------


async def test_a_run_is_looked_at_once_for_many_hints_and_again_for_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hints_module, "_PAUSE", 0.001)
    looked: list[str] = []
    gate = asyncio.Event()

    async def check(run: str) -> None:
        looked.append(run)
        await gate.wait()

    hints = Hints(check)
    for _ in range(5):
        hints.receive("r1")
    hints.receive("not a word")
    hints.receive("r2")
    await within(lambda: looked == ["r1", "r2"])
    for _ in range(3):
        hints.receive("r1")
    gate.set()
    await within(lambda: looked == ["r1", "r2", "r1"])
    await hints.stop()
    assert looked == ["r1", "r2", "r1"]


async def test_a_look_that_fails_for_an_outage_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hints_module, "_PAUSE", 0.001)
    looked: list[str] = []

    async def check(run: str) -> None:
        looked.append(run)
        if len(looked) < 3:
            raise NotConnected("no server")

    hints = Hints(check)
    hints.receive("r1")
    await within(lambda: len(looked) == 3)
    await hints.stop()


def test_a_look_counts_twice_as_long_as_the_best_took_and_a_tenth_of_a_second_at_least() -> None:
    looks = Looks()
    assert looks.count_for == 0.1
    for seconds, counts in [(3.0, 6.0), (5.0, 6.0), (0.2, 0.4), (0.01, 0.1)]:
        looks.note(seconds)
        assert looks.count_for == counts
