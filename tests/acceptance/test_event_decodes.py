"""An event's JSON is decoded once on its way to the function that takes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
import pytest

from layby import Step
from layby.actors.workflows import event_waits, workflow
from layby.actors.workflows.workflow import Workflow
from layby.runtime import matching, values
from tests.acceptance.test_event_waits import SAID, registered, say
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats

T = TypeVar("T")


class Opened(msgspec.Struct):
    ticket: str
    n: int = 0


class Decodes(list[str]):
    """What was decoded, in its order: `json` for an event's object, `value` for its type."""

    def counting(self, what: str, decode: Callable[..., T]) -> Callable[..., T]:
        def counted(*args: Any) -> T:
            self.append(what)
            return decode(*args)

        return counted


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Decodes:
    found = Decodes()
    parse: Any = vars(Workflow)["_parse"]
    monkeypatch.setattr(Workflow, "_parse", found.counting("json", parse))
    of_json = found.counting("json", matching.event_of)
    for module in (workflow, event_waits, matching):
        monkeypatch.setattr(module, "event_of", of_json)
    monkeypatch.setattr(workflow, "load", found.counting("value", values.load))
    return found


async def test_a_typed_event_is_decoded_once_as_json_and_once_as_its_type(
    engine: Engine, decodes: Decodes
) -> None:
    async def handle(event: Opened, step: Step) -> int:
        del step
        return event.n

    async with engine.works(app_of(handle)):
        assert await engine.result(await engine.start(n=7)) == 7
    assert decodes == ["json", "value"]


async def test_an_event_without_a_type_is_decoded_once(engine: Engine, decodes: Decodes) -> None:
    async def handle(event: dict[str, Any], step: Step) -> int:
        del step
        return int(event["n"])

    async with engine.works(app_of(handle)):
        assert await engine.result(await engine.start(n=7)) == 7
    assert decodes == ["json"]


async def test_a_function_that_is_entered_again_gets_the_event_that_was_recorded(
    engine: Engine, decodes: Decodes
) -> None:
    async def handle(event: Opened, step: Step) -> int:
        event.n += 1
        await step.ask("developer", "Go on?")
        return event.n

    async with engine.works(app_of(handle)):
        run = await engine.start(n=7)
        await engine.questions(1)
        await engine.answer("T1", "yes")
        assert await engine.result(run) == 8
    assert decodes == ["json", "value", "value"]


async def test_an_event_is_decoded_once_for_all_the_runs_that_wait_for_it(
    engine: Engine, decodes: Decodes
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        message = await step.wait_for_event(SAID, match={"ticket": event["ticket"]})
        return str(message["text"])

    async with engine.works(app_of(handle, events=[SAID])):
        runs = [await engine.start(event_id=f"e{n}") for n in range(3)]
        await until(partial(_are_registered, engine, len(runs)))
        decodes.clear()
        await say(engine, "hello")
        assert [await engine.result(run) for run in runs] == ["hello"] * len(runs)
    assert decodes.count("json") == 1


async def _are_registered(engine: Engine, count: int) -> bool:
    return await registered(engine) == count
