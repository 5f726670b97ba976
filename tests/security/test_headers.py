"""Headers that an outsider sets on what they may publish: none of them does more than that."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.engine import until
from tests.security.house import EVENT, WITHIN, House, Raw
from tests.security.test_reply_subjects import counts, goes_on, held

pytestmark = pytest.mark.nats

ANSWER = b"developer.response.T1.ada"


async def told(raw: Raw, count: int = 1) -> list[dict[str, Any]]:
    """The acknowledgements that the server sent."""
    return [json.loads(body) for *_, body in (await raw.received(count))[:count]]


REFUSED = {
    "rollup": b"Nats-Rollup: all\r\n",
    "rollup of the subject": b"Nats-Rollup: sub\r\n",
    "schedule": b"Nats-Schedule: @at 2030-01-01T00:00:00Z\r\nNats-Schedule-Target: to.0.l.x.1\r\n",
    "schedule of another subject": b"Nats-Schedule: @every 1s\r\n"
    b"Nats-Schedule-Target: developer.response.T1.bob\r\n"
    b"Nats-Schedule-Source: developer.response.T9.ada\r\nNats-Schedule-TTL: 1h\r\n",
    "time to live": b"Nats-TTL: 1s\r\n",
    "atomic batch": b"Nats-Batch-Id: b1\r\nNats-Batch-Sequence: 1\r\nNats-Batch-Commit: 1\r\n",
    "counter": b"Nats-Incr: 1\r\n",
    "other stream": b"Nats-Expected-Stream: RUNS\r\n",
    "sequence": b"Nats-Expected-Last-Sequence: 77\r\n",
}
"""Headers that mean something to a stream, and that these streams do not take."""


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
async def test_what_a_stream_should_do_is_not_the_senders_to_say(
    walled: House, headers: bytes
) -> None:
    async with walled.working():
        run = await walled.question("T1")
        before = await counts(walled)
        for login, subject, stream in (
            ("ada", ANSWER, "ANSWERS"),
            ("helpdesk", EVENT.encode(), "EVENTS"),
        ):
            async with walled.raw(login) as raw:
                inbox = b"_INBOX_%b.1" % login.encode()
                raw.subscribe(inbox)
                raw.publish(subject, b'{"answer":""}', reply=inbox, headers=headers)
                [ack] = await told(raw)
                assert "error" in ack, ack
                assert (await counts(walled))[stream] == before[stream]
        assert await counts(walled) == before
        await goes_on(walled, run)


async def test_a_trace_goes_nowhere_that_its_sender_may_not_publish(walled: House) -> None:
    """A traced message has the server publish what became of it, where the header says."""
    async with walled.working(), walled.raw("bob") as bob:
        run = await walled.question("T1")
        bob.subscribe(b"developer.receipt.T1")
        assert await bob.sent() == []
        async with walled.raw("ada") as ada:
            for dest in (b"developer.receipt.T1", b"$JS.API.STREAM.DELETE.RUNS", b"$KV.runs.T1.x"):
                only = b"Nats-Trace-Dest: %b\r\nNats-Trace-Only: true\r\n" % dest
                ada.publish(ANSWER, b"x", headers=only)
            await ada.sent()
            ada.publish(ANSWER, b"x", headers=b"Nats-Trace-Dest: developer.response.T1.bob\r\n")
            await ada.sent()
        assert not await held(walled, "ANSWERS", "developer.response.T1.bob")
        assert not await held(walled, "KV_runs", "$KV.runs.T1.x")
        assert bob.messages == [] or all(b"accepted" in m[3] for m in bob.messages)
        assert run
        assert (await counts(walled))["RUNS"] >= 1


async def test_who_asks_is_not_the_askers_to_say(walled: House) -> None:
    """The header in which the server tells itself who has sent a request across accounts."""
    forged = json.dumps({"acc": "LAYBY", "svc": "LAYBY", "user": "worker", "kind": "Client"})
    headers = b"Nats-Request-Info: %b\r\n" % forged.encode()
    async with walled.working(), walled.raw("observer") as observer:
        await walled.question("T1")
        observer.subscribe(b"_INBOX_observer.>")
        for verb in (b"STREAM.DELETE.RUNS", b"STREAM.PURGE.RUNS", b"STREAM.NAMES"):
            observer.publish(
                b"$JS.API." + verb, b"{}", reply=b"_INBOX_observer." + verb[:8], headers=headers
            )
        errors = await observer.sent()
        assert len(errors) == 2  # which it may not publish at all
        names = json.loads((await observer.received())[0][3])["streams"]
        assert "RUNS" in names


async def test_an_id_hides_no_answer_of_somebody_else(house: House) -> None:
    """Two answers of one message id: the second would be a duplicate, and dropped."""
    async with house.working():
        run = await house.question("T1")
        same = b"Nats-Msg-Id: 1\r\n"
        async with house.raw("ada") as ada, house.raw("bob") as bob:
            ada.publish(b"developer.response.T9.ada", b"x", headers=same)
            await ada.sent()
            # The server's shortest memory is 100 ms: nothing but time ends it.
            await asyncio.sleep(0.3)
            bob.subscribe(b"_INBOX_bob.1")
            bob.publish(b"developer.response.T1.bob", b"yes", headers=same, reply=b"_INBOX_bob.1")
            [ack] = await told(bob)
        assert not ack.get("duplicate"), ack
        assert (await house.ended(run)).result == "bob: yes"


@pytest.mark.parametrize("size", [10_000, 60_000])
async def test_big_headers_are_stored_or_refused_and_stop_nobody(walled: House, size: int) -> None:
    async with walled.working():
        run = await walled.question("T1")
        inbox = b"_INBOX_ada.1"
        async with walled.raw("ada") as ada:
            ada.subscribe(inbox)
            big = b"X-Big: %b\r\n" % (b"x" * size)
            many = b"".join(b"X-%d: y\r\n" % n for n in range(size // 10))
            for headers in (big, many):
                ada.publish(
                    b"developer.response.T9.ada", b"y", headers=headers, reply=b"_INBOX_ada.1"
                )
            await told(ada, 2)
        await goes_on(walled, run)


async def test_headers_that_no_client_writes_stop_nobody(walled: House) -> None:
    odd = [
        b"no colon at all\r\n",
        b": no name\r\n",
        b"\xff\xfe: \xff\xfe\r\n",
        b"Nats-Msg-Id:\r\n",
        b"X: a\rb\r\n",
        b"X: \x00\r\n",
        b"Status: 404\r\n",
        b"Nats-Sequence: abc\r\nNats-Time-Stamp: never\r\n",
        b"Nats-Subject: developer.response.T1.bob\r\n",
    ]
    async with walled.working():
        run = await walled.question("T1")
        async with walled.raw("ada") as ada, walled.raw("helpdesk") as helpdesk:
            for headers in odd:
                ada.publish(b"developer.response.T9.ada", b"y", headers=headers)
                helpdesk.publish(EVENT.encode(), b'{"ticketId":"T2"}', headers=headers)
            await ada.sent()
            await helpdesk.sent()
        await goes_on(walled, run)
        assert await walled.listed("T2")

        async def all_taken() -> bool:
            return await held(walled, "QUESTIONS", "developer.receipt.T9") >= 1

        await until(all_taken, WITHIN)
