"""Final answers that have a type."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field

from layby import Agent, Network, Step, ToolContext, tool, tool_called
from layby.models import ModelRequest, ModelResponse
from tests.engine import Engine, app_of, once
from tests.scripted import Scripted, calls, results, says

pytestmark = pytest.mark.nats


class Verdict(BaseModel):
    """What came of a ticket."""

    solved: bool
    score: int = Field(ge=0, le=10)


@tool
def look() -> str:
    """Look."""
    return "seen"


def final(**arguments: Any) -> ModelResponse:
    return calls(("final_answer", arguments))


def judge(model: Scripted, **options: Any) -> Network:
    agent = Agent("Judge", tools=[look], output_type=Verdict, **options)
    return Network("court", agents=[agent], router=once, default_model=model)


async def verdict(engine: Engine, network: Network) -> Any:
    async def handle(event: dict[str, Any], step: Step) -> dict[str, Any]:
        result = await step.network(network, f"Judge {event['ticket']}")
        assert result.output is None or isinstance(result.output, Verdict)
        assert all(turn.output is result.output for turn in result.turns)
        [turn] = result.turns
        return {"output": result.output, "text": result.text, "stop": turn.stop}

    async with engine.works(app_of(handle, network)):
        return await engine.result(await engine.start())


async def test_a_final_answer_is_the_turns_output(engine: Engine) -> None:
    model = Scripted(calls(("look", {})), final(solved=True, score=7))
    assert await verdict(engine, judge(model)) == {
        "output": {"solved": True, "score": 7},
        "text": '{"solved":true,"score":7}',
        "stop": "done",
    }
    spec = model.requests[0].tools[-1]
    assert spec.name == "final_answer"
    assert spec.parameters["properties"]["score"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 10,
    }


async def test_the_model_sees_what_is_wrong_and_tries_again(engine: Engine) -> None:
    model = Scripted(final(score=11), says("Solved!"), final(solved=False, score=1))
    result = await verdict(engine, judge(model))
    assert result["output"] == {"solved": False, "score": 1}
    [seen] = results(model.requests[1])
    assert seen.is_error
    assert seen.content.splitlines() == [
        "the final answer does not fit:",
        "- solved: required, but missing",
        "- score: Input should be less than or equal to 10 (got 11)",
    ]
    assert "text alone does not count" in model.requests[2].messages[-1].text


async def test_the_attempts_are_limited(engine: Engine) -> None:
    model = Scripted(final(), final())

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.network(judge(model, output_tries=2), "Judge")

    async with engine.works(app_of(handle, judge(model, output_tries=2))):
        state = await engine.ended(await engine.start())
    assert state.status == "failed"
    assert "'Judge' gave no final answer that fits its output_type in 2 attempts" in state.error


async def test_a_final_answer_next_to_other_calls_does_not_count(
    engine: Engine,
) -> None:
    both = calls(("look", {}), ("final_answer", {"solved": True, "score": 1}))
    model = Scripted(both, final(solved=True, score=2))
    assert (await verdict(engine, judge(model)))["output"]["score"] == 2
    seen = results(model.requests[1])
    assert [(r.name, r.is_error) for r in seen] == [("look", False), ("final_answer", True)]


class Named(BaseModel):
    """A type whose fields have other names on the wire."""

    sent_at: datetime = Field(alias="sentAt")


async def test_a_type_may_have_aliases(engine: Engine) -> None:
    @tool
    def stamp(ctx: ToolContext[Named]) -> None:
        """Move the time."""
        ctx.state.sent_at += timedelta(days=1)

    model = Scripted(calls(("stamp", {})), final(sentAt="2026-01-02T03:04:05Z"))
    agent = Agent("A", output_type=Named, tools=[stamp])
    network = Network("n", agents=[agent], router=once, default_model=model, state=Named)

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        result = await step.network(network, "When?", state={"sentAt": "2026-01-01T00:00:00Z"})
        return [result.state.sent_at.isoformat(), result.output.sent_at.isoformat()]

    async with engine.works(app_of(handle, network)):
        seen = await engine.result(await engine.start())
    assert seen == ["2026-01-02T00:00:00+00:00", "2026-01-02T03:04:05+00:00"]


async def test_json_in_a_text_is_accepted(engine: Engine) -> None:
    model = Scripted(says('```json\n{"solved": true, "score": 3}\n```'))
    assert (await verdict(engine, judge(model)))["output"] == {"solved": True, "score": 3}


async def test_the_last_response_must_be_the_final_answer(engine: Engine) -> None:
    def obedient(request: ModelRequest) -> ModelResponse:
        forced = request.tool_choice == "final_answer"
        return final(solved=False, score=0) if forced else calls(("look", {}))

    result = await verdict(engine, judge(Scripted(obedient), max_steps=3))
    assert result["output"] == {"solved": False, "score": 0}


async def test_a_turn_that_is_stopped_has_no_output(engine: Engine) -> None:
    model = Scripted(calls(("look", {})))
    result = await verdict(engine, judge(model, stop_when=[tool_called("look")]))
    assert (result["output"], result["stop"]) == (None, "stopped")


@pytest.mark.parametrize(
    ("wanted", "answer", "value"), [(list[int], [1, 2], [1, 2]), (bool, False, False)]
)
async def test_a_value_that_is_not_an_object_is_wrapped(
    engine: Engine, wanted: Any, answer: Any, value: Any
) -> None:
    model = Scripted(final(wrong=1), final(answer=answer))
    network = Network(
        "n", agents=[Agent("A", output_type=wanted)], router=once, default_model=model
    )

    async def handle(event: dict[str, Any], step: Step) -> Any:
        del event
        return (await step.network(network, "Count")).output

    async with engine.works(app_of(handle, network)):
        assert await engine.result(await engine.start()) == value
    assert "give one argument, 'answer'" in results(model.requests[1])[0].content
