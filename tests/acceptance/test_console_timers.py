"""What Health says is due in the next hour, read from the streams."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from layby import App
from layby.actors.people.open_questions import OpenQuestion, encode_row, question_key
from layby.actors.people.parked_question import ParkedQuestion
from layby.bus.bucket import Bucket
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.console.pages.timers import DRAWN, timers
from layby.runtime.ids import run_id
from layby.runtime.index import IndexRow
from layby.runtime.times import iso
from tests.acceptance.test_catalogue import catalogue_on
from tests.engine import until

pytestmark = pytest.mark.nats
MANY = DRAWN + 60


async def test_the_next_timers_are_found_among_any_number(layby_running: Any) -> None:
    """Those that are due next belong to the runs that started first."""
    now = time.time()
    async with (
        layby_running(App("desk"), workers=0) as rt,
        opened(rt.settings) as bus,
        catalogue_on(rt.settings) as catalogue,
    ):
        rows = [_sleeps(n, now - 9_000 + n, now + 60 + n) for n in range(MANY)]
        rows += [
            _sleeps(MANY, now, now + 3_700),
            _sleeps(MANY + 1, now, now + 30, status="completed"),
            _sleeps(MANY + 2, now, now + 30, waits="people"),
            _sleeps(MANY + 3, now, now + 20, waits="retry"),
        ]
        await asyncio.gather(*(_put(bus.requests, row) for row in rows))
        await asyncio.gather(*(_ask(bus.requests, n, now) for n in range(3)))

        async def complete() -> bool:
            asked = len(await catalogue.questions())
            return (sum((await catalogue.counts()).values()), asked) == (len(rows), 3)

        await until(complete)
        found = await timers(catalogue, now)
        assert found.total == MANY + 1 + 3
        assert len(found.next) == DRAWN
        kinds = [each.kind for each in found.next[:6]]
        assert kinds == ["question", "question", "question", "retry", "sleep", "sleep"]
        assert found.next[4].ticket == "T0"
        assert list(found.next) == sorted(found.next)


def _sleeps(
    n: int, started: float, until: float, *, status: str = "waiting", waits: str = "sleep"
) -> IndexRow:
    return IndexRow(
        id=run_id("handle", str(n)),
        workflow="handle",
        ticket=f"T{n}",
        status=status,
        started_at=iso(started),
        updated_at=iso(started),
        pos=1,
        waits=waits,
        until=iso(until),
        ended_at=iso(started) if status == "completed" else "",
    )


async def _put(requests: Requests, row: IndexRow) -> None:
    await Bucket(requests, "runs").put(f"{row.ticket}.{row.id}", msgspec.json.encode(row))


async def _ask(requests: Requests, n: int, now: float) -> None:
    question = ParkedQuestion(
        id=f"q{n:013}",
        run=run_id("ask", str(n)),
        role="developer",
        question="Well?",
        asked_at=iso(now),
        deadline=iso(now + n),
    )
    key = question_key("developer", f"Q{n}", question.id)
    row = OpenQuestion(ticket=f"Q{n}", question=question)
    await Bucket(requests, "questions").put(key, encode_row(row))
