"""Lists tell the truth: runs, questions, and what earlier releases wrote of them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from layby import Step
from layby.bus import reading
from layby.bus.bucket import Bucket
from layby.bus.wire import Message
from layby.runtime.index import key_of
from layby.views.listing import OldIndex
from tests.engine import Engine, app_of, until

pytestmark = pytest.mark.nats


async def two_people(event: dict[str, Any], step: Step) -> list[str]:
    del event
    first, second = await step.gather(
        step.ask("developer", "A?", name="a"), step.ask("developer", "B?", name="b")
    )
    return [first.text, second.text]


async def statuses(engine: Engine) -> dict[str, str]:
    return {row.id: row.status for row in await engine.client.runs(limit=1_000)}


async def agrees(engine: Engine, run: str) -> None:
    """Wait until the index says of a run what its log says."""

    async def look() -> bool:
        return (await statuses(engine)).get(run) == (await engine.state(run)).status

    await until(look)


async def test_a_run_that_waits_for_two_people_is_waiting_after_one_answer(engine: Engine) -> None:
    async with engine.works(app_of(two_people)):
        run = await engine.start()
        first, second = await engine.questions(2)
        assert (await engine.answer(question_id=first.id)).outcome == "accepted"

        async def one_left() -> bool:
            return [q.id for q in await engine.client.questions()] == [second.id]

        await until(one_left)
        await agrees(engine, run)
        assert await statuses(engine) == {run: "waiting"}
        assert [row.id for row in await engine.client.runs("waiting")] == [run]
        assert [row.status for row in await engine.client.runs(ticket="T1")] == ["waiting"]
        await engine.answer(question_id=second.id)
        assert await engine.result(run) == ["yes", "yes"]
        await agrees(engine, run)
        assert await engine.client.questions() == []


async def test_the_effect_of_a_command_is_listed_at_once(engine: Engine) -> None:
    async def asks(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("developer", "Well?", timeout="1h")

    async with engine.works(app_of(asks)):
        run = await engine.start("T1")
        await until(lambda: _has(engine, run, "waiting"))
        await engine.client.cancel(run)
        assert await statuses(engine) == {run: "cancelled"}


async def test_a_run_in_a_long_step_is_running_from_its_start(engine: Engine) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.run("long", first.wait)
        await step.ask("developer", "Go on?")
        await step.run("long too", second.wait)

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await until(lambda: _has(engine, run, "running"))
        first.set()
        await until(lambda: _has(engine, run, "waiting"))
        await engine.answer()
        await until(lambda: _has(engine, run, "running"))
        second.set()
        await engine.ended(run)
        await agrees(engine, run)


async def _has(engine: Engine, run: str, status: str) -> bool:
    return (await statuses(engine)).get(run) == status


async def test_a_run_that_changes_while_the_list_is_read_is_in_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new row is behind where the reading began, and the old one is gone."""

    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", f"{event['ticket']}?")).text

    between, changed = reading._between, asyncio.Event()

    async def meanwhile(*args: Any) -> list[Message]:
        if not changed.is_set():
            changed.set()
            await engine.answer("T1")
            await until(completed)
        return await between(*args)

    async def completed() -> bool:
        return {row.status for row in await engine.client.runs(ticket="T1")} == {"completed"}

    async with engine.works(app_of(handle)):
        runs = [await engine.start("T1"), await engine.start("T2")]
        await engine.questions(2)
        await until(lambda: _has(engine, runs[0], "waiting"))
        await until(lambda: _has(engine, runs[1], "waiting"))
        monkeypatch.setattr(reading, "_between", meanwhile)
        assert await statuses(engine) == dict(zip(runs, ["completed", "waiting"], strict=True))
        changed.clear()
        await engine.start("T1")
        await engine.questions(2)
        assert [row.ticket for row in await engine.client.runs("waiting")] == ["T2"]


async def test_runs_are_filtered_by_what_people_know_of_them(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        if event.get("ask"):
            await step.ask(event["ask"], "Is the Refund right?")
        return "done"

    roles = ("developer", "lead")
    async with engine.works(app_of(handle, roles=roles)):
        asks = await engine.start("A1", ask="lead")
        done = await engine.start("B2")
        await engine.question(run=asks)
        await until(lambda: _has(engine, done, "completed"))
        await until(lambda: _has(engine, asks, "waiting"))
        client = engine.client
        cases: list[tuple[list[str], dict[str, Any]]] = [
            ([asks], {"role": "lead"}),
            ([], {"role": "developer"}),
            ([asks], {"text": "refund"}),
            ([done], {"text": "b2"}),
            ([done], {"ticket": "B2", "status": "completed"}),
            ([], {"ticket": "B2", "status": "waiting"}),
            ([], {"workflow": "nothing"}),
            ([], {"since": 0.0}),
        ]
        for wanted, filters in cases:
            assert [row.id for row in await client.runs(**filters)] == wanted, filters
        assert {row.id for row in await client.runs(since=60)} == {asks, done}
        assert len(await client.runs(limit=1)) == 1
        assert [q.run for q in await client.questions("lead", ticket="A1", text="REFUND")] == [asks]
        assert await client.questions("developer") == []
        assert await client.questions(ticket="B2") == []
        assert await client.questions(since=0.0) == []


async def test_rows_of_the_release_before_are_migrated_or_refused(engine: Engine) -> None:
    async with engine.works(app_of(two_people)):
        run = await engine.start()
        await engine.questions(2)
        over = await engine.start("T2")
        await until(lambda: _has(engine, over, "waiting"))
        await engine.client.cancel(over)
        await until(lambda: _has(engine, over, "cancelled"))
        await until(lambda: _has(engine, run, "waiting"))
    await _as_before(engine)
    with pytest.raises(OldIndex, match="layby migrate"):
        await engine.client.runs()
    with pytest.raises(OldIndex):
        await engine.client.questions()
    async with engine.works(app_of(two_people)):
        assert await statuses(engine) == {run: "waiting", over: "cancelled"}
        assert (await engine.client.show("T2")).id == over
        for question in await engine.questions(2):
            await engine.answer(question_id=question.id)
        assert await engine.result(run) == ["yes", "yes"]
        await agrees(engine, run)
    assert await engine.client.migrate() == 0


async def _as_before(engine: Engine) -> None:
    """Make of the index what the release before had: other keys, none of runs that ask people."""
    index, asked = Bucket(engine.wire, "runs"), Bucket(engine.wire, "questions")
    for item in [item async for item in index.items()]:
        row = msgspec.json.decode(item.value)
        await index.forget(key_of(row["ticket"], row["id"]))
        if row["status"] != "waiting":
            await index.put(row["id"], item.value)
    for item in [item async for item in asked.items()]:
        await asked.forget(item.key)
    for name, keys in (("runs", "*.*"), ("questions", ">")):  # markers, which go by themselves
        await engine.wire.api(f"STREAM.PURGE.KV_{name}", {"filter": f"$KV.{name}.{keys}"})
