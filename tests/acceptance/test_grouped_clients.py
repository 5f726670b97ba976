"""One client that sends and answers for many people at a time, on a disk that is slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import Step
from layby.bus import group_commit
from layby.bus.group_commit import SETTING
from layby.client import Client
from tests.engine import ON, WITHIN, WORKFLOW, Engine, app_of
from tests.slow_disk import SlowDisk

pytestmark = pytest.mark.nats

TICKETS = [f"T{number}" for number in range(30)]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "1")
    monkeypatch.setattr(group_commit, "DiskPace", SlowDisk)


async def ask(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


async def batched(engine: Engine, stream: str) -> int:
    """How many messages of a stream were stored in batches."""
    state = (await engine.wire.api(f"STREAM.INFO.{stream}"))["state"]
    found = 0
    for seq in range(1, state["last_seq"] + 1):
        message = await engine.wire.read(f"$JS.API.DIRECT.GET.{stream}", b'{"seq":%d}' % seq)
        found += "Nats-Batch-Id" in message.headers
    return found


@pytest.mark.usefixtures("slow")
async def test_each_event_starts_its_run_and_each_answer_gets_its_receipt(engine: Engine) -> None:
    async with engine.works(app_of(ask)), Client.connect(engine.settings) as client:
        first = await client.send(ON, {"ticket": "first"})
        sent, again = [
            await asyncio.gather(
                *(client.send(ON, {"ticket": each}, event_id=each) for each in tickets)
            )
            for tickets in (TICKETS, TICKETS[10:])
        ]
        assert len({each.seq for each in sent} | {first.seq}) == 1 + len(TICKETS)
        assert [each.seq for each in again] == [each.seq for each in sent[10:]]
        assert all(each.duplicate for each in again)
        await engine.questions(1 + len(TICKETS))
        await client.answer("first", "yes", timeout=WITHIN)
        receipts = await asyncio.gather(
            *(client.answer(each, f"to {each}", timeout=WITHIN) for each in TICKETS),
            client.answer("T0", "too late", question_id="qnonsense", timeout=WITHIN),
            client.answer("nobody", "?", timeout=WITHIN),
        )
        assert [each.outcome for each in receipts[: len(TICKETS)]] == ["accepted"] * len(TICKETS)
        assert receipts[-1].outcome == "unknown_ticket"
        assert receipts[-2].outcome not in {"accepted", "unknown_ticket"}
        for ticket in TICKETS:
            run = await client.run_of(WORKFLOW, ticket).ended()
            assert run.result == f"to {ticket}"
    assert await batched(engine, "EVENTS") > len(TICKETS) / 2
    assert await batched(engine, "ANSWERS") > len(TICKETS) / 2
