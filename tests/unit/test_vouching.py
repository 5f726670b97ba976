"""Whose word it is that somebody answered, and whether that is enough for a question."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from layby import Role
from layby.runtime.closing import is_closed, is_no_vote, is_refused
from layby.runtime.entry import ROOT, Answered, Expired, Voted
from layby.runtime.quorum import Quorum
from layby.runtime.signature import Statement, digest
from layby.runtime.state import Question, RunState
from layby.runtime.vouched import VOUCHERS, weakest, word_of
from layby.runtime.vouching import Refusal, Signers, must_sign, refused
from tests.signing_desk import ADA, BOB

SIGNERS = Signers([Role("approver", keys={"ada": ADA.public}), Role("developer")])
EXPIRES = 1_000


def question(**more: Any) -> Question:
    fields: dict[str, Any] = {"role": "developer", "question": "Pay?", **more}
    return Question(id="q1", frame=ROOT, key="ask", deadline=500.0, **fields)


def answer(by: str = "ada", vouched: str = "nats", **more: Any) -> Answered:
    return Answered(id="q1", text="yes", by=by, vouched=vouched, **more)


def vote(role: str = "developer", vouched: str = "nats", **more: Any) -> Voted:
    fields: dict[str, Any] = {"at": 1.0, "seq": 1, "by": "ada", **more}
    return Voted(id="q1", role=role, text="yes", vouched=vouched, **fields)


def why(put: Question, given: Answered | Voted, signers: Signers | None = SIGNERS) -> str:
    found = refused("T1", "run", put, given, signers)
    return "" if found is None else found.why


def signed(put: Question, *, at: float = 10.0, by: str = "ada", signer: Any = ADA) -> Answered:
    statement = Statement(
        ticket="T1",
        run="run",
        question="q1",
        role=put.role,
        asked=digest(put),
        answer="yes",
        by=by,
        expires=EXPIRES,
    )
    return answer(by, "signature", at=at, signature=str(statement.signed(signer)))


# -- who vouches ------------------------------------------------------------------------------


def test_people_read_whose_word_it_is() -> None:
    words = {each: word_of(each) for each in VOUCHERS}
    assert words["nats"] == "the server"
    assert words["link"] == "a link that was sent to them"
    assert words["signature"] == words["none"] == word_of("somebody") == ""
    assert all(words[each] for each in VOUCHERS if each not in {"signature", "none"})


def test_of_several_vouchers_the_weakest_counts_in_any_order() -> None:
    ranks = ["none", "proxy", "token", "link", "slack", "nats", "signature"]
    assert set(ranks) == set(VOUCHERS)
    for weaker, stronger in itertools.combinations(ranks, 2):
        assert weakest([weaker, stronger]) == weakest([stronger, weaker]) == weaker
        assert weakest([stronger]) == stronger
    assert weakest(["signature", "carrier pigeon"]) == "none"


# -- what a question takes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("put", "given", "said"),
    [
        (question(), answer("", "none"), ""),
        (question(accept=["nats", "slack"]), answer(), ""),
        (question(accept=["slack", "link"]), answer(), "vouched for by slack or link"),
        (question(accept=["nats"]), answer("", "none"), "only answers that are vouched for by nat"),
        (question(only="ada"), answer(), ""),
        (question(only="ada"), answer("bob"), "only ada may answer this question, under their own"),
        (question(only="ada"), answer("ada", "none"), "only ada may answer this question"),
        (question(quorum=Quorum(number=1)), answer(), "several people decide this question"),
        (question(quorum=Quorum(number=1), accept=["nats"]), vote(), ""),
        (question(quorum=Quorum(number=1), accept=["nats"]), vote(vouched="link"), "by nats"),
    ],
)
def test_who_vouches_must_be_enough_for_the_question(
    put: Question, given: Answered | Voted, said: str
) -> None:
    assert (said in why(put, given)) if said else why(put, given) == ""
    assert (said in why(put, given, None)) if said else why(put, given, None) == ""


@pytest.mark.parametrize(
    ("put", "role", "must"),
    [
        (question(), "approver", True),
        (question(), "developer", False),
        (question(accept=["signature"]), "developer", True),
        (question(quorum=Quorum(number=1, signed=["lead"])), "lead", True),
        (question(quorum=Quorum(number=1, signed=["lead"]), accept=["signature"]), "it", False),
        (question(quorum=Quorum(number=1)), "approver", True),
    ],
)
def test_a_role_must_sign_if_the_app_or_the_question_says_so(
    put: Question, role: str, *, must: bool
) -> None:
    assert must_sign(put, role, SIGNERS) is must


def test_without_the_app_only_the_question_says_who_must_sign() -> None:
    assert not must_sign(question(), "approver", None)
    assert must_sign(question(accept=["signature"]), "approver", None)
    assert (bool(SIGNERS), bool(Signers()), bool(Signers([Role("developer")]))) == (
        True,
        False,
        False,
    )


# -- signed -----------------------------------------------------------------------------------

APPROVAL = question(role="approver")


def test_a_signed_answer_counts_until_its_signature_expires() -> None:
    assert why(APPROVAL, signed(APPROVAL)) == ""
    assert why(APPROVAL, signed(APPROVAL, at=EXPIRES)) == ""
    late = why(APPROVAL, signed(APPROVAL, at=EXPIRES + 0.1))
    assert late.startswith("its signature was valid until 1970-01-01T00:16:40.000Z and it was")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(), "takes signed answers only: this has no Layby-Signature"),
        (answer(signature="nonsense"), "its Layby-Signature cannot be read"),
        (
            msgspec.structs.replace(signed(APPROVAL), text="no"),
            "its signature does not fit: it is for another question or another answer",
        ),
        (signed(APPROVAL, by="bob"), "'bob' has no key in the role 'approver'"),
        (signed(APPROVAL, signer=BOB), "its key does not belong to 'ada' in the role 'approver'"),
    ],
)
def test_a_signed_answer_that_does_not_count_says_why(given: Answered, said: str) -> None:
    assert said in why(APPROVAL, given)


def test_only_a_signature_that_fits_is_refused_for_its_key() -> None:
    """Then people can mend it, by declaring the key."""
    stranger = refused("T1", "run", APPROVAL, signed(APPROVAL, signer=BOB), SIGNERS)
    assert stranger is not None
    assert stranger.of_key
    changed = msgspec.structs.replace(signed(APPROVAL, signer=BOB), text="no")
    forged = refused("T1", "run", APPROVAL, changed, SIGNERS)
    assert forged is not None
    assert not forged.of_key


def test_without_the_app_a_signature_need_only_fit_its_key() -> None:
    asked = question(role="approver", accept=["signature"])
    assert why(asked, signed(asked, signer=BOB), None) == ""
    changed = msgspec.structs.replace(signed(asked, signer=BOB), text="no")
    assert "does not fit" in why(asked, changed, None)


# -- in the fold ------------------------------------------------------------------------------


def state(put: Question) -> RunState:
    return RunState(id="run", questions={"q1": put})


@pytest.mark.parametrize(
    ("refusal", "status", "doubt"),
    [
        (Refusal("old key", of_key=True), "open", "old key"),
        (Refusal("old key", of_key=True), "answered", ""),
        (Refusal("forged"), "open", ""),
        (None, "open", ""),
    ],
)
def test_an_open_question_notes_that_only_a_key_is_in_the_way(
    refusal: Refusal | None, status: str, doubt: str
) -> None:
    put = question(status=status)
    found = is_refused(state(put), answer(), lambda _state, _put, _record: refusal)
    assert found is (refusal is not None)
    assert put.doubt == doubt


def test_an_answer_to_no_question_is_not_refused_here() -> None:
    unknown = Answered(id="q9", text="yes")
    of_key = Refusal("old key", of_key=True)
    assert not is_refused(state(question()), unknown, lambda _state, _put, _record: of_key)
    assert is_closed(state(question()), unknown)
    assert is_no_vote(state(question()), msgspec.structs.replace(vote(), id="q9"))


@pytest.mark.parametrize(
    ("due", "closed"),
    [(0.0, False), (499.0, True), (499.9985, True), (499.9995, False), (500.0, False), (0.5, True)],
)
def test_a_deadline_that_was_put_off_since_closes_nothing(due: float, *, closed: bool) -> None:
    assert is_closed(state(question()), Expired(id="q1", due=due)) is closed
