"""Who has looked at an open question, as the log folds it and as it is sent."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.opening import Look, look_in
from layby.actors.people.parked_question import parked_question
from layby.actors.people.shown_openings import ShownOpening, shown_openings
from layby.client.opened_checks import seen_by
from layby.runtime.act_records import ClaimedQuestion, Declined, Passed
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import Answered, Ended, Expired, Record
from layby.runtime.opened_records import OPENED, OpenedQuestion
from layby.runtime.openings import MOST, Opening, openings
from layby.runtime.state import FORM, FORM_WITH_OPENED, FORMS
from layby.views.said_line import said_line
from tests.unit.test_acts import state_of


def opened(by: str, at: float, channel: str = "console", *, id: str = "q1") -> OpenedQuestion:  # noqa: A002
    return OpenedQuestion(id=id, by=by, at=at, seq=int(at), vouched="nats", channel=channel)


def seen(*records: Record) -> list[tuple[str, float, str]]:
    return [(each.by, each.at, each.channel) for each in openings(state_of(*records), "q1")]


# -- the fold ----------------------------------------------------------------------------------


def test_the_first_look_of_each_person_counts() -> None:
    state = state_of(opened("ada", 5.0), opened("bob", 6.0, "slack"))
    assert conflicts(state, opened("ada", 7.0))
    assert not conflicts(state, opened("cleo", 7.0))
    again = state_of(opened("ada", 5.0), opened("bob", 6.0, "slack"), opened("ada", 7.0))
    assert again.opened == state.opened
    assert [(each.by, each.at) for each in openings(state, "q1")] == [("ada", 5.0), ("bob", 6.0)]


@pytest.mark.parametrize(
    "said",
    [
        ClaimedQuestion(id="q1", by="ada", at=4.0, seq=4, vouched="nats", until=9.0),
        Passed(id="q1", by="ada", at=4.0, seq=4, vouched="nats", rung=0, to="role:lead"),
        Declined(id="q1", by="ada", at=4.0, seq=4, vouched="nats"),
    ],
)
def test_a_person_who_acts_on_a_question_has_looked_at_it(said: Record) -> None:
    assert seen(said) == [("ada", 4.0, "")]
    assert conflicts(state_of(said), opened("ada", 5.0)), "it is not written twice"


def test_a_person_who_answers_has_looked_and_a_closed_question_takes_no_more_looks() -> None:
    answer = Answered(id="q1", text="yes", by="ada", at=4.0, seq=4, vouched="slack")
    assert seen(answer) == [("ada", 4.0, "slack")]
    assert conflicts(state_of(answer), opened("bob", 5.0))
    assert state_of(answer, opened("bob", 5.0)).opened == {}
    for end in (Expired(id="q1"), Ended(status="completed")):
        assert conflicts(state_of(end), opened("bob", 5.0))
        assert seen(end, opened("bob", 5.0)) == []
    assert conflicts(state_of(), opened("ada", 1.0, id="q9")), "no such question"


def test_what_was_seen_before_it_was_answered_stays() -> None:
    answer = Answered(id="q1", text="yes", by="bob", at=9.0, seq=9, vouched="nats")
    assert seen(opened("ada", 5.0), opened("bob", 6.0), answer) == [
        ("ada", 5.0, "console"),
        ("bob", 6.0, "console"),
    ]


def test_a_flood_of_people_does_not_grow_a_log_for_ever() -> None:
    state = state_of(*(opened(f"p{n}", float(n)) for n in range(MOST)))
    assert len(state.opened["q1"]) == MOST
    assert conflicts(state, opened("one-more", 1e3))
    many = state_of(*(opened(f"p{n}", float(n)) for n in range(MOST + 5)))
    assert len(many.opened["q1"]) == MOST


def test_only_a_run_with_such_an_entry_has_the_newer_form() -> None:
    assert state_of().form == FORM
    assert state_of(opened("ada", 5.0)).form == FORM_WITH_OPENED
    assert FORM_WITH_OPENED in FORMS


# -- what is sent ------------------------------------------------------------------------------


def look(subject: str, body: object = None) -> Look | None:
    return look_in(subject, b"" if body is None else json.dumps(body).encode())


def test_a_look_names_the_person_by_its_subject() -> None:
    assert look(f"developer.{OPENED}.T1.ada") == Look("T1", "ada", "nats", "", "")
    body = {"questionId": "q1", "channel": "console", "by": "bob"}
    assert look("developer.opened.T1.ada", body) == Look("T1", "ada", "nats", "console", "q1")
    bridged = look("developer.opened.T1.ada.via-slack", body)
    assert bridged == Look("T1", "ada", "slack", "slack", "q1")


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        ("developer.opened.T1", b""),
        ("developer.opened.T1.ada.bob", b""),
        ("developer.opened.T1.ada.via-nobody", b""),
        ("developer.opened.=FF.ada", b""),
        ("developer.opened.T1.ada", b"null"),
        ("developer.opened.T1.ada", b"{"),
        ("developer.opened.T1.ada", b"\xff"),
        ("developer.opened.T1.ada", b"[" * 100_000),
        ("developer.opened.T1.ada", b'{"questionId": 7}'),
        ("developer.opened.T1.ada", b'{"channel": ["x"]}'),
    ],
)
def test_what_cannot_be_understood_says_nothing(subject: str, data: bytes) -> None:
    assert look_in(subject, data) is None


def test_a_channel_is_a_word_or_not_known() -> None:
    found = look("developer.opened.T1.ada", {"channel": "<script>" * 99})
    assert found is not None
    assert found.channel == ""


@given(st.text(max_size=40), st.binary(max_size=200))
def test_whatever_is_sent_there_is_no_error(rest: str, data: bytes) -> None:
    found = look_in(f"developer.opened.{rest}", data)
    assert found is None or (found.person and len(found.question) <= 200)


# -- what is shown -----------------------------------------------------------------------------


def test_a_question_shows_who_has_looked_at_it() -> None:
    state = state_of(opened("ada", 5.0), opened("bob", 6.5, ""))
    shown = parked_question(state, state.questions["q1"]).opened
    assert shown == (
        ShownOpening(by="ada", at="1970-01-01T00:00:05.000Z", channel="console"),
        ShownOpening(by="bob", at="1970-01-01T00:00:06.500Z"),
    )


def test_a_name_that_is_only_a_claim_and_no_word_is_not_shown() -> None:
    given = [Opening(by="Ada <b>", at=1.0), Opening(by="bob", at=2.0)]
    assert [each.by for each in shown_openings(given)] == ["bob"]
    for wrong in ({"by": "a b", "at": ""}, {"by": "a", "at": "yesterday"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, ShownOpening)


def test_the_timeline_says_who_opened_it_and_where() -> None:
    line = said_line(opened("ada", 5.0))
    assert (line["kind"], line["title"], line["detail"]) == (
        "question.opened",
        "ada opened it",
        "in console",
    )
    assert said_line(opened("ada", 5.0, ""))["detail"] == ""


def test_a_decision_lists_who_has_looked_at_its_question() -> None:
    found = seen_by("q1", [(3, opened("ada", 5.0)), (4, opened("bob", 6.0, id="q2"))])
    assert [(each.by, each.entry, each.message) for each in found] == [("ada", 3, 5)]
