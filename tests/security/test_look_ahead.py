"""What workers look ahead with stands any bytes."""

from __future__ import annotations

import pytest

from layby.bus.server import EmbeddedServer
from layby.operations.provisioning import provision
from tests.engine import Engine
from tests.security.fuzz import desk
from tests.security.house import Raw

pytestmark = pytest.mark.nats

LOOK = "look-developer"
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.ANSWERS.{LOOK}".encode()


async def test_an_answer_with_a_header_of_one_byte_does_not_end_the_server(
    own_server: EmbeddedServer,
) -> None:
    async with Engine.at(own_server.url) as engine, Raw.at(own_server.url) as raw:
        async with engine.works(desk()):
            pass
        raw.publish(b"developer.response.T1", b"yes", block=b"x")
        raw.subscribe(b"look")
        raw.publish(NEXT, reply=b"look")
        ((subject, _, _, _),) = await raw.received()
        assert not raw.closed, "the server is gone"
        assert subject == b"developer.response.T1"


async def test_a_look_ahead_without_bodies_is_replaced_when_the_app_is_provisioned(
    own_server: EmbeddedServer,
) -> None:
    """An earlier checkout made them so, and then the server ended."""
    async with Engine.at(own_server.url) as engine, Raw.at(own_server.url) as raw:
        async with engine.works(desk()):
            pass
        await make_headers_only(engine)
        [finding] = [
            each for each in await engine.client.doctor() if each.subject == f"ANSWERS/{LOOK}"
        ]
        assert finding.level == "error"
        assert "layby provision" in finding.advice

        changes = await provision(desk(), engine.settings)
        assert f"consumer {LOOK} on ANSWERS" in changes[0].message
        found = await engine.wire.api(f"CONSUMER.INFO.ANSWERS.{LOOK}")
        assert not found["config"].get("headers_only")
        assert not [f for f in await engine.client.doctor() if f.subject == f"ANSWERS/{LOOK}"]

        raw.publish(b"developer.response.T1", b"yes", block=b"x")
        raw.subscribe(b"look")
        raw.publish(NEXT, reply=b"look")
        ((subject, _, _, _),) = await raw.received()
        assert not raw.closed, "the server is gone"
        assert subject == b"developer.response.T1"


async def make_headers_only(engine: Engine) -> None:
    """As an earlier checkout made the consumer."""
    config = (await engine.wire.api(f"CONSUMER.INFO.ANSWERS.{LOOK}"))["config"]
    body = {"stream_name": "ANSWERS", "config": {**config, "headers_only": True}}
    await engine.wire.api(f"CONSUMER.CREATE.ANSWERS.{LOOK}.{config['filter_subject']}", body)
