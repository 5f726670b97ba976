"""What a channel is given to show: what the run's log says, without what is secret."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from layby import tool
from layby.actors.people.card import Place, card_of
from layby.bus.names import Names
from layby.runtime.channel import Card
from layby.runtime.entry import (
    Answered,
    Asked,
    Cancelled,
    Ended,
    Expired,
    Proposed,
    Record,
    Started,
    Voted,
)
from layby.runtime.envelope import Envelope
from layby.runtime.journal import fold
from layby.runtime.ladder_records import Laddered, PlannedRung, Reached
from layby.runtime.quorum import Quorum
from layby.runtime.state import RunState
from layby.tools.approval import context, question

DIGEST = "5f1d0c2a9b34"


@tool(needs_approval=True)
async def refund(order: str, cents: int) -> str:
    """Give a customer money back."""
    return f"{cents} for {order}"


def state_of(*records: Record) -> RunState:
    state = RunState(id="r1")
    started = Started(
        workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=msgspec.Raw(b"{}")
    )
    for n, record in enumerate([started, *records], 1):
        fold(state, n, Envelope(op=f"o{n}", at=100.0 + n, records=[record]))
    return state


def asked(kind: type[Asked] = Asked, **fields: Any) -> Asked:
    given: dict[str, Any] = {
        "frame": "w",
        "key": "ask",
        "id": "q1",
        "role": "finance",
        "question": "Pay?",
        "deadline": 500.0,
    }
    return kind(**{**given, **fields})


def card(state: RunState, role: str = "finance", rung: int = -1, *, secret: bool = False) -> Card:
    place = Place(role, "slack", rung)
    return card_of(state, state.questions["q1"], place, Names(""), secret=secret)


def test_an_open_question_says_who_is_asked_what_and_how_to_answer() -> None:
    shown = card(state_of(asked(form={"type": "boolean"}, context="900 EUR", agent="Clerk")))
    assert (shown.key, shown.ticket, shown.run, shown.workflow) == (
        "q1.finance.slack.first",
        "T1",
        "r1",
        "desk",
    )
    assert (shown.text, shown.context, shown.agent) == ("Pay?", "900 EUR", "Clerk")
    assert shown.choices == ("yes", "no")
    assert (shown.status, shown.outcome, shown.run_status) == ("open", "", "")
    assert "without an answer" in shown.silence
    assert all("finance.response.T1" in line for line in shown.answer_with)


def test_a_call_is_shown_with_its_exact_arguments() -> None:
    given = {"order": 'A "1"\u202e', "cents": 900}
    ask = asked(
        question=question(refund, "Clerk", given),
        context=context(refund, given, DIGEST),
        digest=DIGEST,
    )
    shown = card(state_of(ask))
    assert shown.tool == "refund"
    assert json.loads(shown.arguments) == given
    assert "does not run" in shown.silence


def test_arguments_that_cannot_be_told_apart_are_left_to_the_context() -> None:
    given = {"order": "one\ntwo", "cents": 900}
    ask = asked(
        question=question(refund, "Clerk", given),
        context=context(refund, given, DIGEST),
        digest=DIGEST,
    )
    shown = card(state_of(ask))
    assert (shown.tool, shown.arguments) == ("refund", "")
    assert "one" in shown.context


@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        (Answered(id="q1", text="yes", by="ada", at=120.0, seq=1), "answered", "ada answered: yes"),
        (Expired(id="q1"), "expired", "nobody decided in time"),
        (Cancelled(reason="not needed"), "cancelled", "the run has ended"),
    ],
)
def test_a_closed_question_says_how_it_ended(end: Record, status: str, words: str) -> None:
    shown = card(state_of(asked(), end))
    assert shown.status == status
    assert words in shown.outcome
    assert shown.closed_at > 0
    assert shown.answer_with == ()


def test_votes_and_what_they_need_are_shown() -> None:
    two = Quorum(number=2, people={"finance": ["ada", "bob", "cleo"]}, exclude=["cleo"])
    vote = Voted(id="q1", role="finance", text="yes", by="ada", at=1.0, seq=4, vouched="nats")
    shown = card(state_of(asked(Proposed, form={"type": "boolean"}, quorum=two), vote))
    assert shown.needed == "decided by 2 of finance; not by cleo"
    assert [(each.by, each.role, each.choice) for each in shown.votes] == [
        ("ada", "finance", "yes")
    ]
    assert shown.accept == ("nats",)


def test_the_rota_of_the_role_that_is_asked_first_tells_nobody_of_another() -> None:
    ladder = Laddered(
        id="q1",
        rungs=[
            PlannedRung(kind="asked", at=101.0, rota="duty"),
            PlannedRung(kind="reminder", at=110.0, rota="duty"),
            PlannedRung(kind="escalation", at=140.0, to="person:cto"),
        ],
    )
    told = [["eve"], ["eve"], ["cto"]]
    reached = [Reached(id="q1", rung=rung, told=told[rung]) for rung in range(3)]
    both = Quorum(number=2, groups={"finance": 1, "legal": 1})
    state = state_of(ladder, asked(Proposed, form={"type": "boolean"}, quorum=both), *reached)
    assert [card(state, "finance", rung).told for rung in (-1, 1)] == [("eve",), ("eve",)]
    assert [card(state, "legal", rung).told for rung in (-1, 1)] == [(), ()]
    assert card(state, "legal", 2).told == ("cto",)


def test_a_reminder_and_an_escalation_say_which_they_are() -> None:
    ladder = Laddered(
        id="q1",
        to="person:ada",
        rungs=[
            PlannedRung(kind="asked", at=101.0, rota="duty"),
            PlannedRung(kind="reminder", at=110.0),
            PlannedRung(kind="reminder", at=120.0),
            PlannedRung(kind="escalation", at=130.0, to="role:lead"),
            PlannedRung(kind="escalation", at=140.0, to="person:cto"),
        ],
    )
    reached = [Reached(id="q1", rung=rung, told=["eve"] if rung == 0 else []) for rung in range(5)]
    state = state_of(ladder, asked(), *reached)
    assert (card(state).kind, card(state).told, card(state).to) == ("asked", ("eve",), "person:ada")
    assert (card(state, rung=2).kind, card(state, rung=2).number) == ("reminder", 2)
    lead = card(state, "lead", rung=3)
    assert (lead.role, lead.asked_of, lead.kind, lead.number) == (
        "lead",
        "finance",
        "escalation",
        1,
    )
    assert all("lead.response.T1" in line for line in lead.answer_with)
    assert card(state, rung=4).to == "person:cto"


def test_nothing_of_a_confidential_question_is_shown() -> None:
    secret = asked(
        confidential=True, question="Is 4711 right?", context="4711", form={"enum": ["4711"]}
    )
    state = state_of(secret, Answered(id="q1", text="4711", by="ada", at=120.0, seq=1))
    fold(state, 4, Envelope(op="e", at=130.0, records=[Ended(status="completed", result=RESULT)]))
    assert "4711" not in msgspec.json.encode(card(state)).decode()


RESULT = msgspec.Raw(b'"paid 4711"')


def test_the_end_of_the_run_is_shown_unless_the_run_is_encrypted() -> None:
    state = state_of(asked(), Answered(id="q1", text="yes", by="ada", at=120.0, seq=1))
    fold(state, 4, Envelope(op="e", at=130.0, records=[Ended(status="completed", result=RESULT)]))
    assert (card(state).run_status, card(state).result) == ("completed", "paid 4711")
    assert (card(state, secret=True).run_status, card(state, secret=True).result) == (
        "completed",
        "",
    )


def test_a_run_that_failed_says_why() -> None:
    state = state_of(asked(), Ended(status="timed_out", error="too late"))
    assert (card(state).run_status, card(state).result) == ("failed", "too late")
