"""A question that stays open: reminders, escalations, and the deadline that decides."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from layby import Agent, App, Role, Rung, tool
from layby.actors.people.answer_resolution import AnswerResolver
from layby.actors.people.deadlines import Deadlines
from layby.actors.people.incoming import Incoming, Taken
from layby.actors.people.rota import Window
from layby.actors.people.rota_book import RotaBook
from layby.actors.people.rung_publisher import RungPublisher
from layby.actors.people.rungs import Rungs
from layby.bus.mailbox import Delivery
from layby.bus.reading import every
from layby.bus.token import encode
from layby.bus.wire import Message
from layby.operations.provisioning import provision
from layby.runtime.envelope import decode
from layby.runtime.errors import Interrupted, InvalidSetup
from layby.runtime.ladder_records import Reached
from layby.runtime.run import LiveRun
from layby.tools.ask_developer import make_ask
from tests.engine import Engine, TooSlow, app_of, desk, in_time, is_handled, until
from tests.scripted import Scripted, calls, says

pytestmark = pytest.mark.nats


def asking(*roles: Role | str, **options: Any) -> App:
    """An app whose run asks a developer once, with these options."""

    async def handle(event: dict[str, Any], step: Any) -> dict[str, Any]:
        del event
        answer = await step.ask("developer", "Known?", default=None, **options)
        return {"text": answer.text, "by": answer.by}

    return app_of(handle, roles=roles or ["developer"])


async def published(engine: Engine, role: str = "developer", ticket: str = "T1") -> list[Message]:
    """The questions published for a role on a ticket, oldest first."""
    subject = f"{role}.question.{encode(ticket)}"
    return [message async for message in every(engine.wire, "QUESTIONS", subject)]


async def reminded(
    engine: Engine, count: int, role: str = "developer", ticket: str = "T1"
) -> list[Message]:
    async def look() -> list[Message]:
        found = await published(engine, role, ticket)
        return found if len(found) >= count else []

    return await until(look)


async def test_a_reminder_publishes_the_question_again_and_is_an_entry_of_the_log(
    engine: Engine,
) -> None:
    async with engine.works(asking(Role("developer", remind=["300ms", "500ms"]))):
        run = await engine.start()
        messages = await reminded(engine, 3)
        assert [each.headers.get("Layby-Reminder") for each in messages] == [None, "1", "2"]
        [ladder] = (await engine.state(run)).ladders.values()
        assert all(rung.reached >= rung.at for rung in ladder.rungs)
        await engine.answer()
        assert (await engine.result(run))["text"] == "yes"


async def test_an_escalation_asks_another_role_the_same_question(engine: Engine) -> None:
    app = asking(Role("developer", escalate=[Rung("300ms", to="role:lead")]), "lead")
    async with engine.works(app):
        run = await engine.start()
        [message] = await reminded(engine, 1, "lead")
        assert message.headers["Layby-Escalation"] == "1"

        async def listed() -> Any:
            return await engine.client.questions("lead")

        [row] = await until(listed)
        assert row.role == "lead"
        assert row.id == (await engine.client.questions("developer"))[0].id
        receipt = await engine.answer(role="lead", responder="cto")
        assert (receipt.outcome, receipt.question) == ("accepted", row.id)
        assert await engine.result(run) == {"text": "yes", "by": "cto"}
        late = await engine.answer()
        assert late.outcome == "already_answered"

        async def gone() -> bool:
            return not await engine.client.questions("lead")

        await until(gone)


async def idle(engine: Engine) -> None:
    """Return when no rung is armed, due, or being handled."""

    async def look() -> bool:
        info = await engine.wire.api("STREAM.INFO.TIMERS", {"subjects_filter": ">"})
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        if any(name.startswith("rung.") or name.count(".") > 1 for name in subjects):
            return False
        return await is_handled(engine.wire, "TIMERS.rungs", "RUNS.human-developer")

    await until(look)


async def test_rungs_of_a_question_that_was_answered_do_nothing(engine: Engine) -> None:
    async with engine.works(asking(Role("developer", remind=["500ms", "600ms"]))):
        run = await engine.start()
        await engine.question()
        await engine.answer()
        await engine.result(run)
        await idle(engine)
        assert len(await published(engine)) == 1
        [ladder] = (await engine.state(run)).ladders.values()
        assert not any(rung.reached for rung in ladder.rungs)


async def test_a_rung_is_not_published_once_its_question_is_closed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was recorded in time, but the answer came before its mail was handled."""
    show = RungPublisher.show

    async def late(publisher: Any, live: LiveRun, record: Any, *, again: bool) -> None:
        async def closed() -> bool:
            [question] = (await engine.state(live.id)).questions.values()
            return question.status != "open"

        await until(closed)
        await show(publisher, live, record, again=again)

    monkeypatch.setattr(RungPublisher, "show", late)
    async with engine.works(asking(Role("developer", remind=["200ms"]))):
        run = await engine.start()
        await engine.told(run, "question.reminded")
        await engine.answer()
        await engine.result(run)
        await idle(engine)
        assert len(await published(engine)) == 1


