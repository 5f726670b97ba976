"""Who sent an answer, and at which place in the stream it still counts."""

from __future__ import annotations

from typing import Any

import pytest

from layby.actors.people.answer import (
    SKEW,
    Given,
    Refused,
    is_named,
    judge,
    lost,
    read,
    understood,
    unfit,
)
from layby.actors.people.answer_subject import NOBODY, Sender
from layby.actors.people.parked_question import CastVote, ParkedQuestion
from layby.actors.people.tickets import ParkedRecord
from layby.runtime.times import iso

DIGEST = "abcdefabcdef"


def asked(ref: str = "q1", role: str = "developer", **more: Any) -> ParkedQuestion:
    return ParkedQuestion(
        id=ref,
        run="run",
        role=role,
        question="?",
        asked_at=iso(10.0),
        deadline=iso(100.0),
        since=10.0,
        **more,
    )


def record(*questions: ParkedQuestion) -> ParkedRecord:
    return ParkedRecord(ticket="T1", questions=questions)


def outcome(found: ParkedRecord, given: Given, *, seq: int = 5, at: float = 20.0) -> str:
    return judge(found, "developer", given, seq=seq, at=at).outcome


# -- who --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "signature", "given"),
    [
        (NOBODY, "", Given("yes", by="bob")),
        (Sender("ada"), "", Given("yes", by="ada", responder="ada")),
        (Sender("ada", "slack"), "", Given("yes", by="ada", responder="ada", via="slack")),
        (NOBODY, "sig", Given("yes", by="bob", signature="sig")),
        (Sender("ada"), "sig", Given("yes", by="ada", responder="ada", signature="sig")),
    ],
)
def test_the_name_in_the_subject_takes_precedence(
    sender: Sender, signature: str, given: Given
) -> None:
    assert understood(b'{"answer": "yes", "by": "bob"}', "T1", sender, signature) == given


@pytest.mark.parametrize(
    ("given", "vouched"),
    [
        (Given("yes", by="bob"), "none"),
        (Given("yes", responder="ada"), "nats"),
        (Given("yes", responder="ada", via="slack"), "slack"),
    ],
)
def test_who_vouches_is_judged_by_the_subject_alone(given: Given, vouched: str) -> None:
    assert given.vouched == vouched


@pytest.mark.parametrize(
    ("sender", "why"),
    [
        (Sender("ada.b"), "too many words after the ticket: 'ada.b' is neither a name nor a name"),
        (Sender("ada.via-mail"), "one of via-slack, via-link, via-token, via-proxy"),
        (Sender("ada l", "slack"), "its subject names 'ada l': use letters, digits, _ and -"),
        (Sender("", "slack"), ""),
    ],
)
def test_a_subject_that_names_nobody_is_refused(sender: Sender, why: str) -> None:
    found = understood(b"yes", "T1", sender)
    if why:
        assert isinstance(found, Refused)
        assert why in found.reason
    else:
        assert isinstance(found, Given)


def test_a_long_subject_is_cut_in_the_reason() -> None:
    found = understood(b"yes", "T1", Sender("a." + "b" * 5_000))
    assert isinstance(found, Refused)
    assert len(found.reason) < 400


def test_what_cannot_be_read_stays_refused_whoever_sent_it() -> None:
    assert understood(b"", "T1", Sender("ada"), "sig") == read(b"", "T1")


def test_the_longest_answer_is_taken_and_a_longer_one_is_not() -> None:
    assert isinstance(read(b"x" * 32_000, "T1"), Given)
    longer = read(b"x" * 32_001, "T1")
    assert isinstance(longer, Refused)
    assert longer.reason == "the answer has 32001 characters, more than 32000"


# -- which question ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (Given("yes"), False),
        (Given("yes", "q9"), True),
        (Given(f"approve {DIGEST}"), True),
        (Given("approve ffffffffffff"), False),
        (Given(f'{{"approve": "{DIGEST}"}}', structured=True), True),
        (Given(f"approve {DIGEST}", structured=True), False),
    ],
)
def test_an_answer_names_a_question_by_its_id_or_the_digest_of_its_call(
    given: Given, *, named: bool
) -> None:
    whole = record(asked(), asked("q2", digest=DIGEST))
    assert is_named(whole, "developer", given) is named


def test_the_digest_of_another_roles_call_names_nothing() -> None:
    approval = Given(f"approve {DIGEST}")
    assert not is_named(record(asked("q2", "lead", digest=DIGEST)), "developer", approval)
    assert not is_named(None, "developer", approval)


def test_a_vote_that_was_counted_is_counted_again() -> None:
    vote = CastVote(by="ada", role="developer", seq=5)
    voted = record(asked(), asked("q2", votes=[vote]))
    found = judge(voted, "developer", Given("no"), seq=5, at=20.0)
    assert (found.outcome, found.question) == ("counted", voted.questions[1])
    assert outcome(voted, Given("no"), seq=6) == "ambiguous"


@pytest.mark.parametrize(
    ("given", "at", "wanted"),
    [
        (Given("yes"), 10.0, "accepted"),
        (Given("yes"), 9.999, "unknown_ticket"),
        (Given("yes", "q1"), 10.0 - SKEW, "accepted"),
        (Given("yes", "q1"), 9.99 - SKEW, "invalid"),
        (Given("yes"), 100.0, "accepted"),
        (Given("yes"), 100.001, "too_late"),
    ],
)
def test_an_answer_counts_from_the_asking_to_the_deadline(
    given: Given, at: float, wanted: str
) -> None:
    assert outcome(record(asked()), given, at=at) == wanted


def test_an_answer_at_the_winners_place_is_the_winner() -> None:
    closed = asked(status="answered", seq=5, by="ada", closed_at=iso(20.0))
    assert outcome(record(closed), Given("yes", "q1"), seq=5) == "accepted"
    assert outcome(record(closed), Given("yes", "q1"), seq=6) == "already_answered"
    assert outcome(record(closed), Given("yes", "q1"), seq=4) == "already_answered"


@pytest.mark.parametrize(
    ("more", "wanted", "why"),
    [
        ({"status": "answered", "by": "ada"}, "already_answered", "ada answered at 1970"),
        ({"status": "answered"}, "already_answered", "somebody answered at 1970"),
        ({"status": "no_quorum"}, "already_answered", "people could no longer agree, so it was"),
        ({"status": "expired"}, "too_late", "the deadline passed at 1970-01-01T00:01:40.000Z"),
        ({"status": "cancelled"}, "too_late", "the run ended at 1970-01-01T00:00:20.000Z"),
    ],
)
def test_who_comes_too_late_reads_how_it_ended(more: dict[str, Any], wanted: str, why: str) -> None:
    closed = asked(closed_at=iso(20.0), **more)
    found = lost(closed)
    assert (found.outcome, found.question) == (wanted, closed)
    assert found.reason.startswith(why)


def test_an_object_is_an_answer_only_where_a_form_asks_for_one() -> None:
    structured = Given('{"a": 1}', structured=True)
    assert unfit(asked(), structured) == "the answer must be text, not a JSON object or list"
    assert unfit(asked(), Given("{a}")) == ""
    assert unfit(asked(form={"type": "object"}), structured) == ""
    assert unfit(asked(form={"type": "boolean"}), structured) != ""
