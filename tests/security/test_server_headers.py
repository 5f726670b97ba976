"""Headers of the sender are the sender's: what the server says of a message is read from its own.

A read from a stream appends the server's headers to those that the message was stored with.
"""

from __future__ import annotations

from typing import Any

import pytest

from layby import Step
from layby.bus.bucket import Bucket
from layby.bus.reading import backwards, every, newest, sequence
from layby.bus.wire import Message
from tests.engine import ON, Engine, app_of, until
from tests.fix_bus import Bus
from tests.security.house import Raw

pytestmark = pytest.mark.nats

LONG_AGO = b"2001-01-01T00:00:00Z"
FORGED = {
    b"Nats-Stream": b"OTHER",
    b"Nats-Subject": b"developer.response.T1.bob",
    b"Nats-Sequence": b"abc",
    b"Nats-Time-Stamp": LONG_AGO,
    b"Nats-Num-Pending": b"0",
    b"Nats-Last-Sequence": b"1",
    b"Nats-UpTo-Sequence": b"1",
    b"Nats-Last-Consumer": b"9",
    b"Nats-Last-Stream": b"9",
    b"Nats-Pending-Messages": b"x",
    b"Nats-Pending-Bytes": b"x",
    b"Nats-Consumer-Stalled": b"$JS.API.STREAM.DELETE.RUNS",
    b"Nats-Marker-Reason": b"MaxAge",
    b"KV-Operation": b"DEL",
    b"Nats-Msg-Size": b"0",
    b"Nats-Response-Type": b"x",
    b"Status": b"503",
    b"Description": b"No Responders",
}


def forged(first: bytes = b"NATS/1.0", **more: bytes) -> bytes:
    """A header block with every header of the server, several times."""
    each = [*FORGED.items(), *((name.encode(), value) for name, value in more.items())]
    lines = [b"%b: %b" % one for one in each]
    lines += [b"%b:%b" % (name.lower(), value) for name, value in each]
    lines += [b"Nats-Sequence: 1", b"Nats-Sequence : 2", b" Nats-Sequence: 3", b"no colon", b""]
    return first + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


BLOCKS = {
    "every header": forged(),
    "a status": forged(b"NATS/1.0 404 No Messages"),
    "end of batch": forged(b"NATS/1.0 204 EOB"),
    "a status without an end": b"NATS/1.0 404 No",  # a server takes the status out of others
    "cut off": forged()[:-2],
    "no end": b"NATS/1.0\r\nNats-Sequence: 1\r\nNats-Subject: x.y",
    "a blank line within": b"NATS/1.0\r\nNats-Sequence: 1\r\n\r\nNats-Subject: x\r\n\r\n",
    "only line feeds": b"NATS/1.0\nNats-Sequence: 1\nNats-Subject: x\n\n",
    "no text": b"NATS/1.0\r\nNats-Subject: \xff\xfe\r\nNats-Sequence\xff: 1\r\n\r\n",
    "hundreds of lines": b"NATS/1.0\r\n" + b"Nats-Sequence: 1\r\n" * 3_000 + b"\r\n",
    "one long line": b"NATS/1.0\r\nNats-Subject: " + b"x" * 60_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", BLOCKS)
async def test_every_read_gives_what_the_server_says(bus: Bus, clean_nats: str, name: str) -> None:
    await bus.stream("HEADED", "$KV.headed.>")
    async with Raw.at(clean_nats) as raw:
        for key in (b"a", b"b", b"c"):
            raw.publish(b"$KV.headed." + key, key, block=BLOCKS[name])
        assert not await raw.sent()

    async def stored() -> bool:
        return bool((await bus.requests.api("STREAM.INFO.HEADED"))["state"]["messages"] == 3)

    await until(stored)
    subjects = [f"$KV.headed.{key}" for key in "abc"]
    reads = [
        await newest(bus.requests, "HEADED", ["$KV.headed.>"]),
        [each async for each in every(bus.requests, "HEADED", "$KV.headed.>", 1)],
        [each async for each in backwards(bus.requests, "HEADED", "$KV.headed.>", 1)][::-1],
    ]
    for found in reads:
        assert [sequence(each) for each in found] == [1, 2, 3]
        assert [each.headers["Nats-Subject"] for each in found] == subjects
        assert not any(each.headers["Nats-Time-Stamp"].startswith("2001") for each in found)
        assert not any(each.status for each in found)


@pytest.mark.parametrize("name", BLOCKS)
async def test_a_row_is_read_whatever_its_headers(
    engine: Engine, clean_nats: str, name: str
) -> None:
    async with engine.works(app_of(asks)), Raw.at(clean_nats) as raw:
        raw.publish(b"$KV.runs.key", b"value", block=BLOCKS[name])
        assert not await raw.sent()
        bucket = Bucket(engine.wire, "runs")
        item = await until(lambda: bucket.get("key"))
        assert (item.key, item.value) == ("key", b"value")
        assert [each.key async for each in bucket.items()] == ["key"]
        assert await bucket.put("key", b"next", revision=item.revision) > item.revision


async def asks(event: dict[str, Any], step: Step) -> str:
    del event
    answer = await step.ask("developer", "Well?")
    return f"{answer.by}: {answer.text}"


@pytest.mark.parametrize("name", BLOCKS)
async def test_an_answer_is_of_who_sent_it_when_it_was_stored(
    engine: Engine, clean_nats: str, name: str
) -> None:
    """The log said that bob had answered, and a late answer passed as one in time."""
    async with engine.works(app_of(asks)), Raw.at(clean_nats) as raw:
        run = await engine.start("T1")
        await engine.question(run=run)
        raw.publish(b"developer.response.T1.eve", b"", block=BLOCKS[name])  # is read with the next
        raw.publish(b"developer.response.T1.ada", b"yes", block=BLOCKS[name])
        assert not await raw.sent()
        assert await engine.result(run) == "ada: yes"
        question = next(iter((await engine.state(run)).questions.values()))
        assert question.at > question.asked_at - 5


async def test_no_header_makes_a_late_answer_an_early_one(engine: Engine, clean_nats: str) -> None:
    async def briefly(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "Well?", timeout="1s", default=None)).text

    async with engine.works(app_of(briefly)):
        run = await engine.start("T1")
        question = await engine.question(run=run)
    await engine.due()
    async with Raw.at(clean_nats) as raw:
        body = b'{"answer":"yes","questionId":"%b"}' % question.id.encode()
        raw.publish(b"developer.response.T1.ada", body, block=forged())
        assert not await raw.sent()
    async with engine.works(app_of(briefly)):
        assert await engine.result(run) == ""


