"""What is derived from the logs is put right from them, whatever has become of it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, cast

import msgspec
import pytest

from layby import Step
from layby.actors.people.open_questions import OpenQuestion, OpenQuestions, encode_row, question_key
from layby.actors.people.parked_question import ParkedQuestion
from layby.actors.workflows.event_waits import _shape_key, _wait_key  # pyright: ignore[reportPrivateUsage]
from layby.bus.bucket import Bucket
from layby.bus.mailbox import Delivery
from layby.runtime.blocked_runs import BlockedRuns
from layby.runtime.entry import Answered, Ended, Reopened
from layby.runtime.ids import question_id, run_id
from layby.runtime.index import Index, key_of
from layby.runtime.run import LiveRun
from layby.runtime.state import Question, RunState
from layby.worker.worker import working
from tests.engine import WITHIN, WORKFLOW, Engine, app_of, is_handled, until

pytestmark = pytest.mark.nats

JUNK = [b"{}", b"\xff", b"[" * 2_000]
_MAIL = "CONSUMER.{}.RUNS.human-developer"


async def ask(event: dict[str, Any], step: Step) -> str:
    """Ask once; the answer is the run's result."""
    del event
    return (await step.ask("developer", "Well?", timeout=60)).text


async def all_handled(engine: Engine) -> None:
    """Return when every question that was mailed is acknowledged."""
    await until(lambda: is_handled(engine.wire, "RUNS.human-developer"))


@pytest.mark.parametrize("junk", JUNK)
async def test_a_planted_row_of_a_run_is_written_over(engine: Engine, junk: bytes) -> None:
    async with engine.works(app_of(ask)):
        run = run_id(WORKFLOW, "e1")
        await Bucket(engine.wire, "runs").put(key_of("T1", run), junk)
        assert await engine.start("T1", event_id="e1") == run
        await engine.question()
        await all_handled(engine)
        assert [row.id for row in await engine.client.runs()] == [run]
        await engine.answer()
        assert await engine.result(run) == "yes"


@pytest.mark.parametrize("junk", JUNK)
async def test_a_planted_record_of_a_ticket_is_written_over(engine: Engine, junk: bytes) -> None:
    async with engine.works(app_of(ask)):
        await Bucket(engine.wire, "parked").put("T1", junk)
        assert await engine.client.runs(ticket="T1") == []
        run = await engine.start("T1")
        await engine.question()
        await engine.answer()
        assert await engine.result(run) == "yes"
    assert await engine.client.dead() == []


@pytest.mark.parametrize("record", [b"\xff", b'{"ticket":"T1"}'])
async def test_a_deadline_holds_for_a_question_whose_record_was_written_over(
    engine: Engine, record: bytes
) -> None:
    async def soon(event: dict[str, Any], step: Step) -> list[str]:
        del event
        asked = [step.ask("developer", f"{n}?", timeout=3, default=n) for n in range(2)]
        return [str(answer.value) for answer in await step.gather(*asked)]

    async with engine.works(app_of(soon)):
        run = await engine.start("T1")
        await engine.questions(2)
        await Bucket(engine.wire, "parked").put("T1", record)
    async with engine.works(app_of(soon)):
        assert await engine.result(run) == ["0", "1"]
        assert await engine.client.questions() == []
        assert await engine.client.dead() == []


async def test_mail_that_a_server_has_forgotten_shows_no_closed_question_again(
    engine: Engine,
) -> None:
    async with engine.works(app_of(ask)):
        run = await engine.start("T1")
        await engine.question()
        await all_handled(engine)
        await engine.answer()
        await engine.ended(run)
    await Bucket(engine.wire, "parked").forget("T1")  # as it is after a week
    await engine.wire.api(_MAIL.format("DELETE"))  # as after a crash of the server
    async with engine.works(app_of(ask)):
        await all_handled(engine)
        assert await Bucket(engine.wire, "parked").get_newest("T1") is None