async def test_a_rung_whose_worker_fails_at_every_step_is_reached_and_published_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as if the worker had died after the entry, and after the publication."""
    due, publish = Rungs.due, RungPublisher._publish
    failed: list[str] = []

    async def once(name: str, work: Awaitable[Any]) -> Any:
        found = await work
        if failed.count(name) < 2:
            failed.append(name)
            raise Interrupted(f"it dies after {name}")
        return found

    async def acked(_: Any) -> None:
        """Its acknowledgement is lost as well."""

    async def dies_after_entry(rungs: Any, wanted: Any, delivery: Delivery) -> None:
        if failed.count("due") < 2:
            monkeypatch.setattr(type(delivery), "ack", acked)
        try:
            await once("due", due(rungs, wanted, delivery))
        finally:
            monkeypatch.setattr(type(delivery), "ack", ack)

    async def dies_after_publication(publisher: Any, *more: Any) -> Any:
        return await once("publish", publish(publisher, *more))

    ack = Delivery.ack
    monkeypatch.setattr(Rungs, "due", dies_after_entry)
    monkeypatch.setattr(RungPublisher, "_publish", dies_after_publication)
    async with engine.works(asking(Role("developer", remind=["200ms"]))):
        run = await engine.start()
        await reminded(engine, 2)
        await idle(engine)
        assert len(await published(engine)) == 2
        messages = await engine.log.load(run)
        records = [record for each in messages for record in decode(each.data).records]
        assert sum(isinstance(each, Reached) for each in records) == 1
        assert sorted(set(failed)) == ["due", "publish"]


ESCALATED = (Role("developer", escalate=[Rung("200ms", to="role:lead")]), "lead")


@pytest.mark.parametrize("first", ["lead", "developer"])
async def test_the_first_stored_answer_wins_whichever_role_gave_it(
    engine: Engine, first: str
) -> None:
    app = asking(*ESCALATED)
    second = "developer" if first == "lead" else "lead"
    async with engine.works(app):
        run = await engine.start()
        await reminded(engine, 1, "lead")
        await idle(engine)
    for role in (first, second):
        await engine.wire.store(f"{role}.response.T1.{role}", role.encode())
    async with engine.works(app), engine.works(app):
        assert await engine.result(run) == {"text": first, "by": first}
        assert await receipts(engine, 2) == {
            first: "accepted",
            second: "already_answered",
        }


async def receipts(engine: Engine, count: int) -> dict[str, str]:
    """The outcome of the answers, by the role on whose subject they were sent."""

    async def look() -> dict[str, str]:
        found = {
            message.headers["Nats-Subject"].partition(".")[0]: msgspec.json.decode(message.data)
            async for message in every(engine.wire, "QUESTIONS", "*.receipt.T1")
        }
        return {role: each["outcome"] for role, each in found.items() if len(found) == count}

    return await until(look)


async def test_an_earlier_answer_wins_even_if_no_record_has_its_escalation(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has published the question for the lead, and died before it wrote that down.

    The later answer is handled first: the other way round, the earlier one wins in any case.
    """

    async def dies(*_: Any) -> None:
        raise Interrupted("it dies here")

    app = asking(*ESCALATED)
    with monkeypatch.context() as patched:
        patched.setattr(RungPublisher, "_note", dies)
        async with engine.works(app):
            run = await engine.start()
            await reminded(engine, 1, "lead")
    for role in ("lead", "developer"):
        await engine.wire.store(f"{role}.response.T1.{role}", role.encode())

    async def held(*_: Any, **__: Any) -> None:
        raise Interrupted("the mail of the rung comes last")

    resolve = AnswerResolver.resolve

    async def of_the_developer(resolver: AnswerResolver, answer: Incoming, at: Delivery) -> Taken:
        if answer.given.by == "lead":
            raise Interrupted("another worker has it, and is slow")
        return await resolve(resolver, answer, at)

    monkeypatch.setattr(RungPublisher, "show", held)
    monkeypatch.setattr(AnswerResolver, "resolve", of_the_developer)
    async with engine.works(app):
        assert await engine.result(run) == {"text": "lead", "by": "lead"}


