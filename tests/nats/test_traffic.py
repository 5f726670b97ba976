"""Streams, mailboxes and the newest dead letters are read as they are."""

from __future__ import annotations

import msgspec
import pytest

from layby import App
from layby.bus.dead import DeadLetter, DeadLetters
from layby.bus.requests import Requests
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.health.traffic import traffic
from layby.testing import running
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats
app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(_: dict[str, str]) -> None:
    """Do nothing."""


async def put(requests: Requests, *seqs: int) -> None:
    for seq in seqs:
        letter = DeadLetter(
            reason=f"letter {seq}", subject="a", mailbox="m", seq=seq, at=1.0, size=1, body="x"
        )
        await requests.store("dead.m", msgspec.json.encode(letter))


async def numbers(dead: DeadLetters, count: int) -> list[int]:
    return [number for number, _ in await dead.newest(count)]


async def test_the_newest_letters_are_read_newest_first(clean_nats: str, bus: Bus) -> None:
    async with running(app, url=clean_nats, workers=0):
        dead = DeadLetters(bus.requests)
        assert await numbers(dead, 3) == []
        await put(bus.requests, 1, 2, 3, 4, 5)
        assert await numbers(dead, 3) == [5, 4, 3]
        assert await numbers(dead, 99) == [5, 4, 3, 2, 1]


async def test_letters_that_were_dropped_leave_no_gap_in_the_newest(
    clean_nats: str, bus: Bus
) -> None:
    async with running(app, url=clean_nats, workers=0):
        dead = DeadLetters(bus.requests)
        await put(bus.requests, *range(1, 41))
        for number in (*range(3, 36), 39, 40):
            await dead.drop(number)
        assert await numbers(dead, 4) == [38, 37, 36, 2]
        assert await numbers(dead, 9) == [38, 37, 36, 2, 1]


async def test_a_message_that_is_not_a_letter_is_skipped(clean_nats: str, bus: Bus) -> None:
    async with running(app, url=clean_nats, workers=0):
        await put(bus.requests, 1)
        await bus.requests.store("dead.m", b"\xff{")
        await put(bus.requests, 3)
        assert await numbers(DeadLetters(bus.requests), 5) == [3, 1]


async def test_there_are_no_letters_before_anything_is_provisioned(clean_nats: str) -> None:
    async with Client.connect(ConnectionSettings(servers=(clean_nats,))) as client:
        assert await client.dead(5) == []


async def test_a_message_that_nobody_takes_is_counted_in_its_mailbox(
    clean_nats: str, bus: Bus
) -> None:
    async with running(app, url=clean_nats, workers=0) as rt:
        await rt.send("desk.opened", {"ticket": "T1"})
        found = await traffic(bus.requests)
        box = next(each for each in found.mailboxes if each.name == "on-handle")
        assert (box.stream, box.lag, box.asking, box.is_stuck) == ("EVENTS", 1, 0, True)
        assert found.mailboxes[0] == box, "the busiest first"
        events = found.stream("EVENTS")
        assert events is not None
        assert (events.messages, events.max_age) == (1, 30 * 86400)
        assert found.missing == []


async def test_a_missing_stream_is_named_and_is_not_an_error(bus: Bus) -> None:
    found = await traffic(bus.requests)
    assert found.streams == []
    assert found.mailboxes == []
    assert "RUNS" in found.missing
