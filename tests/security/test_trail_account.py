"""The trail in its own account: those who log in where the streams are cannot change it either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from layby.bus.errors import PermissionDenied
from layby.bus.opened import opened
from layby.bus.topology import Provisioner
from layby.operations.provisioning import provision
from tests.engine import until
from tests.security.house import WITHIN, House, Raw, desk
from tests.security.test_reply_subjects import exists, held, info
from tests.security.test_trail import CHANGES, audited, cancelled

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

SPEC = {
    "name": "AUDIT",
    "subjects": ["layby.do.*.*", "layby.done.*.*"],
    "storage": "file",
    "deny_delete": True,
    "deny_purge": True,
    "discard": "new",
    "allow_direct": True,
    "duplicate_window": 100_000_000,
    "num_replicas": 1,
    "compression": "s2",
}
BODIES = [
    {"seq": 1, "no_erase": True},
    {**SPEC, "max_age": 1_000_000_000},
    {**SPEC, "max_msgs": 1, "discard": "old"},
    {**SPEC, "sealed": True},
    {**SPEC, "republish": {"src": "layby.do.*.*", "dest": "to.0.log.x.{{wildcard(1)}}"}},
]
"""What a worker has stored, to have it delivered as somebody's request."""
EMPTY = {
    "worker": (b"$JS.API.DIRECT.GET.RUNS.nosuch", b"$JS.API.DIRECT.GET.AUDIT.nosuch"),
    "provisioner": (b"$JS.API.STREAM.INFO.AUDIT", b"$JS.API.CONSUMER.INFO.AUDIT.commands"),
    "operator": (b"$JS.API.DIRECT.GET.RUNS.nosuch", b"layby.do.cancel.operator"),
    "ada": (b"$JS.API.DIRECT.GET.KV_questions.nosuch", b"developer.response.T1.ada"),
}
"""What each may ask whose answer is empty, or an acknowledgement."""


def targets() -> Iterator[bytes]:
    """Where the requests that change a trail go, by each name that it has."""
    for subject, _ in CHANGES:
        yield subject
        yield subject.replace(b"$JS.API.", b"$TRAIL.")


@pytest.mark.parametrize("login", EMPTY)
async def test_the_trail_is_removed_by_a_reply_subject(house: House, login: str) -> None:
    async with house.working():
        before = await cancelled(house)
        async with house.raw(login) as raw:
            raw.subscribe(b"_INBOX_%b.>" % login.encode())
            for subject in EMPTY[login]:
                for target in targets():
                    raw.publish(subject, reply=target)
                raw.publish(subject, reply=b"_INBOX_%b.last" % login.encode())
            assert await raw.sent() == []
            kept = house.walled or login == "provisioner"  # whose answers are never empty
            if kept:  # a trail that is gone may take the last answers along
                await raw.received(len(EMPTY[login]))  # the server has gone through all of them
        if kept:
            assert (await audited(house))[-1:] == before
        else:

            async def gone() -> bool:
                return not await exists(house, "AUDIT")

            await until(gone, WITHIN)


async def test_the_trail_is_changed_by_what_a_worker_has_stored(walled: House) -> None:
    async with walled.working():
        before = await cancelled(walled)
        config = await info(walled, "AUDIT")
        async with walled.raw("worker") as raw:
            for body in BODIES:
                raw.publish(b"dead.x", json.dumps(body).encode())
            await raw.sent()
            raw.subscribe(b"_INBOX_worker.x")
            for seq in range(1, len(BODIES) + 1):
                body = b'{"seq": %d}' % seq
                for target in targets():
                    raw.publish(b"$JS.API.DIRECT.GET.DEAD", body, reply=target)
                for target in (b"$TRAIL.STREAM.CREATE.AUDIT", b"$TRAIL.STREAM.INFO.AUDIT"):
                    raw.publish(b"$JS.API.DIRECT.GET.DEAD", body, reply=target)
                raw.publish(b"$JS.API.DIRECT.GET.DEAD", body, reply=b"_INBOX_worker.x")
            assert await raw.sent() == []
            await raw.received(len(BODIES))
        assert await audited(walled) == before
        after = await info(walled, "AUDIT")
        assert config is not None
        assert after is not None
        assert after["config"] == config["config"]


async def test_the_outcome_of_a_command_removes_nothing(walled: House) -> None:
    """A worker may add outcomes: none of their headers removes or replaces what is there."""
    async with walled.working():
        before = await cancelled(walled)
        async with walled.raw("worker") as raw:
            raw.subscribe(b"_INBOX_worker.x")
            headers = (b"Nats-Rollup: all", b"Nats-Rollup: sub", b"Nats-TTL: 1s")
            for header in headers:
                raw.publish(
                    b"layby.done.operator.1",
                    b"{}",
                    reply=b"_INBOX_worker.x",
                    headers=header + b"\r\n",
                )
            assert await raw.sent() == []
            answers = await raw.received(len(headers))
        assert all(b'"error"' in body for *_, body in answers)
        assert await audited(walled) == before


