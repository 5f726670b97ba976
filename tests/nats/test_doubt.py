"""What was stored before an interruption may have been delivered before; what comes later not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from layby.bus.connection import ConnectionSettings
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.bus.topology import ConsumerSpec, Provisioner, StreamSpec, Topology
from layby.runtime.doubt import Doubt
from tests.fix_nats import eventually

_MAIL = Topology(
    streams=(StreamSpec(name="MAIL", subjects=("mail.>",), config={"allow_direct": True}),),
    consumers=(ConsumerSpec(stream="MAIL", name="reader", filter="mail.>"),),
)


class _Reader:
    """A stream, what is delivered of it, and the doubt about that."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests
        self.doubt = Doubt(requests)
        self.taken: asyncio.Queue[Delivery] = asyncio.Queue()

    async def mail(self) -> Delivery:
        """One more message, delivered."""
        await self.requests.store("mail.a", b"text")
        async with asyncio.timeout(10):
            return await self.taken.get()


@contextlib.asynccontextmanager
async def _reading(server: EmbeddedServer) -> AsyncGenerator[_Reader]:
    async with opened(ConnectionSettings(servers=(server.url,))) as (connection, requests):
        await Provisioner(requests).ensure(_MAIL)
        reader = _Reader(requests)
        mailbox = Mailbox(connection.nc, "MAIL", "reader", reader.taken.put)
        await mailbox.start()
        yield reader
        await mailbox.drain(1)


async def test_only_what_was_stored_before_is_doubted(own_server: EmbeddedServer) -> None:
    async with _reading(own_server) as reader:
        doubt = reader.doubt
        old = await reader.mail()
        assert doubt.covers(old)  # it asks where the stream ends
        await eventually(lambda: doubt.knows("MAIL"))
        assert doubt.covers(old)

        new = await reader.mail()
        assert not doubt.covers(new)

        doubt.renew()
        assert doubt.covers(new)
        await eventually(lambda: doubt.knows("MAIL"))
        assert doubt.covers(new)


async def test_an_answer_from_before_the_interruption_does_not_count(
    own_server: EmbeddedServer,
) -> None:
    async with _reading(own_server) as reader:
        assert reader.doubt.covers(await reader.mail())  # it asks
        await asyncio.sleep(0)
        reader.doubt.renew()  # the answer has not come yet
        await reader.requests.api("STREAM.INFO.MAIL")  # what was asked before is answered by now

        assert not reader.doubt.knows("MAIL")
