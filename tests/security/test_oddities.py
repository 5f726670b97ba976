"""Attacks with what is allowed: big reads, odd tickets, deep bodies, other protocols."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from layby.actors.people.answer import read
from layby.bus.connection import ConnectionSettings
from layby.bus.token import encode
from layby.commands import VERBS
from tests.engine import until
from tests.security.house import EVENT, WITHIN, House, Raw
from tests.security.test_reply_subjects import counts, goes_on, held

pytestmark = pytest.mark.nats

READS: list[tuple[bytes, bytes]] = [
    (b"ANSWERS", b'{"seq":1,"batch":1000000}'),
    (b"ANSWERS", b'{"multi_last":[">"],"batch":1000000}'),
    (b"ANSWERS", b'{"multi_last":["*.response.>"],"up_to_seq":1}'),
    (b"ANSWERS", b'{"seq":1,"batch":1000,"max_bytes":900000000}'),
    (b"RUNS", b'{"seq":1,"next_by_subj":"to.>","batch":1000000}'),
    (b"EVENTS", b'{"start_time":"1970-01-01T00:00:00Z","batch":1000000}'),
    (b"RUNS", b'{"multi_last":["%b"]}' % (b"x" * 5_000)),
    (b"RUNS", b"[" * 20_000),
]


async def test_big_reads_of_an_observer_hold_nobody_up(walled: House) -> None:
    """Reads of everything, hundreds at once, whose replies nobody reads."""
    async with walled.working():
        run = await walled.question("T1")
        async with walled.raw("ada") as ada:
            for _ in range(500):
                ada.publish(b"developer.response.T9.ada", b"x" * 1_000)
            await ada.sent()
        async with walled.raw("observer") as observer:
            observer.subscribe(b"_INBOX_observer.>")
            for number in range(40):
                for stream, body in READS:
                    reply = b"_INBOX_observer.%d" % number
                    observer.publish(b"$JS.API.DIRECT.GET." + stream, body, reply=reply)
            await goes_on(walled, run)


TICKETS = [
    *("$KV.runs.>", "$JS.API.STREAM.DELETE.RUNS", "*", ">", "..", "a.b.c", "_INBOX.x", "=41"),
    *("to.0.log.x.1", "T1 T2", "T1\r\nPUB to.0.log.x.1 0", "é", "\u202eT1", "x" * 200),
]


async def test_whatever_a_ticket_is_called_it_is_one_word(walled: House) -> None:
    async with walled.working():
        before = await counts(walled)
        async with walled.client("helpdesk") as helpdesk:
            for ticket in TICKETS:
                await helpdesk.send(EVENT, {"ticketId": ticket})
        for ticket in TICKETS:
            run = await walled.listed(ticket)
            async with walled.client("bob") as bob:
                receipt = await bob.answer(ticket, "yes", responder="bob", timeout=WITHIN)
            assert receipt.outcome == "accepted"
            assert (await walled.ended(run)).result == "bob: yes"
            assert await held(walled, "ANSWERS", f"developer.response.{encode(ticket)}.bob") == 1
        after = await counts(walled)
        assert after.keys() == before.keys()
        assert (after["AUDIT"], after["DEAD"]) == (before["AUDIT"], before["DEAD"])


DEEP = b'{"run":' * 5_000
BODIES = [
    *(b"[" * 50_000, DEEP, DEEP + b"1" + b"}" * 5_000, b'{"run":"' + b"x" * 50_000 + b'"}'),
    *(b'{"run":"*"}', b'{"run":">"}', b'{"run":"a.b"}', b'{"run":["x"]}', b'{"run":null}'),
    *(b'{"run":"\\ud800"}', b'{"run":1e999}', b'{"older_than":1e999}', b'{"older_than":-1e308}'),
    *(b'{"older_than":"nan"}', b'{"letter":%b}' % (b"9" * 5_000), b'{"letter":-1}', b"{", b"null"),
    *(b'{"thread":"*"}', b'{"thread":">"}', b'{"why":"' + b"\\u001b[2J" * 1_000 + b'"}', b"1"),
]


async def test_whatever_an_operator_commands_the_next_command_is_done(walled: House) -> None:
    """Each verb with bodies that are deep, huge, or name what is no run."""
    async with walled.working():
        waits = await walled.question("T1")
        async with walled.raw("operator") as raw:
            for verb in VERBS:
                for body in BODIES:
                    raw.publish(b"layby.do.%b.operator" % verb.encode(), body)
            assert await raw.sent() == []
        sent = len(VERBS) * len(BODIES)

        async def told() -> bool:
            return await held(walled, "AUDIT", "layby.done.operator.*") == sent

        await until(told, 3 * WITHIN)
        async with walled.client("operator") as operator:
            run = await walled.question("T2")
            assert (await operator.cancel(run)).status == "cancelled"
        await goes_on(walled, waits)


async def test_a_token_is_nothing_without_its_key(jwt: House) -> None:
    """Somebody has ada's token, from a log or a backup: no flag of theirs makes it enough."""
    token = jwt.file("ada").splitlines()[1]
    tries: list[dict[str, Any]] = [
        *({}, {"sig": ""}, {"bearer_token": True}, {"sig": "AAAA"}, {"nkey": "UAAA"}),
    ]
    for more in tries:
        raw = await Raw.open(ConnectionSettings(servers=(jwt.url,)), jwt=token, **more)
        await raw.sent()
        assert raw.closed, more
        await raw.close()


