"""Which answers a question accepts, and how those who are refused can answer instead."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import pytest

from layby import Role
from layby.actors.people.answer import Given, Sent
from layby.actors.people.answer_admission import AnswerAdmission, answered, voted
from layby.actors.people.parked_question import ParkedQuestion
from layby.bus.names import Names
from layby.runtime.host import Host
from layby.runtime.quorum import Quorum
from layby.runtime.signature import Statement, digest
from layby.runtime.times import iso
from layby.runtime.vouching import Signers
from tests.signing_desk import ADA, BOB, KEYS


class Runs:
    """The runs in memory: none."""

    def warm(self, run: str) -> None:
        """What is known of a run."""


class Ports(NamedTuple):
    signers: Signers


class Known(NamedTuple):
    """What admission needs of a worker: who signs, and the runs in memory."""

    ports: Ports
    cache: Runs


def admission(role: str = "developer", prefix: str = "") -> AnswerAdmission:
    signers = Signers([Role("approver", keys=KEYS)])
    return AnswerAdmission(role, cast("Host", Known(Ports(signers), Runs())), Names(prefix))


def question(role: str = "developer", **more: Any) -> ParkedQuestion:
    return ParkedQuestion(
        id="q1",
        run="run",
        role=role,
        question="Pay?",
        asked_at=iso(10.0),
        deadline=iso(100.0),
        since=10.0,
        **more,
    )


def sent(text: str = "yes", by: str = "", *, role: str = "", **more: Any) -> Sent:
    return Sent(7, 20.0, Given(text, "q1", by, responder=by, **more), role)


def why_not(put: ParkedQuestion, answer: Sent, role: str = "developer", prefix: str = "") -> str:
    return admission(role, prefix).rule_for("T1")(put, answer)


# -- plain ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("put", "answer"),
    [
        (question(), sent()),
        (question(accept=["nats"]), sent(by="ada")),
        (question(accept=["none"]), sent()),
        (question(accept=["slack"]), sent(by="ada", via="slack")),
        (question(only="ada"), sent(by="ada")),
        (question(form={"type": "boolean"}), sent("no")),
    ],
)
def test_an_answer_that_has_what_the_question_asks_for_is_accepted(
    put: ParkedQuestion, answer: Sent
) -> None:
    assert why_not(put, answer) == ""


@pytest.mark.parametrize(
    ("put", "answer", "why"),
    [
        (
            question(accept=["nats"]),
            sent(),
            "only answers whose subject names you: developer.response.T1.YOUR_NAME",
        ),
        (
            question(accept=["nats", "none"]),
            sent(by="ada", via="slack"),
            "what comes through slack does not count for this question: answer with your own login",
        ),
        (question(accept=["slack", "link"]), sent(by="ada"), "only answers through slack or link"),
        (
            question(accept=["none"]),
            sent(by="ada"),
            "only unnamed answers (none): leave the name out",
        ),
        (
            question(accept=["none", "slack"]),
            sent(by="ada"),
            "leave the name out, and answers through slack",
        ),
        (question(only="ada"), sent(by="bob"), "only ada may answer this question"),
        (question(only="ada"), sent(), "only ada may answer this question"),
        (question(form={"type": "boolean"}), sent("perhaps"), "does not have the form that was"),
    ],
)
def test_a_refused_answer_says_what_counts_instead(
    put: ParkedQuestion, answer: Sent, why: str
) -> None:
    assert why in why_not(put, answer)


def test_the_subject_to_answer_on_is_the_apps() -> None:
    why = why_not(question(accept=["nats"]), sent(), prefix="shop")
    assert "shop.developer.response.T1.YOUR_NAME" in why


def test_why_an_answer_does_not_fit_says_nothing_of_a_confidential_question() -> None:
    secret = {"enum": ["launch on friday"]}
    why = why_not(question(confidential=True, form=secret), sent("no"))
    assert "friday" not in why
    assert "`layby questions` shows it where LAYBY_KEYS is set" in why
    call = why_not(question(confidential=True, form=secret, digest="abcdefabcdef"), sent("perhaps"))
    assert "answer one of: approve, reject: why" in call
    assert "LAYBY_KEYS" not in call
    assert why_not(question(confidential=True), sent()) == ""


# -- votes ------------------------------------------------------------------------------------

PEOPLE = {"finance": ["ada", "bob"], "legal": ["dan"]}
TWO = Quorum(number=2, groups={"finance": 1, "legal": 1}, people=PEOPLE)
POLL = question("finance", quorum=TWO, accept=["nats"], form={"type": "boolean"})


def test_who_may_vote_is_part_of_the_question() -> None:
    assert why_not(POLL, sent(by="ada"), "finance") == ""
    assert why_not(POLL, sent(by="dan", role="legal"), "finance") == ""
    assert "dan is not in the role 'finance'" in why_not(POLL, sent(by="dan"), "finance")
    assert why_not(POLL, sent(by="ada", role="it"), "finance") == "the role 'it' is not asked"


def test_a_vote_needs_a_name_and_a_choice() -> None:
    unnamed = why_not(POLL, sent(), "finance")
    assert unnamed.startswith("several people decide this, each under their own name: finance.")
    assert "form" in why_not(POLL, sent("perhaps", by="ada"), "finance")
    only = question("finance", quorum=TWO, accept=["slack"])
    assert "only votes through slack" in why_not(only, sent(by="ada"), "finance")


@pytest.mark.parametrize(
    ("quorum", "role", "vouched", "signature"),
    [
        (TWO, "finance", "slack", ""),
        (Quorum(number=1, signed=["finance"]), "finance", "signature", "sig"),
        (Quorum(number=1, signed=["finance"]), "legal", "slack", ""),
        (None, "finance", "slack", ""),
    ],
)
def test_a_recorded_vote_has_a_signature_only_where_that_counts(
    quorum: Quorum | None, role: str, vouched: str, signature: str
) -> None:
    answer = sent("no", by="ada", via="slack", signature="sig")
    vote = voted(question("finance", quorum=quorum), answer, role)
    assert (vote.id, vote.role, vote.text, vote.by) == ("q1", role, "no", "ada")
    assert (vote.at, vote.seq, vote.vouched, vote.signature) == (20.0, 7, vouched, signature)


# -- signed -----------------------------------------------------------------------------------

APPROVAL = question("approver")


def signed(put: ParkedQuestion, by: str = "ada", signer: Any = ADA, text: str = "yes") -> Sent:
    statement = Statement(
        ticket="T1",
        run="run",
        question="q1",
        role="approver",
        asked=digest(put),
        answer="yes",
        by=by,
        expires=1_000,
    )
    return sent(text, by, signature=str(statement.signed(signer)))


def test_a_signed_answer_is_accepted() -> None:
    assert why_not(APPROVAL, signed(APPROVAL), "approver") == ""
    assert why_not(APPROVAL, signed(APPROVAL, "bob", BOB), "approver") == ""


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (sent(), "the role 'approver' takes signed answers only: answer on approver.response.T1."),
        (sent(by="ada"), "this has no Layby-Signature; answer on approver.response.T1.YOUR_NAME"),
        (signed(APPROVAL, text="no"), "its signature does not fit"),
        (signed(APPROVAL, signer=BOB), "its key does not belong to 'ada'"),
    ],
)
def test_an_answer_that_is_not_signed_says_how_to_sign(answer: Sent, why: str) -> None:
    found = why_not(APPROVAL, answer, "approver")
    assert why in found
    assert found.endswith("with a Layby-Signature: `layby answer` and `layby sign` make one")


def test_a_signed_vote_is_checked_as_a_vote() -> None:
    poll = question("approver", quorum=Quorum(number=2, signed=["approver"]), accept=["signature"])
    assert why_not(poll, signed(poll), "approver") == ""
    assert "has no Layby-Signature" in why_not(poll, sent(by="ada"), "approver")


def test_a_recorded_answer_has_its_signature_if_the_role_signs() -> None:
    answer = sent(by="ada", signature="sig")
    plain = admission().answered("q1", answer)
    assert (plain.vouched, plain.signature, plain.by, plain.seq) == ("nats", "", "ada", 7)
    kept = admission("approver").answered("q1", answer)
    assert (kept.vouched, kept.signature, kept.at, kept.text) == ("signature", "sig", 20.0, "yes")
    assert answered("q1", answer) == plain
