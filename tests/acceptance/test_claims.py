"""What people say to an open question besides answering: claims, passes, declines."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from layby import App, Role, Rung
from layby.actors.people.answer import Receipt
from layby.actors.people.receipts import Receipts
from layby.bus.errors import PublishUnconfirmed
from layby.bus.reading import every
from layby.bus.wire import Message
from layby.runtime import clock
from layby.runtime.act_records import ClaimedQuestion
from layby.runtime.run import LiveRun
from layby.runtime.state import RunState
from tests.engine import WITHIN, Engine, app_of, until

pytestmark = pytest.mark.nats


def asking(*roles: Role | str, **options: Any) -> App:
    """An app whose run asks a developer once, with these options."""

    async def handle(event: dict[str, Any], step: Any) -> dict[str, Any]:
        del event
        answer = await step.ask("developer", "Known?", default=None, **options)
        return {"text": answer.text, "by": answer.by}

    return app_of(handle, roles=roles or ["developer"])


async def said(engine: Engine, subject: str, body: dict[str, Any] | bytes = b"") -> Receipt:
    """Say something as a nats CLI does; its receipt."""
    role, _, token, *_ = subject.split(".")
    sub = await engine.connection.nc.subscribe(f"{role}.receipt.{token}")
    try:
        await engine.connection.nc.flush()
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        ack = await engine.wire.store(subject, data)
        while True:
            receipt = msgspec.json.decode((await sub.next_msg(WITHIN)).data, type=Receipt)
            if receipt.seq == ack.seq:
                return receipt
    finally:
        await sub.unsubscribe()


async def published(engine: Engine, role: str = "developer") -> list[Message]:
    return [each async for each in every(engine.wire, "QUESTIONS", f"{role}.question.T1")]


async def shown(engine: Engine, count: int, role: str = "developer") -> list[Message]:
    """The questions published for a role, once there are `count`."""

    async def look() -> list[Message]:
        found = await published(engine, role)
        return found if len(found) >= count else []

    return await until(look)


async def test_a_claim_is_seen_by_all_and_a_second_one_learns_whose_it_is(engine: Engine) -> None:
    async with engine.works(asking()):
        await engine.start()
        question = await engine.question()
        first = await said(engine, "developer.claim.T1.ada")
        assert (first.outcome, first.question, first.by) == ("recorded", question.id, "ada")
        second = await said(engine, "developer.claim.T1.bob")
        assert (second.outcome, second.by, second.until) == ("already_claimed", "ada", first.until)
        [row] = await engine.client.questions()
        assert row.claim is not None
        assert (row.claim.by, row.claim.until) == ("ada", first.until)
        renewed = await said(engine, "developer.claim.T1.ada", {"minutes": 90})
        assert renewed.outcome == "recorded"
        assert isinstance(renewed.until, str)
        assert isinstance(first.until, str)
        assert renewed.until > first.until
        theirs = await said(engine, "developer.claim.T1.bob", {"minutes": 0})
        assert theirs.outcome == "already_claimed", "nobody releases what another has"
        assert (await said(engine, "developer.claim.T1.ada", {"minutes": 0})).outcome == "recorded"
        assert (await engine.client.questions())[0].claim is None
        assert (await said(engine, "developer.claim.T1.bob")).outcome == "recorded"
        assert (await engine.answer()).outcome == "accepted", "a claim keeps nobody from answering"


async def test_passing_on_asks_another_role_and_its_answer_counts(engine: Engine) -> None:
    async with engine.works(asking("developer", "lead")):
        run = await engine.start()
        await engine.question()
        receipt = await said(engine, "developer.pass.T1.ada", {"to": "role:lead"})
        assert (receipt.outcome, receipt.reason) == ("recorded", "role:lead is asked too")
        [message] = await shown(engine, 1, "lead")
        assert message.headers["Layby-Passed-By"] == "ada"
        answer = await engine.answer(role="lead", responder="cto")
        assert answer.outcome == "accepted"
        assert await engine.result(run) == {"text": "yes", "by": "cto"}


async def test_when_everybody_has_declined_the_next_escalation_is_reached_at_once(
    engine: Engine,
) -> None:
    developer = Role("developer", people=["ada", "bob"], escalate=[Rung("2h", to="role:lead")])
    async with engine.works(asking(developer, "lead")):
        run = await engine.start()
        await engine.question()
        assert (await said(engine, "developer.decline.T1.ada")).outcome == "recorded"
        assert await published(engine, "lead") == []
        assert (await said(engine, "developer.decline.T1.bob")).outcome == "recorded"
        [ladder] = (await engine.state(run)).ladders.values()
        assert ladder.rungs[0].early, "in the same entry"
        [message] = await shown(engine, 1, "lead")
        assert message.headers["Layby-Escalation"] == "1"


# -- claims and reminders ----------------------------------------------------------------------


async def test_while_somebody_is_on_it_a_reminder_is_for_them_alone(engine: Engine) -> None:
    async with engine.works(asking(Role("developer", remind=["600ms"]))):
        run = await engine.start()
        await engine.question()
        await said(engine, "developer.claim.T1.ada")
        _, reminder = await shown(engine, 2)
        assert reminder.headers["Layby-Told"] == "ada"
        assert msgspec.json.decode(reminder.data)["rung"]["claimed"] is True
        line = await engine.told(run, "question.reminded")
        assert line.detail == "ada only, who is on it"


async def test_after_a_claim_has_expired_everybody_is_reminded_again(engine: Engine) -> None:
    async with engine.works(asking(Role("developer", remind=["1500ms"]))):
        await engine.start()
        await engine.question()
        receipt = await said(engine, "developer.claim.T1.ada", {"minutes": 0.01})
        assert receipt.outcome == "recorded"
        _, reminder = await shown(engine, 2)
        assert "Layby-Told" not in reminder.headers
        [row] = await engine.client.questions()
        assert row.claim is None
        assert (await said(engine, "developer.claim.T1.bob")).outcome == "recorded"


async def test_a_claim_stops_no_escalation(engine: Engine) -> None:
    developer = Role("developer", escalate=[Rung("500ms", to="role:lead")])
    async with engine.works(asking(developer, "lead")):
        await engine.start()
        await engine.question()
        await said(engine, "developer.claim.T1.ada")
        [message] = await shown(engine, 1, "lead")
        assert message.headers["Layby-Escalation"] == "1"
        told = await said(engine, "lead.claim.T1.cto")
        assert (told.outcome, told.by) == ("already_claimed", "ada"), "one claim for all roles"


async def test_a_claim_silences_nobody_whose_vote_is_needed(engine: Engine) -> None:
    people = ["ada", "bob", "cleo"]
    role = Role("developer", people=people, remind=["600ms"])
    async with engine.works(asking(role, answer=bool, quorum=2)):
        await engine.start()
        await engine.question()
        assert (await said(engine, "developer.claim.T1.ada")).outcome == "recorded"
        _, reminder = await shown(engine, 2)
        assert "Layby-Told" not in reminder.headers


# -- which question, and whether in time -------------------------------------------------------


async def test_with_two_questions_open_a_claim_must_name_one(engine: Engine) -> None:
    async def handle(event: dict[str, Any], step: Any) -> str:
        del event
        await step.gather(step.ask("developer", "One?"), step.ask("developer", "Two?"))
        return "done"

    async with engine.works(app_of(handle)):
        await engine.start()
        one, two = await engine.questions(2)
        unnamed = await said(engine, "developer.claim.T1.ada")
        assert unnamed.outcome == "ambiguous"
        assert {each.id for each in unnamed.candidates} == {one.id, two.id}
        assert not any(each.answer_with for each in unnamed.candidates)
        for question in (one, two):
            named = await said(engine, "developer.claim.T1.ada", {"questionId": question.id})
            assert (named.outcome, named.question) == ("recorded", question.id)


async def test_a_closed_question_and_an_unknown_one_cannot_be_claimed(engine: Engine) -> None:
    async with engine.works(asking()):
        run = await engine.start()
        question = await engine.question()
        unknown = await said(engine, "developer.claim.T1.ada", {"questionId": "q000000000000"})
        assert unknown.outcome == "invalid"
        assert (await said(engine, "developer.claim.T9.ada")).outcome == "unknown_ticket"
        await engine.answer(responder="bob")
        await engine.result(run)
        for verb, body in (("claim", b""), ("pass", b"person:eve"), ("decline", b"")):
            late = await said(engine, f"developer.{verb}.T1.ada", body)
            assert (late.outcome, late.question) == ("already_answered", question.id)
            assert late.act == verb


@pytest.mark.parametrize(
    ("subject", "body", "why"),
    [
        ("developer.claim.T1", b"", "who you are"),
        ("developer.claim.T1.ada.via-nats", b"", "who you are"),
        ("developer.claim.T1.ada", b'{"minutes": "x"}', "minutes"),
        ("developer.claim.T1.ada", b"\xff", "UTF-8"),
        ("developer.claim.=2e.ada", b"", "token"),
        ("developer.pass.T1.ada", b"", "role:lead"),
        ("developer.pass.T1.ada", b"role:nobody", "no role 'nobody'"),
        ("developer.pass.T1.ada", b"role:developer", "asked already"),
        ("developer.pass.T1.ada", b"person:ada", "yourself"),
        ("developer.claim.T1.ada", b'{"minutes": 0}', "not claimed"),
    ],
)
async def test_an_impossible_act_gets_a_receipt_with_the_reason(
    engine: Engine, subject: str, body: bytes, why: str
) -> None:
    async with engine.works(asking()):
        await engine.start()
        await engine.question()
        receipt = await said(engine, subject, body)
        assert receipt.outcome == "invalid"
        assert why in str(receipt.reason)
        assert (await said(engine, "developer.claim.T1.bob")).outcome == "recorded"


async def test_a_person_that_a_bridge_vouches_for_can_claim_too(engine: Engine) -> None:
    async with engine.works(asking()):
        run = await engine.start()
        await engine.question()
        receipt = await said(engine, "developer.claim.T1.ada.via-slack")
        assert (receipt.outcome, receipt.by) == ("recorded", "ada")
        line = await engine.told(run, "question.claimed")
        assert line.data["vouched"] == "slack"


# -- passes ------------------------------------------------------------------------------------


async def test_a_question_goes_to_a_person_and_back_and_each_pass_is_recorded(
    engine: Engine,
) -> None:
    async with engine.works(asking()):
        run = await engine.start()
        await engine.question()
        await said(engine, "developer.claim.T1.ada")
        await said(engine, "developer.pass.T1.ada", b"person:bob")
        await said(engine, "developer.pass.T1.bob", b"person:ada")
        _, first, second = await shown(engine, 3)
        about = [msgspec.json.decode(each.data)["rung"] for each in (first, second)]
        assert [(each["by"], each["to"], each["told"]) for each in about] == [
            ("ada", "person:bob", ["bob"]),
            ("bob", "person:ada", ["ada"]),
        ]
        [row] = await engine.client.questions()
        assert (row.claim, row.declined) == (None, ["bob"])
        assert [(rung.by, rung.to) for rung in row.ladder] == [
            ("ada", "person:bob"),
            ("bob", "person:ada"),
        ]
        await engine.answer(responder="ada")
        await engine.result(run)
        titles = [line.title for line in await engine.lines(run)]
        assert "ada passed it to person:bob" in titles


async def test_a_role_may_pass_a_question_back(engine: Engine) -> None:
    async with engine.works(asking("developer", "lead")):
        run = await engine.start()
        await engine.question()
        await said(engine, "developer.pass.T1.ada", b"role:lead")
        await shown(engine, 1, "lead")
        back = await said(engine, "lead.pass.T1.cto", b"role:developer")
        assert back.outcome == "recorded"
        await shown(engine, 2)
        person = await said(engine, "lead.pass.T1.cto", b"person:dan")
        assert person.outcome == "recorded"
        _, message = await shown(engine, 2, "lead")
        assert msgspec.json.decode(message.data)["rung"]["to"] == "person:dan", "for his own role"
        assert (await engine.answer(role="lead", responder="dan")).outcome == "accepted"
        await engine.result(run)


async def test_a_question_that_several_people_decide_is_passed_to_a_voter_only(
    engine: Engine,
) -> None:
    people = ["ada", "bob", "cleo"]
    role = Role("developer", people=people)
    app = asking(role, "lead", answer=bool, quorum=2, exclude=["cleo"])
    async with engine.works(app):
        await engine.start()
        await engine.question()
        lead = await said(engine, "developer.pass.T1.ada", b"role:lead")
        assert (lead.outcome, "no vote" in str(lead.reason)) == ("invalid", True)
        for person, why in (("cleo", "excluded"), ("eve", "not in the role")):
            refused = await said(engine, "developer.pass.T1.ada", f"person:{person}".encode())
            assert (refused.outcome, why in str(refused.reason)) == ("invalid", True)
        passed = await said(engine, "developer.pass.T1.ada", b"person:bob")
        assert passed.outcome == "recorded"


# -- declines ----------------------------------------------------------------------------------


async def test_the_only_person_it_was_for_may_decline_and_the_next_is_asked(
    engine: Engine,
) -> None:
    app = asking("developer", "lead", to="person:ada", escalate=[Rung("2h", to="role:lead")])
    async with engine.works(app):
        run = await engine.start()
        await engine.question()
        assert (await said(engine, "developer.decline.T1.bob")).outcome == "recorded"
        assert await published(engine, "lead") == []
        assert (await said(engine, "developer.decline.T1.ada")).outcome == "recorded"
        await shown(engine, 1, "lead")
        again = await said(engine, "developer.decline.T1.ada")
        assert again.outcome == "recorded", "a double click is no error"
        state = await engine.state(run)
        assert [act.by for [*said_] in state.acts.values() for act in said_] == ["bob", "ada"]
        [rung] = next(iter(state.ladders.values())).rungs
        assert rung.early


async def test_if_everybody_declined_and_no_escalation_is_left_the_deadline_decides(
    engine: Engine,
) -> None:
    async with engine.works(asking(Role("developer", people=["ada"]), timeout="2s")):
        run = await engine.start()
        await engine.question()
        assert (await said(engine, "developer.decline.T1.ada")).outcome == "recorded"
        [row] = await engine.client.questions()
        assert row.declined == ["ada"]
        assert (await engine.result(run))["text"] == ""


# -- the order of the stream -------------------------------------------------------------------


@pytest.mark.slow
async def test_the_claim_that_was_stored_first_wins_while_a_dead_worker_holds_it(
    engine: Engine,
) -> None:
    async with engine.works(asking()):
        await engine.start()
        await engine.question()
    first = await engine.wire.store("developer.claim.T1.ada", b"")
    await taken_by_dead_worker(engine)
    second = await engine.wire.store("developer.claim.T1.bob", b"")
    async with engine.works(asking()):
        assert (await receipt_of(engine, second.seq)).outcome == "already_claimed"
        [row] = await engine.client.questions()
        assert row.claim is not None
        assert row.claim.by == "ada"
        held = await receipt_of(engine, first.seq)
        assert (held.outcome, held.by) == ("recorded", "ada")


async def taken_by_dead_worker(engine: Engine) -> None:
    """Take the next act like a worker that dies before it handles it."""
    body = msgspec.json.encode({"batch": 1, "expires": 30_000_000_000})
    nc = engine.connection.nc
    hand = await nc.subscribe(nc.new_inbox())
    subject = "$JS.API.CONSUMER.MSG.NEXT.ANSWERS.acts-developer"
    await nc.publish(subject, body, hand.subject)
    assert (await hand.next_msg(30)).subject == "developer.claim.T1.ada"


async def receipt_of(engine: Engine, seq: int) -> Receipt:
    """The receipt of one act, once it is there."""

    async def look() -> list[Receipt]:
        found = every(engine.wire, "QUESTIONS", "developer.receipt.T1")
        receipts = [msgspec.json.decode(each.data, type=Receipt) async for each in found]
        return [each for each in receipts if each.seq == seq]

    return (await until(look))[0]


async def test_of_many_claims_at_once_one_wins_on_any_number_of_workers(engine: Engine) -> None:
    app = asking()
    async with engine.works(app), engine.works(app), engine.works(app):
        await engine.start()
        await engine.question()
        acks = [await engine.wire.store(f"developer.claim.T1.p{n}", b"") for n in range(12)]
        found = [await receipt_of(engine, ack.seq) for ack in acks]
        assert [each.outcome for each in found] == ["recorded", *["already_claimed"] * 11]
        assert {each.by for each in found} == {"p0"}


async def test_a_flood_from_one_person_keeps_nobody_else_from_acting(
    engine: Engine,
) -> None:
    async with engine.works(asking()):
        run = await engine.start()
        await engine.question()
        for _ in range(40):
            await engine.wire.store("developer.claim.T1.mallory", b"")
        last = await engine.wire.store("developer.claim.T1.mallory", b"")
        assert "no more is recorded" in str((await receipt_of(engine, last.seq)).reason)
        assert (await said(engine, "developer.decline.T1.ada")).outcome == "recorded"
        assert len(next(iter((await engine.state(run)).acts.values()))) == 33


async def test_a_ticket_of_any_name_can_be_claimed(engine: Engine) -> None:
    async with engine.works(asking()):
        await engine.start(ticket="a/b")
        await engine.question()
        receipt = await said(engine, "developer.claim.a=2Fb.ada")
        assert (receipt.outcome, receipt.ticket) == ("recorded", "a/b")


@pytest.mark.parametrize("ends", ["answer", "deadline", "cancel"])
async def test_an_act_redelivered_after_the_end_gets_the_same_receipt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    issue, over = Receipts.issue, list[str]()

    async def issued_and_gone(self: Receipts, receipt: Receipt, token: str) -> None:
        await issue(self, receipt, token)
        if receipt.act and not over:
            raise PublishUnconfirmed("the worker dies before it acknowledges")

    monkeypatch.setattr(Receipts, "issue", issued_and_gone)
    saying = [("claim", "ada", b""), ("claim", "bob", b""), ("claim", "cleo", b'{"minutes": 0}')]
    saying += [("decline", "dan", b""), ("decline", "dan", b""), ("pass", "eve", b"person:eve")]
    async with engine.works(asking(timeout="3s" if ends == "deadline" else "1h")):
        run = await engine.start()
        await engine.question()
        acks = [
            await engine.wire.store(f"developer.{verb}.T1.{by}", body) for verb, by, body in saying
        ]
        told = [await receipt_of(engine, ack.seq) for ack in acks]
        assert [each.outcome for each in told] == [
            *("recorded", "already_claimed", "already_claimed"),
            *("recorded", "recorded", "invalid"),
        ]
        if ends == "answer":
            await engine.answer()
        elif ends == "cancel":
            await engine.client.cancel(run, "not needed")
        await engine.ended(run)
        over.append(ends)

        async def acknowledged() -> bool:
            info = await engine.wire.api("CONSUMER.INFO.ANSWERS.acts-developer")
            return not info["num_ack_pending"]

        await until(acknowledged)
        for first in told:
            found = every(engine.wire, "QUESTIONS", "developer.receipt.T1")
            receipts = [msgspec.json.decode(each.data, type=Receipt) async for each in found]
            same = {(r.outcome, r.reason, r.by) for r in receipts if r.seq == first.seq}
            assert same == {(first.outcome, first.reason, first.by)}


async def test_a_claim_that_another_worker_recorded_silences_a_reminder(engine: Engine) -> None:
    async with engine.works(asking(Role("developer", remind=["1500ms"]))):
        run = await engine.start()
        question = await engine.question()
        other = LiveRun(engine.log, RunState(id=run))
        await other.load()
        now = clock.now()
        claim = ClaimedQuestion(
            id=question.id, by="ada", at=now, seq=1, vouched="nats", until=now + 60
        )
        await other.append([claim])
        _, reminder = await shown(engine, 2)
        assert reminder.headers["Layby-Told"] == "ada"
