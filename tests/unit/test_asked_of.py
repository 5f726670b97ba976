"""A question as each role sees it that it was escalated to, and to whom it can be passed on."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import pytest

from layby.actors.people.act import GivenAct
from layby.actors.people.asked_of import (
    as_asked_of,
    asked_also_of,
    record_for,
    related,
    shown_also,
)
from layby.actors.people.parked_question import UNKNOWN, ParkedQuestion
from layby.actors.people.passing import why_not_to
from layby.actors.people.sent_acts import SentAct
from layby.actors.people.shown_ladder import ShownTo
from layby.actors.people.tickets import ParkedRecord
from layby.runtime.ports import Ports
from layby.runtime.quorum import Quorum
from layby.runtime.state import Question
from layby.runtime.times import iso

LEAD = ShownTo(since=50.0, seq=9)
BOARD = ShownTo(since=70.0, seq=12)


def question(ref: str = "q1", role: str = "developer", **more: Any) -> ParkedQuestion:
    return ParkedQuestion(
        id=ref,
        run="run",
        role=role,
        question="?",
        asked_at=iso(10.0),
        deadline=iso(100.0),
        since=10.0,
        shown_seq=3,
        shown_after=1,
        answer_with=("nats pub",),
        **more,
    )


def record(*questions: ParkedQuestion) -> ParkedRecord:
    return ParkedRecord(ticket="T1", questions=questions)


ESCALATED = question(also={"lead": LEAD, "board": BOARD})


def test_the_role_that_was_asked_sees_the_question_as_it_is() -> None:
    assert as_asked_of(ESCALATED, "developer") is ESCALATED
    assert asked_also_of(ESCALATED, "developer") is ESCALATED


def test_another_role_sees_since_when_it_is_asked_and_who_was_first() -> None:
    seen = as_asked_of(ESCALATED, "lead")
    assert seen is not None
    assert (seen.role, seen.asked_of) == ("lead", "developer")
    assert (seen.since, seen.shown_seq, seen.shown_after) == (50.0, 9, UNKNOWN)
    assert seen.also == {"board": BOARD}
    assert seen.answer_with == ()
    assert set(seen.roles) == {"lead", "board"}


def test_a_role_that_is_not_asked_sees_nothing() -> None:
    assert as_asked_of(ESCALATED, "finance") is None


def test_a_record_shows_a_role_its_questions_and_leaves_the_others() -> None:
    other = question("q2", "finance")
    whole = record(ESCALATED, other)
    seen = record_for(whole, "lead")
    assert seen is not None
    assert [(each.id, each.role) for each in seen.questions] == [("q1", "lead"), ("q2", "finance")]
    assert record_for(whole, "legal") is whole
    assert record_for(None, "lead") is None


def test_roles_are_related_by_the_open_questions_that_they_share() -> None:
    first = question("q1", "developer", also={"lead": LEAD})
    second = question("q2", "board", also={"lead": LEAD})
    closed = question("q3", "board", also={"legal": LEAD}, status="cancelled", closed_at=iso(60.0))
    apart = question("q4", "finance")
    found = related(record(first, second, closed, apart), "developer")
    assert found == ("developer", "board", "lead")
    assert related(record(apart), "developer") == ("developer",)
    assert related(None, "developer") == ("developer",)


def test_an_escalation_is_noted_once() -> None:
    before = record(question("q0"), question())
    after = shown_also(before, "q1", "lead", LEAD)
    assert [each.also for each in after.questions] == [{}, {"lead": LEAD}]
    assert shown_also(after, "q1", "lead", BOARD) is after
    assert shown_also(after, "q9", "lead", BOARD) is after
    further = shown_also(after, "q1", "board", BOARD)
    assert further.questions[1].also == {"lead": LEAD, "board": BOARD}


# -- passing it on ----------------------------------------------------------------------------


class App(NamedTuple):
    """What an app declares, as far as passing on needs."""

    roles: tuple[str, ...] = ("developer", "lead", "board", "legal")
    signers: tuple[str, ...] = ("board",)


def why_not(to: str, **asked: Any) -> str:
    given = GivenAct("pass", "ada", "nats", to=to)
    fields: dict[str, Any] = {"role": "developer", **asked}
    put = Question(id="q1", frame="w", key="ask", question="?", **fields)
    return why_not_to(put, SentAct(1, 1.0, "developer", given), cast("Ports", App()))


@pytest.mark.parametrize("to", ["", "person:bob", "role:lead"])
def test_a_question_can_be_passed_to_somebody_else(to: str) -> None:
    assert why_not(to) == ""


VOTED = Quorum(number=2, people={"developer": ["ada", "bob"]}, exclude=["dan"])


@pytest.mark.parametrize(
    ("to", "asked", "why"),
    [
        ("person:ada", {}, "you cannot pass it to yourself: claim it"),
        ("person:bob", {"only": "cleo"}, "only cleo may answer this question"),
        ("role:lead", {"only": "cleo"}, "only cleo may answer this question"),
        ("person:eve", {"quorum": VOTED}, "eve is not in the role 'developer': ada, bob may vote"),
        ("person:dan", {"quorum": VOTED}, "dan is excluded from this decision"),
        ("role:lead", {"quorum": VOTED}, "'lead' would have no vote: name a person"),
        ("role:nobody", {}, "the app has no role 'nobody'; it has developer, lead, board, legal"),
        ("role:developer", {}, "the role 'developer' is asked already: name a person"),
        ("role:board", {}, "one of 'developer' and 'board' takes signed answers only"),
        ("role:lead", {"role": "board"}, "one of 'board' and 'lead' takes signed answers only"),
    ],
)
def test_to_whom_it_cannot_be_passed_is_said_with_the_way_out(
    to: str, asked: dict[str, Any], why: str
) -> None:
    assert why in why_not(to, **asked)


def test_what_one_person_or_several_decide_can_be_passed_to_who_may() -> None:
    assert why_not("person:cleo", only="cleo") == ""
    assert why_not("person:bob", quorum=VOTED) == ""
