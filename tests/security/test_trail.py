"""The trail of commands: nobody changes or removes an entry, or commands in another's name."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from layby.bus.errors import PermissionDenied
from layby.client import NotDoneYet
from layby.views.rows import AuditRow
from tests.engine import until
from tests.security.house import EVENT, WITHIN, House
from tests.security.test_reply_subjects import NOSUCH, exists, expect

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

EVERYBODY = ("helpdesk", "ada", "observer", "operator", "worker", "provisioner")
CHANGES: list[tuple[bytes, dict[str, Any]]] = [
    (b"$JS.API.STREAM.PURGE.AUDIT", {}),
    (b"$JS.API.STREAM.DELETE.AUDIT", {}),
    (b"$JS.API.STREAM.MSG.DELETE.AUDIT", {"seq": 1}),
    (b"$JS.API.STREAM.MSG.DELETE.AUDIT", {"seq": 1, "no_erase": True}),
    (
        b"$JS.API.STREAM.UPDATE.AUDIT",
        {"name": "AUDIT", "subjects": ["layby.do.*.*", "layby.done.*.*"], "max_msgs": 1},
    ),
    (b"$JS.API.STREAM.SNAPSHOT.AUDIT", {"deliver_subject": "x"}),
]


async def cancelled(house: House) -> list[AuditRow]:
    """The trail, once the operator has cancelled a run."""
    run = await house.question("T1")
    async with house.client("operator") as operator:
        assert (await operator.cancel(run, "enough")).status == "cancelled"
        rows = await operator.audit()
    assert [(row.id, row.by, row.verb, row.outcome) for row in rows] == [
        (1, "operator", "cancel", "done")
    ]
    return rows


async def audited(house: House) -> list[AuditRow]:
    async with house.client("observer") as observer:
        return await observer.audit()


async def test_nobody_changes_or_removes_an_entry(house: House) -> None:
    async with house.working():
        before = await cancelled(house)
        for login in EVERYBODY:
            async with house.raw(login) as raw:
                for subject, body in CHANGES:
                    raw.publish(subject, json.dumps(body).encode(), reply=b"_INBOX_x.1")
                errors = await raw.sent()
            assert len([error for error in errors if "Permissions Violation" in error]) == len(
                CHANGES
            ), (login, errors)
        async with house.raw("operator") as raw:  # in the operator's own name
            for headers in (b"Nats-Rollup: all\r\n", b"Nats-Rollup: sub\r\n", b"Nats-TTL: 1s\r\n"):
                raw.publish(b"layby.do.cancel.operator", b"{}", headers=headers)
            assert await raw.sent() == []
        assert (await audited(house))[-1:] == before


async def test_nobody_commands_without_the_right_or_in_the_name_of_another(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        body = json.dumps({"run": run}).encode()
        for login in EVERYBODY:
            async with house.raw(login) as raw:
                names = {b"boss", b"observer", b"ada", b"worker"} - {login.encode()}
                own = {login.encode()} - {b"operator"}
                for name in names | own:
                    raw.publish(b"layby.do.cancel." + name, body)
                raw.publish(b"layby.done." + login.encode() + b".1", b"{}")
                errors = await raw.sent()
            # A worker says what came of a command, and gives none.
            allowed = 1 if login == "worker" else 0
            assert len(errors) == len(names | own) + 1 - allowed, (login, errors)
        assert await audited(house) == []
        async with house.client("observer") as observer:
            with pytest.raises(PermissionDenied, match="in the name of 'observer'"):
                await observer.cancel(run)
            assert (await observer.show(run)).status == "waiting"


async def test_a_command_in_the_name_of_the_boss_by_a_reply_subject(house: House) -> None:
    async with house.working():
        run = await house.question("T1")
        async with house.client("helpdesk") as helpdesk:
            sent = await helpdesk.send(EVENT, json.dumps({"run": run}).encode())
        async with house.raw("observer") as observer:
            observer.publish(
                b"$JS.API.DIRECT.GET.EVENTS",
                b'{"seq": %d}' % sent.seq,
                reply=b"layby.do.cancel.boss",
            )
            assert await observer.sent() == []
        await expect(house, "AUDIT", "layby.do.cancel.boss")
        async with house.client("observer") as observer:
            if house.walled:
                assert (await observer.show(run)).status == "waiting"
            else:
                assert (await house.ended(run)).status == "cancelled"


async def test_an_observer_removes_the_trail_by_a_reply_subject(house: House) -> None:
    async with house.working():
        before = await cancelled(house)
        async with house.raw("observer") as observer:
            for verb in (b"PURGE", b"MSG.DELETE", b"DELETE"):
                observer.publish(NOSUCH, reply=b"$JS.API.STREAM.%b.AUDIT" % verb)
            assert await observer.sent() == []
        if house.walled:
            assert await audited(house) == before
            assert await exists(house, "AUDIT")
        else:

            async def gone() -> bool:
                return not await exists(house, "AUDIT")

            await until(gone, WITHIN)


async def test_what_is_said_to_a_client_is_believed_only_if_it_is_stored(walled: House) -> None:
    """Operators share an account: by a reply subject one can have anything told to another."""
    async with walled.working():
        run = await walled.question("T1")
    # No worker is up: only the forged outcome can say that it is done.
    async with walled.client("operator") as operator, walled.raw("operator") as raw:
        row = {"id": run, "workflow": "x", "ticket": "T1", "status": "cancelled"}
        result = {**row, "started_at": "x", "updated_at": "x"}
        fields = {"outcome": "done", "verb": "x", "by": "x", "seq": 2, "at": "x", "result": result}
        forged = json.dumps(fields).encode()
        ack = await operator._requests.store("layby.do.cancel.operator", forged)
        told = asyncio.create_task(operator.cancel(run))
        while not told.done():
            for seq in range(ack.seq + 1, ack.seq + 5):
                raw.publish(
                    b"$JS.API.DIRECT.GET.AUDIT",
                    b'{"seq":%d}' % ack.seq,
                    reply=b"layby.done.operator.%d" % seq,
                )
            assert await raw.sent() == []
        with pytest.raises(NotDoneYet):
            await told


async def test_a_command_that_is_no_text_stops_nobody(walled: House) -> None:
    async with walled.working():
        async with walled.raw("operator") as raw:
            for number in range(200):
                raw.publish(b"layby.do.\xff\xfe%d.operator" % number, b"{}")
                raw.publish(b"layby.do.cancel.operator", b"\x00\xff" * number)
            assert await raw.sent() == []
        await _cancels(walled)


async def _cancels(house: House) -> None:
    run = await house.question("T1")
    async with house.client("operator") as operator:
        assert (await operator.cancel(run)).status == "cancelled"
