from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.errors import FlushTimeoutError

from layby.bus.connection import ConnectionSettings, connect
from layby.bus.errors import BusError, NotConnected, PayloadTooLarge
from layby.bus.server import EmbeddedServer
from layby.bus.wire import Message, Wire
from tests.freezing import frozen


@pytest.fixture
async def wire(nats_url: str) -> AsyncIterator[Wire]:
    async with await connect(ConnectionSettings(servers=(nats_url,))) as connection:
        yield connection.nc


async def sent(wire: Wire, data: bytes = b"", headers: dict[str, str] | None = None) -> Message:
    """A message as it arrives after it was sent."""
    came: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    inbox = await wire.open_inbox(came.set_result)
    wire.send(inbox.subject, data, "the.reply", headers)
    async with asyncio.timeout(30):
        msg = await came
    await inbox.unsubscribe()
    return msg


async def test_what_is_sent_arrives(wire: Wire) -> None:
    msg = await sent(wire, b"body\r\n")

    assert (msg.data, msg.reply, msg.status, msg.headers) == (b"body\r\n", "the.reply", "", {})


async def test_headers_arrive(wire: Wire) -> None:
    msg = await sent(wire, b"body", {"Nats-Msg-Id": "é 1", "X": "a: b"})

    assert msg.data == b"body"
    assert msg.status == ""
    assert msg.headers == {"Nats-Msg-Id": "é 1", "X": "a: b"}


async def test_a_line_break_in_a_header_starts_no_other(wire: Wire) -> None:
    msg = await sent(wire, b"body", {"X": "a\r\nNats-Rollup: all\r\n\r\n"})

    assert msg.headers == {"X": "a Nats-Rollup: all"}


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\nB", "Ä"])
async def test_a_header_must_have_a_name(wire: Wire, name: str) -> None:
    with pytest.raises(BusError, match="header"):
        wire.send("x", headers={name: "v"})


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0\r\n", "a\tb", "a\u2028b"])
async def test_no_subject_writes_commands(wire: Wire, subject: str) -> None:
    with pytest.raises(BusError, match="not a subject"):
        wire.send(subject, b"body")
    if subject:
        with pytest.raises(BusError, match="not a subject"):
            wire.send("a", b"body", subject)


async def test_messages_leave_in_their_order(wire: Wire) -> None:
    came: list[bytes] = []
    inbox = await wire.open_inbox(lambda msg: came.append(msg.data), below=".*")
    prefix = inbox.subject.removesuffix("*")

    for number in range(1_000):
        wire.send(f"{prefix}{number}", b"%d" % number)
    await wire.flush()

    assert came == [b"%d" % number for number in range(1_000)]


async def test_nobody_listens(wire: Wire) -> None:
    came: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    inbox = await wire.open_inbox(came.set_result)

    wire.send("nobody.listens.here", b"", inbox.subject)

    msg = await came
    assert (msg.status, msg.headers["Status"]) == ("503", "503")


async def test_the_largest_payload_counts_the_headers(wire: Wire) -> None:
    wire.send("x", b"x" * wire.max_payload)
    with pytest.raises(PayloadTooLarge, match="max_payload"):
        wire.send("x", b"x" * wire.max_payload, headers={"A": "B"})

    await wire.flush()  # the server has closed nothing


async def test_a_taker_that_fails_stops_nobody_else(wire: Wire) -> None:
    def fail(_: Message) -> None:
        raise ValueError("no")

    inbox = await wire.open_inbox(fail)
    wire.send(inbox.subject, b"body")

    assert (await sent(wire, b"more")).data == b"more"


async def test_nothing_is_sent_without_a_connection(wire: Wire) -> None:
    await wire.close()

    with pytest.raises(NotConnected):
        wire.send("x", b"body")


async def test_an_inbox_can_be_closed(wire: Wire) -> None:
    came: list[Message] = []
    inbox = await wire.open_inbox(came.append)
    await inbox.unsubscribe()

    wire.send(inbox.subject, b"late")
    await wire.flush()

    assert came == []


async def test_a_pong_that_nobody_waits_for_any_more_stops_nobody_else(
    own_server: EmbeddedServer,
) -> None:
    """As after a pause of the server's machine: nats-py alone would read nothing from then on."""
    async with await connect(ConnectionSettings(servers=(own_server.url,))) as connection:
        lost: list[bool] = []
        connection.on_disconnect.append(lambda: lost.append(True))
        with frozen(own_server.pid), pytest.raises(FlushTimeoutError):
            await connection.nc.flush(1)

        assert (await sent(connection.nc, b"more")).data == b"more"
        assert lost == []
