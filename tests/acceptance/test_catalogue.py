"""The console's catalogue agrees with the logs, whatever happens to server and workers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import msgspec
import pytest

from layby import App, Step
from layby.actors.people.migration import Migration
from layby.actors.people.open_questions import OpenQuestion, encode_row, question_key
from layby.actors.people.parked_question import ParkedQuestion
from layby.bus.bucket import Bucket
from layby.bus.errors import NotConnected, PermissionDenied
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.server import EmbeddedServer
from layby.bus.settings import ConnectionSettings
from layby.client import Client
from layby.console.catalogue import catalogue as catalogue_module
from layby.console.catalogue.catalogue import Catalogue
from layby.console.catalogue.query import RunQuery
from layby.console.catalogue.source import Source
from layby.operations.provisioning import provision
from layby.runtime.ids import run_id
from layby.runtime.index import ENCRYPTED, IndexRow
from layby.runtime.times import iso
from layby.views import open_questions
from layby.worker.worker import working
from tests.engine import until

pytestmark = pytest.mark.nats

WITHIN = 20.0
app = App("desk")


@app.workflow(on="desk.opened", key="ticket")
async def handle(event: dict[str, Any], step: Step) -> str:
    answer = await step.ask("developer", f"What about {event['ticket']}?")
    return answer.text


@app.workflow(on="desk.slept", key="ticket")
async def sleeper(_: dict[str, Any], step: Step) -> None:
    await step.sleep("1h")


@contextlib.asynccontextmanager
async def catalogue_on(settings: ConnectionSettings, **more: Any) -> AsyncGenerator[Catalogue]:
    async with (
        opened(settings, patient=True, **more) as bus,
        Catalogue.opened(bus.connection, bus.requests) as catalogue,
    ):
        yield catalogue


async def statuses(catalogue: Catalogue) -> dict[str, str]:
    page = await catalogue.runs(RunQuery())
    return {row.ticket: row.status for row in page.runs}


async def test_a_run_is_followed_from_its_question_to_its_end(layby_running: Any) -> None:
    async with layby_running(app) as rt, catalogue_on(rt.settings) as catalogue:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        row = await until(lambda: catalogue.run(run))
        assert (row.status, row.waits, row.roles) == ("waiting", "people", ["developer"])
        assert row.deadline is not None
        [question] = await until(catalogue.questions)
        assert question.question == "What about T1?"
        async with catalogue.changes() as batches:
            await rt.answer(None, "Fixed", by="ada")
            seen: set[tuple[str, str]] = set()
            async with asyncio.timeout(WITHIN):
                async for batch in batches:
                    seen |= {(change.kind, change.id) for change in batch}
                    if {("run", run), ("question", question.id), ("receipt", question.id)} <= seen:
                        break
        assert await catalogue.questions() == []
        ended = await catalogue.run(run)
        assert ended is not None
        assert (ended.status, ended.roles, ended.ended_at) == ("completed", [], ended.updated_at)
        thread = await catalogue.question(question.id)
        assert thread is not None
        assert thread.status == "answered"
        assert thread.won is not None
        assert thread.won.by == "ada"
        [past] = (await catalogue.history()).items
        assert past.question.id == question.id


async def test_a_catalogue_that_starts_late_has_what_was_before(layby_running: Any) -> None:
    async with layby_running(app) as rt:
        for ticket in ("T1", "T2", "T3"):
            await rt.send("desk.opened", {"ticket": ticket})
            await rt.question()
        await rt.answer("T2", "yes", by="bob")
        await rt.result("T2")
        async with catalogue_on(rt.settings) as catalogue:
            await until(lambda: _live(catalogue))
            assert await statuses(catalogue) == {
                "T1": "waiting",
                "T2": "completed",
                "T3": "waiting",
            }
            assert [row.ticket for row in await catalogue.questions()] == ["T1", "T3"]
            assert [item.won.by for item in (await catalogue.history()).items if item.won] == [
                "bob"
            ]


async def test_what_waits_for_time_is_not_shown_as_waiting_for_people(layby_running: Any) -> None:
    async with layby_running(app) as rt, catalogue_on(rt.settings) as catalogue:
        run = await rt.send("desk.slept", {"ticket": "T1"})
        row = await until(lambda: catalogue.run(run))
        assert (row.waits, row.roles) == ("sleep", [])
        assert row.until is not None
        assert row.until > row.started_at
        assert await catalogue.counts() == {"sleeping": 1}


async def test_nothing_is_missed_while_the_server_is_away(own_server: EmbeddedServer) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    async with (
        catalogue_on(settings) as catalogue,
        working(app, settings, listed_after=0.02),
    ):
        for number in range(4):
            ticket = f"T{number}"
            async with Client.connect(settings) as client:
                await client.send("desk.opened", {"ticket": ticket}, event_id=ticket)
            await until(partial(_has, catalogue, ticket))
            own_server.kill()
            await own_server.start()
            async with Client.connect(settings) as client:
                await client.answer(ticket, "yes", by="ada", timeout=WITHIN)
        await until(lambda: _all(catalogue, "completed", 4))
        assert await catalogue.questions() == []


async def test_a_row_that_is_removed_vanishes(layby_running: Any) -> None:
    async with layby_running(app) as rt, catalogue_on(rt.settings) as catalogue:
        run = await rt.send("desk.opened", {"ticket": "T1"})
        await until(lambda: catalogue.run(run))
        async with opened(rt.settings) as bus:
            await Bucket(bus.requests, "runs").forget(f"T1.{run}")
        await until(lambda: _gone(catalogue, run))
        assert await catalogue.counts() == {}


async def test_nothing_is_left_of_what_a_purged_run_asked(layby_running: Any) -> None:
    async with layby_running(app) as rt, catalogue_on(rt.settings) as catalogue:
        await rt.send("desk.opened", {"ticket": "T1"})
        asked = await rt.question()
        await rt.answer("T1", "yes", by="ada")
        run = await rt.send("desk.opened", {"ticket": "T2"})
        await until(lambda: _answered(catalogue, asked.id))
        await until(lambda: catalogue.run(run))
        async with Client.connect(rt.settings) as client:
            await until(lambda: client.runs("completed"))
            assert (await client.purge(0)).runs == 1
        await until(lambda: _purged(catalogue, asked.id))
        assert (await catalogue.history()).items == []
        assert await catalogue.people() == []
        assert [row.ticket for row in await catalogue.questions()] == ["T2"]


async def test_rows_that_cannot_be_read_stop_nothing(layby_running: Any) -> None:
    async with layby_running(app) as rt, catalogue_on(rt.settings) as catalogue:
        async with opened(rt.settings) as bus:
            for bucket, keys in (("runs", ["T1.x", "a.b"]), ("questions", ["developer.T1.q"])):
                for key in keys:
                    for data in (b"{", b"\xff", b"[" * 10_000, b'{"id": 7}'):
                        await Bucket(bus.requests, bucket).put(key, data)
            await _put_run(bus.requests, "T3", at="")
            for noun in ("question", "receipt"):
                for data in (b"", b"{", b"\xff", b"[" * 10_000, b'{"id": 7}'):
                    await bus.requests.store(f"developer.{noun}.T1", data)
        run = await rt.send("desk.opened", {"ticket": "T2"})
        await until(lambda: catalogue.run(run))
        await until(catalogue.questions)
        assert await statuses(catalogue) == {"T2": "waiting"}


async def test_rows_removed_during_an_outage_vanish_even_if_their_markers_are_gone(
    own_server: EmbeddedServer,
) -> None:
    settings = ConnectionSettings(servers=(own_server.url,))
    await provision(app, settings)
    async with opened(settings, patient=True) as bus, catalogue_on(settings) as catalogue:
        for ticket in ("T1", "T2"):
            await _put_run(bus.requests, ticket)
            await _put_question(bus.requests, ticket)
        await until(lambda: _listed(catalogue, {"T1", "T2"}))
        for bucket, keys in (("runs", "T1.*"), ("questions", "*.T1.*")):
            # As if the markers were older than a minute.
            about = {"filter": f"$KV.{bucket}.{keys}"}
            await bus.requests.api(f"STREAM.PURGE.KV_{bucket}", about)
        own_server.kill()
        await own_server.start()
        await until(lambda: _listed(catalogue, {"T2"}))
        assert sum((await catalogue.counts()).values()) == 1


async def test_a_recreated_stream_is_read_from_its_start(clean_nats: str) -> None:
    settings = ConnectionSettings(servers=(clean_nats,))
    await provision(app, settings)
    async with opened(settings, patient=True) as bus, catalogue_on(settings) as catalogue:
        for ticket in ("T1", "T2", "T3"):
            await _put_run(bus.requests, ticket)
        await until(lambda: _all(catalogue, "running", 3))
        await bus.requests.api("STREAM.DELETE.KV_runs")
        await provision(app, settings)
        await _put_run(bus.requests, "T4")
        await until(lambda: _all(catalogue, "running", 1))
        assert await statuses(catalogue) == {"T4": "running"}
        assert await catalogue.counts() == {"running": 1}


async def test_an_app_with_a_prefix_has_a_catalogue_of_its_own(layby_running: Any) -> None:
    shop = App("shop", prefix="shop")

    @shop.workflow(on="shop2.opened", key="ticket")
    async def ask(_: dict[str, Any], step: Step) -> str:
        return (await step.ask("developer", "Well?")).text

    async with layby_running(shop) as rt, catalogue_on(rt.settings, prefix="shop") as catalogue:
        run = await rt.send("shop2.opened", {"ticket": "T1"})
        await until(lambda: catalogue.run(run))
        await until(catalogue.questions)
        await rt.answer(None, "yes", by="ada")
        await until(lambda: _history(catalogue))


async def test_streams_that_do_not_exist_yet_are_no_error(clean_nats: str) -> None:
    settings = ConnectionSettings(servers=(clean_nats,))
    async with catalogue_on(settings) as catalogue:
        assert await statuses(catalogue) == {}
        assert catalogue.progress.problem == ""


async def test_a_question_whose_key_is_unavailable_is_open(
    clean_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console whose login may not read the keys still shows that somebody is waited for."""

    async def refused(*_: object) -> None:
        raise PermissionDenied("permissions violation")

    settings = ConnectionSettings(servers=(clean_nats,))
    await provision(app, settings)
    async with opened(settings, patient=True) as bus, catalogue_on(settings) as catalogue:
        monkeypatch.setattr(open_questions, "in_full", refused)
        await _put_question(bus.requests, "T1", sealed=b"sealed")
        [row] = await until(catalogue.questions)
        assert (row.ticket, row.encrypted, row.status) == ("T1", True, "open")
        assert row.question == ENCRYPTED
        assert (await catalogue.open_questions())[0] == {frozenset({"developer"}): 1}


