"""Group commit on a real server: whatever becomes of a batch, each message has its own fate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from layby.bus import log_subject
from layby.bus.errors import BusError, Conflict, NotConnected, PublishUnconfirmed
from layby.bus.group_commit import SETTING, GroupCommit
from layby.bus.log import Log
from layby.bus.reading import every
from layby.bus.requests import PubAck, Requests
from layby.bus.server import EmbeddedServer
from layby.runtime.entry import ROOT, Raw, Started, Stepped
from layby.runtime.run import LiveRun
from layby.runtime.state import RunState
from tests.fix_bus import Bus, bus_at
from tests.freezing import freeze
from tests.slow_disk import SlowDisk

pytestmark = pytest.mark.nats

TAKES = {"storage": "file", "allow_atomic": True}
OPENING = Started(workflow="w", actor="workflow-w", version="1", ticket="T1", event=Raw(b"{}"))
FREE = {"Nats-Expected-Last-Subject-Sequence": "0"}


@pytest.fixture(autouse=True)
def turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "1")


async def grouping(bus: Bus, **config: Any) -> GroupCommit:
    """What stores in the stream S as if its disk were slow, and knows what the stream takes."""
    await bus.stream("S", "s.>", **(TAKES | config))
    return await known(bus)


async def known(bus: Bus, first: str = "first") -> GroupCommit:
    group = GroupCommit(bus.requests, "S")
    group.pace = SlowDisk()
    # The second of two that are under way makes it ask the stream.
    await asyncio.gather(*(group.store(f"k{n}", f"s.{first}.{n}", b"", FREE) for n in range(3)))
    async with asyncio.timeout(30):
        while group._tasks:  # pyright: ignore[reportPrivateUsage]
            await asyncio.wait(group._tasks)  # pyright: ignore[reportPrivateUsage]
    return group


async def held(bus: Bus) -> dict[str, tuple[int, bytes]]:
    """What the stream S holds: sequence and payload by subject; no subject has two messages."""
    found: dict[str, tuple[int, bytes]] = {}
    async for message in every(bus.requests, "S", "s.>"):
        subject = message.headers["Nats-Subject"]
        assert subject not in found
        found[subject] = (int(message.headers["Nats-Sequence"]), message.data)
    return found


async def stored(group: GroupCommit, *names: str) -> list[PubAck | BaseException]:
    """Store a message under each name at once; what became of each."""
    waiting = (group.store(name, f"s.{name}", name.encode(), FREE) for name in names)
    return await asyncio.gather(*waiting, return_exceptions=True)


NAMES = [f"n{number}" for number in range(40)]


async def test_messages_that_are_ready_together_are_stored_in_batches(bus: Bus) -> None:
    group = await grouping(bus)
    acks = await stored(group, *NAMES)
    assert group.batches in {1, 2}
    there = await held(bus)
    for name, ack in zip(NAMES, acks, strict=True):
        assert isinstance(ack, PubAck)
        assert ack.stream == "S"
        assert there[f"s.{name}"] == (ack.seq, name.encode())


async def test_one_conflict_fails_its_own_message_and_no_other(bus: Bus) -> None:
    group = await grouping(bus)
    await bus.requests.store("s.n20", b"somebody else's")
    acks = await stored(group, *NAMES)
    there = await held(bus)
    assert there["s.n20"][1] == b"somebody else's"
    for name, ack in zip(NAMES, acks, strict=True):
        if name == "n20":
            assert isinstance(ack, Conflict)
        else:
            assert isinstance(ack, PubAck)
            assert there[f"s.{name}"] == (ack.seq, name.encode())
    before = group.batches
    await stored(group, *(f"later{number}" for number in range(9)))
    assert group.batches > before  # a conflict is no reason to do without batches


async def test_a_message_that_was_stored_before_is_a_duplicate_and_stops_no_other(bus: Bus) -> None:
    group = await grouping(bus)
    before = await bus.requests.store("s.again", b"", {"Nats-Msg-Id": "again"})
    others = [group.store(name, f"s.{name}", name.encode(), FREE) for name in NAMES]
    again = group.store("again", "s.again", b"", {"Nats-Msg-Id": "again"})
    *acks, ack = await asyncio.gather(*others, again)
    assert (ack.duplicate, ack.seq) == (True, before.seq)
    assert not any(each.duplicate for each in acks)
    assert len(await held(bus)) == 3 + 1 + len(NAMES)
    stored_so_far = group.batches
    await stored(group, *(f"later{number}" for number in range(9)))
    assert group.batches > stored_so_far  # nor is it a reason to do without batches


async def test_one_position_is_created_once_whatever_its_addressee(bus: Bus) -> None:
    """The server would store both: it compares with what is stored, not with the batch."""
    group = await grouping(bus)
    fence = {**FREE, "Nats-Expected-Last-Subject-Sequence-Subject": "s.*.run.1"}
    fates = await asyncio.gather(
        *(group.store(name, f"s.{name}", b"", FREE) for name in NAMES[:4]),
        *(group.store("run", f"s.{to}.run.1", b"", fence) for to in "abcdef"),
        return_exceptions=True,
    )
    assert sum(isinstance(fate, PubAck) for fate in fates) == 5
    assert sum(isinstance(fate, Conflict) for fate in fates) == 5
    assert sum(subject.endswith(".run.1") for subject in await held(bus)) == 1


async def test_messages_of_one_key_are_stored_in_their_order(bus: Bus) -> None:
    group = await grouping(bus)
    keys = ["a", "b", "a", "c", "a", "b", "a"]
    waiting = (group.store(key, f"s.{n}.{key}", b"", {}) for n, key in enumerate(keys))
    acks = await asyncio.gather(*waiting)
    for key in "abc":
        seqs = [ack.seq for each, ack in zip(keys, acks, strict=True) if each == key]
        assert seqs == sorted(seqs)


async def test_a_quick_disk_stores_each_message_by_itself(bus: Bus) -> None:
    await bus.stream("S", "s.>", **TAKES)
    group = GroupCommit(bus.requests, "S")
    await stored(group, "a", "b")
    assert group.batches == 0
    assert len(await held(bus)) == 2


async def test_nothing_is_stored_in_batches_unless_that_is_turned_on(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SETTING)
    group = await grouping(bus)
    acks = await stored(group, *NAMES)
    assert all(isinstance(ack, PubAck) for ack in acks)
    assert group.batches == 0


async def test_one_message_at_a_time_never_waits_for_a_batch(bus: Bus) -> None:
    group = await grouping(bus)
    for name in NAMES[:5]:
        await stored(group, name)
    assert group.batches == 0


async def test_a_stream_that_takes_no_batches_gets_none(bus: Bus) -> None:
    group = await grouping(bus, allow_atomic=False)
    acks = await stored(group, *NAMES)
    assert all(isinstance(ack, PubAck) for ack in acks)
    assert group.batches == 0


async def test_a_stream_that_takes_no_batches_any_more_gets_its_messages(bus: Bus) -> None:
    group = await grouping(bus)
    info = await bus.requests.api("STREAM.INFO.S")
    await bus.requests.api("STREAM.UPDATE.S", info["config"] | {"allow_atomic": False})
    acks = await stored(group, *NAMES)
    assert all(isinstance(ack, PubAck) for ack in acks)
    assert group.batches == 0
    assert len(await held(bus)) == 3 + len(NAMES)


async def test_a_user_who_may_not_ask_about_the_stream_stores_singly(bus: Bus) -> None:
    group = GroupCommit(bus.requests, "GONE")  # the answer is an error
    group.pace = SlowDisk()
    await bus.stream("S", "s.>", **TAKES)
    acks = await stored(group, *NAMES)
    assert all(isinstance(ack, PubAck) for ack in acks)
    assert group.batches == 0


async def test_a_message_that_is_large_goes_alone(bus: Bus) -> None:
    group = await grouping(bus)
    waiting = [group.store(name, f"s.{name}", b"x" * 70_000, FREE) for name in NAMES[:6]]
    await asyncio.gather(*waiting)
    assert group.batches == 0
    assert len(await held(bus)) == 3 + 6


async def test_a_message_whose_caller_has_gone_is_not_sent(bus: Bus) -> None:
    group = await grouping(bus)
    tasks = [asyncio.ensure_future(stored(group, name)) for name in NAMES]
    await asyncio.sleep(0)  # each is on its way, or waits
    tasks[-1].cancel()
    await asyncio.gather(*tasks[:-1])
    assert f"s.{NAMES[-1]}" not in await held(bus)
    assert len(await held(bus)) == 3 + len(NAMES) - 1


async def test_a_stream_of_several_copies_gets_no_batches() -> None:
    group = GroupCommit(cast("Requests", Replicated()), "S")
    group.pace = SlowDisk()
    await stored(group, *NAMES)
    await stored(group, *NAMES)
    assert group.batches == 0


class Replicated:
    """Says of its stream that it has three copies."""

    class nc:  # noqa: N801  as in Requests
        @staticmethod
        def send(*_: Any) -> None:
            raise AssertionError("a message of a batch was sent")

    async def api(self, *_: Any) -> Any:
        return {"config": {"allow_atomic": True, "num_replicas": 3}}

    async def store(self, _: str, __: bytes, headers: dict[str, str]) -> PubAck:
        assert "Nats-Batch-Id" not in headers
        await asyncio.sleep(0)
        return PubAck("S", 1)


@pytest.fixture
async def durable(own_server: EmbeddedServer) -> AsyncIterator[Bus]:
    async with bus_at(own_server.url) as bus:
        yield bus


@pytest.mark.parametrize("frozen", [True, False], ids=["before it is read", "at any moment"])
async def test_callers_learn_that_they_cannot_know_when_the_server_dies_with_their_batch(
    own_server: EmbeddedServer, durable: Bus, *, frozen: bool
) -> None:
    group = await grouping(durable)
    if frozen:
        freeze(own_server.pid)
    waiting = asyncio.ensure_future(stored(group, *NAMES))
    await asyncio.sleep(0)
    own_server.kill()
    fates = await asyncio.wait_for(waiting, 30)
    await own_server.start()
    async with bus_at(own_server.url) as again:
        there = await held(again)
        for name, fate in zip(NAMES, fates, strict=True):
            if isinstance(fate, PubAck):
                assert there[f"s.{name}"] == (fate.seq, name.encode())
            else:
                assert isinstance(fate, PublishUnconfirmed | NotConnected)
        after = await asyncio.wait_for(stored(await known(again, "again"), *NAMES), 30)
        assert all(isinstance(fate, PubAck | Conflict) for fate in after)
        assert len(await held(again)) == 3 + 3 + len(NAMES)


async def test_runs_whose_server_dies_again_and_again_have_each_entry_once(
    own_server: EmbeddedServer, durable: Bus
) -> None:
    spec = {"name": "RUNS", "subjects": ["to.>"], "storage": "file", "allow_direct": True}
    await durable.requests.api("STREAM.CREATE.RUNS", spec | {"allow_atomic": True})
    entries = Log(durable.requests, 1)
    runs = [LiveRun(entries, RunState(id=f"{number:08x}")) for number in range(24)]
    group = await entries._group(runs[0].id)  # pyright: ignore[reportPrivateUsage]
    group.pace = SlowDisk()

    async def live(run: LiveRun) -> None:
        for number in range(12):
            step = Stepped(frame=ROOT, key=f"s{number}", result=Raw(b"%d" % number))
            await run.append([step] if number else [OPENING])

    working = asyncio.gather(*map(live, runs))
    kills = 0
    while not working.done():
        await asyncio.wait({working}, timeout=0.15)
        if kills < 4 and group.batches > kills * 3:
            own_server.kill()
            await own_server.start()
            kills += 1
    await working
    assert group.batches
    async with bus_at(own_server.url) as again:  # the other may still be reconnecting
        for run in runs:
            found = await Log(again.requests, 1).load(run.id)
            assert [message.n for message in found] == list(range(1, 13))
            assert all(f'"s{n}"'.encode() in found[n].data for n in range(1, 12))


async def test_a_log_in_several_streams_has_a_batch_for_each(bus: Bus) -> None:
    entries = Log(bus.requests, 4)
    groups = [await entries._group(f"{digit}f") for digit in "0123456789abcdef"]  # pyright: ignore[reportPrivateUsage]
    assert {group.stream for group in groups} == set(log_subject.shares(4))
    assert len(set(map(id, groups))) == 4


async def test_an_error_of_the_server_is_the_callers_own(bus: Bus) -> None:
    group = await grouping(bus, max_msg_size=1_000)
    large = group.store("large", "s.large", b"x" * 2_000, FREE)
    others = [group.store(name, f"s.{name}", b"", FREE) for name in NAMES[:8]]
    fates = await asyncio.gather(*others, large, return_exceptions=True)
    assert all(isinstance(fate, PubAck) for fate in fates[:-1])
    assert isinstance(fates[-1], BusError)
