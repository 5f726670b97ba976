"""Workers die while tools of one response change the state: each change is there once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from layby.testing import TestRuntime
from tests.examples import proofs_but

pytestmark = [pytest.mark.nats, pytest.mark.slow]

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
APP = "tests.state_app:app"
ROLES = ("developer", "lead")


def assert_whole(result: dict[str, Any]) -> None:
    """Every change is there, once."""
    state = result["state"]
    assert result["text"] == "nothing was lost"
    assert sorted(state["facts"]) == ["a", "b", "c", "d", "x: yes", "y: yes"]
    assert state["count"] == 4
    assert sorted(state["audit"]) == [
        *("check x", "check y", "note a", "note c", "note d", "note_in_a_thread b")
    ]


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(
        1, [("before_effect", 4), ("after_effect", 3), ("after_effect", 5), ("before_append", 6)]
    ),
)
async def test_a_worker_dies_while_tools_change_the_state(
    layby_running: Running, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("facts.wanted", {"ticket": "T1"})
        await rt.crash(point, after=after)
        async with rt.worker():
            for role in ROLES:
                await rt.question("T1", role=role)
                await rt.answer("T1", "yes", role=role)
            assert_whole(await rt.result("T1"))


@pytest.mark.parametrize(
    ("point", "after"),
    proofs_but(1, [("after_effect", 1), ("after_effect", 2), ("after_append", 2)]),
)
async def test_a_worker_dies_while_the_answers_change_the_state(
    layby_running: Running, point: str, after: int
) -> None:
    async with layby_running(APP, workers=0) as rt:
        await rt.send("facts.wanted", {"ticket": "T1"})
        async with rt.worker():
            for role in ROLES:
                await rt.question("T1", role=role)
        async with rt.crashing(point, after=after):
            await rt.answer("T1", "yes", role="developer")
        async with rt.worker(), rt.worker():
            await rt.answer("T1", "yes", role="lead")
            assert_whole(await rt.result("T1"))
