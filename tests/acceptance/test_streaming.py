"""What a run tells while it happens: typed events by number, and text while a model speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from layby import Agent, Done, Network, Retry, RoutingAgent, Step, tool
from layby.actors.models.model import ModelError, ModelRequest, ModelResponse, OnText
from layby.bus.errors import Conflict
from layby.bus.log_subject import NOBODY, position, subject
from layby.bus.server import EmbeddedServer
from layby.client import Client, NoSuchRun, RunOver
from layby.events import (
    AnyEvent,
    ErrorRaised,
    ModelResponded,
    QuestionAnswered,
    QuestionAsked,
    RunEnded,
    ToolCalled,
    ToolDone,
    UsageReported,
    decode,
    number,
)
from layby.models import fallback
from layby.runtime.entry import Ended
from layby.runtime.envelope import Envelope, encode
from layby.runtime.streaming import TextDelta
from layby.tools import ask_developer
from layby.views.rows import TimelineLine
from tests.engine import WITHIN, WORKFLOW, Engine, app_of, desk, once, until
from tests.scripted import Scripted, asks, calls, done, routes, says

pytestmark = pytest.mark.nats


class Speaker:
    """A model that says `pieces`, and waits after each until it is let on."""

    name = "speaker"

    def __init__(
        self, *pieces: str, breaks: int = 0, then: tuple[str, dict[str, Any]] | None = None
    ) -> None:
        self.pieces = pieces
        self.breaks = breaks
        self.then = then
        """What it calls at the end."""
        self.held = asyncio.Semaphore(0)

    async def respond(self, request: ModelRequest, on_text: OnText | None = None) -> ModelResponse:
        del request
        for piece in self.pieces:
            if on_text is not None:
                on_text(piece)
            await self.held.acquire()
        if self.breaks:
            self.breaks -= 1
            raise ModelError("the line broke", retryable=True, retry_after=0.01)
        text = "".join(self.pieces)
        return calls(self.then, text=text) if self.then else says(text)

    def let_on(self, times: int = 1) -> None:
        for _ in range(times):
            self.held.release()


def speaking(model: Any, **options: Any) -> Any:
    return desk(Agent("Clerk", tools=[ask_developer, add]), model=model, **options)


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def all_of(client: Client, run: str, after: str | None = None) -> list[AnyEvent]:
    async with asyncio.timeout(WITHIN):
        return [event async for event in client.events(run, after, wait=True)]


async def until_seen(
    events: AsyncIterator[AnyEvent], wanted: Callable[[AnyEvent], bool]
) -> list[AnyEvent]:
    """Events up to the first that is `wanted`."""
    seen: list[AnyEvent] = []
    async with asyncio.timeout(WITHIN):
        async for event in events:
            seen.append(event)
            if wanted(event):
                return seen
    raise AssertionError(f"not among {seen}")


async def test_text_is_streamed_while_the_model_still_writes(engine: Engine) -> None:
    model = Speaker("Hel", "lo")
    async with engine.works(speaking(model)):
        run = await engine.start()
        events = engine.client.events(run, wait=True)
        first = (await until_seen(events, lambda e: isinstance(e, TextDelta)))[-1]
        assert isinstance(first, TextDelta)
        assert (first.text, first.agent, first.index) == ("Hel", "Clerk", 0)
        model.let_on()
        second = (await until_seen(events, lambda e: isinstance(e, TextDelta)))[-1]
        assert isinstance(second, TextDelta)
        assert (second.text, second.answer, second.index) == ("lo", first.answer, 1)
        model.let_on()
        whole = (await until_seen(events, lambda e: isinstance(e, ModelResponded)))[-1]
        assert isinstance(whole, ModelResponded)
        assert (whole.text, whole.step) == ("Hello", first.step)
        rest = await until_seen(events, lambda e: isinstance(e, RunEnded))
        assert not any(isinstance(event, TextDelta) for event in rest)


async def test_a_handle_yields_what_the_client_yields(engine: Engine) -> None:
    async with engine.works(speaking(Scripted(asks("May I?"), says("Done.")))):
        early = engine.client.run_of(WORKFLOW, "e1")
        waiting = asyncio.create_task(early.ended())  # before there is such a run
        run = await engine.start("T7", event_id="e1")
        await engine.question(run=run)
        handle = engine.client.run("T7")
        assert (await handle.show()).status == "waiting"
        live = asyncio.create_task(until_seen(handle.events(after="2"), lambda _: True))
        await engine.answer("T7")
        assert (await waiting).status == "completed"
        told = await all_of(engine.client, run)
        assert await live == [next(e for e in told if number(e.id) > number("2"))]
        assert [event async for event in handle.events()] == told
        assert [event async for event in handle.events(told[-2].id)] == told[-1:]
        assert (handle.name, await early.id()) == (run, run)
        with pytest.raises(RunOver):
            await handle.cancel()


async def test_a_handle_of_nothing_says_so(engine: Engine) -> None:
    async with engine.works(speaking(Scripted())):
        with pytest.raises(NoSuchRun):
            await anext(engine.client.run("T7").events())
        with pytest.raises(ValueError, match="not the number of an event"):
            engine.client.run("T7").events("soon")


async def test_all_events_of_a_run_come_in_the_order_of_its_log(engine: Engine) -> None:
    model = Scripted(calls(("add", {"a": 1, "b": 2})), asks("May I?"), says("Done."))
    async with engine.works(speaking(model)):
        run = await engine.start("T7")
        live = asyncio.create_task(all_of(engine.client, run))
        await engine.question(run=run)
        await engine.answer("T7", "yes", by="ann")
        told = await live
    kinds = [msgspec.json.decode(msgspec.json.encode(event))["type"] for event in told]
    answer = ["model.responded", "usage"]
    asked = ["model.responded", "tool.called", "usage"]
    assert kinds == [
        *("run.started", "network.started", "route", "agent.started"),
        *(*asked, "tool.done"),
        *(*asked, "question.asked", "question.answered", "tool.done"),
        *(*answer, "agent.ended", "route", "network.ended", "run.ended"),
    ]
    places = [number(event.id) for event in told]
    assert places == sorted(set(places))
    assert [e.agent for e in told if isinstance(e, QuestionAsked)] == ["Clerk"]
    assert [(e.text, e.by) for e in told if isinstance(e, QuestionAnswered)] == [("yes", "ann")]
    called = [e for e in told if isinstance(e, ToolCalled)]
    done = [e for e in told if isinstance(e, ToolDone)]
    assert next((e.tool, e.arguments) for e in called) == ("add", {"a": 1, "b": 2})
    assert next((e.tool, e.output, e.is_error) for e in done) == ("add", "3", False)
    assert [(e.call, e.step) for e in called] == [(e.call, e.step) for e in done]
    usage = [e for e in told if isinstance(e, UsageReported)]
    assert [e.run_input_tokens for e in usage] == [10, 20, 30]


async def test_a_returning_reader_misses_nothing_and_gets_nothing_twice(engine: Engine) -> None:
    model = Scripted(calls(("add", {"a": 1, "b": 2})), says("Three."))
    async with engine.works(speaking(model)):
        run = await engine.start()
        told = await all_of(engine.client, run)
    for place, event in enumerate(told[:-1]):
        assert await all_of(engine.client, run, event.id) == told[place + 1 :]
    position = told[3].id.partition(".")[0]
    later = [e for e in told if number(e.id)[0] > int(position)]
    assert await all_of(engine.client, run, position) == later
    assert [decode(msgspec.json.encode(event)) for event in told] == told


async def test_an_invalid_event_number_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="not the number of an event"):
        engine.client.events("a" * 16, "latest")


async def test_a_thousand_tokens_are_a_few_messages(engine: Engine) -> None:
    class Fast(Speaker):
        async def respond(
            self, request: ModelRequest, on_text: OnText | None = None
        ) -> ModelResponse:
            del request
            assert on_text is not None
            for n in range(1000):
                on_text(f"{n} ")
            return says("".join(f"{n} " for n in range(1000)))

    async with engine.works(speaking(Fast())):
        run_heard = await _heard_of_a_run(engine)
    assert len(run_heard) <= 2
    assert "".join(delta.text for delta in run_heard) == "".join(f"{n} " for n in range(1000))


async def _heard_of_a_run(engine: Engine) -> list[TextDelta]:
    """What a plain subscriber hears on the run's subject."""
    heard: list[TextDelta] = []

    async def hear(msg: Any) -> None:
        event = decode(msg.data)
        assert isinstance(event, TextDelta)
        assert msg.subject == f"events.{event.run}"
        heard.append(event)

    sub = await engine.connection.nc.subscribe("events.*", cb=hear)
    await engine.connection.nc.flush()
    await engine.ended(await engine.start())
    await engine.connection.nc.flush()
    await sub.unsubscribe()
    return heard


