"""What was stored before an interruption may have been delivered before; what comes later not."""

from __future__ import annotations

import asyncio

from layby.bus.connection import ConnectionSettings, connect
from layby.bus.mailbox import Delivery, Mailbox
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.bus.topology import ConsumerSpec, Provisioner, StreamSpec, Topology
from layby.runtime.doubt import Doubt
from tests.fix_nats import eventually

_MAIL = Topology(
    streams=(StreamSpec(name="MAIL", subjects=("mail.>",), config={"allow_direct": True}),),
    consumers=(ConsumerSpec(stream="MAIL", name="reader", filter="mail.>"),),
)


async def test_only_what_was_stored_before_is_doubted(own_server: EmbeddedServer) -> None:
    async with await connect(ConnectionSettings(servers=(own_server.url,))) as connection:
        requests = Requests(connection.nc)
        await requests.start()
        await Provisioner(requests).ensure(_MAIL)
        doubt = Doubt(requests)
        taken: asyncio.Queue[Delivery] = asyncio.Queue()
        mailbox = Mailbox(connection.nc, "MAIL", "reader", taken.put)
        await mailbox.start()

        async def next_one() -> Delivery:
            async with asyncio.timeout(10):
                return await taken.get()

        async def settled(delivery: Delivery) -> None:
            """Wait until the doubt knows where the stream ended: it asks when it is asked."""
            assert doubt.covers(delivery)
            await eventually(lambda: doubt.knows("MAIL"))

        await requests.store("mail.a", b"1")
        old = await next_one()
        await settled(old)
        assert doubt.covers(old)

        await requests.store("mail.a", b"2")
        new = await next_one()
        assert not doubt.covers(new)

        doubt.renew()
        await settled(new)
        assert doubt.covers(new)

        await mailbox.drain(1)
        await requests.stop()


async def test_an_answer_from_before_the_interruption_does_not_count(
    own_server: EmbeddedServer,
) -> None:
    async with await connect(ConnectionSettings(servers=(own_server.url,))) as connection:
        requests = Requests(connection.nc)
        await requests.start()
        await Provisioner(requests).ensure(_MAIL)
        doubt = Doubt(requests)
        taken: asyncio.Queue[Delivery] = asyncio.Queue()
        mailbox = Mailbox(connection.nc, "MAIL", "reader", taken.put)
        await mailbox.start()
        await requests.store("mail.a", b"1")
        async with asyncio.timeout(10):
            delivery = await taken.get()

        assert doubt.covers(delivery)  # it asks
        await asyncio.sleep(0)
        doubt.renew()  # the answer has not come yet
        await requests.api("STREAM.INFO.MAIL")  # what was asked before is answered by now

        assert not doubt.knows("MAIL")
        await mailbox.drain(1)
        await requests.stop()
