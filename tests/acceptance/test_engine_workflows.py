"""What a workflow's body may count on: its steps, retries, timeouts, sleeps and branches."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from layby import App, NonRetriableError, Retry, RetryAfter, Step, StepFailed
from layby.runtime.ids import run_id
from tests.engine import Engine, app_of

pytestmark = pytest.mark.nats

QUICK = Retry(attempts=3, first="10ms")


class Counter:
    """An effect on the outside world that can be counted, and fails when told to."""

    def __init__(self, *failures: Exception) -> None:
        self.ran: list[Any] = []
        self._failures = list(failures)

    async def __call__(self, given: Any = None) -> Any:
        self.ran.append(given)
        if self._failures:
            raise self._failures.pop(0)
        return given


class Ticket(BaseModel):
    title: str
    opened: datetime


@dataclass
class Note:
    text: str
    stars: int = 0


async def test_a_step_runs_once_and_its_result_is_read_from_the_log(engine: Engine) -> None:
    effect = Counter()

    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        first = await step.run("first", effect, event["ticket"])
        answer = await step.ask("developer", "Go on?")
        return [first, await step.run("second", effect, answer.text)]

    async with engine.works(app_of(handle)):
        run = await engine.start("T1")
        await engine.question(run=run)
        receipt = await engine.answer("T1", "go")
        assert receipt.outcome == "accepted"
        assert await engine.result(run) == ["T1", "go"]
    assert effect.ran == ["T1", "go"]


async def test_a_result_has_its_declared_type_on_every_pass(engine: Engine) -> None:
    seen: list[Any] = []
    at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

    async def ticket() -> Ticket:
        return Ticket(title="It is broken", opened=at)

    def notes() -> list[Note]:
        return [Note("a"), Note("b", stars=2)]

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        seen.append((await step.run("ticket", ticket), await step.run("notes", notes)))
        answer = await step.ask("developer", "Seen?")
        return answer.text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question(run=run)
        await engine.answer()
        await engine.ended(run)
    wanted = (Ticket(title="It is broken", opened=at), [Note("a"), Note("b", stars=2)])
    assert seen == [wanted, wanted]


async def test_a_workflow_gets_its_event_as_the_declared_type(engine: Engine) -> None:
    app = App("desk")

    @app.workflow(on="desk.typed", key="title", name="typed")
    async def typed(event: Ticket) -> str:
        return f"{event.title} {event.opened.year}"

    async with engine.works(app):
        event = {"title": "T9", "opened": "2026-03-01T09:30:00Z"}
        await engine.client.send("desk.typed", event, event_id="e1")
        assert await engine.result(run_id("typed", "e1")) == "T9 2026"


async def test_the_same_name_twice_is_two_steps(engine: Engine) -> None:
    effect = Counter()

    async def handle(event: dict[str, Any], step: Step) -> list[int]:
        del event
        found = [await step.run("charge", effect, number) for number in range(3)]
        await step.ask("developer", "Enough?")
        return found

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question(run=run)
        await engine.answer()
        assert await engine.result(run) == [0, 1, 2]
    assert effect.ran == [0, 1, 2]


async def test_short_back_offs_are_waited_for_in_place(engine: Engine) -> None:
    effect = Counter(OSError("down"), OSError("still down"))

    async def handle(event: dict[str, Any], step: Step) -> str:
        return str(await step.run("call", effect, event["ticket"], retry=QUICK))

    async with engine.works(app_of(handle)):
        run = await engine.start("T1")
        assert await engine.result(run) == "T1"
    assert effect.ran == ["T1"] * 3


@pytest.mark.slow
async def test_long_back_offs_are_parked_and_hold_no_worker(engine: Engine) -> None:
    effect = Counter(RetryAfter(1.0, "rate limited"))

    async def handle(event: dict[str, Any], step: Step) -> str:
        return str(await step.run("call", effect, event["ticket"]))

    async with engine.works(app_of(handle)):
        run = await engine.start("T1")
        line = await engine.told(run, "step.failed")
        assert line.detail.startswith("RetryAfter: rate limited in Counter.__call__ (")
        assert "; again at" in line.detail
        assert (await engine.state(run)).status == "waiting"
    async with engine.works(app_of(handle)):  # whoever took it first is gone
        assert await engine.result(run) == "T1"
    assert effect.ran == ["T1", "T1"]


async def test_attempts_are_counted_and_then_the_step_has_failed(engine: Engine) -> None:
    effect = Counter(*(OSError(f"down {number}") for number in range(9)))

    async def handle(event: dict[str, Any], step: Step) -> None:
        await step.run("call", effect, event["ticket"], retry=QUICK)

    async with engine.works(app_of(handle)):
        state = await engine.ended(await engine.start())
    assert (state.status, state.error) == ("failed", "down 2")
    assert len(effect.ran) == QUICK.attempts


async def test_a_final_error_is_not_tried_again(engine: Engine) -> None:
    effect = Counter(NonRetriableError("no such customer"))

    async def handle(event: dict[str, Any], step: Step) -> None:
        await step.run("call", effect, event["ticket"])

    async with engine.works(app_of(handle)):
        state = await engine.ended(await engine.start())
    assert (state.status, state.error) == ("failed", "no such customer")
    assert len(effect.ran) == 1


async def test_a_failed_step_can_be_caught_and_is_the_same_when_replayed(engine: Engine) -> None:
    effect = Counter(ValueError("bad input"))
    caught: list[tuple[str, str, str, int]] = []

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        try:
            await step.run("risky", effect, retry=Retry(attempts=1))
        except StepFailed as error:
            caught.append((error.step, str(error), error.type_name, error.attempts))
        return (await step.ask("developer", "It failed; and now?")).text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question(run=run)
        await engine.answer(text="let it be")
        assert await engine.result(run) == "let it be"
    assert caught == [("risky", "bad input", "ValueError", 1)] * 2
    assert len(effect.ran) == 1


async def test_a_try_that_takes_too_long_is_ended(engine: Engine) -> None:
    ended: list[bool] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        await step.run("slow", slow, timeout="50ms", retry=Retry(attempts=2, first="1ms"))

    async with engine.works(app_of(handle)):
        state = await engine.ended(await engine.start())
    assert (state.status, state.error) == ("failed", "it took longer than its timeout")
    assert ended == [True, True]


async def test_a_body_that_raises_ends_its_run_with_the_reason(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del step
        raise ValueError(f"no such customer: {event['name']}")

    async with engine.works(app_of(handle)):
        state = await engine.ended(await engine.start(name="Ada"))
    assert (state.status, state.error) == ("failed", "no such customer: Ada")


async def test_a_result_without_a_json_form_is_reported(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> object:
        del event, step
        return object()

    async with engine.works(app_of(handle)):
        state = await engine.ended(await engine.start())
    assert state.status == "failed"
    assert "a object cannot be recorded" in state.error


async def test_an_idempotency_key_is_the_same_on_every_try(engine: Engine) -> None:
    keys: list[str] = []

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event

        async def charge() -> None:
            keys.append(step.idempotency_key("charge"))
            if len(keys) < 3:
                raise OSError("down")

        await step.run("charge", charge, retry=QUICK)

    async with engine.works(app_of(handle)):
        await engine.ended(await engine.start())
        await engine.ended(await engine.start())
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]


@pytest.mark.slow
async def test_time_chance_and_ids_are_the_same_on_every_pass(engine: Engine) -> None:
    seen: list[Any] = []

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        seen.append((await step.now(), await step.uuid(), await step.random()))
        await step.ask("developer", "Again?")

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question(run=run)
        await engine.answer()
        await engine.ended(run)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert isinstance(seen[0][0], datetime)


# -- sleeps ------------------------------------------------------------------------------------


async def test_a_sleep_is_parked_and_woken(engine: Engine) -> None:
    passes: list[float] = []

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        passes.append(time.monotonic())
        await step.sleep("300ms")
        return "rested"

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.told(run, "slept")
        assert (await engine.state(run)).status == "waiting"
        assert await engine.result(run) == "rested"
    assert len(passes) == 2
    assert passes[1] - passes[0] >= 0.29


async def test_a_sleep_that_ends_while_no_worker_runs_is_over_when_one_starts(
    engine: Engine,
) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        await step.sleep_until(datetime.now(UTC) + timedelta(milliseconds=300))
        return "rested"

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.told(run, "slept")
    await engine.due()
    async with engine.works(app_of(handle)):
        assert await engine.result(run) == "rested"


async def test_parallel_sleeps_are_one_wait(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        del event

        async def nap(text: str) -> str:
            await step.sleep("200ms")
            return text

        return await step.gather(nap("a"), nap("b"), nap("c"))

    async with engine.works(app_of(handle)):
        assert await engine.result(await engine.start()) == ["a", "b", "c"]


# -- branches ----------------------------------------------------------------------------------


def two_questions(effect: Counter) -> App:
    async def handle(event: dict[str, Any], step: Step) -> list[str]:
        del event

        async def branch(name: str) -> str:
            answer = await step.ask("developer", f"{name}?", name=name)
            return str(await step.run(f"use {name}", effect, f"{name}={answer.text}"))

        found = await step.gather(branch("left"), branch("right"))
        return [*found, await step.run("both", effect, "both")]

    return app_of(handle)


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
async def test_branches_go_on_in_whatever_order_they_are_answered(
    engine: Engine, order: tuple[str, str]
) -> None:
    effect = Counter()
    async with engine.works(two_questions(effect)):
        run = await engine.start()
        ids = {q.question[:-1]: q.id for q in await engine.questions(2)}
        for name in order:
            receipt = await engine.answer(text="yes", question_id=ids[name])
            assert receipt.outcome == "accepted"
        assert await engine.result(run) == ["left=yes", "right=yes", "both"]
    assert sorted(effect.ran) == ["both", "left=yes", "right=yes"]


async def test_branches_answered_at_once_are_joined_by_one_of_two_workers(engine: Engine) -> None:
    effect = Counter()
    app = two_questions(effect)
    async with engine.works(app), engine.works(app):
        runs = {ticket: await engine.start(ticket) for ticket in map(str, range(12))}
        asked = await engine.questions(24)
        receipts = await asyncio.gather(
            *(engine.answer(q.ticket, "yes", question_id=q.id) for q in asked)
        )
        assert {receipt.outcome for receipt in receipts} == {"accepted"}
        for run in runs.values():
            assert await engine.result(run) == ["left=yes", "right=yes", "both"]
    assert sorted(effect.ran) == ["both"] * 12 + ["left=yes"] * 12 + ["right=yes"] * 12


async def test_a_failed_branch_is_raised_once_the_others_are_done(engine: Engine) -> None:
    effect = Counter()

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event

        async def fails() -> None:
            raise NonRetriableError("this branch is rotten")

        try:
            await step.gather(step.run("bad", fails), step.run("good", effect, "good"))
        except StepFailed as error:
            return (await step.ask("developer", str(error))).text
        return "not reached"

    async with engine.works(app_of(handle)):
        run = await engine.start()
        assert (await engine.question()).question == "this branch is rotten"
        await engine.answer(text="saw it off")
        assert await engine.result(run) == "saw it off"
    assert effect.ran == ["good"]


async def test_a_slow_branch_is_not_taken_for_a_changed_body(engine: Engine) -> None:
    effect = Counter()

    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        del event

        async def slow() -> Any:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.6):
                    await asyncio.Event().wait()
            return await step.run("slow", effect, "slow")

        async def asking() -> Any:
            answer = await step.ask("developer", "Well?")
            return await step.run("told", effect, answer.text)

        return await step.gather(slow(), asking())

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
        await engine.told(run, "step.done")
        await engine.answer(text="told")
        assert await engine.result(run) == ["slow", "told"]
    assert sorted(effect.ran) == ["slow", "told"]


# -- changed code ------------------------------------------------------------------------------


async def test_a_body_without_a_recorded_step_is_reported_with_both_versions(
    engine: Engine,
) -> None:
    effect = Counter()

    async def old(event: dict[str, Any], step: Step) -> None:
        del event
        await step.run("weigh", effect)
        await step.ask("developer", "Ready?")

    async def new(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("developer", "Ready?")
        await step.run("ship", effect)

    async with engine.works(app_of(old)):
        run = await engine.start()
        await engine.question(run=run)
        before = (await engine.state(run)).version
    app = app_of(new)
    [after] = [workflow.version for workflow in app.workflows.values()]
    async with engine.works(app):
        await engine.answer()
        block = await engine.blocked(run)
    assert before != after
    for word in ("'weigh'", repr(before), repr(after), "'handle'"):
        assert word in block.reason
    assert len(effect.ran) == 1


async def test_a_branch_without_a_recorded_step_is_reported(engine: Engine) -> None:
    effect = Counter()

    def body(*, weighs: bool) -> Any:
        async def handle(event: dict[str, Any], step: Step) -> list[Any]:
            del event

            async def left() -> None:
                if weighs:
                    await step.run("weigh", effect)
                await step.ask("developer", "Left?", name="left")

            async def right() -> None:
                await step.ask("developer", "Right?", name="right")
                await step.run("ship", effect)

            return await step.gather(left(), right())

        return handle

    async with engine.works(app_of(body(weighs=True))):
        run = await engine.start()
        asked = {q.question: q.id for q in await engine.questions(2)}
    async with engine.works(app_of(body(weighs=False))):
        await engine.answer(question_id=asked["Right?"])
        block = await engine.blocked(run)
    assert "'weigh'" in block.reason
    assert len(effect.ran) == 1


async def test_a_step_that_became_a_question_is_reported(engine: Engine) -> None:
    effect = Counter()

    async def old(event: dict[str, Any], step: Step) -> None:
        del event
        await step.run("ask", effect)
        await step.ask("developer", "Ready?", name="ready")

    async def new(event: dict[str, Any], step: Step) -> None:
        del event
        await step.ask("developer", "Ready?", name="ask")

    async with engine.works(app_of(old)):
        run = await engine.start()
        await engine.question(run=run)
    async with engine.works(app_of(new)):
        await engine.answer()
        block = await engine.blocked(run)
    assert "'ask'" in block.reason


async def test_steps_may_be_added_after_the_recorded_ones(engine: Engine) -> None:
    effect = Counter()

    async def old(event: dict[str, Any], step: Step) -> str:
        del event
        await step.run("weigh", effect, "weigh")
        return (await step.ask("developer", "Ready?")).text

    async def new(event: dict[str, Any], step: Step) -> str:
        del event
        await step.run("weigh", effect, "weigh")
        answer = await step.ask("developer", "Ready?")
        return str(await step.run("ship", effect, answer.text))

    async with engine.works(app_of(old)):
        run = await engine.start()
        await engine.question(run=run)
    async with engine.works(app_of(new)):
        await engine.answer(text="ship it")
        assert await engine.result(run) == "ship it"
    assert effect.ran == ["weigh", "ship it"]


# -- what users do without meaning harm --------------------------------------------------------


async def test_a_step_inside_a_step_is_refused_in_words(engine: Engine) -> None:
    effect = Counter()

    async def handle(event: dict[str, Any], step: Step) -> None:
        del event

        async def outer() -> Any:
            return await step.run("inner", effect, "inner")

        await step.run("outer", outer)

    async with engine.works(app_of(handle)):
        block = await engine.blocked(await engine.start())
    assert "step 'inner' begins inside step 'outer'" in block.reason
    assert effect.ran == []


async def test_a_step_that_exits_ends_its_run_and_not_its_worker(engine: Engine) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def handle(event: dict[str, Any], step: Step) -> str:
        if event["ticket"] == "bad":
            await step.run("leave", leave, retry=Retry(attempts=1))
        return "fine"

    async with engine.works(app_of(handle)):
        bad = await engine.start("bad")
        assert await engine.result(await engine.start("good")) == "fine"
        state = await engine.ended(bad)
    assert state.status == "failed"
    assert "SystemExit" in state.error


async def test_a_task_group_around_steps_is_refused_in_words(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> None:
        del event
        async with asyncio.TaskGroup() as group:
            group.create_task(step.ask("developer", "One?", name="one"))
            group.create_task(step.ask("developer", "Two?", name="two"))

    async with engine.works(app_of(handle)):
        run = await engine.start()
        block = await engine.blocked(run)
    assert "step.gather" in block.reason


async def test_a_result_larger_than_any_message_is_kept(engine: Engine) -> None:
    effect = Counter()

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        big: str = await step.run("big", effect, "x" * 2_000_000)
        answer = await step.ask("developer", "Large enough?")
        return big + answer.text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
    async with engine.works(app_of(handle)):
        await engine.answer(text="y")
        assert await engine.result(run) == "x" * 2_000_000 + "y"
        detail = await engine.client.show(run)
    assert len(effect.ran) == 1
    assert len(detail.result) == 2_000_001


async def test_a_result_that_looks_like_a_reference_is_not_taken_for_one(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> list[Any]:
        del event

        def odd() -> Any:
            return {"$blob": "0" * 64, "size": 3}

        found = await step.run("odd", odd)
        await step.ask("developer", "Odd?")
        return [found, {"$blob": 1}]

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        assert await engine.result(run) == [{"$blob": "0" * 64, "size": 3}, {"$blob": 1}]


async def test_a_question_too_long_to_be_read_is_refused_in_words(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        if event["ticket"] == "big":
            await step.ask("developer", "What now?", context="x" * 2_000_000)
        return "fine"

    async with engine.works(app_of(handle)):
        run = await engine.start("big")
        assert await engine.result(await engine.start("other")) == "fine"
        block = await engine.blocked(run)
    assert "question" in block.reason


async def test_a_long_question_is_asked(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        return (await step.ask("developer", "What now?", context="x" * 200_000)).text

    async with engine.works(app_of(handle)):
        run = await engine.start()
        assert len((await engine.question()).context) == 200_000
        await engine.answer(text="this")
        assert await engine.result(run) == "this"


async def test_a_body_knows_its_ticket_from_its_first_line(engine: Engine) -> None:
    """Before anything is recorded, and on every later pass."""
    seen: list[str] = []

    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        seen.append(step.ticket)
        await step.ask("developer", "Go on?")
        return step.ticket

    async with engine.works(app_of(handle)):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        assert await engine.result(run) == "T1"
    assert set(seen) == {"T1"}
