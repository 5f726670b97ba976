"""Events that expire before any worker has read them are reported."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from layby import Step
from tests.engine import ON, Engine, app_of, until

pytestmark = pytest.mark.nats


async def done(event: dict[str, Any], step: Step) -> str:
    del step
    return str(event["ticket"])


async def keep(engine: Engine, seconds: float) -> None:
    config = (await engine.wire.api("STREAM.INFO.EVENTS"))["config"]
    age = {"max_age": int(seconds * 1e9), "duplicate_window": int(min(seconds, 60) * 1e9)}
    await engine.wire.api("STREAM.UPDATE.EVENTS", config | age)


async def is_empty(engine: Engine) -> bool:
    return not (await engine.wire.api("STREAM.INFO.EVENTS"))["state"]["messages"]


async def test_a_worker_and_the_doctor_say_which_events_nobody_has_read(engine: Engine) -> None:
    app = app_of(done, events=["desk.other"])
    async with engine.works(app):
        assert await engine.result(await engine.start("T1")) == "T1"
    await keep(engine, 0.2)
    for ticket in ("T2", "T3"):
        await engine.client.send(ON, {"ticket": ticket})
    await until(lambda: is_empty(engine))
    await keep(engine, 3600)
    [told] = [f for f in await engine.client.doctor() if f.subject == "EVENTS"]
    assert told.level == "error"
    assert "2 events, 2 to 3" in told.message
    with capture_logs() as logs:
        async with engine.works(app):
            assert await engine.result(await engine.start("T4")) == "T4"
    [line] = [each for each in logs if each["event"] == "events.unread"]
    assert (line["first"], line["last"]) == (2, 3)
    assert [f for f in await engine.client.doctor() if f.subject == "EVENTS"] == []


async def test_events_that_were_read_before_they_went_are_not_told(engine: Engine) -> None:
    """A workflow that had nothing to do for long has missed nothing."""
    app = app_of(done)

    @app.workflow(on="desk.seldom", key="ticket", name="seldom")
    async def seldom(event: dict[str, Any], step: Step) -> str:
        return await done(event, step)

    async with engine.works(app):
        for ticket in ("T1", "T2"):
            assert await engine.result(await engine.start(ticket)) == ticket
    await keep(engine, 0.2)
    await until(lambda: is_empty(engine))
    assert [f for f in await engine.client.doctor() if f.subject == "EVENTS"] == []
    with capture_logs() as logs:
        async with engine.works(app):
            pass
    assert [each for each in logs if each["event"] == "events.unread"] == []
