"""The HTTP API while the server of NATS is gone, and afterwards."""

from __future__ import annotations

import pytest

from layby.bus.server import EmbeddedServer
from layby.client import Client
from layby.testing import running
from tests.acceptance.test_http_api import desk
from tests.fix_browser import console_on
from tests.http_api import Api, taken

pytestmark = [pytest.mark.nats, pytest.mark.slow]


async def test_an_outage_is_503_and_streams_go_on_after_it(own_server: EmbeddedServer) -> None:
    async with (
        running(desk(), url=own_server.url, within=60) as rt,
        console_on(rt.settings) as console,
    ):
        api = Api(console)
        run = await rt.send("desk.ticket.opened", {"ticketId": "T1"})
        question = await rt.question()
        await api.until("/runs", lambda page: page["runs"])
        async with api.stream(f"/runs/{run}/events") as events:
            before = await taken(events, 2)
            own_server.kill()
            refused = await api.get(f"/runs/{run}")
            assert (refused.status, refused.headers["content-type"]) == (
                503,
                "application/problem+json",
            ), refused.body
            assert (await api.get("/runs")).json["runs"][0]["id"] == run  # of the catalogue
            assert (await api.ask("GET", "/healthz")).status == 200
            await own_server.start()
            await api.until(f"/runs/{run}", lambda detail: detail["status"] == "waiting")
            async with Client.connect(rt.settings) as client:  # ours may not be back yet
                await client.answer("T1", "Fixed", question_id=question.id, timeout=60)
            after = [event async for event in events]
        async with api.stream(f"/runs/{run}/events") as events:
            assert before + after == [event async for event in events]
        assert after[-1].type == "run.ended"
        assert question.id
