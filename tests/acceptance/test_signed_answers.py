"""Roles with keys: what counts as an answer, what receipts say, and what a decision proves."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from layby import App, AskOnFailure, NonRetriableError, Role, Step
from layby.bus.bucket import Bucket
from layby.bus.errors import LaybyError
from layby.bus.log import Log
from layby.bus.opened import opened
from layby.bus.reading import every
from layby.bus.requests import Requests
from layby.client import NoReceipt
from layby.client.decision import verify
from layby.client.decision_api import NoSuchQuestion
from layby.client.decision_file import Decision
from layby.client.signing import NotToBeSigned, sign_answer
from layby.runtime.entry import Asked, Record, Retried, Stepped
from layby.runtime.envelope import decode
from layby.testing import TestRuntime, replay
from layby.testing.crashes import redeliver
from layby.views.rows import QuestionRow
from layby.worker.worker import working
from tests.engine import is_handled, until
from tests.signing_desk import ADA, APPROVER, ASKED, BOB, EVE, REFUND, Bank, forged, write

pytestmark = pytest.mark.nats

Running = Callable[..., AbstractAsyncContextManager[TestRuntime]]
HISTORY = Path(__file__).parents[1] / "histories" / "signed" / "completed.json"
OTHER = Role("approver", keys={"carol": EVE.public})


async def asked(rt: TestRuntime, on: str = ASKED, ticket: str = "T1") -> QuestionRow:
    await rt.send(on, {"ticketId": ticket})
    return await rt.question()


async def test_a_signed_answer_counts_and_says_who_vouches(layby_running: Running) -> None:
    async with layby_running(Bank().app) as rt:
        question = await asked(rt)
        assert question.accept == ["signature"]
        assert len(question.sha256) == 64
        receipt = await rt.answer(None, " yes ", by="ada", signer=ADA)
        assert (receipt.outcome, receipt.by) == ("accepted", "ada")
        assert await rt.result() == "ada (signature): yes"
        state = await rt.state(question.run)
        assert state.questions[question.id].vouched == "signature"


async def test_a_refusal_says_why_and_how_to_answer(layby_running: Running) -> None:
    async with layby_running(Bank().app) as rt:
        question = await asked(rt)
        signed = sign_answer(question, "yes", by="ada", signer=ADA).signature
        by_eve = sign_answer(question, "yes", by="ada", signer=EVE).signature
        by_bob = sign_answer(question, "yes", by="bob", signer=BOB).signature
        late = sign_answer(question, "yes", by="ada", signer=ADA, valid=-5.0).signature
        bent = signed._replace(expires=signed.expires + 1)
        refusals: list[tuple[dict[str, Any], str, str]] = [
            ({}, "yes", "takes signed answers only"),
            ({"by": "ada", "signature": signed}, "yes", "takes signed answers only"),
            ({"responder": "ada"}, "yes", "has no Layby-Signature"),
            ({"responder": "ada", "signature": "v1.x"}, "yes", "cannot be read"),
            ({"responder": "ada", "signature": by_eve}, "yes", "its key does not belong to 'ada'"),
            ({"responder": "bob", "signature": signed}, "yes", "its key does not belong to 'bob'"),
            ({"responder": "ada", "signature": by_bob}, "yes", "its key does not belong to 'ada'"),
            ({"responder": "eve", "signature": by_eve}, "yes", "'eve' has no key"),
            ({"responder": "ada", "signature": signed}, "yes!", "for another question or another"),
            ({"responder": "ada", "signature": bent}, "yes", "for another question or another"),
            ({"responder": "ada", "signature": late}, "yes", "it was stored later"),
        ]
        for options, text, why in refusals:
            receipt = await rt.client.answer(
                "T1", text, role="approver", question_id=question.id, **options
            )
            assert receipt.outcome == "invalid", options
            assert why in (receipt.reason or ""), receipt
            assert "approver.response.T1.YOUR_NAME" in (receipt.reason or "")
        assert (await rt.question()).id == question.id
        receipt = await rt.client.answer(
            "T1", "yes", role="approver", responder="ada", signature=signed
        )
        assert receipt.outcome == "accepted"
        assert await rt.result() == "ada (signature): yes"


async def test_a_signature_is_for_one_question(layby_running: Running) -> None:
    async with layby_running(Bank().app) as rt:
        first = await asked(rt, ticket="T1")
        second = await asked(rt, ticket="T2")
        assert first.question == second.question
        signed = sign_answer(first, "yes", by="ada", signer=ADA).signature
        receipt = await rt.client.answer(
            "T2", "yes", role="approver", responder="ada", signature=signed
        )
        assert "for another question" in (receipt.reason or "")
        assert (await rt.question("T2")).id == second.id


async def test_an_approval_is_signed_with_the_exact_arguments(layby_running: Running) -> None:
    bank = Bank()
    async with layby_running(bank.app) as rt:
        question = await asked(rt, REFUND)
        assert question.call is not None
        assert question.call.tool == "refund"
        assert question.call.arguments == '{"cents":4000,"currency":"EUR","order":"A1"}'
        assert (await rt.answer(None, "approve", by="ada")).outcome == "invalid"
        edit = '{"edit": {"order": "A1", "cents": 40}}'
        signed = sign_answer(question, "approve", by="ada", signer=ADA).signature
        receipt = await rt.client.answer(
            "T1", edit, role="approver", responder="ada", signature=signed
        )
        assert receipt.outcome == "invalid"
        assert bank.paid == []
        assert (await rt.answer(None, edit, by="bob", signer=BOB)).outcome == "accepted"
        assert await rt.result() == "Done."
    assert bank.paid == [("A1", 40)]


async def test_a_forged_entry_of_the_log_changes_nothing(layby_running: Running) -> None:
    """Whoever may write to the log could approve everything before."""
    bank = Bank()
    async with layby_running(bank.app) as rt:
        question = await asked(rt, REFUND)
        own = sign_answer(question, "approve", by="ada", signer=EVE).signature
        async with opened(rt.settings) as bus:
            for signature in ("", str(own)):
                state = await rt.state(question.run)
                record = forged(question.id, "approve", signature=signature)
                frame = state.frames[state.questions[question.id].frame]
                await write(bus.requests, question.run, state.tail + 1, frame.actor, record)
        async with rt.worker():
            state = await rt.state(question.run)
            assert state.questions[question.id].status == "open"
            assert (await rt.question()).id == question.id
            lines = (await rt.client.show(question.run)).steps
            assert [line.kind for line in lines].count("answer.refused") == 2
            assert not bank.paid
            assert (await rt.answer(None, "reject: no", by="ada", signer=ADA)).outcome == "accepted"
            await over(rt, question.run)
            assert await rt.result() == "Done."
    assert not bank.paid


async def over(rt: TestRuntime, run: str) -> None:
    """Wait for the end of a run that may be blocked on its way."""

    async def ended() -> bool:
        return (await rt.state(run)).ended

    await until(ended)


async def test_the_answer_to_another_question_than_the_code_asks_blocks_the_run(
    layby_running: Running,
) -> None:
    """A worker that was taken over asks something harmless, or asks somebody else."""
    for other in (Bank(asks="developer"), Bank(about="May 1 cent go out?")):
        async with layby_running(Bank().app, workers=0) as rt:
            async with working(other.app, rt.settings):
                question = await asked(rt)
            signed = sign_answer(question, "yes", by="ada", signer=ADA).signature
            state = await rt.state(question.run)
            async with opened(rt.settings) as bus:
                record = forged(question.id, "yes", signature=str(signed))
                actor = state.root.actor
                await write(bus.requests, question.run, state.tail + 1, actor, record)
            assert (await rt.state(question.run)).questions[question.id].status == "answered"
            async with rt.worker():
                assert (await rt.ended()).status == "blocked"
                [(_, block)] = (await rt.state(question.run)).blocked
                assert "must be signed for exactly that" in block.reason


async def test_a_log_that_denies_the_need_for_approval_runs_nothing(
    layby_running: Running,
) -> None:
    """A worker writes over the entry that asks, and has another one go on from there."""
    bank = Bank()
    async with layby_running(bank.app, workers=0) as rt:
        async with rt.worker():
            question = await asked(rt, REFUND)
        async with opened(rt.settings) as bus:
            state = await rt.state(question.run)
            frame = state.frames[state.questions[question.id].frame]
            for message in await Log(bus.requests).load(question.run):
                envelope = decode(message.data)
                records = [without_role(each) for each in envelope.records if not is_asked(each)]
                if records != envelope.records:
                    await write(bus.requests, question.run, message.n, message.to, *records)
            again = Retried(frame=frame.id, whole=True)
            await write(bus.requests, question.run, state.tail + 1, frame.actor, again)
        async with rt.worker():
            await until(lambda: asked_again(rt, question))
            assert (await rt.answer(None, "reject", by="ada", signer=ADA)).outcome == "accepted"
            await over(rt, question.run)
    assert bank.paid == []


async def asked_again(rt: TestRuntime, question: QuestionRow) -> bool:
    state = await rt.state(question.run)
    assert not state.ended, "the run has gone on without approval"
    return question.id in state.questions


def is_asked(record: Record) -> bool:
    return isinstance(record, Asked)


def without_role(record: Record) -> Record:
    """A record that decides about a call, as if nobody had to approve it."""
    if not isinstance(record, Stepped) or not record.key.startswith("before#"):
        return record
    prepared: dict[str, Any] = msgspec.json.decode(record.result)
    prepared |= {"role": "", "digest": ""}
    return msgspec.structs.replace(record, result=msgspec.Raw(msgspec.json.encode(prepared)))


async def handled(requests: Requests) -> None:
    """Return when workers have acknowledged all mail: none will be delivered again."""

    async def nothing_left() -> bool:
        names = [
            f"{stream}.{info['name']}"
            for stream in ("EVENTS", "RUNS")
            for info in (await requests.api(f"CONSUMER.LIST.{stream}"))["consumers"]
        ]
        return bool(names) and await is_handled(requests, *names)

    await until(nothing_left)


async def test_a_forged_state_in_the_bucket_parked_approves_nothing(
    layby_running: Running,
) -> None:
    """The fold is what counts, and not what somebody says that it came to."""
    async with layby_running(Bank().app, workers=0) as rt:
        async with opened(rt.settings) as bus:
            async with rt.worker():
                question = await asked(rt)
                await handled(bus.requests)  # or what is delivered again corrects the forgery
            bucket = Bucket(bus.requests, "parked")
            item = await bucket.get_newest("T1")
            assert item is not None
            record = msgspec.json.decode(item.value)
            run = record["runs"][question.run]
            run["questions"][question.id] |= {"status": "answered", "text": "yes", "by": "ada"}
            run["frames"]["w"]["slots"]["ask"]["settled"] = run["tail"]
            data = msgspec.json.encode(record)
            await bucket.put("T1", data, revision=item.revision)
        async with rt.worker():
            assert (await rt.answer(None, "no", by="ada", signer=ADA)).outcome == "accepted"
            assert await rt.result() == "ada (signature): no"


async def test_a_key_that_is_retired_counts_for_what_was_stored_before(
    layby_running: Running,
) -> None:
    async with layby_running(Bank().app) as rt:
        question = await asked(rt)
        await rt.answer(None, "yes", by="ada", signer=ADA)
        await rt.result()
        history = await rt.record()
        stored = (await rt.state(question.run)).questions[question.id].at
    await replay(Bank().app, history)
    await replay(Bank(retired(stored + 60)).app, history)
    with pytest.raises(LaybyError, match="was retired at"):
        await replay(Bank(retired(stored - 60)).app, history)
    with pytest.raises(LaybyError, match="'ada' has no key"):
        await replay(Bank(Role("approver", keys={"bob": BOB.public})).app, history)


async def test_a_key_that_is_retired_takes_no_more_answers(layby_running: Running) -> None:
    async with layby_running(Bank(retired(time.time() - 60)).app) as rt:
        await asked(rt)
        receipt = await rt.answer(None, "yes", by="ada", signer=ADA)
        assert "was retired at" in (receipt.reason or "")
        assert (await rt.answer(None, "yes", by="ada", signer=EVE)).outcome == "accepted"


def retired(at: float) -> Role:
    """Ada has another key now, and had hers until `at`."""
    when = datetime.fromtimestamp(at, UTC).isoformat()
    return Role("approver", keys={"ada": [EVE.public, ADA.public]}, retired={ADA.public: when})


async def test_a_run_answered_by_a_key_that_is_gone_waits_until_it_is_put_back(
    layby_running: Running,
) -> None:
    gone = Role("approver", keys={"bob": BOB.public})
    async with layby_running(Bank().app, workers=0) as rt:
        async with rt.worker():
            await rt.send(ASKED, {"ticketId": "T1", "twice": True})
            await rt.answer(None, "yes", by="ada", signer=ADA)
            question = await second(rt)
        async with working(Bank(gone).app, rt.settings):
            signed = sign_answer(question, "yes", by="bob", signer=BOB).signature
            receipt = await rt.client.answer(
                "T1",
                "yes",
                role="approver",
                question_id=question.id,
                responder="bob",
                signature=signed,
            )
            assert receipt.outcome == "accepted"
            assert (await rt.ended()).status == "blocked"
            [(_, block)] = (await rt.state(question.run)).blocked
            assert "keep it in `keys`" in block.reason
        async with rt.worker():
            await over(rt, question.run)
            assert await rt.result() == "bob (signature): yes"


async def second(rt: TestRuntime) -> QuestionRow:
    async def look() -> QuestionRow | None:
        return next((q for q in await rt.client.questions() if q.question == "Really?"), None)

    found = await until(look)
    assert found is not None
    return found


async def test_a_decision_is_verified_without_a_server(layby_running: Running) -> None:
    bank = Bank()
    async with layby_running(bank.app) as rt:
        question = await asked(rt, REFUND)
        assert (await rt.answer(None, "approve", by="bob")).outcome == "invalid"
        await rt.answer(None, "approve", by="ada", signer=ADA)
        await rt.result()
        decision = await rt.client.decision(question.id)
        assert (await rt.client.decision(question.id, run="T1")).entries == decision.entries
        with pytest.raises(NoSuchQuestion):
            await rt.client.decision("qnosuchquest")
    assert decision.question.arguments == {"order": "A1", "cents": 4000}
    assert decision.shown[0].people == ["ada", "bob"]
    assert [(each.by, each.vouched) for each in decision.answers] == [
        ("bob", "none"),
        ("ada", "signature"),
    ]
    assert [each.outcome for each in decision.receipts] == ["invalid", "accepted"]
    assert all(check.ok for check in verify(decision, [APPROVER]))
    [why] = [check.what for check in verify(decision) if not check.ok]
    assert "only --keys FILE shows" in why
    assert not all(check.ok for check in verify(decision, [OTHER]))
    again = msgspec.json.decode(msgspec.json.encode(decision), type=Decision)
    assert all(check.ok for check in verify(again, [APPROVER]))


async def test_only_named_answers_count_if_the_question_requires_nats_vouching(
    layby_running: Running,
) -> None:
    app = App("named")

    @app.workflow(on="named.asked", key="ticketId")
    async def handle(event: dict[str, Any], step: Step) -> str:
        del event
        answer = await step.ask("developer", "Who?", accept="nats")
        return f"{answer.by} ({answer.vouched})"

    async with layby_running(app) as rt:
        question = await asked(rt, "named.asked")
        assert question.answer_with[0].split()[4] == "developer.response.T1.YOUR_NAME"
        receipt = await rt.answer(None, "me", by="ada")
        assert receipt.outcome == "invalid"
        assert "developer.response.T1.YOUR_NAME" in (receipt.reason or "")
        assert (await rt.answer(None, "me", responder="ada")).outcome == "accepted"
        assert await rt.result() == "ada (nats)"


async def test_an_invalid_accept_blocks_the_run(layby_running: Running) -> None:
    app = App("odd", roles=["developer", APPROVER])

    @app.workflow(on="odd.asked", key="ticketId")
    async def handle(event: dict[str, Any], step: Step) -> str:
        return (await step.ask(event["role"], "Who?", accept=event["accept"])).by

    async with layby_running(app) as rt:
        for role, accept, why in (
            ("developer", "signature", "has no keys"),
            ("approver", "nats", "takes signed answers only"),
            ("developer", "fax", "give one of 'nats'"),
        ):
            event = {"ticketId": accept, "role": role, "accept": accept}
            run = await rt.send("odd.asked", event)
            assert (await rt.ended(run)).status == "blocked"
            [(_, block)] = (await rt.state(run)).blocked
            assert why in block.reason


async def test_signing_refuses_expired_questions_and_empty_answers(layby_running: Running) -> None:
    async with layby_running(Bank().app) as rt:
        question = await asked(rt)
        with pytest.raises(NotToBeSigned, match="silence is never a yes"):
            sign_answer(question, "  ", by="ada", signer=ADA)
        over = msgspec.structs.replace(question, deadline="2020-01-01T00:00:00.000Z")
        with pytest.raises(NotToBeSigned, match="the deadline"):
            sign_answer(over, "yes", by="ada", signer=ADA)


async def test_what_was_signed_by_an_earlier_release_still_counts() -> None:
    await replay(Bank().app, HISTORY)
    other = Role("approver", keys={"ada": EVE.public})
    with pytest.raises(LaybyError, match="not belong to 'ada'"):
        await replay(Bank(other).app, HISTORY)


async def test_the_first_signed_answer_of_those_stored_wins(
    layby_running: Running,
) -> None:
    """No worker was running: a new one reads them all from their stream."""
    async with layby_running(Bank().app, workers=0) as rt:
        async with rt.worker():
            question = await asked(rt)
        signed = sign_answer(question, "no", by="ada", signer=ADA).signature
        later = sign_answer(question, "yes", by="bob", signer=BOB).signature
        for responder, text, signature in (
            ("ada", "yes", None),
            ("bob", "yes", signed),
            ("ada", "no", signed),
            ("bob", "yes", later),
        ):
            with pytest.raises(NoReceipt):
                await rt.client.answer(
                    "T1",
                    text,
                    role="approver",
                    question_id=question.id,
                    responder=responder,
                    signature=signature,
                    timeout=0.01,
                )
        async with rt.worker():
            await rt.advance(kind="question")
            assert await rt.result() == "ada (signature): no"


async def outcomes(rt: TestRuntime, count: int) -> list[str]:
    """The outcomes of the first `count` answers to T1, in order; empty until all are there."""
    async with opened(rt.settings) as bus:
        found = every(bus.requests, "QUESTIONS", "approver.receipt.T1")
        receipts = [msgspec.json.decode(message.data) async for message in found]
    receipts.sort(key=lambda receipt: receipt["seq"])
    return [receipt["outcome"] for receipt in receipts] if len(receipts) >= count else []


async def test_an_unsigned_answer_stays_invalid_once_a_signed_one_has_won(
    layby_running: Running,
) -> None:
    """A worker dies before handling it; a new one, which has only the record, gets it again."""
    app = Bank().app
    async with layby_running(app, workers=0) as rt:
        async with rt.worker():
            question = await asked(rt)
        async with opened(rt.settings) as bus:
            await bus.requests.store("approver.response.T1.bob", b"yes")
            body = msgspec.json.encode({"batch": 1, "expires": 30_000_000_000})
            hand = await bus.requests.nc.subscribe("hand")
            pull = "$JS.API.CONSUMER.MSG.NEXT.ANSWERS.answers-approver"
            await bus.requests.nc.publish(pull, body, "hand")
            assert (await hand.next_msg(30)).data == b"yes"
            async with rt.worker():
                signed = sign_answer(question, "no", by="ada", signer=ADA).signature
                won = await rt.client.answer(
                    "T1", "no", role="approver", responder="ada", signature=signed
                )
                assert won.outcome == "accepted"
                assert await rt.result() == "ada (signature): no"
            await redeliver(bus.requests, app.topology())
            async with rt.worker():
                assert await until(partial(outcomes, rt, 2)) == ["invalid", "accepted"]


async def test_a_signed_answer_decides_about_a_failure(layby_running: Running) -> None:
    app = App("failing", roles=["developer", APPROVER])
    tries: list[int] = []

    async def pay(amount: int) -> str:
        tries.append(amount)
        if len(tries) < 3:
            raise NonRetriableError(f"no funds for {amount}")
        return "paid"

    @app.workflow(on="failing.pay", key="ticketId")
    async def handle(event: dict[str, Any], step: Step) -> str:
        policy = AskOnFailure(role="approver")
        return await step.run("pay", pay, event["amount"], on_failure=policy)

    async with layby_running(app) as rt:
        await rt.send("failing.pay", {"ticketId": "T1", "amount": 5})
        assert (await rt.answer(None, "retry", by="ada")).outcome == "invalid"
        first = await rt.question()
        assert (await rt.answer(None, "retry", by="ada", signer=ADA)).outcome == "accepted"

        async def again() -> bool:
            return any(q.id != first.id for q in await rt.client.questions())

        await until(again)
        assert (await rt.answer(None, "retry", by="bob", signer=BOB)).outcome == "accepted"
        assert await rt.result() == "paid"
    assert tries == [5, 5, 5]
