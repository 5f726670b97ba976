"""What people send as an answer, and which question it closes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from layby.actors.people.answer import (
    READING,
    Given,
    Receipt,
    Refused,
    Sent,
    Verdict,
    judge,
    lost,
    read,
    was_open_when_stored,
)
from layby.actors.people.contest import Contest
from layby.actors.people.parked_question import ParkedQuestion
from layby.actors.people.tickets import ParkedRecord
from layby.runtime.forms import fit
from layby.runtime.times import iso
from tests.examples import examples

TICKET = "T1"


def taken(text: str, question_id: str = "", by: str = "", *, structured: bool = False) -> Given:
    return Given(text, question_id, by, structured)


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"yes", taken("yes")),
        (b" yes \n", taken("yes")),
        ("Größe ✓".encode(), taken("Größe ✓")),
        (b'"quoted"', taken('"quoted"')),
        (b"[1, 2]", taken("[1, 2]")),
        (b"42", taken("42")),
        (b'{"answer": "yes"}', taken("yes")),
        (b'{"response": "yes"}', taken("yes")),
        (b'{"text": "yes"}', taken("yes")),
        (b'{"text": "no", "answer": "yes"}', taken("yes")),
        (b'{"answer": " yes ", "questionId": "q1", "by": "ada"}', taken("yes", "q1", "ada")),
        (b'{"answer": "yes", "question_id": "q1"}', taken("yes", "q1")),
        (b'{"answer": "yes", "questionId": null, "by": null}', taken("yes")),
        (b'{"answer": "yes", "ticketId": "T1"}', taken("yes")),
        (b'{"answer": "yes", "ticket": "T1"}', taken("yes")),
        (b'{"answer": true}', taken("true")),
        (b'{"answer": 0}', taken("0")),
        (b'{"answer": 1.5}', taken("1.5")),
        ('{"answer": ["ä"]}'.encode(), taken('["ä"]', structured=True)),
        (b'{"answer": {"a": 1}}', taken('{"a": 1}', structured=True)),
    ],
)
def test_answers_that_can_be_understood(data: bytes, wanted: Given) -> None:
    assert read(data, TICKET) == wanted


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \t\n", "empty"),
        (b"\xff", "not UTF-8"),
        (b"{", "begins like JSON but is not valid"),
        (b'{"answer": "yes"', "begins like JSON but is not valid"),
        (b"{}", "none of the fields"),
        (b'{"Answer": "yes"}', "none of the fields"),
        (b'{"answer": ""}', "empty"),
        (b'{"answer": "  "}', "empty"),
        (b'{"answer": null}', "null"),
        (b'{"answer": null, "text": "yes"}', "null"),
        (b'{"answer": "yes", "by": ["ada"]}', "must be text"),
        (b'{"answer": "yes", "questionId": 7}', "must be text"),
        (b'{"answer": "yes", "ticketId": "T2"}', "for ticket 'T2', not 'T1'"),
        (b'{"answer": "yes", "ticket": null}', "for ticket 'None', not 'T1'"),
        (b'{"answer": "\\ud800"}', "surrogate"),
        (b'{"answer": "yes", "by": "\\udfff"}', "surrogate"),
        (b'{"answer": "yes", "questionId": "\\ud800"}', "surrogate"),
        (b"x" * 32_001, "32001 characters, more than 32000"),
        (b'{"a":' * 50_000, "begins like JSON but is not valid"),
    ],
)
def test_answers_that_cannot_be_understood(data: bytes, reason: str) -> None:
    refused = read(data, TICKET)
    assert isinstance(refused, Refused)
    assert reason in refused.reason
    assert len(refused.reason) < 500


def test_a_ticket_that_is_a_number_may_be_named_as_one() -> None:
    assert read(b'{"answer": "yes", "ticketId": 4521}', "4521") == taken("yes")


def test_a_long_name_is_cut() -> None:
    answer = read(json.dumps({"answer": "yes", "by": "a" * 500}).encode(), TICKET)
    assert isinstance(answer, Given)
    assert len(answer.by) == 200


calmly = settings(
    deadline=None,
    database=None,
    max_examples=examples(200),
    suppress_health_check=[HealthCheck.too_slow],
)
text = st.text(st.sampled_from('aB1 ä✓\ud800\0\n"{}[]'), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(
    ["answer", "response", "text", "questionId", "question_id", "question", "by", "ticketId", "x"]
)


@calmly
@given(
    st.binary(max_size=200) | st.dictionaries(fields, values).map(lambda b: json.dumps(b).encode())
)
@example(b'{"answer": ' + b"[" * 800 + b"]" * 800 + b"}")
@example(b'{"answer": 1e999}')
@example(b'{"answer": NaN}')
@example(b'{"answer": ' + b"9" * 5_000 + b"}")
@example(b"\xef\xbb\xbf" + b'{"answer": "with a BOM"}')
def test_reading_any_bytes_never_raises_and_the_result_can_be_recorded(data: bytes) -> None:
    answer = read(data, TICKET)
    if isinstance(answer, Given):
        assert answer.text.strip() == answer.text != ""
        msgspec.json.encode([answer.text, answer.by, answer.question_id])
    else:
        msgspec.json.encode(answer.reason)
        assert answer.reason


# -- judging -----------------------------------------------------------------------------------


def asked(ref: str, *, role: str = "developer", since: float = 10.0, **more: Any) -> ParkedQuestion:
    return ParkedQuestion(
        id=ref,
        run=f"run-of-{ref}",
        role=role,
        question="?",
        asked_at=iso(since),
        deadline=iso(since + 100),
        since=since,
        **more,
    )


def answered(ref: str, by_seq: int, **more: Any) -> ParkedQuestion:
    return asked(ref, status="answered", seq=by_seq, by="ada", closed_at=iso(50.0), **more)


def record(*questions: ParkedQuestion) -> ParkedRecord:
    return ParkedRecord(ticket=TICKET, questions=questions)


def verdict(
    questions: list[ParkedQuestion], named: str = "", *, seq: int = 7, at: float = 60.0
) -> tuple[str, str]:
    found = judge(record(*questions), "developer", taken("yes", named), seq=seq, at=at)
    return found.outcome, found.question.id if found.question else ""


def test_a_ticket_without_a_record_is_unknown() -> None:
    found = judge(None, "developer", taken("yes"), seq=1, at=1.0)
    assert found == Verdict("unknown_ticket", reason="no question has been asked on this ticket")


def test_an_unnamed_answer_is_for_the_only_open_question() -> None:
    assert verdict([asked("a")]) == ("accepted", "a")
    assert verdict([answered("a", 3), asked("b")]) == ("accepted", "b")
    assert verdict([asked("a"), asked("b", since=70.0)]) == ("accepted", "a")


def test_an_unnamed_answer_to_two_open_questions_is_ambiguous() -> None:
    questions = [asked("a"), asked("b", since=20.0), asked("c", role="legal"), answered("d", 3)]
    found = judge(record(*questions), "developer", taken("yes"), seq=7, at=60.0)
    assert (found.outcome, found.question) == ("ambiguous", None)
    assert [q.id for q in found.candidates] == ["a", "b"]
    assert "2 questions are open" in found.reason


def approval(ref: str, *, digest: str = "", **more: Any) -> ParkedQuestion:
    return asked(ref, digest=digest or f"{ref * 12}"[:12], **more)


def test_two_approvals_and_a_double_click_approve_nothing() -> None:
    assert verdict([approval("a"), approval("b")]) == ("ambiguous", "")
    closed = answered("a", 3, digest="aaaaaaaaaaaa")
    again = [closed, approval("b", since=51.0)]
    assert verdict(again, at=52.0) == ("ambiguous", "")
    assert verdict(again, at=50.5) == ("already_answered", "a")
    assert verdict([closed, approval("b", since=51.0)], "b", at=52.0) == ("accepted", "b")
    assert verdict([closed, approval("b", since=51.0)], at=50.0 + READING) == ("accepted", "b")


@pytest.mark.parametrize(
    "given", [taken("approve bbbbbbbbbbbb"), taken('{"approve": "bbbbbbbbbbbb"}', structured=True)]
)
def test_a_digest_names_its_question(given: Given) -> None:
    questions = record(approval("a"), approval("b"))
    found = judge(questions, "developer", given, seq=7, at=60.0)
    assert (found.outcome, found.question and found.question.id) == ("accepted", "b")


def test_an_answer_stored_after_the_deadline_is_too_late_before_the_question_expires() -> None:
    late = asked("a")
    assert verdict([late], at=110.5) == ("too_late", "a")
    assert verdict([late], "a", at=110.5) == ("too_late", "a")
    assert verdict([late], at=110.0) == ("accepted", "a")
    assert verdict([late, asked("b", since=60.0)], at=120.0) == ("accepted", "b")


def test_the_first_valid_answer_in_the_stream_wins() -> None:
    whole = asked("a", form={"type": "boolean"})
    contest = Contest(record(whole, asked("b", since=30.0)), "developer")
    for seq, at, said in [
        (1, 5.0, taken("yes", "")),  # before it was shown
        (2, 12.0, taken("perhaps", "a")),  # has not its form
        (3, 13.0, taken("yes", "a")),
        (4, 14.0, taken("no", "a")),
        (5, 40.0, taken("for b")),
        (6, 41.0, taken("for b too")),
    ]:
        contest.add(Sent(seq, at, said))
    assert {ref: sent.seq for ref, sent in contest.winners.items()} == {"a": 3, "b": 5}
    assert [q.status for q in contest.record.questions] == ["answered", "answered"]


def test_a_named_answer_is_for_that_question_only() -> None:
    questions = [asked("a"), answered("b", 3)]
    assert verdict(questions, "a") == ("accepted", "a")
    assert verdict(questions, "b") == ("already_answered", "b")
    assert verdict(questions, "c") == ("invalid", "")


def test_a_named_answer_may_precede_its_question_by_the_clock_skew() -> None:
    assert verdict([asked("a", since=60.5)], "a", at=60.0) == ("accepted", "a")
    assert verdict([asked("a", since=100.0)], "a", at=60.0) == ("invalid", "a")


def test_a_question_to_another_role_is_unknown() -> None:
    assert verdict([asked("a", role="legal")]) == ("unknown_ticket", "")
    assert verdict([asked("a", role="legal")], "a") == ("unknown_ticket", "")
    assert verdict([asked("a", role="legal"), asked("b")], "a") == ("invalid", "")


def test_an_unnamed_answer_closes_no_question_asked_after_it() -> None:
    assert verdict([asked("a", since=100.0)], at=60.0) == ("unknown_ticket", "")
    questions = [answered("a", 3), asked("b", since=100.0)]
    assert verdict(questions, at=60.0) == ("already_answered", "a")


def test_an_accepted_answer_is_accepted_again_when_redelivered() -> None:
    assert verdict([answered("a", 7), asked("b")], seq=7) == ("accepted", "a")


def test_an_answer_that_lost_does_not_close_another_question() -> None:
    """It was sent when `a` was open, and a later answer has closed that: not a word on `b`."""
    questions = [answered("a", 9), asked("b", since=61.0)]
    assert verdict(questions, seq=7) == ("already_answered", "a")
    assert verdict([answered("a", 9), asked("b")], seq=7) == ("ambiguous", "")


@pytest.mark.parametrize(
    ("closed", "seq", "at", "wanted"),
    [
        (answered("a", 9), 7, 60.0, True),
        (answered("a", 9), 10, 60.0, False),
        (answered("a", 7), 7, 60.0, False),
        (asked("a"), 7, 60.0, False),
        (asked("a"), 7, 111.0, False),
        (asked("a", status="expired", closed_at=iso(110.0)), 7, 109.0, True),
        (asked("a", status="expired", closed_at=iso(111.0)), 7, 110.5, False),
        (asked("a", status="cancelled", closed_at=iso(50.0)), 7, 49.0, True),
        (asked("a", status="cancelled", closed_at=iso(50.0)), 7, 51.0, False),
    ],
)
@pytest.mark.parametrize("name", ["a", ""])
def test_an_answer_that_lost_may_have_been_stored_while_its_question_was_open(
    closed: ParkedQuestion, seq: int, at: float, name: str, *, wanted: bool
) -> None:
    said = taken("yes", name)
    found = judge(record(closed), "developer", said, seq=seq, at=at)
    assert was_open_when_stored(found, Sent(seq, at, said)) == wanted


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        ("answered", "already_answered", "ada answered at 1970"),
        ("expired", "too_late", "the deadline passed at 1970"),
        ("cancelled", "too_late", "the run ended at 1970"),
    ],
)
def test_the_verdict_on_a_closed_question_says_how_it_closed(
    status: str, outcome: str, reason: str
) -> None:
    question = asked("a", status=status, by="ada", closed_at=iso(50.0))
    found = lost(question)
    assert found.outcome == outcome
    assert found.reason.startswith(reason)
    assert found == judge(record(question), "developer", taken("yes", "a"), seq=7, at=60.0)


def some_question(
    *, number: int, role: str, since: float, status: str, seq: int, closed: float
) -> ParkedQuestion:
    return asked(
        f"q{number}",
        role=role,
        since=since,
        status=status,
        seq=seq if status == "answered" else 0,
        closed_at="" if status == "open" else iso(closed),
    )


def id_of(question: ParkedQuestion) -> str:
    return question.id


questions_st = st.lists(
    st.builds(
        some_question,
        number=st.integers(0, 5),
        role=st.sampled_from(["developer", "legal"]),
        since=st.floats(0, 100),
        status=st.sampled_from(["open", "open", "answered", "expired", "cancelled"]),
        seq=st.integers(1, 20),
        closed=st.floats(0, 100),
    ),
    max_size=5,
    unique_by=id_of,
)


@calmly
@given(
    questions_st,
    st.sampled_from(["", *(f"q{n}" for n in range(6)), "other"]),
    st.integers(1, 20),
    st.floats(0, 100),
)
def test_a_verdict_never_means_a_question_that_the_answer_cannot_have_meant(
    questions: list[ParkedQuestion], named: str, seq: int, at: float
) -> None:
    found = judge(record(*questions), "developer", taken("yes", named), seq=seq, at=at)
    question = found.question
    if question is not None:
        assert question in questions
        assert question.role == "developer"
        won_before = question.seq == seq and question.status == "answered"
        assert won_before or named in {"", question.id}
        assert won_before or named or question.since <= at
    if found.outcome == "accepted":
        assert question is not None
        assert question.status == "open" or (question.status, question.seq) == ("answered", seq)
    else:
        assert found.reason
        late = question is not None and at > datetime.fromisoformat(question.deadline).timestamp()
        assert question is None or question.status != "open" or late or question.since > at
    again = judge(record(*questions), "developer", taken("yes", named), seq=seq, at=at)
    assert again == found


def test_a_receipt_is_read_as_it_was_written() -> None:
    receipt = Receipt(outcome="too_late", ticket=TICKET, question="a", reason="late", seq=3)
    assert msgspec.json.decode(msgspec.json.encode(receipt), type=Receipt) == receipt


@pytest.mark.parametrize("text", ["[" * 800 + "]" * 800, "[1e999]", "[NaN]"])
def test_an_answer_that_cannot_be_checked_is_refused(text: str) -> None:
    """It is judged again with each answer after it, and stopped them all."""
    tree: dict[str, Any] = {"$ref": "#/$defs/tree"}
    number = {"type": "number", "multipleOf": 0.5}
    form = {"$defs": {"tree": {"type": "array", "items": {"anyOf": [tree, number]}}}, **tree}
    assert "cannot be checked" in fit(text, form)
    assert not fit("[[2]]", form)
