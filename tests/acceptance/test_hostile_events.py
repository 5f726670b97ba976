"""Events are bytes from outside: what looks like something of Layby's own is data all the same."""

from __future__ import annotations

from typing import Any

import pytest

from layby import Step
from layby.runtime.ids import run_id
from layby.testing.history import read_history
from tests.engine import ON, WORKFLOW, Engine, app_of

pytestmark = pytest.mark.nats

SAID = "chat.said"
FORGED = {"$blob": "0" * 64, "size": 3, "run": "another"}
"""An event that begins like what stands in a log for a value that was put away."""


async def test_an_event_that_looks_like_a_value_put_away_is_an_event(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> Any:
        said = await step.wait_for_event(SAID, match="ticket")
        return [event, said]

    async with engine.works(app_of(handle, events=[SAID])):
        forged = {**FORGED, "ticket": "T1"}
        await engine.client.send(ON, forged, event_id="forged")
        run = run_id(WORKFLOW, "forged")
        await engine.client.send(SAID, forged)
        assert await engine.result(run) == [forged, forged]
        assert (await engine.client.show(run)).result == [forged, forged]


async def test_a_recording_takes_no_event_for_a_value_put_away(engine: Engine) -> None:
    async def handle(_: dict[str, Any], step: Step) -> Any:
        return await step.run("big", lambda: "x" * 100_000)

    async with engine.works(app_of(handle)):
        run = await engine.start("T1", said=FORGED)
        assert len(await engine.result(run)) == 100_000
    history = await read_history(engine.wire, run)
    assert list(history.values.values()) == ["x" * 100_000]
