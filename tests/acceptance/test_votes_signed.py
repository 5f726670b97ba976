"""Votes that must be signed or are encrypted, and the file that proves a decision."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from layby import Agent, App, Approvers, Keyring, Role, Step, tool
from layby.actors.kinds import human_address
from layby.actors.people.answer import Receipt
from layby.client.decision import verify
from layby.client.signing import NotToBeSigned, Published, sign_answer
from layby.runtime.call import Call
from layby.runtime.entry import ROOT, Proposed, Raw, Started, Voted
from layby.runtime.ids import question_id
from layby.runtime.quorum import Quorum
from layby.testing import Signer
from layby.views.rows import QuestionRow
from tests.acceptance.test_encryption import keyring, stored
from tests.acceptance.test_votes import FINANCE, receipt, said, vote
from tests.engine import Engine, app_of, desk, until
from tests.scripted import Scripted, calls, says
from tests.signing_desk import ADA, BOB, EVE, write

pytestmark = pytest.mark.nats

SIGNERS = Role("approver", keys={"ada": ADA.public, "bob": BOB.public})
MIXED = {"approver": 1, "finance": 1}


async def two_sign(event: dict[str, Any], step: Step) -> str:
    """Ask approvers, and finance too if the event says so."""
    groups = event.get("groups")
    answer = await step.ask("approver", "Pay?", answer=bool, quorum=2, groups=groups, timeout=60)
    return f"{answer.by} ({answer.vouched})"


def signing() -> App:
    return app_of(two_sign, roles=[SIGNERS, FINANCE])


async def sign(
    engine: Engine, row: QuestionRow, by: str, signer: Signer, text: str = "yes"
) -> Receipt:
    signature = sign_answer(row, text, by=by, signer=signer).signature
    return await engine.answer(
        text=text, role=row.role, question_id=row.id, responder=by, signature=signature
    )


async def test_signed_votes_count_and_others_do_not(engine: Engine) -> None:
    async with engine.works(signing()):
        run = await engine.start("T1")
        asked = await engine.question()
        assert asked.accept == ["signature"]
        refused = await said(engine, "bob", "yes", role="approver")
        assert refused[0] == "invalid"
        assert "takes signed answers only" in refused[1]
        assert (await sign(engine, asked, "bob", EVE)).outcome == "invalid"
        assert (await sign(engine, asked, "ada", ADA)).outcome == "counted"
        assert (await sign(engine, asked, "bob", BOB)).outcome == "accepted"
        assert await engine.result(run) == "ada, bob (signature)"


async def test_a_role_that_signs_and_one_that_does_not_decide_together(engine: Engine) -> None:
    async with engine.works(signing()):
        run = await engine.start("T1", groups=MIXED)
        asked = await engine.question()
        assert asked.accept == ["nats", "signature"]
        assert (await said(engine, "ada", "yes", role="approver"))[0] == "invalid"
        assert (await said(engine, "cleo", "yes"))[0] == "counted"
        assert (await sign(engine, asked, "ada", ADA)).outcome == "accepted"
        assert await engine.result(run) == "cleo, ada (nats)"


async def test_a_call_runs_once_two_people_have_signed_for_it(engine: Engine) -> None:
    paid: list[int] = []

    @tool(needs_approval=Approvers("approver", quorum=2))
    async def refund(cents: int) -> str:
        """Give a customer money back."""
        paid.append(cents)
        return "paid"

    model = Scripted(calls(("refund", {"cents": 40})), says("Done."))
    clerk = Agent("Clerk", tools=[refund], model=model)
    async with engine.works(desk(clerk, roles=["developer", SIGNERS])):
        run = await engine.start("T1")
        asked = await engine.question()
        assert asked.call is not None
        assert asked.call.arguments == '{"cents":40}'
        assert (await sign(engine, asked, "ada", ADA, "approve")).outcome == "counted"
        other = msgspec.structs.replace(asked, call=Call(tool="refund", arguments='{"cents":4}'))
        assert (await sign(engine, other, "bob", BOB, "approve")).outcome == "invalid"
        assert paid == []
        assert (await sign(engine, asked, "bob", BOB, "approve")).outcome == "accepted"
        await engine.result(run)
    assert paid == [40]


async def test_a_question_that_asks_less_than_the_code_does_is_not_believed(
    engine: Engine,
) -> None:
    """A worker has logged it: one signature would then be enough."""
    async with engine.works(signing()):
        pass
    run = await engine.start("T1")
    quorum = Quorum(number=1, people={"approver": ["ada", "bob"]}, signed=["approver"])
    started = Started(
        workflow="handle",
        actor="workflow-handle",
        version="",
        ticket="T1",
        event=Raw(b'{"ticket":"T1"}'),
    )
    weaker = Proposed(
        frame=ROOT,
        key="ask",
        id=question_id(run, ROOT, "ask"),
        role="approver",
        question="Pay?",
        deadline=time.time() + 60,
        form={"type": "boolean"},
        accept=["signature"],
        quorum=quorum,
    )
    await write(engine.wire, run, 1, human_address("approver"), started, weaker)
    async with engine.works(signing()):
        asked = await engine.question()
        assert (await sign(engine, asked, "ada", ADA)).outcome == "accepted"
        block = await engine.blocked(run)
        assert "is not what 'ask' asks the role 'approver'" in block.reason


async def test_a_worker_cannot_write_a_vote_that_another_one_counts(engine: Engine) -> None:
    async with engine.works(signing()):
        run = await engine.start("T1")
        asked = await engine.question()
        assert (await sign(engine, asked, "ada", ADA)).outcome == "counted"
        n = (await engine.state(run)).tail + 1
        forged = Voted(
            id=asked.id, role="approver", text="yes", by="bob", at=1.0, seq=99, vouched="signature"
        )
        await write(engine.wire, run, n, "workflow-handle", forged)
        assert (await sign(engine, asked, "bob", BOB)).outcome == "accepted"
        assert await engine.result(run) == "ada, bob (signature)"


async def test_a_signature_is_for_the_terms_that_were_shown(engine: Engine) -> None:
    """Nobody can make one of two signatures do, by showing another quorum."""
    async with engine.works(signing()):
        await engine.start("T1")
        asked = await engine.question()
        assert asked.quorum is not None
        alone = msgspec.structs.replace(
            asked, quorum=msgspec.structs.replace(asked.quorum, number=1)
        )
        assert (await sign(engine, alone, "ada", ADA)).outcome == "invalid"
        shown = await engine.wire.stored("QUESTIONS", last="approver.question.T1")
        assert shown is not None
        published = Published.read(shown.data)
        assert published.quorum == asked.quorum
        bent = shown.data.replace(b'"number":2', b'"number":1')
        with pytest.raises(NotToBeSigned, match="does not match"):
            Published.read(bent)


async def test_a_decision_file_proves_each_vote(engine: Engine) -> None:
    async with engine.works(signing()):
        run = await engine.start("T1")
        asked = await engine.question()
        await sign(engine, asked, "ada", ADA)
        await said(engine, "bob", "yes", role="approver")
        await sign(engine, asked, "bob", BOB)
        await engine.result(run)

    found = await engine.client.decision(asked.id, run=run)
    assert [(each.by, each.choice, each.vouched) for each in found.outcome.votes] == [
        ("ada", "yes", "signature"), ("bob", "yes", "signature"),
    ]  # fmt: skip
    assert [each.outcome for each in found.receipts] == ["counted", "invalid", "accepted"]
    assert all(check.ok for check in verify(found, [SIGNERS])), verify(found, [SIGNERS])
    other = Role("approver", keys={"ada": ADA.public, "bob": EVE.public})
    assert not all(check.ok for check in verify(found, [other]))
    assert not all(check.ok for check in verify(found)), "only keys show whose signatures these are"
    forged = msgspec.structs.replace(
        found, outcome=msgspec.structs.replace(found.outcome, votes=found.outcome.votes[:1])
    )
    assert not all(check.ok for check in verify(forged, [SIGNERS]))
    assert found.question.quorum is not None
    easier = msgspec.structs.replace(found.question.quorum, number=1)
    bent = msgspec.structs.replace(
        found, question=msgspec.structs.replace(found.question, quorum=easier)
    )
    assert not all(check.ok for check in verify(bent, [SIGNERS]))


async def test_a_decision_file_has_the_word_of_the_server(engine: Engine) -> None:
    async def ask(_: dict[str, Any], step: Step) -> bool:
        groups = {"finance": 1, "legal": 1}
        return (await step.ask("finance", "Pay?", answer=bool, groups=groups)).value

    async with engine.works(app_of(ask, roles=[FINANCE, "legal"])):
        run = await engine.start("T1")
        asked = await engine.question()
        await said(engine, "ada", "yes")
        await said(engine, "dan", "yes", role="legal")
        await engine.result(run)
    found = await engine.client.decision(asked.id, run=run)
    checks = verify(found)
    assert all(check.ok for check in checks), checks
    assert {shown.subject for shown in found.shown} == {"finance.question.T1", "legal.question.T1"}
    assert "'dan' voted by the word of the server, and nothing is signed" in [
        c.what for c in checks
    ]
    moved = [
        msgspec.structs.replace(each, subject=each.subject.replace("legal.", "finance."))
        for each in found.answers
    ]
    assert not all(each.ok for each in verify(msgspec.structs.replace(found, answers=moved)))


class Encrypted:
    """An engine with keys, on the same server."""

    @pytest.fixture
    def ring(self) -> Keyring:
        return keyring()

    @pytest.fixture
    async def engine(self, clean_nats: str, ring: Keyring) -> AsyncIterator[Engine]:
        async with Engine.at(clean_nats, ring) as engine:
            yield engine


class TestEncryptedRuns(Encrypted):
    """Of an app that encrypts, and a question that is confidential."""

    async def test_votes_count_and_choices_stay_secret(self, engine: Engine, ring: Keyring) -> None:
        async def ask(_: dict[str, Any], step: Step) -> str:
            answer = await step.ask(
                "finance", "zq7canary?", answer=bool, quorum=2, confidential=True, timeout=60
            )
            return answer.by

        async with engine.works(app_of(ask, roles=[FINANCE], encryption=ring)):
            run = await engine.start("T1")
            asked = await engine.question()
            assert asked.question == "zq7canary?"
            assert (await said(engine, "ada", "yes"))[0] == "counted"

            async def shown() -> QuestionRow | None:
                [row] = await engine.client.questions()
                return row if row.votes else None

            row = await until(shown)
            assert [(each.by, each.choice) for each in row.votes] == [("ada", "")]
            ack = await vote(engine, "bob", "yes")
            assert (await receipt(engine, ack))["outcome"] == "accepted"
            assert await engine.result(run) == "ada, bob"
        everything = await stored(engine.wire)
        assert not [
            s for s, found in everything.items() for _, data in found if b"zq7canary" in data
        ]
