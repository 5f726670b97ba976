"""`step.agent`: one agent in a workflow, without a network around it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from layby import Agent, App, Network, Step, ToolContext, handoff, tool
from layby.history import MemoryHistory
from layby.models import Image
from layby.runtime.errors import InvalidSetup
from layby.testing import ScriptedModel, replay, running
from layby.testing import calls as scripted_calls
from layby.tools import ask_developer
from tests.engine import Engine, app_of
from tests.scripted import Scripted, asks, calls, results, says

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]


async def test_a_plain_answer_costs_one_turn_and_one_request(engine: Engine) -> None:
    model = Scripted(says("Forty-two."))
    clerk = Agent("Clerk", system="Be short.", model=model)

    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        turn = await step.agent(clerk, f"Answer {event['ticket']}")
        return [turn.agent, turn.text, turn.stop, turn.usage.tokens]

    async with engine.works(app_of(handle, agents=[clerk])):
        run = await engine.start("T1")
        assert await engine.result(run) == ["Clerk", "Forty-two.", "done", 11]
    assert [m.text for r in model.requests for m in r.messages] == ["Answer T1"]
    assert model.requests[0].system == "Be short."
    kinds = [line.kind for line in await engine.lines(run)]
    assert "turn.started" in kinds
    assert not {"network.started", "route.decided"} & set(kinds)


async def test_a_turn_waits_for_a_person_and_resumes_in_another_worker(engine: Engine) -> None:
    model = Scripted(asks("May I?"), says("Done."))
    clerk = Agent("Clerk", tools=[ask_developer], model=model)

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.agent(clerk, "Do it")).text

    app = app_of(handle, agents=[clerk])
    async with engine.works(app):
        run = await engine.start("T1")
        assert (await engine.question(run=run)).agent == "Clerk"
    async with engine.works(app):
        await engine.answer("T1", "yes")
        assert await engine.result(run) == "Done."
    assert len(model.requests) == 2


async def test_state_attachments_and_output_are_the_turns(engine: Engine) -> None:
    class Verdict(BaseModel):
        ok: bool

    @tool
    def note(ctx: ToolContext, fact: str) -> str:
        """Note a fact."""
        ctx.state["facts"] = [*ctx.state.get("facts", []), fact]
        return f"{ctx.network!r} {ctx.state['facts']}"

    model = Scripted(calls(("note", {"fact": "red"})), calls(("final_answer", {"ok": True})))
    judge = Agent("Judge", tools=[note], model=model, output_type=Verdict)
    picture = Image(url="https://example.com/a.png")

    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        del event
        turn = await step.agent(judge, "Look", state={"facts": ["big"]}, attachments=[picture])
        assert turn.output == Verdict(ok=True)
        return [turn.state, turn.called("note")]

    async with engine.works(app_of(handle, agents=[judge])):
        assert await engine.result(await engine.start("T1")) == [{"facts": ["big", "red"]}, True]
    assert picture in model.requests[0].messages[0].parts
    assert results(model.requests[1])[0].content == "'' ['big', 'red']"


async def test_a_thread_spans_several_runs(engine: Engine) -> None:
    model = Scripted(says("One."), says("Two."))
    clerk = Agent("Clerk", model=model)

    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.agent(clerk, event["text"], thread="T")).text

    store = MemoryHistory()
    async with engine.works(app_of(handle, agents=[clerk], history=store)):
        await engine.result(await engine.start("T1", text="First"))
        await engine.result(await engine.start("T2", text="Second"))
    assert [m.text for m in model.requests[1].messages] == ["First", "One.", "Second"]
    kept = [(each.who, each.text) for each in await store.load("T")]
    assert kept == [("", "First"), ("Clerk", "One."), ("", "Second"), ("Clerk", "Two.")]


async def test_parallel_agents_each_under_a_name(engine: Engine) -> None:
    clerk = Agent("Clerk", model=Scripted(says("a"), says("a")))

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        turns = await step.gather(
            step.agent(clerk, "One", name="one"), step.agent(clerk, "Two", name="two")
        )
        return [turn.text for turn in turns]

    async with engine.works(app_of(handle, agents=[clerk])):
        run = await engine.start("T1")
        assert await engine.result(run) == ["a", "a"]
    state = await engine.state(run)
    assert set(state.root.slots) == {"one", "two"}


async def test_its_tools_may_call_other_agents_and_a_handoff_is_reported(engine: Engine) -> None:
    expert = Agent("Expert", model=Scripted(says("17 percent")))
    model = Scripted(calls(("ask_expert", {"task": "Tax?"})), calls(("hand_off_to_boss", {})))
    clerk = Agent("Clerk", tools=[expert.as_tool(), handoff("Boss")], model=model)

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        turn = await step.agent(clerk, "Go")
        return [turn.calls[0].content, turn.stop, turn.next]

    async with engine.works(app_of(handle, agents=[clerk])):
        seen = await engine.result(await engine.start("T1"))
    assert seen == ["17 percent", "handoff", "Boss"]


async def test_an_agent_of_a_network_can_be_called_alone(engine: Engine) -> None:
    clerk = Agent("Clerk", model=Scripted(says("Alone.")))

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.agent(clerk, "Go")).text

    async with engine.works(app_of(handle, Network("desk", agents=[clerk]))):
        assert await engine.result(await engine.start("T1")) == "Alone."


async def test_an_agent_that_the_app_does_not_have_fails_with_advice(engine: Engine) -> None:
    stranger = Agent("Stranger", model=Scripted())

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.agent(stranger, "Go")

    async with engine.works(app_of(handle)):
        block = await engine.blocked(await engine.start("T1"))
    assert "the app does not declare 'Stranger'" in block.reason
    assert "App(agents=[...])" in block.reason


async def test_an_agent_without_a_model_needs_a_network(engine: Engine) -> None:
    helper = Agent("Helper")
    clerk = Agent("Clerk", tools=[helper.as_tool()], model=Scripted())
    with pytest.raises(InvalidSetup, match="agent 'Helper' has no model"):
        App("desk", agents=[clerk])
    lent = Agent("Lent")

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.agent(lent, "Go")

    desk = Network("desk", agents=[lent], default_model=Scripted())
    async with engine.works(app_of(handle, desk)):
        block = await engine.blocked(await engine.start("T1"))
    assert "agent 'Lent' has no model" in block.reason


def test_two_agents_with_the_same_name_are_refused() -> None:
    one, other = Agent("Clerk", model=Scripted()), Agent("Clerk", model=Scripted())
    with pytest.raises(InvalidSetup, match="share the mailbox 'agent-clerk'"):
        App("desk", agents=[one], networks=[Network("desk", agents=[other])])


async def test_a_state_is_a_dict() -> None:
    class Case(BaseModel):
        order: str

    clerk = Agent("Clerk", model=Scripted())
    with pytest.raises(InvalidSetup, match="a dict"):
        clerk.task("Go", state=Case(order="A1"))  # type: ignore[arg-type]


async def test_the_test_kit_runs_it() -> None:
    @tool
    async def refund(ctx: ToolContext, order: str) -> str:
        """Refund."""
        answer = await ctx.step.ask("developer", f"Refund {order}?", answer=bool)
        return "refunded" if answer.value else "no"

    model = ScriptedModel([scripted_calls("refund", order="A1"), "A1 is refunded."])
    clerk = Agent("Clerk", tools=[refund], model=model)
    app = App("desk", agents=[clerk])

    @app.workflow(on="desk.asked", key="ticket")
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.agent(clerk, event["text"])).text

    async with running(app) as rt:
        await rt.send("desk.asked", {"ticket": "T1", "text": "Refund A1"})
        assert (await rt.question()).question == "Refund A1?"
        await rt.answer("T1", "yes")
        assert await rt.result("T1") == "A1 is refunded."
        history = await rt.record("T1")
    assert len(model.requests) == 2
    await replay(app, history)  # asks no model and no person
    assert len(model.requests) == 2
