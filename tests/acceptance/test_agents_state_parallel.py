"""State that parallel tools, hooks and agents change: nothing is lost without a word."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from layby import Agent, CallOutcome, Network, Route, RoutingAgent, Step, ToolContext, tool
from layby.actors.agents import turnstile
from layby.models import ToolCall
from tests.engine import Engine, app_of, desk, once
from tests.scripted import Scripted, calls, results, says

pytestmark = pytest.mark.nats


def union(current: list[str], written: list[str]) -> list[str]:
    """Everything that either has, in order."""
    return [*current, *(each for each in written if each not in current)]


def add(base: int, current: int, written: int) -> int:
    return current + written - base


class Case(BaseModel):
    facts: list[str] = []
    count: int = 0
    level: Annotated[int, Field(ge=0, le=3)] = 0
    tags: Annotated[list[str], union] = []
    spent: Annotated[int, add] = 0


@tool
async def note(ctx: ToolContext[Case], fact: str) -> str:
    """Note a fact."""
    ctx.state.facts.append(fact)
    ctx.state.count += 1
    ctx.agent_state["notes"] = ctx.agent_state.get("notes", 0) + 1
    return f"{len(ctx.state.facts)} facts now"


@tool
def note_in_a_thread(ctx: ToolContext[Case], fact: str) -> str:
    """Note a fact."""
    ctx.state.facts.append(fact)
    ctx.state.count += 1
    return f"{len(ctx.state.facts)} facts now"


THREE = [("note", {"fact": fact}) for fact in "abc"]


async def worked(engine: Engine, *agents: Agent | Network[Any], **options: Any) -> dict[str, Any]:
    """What a network of these agents made of its state, and what its tools told them."""
    options.setdefault("router", once)
    network = Network("team", agents=agents, state=options.pop("state", Case), **options)

    async def handle(event: dict[str, Any], step: Step) -> dict[str, Any]:
        del event
        result = await step.network(network, "Work")
        shown = [call.content for turn in result.turns for call in turn.calls]
        failed = [call.content for turn in result.turns for call in turn.calls if call.is_error]
        return {
            "state": result.state,
            "own": result.agent_states,
            "shown": shown,
            "failed": failed,
        }

    async with engine.works(app_of(handle, network)):
        found: dict[str, Any] = await engine.result(await engine.start())
        return found


# -- tools of one response ---------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 8])
async def test_all_changes_of_parallel_tools_are_kept(engine: Engine, at_once: int) -> None:
    agent = Agent("A", tools=[note], max_parallel_tools=at_once)
    model = Scripted(calls(*THREE), says("."))
    result = await worked(engine, agent, default_model=model)
    assert sorted(result["state"]["facts"]) == ["a", "b", "c"]
    assert result["state"]["count"] == 3
    assert result["own"] == {"A": {"notes": 3}}
    assert sorted(result["shown"]) == ["1 facts now", "2 facts now", "3 facts now"]


async def test_all_changes_of_tools_in_threads_are_kept(engine: Engine) -> None:
    model = Scripted(calls(*(("note_in_a_thread", {"fact": f}) for f in "abcdefghij")), says("."))
    agent = Agent("A", tools=[note_in_a_thread], max_parallel_tools=10)
    result = await worked(engine, agent, default_model=model)
    assert sorted(result["state"]["facts"]) == [*"abcdefghij"]
    assert result["state"]["count"] == 10


async def test_all_changes_of_hooks_are_kept(engine: Engine) -> None:
    @tool
    async def work(what: str) -> str:
        """Work."""
        return what

    def audit(ctx: ToolContext[Case], call: ToolCall, outcome: CallOutcome) -> str:
        ctx.state.facts.append(f"after {call.arguments['what']}")
        ctx.state.count += 1
        return outcome.content.upper()

    async def announce(ctx: ToolContext[Case], call: ToolCall) -> None:
        ctx.state.facts.append(f"before {call.arguments['what']}")
        await asyncio.sleep(0)
        ctx.state.count += 1

    agent = Agent("A", tools=[work], before_tool=announce, after_tool=audit)
    model = Scripted(calls(*(("work", {"what": w}) for w in "abc")), says("."))
    result = await worked(engine, agent, default_model=model)
    wanted = [f"{when} {what}" for when in ("after", "before") for what in "abc"]
    assert sorted(result["state"]["facts"]) == wanted
    assert result["state"]["count"] == 6
    assert result["shown"] == ["A", "B", "C"]


async def test_an_unrecorded_change_is_waited_for(engine: Engine) -> None:
    @tool
    async def count(ctx: ToolContext[Case], by: int) -> int:
        """Count."""
        ctx.state.count += by
        await asyncio.sleep(0.01)
        return ctx.state.count

    agent = Agent("A", tools=[count])
    model = Scripted(calls(*(("count", {"by": n}) for n in (1, 2, 3))), says("."))
    result = await worked(engine, agent, default_model=model)
    assert (result["state"]["count"], result["failed"]) == (6, [])


async def test_two_keys_of_a_dict_both_stand_and_a_key_can_be_removed(engine: Engine) -> None:
    meet = asyncio.Barrier(2)

    @tool
    async def put(ctx: ToolContext, key: str) -> None:
        """Put."""
        seen = ctx.state["seen"]
        await meet.wait()
        seen[key] = True
        seen.pop("old", None) if key == "a" else None

    app = desk(
        Agent("A", tools=[put]),
        model=Scripted(calls(("put", {"key": "a"}), ("put", {"key": "b"})), says(".")),
        state={"seen": {"old": True}},
    )
    async with engine.works(app):
        result = await engine.result(await engine.start())
    assert result["state"] == {"seen": {"a": True, "b": True}}


def racing(change: Callable[[Any, int], None]) -> Any:
    """A tool that reads the state, waits until all have read it, and then changes it."""
    meet = asyncio.Barrier(2)

    @tool
    async def race(ctx: ToolContext[Case], by: int) -> str:
        """Race."""
        state = ctx.state
        await meet.wait()
        change(state, by)
        return f"by {by}"

    return race


BOTH = [("race", {"by": 1}), ("race", {"by": 2})]


async def test_a_lost_update_is_an_error_that_names_both_writers(engine: Engine) -> None:
    def change(state: Case, by: int) -> None:
        state.count += by

    model = Scripted(calls(*BOTH), says("."))
    result = await worked(engine, Agent("A", tools=[racing(change)]), default_model=model)
    assert result["state"]["count"] in {1, 2}
    [shown] = result["failed"]
    kept, lost = result["state"]["count"], 3 - result["state"]["count"]
    assert shown == (
        f"race ran, and its result was: by {lost}\nBut what it changed in the state was not kept: "
        f"race (call {kept}) changed `count` in the meantime. "
        "Call race again if that is still wanted and running it twice does no harm."
    )
    outcomes = {each.is_error for each in results(model.requests[1])}
    assert outcomes == {True, False}


async def test_setting_the_same_value_is_a_conflict_too(engine: Engine) -> None:
    def change(state: Case, by: int) -> None:
        del by
        state.count = 7

    model = Scripted(calls(*BOTH), says("."))
    result = await worked(engine, Agent("A", tools=[racing(change)]), default_model=model)
    assert len(result["failed"]) == 1


async def test_parallel_appends_are_kept(engine: Engine) -> None:
    def change(state: Case, by: int) -> None:
        state.facts.append(str(by))

    model = Scripted(calls(*BOTH), says("."))
    result = await worked(engine, Agent("A", tools=[racing(change)]), default_model=model)
    assert (sorted(result["state"]["facts"]), result["failed"]) == (["1", "2"], [])


async def test_a_reducer_settles_a_conflict(engine: Engine) -> None:
    def change(state: Case, by: int) -> None:
        state.tags = sorted({*state.tags, "same", str(by)})
        state.spent += by

    model = Scripted(calls(*BOTH), says("."))
    result = await worked(engine, Agent("A", tools=[racing(change)]), default_model=model)
    assert sorted(result["state"]["tags"]) == ["1", "2", "same"]
    assert (result["state"]["spent"], result["failed"]) == (3, [])


async def test_two_changes_that_fit_alone_but_not_together_are_a_conflict(engine: Engine) -> None:
    class Pair(BaseModel):
        names: Annotated[list[str], Field(max_length=1)] = []

    def change(state: Pair, by: int) -> None:
        state.names.append(str(by))

    model = Scripted(calls(*BOTH), says("."))
    agent = Agent("A", tools=[racing(change)])
    result = await worked(engine, agent, default_model=model, state=Pair)
    assert len(result["state"]["names"]) == 1
    assert "in the meantime: names: List should have at most 1 item" in result["failed"][0]


async def test_a_tool_that_fails_changes_nothing_and_blocks_no_other(engine: Engine) -> None:
    @tool
    async def fail(ctx: ToolContext[Case]) -> None:
        """Fail."""
        ctx.state.count += 100
        await asyncio.sleep(0)
        raise RuntimeError("no")

    model = Scripted(calls(("fail", {}), *THREE), says("."))
    result = await worked(engine, Agent("A", tools=[fail, note]), default_model=model)
    assert result["state"]["count"] == 3


async def test_a_thread_that_outlives_its_call_changes_nothing(engine: Engine) -> None:
    go, done = threading.Event(), threading.Event()

    @tool(timeout=0.05)
    def slow(ctx: ToolContext[Case]) -> None:
        """Be slow."""
        go.wait(10)
        ctx.state.count += 100
        done.set()

    @tool
    async def hurry(ctx: ToolContext[Case]) -> None:
        """Let the slow one go on."""
        go.set()
        await asyncio.to_thread(done.wait, 10)
        ctx.state.count += 1

    model = Scripted(calls(("slow", {})), calls(("hurry", {})), says("."))
    result = await worked(engine, Agent("A", tools=[slow, hurry]), default_model=model)
    assert result["state"]["count"] == 1


async def test_two_answers_at_once_keep_what_both_tools_change(engine: Engine) -> None:
    @tool
    async def ask(ctx: ToolContext[Case], what: str) -> str:
        """Ask a developer, and note the answer."""
        answer = await ctx.step.ask("developer", what)
        ctx.state.facts.append(f"{what} {answer.text}")
        return answer.text

    agent = Agent("A", tools=[ask])
    model = Scripted(calls(*(("ask", {"what": w}) for w in "abc")), says("."))
    network = Network("team", agents=[agent], router=once, state=Case, default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> Case:
        del event
        return (await step.network(network, "Work")).state

    app = app_of(handle, network)
    async with engine.works(app), engine.works(app), engine.works(app):
        run = await engine.start()
        asked = await engine.questions(3)
        await asyncio.gather(*(engine.answer(text="yes", question_id=q.id) for q in asked))
        state = await engine.result(run)
    assert sorted(state["facts"]) == ["a yes", "b yes", "c yes"]


async def test_all_changes_of_a_routers_tools_are_kept(engine: Engine) -> None:
    boss = RoutingAgent("Boss", tools=[note])
    model = Scripted(calls(*THREE), calls(("done", {"summary": "."})))
    result = await worked(engine, Agent("A"), router=boss, default_model=model)
    assert (sorted(result["state"]["facts"]), result["state"]["count"]) == (["a", "b", "c"], 3)


async def test_changes_of_agents_as_tools_are_merged_with_the_others(engine: Engine) -> None:
    expert = Agent("Expert", tools=[note], model=Scripted(calls(*THREE), says("Done.")))
    boss = Agent("Boss", tools=[expert.as_tool(), note])
    model = Scripted(
        calls(("ask_expert", {"task": "?"}), ("note", {"fact": "mine"})),
        says("."),
    )
    result = await worked(engine, boss, default_model=model)
    assert sorted(result["state"]["facts"])[:3] == ["a", "b", "c"] or result["failed"]
    [shown] = result["failed"]
    assert "note (call 2) changed `count` in the meantime" in shown
    assert result["state"] == {**Case(facts=["mine"], count=1).model_dump()}


# -- parallel agents --------------------------------------------------------------------------


def side_by_side(route: Route[Case]) -> list[str] | None:
    return None if route.turns else [*route.agents]


@tool
async def append(ctx: ToolContext[Case], fact: str) -> None:
    """Note a fact, and no more."""
    ctx.state.facts.append(fact)
    ctx.agent_state["last"] = fact


@tool
async def spend(ctx: ToolContext[Case], much: int) -> None:
    """Spend."""
    ctx.state.spent += much
    ctx.state.tags.append(str(much))


def member(name: str, *lines: Any) -> Agent:
    return Agent(name, tools=[append, spend, note], model=Scripted(*lines, says(".")))


async def test_all_appends_of_parallel_agents_are_kept(engine: Engine) -> None:
    seen: list[list[str]] = []

    def route(route: Route[Case]) -> list[str] | None:
        seen.append(route.state.facts)
        return side_by_side(route)

    agents = [member(name, calls(("append", {"fact": name}))) for name in "ABC"]
    result = await worked(engine, *agents, router=route)
    assert sorted(result["state"]["facts"]) == ["A", "B", "C"]
    assert seen[1] == result["state"]["facts"]
    assert result["own"] == {name: {"last": name} for name in "ABC"}


async def test_a_reducer_settles_a_conflict_of_agents(engine: Engine) -> None:
    agents = [member(str(n), calls(("spend", {"much": n}))) for n in (1, 2, 4)]
    result = await worked(engine, *agents, router=side_by_side)
    assert result["state"]["spent"] == 7
    assert sorted(result["state"]["tags"]) == ["1", "2", "4"]


async def test_a_conflict_of_agents_is_an_error_that_names_both(engine: Engine) -> None:
    agents = [member(name, calls(("note", {"fact": name}))) for name in "AB"]
    network = Network("team", agents=agents, state=Case, router=side_by_side)

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.network(network, "Work")

    async with engine.works(app_of(handle, network)):
        state = await engine.ended(await engine.start())
    assert state.status == "failed"
    for part in ("agent 'A'", "agent 'B'", "ran in parallel", "`count`", "give the field a"):
        assert part in state.error


async def test_parallel_nested_networks_keep_the_changes_of_both(engine: Engine) -> None:
    inner = [
        Network(
            f"inner {name}",
            agents=[member(name, calls(("append", {"fact": name})))],
            router=once,
            state=Case,
        )
        for name in "AB"
    ]
    result = await worked(engine, *inner, router=side_by_side)
    assert sorted(result["state"]["facts"]) == ["A", "B"]


async def test_a_later_turn_sees_the_merged_state(engine: Engine) -> None:
    def route(route: Route[Case]) -> Any:
        return [["A", "B"], ["A", "B"], "C", None][{0: 0, 2: 1, 4: 2}.get(len(route.turns), 3)]

    def system(ctx: Any) -> str:
        return f"{sorted(ctx.state.facts)} {ctx.agent_state}"

    shown = Scripted(says("."))
    agents = [
        *(
            Agent(
                name,
                tools=[append],
                model=Scripted(
                    *(calls(("append", {"fact": f"{name}1"})), says(".")),
                    *(calls(("append", {"fact": f"{name}2"})), says(".")),
                ),
            )
            for name in "AB"
        ),
        Agent("C", system=system, model=shown),
    ]
    result = await worked(engine, *agents, router=route)
    assert sorted(result["state"]["facts"]) == ["A1", "A2", "B1", "B2"]
    assert shown.requests[0].system == "['A1', 'A2', 'B1', 'B2'] {}"
    assert result["own"] == {"A": {"last": "A2"}, "B": {"last": "B2"}}


async def test_a_tool_waits_for_another_only_as_long_as_it_must(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "_PATIENCE", 0.05)
    done = asyncio.Event()

    @tool
    async def stubborn(ctx: ToolContext[Case]) -> None:
        """Change the state, then wait for the other."""
        ctx.state.count += 1
        await done.wait()

    @tool
    async def other(ctx: ToolContext[Case]) -> None:
        """Append, and let the first one go on."""
        ctx.state.facts.append("other")
        done.set()

    model = Scripted(calls(("stubborn", {}), ("other", {})), says("."))
    result = await worked(engine, Agent("A", tools=[stubborn, other]), default_model=model)
    assert (result["state"]["count"], result["state"]["facts"]) == (1, ["other"])


async def test_a_before_hook_whose_change_is_refused_stops_its_tool(engine: Engine) -> None:
    meet = asyncio.Barrier(2)
    ran: list[int] = []

    @tool
    async def work(n: int) -> None:
        """Work."""
        ran.append(n)

    async def before(ctx: ToolContext[Case], call: ToolCall) -> None:
        del call
        state = ctx.state
        await meet.wait()
        state.count += 1

    agent = Agent("A", tools=[work], before_tool=before)
    model = Scripted(calls(("work", {"n": 1}), ("work", {"n": 2})), says("."))
    result = await worked(engine, agent, default_model=model)
    [shown] = result["failed"]
    lost = 3 - ran[0]
    assert (len(ran), result["state"]["count"]) == (1, 1)
    assert shown == (
        "work was not run: what its before_tool hook changed in the state was not kept: "
        f"before_tool of work (call {3 - lost}) changed `count` in the meantime"
    )
