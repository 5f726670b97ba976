"""Conversations that go on over several runs, wherever they are kept."""

from __future__ import annotations

import asyncio
import importlib.util
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from layby import Agent, App, Network, Retry, RoutingAgent, Step, token_budget, tool
from layby.bus.errors import BusError
from layby.bus.specs import Topology
from layby.bus.topology import Provisioner
from layby.client import Client
from layby.history import (
    HistoryLost,
    HistoryStore,
    MemoryHistory,
    Said,
    nats_history,
    postgres_history,
)
from layby.runtime.errors import InvalidSetup
from tests.engine import Engine, app_of, once
from tests.scripted import Scripted, calls, done, read, routes, says

pytestmark = [pytest.mark.nats, pytest.mark.timeout(240)]

KINDS = ["memory", "nats", "postgres"]


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[HistoryStore]:
    """A store as an app is given it."""
    kind: str = request.param
    if kind == "postgres":
        pytest.importorskip("psycopg")
        url: str = request.getfixturevalue("postgres_url")
        kept: HistoryStore = postgres_history(url, table=f"threads_{uuid.uuid4().hex[:8]}", last=4)
    else:
        kept = MemoryHistory(last=4) if kind == "memory" else nats_history(last=4)
    yield kept
    await kept.aclose()


@pytest.fixture
async def bound(store: HistoryStore, engine: Engine) -> HistoryStore:
    """The store as a worker has it."""
    made = nats_history(last=4)
    if not isinstance(store, type(made)):
        return store
    await Provisioner(engine.wire).ensure(Topology(streams=store.streams(), consumers=()))
    return store.over(engine.wire)


def said(text: str, key: str = "k", who: str = "") -> Said:
    return Said(key=key, at="2026-03-01T12:00:00.000Z", who=who, text=text)


async def test_a_store_keeps_threads_apart_and_each_entry_once(bound: HistoryStore) -> None:
    for thread in ("T-1", "T 2/*", "T-1"):
        await bound.create_thread(thread)
    assert await bound.load("T-1") == []
    question, reply = said("Why?"), [said("So.", who="Ann"), said("And so. \x00", who="Bob")]
    for _ in range(3):
        await bound.append_user_message("T-1", "run1", question)
        await bound.append_results("T-1", "run1", reply)
    await bound.append_user_message("T 2/*", "run1", said("Other"))
    assert await bound.load("T-1") == [question, *reply]
    assert await bound.load("T 2/*") == [said("Other")]
    more = [said(str(n)) for n in range(3)]
    for n, each in enumerate(more):
        await bound.append_user_message("T-1", f"more{n}", each)
    assert await bound.load("T-1") == [reply[1], *more]


async def test_a_thread_is_erased_and_no_other(bound: HistoryStore) -> None:
    threads = ("T-1", "T-10", "T 2/*", "*", ">")
    for thread in threads:
        await bound.create_thread(thread)
        await bound.append_user_message(thread, "run1", said("Why?"))
        await bound.append_results(thread, "run1", [said("So.", who="Ann"), said("Well.")])
    for erased in ("T-1", "*", ">"):
        assert await bound.erase(erased) == 2
        assert await bound.load(erased) == []
        assert await bound.erase(erased) == 0
    for kept in ("T-10", "T 2/*"):
        assert len(await bound.load(kept)) == 3
    await bound.create_thread("T-1")
    await bound.append_user_message("T-1", "run1", said("Again?"))  # under a key of before
    assert await bound.load("T-1") == [said("Again?")]


async def erased(app: App, engine: Engine, thread: str) -> int:
    async with Client.connect(engine.settings) as client:
        return await client.erase(app.name, thread)


async def test_a_script_erases_what_an_app_keeps(engine: Engine, store: HistoryStore) -> None:
    model = Scripted(says("One."), says("Two."))
    app = talking(store, model)
    async with engine.works(app):
        await engine.result(await engine.start("T1", text="First"))
        assert await erased(app, engine, "thread of T1") == 2
        assert await erased(app, engine, "thread of T2") == 0
        await engine.result(await engine.start("T1", text="Second"))
    assert [m.text for m in model.requests[1].messages] == ["Second"]


