"""What a decision's file says that people asked back: all of it while the question was open."""

from __future__ import annotations

from typing import Any

import pytest

from layby.client.ask_back_checks import asked_back_in
from layby.runtime.ask_back_records import AskedBack, Replied
from layby.runtime.entry import ROOT, Answered, Asked, Expired, Record, Voted
from layby.runtime.quorum import Quorum
from layby.views.counted_answers import CountedAnswers


def asked(**more: Any) -> Asked:
    about: dict[str, Any] = {"role": "developer", "question": "Known?", "deadline": 900.0, **more}
    return Asked(frame=ROOT, key="ask", id="q1", **about)


def back(seq: int, text: str = "Why?") -> AskedBack:
    fields: dict[str, Any] = {"role": "developer", "by": "ada", "at": 100.0, "vouched": "nats"}
    return AskedBack(id="q1", seq=seq, text=text, **fields)


def reply(seq: int, text: str) -> Replied:
    return Replied(id="q1", seq=seq, kind="agent", by="Anna", text=text)


def answered(**more: Any) -> Answered:
    return Answered(id="q1", text="yes", by="bob", at=200.0, seq=9, vouched="nats", **more)


def found(*records: Record) -> list[tuple[int, str]]:
    answers = CountedAnswers("r1")
    answers.ticket = "T1"
    return [(each.seq, each.reply) for each in asked_back_in("q1", records, answers)]


@pytest.mark.parametrize("end", [answered(), Expired(id="q1")])
def test_nothing_counts_after_the_end(end: Record) -> None:
    records = (asked(), back(1), reply(1, "So."), back(2), end, reply(2, "Late."), back(3))
    assert found(*records) == [(1, "So."), (2, "")]


def test_a_question_goes_on_after_an_answer_that_does_not_count() -> None:
    records = (asked(accept=["signature"]), back(1), answered(), reply(1, "So."), back(2))
    assert found(*records, Expired(id="q1"), back(3)) == [(1, "So."), (2, "")]


def vote(seq: int, by: str) -> Voted:
    fields: dict[str, Any] = {"role": "developer", "text": "yes", "at": 100.0}
    return Voted(id="q1", seq=seq, by=by, vouched="nats", **fields)


def test_a_question_that_people_decide_goes_on_until_they_have() -> None:
    poll = asked(quorum=Quorum(number=2), form={"type": "boolean"})
    records = (poll, back(1), vote(5, "ada"), reply(1, "So."), vote(6, "bob"), back(2))
    assert found(*records) == [(1, "So.")]


def test_another_question_says_nothing_of_it() -> None:
    other = Answered(id="q2", text="yes", by="bob", at=200.0, seq=9, vouched="nats")
    assert found(asked(), other, back(1)) == [(1, "")]
