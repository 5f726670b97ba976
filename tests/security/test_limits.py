"""What one kind of outsider may use of the server, so that others get in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from layby.access import Wall, outline
from layby.access.config import accounts
from layby.access.registry import Registry
from layby.bus.connection import connect
from layby.bus.errors import BusError
from layby.bus.server import EmbeddedServer
from tests.engine import until
from tests.security.house import EVENT, STAFF, WITHIN, House, Raw, desk

pytestmark = pytest.mark.nats

FEW = 3


@pytest.fixture(params=["accounts", "jwt"])
async def small(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A server on which each account of outsiders may have `FEW` connections."""
    wall = Wall(apps=(outline(desk()),), connections=FEW)
    if request.param == "jwt":
        registry = Registry.init(tmp_path / "logins", wall, STAFF, str(tmp_path / "jwt"))
        async with EmbeddedServer(tmp_path / "nats", extra=registry.config.read_text()) as server:
            yield await House.by_tokens(server.url, registry)
        return
    text = accounts(wall, STAFF, "x")
    for login in wall.logins(STAFF):
        text = text.replace(f"${login.variable}", f'"of-{login.name}"')
    async with EmbeddedServer(tmp_path / "nats", extra=text) as server:
        yield House(url=server.url, kind="accounts")


async def test_one_outsider_does_not_keep_others_out(small: House) -> None:
    async with small.working(), AsyncExitStack() as stack:
        greedy = [await Raw.open(small.settings("helpdesk")) for _ in range(FEW)]
        for each in greedy:
            stack.push_async_callback(each.close)
            assert await each.sent() == []
        for _ in range(50):
            late = await Raw.open(small.settings("helpdesk"))
            assert "maximum account active connections exceeded" in (await late.sent())
            assert late.closed
            await late.close()
        assert not any(each.closed for each in greedy)
        for login in ("ada", "observer", "operator", "worker", "provisioner"):
            async with small.connection(login):
                pass
        greedy[0].publish(EVENT.encode(), b'{"ticketId": "T1"}')
        assert await greedy[0].sent() == []
        run = await small.listed("T1")
        async with small.client("ada") as ada:
            await ada.answer("T1", "yes", responder="ada", timeout=WITHIN)
        assert (await small.ended(run)).result == "ada: yes"


async def test_a_closed_connection_makes_room(small: House) -> None:
    async with AsyncExitStack() as stack:
        open_ = [await Raw.open(small.settings("ada")) for _ in range(FEW)]
        for each in open_:
            stack.push_async_callback(each.close)
            await each.sent()
        with pytest.raises(BusError, match="has no connection left for the account of this login"):
            async with await connect(small.settings("bob")):
                pass
        await open_[0].close()

        async def room() -> bool:
            try:
                async with await connect(small.settings("bob")):
                    return True
            except BusError:
                return False

        await until(room, WITHIN)


async def test_workers_may_be_many(small: House) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(FEW * 4):
            await stack.enter_async_context(small.connection("worker"))


async def test_subscriptions_end_somewhere(small: House) -> None:
    async with small.raw("ada") as ada:
        for number in range(1_000):
            ada.subscribe(b"_INBOX_ada.%d" % number)
        assert await ada.sent() == []
        ada.subscribe(b"_INBOX_ada.more")
        assert "maximum subscriptions exceeded" in await ada.sent()


async def test_a_payload_that_no_stream_would_take_is_cut_off(small: House) -> None:
    async with small.raw("ada") as ada:
        # Of the payload nothing is sent: what the server leaves unread resets the connection, and
        # with that what it has said is lost.
        ada.send(b"PUB developer.response.T1.ada %d" % (128 * 1024 + 1))
        await ada.received()
        assert ada.closed
        assert "Maximum Payload Violation" in ada.errors