async def test_a_worker_commands_nobody(walled: House) -> None:
    """There is no way from the account of the workers to the subjects of commands."""
    async with walled.working():
        run = await walled.question("T1")
        async with walled.raw("worker") as raw:
            raw.subscribe(b"_INBOX_worker.x")
            raw.publish(b"dead.x", json.dumps({"run": run}).encode())
            await raw.sent()
            for reply in (b"layby.do.cancel.boss", b"_INBOX_worker.x"):
                raw.publish(b"$JS.API.DIRECT.GET.DEAD", b'{"seq": 1}', reply=reply)
            raw.publish(b"layby.do.cancel.boss", json.dumps({"run": run}).encode())
            assert len(await raw.sent()) == 1
            await raw.received()
        assert await held(walled, "AUDIT", "layby.do.>") == 0
        async with walled.client("observer") as observer:
            assert (await observer.show(run)).status == "waiting"


async def consumer(raw: Raw, **config: Any) -> dict[str, Any]:
    """Have the consumer of commands made, or changed."""
    plain = {"durable_name": "commands", "name": "commands", "filter_subject": "layby.do.*.*"}
    body = {"stream_name": "AUDIT", "config": {**plain, "ack_policy": "explicit", **config}}
    before = len(raw.messages)
    raw.publish(
        b"$JS.API.CONSUMER.CREATE.AUDIT.commands.layby.do.*.*",
        json.dumps(body).encode(),
        reply=b"_INBOX_provisioner.x",
    )
    found: dict[str, Any] = json.loads((await raw.received(before + 1))[-1][3])
    return found


@pytest.mark.parametrize(
    "more", [{}, {"headers_only": True}, {"idle_heartbeat": 100_000_000, "flow_control": True}]
)
async def test_a_consumer_that_delivers_to_the_api_removes_nothing(
    walled: House, more: dict[str, Any]
) -> None:
    """The provisioner makes the consumer of commands, so it could make one that is none."""
    async with walled.working():
        before = await cancelled(walled)
    async with walled.raw("provisioner") as raw, walled.raw("operator") as operator:
        raw.subscribe(b"_INBOX_provisioner.x")
        deletes = {"deliver_subject": "$JS.API.STREAM.DELETE.AUDIT", **more}
        assert "can not" in (await consumer(raw, **deletes))["error"]["description"]
        assert "error" not in await consumer(raw, inactive_threshold=1)

        async def made() -> bool:
            return "error" not in await consumer(raw, **deletes)

        await until(made, WITHIN)  # once the server has removed the one that nobody uses
        operator.subscribe(b"_INBOX_operator.x")
        for _ in range(3):
            operator.publish(b"layby.do.cancel.operator", reply=b"_INBOX_operator.x")
        assert await operator.sent() == []
        await operator.received(3)
        # The server has delivered whatever it delivers once a consumer made later has its turn.
        raw.publish(b"$JS.API.CONSUMER.INFO.AUDIT.commands", reply=b"_INBOX_provisioner.x")
        await raw.sent()
    assert (await audited(walled))[-1:] == before


async def test_commands_are_handed_back_and_delivered_again(walled: House) -> None:
    """Acknowledgements cross to the account of the trail, and so does what they say."""
    await provision(desk(), walled.settings("provisioner"))
    async with walled.raw("worker") as raw, walled.raw("operator") as operator:
        raw.subscribe(b"_INBOX_worker.x")
        raw.publish(
            b"$JS.API.CONSUMER.MSG.NEXT.AUDIT.commands",
            b'{"batch": 1, "expires": 20000000000}',
            reply=b"_INBOX_worker.x",
        )
        await raw.sent()
        operator.publish(b"layby.do.cancel.operator", b'{"run": "00000000000000000000"}')
        await operator.sent()
        [(subject, reply, _, body)] = await raw.received()
        assert (subject, body) == (b"layby.do.cancel.operator", b'{"run": "00000000000000000000"}')
        assert reply.startswith(b"$JS.ACK.AUDIT.commands.1.1.1.")
        raw.publish(reply, b"+WPI")
        raw.publish(reply, b"-NAK")
        assert await raw.sent() == []
    async with walled.working():

        async def done() -> bool:
            return [row.outcome for row in await audited(walled)] == ["refused"]

        await until(done, WITHIN)

        async def acknowledged() -> bool:
            async with opened(walled.settings("observer")) as bus:
                found = await bus.requests.api("CONSUMER.INFO.AUDIT.commands")
            at = (found["delivered"]["consumer_seq"], found["ack_floor"]["stream_seq"])
            return at == (2, 1) and not found["num_ack_pending"]

        await until(acknowledged, WITHIN)


async def test_a_user_without_a_right_to_the_trail_is_told_so(walled: House) -> None:
    """The server names what a subject was mapped to, and nobody waits for an answer in vain."""
    await provision(desk(), walled.settings("provisioner"))
    async with opened(walled.settings("worker")) as bus:
        with pytest.raises(PermissionDenied):
            await bus.requests.api("STREAM.CREATE.AUDIT", SPEC, timeout=WITHIN)
        assert not await Provisioner(bus.requests).ensure(desk().topology())
