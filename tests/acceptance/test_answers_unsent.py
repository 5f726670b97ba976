"""Nobody is told that an answer is stored which never left."""

from __future__ import annotations

import pytest

from layby import App
from layby.bus.errors import NotConnected
from layby.bus.opened import opened
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.operations.provisioning import provision
from tests.fix_proxy import Proxy

pytestmark = pytest.mark.nats


@pytest.mark.slow
async def test_an_unsent_answer_is_not_reported_as_stored(clean_nats: str, proxy: Proxy) -> None:
    settings = ConnectionSettings(servers=(clean_nats,))
    await provision(App("desk"), settings)
    async with Client.connect(ConnectionSettings(servers=(proxy.url,))) as client:
        proxy.hold()
        with pytest.raises(NotConnected, match="nothing was sent"):
            await client.answer("T1", "yes", question_id="q0000000000001")
        proxy.release()
    async with opened(settings) as bus:
        state = (await bus.requests.api("STREAM.INFO.ANSWERS"))["state"]
    assert state["messages"] == 0