async def test_the_key_of_a_question_is_looked_for_again_after_an_outage(
    clean_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = iter([NotConnected("away")])

    async def in_full(_: object, question: ParkedQuestion) -> ParkedQuestion:
        for error in away:
            raise error
        return msgspec.structs.replace(question, question="Well?", sealed=b"")

    settings = ConnectionSettings(servers=(clean_nats,))
    await provision(app, settings)
    async with opened(settings, patient=True) as bus, catalogue_on(settings) as catalogue:
        monkeypatch.setattr(open_questions, "in_full", in_full)
        await _put_question(bus.requests, "T1", sealed=b"sealed")
        [row] = await until(catalogue.questions)
        assert (row.question, row.encrypted) == ("Well?", False)


async def test_an_old_index_is_a_problem_until_it_is_migrated(
    clean_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "_MIGRATING", 0.01)
    settings = ConnectionSettings(servers=(clean_nats,))
    await provision(app, settings)
    async with opened(settings, patient=True) as bus:
        for item in [item async for item in Bucket(bus.requests, "questions").items()]:
            await Bucket(bus.requests, "questions").forget(item.key)
        await Bucket(bus.requests, "runs").put("0" * 20, b"{}")
        async with catalogue_on(settings) as catalogue:

            async def warned() -> bool:
                return "layby migrate" in catalogue.progress.problem

            async def is_fine() -> bool:
                return not catalogue.progress.problem

            await until(warned)
            async with catalogue.changes() as batches:
                await Migration(bus.requests).run()
                await until(is_fine)
                async with asyncio.timeout(WITHIN):
                    async for batch in batches:
                        if any(change.kind == "progress" for change in batch):
                            break


async def test_a_stream_that_is_missing_is_looked_for_less_and_less(
    clean_nats: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is there at once when something is written to it."""
    waits: list[float | None] = []
    read_on = Source._read_on

    async def watched(source: Source) -> float | None:
        wait = await read_on(source)
        if source._stream == "KV_runs":
            waits.append(wait)
            source._woken.set()  # as if that time was over
        return wait if len(waits) < 8 else 60.0

    settings = ConnectionSettings(servers=(clean_nats,))
    monkeypatch.setattr(Source, "_read_on", watched)
    async with opened(settings, patient=True) as bus, catalogue_on(settings) as catalogue:

        async def many() -> bool:
            return len(waits) > 7

        await until(many)
        monkeypatch.setattr(Source, "_read_on", read_on)
        assert waits[:7] == [10, 20, 40, 80, 160, 320, 320]
        await provision(app, settings)
        await _put_run(bus.requests, "T1")
        await until(partial(_has, catalogue, "T1"))


async def _put_run(requests: Requests, ticket: str, at: str | None = None) -> None:
    at = iso(time.time()) if at is None else at
    row = IndexRow(
        id=run_id("handle", ticket),
        workflow="handle",
        ticket=ticket,
        status="running",
        started_at=at,
        updated_at=at,
        pos=1,
    )
    await Bucket(requests, "runs").put(f"{ticket}.{row.id}", msgspec.json.encode(row))


async def _put_question(requests: Requests, ticket: str, sealed: bytes = b"") -> None:
    now = iso(time.time())
    question = ParkedQuestion(
        id=f"q{ticket.lower()}",
        run=run_id("handle", ticket),
        role="developer",
        question=ENCRYPTED if sealed else "Well?",
        asked_at=now,
        deadline=now,
        sealed=sealed,
    )
    row = OpenQuestion(ticket=ticket, question=question)
    key = question_key("developer", ticket, question.id)
    await Bucket(requests, "questions").put(key, encode_row(row))


async def _listed(catalogue: Catalogue, tickets: set[str]) -> bool:
    asked = {row.ticket for row in await catalogue.questions()}
    return asked == tickets == set(await statuses(catalogue))


async def _live(catalogue: Catalogue) -> bool:
    return catalogue.progress.live


async def _gone(catalogue: Catalogue, run: str) -> bool:
    return await catalogue.run(run) is None


async def _answered(catalogue: Catalogue, question: str) -> bool:
    thread = await catalogue.question(question)
    return thread is not None and thread.status == "answered"


async def _purged(catalogue: Catalogue, question: str) -> bool:
    return await catalogue.question(question) is None


async def _history(catalogue: Catalogue) -> bool:
    return bool((await catalogue.history()).items)


async def _has(catalogue: Catalogue, ticket: str) -> bool:
    return ticket in await statuses(catalogue)


async def _all(catalogue: Catalogue, status: str, count: int) -> bool:
    return list((await statuses(catalogue)).values()) == [status] * count