@pytest.mark.parametrize("name", BLOCKS)
async def test_an_awaited_event_is_found_whatever_its_headers(
    engine: Engine, clean_nats: str, name: str
) -> None:
    """`Nats-Sequence: abc` failed the run that waited; `1` was read again thousands of times."""

    async def waits(event: dict[str, Any], step: Step) -> list[Any]:
        await step.ask("developer", "go on?")
        first = await step.wait_for_event("desk.said", match="ticket")
        second = await step.wait_for_event("desk.said", match="ticket")
        return [event["ticket"], first["n"], second["n"]]

    async with engine.works(app_of(waits, events=["desk.said"])), Raw.at(clean_nats) as raw:
        run = await engine.start("T1")
        await engine.question(run=run)
        for n in range(5):
            body = b'{"ticket":"%b","n":%d}' % (b"T1" if n > 2 else b"T2", n)
            raw.publish(b"desk.said", body, block=BLOCKS[name])
        assert not await raw.sent()
        await engine.answer()
        assert await engine.result(run) == ["T1", 3, 4]


async def test_headers_of_the_sender_remain_the_senders(bus: Bus, clean_nats: str) -> None:
    came: list[Message] = []
    inbox = await bus.connection.nc.open_inbox(came.append)
    block = b"NATS/1.0\r\nNats-Msg-Id: one\r\nNats-Msg-Id: two\r\nX: 1\r\n\r\n"
    async with Raw.at(clean_nats) as raw:
        raw.publish(inbox.subject.encode(), b"x", block=block)
        assert not await raw.sent()

    async def arrived() -> bool:
        return bool(came)

    await until(arrived)
    assert came[0].headers == {"Nats-Msg-Id": "one", "X": "1"}


async def test_ids_that_are_no_text_are_different_ids(engine: Engine, clean_nats: str) -> None:
    async def plain(event: dict[str, Any], step: Step) -> None:
        del event, step

    async with engine.works(app_of(plain)), Raw.at(clean_nats) as raw:
        for n, odd in enumerate((b"\xff", b"\xfe", b"\xff")):
            block = b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % odd
            raw.publish(ON.encode(), b'{"ticket":"T%d"}' % n, block=block)
        assert not await raw.sent()

        async def both() -> bool:
            runs = await engine.client.runs("completed")
            return [run.ticket for run in sorted(runs, key=lambda run: run.ticket)] == ["T0", "T1"]

        await until(both)
