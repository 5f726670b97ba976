"""Mail that belongs to no log: it is given up, and nobody waits for what precedes it."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Step
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats


@pytest.mark.parametrize(
    "subject",
    [
        "to.0.workflow-handle.f00d.1",  # the log of that run is in another partition
        "to.f.workflow-handle.f00d.7",  # there is no log, or it has lost its beginning
    ],
)
async def test_stray_mail_is_given_up(engine: Engine, subject: str) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event, step

    async with engine.works(app_of(handle)):
        await engine.wire.store(subject, b'{"op":"x-1","at":1.0,"cause":1,"records":[]}')

        async def over() -> bool:
            info = await engine.wire.api("CONSUMER.INFO.RUNS.workflow-handle")
            return bool(info["ack_floor"]["stream_seq"] and not info["num_ack_pending"])

        await until(over, within=20.0)
        assert [letter.subject for letter in await engine.client.dead()] == [subject]
        assert await engine.client.runs() == []
