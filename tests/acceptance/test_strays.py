"""Mail that belongs to no log: it is given up, and nobody waits for what precedes it."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Step
from layby.runtime.index import Index
from layby.runtime.run import LiveRun
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

        await until(over, within=60.0)
        assert [letter.subject for letter in await engine.client.dead()] == [subject]
        assert await engine.client.runs() == []


@pytest.mark.slow
async def test_a_run_ends_when_the_event_that_began_it_is_given_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stayed `running` for ever: only mail of a log told which run it was about."""
    reflect = Index.reflect

    async def fails_until_the_end(self: Index, live: LiveRun) -> None:
        if not live.state.ended:
            raise RuntimeError("out of order")
        await reflect(self, live)

    monkeypatch.setattr(Index, "reflect", fails_until_the_end)

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.sleep("1h")

    async with engine.works(app_of(handle)):
        run = await engine.start()

        async def over() -> bool:
            return (await engine.state(run)).ended

        await until(over, within=60.0)
        state = await engine.state(run)
    assert state.status == "failed"
    assert "out of order" in state.error
    assert len(await engine.client.dead()) == 1
