"""Events and answers in batches: whoever stores for many, each message has its own fate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from layby.bus.errors import BusError, NotConnected, PublishUnconfirmed, StoreFull, StreamMissing
from layby.bus.group_commit import SETTING
from layby.bus.outbox import Outbox
from layby.bus.requests import PubAck
from layby.bus.server import EmbeddedServer
from tests.fix_bus import Bus, bus_at
from tests.freezing import freeze
from tests.slow_disk import SlowOutbox

pytestmark = pytest.mark.nats

TAKES = {"storage": "file", "allow_atomic": True}
ANSWERS = "a.response.>"
TEXTS = [str(number) for number in range(40)]
ACCOUNTS = """
accounts {
  HOME { jetstream: enabled, users: [{ user: home, password: x }]
         exports: [{ service: "a.*.*", accounts: [AWAY] }] }
  AWAY { users: [{ user: away, password: x,
                   permissions: { publish: ["a.response.*"], subscribe: ["_INBOX.>"] } }]
         imports: [{ service: { account: HOME, subject: "a.*.*" } }] }
}
"""


async def streams(bus: Bus, **config: Any) -> None:
    """One for events, one for answers."""
    await bus.stream("E", "e.>", **TAKES)
    await bus.stream("A", "a.>", **(TAKES | config))


async def ready(bus: Bus) -> SlowOutbox:
    """An outbox that has stored an event and an answer before."""
    outbox = SlowOutbox(bus.requests)
    await outbox.store("e.one", b"first")
    await outbox.store("a.response.first", b"first", family=ANSWERS)
    return outbox


async def answered(outbox: Outbox, *names: str) -> list[PubAck | BaseException]:
    """Store an answer under each name at once; what became of each."""
    storing = (outbox.store(f"a.response.{name}", name.encode(), family=ANSWERS) for name in names)
    return await asyncio.gather(*storing, return_exceptions=True)


async def held(bus: Bus, stream: str) -> dict[int, tuple[str, bytes]]:
    """What a stream holds, by sequence."""
    state = (await bus.requests.api(f"STREAM.INFO.{stream}"))["state"]
    found: dict[int, tuple[str, bytes]] = {}
    for seq in range(1, state["last_seq"] + 1):
        stored = await bus.requests.stored(stream, seq=seq)
        assert stored is not None
        found[seq] = (stored.subject, stored.data)
    return found


async def test_events_that_are_ready_together_are_stored_in_batches(bus: Bus) -> None:
    await streams(bus)
    outbox = await ready(bus)
    acks = await asyncio.gather(*(outbox.store("e.one", text.encode()) for text in TEXTS))
    there = await held(bus, "E")
    assert len(there) == 1 + len(TEXTS)
    for text, ack in zip(TEXTS, acks, strict=True):
        assert ack.stream == "E"
        assert there[ack.seq] == ("e.one", text.encode())
    assert outbox.groups["E"].batches in {1, 2}


async def test_what_lies_in_two_streams_is_never_in_one_batch(bus: Bus) -> None:
    await streams(bus)
    refused: list[Any] = []

    async def refuse(message: Any) -> None:
        refused.append(message)

    await bus.connection.nc.subscribe("$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.>", cb=refuse)
    outbox = await ready(bus)
    events = (outbox.store("e.one", text.encode()) for text in TEXTS)
    fates, *_ = await asyncio.gather(answered(outbox, *TEXTS), asyncio.gather(*events))
    assert all(isinstance(fate, PubAck) for fate in fates)
    assert (len(await held(bus, "E")), len(await held(bus, "A"))) == (41, 41)
    assert outbox.groups["E"].batches
    assert outbox.groups["A"].batches
    await bus.connection.nc.flush()
    assert refused == []


async def test_a_subject_that_moves_to_another_stream_loses_nothing(bus: Bus) -> None:
    await bus.stream("E", "e.>", **TAKES)
    outbox = SlowOutbox(bus.requests)
    for subject in ("e.one", "e.two"):
        await outbox.store(subject, b"first")
    info = await bus.requests.api("STREAM.INFO.E")
    await bus.requests.api("STREAM.UPDATE.E", info["config"] | {"subjects": ["e.one"]})
    await bus.stream("F", "e.two", **TAKES)
    for _ in range(2):
        sending = [
            outbox.store(subject, text.encode()) for text in TEXTS for subject in ("e.one", "e.two")
        ]
        acks = await asyncio.gather(*sending)
        assert {ack.stream for ack in acks[::2]} == {"E"}
        assert {ack.stream for ack in acks[1::2]} == {"F"}
    assert len(await held(bus, "F")) == 80
    assert len(await held(bus, "E")) == 82
    assert set(outbox.groups) == {"E", "F"}


async def test_one_event_that_is_sent_many_times_at_once_is_stored_once(bus: Bus) -> None:
    await streams(bus)
    outbox = await ready(bus)
    ids = {"Nats-Msg-Id": "the same"}
    others = (outbox.store("e.one", text.encode(), {"Nats-Msg-Id": text}) for text in TEXTS)
    again = (outbox.store("e.one", b"again", ids) for _ in range(6))
    *acks, last = await asyncio.gather(*others, *again)
    acks, same = acks[: len(TEXTS)], [*acks[len(TEXTS) :], last]
    assert not any(ack.duplicate for ack in acks)
    assert sum(not ack.duplicate for ack in same) == 1
    assert len({ack.seq for ack in same}) == 1
    assert [data for _, data in (await held(bus, "E")).values()].count(b"again") == 1


async def test_one_answer_that_is_refused_stops_no_other(bus: Bus) -> None:
    limit = {"max_msgs_per_subject": 2, "discard": "new", "discard_new_per_subject": True}
    await streams(bus, **limit, max_msg_size=500)
    outbox = await ready(bus)
    large = outbox.store("a.response.large", b"x" * 1_000, family=ANSWERS)
    fates = await asyncio.gather(
        answered(outbox, *TEXTS, *["full"] * 5), large, return_exceptions=True
    )
    assert isinstance(fates[1], BusError)
    assert isinstance(fates[0], list)
    assert all(isinstance(fate, PubAck) for fate in fates[0][:40])
    assert sum(isinstance(fate, PubAck) for fate in fates[0][40:]) == 2
    assert sum(isinstance(fate, StoreFull) for fate in fates[0][40:]) == 3
    there = await held(bus, "A")
    for name, fate in zip(TEXTS, fates[0][:40], strict=True):
        assert isinstance(fate, PubAck)
        assert there[fate.seq] == (f"a.response.{name}", name.encode())
    assert len(there) == 1 + 40 + 2


async def test_a_stream_that_takes_no_batches_gets_each_answer_by_itself(bus: Bus) -> None:
    await streams(bus, allow_atomic=False)
    outbox = await ready(bus)
    for _ in range(2):
        assert all(isinstance(fate, PubAck) for fate in await answered(outbox, *TEXTS))
    assert outbox.groups["A"].batches == 0
    assert len(await held(bus, "A")) == 81


async def test_nothing_gathers_unless_that_is_turned_on(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    await streams(bus)
    outbox = Outbox(bus.requests)
    await answered(outbox, "first")
    assert all(isinstance(fate, PubAck) for fate in await answered(outbox, *TEXTS))
    sent = await bus.requests.read("$JS.API.DIRECT.GET.A", b'{"seq":9}')
    assert sent.data
    assert "Nats-Batch-Id" not in sent.headers


async def test_a_subject_that_nobody_keeps_is_refused_each_time(bus: Bus) -> None:
    outbox = SlowOutbox(bus.requests)
    for _ in range(2):
        with pytest.raises(StreamMissing):
            await outbox.store("nobody", b"")


@pytest.fixture
async def apart(own_server_with_accounts: EmbeddedServer) -> AsyncIterator[tuple[Bus, Bus]]:
    """Who keeps the streams, and an outsider who sees only the subject that it may send on."""
    home, away = (
        own_server_with_accounts.url.replace("://", f"://{name}:x@") for name in ("home", "away")
    )
    async with bus_at(home) as keeper, bus_at(away) as outsider:
        yield keeper, outsider


@pytest.fixture
async def own_server_with_accounts(tmp_path: Any) -> AsyncIterator[EmbeddedServer]:
    async with EmbeddedServer(tmp_path / "nats", extra=ACCOUNTS) as server:
        yield server


async def test_an_outsider_in_an_account_of_its_own_stores_in_batches(
    apart: tuple[Bus, Bus],
) -> None:
    keeper, outsider = apart
    await streams(keeper)
    outbox = SlowOutbox(outsider.requests)
    await answered(outbox, "first")
    assert all(isinstance(fate, PubAck) for fate in await answered(outbox, *TEXTS))
    assert outbox.groups["A"].batches
    assert len(await held(keeper, "A")) == 41


@pytest.mark.parametrize("frozen", [True, False], ids=["before it is read", "at any moment"])
async def test_senders_learn_that_they_cannot_know_when_the_server_dies_with_their_batch(
    own_server: EmbeddedServer, *, frozen: bool
) -> None:
    async with bus_at(own_server.url) as durable:
        await streams(durable)
        outbox = await ready(durable)
        if frozen:
            freeze(own_server.pid)
        waiting = asyncio.ensure_future(answered(outbox, *TEXTS))
        await asyncio.sleep(0)
        own_server.kill()
        fates = await asyncio.wait_for(waiting, 30)
    await own_server.start()
    async with bus_at(own_server.url) as again:
        there = await held(again, "A")
        for name, fate in zip(TEXTS, fates, strict=True):
            if isinstance(fate, PubAck):
                assert there[fate.seq] == (f"a.response.{name}", name.encode())
            else:
                assert isinstance(fate, PublishUnconfirmed | NotConnected)