async def test_an_app_without_a_store_has_nothing_to_erase(engine: Engine) -> None:
    app = talking(None, Scripted())
    async with engine.works(app):
        with pytest.raises(InvalidSetup, match="'desk' keeps no threads"):
            await erased(app, engine, "T")


async def test_many_writers_at_once_lose_nothing(bound: HistoryStore) -> None:
    await bound.create_thread("T")
    keys = [f"k{n % 4}" for n in range(16)]
    await asyncio.gather(*(bound.append_user_message("T", key, said(key)) for key in keys))
    assert sorted(each.text for each in await bound.load("T")) == ["k0", "k1", "k2", "k3"]


@tool
async def refund(order: str) -> str:
    """Refund."""
    return f"refunded {order}"


def talking(store: HistoryStore | None, model: Scripted, router: Any = once) -> App:
    """An app whose runs go on with the ticket's thread."""
    agents = [Agent("Clerk", tools=[refund]), Agent("Boss")]
    desk = Network("desk", agents=agents, default_model=model, router=router)

    async def handle(event: dict[str, Any], step: Step) -> str:
        result = await step.network(desk, event["text"], thread=f"thread of {event['ticket']}")
        return result.text

    return app_of(handle, desk, history=store)


async def test_a_conversation_spans_several_runs(engine: Engine, store: HistoryStore) -> None:
    model = Scripted(
        calls(("refund", {"order": "A1"})),
        says("A1 is refunded."),
        says("B2 as well."),
        says("Hm."),
    )
    app = talking(store, model)
    async with engine.works(app):
        assert await engine.result(await engine.start("T1", text="Refund A1")) == "A1 is refunded."
    async with engine.works(app):  # another worker
        assert await engine.result(await engine.start("T1", text="And B2?")) == "B2 as well."
        assert await engine.result(await engine.start("T2", text="Hello")) == "Hm."
    second, third = model.requests[2], model.requests[3]
    assert [(m.role, m.text) for m in second.messages] == [
        ("user", "Refund A1"),
        ("assistant", "A1 is refunded."),
        ("user", "And B2?"),
    ]
    assert [m.text for m in third.messages] == ["Hello"]


@pytest.mark.slow
async def test_other_agents_and_the_router_see_the_thread(
    engine: Engine, store: HistoryStore
) -> None:
    model = Scripted(
        routes("Clerk"),
        calls(("refund", {"order": "A1"})),
        says("A1 is refunded."),
        done(),
        routes("Boss"),
        says("Well done."),
        done(),
    )
    app = talking(store, model, router=RoutingAgent("Router"))
    async with engine.works(app):
        await engine.result(await engine.start("T1", text="Refund A1"))
        await engine.result(await engine.start("T1", text="Is that right?"))
    router, boss = model.requests[4], model.requests[5]
    for request in (router, boss):
        seen = read(request)
        assert "Refund A1" in seen
        assert "It called refund with {'order': 'A1'}: refunded A1" in seen
        assert seen.index("A1 is refunded.") < seen.index("Is that right?")


