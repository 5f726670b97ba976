"""Subjects, replies and headers are bytes: whatever they are, they stop nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby import Step
from layby.bus.dead import CannotRetry
from layby.bus.wire import Message
from tests.engine import ON, Engine, app_of, until
from tests.fix_bus import Bus
from tests.security.house import Raw

pytestmark = pytest.mark.nats

ODD = b"\xff\xfe"
"""No UTF-8."""


def headers(*lines: bytes) -> bytes:
    """A header block of these lines."""
    return b"".join((b"NATS/1.0\r\n", *(line + b"\r\n" for line in lines), b"\r\n"))


async def handle(event: dict[str, Any], step: Step) -> str:
    del event
    return (await step.ask("developer", "go on?")).text


async def undisturbed(engine: Engine, ticket: str = "good") -> None:
    """One ticket goes its way, and what else there is comes to an end."""
    run = await engine.start(ticket)
    await engine.question(run=run)
    assert (await engine.answer(ticket)).outcome == "accepted"
    assert await engine.result(run) == "yes"


async def nothing_pending(engine: Engine, stream: str, consumer: str) -> dict[str, Any]:
    """What the server tells of a consumer once everything is acknowledged."""

    async def look() -> dict[str, Any]:
        info = await engine.wire.api(f"CONSUMER.INFO.{stream}.{consumer}")
        return {} if info["num_pending"] or info["num_ack_pending"] else info

    return await until(look, within=30.0)


@pytest.mark.parametrize(
    ("subject", "reply"),
    [
        (b"layby.cancel." + ODD, b""),
        (b"layby.cancel.x", b"to.0." + ODD),
        (b"layby.blocked." + ODD, ODD),
    ],
)
async def test_a_core_message_that_is_not_text_ends_no_connection(
    engine: Engine, clean_nats: str, subject: bytes, reply: bytes
) -> None:
    lost: list[str] = []
    async with engine.works(app_of(handle)) as worker, Raw.at(clean_nats) as raw:
        worker._connection.on_disconnect.append(lambda: lost.append("x"))
        for block in (b"", headers(b"X: " + ODD), b"NATS/1.0 " + ODD, b"NATS/1.0\r\n", b"N"):
            raw.publish(subject, b"{}", reply=reply, block=block)
        await undisturbed(engine)
    assert not lost


async def test_an_inbox_gets_what_is_no_text(bus: Bus, clean_nats: str) -> None:
    came: asyncio.Queue[Message] = asyncio.Queue()
    inbox = await bus.connection.nc.open_inbox(came.put_nowait, below=".>")
    await bus.connection.nc.flush()  # or the other connection may be quicker
    prefix = inbox.subject.removesuffix(">").encode()
    async with Raw.at(clean_nats) as raw:
        raw.publish(prefix + ODD, b"1", reply=ODD)
        raw.publish(prefix + "é".encode(), b"2", reply="é".encode())
        raw.publish(prefix + b"a", b"3", block=headers(b"X: " + ODD, b"no colon", b"X: 2"))
        raw.publish(prefix + b"a", b"4", block=b"NATS/1.0 " + ODD + b"4\r\n\r\n")
    async with asyncio.timeout(30):
        odd, text, headed, status = [await came.get() for _ in range(4)]

    assert not odd.is_text
    assert odd.subject.endswith(".\\xff\\xfe")
    assert odd.reply == "\\xff\\xfe"
    assert (text.is_text, text.subject[-2:], text.reply) == (True, ".é", "é")
    assert headed.headers == {"X": "\\xff\\xfe"}
    assert (status.status, status.data) == ("", b"4")


async def test_answers_on_subjects_that_are_no_text_are_dead_letters_at_once(
    engine: Engine, clean_nats: str
) -> None:
    async with engine.works(app_of(handle)), Raw.at(clean_nats) as raw:
        for n in range(40):
            raw.publish(b"developer.response.%b%d.ada" % (ODD, n), b"yes")
        await undisturbed(engine)
        told = await nothing_pending(engine, "ANSWERS", "answers-developer")
        assert told["num_redelivered"] == 0
        assert told["delivered"]["consumer_seq"] == 41
    letters = await engine.client.dead()
    assert len(letters) == 40
    assert letters[0].subject == "developer.response.\\xff\\xfe0.ada"
    assert "UTF-8" in letters[0].reason


async def test_mail_on_subjects_that_are_no_text_is_a_dead_letter(
    engine: Engine, clean_nats: str
) -> None:
    async with engine.works(app_of(handle)), Raw.at(clean_nats) as raw:
        for n in range(20):
            raw.publish(b"desk.go", b"{}", reply=b"to.0.workflow-handle.%b.%d" % (ODD, n))
        for n in range(20):
            raw.publish(b"to.0.workflow-handle.%b.%d" % (ODD, n))
        for n in range(20):
            raw.publish(b"due.%b%d" % (ODD, n))
        await undisturbed(engine)
        await nothing_pending(engine, "RUNS", "workflow-handle")
        await nothing_pending(engine, "TIMERS", "due")
    assert len(await engine.client.dead()) == 40


async def test_a_dead_letter_of_no_text_cannot_be_sent_again(
    engine: Engine, clean_nats: str
) -> None:
    async with engine.works(app_of(handle)), Raw.at(clean_nats) as raw:
        raw.publish(b"developer.response.%b" % ODD, b"yes")
        letter = (await until(engine.client.dead))[0]
        with pytest.raises(CannotRetry, match="is not text"):
            await engine.client.retry_dead(letter.id)
        await engine.client.drop_dead(letter.id)
    assert await engine.client.dead() == []


@pytest.mark.parametrize(
    "block",
    [
        headers(b"Nats-Msg-Id: " + ODD),
        headers(b"no colon", b": no name", b"", b" : ", b"\x00: \x00"),
        headers(*(b"H%d: x" % n for n in range(5_000))),
        headers(b"X: " + b"y" * 60_000),
        b"NATS/1.0 503 No Responders\r\n\r\n",
        b"NATS/1.0 408 Timeout\r\nNats-Pending-Messages: x\r\n\r\n",
        b"NATS/1.0",
        b"\r\n",
        ODD,
    ],
)
async def test_an_event_starts_its_run_whatever_its_headers(
    engine: Engine, clean_nats: str, block: bytes
) -> None:
    async def plain(event: dict[str, Any], step: Step) -> str:
        del step
        return str(event["ticket"])

    async with engine.works(app_of(plain)), Raw.at(clean_nats) as raw:
        raw.publish(ON.encode(), b'{"ticket":"H1"}', block=block)

        async def completed() -> bool:
            return [run.status for run in await engine.client.runs(ticket="H1")] == ["completed"]

        await until(completed)