async def test_an_app_may_keep_its_models_text_to_itself(engine: Engine) -> None:
    model = Speaker("secret")
    model.let_on()
    async with engine.works(speaking(model, stream_text=False)):
        assert await _heard_of_a_run(engine) == []


async def test_an_interrupted_answer_starts_again(engine: Engine) -> None:
    model = Speaker("Hel", breaks=1)
    async with engine.works(speaking(model)):
        run = await engine.start()
        events = engine.client.events(run, wait=True)
        first = (await until_seen(events, lambda e: isinstance(e, TextDelta)))[-1]
        model.let_on()
        second = (await until_seen(events, lambda e: isinstance(e, TextDelta)))[-1]
        model.let_on()
        assert isinstance(first, TextDelta)
        assert isinstance(second, TextDelta)
        assert first.step == second.step
        assert first.answer != second.answer
        assert (first.index, second.index) == (0, 0)
        await until_seen(events, lambda e: isinstance(e, RunEnded))


async def test_a_routing_agent_is_heard_like_any_other(engine: Engine) -> None:
    thinking = Speaker("It is ", "for A.", then=("route_to_agent", {"agent": "A"}))
    boss = RoutingAgent(
        "Boss", model=thinking, rules=[lambda route: Done() if route.turns else None]
    )
    async with engine.works(desk(Agent("A"), model=Scripted(says("Hi.")), router=boss)):
        run = await engine.start()
        events = engine.client.events(run, wait=True)
        first = (await until_seen(events, lambda e: isinstance(e, TextDelta)))[-1]
        assert isinstance(first, TextDelta)
        assert (first.text, first.agent, first.step) == ("It is ", "Boss", "team/route#0/model#0")
        thinking.let_on(2)
        rest = await until_seen(events, lambda e: isinstance(e, RunEnded))
        whole = next(event for event in rest if isinstance(event, ModelResponded))
        assert (whole.text, whole.agent, whole.step) == ("It is for A.", "Boss", first.step)
        late = rest[rest.index(whole) :]
        assert not any(isinstance(event, TextDelta) for event in late)
        usage = [event for event in rest if isinstance(event, UsageReported)]
        assert [(e.agent, e.run_input_tokens) for e in usage] == [("Boss", 10), ("A", 20)]
        lines = await engine.lines(run)
        assert [line.title for line in lines if line.kind == "route"] == ["A (Boss)", "done (rule)"]
        assert [line.actor for line in lines if line.kind == "model.responded"] == ["A"]


