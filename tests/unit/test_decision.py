"""A decision whose parts do not fit together is refused, whichever was changed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby import Role
from layby.client.decision import verify
from layby.client.decision_file import Decision, Ended, Logged, Matter, Receipted, Sent
from layby.client.signing import Signature
from layby.runtime.entry import Answered, Asked, Record
from layby.runtime.envelope import Envelope, encode
from layby.runtime.signature import Statement, digest
from tests.signing_desk import ADA, APPROVER, EVE

AT = 1_795_337_000.0
ASKED = Asked(
    frame="w",
    key="ask",
    id="q1",
    role="approver",
    question="May it?",
    context="To ACME.",
    deadline=AT + 60,
    accept=["signature"],
)


def signed(text: str = "yes", by: str = "ada", **fields: Any) -> Signature:
    said = Statement("T1", "r1", "q1", "approver", digest(ASKED), text, by, int(AT) + 60)
    return said._replace(**fields).signed(ADA)


def logged(n: int, record: Record) -> Logged:
    body = encode(Envelope(op=f"op-{n}", at=AT, records=[record])).decode()
    return Logged(n=n, seq=n, at="", subject=f"to.0.log.r1.{n}", body=body)


def decision(signature: Signature | None = None) -> Decision:
    header = str(signature or signed())
    answered = Answered(
        id="q1", text="yes", by="ada", at=AT, seq=7, vouched="signature", signature=header
    )
    return Decision(
        made_at="",
        question=Matter(
            id="q1",
            ticket="T1",
            run="r1",
            role="approver",
            question=ASKED.question,
            context=ASKED.context,
            agent="",
            form=None,
            call=None,
            accept=["signature"],
            digest="",
            sha256=digest(ASKED),
            asked_at="",
            deadline="",
        ),
        outcome=Ended(
            status="answered", answer="yes", by="ada", seq=7, vouched="signature", signature=header
        ),
        shown=[],
        answers=[
            Sent(
                subject="approver.response.T1.ada",
                seq=7,
                at="",
                by="ada",
                vouched="signature",
                signature=header,
                body='{"answer": "yes", "questionId": "q1"}',
            )
        ],
        receipts=[Receipted(seq=8, at="", answer=7, outcome="accepted")],
        entries=[logged(1, ASKED), logged(2, answered)],
    )


def passes(found: Decision) -> bool:
    return all(check.ok for check in verify(found, [APPROVER]))


def test_what_fits_passes() -> None:
    assert passes(decision())
    unsigned = msgspec.structs.replace(decision(), answers=[])
    assert not passes(unsigned)


@pytest.mark.parametrize(
    "fields",
    [
        {"ticket": "T2"},
        {"run": "r2"},
        {"question": "q2"},
        {"role": "developer"},
        {"asked": "0" * 64},
        {"answer": "no"},
        {"by": "bob"},
    ],
)
def test_a_signature_for_something_else_is_refused(fields: dict[str, str]) -> None:
    assert not passes(decision(signed(**fields)))


def test_a_key_of_nobody_is_refused() -> None:
    roles = [Role("approver", keys={"ada": EVE.public}), Role("other", keys={"ada": ADA.public})]
    for role in roles:
        assert not all(check.ok for check in verify(decision(), [role]))


_OF_MATTER = ("id", "ticket", "run", "role", "question", "context", "agent", "sha256")
_OF_OUTCOME = ("status", "answer", "by", "signature")


@given(field=st.sampled_from(_OF_MATTER), text=st.text(max_size=20))
def test_another_question_is_refused(field: str, text: str) -> None:
    good = decision()
    other = msgspec.structs.replace(good.question, **{field: text})
    changed = msgspec.structs.replace(good, question=other)
    assert passes(changed) is (other == good.question)


@given(field=st.sampled_from(_OF_OUTCOME), text=st.text(max_size=20))
def test_another_outcome_is_refused(field: str, text: str) -> None:
    good = decision()
    other = msgspec.structs.replace(good.outcome, **{field: text})
    changed = msgspec.structs.replace(good, outcome=other)
    assert passes(changed) is (other == good.outcome)


@given(st.integers(0, 1), st.binary(max_size=60))
def test_an_entry_that_cannot_be_read_is_refused(place: int, data: bytes) -> None:
    good = decision()
    entries = list(good.entries)
    entries[place] = msgspec.structs.replace(entries[place], body=data.decode("utf-8", "replace"))
    assert not passes(msgspec.structs.replace(good, entries=entries))
