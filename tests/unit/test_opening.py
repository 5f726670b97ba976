"""The decoded event of a run that opens is entered with once."""

from __future__ import annotations

from typing import Any, cast

from layby.actors.workflows.opening import DecodedEvent, FirstEntry
from layby.runtime.actor_step import ActorStep
from layby.runtime.entry import ROOT, Raw
from layby.runtime.state import Frame, RunState


async def test_a_second_entry_gets_no_event_that_the_function_may_have_changed() -> None:
    given: list[DecodedEvent | None] = []

    async def enter(
        step: ActorStep, frame: Frame, state: RunState, event: DecodedEvent | None
    ) -> None:
        del step, frame, state
        given.append(event)

    event = DecodedEvent(Raw(b"{}"), {}, "T1", {})
    first = FirstEntry("workflow-desk", enter, event)
    step = cast("Any", None)
    for _ in range(2):
        await first.enter(step, Frame(id=ROOT, actor=first.address), RunState(id="run"))
    assert given == [event, None]
