"""What a decision's file shows about votes: which count, what they amount to, who vouches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby.client.decision_file import Counted, Decision, Ended, Matter, Receipted, Sent
from layby.client.vote_checks import check_votes
from layby.runtime.entry import ROOT, Asked, Expired, Record, Voted
from layby.runtime.quorum import Quorum
from layby.runtime.signature import Statement, digest
from layby.runtime.times import iso
from layby.runtime.vouching import Signers
from layby.testing import Signer
from tests.signing_desk import ADA, APPROVER, BOB

AT = 1_795_337_000.0
TWO = Quorum(number=2)
ASKED = Asked(
    frame=ROOT,
    key="ask",
    id="q1",
    role="approver",
    question="May it?",
    deadline=AT + 60,
    form={"type": "boolean"},
    quorum=TWO,
)


def vote(seq: int, by: str, text: str = "yes", **more: Any) -> Voted:
    about: dict[str, Any] = {"role": "approver", "at": AT, "vouched": "nats", **more}
    return Voted(id="q1", seq=seq, by=by, text=text, **about)


def counted(each: Voted) -> Counted:
    return Counted(
        by=each.by,
        role=each.role,
        choice=each.text,
        text=each.text,
        at=iso(each.at),
        seq=each.seq,
        vouched=each.vouched,
    )


def sent(each: Voted) -> Sent:
    body = msgspec.json.encode({"answer": each.text, "questionId": "q1"}).decode()
    subject = f"human.approver.response.T1.{each.by}"
    return Sent(
        subject=subject, seq=each.seq, at=iso(each.at), by=each.by, vouched="nats", body=body
    )


MATTER = Matter(
    id="q1",
    ticket="T1",
    run="r1",
    role="approver",
    question="May it?",
    context="",
    agent="",
    form=ASKED.form,
    call=None,
    accept=[],
    digest="",
    sha256="",
    asked_at="",
    deadline=iso(AT + 60),
    quorum=TWO,
)
VOTES = [vote(7, "ada"), vote(9, "bob")]
DECIDED = Ended(status="answered", answer="yes", by="ada, bob", seq=9)


def checked(
    votes: list[Voted] | None = None,
    outcome: Ended = DECIDED,
    *,
    more: tuple[Record, ...] = (),
    signers: Signers | None = None,
    **changes: Any,
) -> dict[str, bool]:
    """Every check by what it says, for a file that tells of the votes in its log."""
    votes = VOTES if votes is None else votes
    told = outcome.votes or [counted(each) for each in votes]
    last = outcome.seq if outcome.status == "answered" else 0
    fields: dict[str, Any] = {
        "made_at": "",
        "question": MATTER,
        "outcome": msgspec.structs.replace(outcome, votes=told),
        "shown": [],
        "answers": [sent(each) for each in votes],
        "receipts": [receipt(each.seq, decides=each.seq == last) for each in votes],
        "entries": [],
        **changes,
    }
    found = check_votes(Decision(**fields), (ASKED, *votes, *more), signers)
    return {check.what: check.ok for check in found}


def receipt(seq: int, *, decides: bool) -> Receipted:
    return Receipted(seq=seq + 1, at="", answer=seq, outcome="accepted" if decides else "counted")


def refused(checks: dict[str, bool]) -> list[str]:
    return [what for what, ok in checks.items() if not ok]


def test_votes_that_decide_pass_with_a_check_of_each() -> None:
    checks = checked()
    assert refused(checks) == []
    assert "the log has these 2 votes" in checks
    assert "they amount to answered by ada, bob" in checks
    assert "the receipt of 7 says that it was counted" in checks
    assert "the receipt of 9 says that it decided" in checks
    assert "'ada' voted by the word of the server, and nothing is signed" in checks


def test_an_open_question_has_votes_that_do_not_decide_it() -> None:
    for status in ("open", "cancelled"):
        assert refused(checked(VOTES[:1], Ended(status=status))) == []
    claimed = checked(VOTES[:1], Ended(status="answered", answer="yes"))
    assert "they do not decide it" in refused(claimed)


def test_a_question_that_expired_says_that_too_few_voted() -> None:
    over = (Expired(id="q1"),)
    assert refused(checked(VOTES[:1], Ended(status="expired"), more=over)) == []
    why = "the log says that too few voted in time"
    assert refused(checked(VOTES[:1], Ended(status="open"), more=over)) == [why]


@pytest.mark.parametrize(
    "change",
    [{"answer": "no"}, {"by": "ada"}, {"seq": 7}, {"status": "no_quorum"}],
    ids=str,
)
def test_an_outcome_other_than_that_of_the_votes_is_refused(change: dict[str, Any]) -> None:
    outcome = msgspec.structs.replace(DECIDED, **change)
    assert "they amount to answered by ada, bob" in refused(checked(outcome=outcome))


@pytest.mark.parametrize(
    "told",
    [
        [counted(VOTES[0])],
        [counted(VOTES[1]), counted(VOTES[0])],
        [counted(VOTES[0]), counted(vote(9, "eve"))],
        [counted(VOTES[0]), counted(vote(9, "bob", "no"))],
        [counted(VOTES[0]), counted(vote(8, "bob"))],
    ],
    ids=["one left out", "turned round", "of another person", "for another choice", "elsewhere"],
)
def test_a_file_that_tells_of_other_votes_than_the_log_is_refused(told: list[Counted]) -> None:
    outcome = msgspec.structs.replace(DECIDED, votes=told)
    assert refused(checked(outcome=outcome)) == ["the log has these 2 votes"]


def test_a_second_vote_of_a_person_in_the_log_is_named_as_not_valid() -> None:
    again = (vote(8, "ada"),)
    (said,) = refused(checked(VOTES[:1], Ended(status="open"), more=again))
    assert "the vote 8 of 'ada', which is not valid" in said
    assert "one person is one vote" in said


def test_a_vote_after_the_deadline_is_named_as_not_valid() -> None:
    late = [VOTES[0], vote(9, "bob", at=AT + 61)]
    said = refused(checked(late))
    assert any(
        "the vote 9 of 'bob', which is not valid: it was stored after" in each for each in said
    )
    on_time = [VOTES[0], vote(9, "bob", at=AT + 60)]
    assert refused(checked(on_time)) == []


def test_a_vote_whose_message_is_not_in_the_file_is_refused() -> None:
    assert refused(checked(answers=[sent(VOTES[0])])) == ["the vote 9 is not in the file"]


@pytest.mark.parametrize("other", [vote(9, "eve"), vote(9, "bob", "no")], ids=["by", "text"])
def test_a_message_that_says_something_else_is_not_the_vote(other: Voted) -> None:
    answers = [sent(VOTES[0]), sent(other)]
    assert refused(checked(answers=answers)) == ["message 9 is that vote"]


@pytest.mark.parametrize(
    "receipts",
    [
        [receipt(7, decides=False)],
        [receipt(7, decides=False), receipt(9, decides=False)],
        [receipt(seq, decides=each) for seq in (7, 9) for each in (seq == 9, not seq)],
    ],
    ids=["none", "as counted only", "as both"],
)
def test_a_deciding_vote_needs_a_receipt_that_says_so(receipts: list[Receipted]) -> None:
    said = refused(checked(receipts=receipts))
    assert said == ["the receipt of 9 says that it decided"]


def test_votes_that_nobody_signed_do_not_count_where_keys_are_given() -> None:
    said = refused(checked(signers=Signers([APPROVER])))
    for seq, by in ((7, "ada"), (9, "bob")):
        begins = f"the log has the vote {seq} of {by!r}, which is not valid: "
        assert any(each.startswith(begins) for each in said)
    assert "the log has these 0 votes" in said


def signed(seq: int, by: str, key: Signer) -> Voted:
    said = Statement("T1", "r1", "q1", "approver", digest(ASKED), "yes", by, int(AT) + 60)
    return vote(seq, by, vouched="signature", signature=str(said.signed(key)))


def carried(votes: list[Voted]) -> list[Sent]:
    return [msgspec.structs.replace(sent(each), signature=each.signature) for each in votes]


def test_signed_votes_pass_only_with_the_keys_that_show_whose_they_are() -> None:
    votes = [signed(7, "ada", ADA), signed(9, "bob", BOB)]
    checks = checked(votes, signers=Signers([APPROVER]), answers=carried(votes))
    assert refused(checks) == []
    assert f"'ada' has signed it, with {ADA.public}" in checks
    said = refused(checked(votes, answers=carried(votes)))
    assert said == [
        f"it is signed with {key.public}: only --keys FILE shows whose key that is"
        for key in (ADA, BOB)
    ]


def test_a_message_without_the_signature_of_its_vote_is_not_that_vote() -> None:
    votes = [signed(7, "ada", ADA), signed(9, "bob", BOB)]
    answers = [carried(votes)[0], sent(votes[1])]
    said = refused(checked(votes, signers=Signers([APPROVER]), answers=answers))
    assert said == ["message 9 is that vote"]


def test_a_message_that_was_stored_after_the_deadline_is_refused() -> None:
    late = msgspec.structs.replace(sent(VOTES[1]), at=iso(AT + 61))
    said = refused(checked(answers=[sent(VOTES[0]), late]))
    assert said == ["message 9 was stored before the deadline"]


def test_what_the_log_has_of_other_questions_changes_nothing() -> None:
    others: tuple[Record, ...] = (
        msgspec.structs.replace(ASKED, id="q2"),
        msgspec.structs.replace(vote(8, "cyd"), id="q2"),
        Expired(id="q2"),
    )
    assert checked(more=others) == checked()
    still_open = Ended(status="open")
    assert checked(VOTES[:1], still_open, more=others) == checked(VOTES[:1], still_open)