async def test_a_ticket_whose_runs_were_purged_a_moment_ago_can_be_asked_about(
    engine: Engine,
) -> None:
    async with engine.works(app_of(ask)):
        for text in ("first", "second"):
            run = await engine.start("T1")
            await engine.question()
            await engine.answer(text=text)
            assert await engine.result(run) == text
            await all_handled(engine)
            assert (await engine.client.purge(0)).runs == 1


async def test_planted_blocked_runs_and_waits_stop_nobody(engine: Engine) -> None:
    async def waits(event: dict[str, Any], step: Step) -> Any:
        del event
        return await step.wait_for_event("deploys", match={"id": 1})

    async with engine.works(app_of(waits, events=["deploys"])):
        planted = Bucket(engine.wire, "waits")
        for key in (_shape_key("deploys"), _wait_key("deploys", {"id": 1})):
            await planted.put(key, JUNK[1])
        await Bucket(engine.wire, "blocked").put("planted", JUNK[1])
        blocked = BlockedRuns(Bucket(engine.wire, "blocked"))
        assert [row async for row in blocked.rows()] == []
        run = await engine.start("T1")

        async def registered() -> bool:
            item = await planted.get(_wait_key("deploys", {"id": 1}))
            return item is not None and item.value != JUNK[1]

        await until(registered)
        await engine.client.send("deploys", {"id": 1})
        assert await engine.result(run) == {"id": 1}


async def test_a_row_that_another_worker_wrote_for_our_mail_is_removed_with_its_question(
    engine: Engine,
) -> None:
    """As when this worker was stopped for longer than an ack-wait, with the mail in its hands."""
    async with working(app_of(ask), engine.settings, listed_after=1.0):
        first = await engine.start("T0")
        [asked] = (await until(partial(_asked, engine, first))).values()
        await engine.answer("T0")
        run = run_id(WORKFLOW, "e1")
        other = question_id(run, asked.frame, asked.key)
        seen = msgspec.json.encode({"id": other})
        await engine.wire.store("developer.question.T1", seen, {"Nats-Msg-Id": other})
        at = "2026-01-01T00:00:00Z"
        shown = ParkedQuestion(
            id=other, run=run, role="developer", question="Well?", asked_at=at, deadline=at
        )
        row = encode_row(OpenQuestion(ticket="T1", question=shown))
        await Bucket(engine.wire, "questions").put(question_key("developer", "T1", other), row)
        assert await engine.start("T1", event_id="e1") == run
        assert await until(partial(_asked, engine, run))
        await engine.answer("T1", question_id=other)
        assert await engine.result(run) == "yes"
        await all_handled(engine)
        assert await engine.client.questions() == []


class Held:
    """Mail that a worker got some seconds ago."""

    def __init__(self, ago: float) -> None:
        self.at = time.time() - ago
        self.acked = asyncio.Event()

    async def ack(self) -> None:
        self.acked.set()


async def test_a_worker_that_was_stopped_removes_the_row_that_another_one_wrote(
    engine: Engine,
) -> None:
    """It has shown the question long ago, goes on, and gets the answer at once."""
    async with engine.works(app_of(ask)):
        run = await engine.start("T1")
        asked = await engine.question()
        await all_handled(engine)
    rows, live = OpenQuestions(*_lists(engine)), await _live(engine, run)
    rows.list_later(cast("Delivery", Held(5.0)), live, asked.id, again=False)
    await _close(rows, live, asked.id)
    assert await engine.client.questions() == []


async def test_a_row_that_comes_after_its_question_was_closed_is_kept_away(engine: Engine) -> None:
    """Another worker has closed it, and this one has not heard of that."""
    async with engine.works(app_of(ask)):
        run = await engine.start("T1")
        asked = await engine.question()
        await all_handled(engine)
    key = question_key("developer", "T1", asked.id)
    await engine.wire.api("STREAM.PURGE.KV_questions", {"filter": f"$KV.questions.{key}"})
    slow, held = OpenQuestions(*_lists(engine)), Held(0.0)
    slow.list_later(cast("Delivery", held), await _live(engine, run), asked.id, again=False)
    await _close(OpenQuestions(*_lists(engine)), await _live(engine, run), asked.id)
    async with asyncio.timeout(WITHIN):
        await held.acked.wait()
    assert await engine.client.questions() == []