async def test_an_app_may_keep_its_routers_text_to_itself(engine: Engine) -> None:
    thinking = Speaker("secret", then=("done", {}))
    thinking.let_on()
    boss = RoutingAgent("Boss", model=thinking)
    async with engine.works(desk(Agent("A"), router=boss, stream_text=False)):
        assert await _heard_of_a_run(engine) == []


async def test_events_of_a_routing_agent_carry_its_own_name(engine: Engine) -> None:
    boss = RoutingAgent("Boss", tools=[add, ask_developer])
    looking = calls(("add", {"a": 1, "b": 2}), ("route_to_agent", {"agent": "A"}))
    model = Scripted(looking, asks("May I?"), routes("A"), says("Hi."), done())
    async with engine.works(desk(Agent("A"), model=model, router=boss)):
        run = await engine.start()
        await engine.question(run=run)
        await engine.answer()
        told = await all_of(engine.client, run)
        lines = await engine.lines(run)
    called = [e for e in told if isinstance(e, ToolCalled)]
    finished = [e for e in told if isinstance(e, ToolDone)]
    assert [(e.agent, e.tool, e.step) for e in called] == [
        ("Boss", "add", "team/route#0/tool#0.0"),
        ("Boss", "ask_developer", "team/route#0/tool#1.0"),
    ]
    assert [(e.agent, e.tool, e.step, e.call) for e in finished] == [
        (e.agent, e.tool, e.step, e.call) for e in called
    ]
    assert finished[0].output == "3"
    usage = [e.run_input_tokens for e in told if isinstance(e, UsageReported)]
    assert usage == [10, 20, 30, 40, 50]
    boss_s = [(line.kind, line.title) for line in lines if line.actor == "Boss"]
    assert boss_s == [
        ("model.responded", "add(a=1, b=2); route_to_agent(agent='A')"),
        ("tool.called", "add"),
        ("model.responded", "ask_developer(question='May I?')"),
        ("question.asked", "asks developer"),
        ("tool.called", "ask_developer"),
    ]