async def test_an_unnamed_answer_that_may_be_for_an_escalated_question_closes_none(
    engine: Engine,
) -> None:
    async def handle(event: dict[str, Any], step: Any) -> list[str]:
        del event
        found = await step.gather(
            step.ask("developer", "Known?", name="known"), step.ask("lead", "Pay?", name="pay")
        )
        return [each.text for each in found]

    async with engine.works(app_of(handle, roles=list(ESCALATED))):
        run = await engine.start()
        await reminded(engine, 2, "lead")
        await idle(engine)
        receipt = await engine.answer(role="lead")
        assert receipt.outcome == "ambiguous"
        assert {each.question for each in receipt.candidates} == {"Known?", "Pay?"}
        assert all("lead.response.T1" in each.answer_with[0] for each in receipt.candidates)
        for each in receipt.candidates:
            named = await engine.answer(text=each.question, role="lead", question_id=each.id)
            assert named.outcome == "accepted"
        assert await engine.result(run) == ["Known?", "Pay?"]


async def test_the_deadline_decides_after_the_last_rung_and_silence_is_not_a_yes(
    engine: Engine,
) -> None:
    role = Role("developer", remind=["200ms"], escalate=[Rung("300ms", to="role:lead")])
    async with engine.works(asking(role, "lead", timeout="1s")):
        run = await engine.start()
        assert (await engine.result(run))["text"] == ""
        assert (await engine.state(run)).questions.popitem()[1].status == "expired"
        kinds = [line.kind for line in await engine.lines(run)]
        assert kinds.index("question.escalated") < kinds.index("question.expired")
        late = await engine.answer(role="lead")
        assert late.outcome == "too_late"


async def test_an_answer_of_the_other_role_before_the_deadline_counts_even_if_read_later(
    engine: Engine,
) -> None:
    async def answered(ticket: str, seconds: float) -> Any:
        app = asking(*ESCALATED, timeout=seconds)
        async with engine.works(app):
            run = await engine.start(ticket)
            await reminded(engine, 1, "lead", ticket)
            await idle(engine)
        [question] = (await engine.state(run)).questions.values()
        stored = await engine.wire.store(f"lead.response.{ticket}.cto", b"in time")
        at = await engine.wire.stored_at("ANSWERS", stored.seq)
        if at is None or at >= question.deadline:
            raise TooSlow
        await engine.due()
        async with engine.works(app):
            return await engine.result(run)

    assert await in_time(answered, 1.0) == {"text": "in time", "by": "cto"}