async def test_tokens_are_for_nobody_who_only_bears_them(jwt: House) -> None:
    for login in jwt.creds:
        body = jwt.file(login).splitlines()[1].split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        assert not claims["nats"].get("bearer_token")
        assert not claims["nats"].get("allowed_connection_types")


OTHERS = {
    "websocket": b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    "mqtt": b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04evil",
    "leaf node": b'CONNECT {"leaf":true,"name":"x","cluster":"x","remote_account":"LAYBY"}',
    "route": b'INFO {"server_id":"x","cluster":"x"}',
    "gateway": b'INFO {"gateway":"x"}',
}


@pytest.mark.parametrize("line", OTHERS.values(), ids=OTHERS)
async def test_the_port_of_clients_takes_no_other_protocol(house: House, line: bytes) -> None:
    raw = await Raw.open(ConnectionSettings(servers=(house.url,)), defer=True)
    raw.send(line)
    raw.publish(b"to.0.log.0run.1", b"x")
    await raw.sent()
    assert raw.closed
    assert not {"leafnode_urls", "gateway", "ws_connect_urls"} & {
        name for name, value in raw.info.items() if value
    }
    await raw.close()


async def test_a_person_can_learn_that_another_has_answered_and_nothing_more(
    walled: House,
) -> None:
    """A condition on somebody else's subject: the server's refusal says where their answer is."""
    async with walled.working(), walled.raw("bob") as bob, walled.raw("ada") as ada:
        bob.publish(b"developer.response.T7.bob", b"a secret")
        assert await bob.sent() == []
        ada.subscribe(b"_INBOX_ada.1")
        expects = b"Nats-Expected-Last-Subject-Sequence"
        on = b"%b-Subject: developer.response.T7.bob\r\n" % expects
        ada.publish(
            b"developer.response.T9.ada",
            b"x",
            headers=b"%b: 0\r\n%b" % (expects, on),
            reply=b"_INBOX_ada.1",
        )
        [(_, _, _, refusal)] = await ada.received()
        assert json.loads(refusal)["error"]["description"] == "wrong last sequence: 1"
        assert not await held(walled, "ANSWERS", "developer.response.T9.ada")


def test_an_answer_is_read_however_deep_it_is() -> None:
    for depth in (10, 100, *range(700, 1_100), 10_000):
        for opened, closed in (("[", "]"), ('{"a":', "}")):
            inner = opened * depth + "1" + closed * depth
            for field in ("answer", "ticket"):
                read(f'{{"answer":"x","{field}":{inner}}}'.encode(), "T1")