async def test_text_that_comes_too_late_is_not_streamed(engine: Engine) -> None:
    async with engine.works(speaking(Scripted(asks("May I?"), says("Bye")))):
        run = await engine.start()
        events = engine.client.events(run, wait=True)
        seen = await until_seen(events, lambda e: isinstance(e, QuestionAsked))
        step = next(e.step for e in seen if isinstance(e, ModelResponded))
        at = seen[0].at
        late = TextDelta(id="1", run=run, at=at, step=step, answer="x", index=0, after=1, text="x")
        await engine.wire.publish(f"events.{run}", msgspec.json.encode(late))
        await engine.connection.nc.flush()
        await engine.answer("T1", "yes")
        rest = await until_seen(events, lambda e: isinstance(e, RunEnded))
        assert not any(isinstance(event, TextDelta) for event in rest)


async def test_an_entry_that_the_log_refused_is_no_event(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", f"Go on with {event['ticket']}?")).text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        watching = asyncio.create_task(all_of(engine.client, run))
        lines = asyncio.create_task(engine.lines(run))
        all_lines = asyncio.create_task(until_ended(engine.client))
        await engine.question(run=run)
        n = (await engine.state(run)).tail + 1
        forged = encode(Envelope(op="x", at=0.0, records=[Ended(status="failed", error="forged")]))
        refusing = engine.wire.store(
            subject(NOBODY, run, n),
            forged,
            {
                "Nats-Expected-Last-Subject-Sequence": "1",
                "Nats-Expected-Last-Subject-Sequence-Subject": position(run, n),
            },
        )
        with pytest.raises(Conflict):
            await refusing
        await engine.answer("T1", "go")
        told = await watching
        assert isinstance(told[-1], RunEnded)
        assert (told[-1].status, told[-1].result) == ("completed", "go")
        assert (await lines)[-1].data["status"] == "completed"
        assert (await all_lines)[-1].data["status"] == "completed"


async def until_ended(client: Client) -> list[TimelineLine]:
    """What is told of all runs until one has ended."""
    seen: list[TimelineLine] = []
    async with asyncio.timeout(WITHIN), aclosing(client.follow()) as lines:
        async for line in lines:
            seen.append(line)
            if line.kind == "run.ended":
                break
    return seen


async def test_a_fallback_model_starts_the_answer_again(engine: Engine) -> None:
    broken, whole = Speaker("Hel", breaks=1), Speaker("Goodbye")
    async with engine.works(speaking(fallback(broken, whole))):
        run = await engine.start()
        events = engine.client.events(run, wait=True)
        first = (await until_seen(events, lambda e: isinstance(e, TextDelta)))[-1]
        broken.let_on()
        second = (await until_seen(events, lambda e: isinstance(e, TextDelta)))[-1]
        whole.let_on()
        assert isinstance(first, TextDelta)
        assert isinstance(second, TextDelta)
        assert (second.text, second.index, second.step) == ("Goodbye", 0, first.step)
        assert second.answer != first.answer
        await until_seen(events, lambda e: isinstance(e, RunEnded))


async def test_failures_and_the_end_are_events(engine: Engine) -> None:
    def fail() -> None:
        raise ValueError("no such luck")

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.run("try", fail)

    async with engine.works(app_of(handle, retry=Retry(attempts=2, first="10ms"))):
        told = await all_of(engine.client, await engine.start())
    [error] = [e for e in told if isinstance(e, ErrorRaised) and e.again_at is None]
    assert (error.step, error.error, error.attempts) == ("try", "ValueError", 2)
    assert error.message == "no such luck"
    assert isinstance(told[-1], RunEnded)
    assert told[-1].status == "failed"
    assert "no such luck" in str(told[-1].error)


@pytest.mark.slow
async def test_a_listener_outlives_its_server(own_server: EmbeddedServer) -> None:
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event
        one = await step.ask("developer", "One?")
        two = await step.ask("developer", "Two?")
        return [one.text, two.text]

    async with Engine.at(own_server.url) as engine, engine.works(app_of(handle)):
        run = await engine.start()
        events = engine.client.events(run, wait=True)
        seen = await until_seen(events, lambda e: isinstance(e, QuestionAsked))
        own_server.kill()
        await own_server.start()
        answering = asyncio.create_task(_answer_both(own_server.url, run))
        seen += await until_seen(events, lambda e: isinstance(e, RunEnded))
        await answering
        assert seen == await all_of(engine.client, run)


async def _answer_both(url: str, run: str) -> None:
    async with Engine.at(url) as engine:
        for text in ("One?", "Two?"):

            async def asked(text: str = text) -> bool:
                return any(q.question == text for q in await engine.client.questions())

            await until(asked)
            await engine.answer("T1", text)
        await engine.ended(run)


async def test_hooks_approvals_and_nested_networks_are_events(engine: Engine) -> None:
    @tool(needs_approval=True)
    async def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    def allow(*about: Any) -> None:
        del about

    model = Scripted(calls(("pay", {"amount": 5})), says("Paid."))
    payer = Agent("Payer", tools=[pay], before_tool=allow)
    inner = Network("inner", agents=[payer], router=once, default_model=model)
    outer = Network("outer", agents=[inner], router=once)

    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.network(outer, event["ticket"])).text

    async with engine.works(app_of(handle, outer)):
        run = await engine.start()
        await engine.question(run=run)
        await engine.answer("T1", "yes", by="ann")
        told = await all_of(engine.client, run)
    kinds = [type(event).__name__ for event in told]
    assert kinds.count("NetworkStarted") == kinds.count("NetworkEnded") == 2
    [done] = [event for event in told if isinstance(event, ToolDone)]
    [called] = [event for event in told if isinstance(event, ToolCalled)]
    assert (done.tool, done.output, done.agent) == ("pay", "paid 5", "Payer")
    assert (done.call, done.step) == (called.call, called.step)
    assert [e.agent for e in told if isinstance(e, QuestionAsked)] == ["Payer"]
    assert isinstance(told[-1], RunEnded)
    assert told[-1].result == "Paid."
