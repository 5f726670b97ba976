from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from layby.bus.errors import (
    BusError,
    Conflict,
    NotConnected,
    PayloadTooLarge,
    PermissionDenied,
    PublishUnconfirmed,
    StreamMissing,
)
from layby.bus.server import EmbeddedServer
from layby.bus.waiter import Accept
from layby.bus.wire import Message
from tests.engine import until
from tests.fix_bus import Bus, bus_at
from tests.fix_proxy import Proxy

pytestmark = pytest.mark.nats

TIMEOUT = 0.3

GUARDED = """
accounts {
  DESK {
    jetstream: enabled
    users: [
      { user: boss, password: boss }
      { user: clerk, password: clerk, permissions: {
          publish: { deny: ["secret.>", "$JS.API.STREAM.CREATE.>"] }
          subscribe: { allow: ["_INBOX.>"] }
      } }
    ]
  }
  PLAIN { users: [ { user: plain, password: plain } ] }
}
"""


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with EmbeddedServer(tmp_path / "nats", extra=GUARDED) as server:
        yield server


async def test_what_is_stored_is_acknowledged_with_its_sequence(bus: Bus) -> None:
    await bus.stream("S", "s.*")
    first = await bus.requests.store("s.a", b"1")
    second = await bus.requests.store("s.b", b"2", {"Nats-Msg-Id": "x"})
    again = await bus.requests.store("s.b", b"2", {"Nats-Msg-Id": "x"})
    assert (first.stream, first.seq, second.seq) == ("S", 1, 2)
    assert (again.seq, again.duplicate) == (2, True)


async def test_a_task_cancelled_while_it_closes_a_connection_is_cancelled(bus: Bus) -> None:
    """The end of a time-out came in that moment, and what it was for went on for ever."""
    closing = asyncio.create_task(bus.requests.stop())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing


async def test_headers_arrive_as_they_were_given(bus: Bus) -> None:
    await bus.stream("S", "s")
    await bus.requests.store("s", b"body", {"Reason": "grün: 5 µm\r\nEvil: yes"})
    [message, _] = await bus.requests.direct_get("S", {"multi_last": ["s"]})
    assert message.data == b"body"
    assert message.headers["Reason"] == "grün: 5 µm Evil: yes"
    assert "Evil" not in message.headers


async def test_an_expectation_that_does_not_hold_is_a_conflict(bus: Bus) -> None:
    await bus.stream("S", "s")
    fence = {"Nats-Expected-Last-Subject-Sequence": "0"}
    await bus.requests.store("s", b"first", fence)
    with pytest.raises(Conflict, match=r"'s'.*wrong last sequence") as caught:
        await bus.requests.store("s", b"second", fence)
    assert caught.value.code == 10071


async def test_a_subject_without_a_stream_is_reported_at_once(bus: Bus) -> None:
    with pytest.raises(StreamMissing, match=r"no stream covers the subject 'nobody\.here'"):
        await bus.requests.store("nobody.here", b"")


async def test_a_missing_stream_is_reported_by_the_api_and_by_reads(bus: Bus) -> None:
    with pytest.raises(StreamMissing, match=r"STREAM\.INFO\.NONE: stream not found") as caught:
        await bus.requests.api("STREAM.INFO.NONE")
    assert caught.value.code == 10059
    with pytest.raises(StreamMissing, match="NONE"):
        await bus.requests.direct_get("NONE", {"multi_last": ["s"]})


async def test_what_is_more_than_the_server_takes_is_not_sent(bus: Bus) -> None:
    with pytest.raises(PayloadTooLarge, match=r"2000000 bytes for 's'.*max_payload of 1048576"):
        await bus.requests.store("s", b"x" * 2_000_000)


async def test_what_is_more_than_the_stream_takes_is_refused(bus: Bus) -> None:
    await bus.stream("S", "s", max_msg_size=1000)
    with pytest.raises(PayloadTooLarge, match="'s': message size exceeds maximum allowed"):
        await bus.requests.store("s", b"x" * 2000)


async def test_the_servers_own_words_are_passed_on(bus: Bus) -> None:
    with pytest.raises(BusError, match=r"STREAM\.CREATE\.S: .*subject"):
        await bus.stream("S", "not a subject")


async def test_silence_is_reported_with_the_subject(bus: Bus) -> None:
    await bus.connection.nc.subscribe("deaf")
    with pytest.raises(PublishUnconfirmed, match="no reply from 'deaf' in time"):
        await bus.requests.request("deaf", timeout=0.01)


async def test_a_lost_connection_fails_what_is_open_at_once(own_server: EmbeddedServer) -> None:
    async with bus_at(own_server.url) as bus:
        await bus.connection.nc.subscribe("deaf")
        open_requests = [
            asyncio.ensure_future(bus.requests.request("deaf", timeout=60)) for _ in range(3)
        ]
        await bus.connection.nc.flush()
        own_server.kill()
        async with asyncio.timeout(30):
            found = await asyncio.gather(*open_requests, return_exceptions=True)
        assert [type(error) for error in found] == [PublishUnconfirmed] * 3
        assert "the connection was lost" in str(found[0])
        with pytest.raises(NotConnected, match="there is no connection now"):
            await bus.requests.store("s", b"")
        await own_server.start()


async def _ask_twice(proxy: Proxy, subject: bytes, ask: Coroutine[Any, Any, Any]) -> Any:
    """Ask, let the reply pass only once it has been asked again, and return it."""
    proxy.hold(clients=False)
    asking = asyncio.ensure_future(ask)

    async def is_asked_again() -> bool:
        return proxy.passed.count(subject) >= 2 or asking.done()

    await until(is_asked_again, 10)
    proxy.release()
    return await asking


