from __future__ import annotations

import asyncio

import pytest

from layby.bus.errors import BusError, Conflict, StreamMissing
from layby.bus.log import NOBODY, Log, LogMessage, parse, subject
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats


@pytest.fixture
async def log(bus: Bus) -> Log:
    await bus.stream("RUNS", "to.>")
    return Log(bus.requests)


async def fill(log: Log, run: str, count: int, size: int = 10) -> list[LogMessage]:
    messages = [LogMessage(n, NOBODY, b"%d" % n + b"." * size) for n in range(1, count + 1)]
    for at in range(0, count, 100):
        await asyncio.gather(*(log.append(run, m.n, m.to, m.data) for m in messages[at : at + 100]))
    return messages


async def test_of_fifty_writers_of_one_position_exactly_one_wins(log: Log) -> None:
    attempts = [log.append("run", 1, f"actor-{i}", b"%d" % i) for i in range(50)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    winners = [i for i, outcome in enumerate(outcomes) if outcome is None]
    assert len(winners) == 1
    assert all(isinstance(o, Conflict) for o in outcomes if o is not None)
    winner = winners[0]
    assert await log.load("run") == [LogMessage(1, f"actor-{winner}", b"%d" % winner)]


async def test_a_position_stays_taken_whoever_it_is_addressed_to(log: Log) -> None:
    await log.append("run", 1, "workflow-a", b"first")
    for actor in ("workflow-a", "agent-b", NOBODY):
        with pytest.raises(Conflict):
            await log.append("run", 1, actor, b"second")
    await log.append("run", 2, NOBODY, b"next")
    await log.append("other", 1, "workflow-a", b"another run")


async def test_a_log_is_read_in_order_with_its_addressees(log: Log) -> None:
    for n, to in enumerate(["workflow-a", NOBODY, "human-developer"], 1):
        await log.append("run", n, to, b"%d" % n)
    assert await log.load("run") == [
        LogMessage(1, "workflow-a", b"1"),
        LogMessage(2, NOBODY, b"2"),
        LogMessage(3, "human-developer", b"3"),
    ]


async def test_runs_do_not_mix(log: Log) -> None:
    await log.append("abc", 1, NOBODY, b"short")
    await log.append("abcd", 1, NOBODY, b"long")
    assert [m.data for m in await log.load("abc")] == [b"short"]


async def test_a_run_that_is_not_there_is_empty(log: Log) -> None:
    assert await log.load("nothing") == []
    assert await log.load("nothing", after=7) == []


async def test_positions_appended_out_of_order_are_read_in_order(log: Log) -> None:
    for n in (2, 3, 1):
        await log.append("run", n, NOBODY, b"%d" % n)
    assert [m.n for m in await log.load("run")] == [1, 2, 3]


async def test_what_follows_a_gap_is_left_out(log: Log) -> None:
    for n in (1, 2, 4, 5):
        await log.append("run", n, NOBODY, b"")
    assert [m.n for m in await log.load("run")] == [1, 2]
    assert [m.n for m in await log.load("run", after=2)] == []
    assert [m.n for m in await log.load("run", after=3)] == [4, 5]


@pytest.mark.parametrize("after", [0, 1, 15, 16, 17, 299, 300, 301])
async def test_only_what_is_new_is_read(log: Log, after: int) -> None:
    written = await fill(log, "run", 300)
    assert await log.load("run", after) == written[after:]


@pytest.mark.parametrize("count", [1024, 1025, 2_600])
async def test_a_log_may_have_more_entries_than_one_read_may_name(log: Log, count: int) -> None:
    written = await fill(log, "run", count)
    assert await log.load("run") == written
    assert await log.load("run", count - 300) == written[-300:]


async def test_a_log_may_be_larger_than_one_read_may_bring(log: Log) -> None:
    written = await fill(log, "run", 80, size=1_000_000)  # the server sends 64 MiB at a time
    assert await log.load("run") == written
    assert await log.load("run", 3) == written[3:]


async def test_a_missing_stream_is_told(bus: Bus) -> None:
    log = Log(bus.requests)
    with pytest.raises(StreamMissing):
        await log.append("run", 1, NOBODY, b"")
    with pytest.raises(StreamMissing):
        await log.load("run")


def test_a_subject_is_read_as_it_was_written() -> None:
    assert parse(subject("agent-anna", "run", 12)) == ("agent-anna", "run", 12)


@pytest.mark.parametrize(
    "text", ["", "to", "to.a.b.1", "to.a.b.a1.x", "to.a.b.a1.1.2", "in.a.b.a1.1"]
)
def test_other_subjects_are_refused(text: str) -> None:
    with pytest.raises(BusError, match="is not a position"):
        parse(text)
