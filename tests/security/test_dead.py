"""A dead letter that is sent again is the event that it was: no run that it began begins twice."""

from __future__ import annotations

from typing import Any

import pytest

from layby import App, Step
from layby.bus.dead import DeadLetters
from tests.engine import Engine, until

pytestmark = pytest.mark.nats


def app(*, mended: bool) -> App:
    app = App("desk")

    @app.workflow(on="desk.paid", key="ticket", name="fine")
    async def fine(event: dict[str, Any], step: Step) -> str:
        del event, step
        return "fine"

    @app.workflow(on="desk.paid", key="ticket" if mended else "order", name="broken")
    async def broken(event: dict[str, Any], step: Step) -> str:
        del event, step
        return "mended"

    return app


@pytest.mark.parametrize("event_id", ["", "paid-1"])
async def test_it_keeps_its_id_and_is_not_taken_for_a_duplicate(
    engine: Engine, event_id: str
) -> None:
    async with engine.works(app(mended=False)):
        await engine.client.send("desk.paid", {"ticket": "T1"}, event_id=event_id or None)

        async def given_up() -> list[Any]:
            return await engine.client.dead()

        [letter] = await until(given_up)

        async def runs() -> list[Any]:
            return await engine.client.runs("completed")

        await until(runs)
    async with engine.works(app(mended=True)):
        for _ in range(2):  # a crash may repeat it
            await DeadLetters(engine.wire).resend(letter.id)

        async def both() -> bool:
            return len(await runs()) > 1

        await until(both)
        assert sorted(run.workflow for run in await runs()) == ["broken", "fine"]
        info = await engine.wire.api("STREAM.INFO.EVENTS")
        assert info["state"]["messages"] == 2
