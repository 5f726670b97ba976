"""Atomic batches of outsiders, which group commit lets the streams of events and answers take."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from layby.bus.group_commit import SETTING
from layby.bus.opened import opened
from layby.bus.requests import PubAck
from tests.engine import until
from tests.security.house import EVENT, WITHIN, House, started
from tests.security.test_headers import ANSWER, REFUSED, told
from tests.security.test_reply_subjects import counts, goes_on
from tests.slow_disk import SlowOutbox

pytestmark = [pytest.mark.nats, pytest.mark.timeout(120)]

DEPLOY = Path(__file__).parents[2] / "deploy"
OPEN, LONG = 16, 64
"""Open batches of a stream, and messages of a batch, as the shipped configurations have them."""
BODY = b"x" * 4_000
IN_A_BATCH = {name: headers for name, headers in REFUSED.items() if name != "atomic batch"}
WAYS = [("helpdesk", EVENT.encode(), "EVENTS"), ("ada", ANSWER, "ANSWERS")]


@pytest.fixture(params=["accounts", "jwt", "one account"])
async def grouping(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """A server whose streams take batches of outsiders, with a worker that stores in batches."""
    monkeypatch.setenv(SETTING, "1")
    async with started(request.param, tmp_path) as house, house.working():
        yield house


def part(name: str, place: int, *, last: bool = False) -> bytes:
    """The headers of one message of a batch."""
    commit = "Nats-Batch-Commit: 1\r\n" if last else ""
    return f"Nats-Batch-Id: {name}\r\nNats-Batch-Sequence: {place}\r\n{commit}".encode()


def staged(folder: Path, stream: str) -> tuple[int, int]:
    """The batches that are open in a stream, and their bytes on disk."""
    batches, size = 0, 0
    for home in folder.glob(f"nats/jetstream/*/streams/{stream}/batches/*"):
        if home.name.startswith("."):
            continue  # on its way out
        batches += 1
        with suppress(FileNotFoundError):  # the server may delete it meanwhile
            for file in home.rglob("*"):
                size += file.stat().st_size
    return batches, size


@pytest.mark.parametrize(("login", "subject", "stream"), WAYS, ids=["sender", "person"])
async def test_batches_that_are_never_ended_are_bounded_and_stop_nobody(
    grouping: House, tmp_path: Path, login: str, subject: bytes, stream: str
) -> None:
    run = await grouping.question("T1")
    before = await counts(grouping)
    async with grouping.raw(login) as attacker:
        for batch in range(4 * OPEN):
            for place in range(1, 2 * LONG):
                attacker.publish(subject, BODY, headers=part(f"open{batch}", place))
            assert await attacker.sent() == []
        batches, size = staged(tmp_path, stream)
        assert batches <= OPEN
        assert size <= OPEN * LONG * (len(BODY) + 1_000)
        assert await counts(grouping) == before, "nothing of them is stored"
        # Whoever stores for many at this moment is refused its batches, and stores singly.
        async with opened(grouping.settings("helpdesk")) as bus:
            outbox = SlowOutbox(bus.requests)
            sending = (outbox.store(EVENT, b'{"ticketId":"T%d"}' % n) for n in range(10, 40))
            async with asyncio.timeout(WITHIN):
                acks = await asyncio.gather(*sending)
            assert all(isinstance(ack, PubAck) for ack in acks)
            assert len({ack.seq for ack in acks}) == 30
        await goes_on(grouping, run)

        async def gone() -> bool:
            return staged(tmp_path, stream)[0] == 0

        await until(gone, WITHIN)


@pytest.mark.parametrize("headers", IN_A_BATCH.values(), ids=IN_A_BATCH)
async def test_what_a_stream_should_do_is_not_a_batch_to_say_either(
    walled: House, monkeypatch: pytest.MonkeyPatch, headers: bytes
) -> None:
    monkeypatch.setenv(SETTING, "1")
    async with walled.working():
        run = await walled.question("T1")
        before = await counts(walled)
        for login, subject, _ in WAYS:
            async with walled.raw(login) as raw:
                inbox = b"_INBOX_%b.1" % login.encode()
                raw.subscribe(inbox)
                raw.publish(subject, b"{}", headers=part("b", 1))
                raw.publish(subject, b"{}", headers=headers + part("b", 2))
                raw.publish(subject, b"{}", reply=inbox, headers=part("b", 3, last=True))
                [ack] = await told(raw)
                assert "error" in ack, ack
        assert await counts(walled) == before
        await goes_on(walled, run)


ODD = {
    "a gap": [(part("b", 1), b""), (part("b", 3, last=True), b"")],
    "no beginning": [(part("b", 2, last=True), b"")],
    "no sequence": [(b"Nats-Batch-Id: b\r\nNats-Batch-Commit: 1\r\n", b"")],
    "no number": [(b"Nats-Batch-Id: b\r\nNats-Batch-Sequence: x\r\nNats-Batch-Commit: 1\r\n", b"")],
    "a huge number": [(part("b", 2**63, last=True), b"")],
    "a long name": [(part("b" * 65, 1, last=True), b"")],
    "a path": [(part("../../../../b", 2, last=True), b"")],
    "an unknown end": [(part("b", 1) + b"Nats-Batch-Commit: maybe\r\n", b"")],
    "an end alone": [(part("b", 1) + b"Nats-Batch-Commit: eob\r\n", b"")],
    "an id twice": [
        (part("b", 1) + b"Nats-Msg-Id: 1\r\n", b""),
        (part("b", 2, last=True) + b"Nats-Msg-Id: 1\r\n", b""),
    ],
    "too many": [*((part("b", n), b"") for n in range(1, 65)), (part("b", 65, last=True), b"")],
}


@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
async def test_an_invalid_batch_is_refused_and_stops_nobody(
    walled: House, monkeypatch: pytest.MonkeyPatch, messages: list[tuple[bytes, bytes]]
) -> None:
    monkeypatch.setenv(SETTING, "1")
    async with walled.working(), walled.raw("ada") as raw:
        run = await walled.question("T1")
        before = await counts(walled)
        raw.subscribe(b"_INBOX_ada.1")
        for headers, body in messages[:-1]:
            raw.publish(ANSWER, body, headers=headers)
        headers, body = messages[-1]
        raw.publish(ANSWER, body, reply=b"_INBOX_ada.1", headers=headers)
        [ack] = await told(raw)
        assert "error" in ack, ack
        assert await counts(walled) == before
        await goes_on(walled, run)


def test_what_is_shipped_bounds_what_is_never_ended() -> None:
    for name in ("nats-server.conf", "helm/examples/nats-cluster.yaml"):
        text = (DEPLOY / name).read_text()
        assert re.search(rf"max_inflight_per_stream: {OPEN}\b", text)
        assert re.search(rf"max_msgs: {LONG}\b", text)