async def test_a_thread_is_read_once_and_extended_once(engine: Engine, store: HistoryStore) -> None:
    model = Scripted(says("One."), says("Two."))
    desk = Network("desk", agents=[Agent("Clerk")], router=once, default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        first = await step.network(desk, "First", thread=event["ticket"])
        answer = await step.ask("developer", "Go on?")  # the body is entered again after this
        second = await step.network(desk, answer.text, thread=event["ticket"])
        return [first.text, second.text]

    app = app_of(handle, desk, history=store)
    async with engine.works(app):
        run = await engine.start("T1")
        await engine.question(run=run)
    async with engine.works(app):
        await engine.answer("T1", "Second")
        assert await engine.result(run) == ["One.", "Two."]
        bound = store.over(engine.wire) if isinstance(store, type(nats_history())) else store
        kept = [(each.who, each.text) for each in await bound.load("T1")]
    assert kept == [("", "First"), ("Clerk", "One."), ("", "Second"), ("Clerk", "Two.")]
    assert [m.text for m in model.requests[1].messages] == ["First", "One.", "Second"]
    seen = [line.detail for line in await engine.lines(run) if "thread" in line.title]
    assert seen == ["thread T1: 0 before", "thread T1: 2 before"]


async def test_a_thread_beyond_a_token_budget_is_cut(
    engine: Engine,
) -> None:
    store, model = MemoryHistory(), Scripted(says("Short."))
    await store.create_thread("T1")
    for n in range(20):
        await store.append_user_message("T1", f"run{n}", said(f"Question {n}: {'why ' * 100}"))
        reply = said(f"Answer {n}: {'so ' * 100}", who="Clerk")
        await store.append_results("T1", f"run{n}", [reply])
    clerk = Agent("Clerk", history=token_budget(500))
    desk = Network("desk", agents=[clerk], router=once, default_model=model)

    async def handle(event: dict[str, Any], step: Step) -> None:
        await step.network(desk, "And now?", thread=event["ticket"])

    async with engine.works(app_of(handle, desk, history=store)):
        await engine.result(await engine.start("T1"))
    [request] = model.requests
    assert len(msgspec.json.encode(request.messages)) / 4 < 550
    assert [m.text.partition(":")[0] for m in request.messages] == [
        *("Question 18", "Answer 18", "Question 19", "Answer 19"),
        "And now?\n\n[18 earlier turns are left out.]",
    ]


class Shaky(MemoryHistory):
    """A store that has done each thing when it says, the first time, that it could not."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: set[str] = set()

    def _fail_once(self, what: str) -> None:
        if what not in self.failed:
            self.failed.add(what)
            raise ConnectionError(what)

    async def append_user_message(self, thread: str, key: str, said: Said) -> None:
        await super().append_user_message(thread, key, said)
        self._fail_once("user")

    async def append_results(self, thread: str, key: str, said: Sequence[Said]) -> None:
        await super().append_results(thread, key, said)
        self._fail_once("results")


async def test_a_store_that_fails_is_retried_and_nothing_is_stored_twice(engine: Engine) -> None:
    store, model = Shaky(), Scripted(says("One."), says("Two."))
    app = talking(store, model)
    app.retry = Retry(attempts=3, first="10ms")
    async with engine.works(app):
        for text in ("First", "Second"):
            await engine.result(await engine.start("T1", text=text))
    assert store.failed == {"user", "results"}
    assert [m.text for m in model.requests[0].messages] == ["First"]
    kept = [(each.who, each.text) for each in await store.load("thread of T1")]
    assert kept == [("", "First"), ("Clerk", "One."), ("", "Second"), ("Clerk", "Two.")]


async def test_a_long_thread_is_read_completely(engine: Engine) -> None:
    store = nats_history(last=5_000)
    await Provisioner(engine.wire).ensure(Topology(streams=store.streams(), consumers=()))
    bound = store.over(engine.wire)
    for first in range(0, 1_100, 100):
        writes = (
            bound.append_user_message("T", f"k{n}", said(str(n))) for n in range(first, first + 100)
        )
        await asyncio.gather(*writes)
    assert sorted(int(each.text) for each in await bound.load("T")) == list(range(1_100))


async def test_a_thread_without_a_store_fails_with_advice(engine: Engine) -> None:
    async with engine.works(talking(None, Scripted())):
        block = await engine.blocked(await engine.start("T1", text="Hello"))
    assert "App(history=nats_history())" in block.reason


async def test_an_unreachable_database_is_retryable() -> None:
    pytest.importorskip("psycopg")
    store = postgres_history("host=/nowhere user=layby password=s3cret")
    with pytest.raises(HistoryLost) as seen:
        await store.load("T")
    assert seen.value.retryable
    assert "s3cret" not in f"{seen.value}{store!r}"


def test_a_bad_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetup, match="is not a store"):
        App("desk", history="nats")  # type: ignore[arg-type]
    with pytest.raises(InvalidSetup, match="give 1 or more"):
        nats_history(last=0)
    with pytest.raises(InvalidSetup, match="lower-case"):
        postgres_history("", table="a; drop table b")

    def nothing(name: str, package: str | None = None) -> None:
        del name, package

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(InvalidSetup, match=r"pip install -e .*\[postgres\]'"):
        postgres_history("")


async def test_only_an_apps_worker_can_use_nats_history() -> None:
    with pytest.raises((InvalidSetup, BusError), match="belongs to an app"):
        await nats_history().load("T")
