"""Runs that ended go when their time is over, with all that they have left, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest

from layby import App, Step
from layby.bus.blobs import Blobs
from layby.bus.bucket import Bucket
from layby.bus.errors import BusError
from layby.runtime.entry import Ended, Raw
from layby.runtime.index import Index
from layby.runtime.run import LiveRun
from layby.runtime.state import RunState
from tests.engine import ON, Engine, app_of, until

pytestmark = pytest.mark.nats

_BIG = "x" * 100_000


async def big(event: dict[str, Any], step: Step) -> str:
    value = await step.run("big", lambda: _BIG)
    if event.get("asks"):
        await step.ask("developer", "Keep it?", timeout="1h")
    if event.get("sleeps"):
        await step.sleep("1h")
    return str(value)


async def _messages(engine: Engine, stream: str, subjects: str = ">") -> int:
    body = {"subjects_filter": subjects}
    info = await engine.wire.api(f"STREAM.INFO.{stream}", body)
    counts: dict[str, int] = info["state"].get("subjects") or {}
    return sum(counts.values())


async def _is(engine: Engine, run: str, status: str) -> bool:
    return any(row.id == run for row in await engine.client.runs(status))


async def test_a_purge_leaves_nothing_of_a_run_that_asked(engine: Engine) -> None:
    async with engine.works(app_of(big)):
        run = await engine.start("T1", asks=True)
        await engine.question()
        await engine.answer()
        await engine.ended(run)
        await until(lambda: _is(engine, run, "completed"))
        assert await _messages(engine, "BLOBS") > 0
        assert (await engine.client.purge(0)).runs == 1
        for stream, subjects in (
            ("BLOBS", ">"),
            ("RUNS", ">"),
            ("QUESTIONS", ">"),
            ("TIMERS", ">"),
        ):
            assert await _messages(engine, stream, subjects) == 0, stream
        assert await engine.client.runs() == []
        assert (await engine.answer()).outcome == "unknown_ticket"
        again = await engine.start("T1")
        assert await engine.result(again) == _BIG


async def test_the_questions_of_two_runs_of_a_ticket_are_removed_with_both(engine: Engine) -> None:
    async with engine.works(app_of(big)):
        for run in [await engine.start("T1", asks=True), await engine.start("T1", asks=True)]:
            await engine.question(run=run)
            await engine.client.cancel(run)

        async def both() -> bool:
            return len(await engine.client.runs("cancelled")) == 2

        await until(both)
        assert (await engine.client.purge(0)).runs == 2
        assert await _messages(engine, "QUESTIONS") == 0


async def test_a_purge_keeps_what_other_runs_need(engine: Engine) -> None:
    """Two runs of one ticket with the same big value, a question each; one of them goes on."""
    async with engine.works(app_of(big)):
        over = await engine.start("T1", asks=True)
        await engine.question(run=over)
        goes_on = await engine.start("T1", asks=True)
        question = await engine.question(run=goes_on)
        await engine.client.cancel(over)
        await until(lambda: _is(engine, over, "cancelled"))
        assert (await engine.client.purge(0)).runs == 1
        assert [q.id for q in await engine.client.questions()] == [question.id]
        assert (await engine.answer(question_id=question.id)).outcome == "accepted"
        assert await engine.result(goes_on) == _BIG


async def test_a_child_stays_while_its_parent_needs_it(engine: Engine) -> None:
    async def parent(event: dict[str, Any], step: Step) -> str:
        value = await step.workflow("child", event)
        await step.ask("developer", "Well?")
        return str(value)

    app = app_of(parent)

    @app.workflow(on="desk.child", key="ticket", name="child")
    async def child(event: dict[str, Any], step: Step) -> str:
        return await big(event, step)

    async with engine.works(app):
        run = await engine.start("T1")
        await engine.question(run=run)
        [started] = (await engine.state(run)).children()
        await until(lambda: _is(engine, started, "completed"))
        assert (await engine.client.purge(0)).runs == 0
    async with engine.works(app):  # nothing of it is in memory
        await engine.answer()
        assert await engine.result(run) == _BIG
        await until(lambda: _is(engine, run, "completed"))
        assert (await engine.client.purge(0)).runs == 2


async def test_workers_remove_runs_whose_time_is_over(engine: Engine) -> None:
    app = app_of(big, retention="1s")

    @app.workflow(on="desk.kept", key="ticket", name="kept", retention="1h")
    async def kept(event: dict[str, Any], step: Step) -> str:
        del event, step
        return "kept"

    async with engine.works(app), engine.works(app):
        over = await engine.start("T1")
        waits = await engine.start("T2", sleeps=True)
        stays = await engine.start("T3", on="desk.kept", workflow="kept")
        await engine.ended(over)
        await engine.ended(stays)

        async def gone() -> bool:
            return {row.id for row in await engine.client.runs()} == {waits, stays}

        await until(gone, within=60)
        assert not (await engine.state(over)).frames


async def test_values_of_the_release_before_are_still_read(engine: Engine) -> None:
    """They lay under their digest alone, whoever named them."""
    async with engine.works(app_of(big)):
        await engine.result(await engine.start("T1"))
    blobs = Blobs(engine.wire)
    raw = Raw(b'"%s"' % (b"y" * 70_000))
    reference = await blobs.deflate(raw, "")
    assert b'"run"' not in bytes(reference)
    assert bytes(await Blobs(engine.wire).inflate(reference)) == bytes(raw)


def test_nothing_is_removed_by_default() -> None:
    assert App("desk").retentions() == {}
    assert app_of(big).retentions() == {}
    assert app_of(big, retention="30d").retentions() == {"handle": 30 * 86_400.0}


async def test_foreign_rows_stop_neither_lists_nor_purge(engine: Engine) -> None:
    async with engine.works(app_of(big)):
        waits = await engine.start("T1", asks=True)
        await engine.question()
        await until(lambda: _is(engine, waits, "waiting"))
        row = msgspec.json.encode(
            {
                "id": "*",
                "workflow": "w",
                "ticket": "T1",
                "status": "completed",
                "started_at": "2020-01-01T00:00:00Z",
                "updated_at": "2020-01-01T00:00:00Z",
                "pos": 1,
            }
        )
        rows = Bucket(engine.wire, "runs")
        for key, value in (
            ("T1.planted", row),
            ("T1.junk", b"{}"),
            ("T2.x", b"\xff"),
        ):
            with suppress(BusError):
                await rows.put(key, value)
        assert [each.id for each in await engine.client.runs()] == [waits]
        assert (await engine.client.purge(0)).runs == 0
        assert (await engine.state(waits)).status == "waiting"


async def test_a_purged_run_starts_again_even_on_a_worker_that_remembers_it(engine: Engine) -> None:
    """Another worker ended it, so this one holds it as it was parked."""
    async with engine.works(app_of(big)):
        config = (await engine.wire.api("STREAM.INFO.EVENTS"))["config"]
        await engine.wire.api("STREAM.UPDATE.EVENTS", {**config, "duplicate_window": 100_000_000})
        run = await engine.start("T1", sleeps=True, event_id="once")
        live = LiveRun(engine.log, RunState(id=run))

        async def sleeps() -> bool:
            await live.catch_up()
            return live.state.status == "waiting"

        await until(sleeps)
        await live.append([Ended(status="completed")])
        await Index(Bucket(engine.wire, "runs")).write(live)

        async def purged() -> bool:
            return (await engine.client.purge(0)).runs == 1

        await until(purged)  # not in the millisecond of its end

        async def sent() -> bool:
            return not (await engine.client.send(ON, {"ticket": "T1"}, event_id="once")).duplicate

        await until(sent)

        async def began() -> bool:
            return bool((await engine.state(run)).frames)

        await until(began)
        assert await engine.result(run) == _BIG