async def test_what_only_reads_is_asked_again_while_nothing_comes(proxy: Proxy) -> None:
    async with bus_at(proxy.url) as bus:
        await bus.stream("S", "s.*", allow_direct=True)
        for name in ("s.a", "s.b"):
            await bus.requests.store(name, b"x")
        read = bus.requests
        by_seq = await _ask_twice(proxy, b"STREAM.MSG.GET.S", read.stored("S", seq=2))
        assert by_seq.subject == "s.b"
        info = await _ask_twice(proxy, b"STREAM.INFO.S", read.api("STREAM.INFO.S"))
        assert info["state"]["messages"] == 2
        body = {"batch": 10, "seq": 1}
        found = await _ask_twice(proxy, b"DIRECT.GET.S", read.direct_get("S", body))
        assert [each.headers["Nats-Subject"] for each in found[:2]] == ["s.a", "s.b"]
        assert len(found) == 3, "the messages of one attempt, and its end"
        assert not bus.requests._open


async def test_a_reply_of_many_parts_may_take_its_time(bus: Bus) -> None:
    """As 64 MiB of a log do over a slow line: they are not given up while they come."""
    loop, wire = asyncio.get_running_loop(), bus.connection.nc

    async def reply(asked: Msg) -> None:
        until = loop.time() + 3.5 * TIMEOUT
        while loop.time() < until:
            wire.send(asked.reply, b"part")
            await asyncio.sleep(0.05)
        wire.send(asked.reply, b"end")

    def accept() -> Accept:
        found: list[bytes] = []

        def take(future: asyncio.Future[Any], message: Message) -> bool:
            found.append(message.data)
            if message.data == b"end" and not future.done():
                future.set_result(found)
            return message.data == b"end"

        return take

    await wire.subscribe("slow", cb=reply)
    found = await bus.requests.read("slow", timeout=TIMEOUT, accept=accept)
    assert found[0] == b"part"
    assert not bus.requests._open


async def test_what_is_to_be_stored_is_sent_once(proxy: Proxy) -> None:
    async with bus_at(proxy.url) as bus:
        await bus.stream("S", "s.*")
        proxy.hold(clients=False)
        with pytest.raises(PublishUnconfirmed):
            await bus.requests.store("s.a", b"x", timeout=2.5)
        proxy.release()
        assert proxy.passed.count(b"PUB s.a") == 1


async def test_a_caller_that_repeats_lost_requests_may_wait_less(proxy: Proxy) -> None:
    async with bus_at(proxy.url) as bus:
        await bus.stream("S", "s.*")
        proxy.hold(clients=False)
        bus.requests.confirm_within = 0.1
        async with asyncio.timeout(4):
            with pytest.raises(PublishUnconfirmed):
                await bus.requests.store("s.a", b"x")
        proxy.release()


async def test_requests_work_again_after_an_outage(own_server: EmbeddedServer) -> None:
    async with bus_at(own_server.url) as bus:
        await bus.stream("S", "s", storage="file")
        back = asyncio.Event()
        bus.connection.on_reconnect.append(back.set)
        await own_server.restart()
        async with asyncio.timeout(30):
            await back.wait()
        assert (await bus.requests.store("s", b"")).seq == 1


async def test_a_cancelled_request_leaves_nothing_behind(bus: Bus) -> None:
    await bus.connection.nc.subscribe("deaf")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bus.requests.request("deaf")
    assert not bus.requests._open


async def test_a_late_reply_goes_to_nobody(bus: Bus) -> None:
    async def late(msg: object) -> None:
        messages.append(msg)

    messages: list[object] = []
    await bus.connection.nc.subscribe("slow", cb=late)
    with pytest.raises(PublishUnconfirmed):
        await bus.requests.request("slow", timeout=0.01)
    await messages[0].respond(b"at last")  # type: ignore[attr-defined]
    await bus.connection.nc.flush()
    await bus.stream("S", "s")
    assert (await bus.requests.store("s", b"")).seq == 1


async def test_many_requests_at_once_each_get_their_own_reply(bus: Bus) -> None:
    async def echo(msg: object) -> None:
        await msg.respond(msg.data)  # type: ignore[attr-defined]

    await bus.connection.nc.subscribe("echo", cb=echo)
    replies = await asyncio.gather(
        *(bus.requests.request("echo", str(number).encode(), timeout=60) for number in range(500))
    )
    assert [int(reply.data) for reply in replies] == list(range(500))


@pytest.mark.parametrize("subject", ["", "two words", "line\r\nPUB x 0\r\n", "tab\t"])
async def test_no_subject_can_write_the_protocol(bus: Bus, subject: str) -> None:
    with pytest.raises(BusError, match="is not a subject"):
        await bus.requests.store(subject, b"")


# -- permissions -------------------------------------------------------------------------------


async def test_a_refused_subject_is_reported_at_once_by_name(guarded: EmbeddedServer) -> None:
    async with bus_at(guarded.url, user="clerk", password="clerk") as bus:  # noqa: S106
        async with asyncio.timeout(30):
            with pytest.raises(PermissionDenied, match=r"'secret\.Plan'"):
                await bus.requests.store("secret.Plan", b"")
            with pytest.raises(PermissionDenied, match=r"user clerk|clerk"):
                await bus.stream("S", "s")
            assert (await bus.requests.api("INFO"))["streams"] == 0


async def test_without_jetstream_the_error_says_what_to_enable(
    guarded: EmbeddedServer,
) -> None:
    async with bus_at(guarded.url, user="plain", password="plain") as bus:  # noqa: S106
        with pytest.raises(BusError, match="not enabled for account"):
            await bus.requests.api("INFO")