def _lists(engine: Engine) -> tuple[Bucket, Index]:
    return Bucket(engine.wire, "questions"), Index(Bucket(engine.wire, "runs"), later=0.5)


async def _live(engine: Engine, run: str) -> LiveRun:
    live = LiveRun(engine.log, RunState(id=run))
    await live.catch_up()
    return live


async def _close(rows: OpenQuestions, live: LiveRun, question: str) -> None:
    await live.append([Answered(id=question, text="yes", at=time.time())])
    if rows.unlist(live, live.state.questions[question]):
        await rows.remove(live, live.state.questions[question])


async def _asked(engine: Engine, run: str) -> dict[str, Question]:
    return (await engine.state(run)).questions


async def test_a_question_that_was_purged_while_its_mail_was_on_its_way_is_published_again(
    engine: Engine,
) -> None:
    """The server took it for a duplicate of what it did not have any more, and the run failed."""
    async with engine.works(app_of(ask)):
        run = await engine.start("T1")
        await engine.question()
        await all_handled(engine)
    await engine.wire.api("STREAM.PURGE.QUESTIONS")
    await Bucket(engine.wire, "parked").forget("T1")
    await engine.wire.api(_MAIL.format("DELETE"))
    async with engine.works(app_of(ask)):
        await all_handled(engine)
        again = await engine.wire.stored("QUESTIONS", last="developer.question.T1")
        assert again is not None
        await engine.answer()
        assert await engine.result(run) == "yes"


async def test_the_end_of_a_run_that_was_reopened_meanwhile_is_not_listed(engine: Engine) -> None:
    """The worker that ended it was slow to list that."""
    async with engine.works(app_of(ask)):
        run = await engine.start("T1")
        await engine.question()
        await all_handled(engine)
    slow, index = LiveRun(engine.log, RunState(id=run)), Index(Bucket(engine.wire, "runs"))
    await slow.catch_up()
    await slow.append([Ended(status="failed", error="down")])
    quick = LiveRun(engine.log, RunState(id=run))
    await quick.catch_up()
    await quick.append([Reopened(by="ada")], to=quick.state.root.actor)
    await index.write(quick)
    await index.write(slow)
    assert [row.status for row in await engine.client.runs()] == ["running"]


async def test_a_run_that_begins_where_one_was_removed_is_listed(engine: Engine) -> None:
    """The marker that a removed row leaves for a minute is in nobody's way."""
    run = run_id(WORKFLOW, "e1")
    rows = Bucket(engine.wire, "runs")
    async with engine.works(app_of(ask)):
        await rows.forget(key_of("T1", run))
        assert await engine.start("T1", event_id="e1") == run
        await engine.question()
        await all_handled(engine)
    live = LiveRun(engine.log, RunState(id=run))
    await live.catch_up()
    await live.append([Ended(status="failed", error="down")])
    await rows.forget(key_of("T1", run))
    await Index(rows).write(live)
    assert [row.status for row in await engine.client.runs()] == ["failed"]


async def test_a_run_that_was_removed_is_not_listed_again(engine: Engine) -> None:
    """By a worker that knows it running, and writes its row late."""
    run = run_id(WORKFLOW, "e1")
    rows = Bucket(engine.wire, "runs")
    async with engine.works(app_of(ask)):
        assert await engine.start("T1", event_id="e1") == run
        await engine.question()
        await all_handled(engine)
    late = LiveRun(engine.log, RunState(id=run))
    await late.catch_up()
    await engine.log.purge(run)
    await rows.forget(key_of("T1", run))
    await Index(rows).write(late)
    assert await engine.client.runs() == []
