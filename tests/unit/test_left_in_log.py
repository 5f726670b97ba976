"""What a ticket's record leaves in the logs of its runs, and gets back from them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby.actors.people.confidential import erased
from layby.actors.people.left_in_log import left_in_log, restored
from layby.actors.people.parked_question import IN_LOG, ParkedQuestion, Shown, parked_question
from layby.bus.sealing import is_sealed
from layby.runtime.act_records import ClaimedQuestion
from layby.runtime.acts import act_of
from layby.runtime.call import Call
from layby.runtime.question_fields import CONTENT
from layby.runtime.state import Question, RunState

LONG: dict[str, Any] = {
    "question": "May it?\nIt may be long.",
    "context": "To ACME.",
    "agent": "Anna",
    "form": {"type": "boolean"},
    "call": Call(tool="refund", arguments="{}"),
}


def state_of(**content: Any) -> RunState:
    said: dict[str, Any] = {"question": "?", **content}
    asked = Question(
        id="q1",
        frame="w",
        key="ask",
        role="developer",
        asked_at=10.0,
        deadline=20.0,
        **said,
    )
    return RunState(id="run", tail=5, ticket="T1", questions={"q1": asked})


def parked(state: RunState) -> ParkedQuestion:
    shown = Shown(since=9.5, answer_with=("nats pub",), seq=7, after=3)
    return parked_question(state, state.questions["q1"], shown)


@pytest.mark.parametrize("name", CONTENT)
def test_each_part_of_what_is_asked_is_left_in_the_log_and_comes_back(name: str) -> None:
    state = state_of(**{name: LONG[name]})
    question = parked(state)
    left = left_in_log(question)
    assert left.is_in_log
    assert getattr(left, name) != LONG[name]
    assert left_in_log(left) == left
    back = restored(left, state)
    assert back == msgspec.structs.replace(question, answer_with=())


def test_what_people_have_said_is_left_in_the_log_and_comes_back() -> None:
    state = state_of()
    claim = ClaimedQuestion(id="q1", by="ada", at=11.0, seq=8, vouched="nats", until=15.0)
    state.acts["q1"] = [act_of(claim)]
    left = left_in_log(parked(state))
    assert (left.claim, left.opened) == (None, ())
    assert restored(left, state).claim is not None
    assert restored(left, state).opened != ()


def test_what_decides_about_answers_stays_in_the_record() -> None:
    question = parked(state_of(**LONG, digest="abcdefabcdef", accept=["nats"], only="ada"))
    left = left_in_log(question)
    gone = {
        name for name in left.__struct_fields__ if getattr(left, name) != getattr(question, name)
    }
    assert gone == {*CONTENT, "answer_with", "sealed"}


def test_a_short_question_needs_no_log() -> None:
    question = parked(state_of(question="Well?"))
    assert left_in_log(question) == msgspec.structs.replace(question, answer_with=())


def test_a_question_of_an_erased_run_is_not_looked_for_in_its_log() -> None:
    question = erased(parked(state_of(**LONG)))
    assert not left_in_log(question).is_in_log
    gone = erased(left_in_log(parked(state_of(**LONG))))
    assert not left_in_log(gone).is_in_log


def test_a_question_that_its_log_does_not_have_says_nothing() -> None:
    left = left_in_log(parked(state_of(**LONG)))
    back = restored(left, RunState(id="run"))
    assert (back.question, back.form, back.is_in_log, back.status) == (
        "(erased)",
        None,
        False,
        "open",
    )


def test_judging_gets_the_form_alone() -> None:
    state = state_of(**LONG)
    form = restored(left_in_log(parked(state)), state, ("form",))
    assert (form.form, form.context, form.is_in_log) == (LONG["form"], "", True)


def test_an_earlier_release_takes_it_for_content_that_it_has_no_key_for() -> None:
    assert is_sealed(IN_LOG)
