"""A worker and an operator try to answer for somebody whose answers are signed, and cannot.

Each has all but the private key: the worker's login may write whatever it likes into any log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from layby import Role
from layby.actors.people.answer import Receipt
from layby.bus.errors import BusError, PermissionDenied
from layby.bus.log import Log
from layby.bus.opened import opened
from layby.bus.requests import Requests
from layby.bus.token import encode
from layby.client import Client
from layby.client.decision import verify
from layby.client.signing import Signer, sign_answer
from layby.runtime.run import LiveRun
from layby.runtime.state import RunState
from layby.views.rows import QuestionRow
from tests.engine import until
from tests.security.house import WITHIN, House, started
from tests.signing_desk import ADA, APPROVER, ASKED, BOB, EVE, REFUND, Bank, forged, write

pytestmark = pytest.mark.nats


@pytest.fixture(params=["accounts", "jwt", "one account"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A server with the shipped configuration for the bank."""
    async with started(request.param, tmp_path, Bank().app) as house:
        yield house


async def waiting(house: House, ticket: str = "T1", on: str = REFUND) -> QuestionRow:
    """Something that waits for ada, as she sees it."""
    async with house.client("helpdesk") as helpdesk, house.client("ada") as ada:
        await helpdesk.send(on, {"ticketId": ticket})

        async def look() -> list[QuestionRow]:
            return await ada.questions(ticket=ticket)

        return (await until(look, WITHIN))[0]


async def answer(
    house: House, question: QuestionRow, text: str, *, who: str = "ada", signer: Signer = ADA
) -> Receipt:
    """Answer as a person who signs does, by their own login."""
    signed = sign_answer(question, text, by=who, signer=signer)
    async with house.client(who) as client:
        return await client.answer(
            question.ticket,
            text,
            role="approver",
            question_id=question.id,
            responder=who,
            signature=signed.signature,
            timeout=WITHIN,
        )


async def folded(requests: Requests, run: str) -> LiveRun:
    """A run as every worker of the bank has it."""
    live = LiveRun(Log(requests), RunState(id=run), signers=Bank().app.signers)
    await live.catch_up()
    return live


async def test_a_worker_cannot_approve_its_own_question(house: House) -> None:
    bank = Bank()
    async with house.working(bank.app):
        other = await waiting(house, "T0")
        question = await waiting(house)
        for_other = str(sign_answer(other, "approve", by="ada", signer=ADA).signature)
        for_no = str(sign_answer(question, "reject: no", by="ada", signer=ADA).signature)
        by_bob = str(sign_answer(question, "approve", by="bob", signer=BOB).signature)
        tries = ("", "v1.forged", for_other, for_no, by_bob)
        async with opened(house.settings("worker")) as bus:
            for signature in tries:
                live = await folded(bus.requests, question.run)
                frame = live.state.frames[live.state.questions[question.id].frame]
                record = forged(question.id, "approve", signature=signature)
                n = live.state.tail + 1
                await write(bus.requests, question.run, n, frame.actor, record)
                live = await folded(bus.requests, question.run)
                assert live.state.tail >= n
                assert live.state.questions[question.id].status == "open"
        async with Client.connect(house.settings("observer"), keys=[APPROVER]) as observer:
            shown = await observer.show(question.run)
            told = [step.kind for step in shown.steps]
            assert (told.count("answer.refused"), told.count("question.answered")) == (5, 0)
            assert [each.id for each in shown.questions] == [question.id]
            decision = await observer.decision(question.id, run=question.run)
        assert decision.outcome.status == "open"
        assert (await answer(house, question, "reject: no")).outcome == "accepted"
        assert (await house.ended(question.run)).status == "completed"
    assert bank.paid == []


