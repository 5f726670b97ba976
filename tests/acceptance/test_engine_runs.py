"""Runs beside each other, cancelled runs, and what people are shown of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
import pytest

from layby import Agent, App, Retry, Step, tool
from layby.bus.bucket import Bucket
from layby.bus.errors import Conflict
from layby.bus.log_subject import subject
from layby.client import NoSuchRun, NotDoneYet, RunOver
from layby.runtime.entry import Answered
from layby.runtime.envelope import Envelope, encode
from layby.runtime.ids import run_id
from layby.tools import ask_developer
from layby.views.rows import RunRow
from tests.engine import ON, WITHIN, Engine, TooSlow, app_of, desk, in_time, until
from tests.scripted import Scripted, asks, calls, says

pytestmark = pytest.mark.nats


async def echo(event: dict[str, Any], step: Step) -> str:
    return (await step.ask("developer", f"What about {event['ticket']}?")).text


async def indexed(engine: Engine, run: str, status: str) -> RunRow:
    """The row of a run in the index, once it shows this status."""

    async def look() -> RunRow | None:
        rows = await engine.client.runs(status, limit=1000)
        return next((row for row in rows if row.id == run), None)

    found = await until(look)
    assert found is not None
    return found


# -- two workers -------------------------------------------------------------------------------


async def test_many_runs_on_two_workers_each_do_everything_once(engine: Engine) -> None:
    ran: list[str] = []

    def app() -> App:
        @tool
        async def note(ticket: str) -> str:
            """Note it."""
            ran.append(ticket)
            return "noted"

        def say(request: Any) -> Any:
            ticket = request.messages[0].text.removeprefix("Ticket ")
            said = len(request.messages)
            if said == 1:
                return calls(("note", {"ticket": ticket}), ("ask_developer", {"question": ticket}))
            return says(f"done with {ticket}")

        return desk(Agent("A", tools=[note, ask_developer]), model=Scripted(say))

    async with engine.works(app()), engine.works(app()):
        runs = [await engine.start(f"T{number}") for number in range(30)]
        for asked in await engine.questions(30):
            receipt = await engine.answer(asked.ticket, f"re {asked.question}")
            assert receipt.outcome == "accepted"
        for number, run in enumerate(runs):
            result = await engine.result(run)
            assert result["text"] == f"done with T{number}"
            assert f"re T{number}" in result["calls"][1][1]
    assert sorted(ran) == sorted(f"T{number}" for number in range(30))


async def test_a_run_goes_on_where_another_worker_left_it(engine: Engine) -> None:
    first, second = Scripted(asks("?")), Scripted(says("the second worker says hello"))
    async with engine.works(desk(Agent("A", tools=[ask_developer]), model=first)):
        run = await engine.start()
        await engine.question()
    async with engine.works(desk(Agent("A", tools=[ask_developer]), model=second)):
        await engine.answer()
        assert (await engine.result(run))["text"] == "the second worker says hello"
    assert (first.paid, second.paid) == (1, 1)
    assert second.requests[0].messages[1] == asks("?").message


async def test_a_worker_that_stops_lets_what_runs_finish(engine: Engine) -> None:
    began, go_on, ran = asyncio.Event(), asyncio.Event(), []

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event

        async def effect() -> None:
            ran.append("effect")
            began.set()
            await go_on.wait()

        await step.run("effect", effect)

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await began.wait()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert (await engine.state(run)).status == "completed"
    assert ran == ["effect"]


async def test_a_run_of_many_entries_is_read_back_whole(engine: Engine) -> None:
    """More entries than one direct get may name, read by a worker that never saw the run."""
    count = 1_100

    async def handle(event: dict[str, Any], step: Step) -> int:
        del event
        total = 0
        for number in range(count):
            total += await step.run("add", int, number)
        await step.ask("developer", "Enough?")
        return total

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
    # Without its parked state, the run has to be folded from its log.
    parked = Bucket(engine.wire, "parked")
    item = await parked.get("T1")
    assert item is not None
    record = msgspec.json.decode(item.value)
    record["runs"] = {}
    await parked.put("T1", msgspec.json.encode(record), revision=item.revision)
    async with engine.works(app_of(handle)):
        await engine.answer()
        assert await engine.result(run) == sum(range(count))


# -- cancelling --------------------------------------------------------------------------------


async def test_a_cancelled_run_stops_in_the_middle_of_its_step(engine: Engine) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event

        async def endless() -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        await step.run("endless", endless, retry=Retry(attempts=9))

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await began.wait()
        row = await engine.client.cancel(run, "not needed any more")
        assert row.status == "cancelled"
        async with asyncio.timeout(WITHIN):
            await ended.wait()
        state = await engine.state(run)
        await indexed(engine, run, "cancelled")
    assert (state.status, state.error) == ("cancelled", "not needed any more")
    assert [slot.settled for slot in state.root.slots.values()] == []


async def test_a_cancelled_turn_stops_model_and_tools(engine: Engine) -> None:
    began, ended = asyncio.Barrier(3), asyncio.Barrier(3)

    @tool
    async def endless() -> str:
        """Never end."""
        await began.wait()
        try:
            return str(await asyncio.get_running_loop().create_future())
        finally:
            task = asyncio.ensure_future(ended.wait())
            tasks.append(task)

    tasks: list[asyncio.Task[int]] = []
    model = Scripted(calls(("endless", {}), ("endless", {})))
    async with engine.works(desk(Agent("A", tools=[endless]), model=model)):
        run = await engine.start()
        await began.wait()
        await engine.client.cancel(run)
        async with asyncio.timeout(WITHIN):
            await ended.wait()
        await indexed(engine, run, "cancelled")
    assert model.paid == 1


async def test_the_questions_of_a_cancelled_run_are_closed(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        run = await engine.start("T1")
        other = await engine.start("T1")
        await engine.questions(2)
        asked = await engine.question(run=run)
        await engine.client.cancel(run, "a mistake")
        await indexed(engine, run, "cancelled")
        await until(lambda: _asked_by(engine, other))
        receipt = await engine.answer("T1", "yes", question_id=asked.id)
        assert (receipt.outcome, receipt.question) == ("too_late", asked.id)
        assert "ended at 20" in (receipt.reason or "")
        assert (await engine.answer("T1", "yes")).outcome == "accepted"
        assert await engine.result(other) == "yes"


async def _asked_by(engine: Engine, *runs: str) -> bool:
    return [question.run for question in await engine.client.questions()] == [*runs]


async def test_a_run_cancelled_while_no_worker_runs_is_tidied_up_later(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        run = await engine.start()
        await engine.question()
        await indexed(engine, run, "waiting")
    with pytest.raises(NotDoneYet):
        await engine.client.cancel("T1")
    async with engine.works(app_of(echo)):
        await until(lambda: _asked_by(engine))
        await indexed(engine, run, "cancelled")
        assert (await engine.answer()).outcome == "too_late"


async def test_a_run_that_is_over_or_unknown_cannot_be_cancelled(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        with pytest.raises(NoSuchRun, match="no run 'nothing'"):
            await engine.client.cancel("nothing")
        run = await engine.start()
        await engine.question()
        await engine.answer()
        await indexed(engine, run, "completed")
        with pytest.raises(RunOver, match="it is completed"):
            await engine.client.cancel(run)


async def test_a_cancelled_sleep_wakes_nobody(engine: Engine) -> None:
    passes: list[str] = []

    async def handle(event: dict[str, Any], step: Step) -> None:
        passes.append(event["ticket"])
        await step.sleep(event["seconds"])

    async def attempt(ticket: str, seconds: float) -> None:
        run = await engine.start(ticket, seconds=seconds)
        later = await engine.start(f"{ticket}-later", seconds=seconds + 0.2)
        await engine.told(run, "slept")
        try:
            await engine.client.cancel(run)
        except RunOver:
            raise TooSlow from None
        await engine.ended(later)
        assert (await engine.state(run)).status == "cancelled"
        assert passes.count(ticket) == 1
        assert passes.count(f"{ticket}-later") == 2

    async with engine.works(app_of(handle)):
        await in_time(attempt, 0.3)


# -- what people are shown ---------------------------------------------------------------------


async def test_the_index_agrees_with_the_logs(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        match event["ticket"]:
            case "fails":
                raise ValueError("no good")
            case "times out":
                await step.ask("developer", "?", timeout=0.2)
            case "asks":
                await step.ask("developer", "?")
            case "sleeps":
                await step.sleep("1h")
            case _:
                pass
        return "fine"

    wanted = {
        "fails": "failed",
        "times out": "timed_out",
        "asks": "waiting",
        "sleeps": "waiting",
        "plain": "completed",
        "stopped": "cancelled",
    }
    app = app_of(handle)
    async with engine.works(app), engine.works(app):
        runs = {ticket: await engine.start(ticket) for ticket in wanted if ticket != "stopped"}
        runs["stopped"] = await engine.start("asks")
        await indexed(engine, runs["stopped"], "waiting")
        await engine.client.cancel(runs["stopped"])
        for ticket, status in wanted.items():
            row = await indexed(engine, runs[ticket], status)
            state = await engine.state(row.id)
            assert (row.status, row.workflow) == (state.status, state.workflow)
            assert row.ticket == state.ticket
            assert datetime.fromisoformat(row.started_at).timestamp() == pytest.approx(
                state.started_at, abs=0.002
            )
            assert datetime.fromisoformat(row.updated_at).timestamp() == pytest.approx(
                state.updated_at, abs=0.002
            )
        rows = await engine.client.runs()
        waiting = await engine.client.runs("waiting")
    assert len(rows) == len(wanted)
    assert [row.updated_at for row in rows] == sorted((r.updated_at for r in rows), reverse=True)
    assert {row.id for row in waiting} == {runs["asks"], runs["sleeps"]}


async def test_a_run_is_shown_with_its_story(engine: Engine) -> None:
    model = Scripted(asks("May I?"), says("Thanks."))
    async with engine.works(desk(Agent("Anna", tools=[ask_developer]), model=model)):
        run = await engine.start("T7")
        await engine.question()
        await engine.answer("T7", "you may", by="ada")
        await indexed(engine, run, "completed")
        detail = await engine.client.show(run)
        by_ticket = await engine.client.show("T7")
        by_prefix = await engine.client.show(run[:10])
    assert detail == by_ticket == by_prefix
    assert (detail.status, detail.error, detail.ticket) == ("completed", None, "T7")
    assert detail.result["text"] == "Thanks."
    kinds = [step.kind for step in detail.steps]
    for kind in ("run.started", "route", "turn.started", "model.responded", "tool.called"):
        assert kind in kinds
    assert kinds.index("question.asked") < kinds.index("question.answered")
    assert (kinds[0], kinds[-1]) == ("run.started", "run.ended")
    assert [step.n for step in detail.steps] == sorted(step.n for step in detail.steps)
    assert any(step.actor == "Anna" for step in detail.steps)
    assert any("ada" in step.actor + step.name for step in detail.steps)


async def test_a_ticket_that_looks_like_the_beginning_of_an_id_is_that_ticket(
    engine: Engine,
) -> None:
    async with engine.works(app_of(echo)):
        other = await engine.start("T1")
        await engine.question(run=other)
        ticket = other[:1]
        mine = await engine.start(ticket)
        await indexed(engine, mine, "waiting")
        assert (await engine.client.show(ticket)).id == mine
        assert (await engine.client.cancel(ticket)).id == mine
        assert (await engine.state(other)).status == "waiting"


async def test_the_beginning_of_several_ids_is_refused(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        runs = [await engine.start(f"T{number}") for number in range(40)]
        await engine.questions(40)
        for run in runs:
            await indexed(engine, run, "waiting")
        letters = [run[0] for run in runs]
        twice = next(letter for letter in letters if letters.count(letter) > 1)
        with pytest.raises(NoSuchRun, match="give more of it"):
            await engine.client.show(twice)


async def test_many_clients_follow_a_run_from_beginning_to_end(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        run = run_id("handle", "e1")
        early = asyncio.ensure_future(engine.lines(run))  # before it exists
        await engine.start(event_id="e1")
        await engine.question()
        midway = asyncio.ensure_future(engine.lines(run))
        await engine.answer()
        stories = [await early, await midway, await engine.lines(run)]
    assert stories[0] == stories[1] == stories[2]
    kinds = [line.kind for line in stories[0]]
    assert (kinds[0], kinds[-1]) == ("run.started", "run.ended")
    assert stories[0][-1].data["result"] == "yes"


async def test_a_follower_is_not_told_what_the_log_refused(engine: Engine) -> None:
    """Everybody who listens sees a publish, the one that lost the race too."""
    async with engine.works(app_of(echo)):
        run = await engine.start()
        asked = await engine.question()
        story = asyncio.ensure_future(engine.lines(run))
        state = await engine.state(run)
        lie = Envelope(op="x", at=0.0, records=[Answered(id=asked.id, text="a lie", by="eve")])
        await engine.told(run, "question.asked")
        for _ in range(3):
            await engine.connection.nc.publish(
                subject("workflow-handle", run, state.tail + 1),
                encode(lie),
                headers={"Nats-Expected-Stream": "ANOTHER"},
            )
        await engine.connection.nc.flush()
        await engine.answer(text="the truth")
        told = [line.detail for line in await story if line.kind == "question.answered"]
    assert told == ["the truth"]


async def test_all_runs_can_be_followed_at_once(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        seen: dict[str, list[str]] = {}
        ready = asyncio.Event()

        async def follow() -> None:
            async for line in engine.client.follow():
                ready.set()
                seen.setdefault(line.ticket, []).append(line.kind)
                if sum(kinds[-1] == "run.ended" for kinds in seen.values()) == 3:
                    return

        follower = asyncio.ensure_future(follow())

        async def heard() -> bool:  # the follower subscribes in its own time
            await engine.start("warm up")
            return ready.is_set()

        await until(heard)
        seen.clear()
        for ticket in "abc":
            await engine.start(ticket)
        await until(lambda: _asked(engine, set("abc")))
        for ticket in "abc":
            await engine.answer(ticket)
        async with asyncio.timeout(30):
            await follower
    for ticket in "abc":
        assert seen[ticket][0] == "run.started"
        assert seen[ticket][-1] == "run.ended"


async def test_the_end_of_a_run_is_reported_once(engine: Engine) -> None:
    """Whoever follows all runs may hear of its last entries after it has read them."""
    ended: Counter[str] = Counter()

    async def follow() -> None:
        async for line in engine.client.follow():
            ended[line.run] += line.kind == "run.ended"

    async def end_one(ticket: str) -> str:
        run = await engine.start(ticket)
        await engine.answer((await engine.question(run=run)).ticket)
        await engine.ended(run)
        return run

    async def told() -> bool:  # the follower subscribes in its own time
        await end_one("warm up")
        return bool(+ended)

    async with engine.works(app_of(echo)):
        follower = asyncio.ensure_future(follow())
        await until(told)
        [first, *_] = +ended
        with pytest.raises(Conflict):
            await engine.log.append(first, (await engine.state(first)).tail, "late", b"{}")
        last = await end_one("the last")

        async def last_told() -> bool:
            return ended[last] > 0

        await until(last_told)
        follower.cancel()
    assert ended[first] == 1


async def _asked(engine: Engine, tickets: set[str]) -> bool:
    return tickets <= {q.ticket for q in await engine.client.questions()}


async def test_the_doctor_finds_nothing_wrong_with_a_healthy_server(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        await indexed(engine, run, "completed")
        findings = await engine.client.doctor()
    # The server of the tests has one copy and lets everybody in, and the doctor says so.
    sick = {finding.subject for finding in findings if finding.level != "ok"}
    assert sick <= {"authorisation", "replicas", "sync_interval"}
    assert any("1 completed" in finding.message for finding in findings)


async def test_the_doctor_reports_that_no_worker_runs(engine: Engine) -> None:
    async with engine.works(app_of(echo)):
        pass
    await engine.client.send(ON, {"ticket": "T1"})

    async def look() -> bool:
        return any(
            finding.level == "warn" and "no worker asks for it" in finding.message
            for finding in await engine.client.doctor()
        )

    assert await until(look)


async def test_the_doctor_says_what_to_do_on_an_empty_server(engine: Engine) -> None:
    findings = await engine.client.doctor()
    [missing] = [finding for finding in findings if finding.level == "error"]
    assert "EVENTS" in missing.message
    assert "layby provision" in missing.advice
