"""The clock of claims: it tells of each that expires, and of no other."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from layby.actors.people.shown_acts import ShownClaim
from layby.console.catalogue.claim_clock import ClaimClock
from layby.runtime.times import iso
from layby.views.rows import QuestionRow
from tests.unit.test_catalogue_questions import row

WITHIN = 10.0


def claimed(left: float) -> QuestionRow:
    claim = ShownClaim(by="ada", until=iso(time.time() + left))
    return msgspec.structs.replace(row(), claim=claim)


async def test_it_tells_of_a_claim_that_expires_and_not_before() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    clock = ClaimClock(told.put_nowait)
    until = time.time() + 0.05
    clock.note("q1", claimed(0.05))
    assert await asyncio.wait_for(told.get(), WITHIN) == "q1"
    assert time.time() >= until - 0.001
    assert clock.running == 0


async def test_a_claim_that_is_renewed_given_up_or_answered_is_told_of_no_more() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    clock = ClaimClock(told.put_nowait)
    for change in (claimed(3_600), row(), None):
        clock.note("q1", claimed(0.03))
        clock.note("q1", change)
    clock.note("q2", claimed(0.06))
    assert await asyncio.wait_for(told.get(), WITHIN) == "q2", "the only one that expires"
    assert told.empty()
    clock.note("q3", claimed(3_600))
    assert clock.running == 1
    clock.stop()
    assert clock.running == 0


async def test_a_clock_that_was_set_back_makes_nobody_miss_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    clock, real, looked = ClaimClock(told.put_nowait), time.time, list[float]()
    clock.note("q1", claimed(0.02))

    def set_back() -> float:
        looked.append(real())
        return real() - (0.2 if len(looked) == 1 else 0.0)

    monkeypatch.setattr(time, "time", set_back)
    assert await asyncio.wait_for(told.get(), WITHIN) == "q1"
    assert len(looked) > 2, "it was looked at again"