async def test_after_the_deadline_no_rung_is_reached_even_if_it_was_due_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody worked meanwhile, and the rung is handled ahead of the deadline."""

    async def left(ticket: str, seconds: float) -> tuple[App, str, str]:
        app = asking(Role("developer", remind=[seconds / 2]), timeout=seconds)
        async with engine.works(app):
            run = await engine.start(ticket)
            await engine.question(run=run)
        if (await engine.state(run)).ladders.popitem()[1].rungs[0].reached:
            raise TooSlow
        await engine.due()
        return app, run, ticket

    app, run, ticket = await in_time(left, 1.0)
    due = Deadlines.due

    async def last(deadlines: Any, wanted: Any, delivery: Delivery) -> None:
        await idle(engine)
        await due(deadlines, wanted, delivery)

    monkeypatch.setattr(Deadlines, "due", last)
    async with engine.works(app):
        assert (await engine.result(run))["text"] == ""
    assert len(await published(engine, ticket=ticket)) == 1
    [ladder] = (await engine.state(run)).ladders.values()
    assert not ladder.rungs[0].reached


async def test_a_person_is_asked_on_the_same_subject_and_answers_for_the_role(
    engine: Engine,
) -> None:
    role = Role("developer", escalate=[Rung("200ms", to="person:cto")])
    async with engine.works(asking(role, to="person:ada")):
        run = await engine.start()
        first, again = await reminded(engine, 2)
        assert msgspec.json.decode(first.data)["to"] == "person:ada"
        rung = msgspec.json.decode(again.data)["rung"]
        assert (rung["to"], rung["told"]) == ("person:cto", ["cto"])
        assert again.headers["Layby-Told"] == "cto"
        await engine.answer(responder="cto")
        assert (await engine.result(run))["by"] == "cto"


async def test_a_retried_run_asks_with_a_new_ladder(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        return (await step.ask("developer", "Ready?", timeout="500ms")).text  # type: ignore[no-any-return]

    async with engine.works(
        app_of(handle, roles=[Role("developer", remind=["200ms"])], ask_timeout="1h")
    ):
        run = await engine.start()
        assert (await engine.ended(run)).status == "timed_out"
        await engine.client.retry(run, by="ada")
        messages = await reminded(engine, 4)
        assert [each.headers.get("Layby-Reminder") for each in messages] == [None, "1"] * 2
        assert len({msgspec.json.decode(each.data)["id"] for each in messages}) == 2


async def test_the_ladder_of_a_blocked_run_goes_on(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        known, _ = await step.gather(
            step.ask("developer", "Known?"), step.ask("nobody", "Who?", name="who")
        )
        return str(known.text)

    async with engine.works(app_of(handle, roles=list(ESCALATED))):
        run = await engine.start()
        await engine.blocked(run)
        await reminded(engine, 1, "lead")
        receipt = await engine.answer(role="lead")
        assert receipt.outcome == "accepted"
        assert (await engine.state(run)).status == "blocked"


async def test_an_approval_and_a_tool_that_asks_have_ladders_too(engine: Engine) -> None:
    paid: list[str] = []

    @tool(needs_approval=True, approval_escalate=[Rung("200ms", to="role:lead")])
    async def refund(order: str) -> str:
        """Give a customer money back."""
        paid.append(order)
        return "paid"

    ask = make_ask(name="ask", escalate=[Rung("200ms", to="role:lead")], to="person:ada")
    model = Scripted(
        calls(("refund", {"order": "A1"})), calls(("ask", {"question": "Why?"})), says("Done.")
    )
    agent = Agent("Clerk", tools=[refund, ask], model=model)
    async with engine.works(desk(agent, roles=["developer", "lead"])):
        run = await engine.start()
        await reminded(engine, 1, "lead")
        [row] = await engine.questions()
        approval = await engine.answer(text=f"approve {row.digest}", role="lead", responder="cto")
        assert (approval.outcome, approval.by) == ("accepted", "cto")
        await reminded(engine, 2, "lead")
        assert (await engine.answer(role="lead")).outcome == "accepted"
        assert (await engine.result(run))["text"] == "Done."
    assert paid == ["A1"]


@pytest.mark.parametrize(
    "options",
    [{"approval_to": "ada"}, {"approval_remind": "1h"}, {"approval_escalate": ["role:lead"]}],
)
def test_a_tool_whose_ladder_cannot_work_is_refused(options: Any) -> None:
    async def refund(order: str) -> str:
        return order

    with pytest.raises(InvalidSetup):
        tool(needs_approval=True, **options)(refund)
    with pytest.raises(InvalidSetup, match="give needs_approval="):
        tool(approval_urgent=True)(refund)


# -- the rota ----------------------------------------------------------------------------------

ON_ROTA = Role("developer", rota="dev", escalate=[Rung("1h", to="role:lead")])


def always(person: str, delegate: str = "") -> Window:
    return Window(person=person, start="2000-01-01", end="2100-01-01", delegate=delegate)


async def test_the_rota_is_read_when_the_question_is_asked(engine: Engine) -> None:
    app = asking(ON_ROTA, "lead")
    await provision(app, engine.settings)
    await RotaBook(engine.wire).change_shifts("dev", lambda _: (always("ada"),))
    await RotaBook(engine.wire).change_absences(lambda _: (always("ada", "bob"),))
    async with engine.works(app):
        run = await engine.start()
        line = await engine.told(run, "question.on_duty")
        assert line.detail == "bob for ada"
        assert (line.data["told"], line.data["absent"]) == (["bob"], {"bob": "ada"})

        async def listed() -> Any:
            rows = await engine.client.questions()
            return next((row for row in rows if row.ladder[0].reached), None)

        row = await until(listed)
        assert [(each.kind, each.told) for each in row.ladder] == [
            ("asked", ["bob"]),
            ("escalation", []),
        ]
        assert len(await published(engine)) == 1
        assert await published(engine, "lead") == []


async def test_with_nobody_on_duty_the_question_is_escalated_at_once(engine: Engine) -> None:
    app = asking(ON_ROTA, "lead")
    await provision(app, engine.settings)
    async with engine.works(app):
        run = await engine.start()
        await reminded(engine, 1, "lead")
        [duty, escalation] = (await engine.state(run)).ladders.popitem()[1].rungs
        assert (duty.nobody, duty.told) == (True, [])
        assert (escalation.early, escalation.reached == duty.reached) == (True, True)
        receipt = await engine.answer(role="lead", responder="cto")
        assert receipt.outcome == "accepted"
        lines = {line.kind: line.detail for line in await engine.lines(run)}
        assert lines["question.on_duty"] == "nobody is on duty"