async def test_an_answer_that_a_worker_has_signed_itself_stops_the_run_and_approves_nothing(
    house: House,
) -> None:
    bank = Bank()
    async with house.working(bank.app):
        question = await waiting(house, on=ASKED)
        own = str(sign_answer(question, "yes", by="ada", signer=EVE).signature)
        async with opened(house.settings("worker")) as bus:
            live = await folded(bus.requests, question.run)
            record = forged(question.id, "yes", signature=own)
            actor, n = live.state.root.actor, live.state.tail + 1
            await write(bus.requests, question.run, n, actor, record)

            async def blocked() -> bool:
                return (await folded(bus.requests, question.run)).state.status == "blocked"

            await until(blocked, WITHIN)
        assert (await answer(house, question, "no", who="bob", signer=BOB)).outcome == "accepted"
        assert (await house.ended(question.run)).result == "bob (signature): no"


async def test_no_login_but_hers_answers_as_ada_and_hers_needs_the_key(house: House) -> None:
    async with house.working(Bank().app):
        question = await waiting(house, on=ASKED)
        for login in ("worker", "operator", "observer", "helpdesk", "bob"):
            async with house.client(login) as client:
                with pytest.raises((PermissionDenied, BusError)):
                    await client.answer("T1", "yes", role="approver", responder="ada", timeout=0.5)
        async with house.client("ada") as client:  # somebody has her password, and not her key
            for signature in (None, sign_answer(question, "yes", by="ada", signer=EVE).signature):
                receipt = await client.answer(
                    "T1",
                    "yes",
                    role="approver",
                    responder="ada",
                    signature=signature,
                    timeout=WITHIN,
                )
                assert receipt.outcome == "invalid"
        assert (await answer(house, question, "yes")).outcome == "accepted"
        assert (await house.ended(question.run)).result == "ada (signature): yes"


async def test_an_operator_cannot_write_an_answer_into_a_log(house: House) -> None:
    async with house.working(Bank().app):
        question = await waiting(house, on=ASKED)
        async with opened(house.settings("observer")) as bus:
            live = await folded(bus.requests, question.run)
            actor, n = live.state.root.actor, live.state.tail + 1
        async with opened(house.settings("operator")) as bus:
            with pytest.raises(BusError):
                await write(bus.requests, question.run, n, actor, forged(question.id, "yes"))
        assert (await answer(house, question, "no")).outcome == "accepted"
        assert (await house.ended(question.run)).result == "ada (signature): no"


async def test_an_old_answer_that_the_server_is_made_to_repeat_closes_nothing(
    house: House,
) -> None:
    """A read of ada's signed answer, whose reply subject is that of another ticket's answers."""
    async with house.working(Bank().app):
        first = await waiting(house, "T1", ASKED)
        assert (await answer(house, first, "yes")).outcome == "accepted"
        second = await waiting(house, "T2", ASKED)
        async with house.raw("observer") as raw:
            reply = f"approver.response.{encode('T2')}.ada".encode()
            raw.publish(b"$JS.API.DIRECT.GET.ANSWERS", b'{"seq":1}', reply=reply)
            await raw.sent()
        assert (await answer(house, second, "no")).outcome == "accepted"
        assert (await house.ended(second.run)).result == "ada (signature): no"


async def test_a_decision_that_a_worker_made_up_is_refused(house: House) -> None:
    """The worker runs an app of its own, in which nobody has to sign, and answers itself."""
    taken_over = Bank(Role("approver"))
    async with house.working(taken_over.app):
        question = await waiting(house)
        async with house.client("ada") as ada:
            receipt = await ada.answer(
                "T1", "approve", role="approver", responder="ada", timeout=WITHIN
            )
        assert receipt.outcome == "accepted"
        await house.ended(question.run)
    assert taken_over.paid == [("A1", 4000)]  # that a worker runs a tool, nothing can stop
    async with house.client("observer") as observer:
        decision = await observer.decision(question.id)
        assert all(check.ok for check in verify(decision))  # it claims no signature
    refused = [check.what for check in verify(decision, [APPROVER]) if not check.ok]
    assert any("takes signed answers only" in why for why in refused)
    own = sign_answer(question, "approve", by="ada", signer=EVE).signature
    outcome = msgspec.structs.replace(decision.outcome, signature=str(own), vouched="signature")
    made_up = msgspec.structs.replace(decision, outcome=outcome)
    assert not all(check.ok for check in verify(made_up, [APPROVER]))
