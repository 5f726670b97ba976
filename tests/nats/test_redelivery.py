"""Messages stored before an interruption may be redeliveries; later ones are new."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from layby.bus.connection import ConnectionSettings
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.bus.specs import ConsumerSpec, StreamSpec, Topology
from layby.bus.topology import Provisioner
from layby.runtime.redelivery import RedeliveryHorizon
from tests.fix_nats import eventually

_MAIL = Topology(
    streams=(StreamSpec(name="MAIL", subjects=("mail.>",), config={"allow_direct": True}),),
    consumers=(ConsumerSpec(stream="MAIL", name="reader", filter="mail.>"),),
)


class _Reader:
    """A stream, its deliveries, and the horizon of redeliveries."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests
        self.horizon = RedeliveryHorizon(requests)
        self.taken: asyncio.Queue[Delivery] = asyncio.Queue()

    async def mail(self) -> Delivery:
        """One more message, delivered."""
        await self.requests.store("mail.a", b"text")
        async with asyncio.timeout(30):
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


async def test_messages_stored_before_the_interruption_are_covered(
    own_server: EmbeddedServer,
) -> None:
    async with _reading(own_server) as reader:
        horizon = reader.horizon
        old = await reader.mail()
        assert horizon.covers(old)  # it reads the last sequence
        await eventually(lambda: horizon.knows("MAIL"))
        assert horizon.covers(old)

        new = await reader.mail()
        assert not horizon.covers(new)

        horizon.renew()
        assert horizon.covers(new)
        await eventually(lambda: horizon.knows("MAIL"))
        assert horizon.covers(new)


async def test_a_reply_from_before_the_interruption_is_ignored(
    own_server: EmbeddedServer,
) -> None:
    async with _reading(own_server) as reader:
        assert reader.horizon.covers(await reader.mail())  # it reads the last sequence
        await asyncio.sleep(0)
        reader.horizon.renew()  # the reply has not come yet
        await reader.requests.api("STREAM.INFO.MAIL")  # earlier requests are answered by now

        assert not reader.horizon.knows("MAIL")
