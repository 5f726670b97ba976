from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby.bus.errors import BusError, Conflict, StreamMissing, TopologyMismatch
from layby.bus.log import Log, LogMessage
from layby.bus.log_subject import NOBODY, parse, partition, shares, subject
from layby.bus.requests import Requests
from tests.fix_bus import Bus

pytestmark = pytest.mark.nats


@pytest.fixture(params=[1, 4])
async def log(bus: Bus, request: pytest.FixtureRequest) -> Log:
    """Logs in one stream and in four; the log finds out."""
    for name, subjects in shares(request.param).items():
        await bus.stream(name, *subjects)
    return Log(bus.requests)


async def fill(log: Log, run: str, count: int, size: int = 10) -> list[LogMessage]:
    messages = [LogMessage(n, NOBODY, b"%d" % n + b"." * size) for n in range(1, count + 1)]
    for at in range(0, count, 100):
        await asyncio.gather(*(log.append(run, m.n, m.to, m.data) for m in messages[at : at + 100]))
    return messages


async def test_exactly_one_of_fifty_writers_of_one_position_wins(log: Log) -> None:
    attempts = [log.append("run", 1, f"actor-{i}", b"%d" % i) for i in range(50)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    winners = [i for i, outcome in enumerate(outcomes) if outcome is None]
    assert len(winners) == 1
    assert all(isinstance(o, Conflict) for o in outcomes if o is not None)
    winner = winners[0]
    assert await log.load("run") == [LogMessage(1, f"actor-{winner}", b"%d" % winner)]


async def test_a_position_stays_taken_whatever_its_addressee(log: Log) -> None:
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


RUNS = [f"{digit}run" for digit in "0123456789abcdef"]


async def test_runs_of_every_partition_have_a_log(bus: Bus, log: Log) -> None:
    assert {partition(run) for run in RUNS} == set("0123456789abcdef")
    for run in RUNS:
        for n in (1, 2):
            await log.append(run, n, NOBODY, run.encode())
        with pytest.raises(Conflict):
            await log.append(run, 2, "workflow-a", b"")
    for run in RUNS:
        assert [m.data for m in await log.load(run)] == [run.encode()] * 2
        assert [m.n for m in await log.load(run, after=1)] == [2]
        assert [await log.exists(run, n) for n in (2, 3)] == [True, False]
    stored = [await bus.requests.api(f"STREAM.INFO.{name}") for name in shares(await log.streams())]
    each = 2 * len(RUNS) // len(stored)
    assert [info["state"]["messages"] for info in stored] == [each] * len(stored)


async def test_a_purged_run_is_gone_and_no_other(log: Log) -> None:
    for run in RUNS:
        for n in (1, 2):
            await log.append(run, n, NOBODY, b"")
    assert await log.purge("5run") == 2
    assert [run for run in RUNS if not await log.load(run)] == ["5run"]
    assert await log.purge("5run") == 0


class Counted(Requests):
    """Counts what the API is asked."""

    asked: list[str]

    async def api(self, verb: str, body: Any = None, *, timeout: float = 5.0) -> dict[str, Any]:  # noqa: ASYNC109
        self.asked.append(verb)
        return await super().api(verb, body, timeout=timeout)


async def test_the_number_of_streams_is_asked_for_once_and_never_when_known(
    bus: Bus, log: Log
) -> None:
    requests = Counted(bus.connection.nc)
    requests.asked = []
    await requests.start()
    count = await log.streams()
    for lazy, asked in ((Log(requests), ["STREAM.INFO.RUNS"]), (Log(requests, count), [])):
        for run in RUNS:
            assert await lazy.load(run) == []
        assert await lazy.streams() == count
        assert requests.asked == asked
        requests.asked.clear()
    await requests.stop()


async def test_a_stream_of_somebody_else_is_reported(bus: Bus) -> None:
    await bus.stream("RUNS", "runs.>")
    with pytest.raises(TopologyMismatch, match=r"RUNS holds runs\.>.*somebody else"):
        await Log(bus.requests).load("run")


async def test_a_missing_stream_is_reported(bus: Bus) -> None:
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
