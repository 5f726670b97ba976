"""AgentKit's support agent on Layby: asked twice, answered differently, told in Slack once each."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from examples.from_agentkit.app import DEVELOPER_RESPONSE, TICKET_CREATED
from examples.from_agentkit.slack import sent
from layby.events import ToolDone
from layby.testing import TestRuntime
from tests.engine import until

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
APP = "examples.from_agentkit:app"
FIRST = "Yes, the users service is down."
SECOND = "v1.1.4 has it."
ASKED = [
    "T125: Is this a known fault?\nthe /api/v1/users endpoint is not working and crashes my app",
    f"T125: Which version has the fix?\n{FIRST}",
]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Slack's messages go."""
    monkeypatch.setenv("LAYBY_DATA", str(tmp_path))


async def opened(rt: TestRuntime, ticket: str) -> str:
    return await rt.send(TICKET_CREATED, {"data": {"ticketId": ticket}})


async def said(rt: TestRuntime, text: str, at: int, ticket: str = "T125") -> None:
    data = {"ticketId": ticket, "answer": text, "timestamp": at}
    await rt.send(DEVELOPER_RESPONSE, {"data": data})


async def asked(count: int) -> list[str]:
    """What was told in Slack, once there are `count` messages."""

    async def look() -> list[str]:
        return sent() if len(sent()) >= count else []

    return await until(look)


async def answers(rt: TestRuntime, run: str) -> list[dict[str, Any]]:
    """What the tool has told the model."""
    return [
        json.loads(event.output)
        async for event in rt.client.events(run)
        if isinstance(event, ToolDone) and event.tool == "ask_developer"
    ]


async def test_a_question_asked_twice_is_answered_differently(layby_running: Running) -> None:
    async with layby_running(APP) as rt:
        run = await opened(rt, "T125")
        assert await asked(1) == ASKED[:1]
        await said(rt, "for another ticket", 0, ticket="T124")
        await said(rt, FIRST, 1)
        assert await asked(2) == ASKED
        await said(rt, SECOND, 2)
        result = await rt.result(run)
        assert result["response"] == f"{FIRST} {SECOND}"
        assert result["ticket"]["id"] == "T125"
        assert await answers(rt, run) == [
            {"developerResponse": FIRST, "responseTime": 1},
            {"developerResponse": SECOND, "responseTime": 2},
        ]
    assert sent() == ASKED


@pytest.mark.slow
@pytest.mark.parametrize(("point", "after"), [("after_arrived", 1), ("after_arrived", 2)])
async def test_workers_die_and_each_question_is_sent_once(
    layby_running: Running, point: str, after: int
) -> None:
    """A worker in a process of its own is killed with an answer in hand; another goes on."""
    async with layby_running(APP, workers=0) as rt:
        run = await opened(rt, "T125")
        async with rt.crashing(point, after=after):
            await said(rt, FIRST, 1)
            await said(rt, SECOND, 2)
        async with rt.worker():
            assert (await rt.result(run))["response"] == f"{FIRST} {SECOND}"
    assert sent() == ASKED


async def test_nobody_answers_for_four_hours(layby_running: Running) -> None:
    async with layby_running(APP) as rt:
        run = await opened(rt, "T125")
        fired = await rt.advance(run)
        assert (fired.kind, fired.name) == ("event", "tool#1.0/developer.response")
        assert (await rt.result(run))["response"] == "Our developers are looking into it."
    assert sent() == ASKED[:1]


async def test_a_usage_question_is_answered_from_the_knowledge_base(
    layby_running: Running,
) -> None:
    async with layby_running(APP) as rt:
        run = await opened(rt, "T123")
        assert "clear your browser's cache" in (await rt.result(run))["response"]
    assert sent() == []


async def test_a_ticket_that_does_not_exist_fails_at_once(layby_running: Running) -> None:
    async with layby_running(APP) as rt:
        run = await opened(rt, "T999")
        detail = await rt.ended(run)
        assert detail.status == "failed"
        assert "Ticket not found: T999" in (detail.error or "")
