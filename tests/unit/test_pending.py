"""Records on their way into the log: in order, one message at a time, in pieces that fit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from layby.bus.errors import BusError, PayloadTooLarge
from layby.bus.log_subject import NOBODY
from layby.runtime import pending
from layby.runtime.entry import ROOT, Raw, Record, Started, Stepped
from layby.runtime.errors import Fenced, Interrupted
from layby.runtime.pending import FlushTimer, PendingRecords
from layby.runtime.strand import Strand, strand


class Log:
    """A sink that remembers its messages, and fails, blocks or refuses on demand."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], str]] = []
        self.ops: list[str] = []
        self.most = 100
        self.error: BaseException | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.caught_up = 0
        self.failures: list[BaseException] = []
        self.notified = asyncio.Event()

    async def append(self, records: list[Record], *, to: str, op: str) -> int:
        self.asked.set()
        self.ops.append(op)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        if len(records) > self.most:
            raise PayloadTooLarge("too large")
        self.messages.append(([_key(record) for record in records], to))
        return len(self.messages)

    async def catch_up(self) -> None:
        self.caught_up += 1

    def append_failed(self, error: BaseException) -> None:
        self.failures.append(error)
        self.notified.set()


def _key(record: Record) -> str:
    return record.key if isinstance(record, Stepped) else type(record).__name__


def step(key: str) -> Stepped:
    return Stepped(frame=ROOT, key=key, result=Raw(b"1"))


@pytest.fixture(autouse=True)
def body() -> Iterator[None]:
    """We are in a body."""
    token = strand.set(Strand(0, 0))
    yield
    strand.reset(token)


@pytest.fixture
async def log() -> Log:
    return Log()


@pytest.fixture
async def records(log: Log) -> PendingRecords:
    return PendingRecords(log, FlushTimer())


async def soon(condition: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await condition.wait()


async def test_a_flush_is_one_message_with_the_mail_last(log: Log, records: PendingRecords) -> None:
    records.add(step("a"))
    records.add(step("b"))
    await records.flush(to="human-developer", mail=step("c"))
    assert log.messages == [(["a", "b", "c"], "human-developer")]
    assert records.appended == 1


async def test_nothing_to_append_is_no_message(log: Log, records: PendingRecords) -> None:
    await records.flush()
    await records.drain()
    assert log.messages == []


async def test_a_record_that_nothing_waits_for_is_appended_soon(
    log: Log, records: PendingRecords
) -> None:
    records.add(step("a"))
    await soon(log.asked)
    await records.drain()
    assert log.messages == [(["a"], NOBODY)]


async def test_messages_are_appended_in_the_order_of_their_recording(
    log: Log, records: PendingRecords
) -> None:
    log.open.clear()
    records.add(step("a"))
    first = asyncio.create_task(records.flush())
    await soon(log.asked)
    records.add(step("b"))
    records.enqueue()
    records.add(step("c"))
    second = asyncio.create_task(records.flush())
    log.open.set()
    await asyncio.gather(first, second)
    await records.drain()
    assert [keys for keys, _ in log.messages] == [["a"], ["b"], ["c"]]


async def test_a_position_is_known_once_its_record_was_appended(
    log: Log, records: PendingRecords
) -> None:
    log.messages.append(([], ""))
    records.add(step("a"))
    position = strand.get().own
    assert position is not None
    assert position.n == 0
    await records.flush()
    assert position.n == 2


async def test_a_large_message_is_split_and_the_mail_stays_last(
    log: Log, records: PendingRecords
) -> None:
    log.most = 2
    for key in "abcd":
        records.add(step(key))
    await records.flush(to="workflow-w", mail=step("e"))
    assert [key for keys, _ in log.messages for key in keys] == list("abcde")
    assert [to for _, to in log.messages][-1] == "workflow-w"
    assert {to for _, to in log.messages[:-1]} == {NOBODY}
    assert len(set(log.ops)) == len(log.ops)  # each message has an operation of its own


async def test_a_record_that_is_too_large_fails_and_stops_the_ones_behind_it(
    log: Log, records: PendingRecords
) -> None:
    log.most = 0
    records.add(step("a"))
    with pytest.raises(PayloadTooLarge):
        await records.flush()
    log.most = 100
    records.add(step("b"))
    with pytest.raises(PayloadTooLarge):
        await records.flush()
    assert log.messages == []


@pytest.mark.parametrize(
    ("error", "seen"),
    [(Fenced("moved on"), Fenced), (BusError("no server"), Interrupted)],
)
async def test_after_a_failure_nothing_more_is_appended(
    log: Log, records: PendingRecords, error: Exception, seen: type[Exception]
) -> None:
    log.error = error
    records.add(step("a"))
    with pytest.raises(seen, match=str(error)):
        await records.flush()
    log.error = None
    records.add(step("b"))
    with pytest.raises(seen):
        await records.flush()
    assert log.messages == []


async def test_a_failure_in_the_background_is_reported(log: Log, records: PendingRecords) -> None:
    log.error = Fenced("moved on")
    records.add(step("a"))
    await soon(log.notified)
    assert [type(error) for error in log.failures] == [Fenced]


async def test_a_cancelled_branch_does_not_stop_the_records_of_others(
    log: Log, records: PendingRecords
) -> None:
    log.open.clear()
    records.add(step("a"))
    branch = asyncio.create_task(records.flush())
    await soon(log.asked)
    branch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await branch
    log.open.set()
    await records.drain()
    assert [keys for keys, _ in log.messages] == [["a"]]
    assert len(set(log.ops)) == 1  # the second try is the same operation


async def test_abandoned_records_are_not_appended(log: Log, records: PendingRecords) -> None:
    log.open.clear()
    records.add(step("a"))
    records.flush_soon()
    await soon(log.asked)
    records.abandon()
    records.add(step("b"))
    records.flush_soon()
    log.open.set()
    await asyncio.sleep(0)
    assert log.messages == []
    assert log.failures == []


async def test_after_a_slow_append_the_log_is_read(
    log: Log, records: PendingRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.add(step("a"))
    await records.flush()
    assert log.caught_up == 0
    monkeypatch.setattr(pending, "_SLOW", -1.0)
    records.add(step("b"))
    await records.flush()
    assert log.caught_up == 1


async def test_the_opening_alone_may_wait(records: PendingRecords) -> None:
    assert not records.only_opening
    records.add(
        Started(workflow="w", actor="workflow-w", version="1", ticket="T", event=Raw(b"{}"))
    )
    assert records.only_opening
    records.add(step("a"))
    assert not records.only_opening
