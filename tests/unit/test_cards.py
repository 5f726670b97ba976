"""The fold of cards: each has one fate, also after its question or its run has ended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby.actors.people.parked_question import parked_question
from layby.runtime.card_records import Notified, Undelivered
from layby.runtime.cards import card_in, first_in
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import Answered, Asked, Ended, Proposed, Record, Started
from layby.runtime.envelope import Envelope
from layby.runtime.index import row_of
from layby.runtime.journal import fold
from layby.runtime.quorum import Quorum
from layby.runtime.state import FORM, FORM_WITH_CARDS, FORMS, RunState
from layby.runtime.unseen_records import Removed

ASK = Asked(frame="w", key="ask", id="q1", role="dev", question="Known?", deadline=500.0)
DONE = Ended(status="completed", result=msgspec.Raw(b"1"))


def state_of(*records: Record) -> RunState:
    state = RunState(id="r1")
    started = Started(
        workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=msgspec.Raw(b"{}")
    )
    for n, record in enumerate([started, ASK, *records], 1):
        fold(state, n, Envelope(op=f"o{n}", at=100.0 + n, records=[record]))
    return state


def card(status: Any = "sent", **fields: Any) -> Notified:
    given: dict[str, Any] = {"id": "q1", "role": "dev", "channel": "slack", "ref": "C1"}
    return Notified(**{**given, "status": status, **fields})


def test_a_card_that_was_sent_stays_sent() -> None:
    state = state_of(card(seq=4))
    for other in (card("sent", ref="C2", seq=9), card("failed", seq=9), card("held", until=9.0)):
        assert conflicts(state, other)
    [known] = state_of(card(seq=4), card(ref="C2", seq=9)).cards["q1"]
    assert (known.status, known.ref, known.at) == ("sent", "C1", 103.0)


def test_a_card_that_was_held_is_sent_later() -> None:
    held = card("held", ref="", until=900.0)
    assert conflicts(state_of(held), held)
    [known] = state_of(held, card(seq=4)).cards["q1"]
    assert (known.status, known.until) == ("sent", 0.0)


def test_a_card_that_failed_is_sent_if_its_message_is_published_again() -> None:
    failed = card("failed", ref="", reason="gone", seq=4)
    assert conflicts(state_of(failed), card(seq=4))
    [known] = state_of(failed, card(seq=9)).cards["q1"]
    assert (known.status, known.reason) == ("sent", "")


def test_cards_of_other_channels_and_rungs_are_others() -> None:
    state = state_of(card(), card(channel="email", ref="m"), card(rung=0, ref="C3"))
    assert len(state.cards["q1"]) == 3
    assert first_in(state.cards["q1"], "dev", "email") == "m"
    assert first_in(state.cards["q1"], "lead", "email") == ""
    assert card_in(state.cards["q1"], "dev", "slack", 7) is None


def test_a_card_may_be_recorded_after_the_end_and_moves_it_not() -> None:
    before = state_of(Answered(id="q1", text="yes"), DONE)
    assert not conflicts(before, card())
    after = state_of(Answered(id="q1", text="yes"), DONE, card())
    assert after.cards["q1"][0].status == "sent"
    assert after.updated_at == before.updated_at
    assert row_of(after).ended_at == row_of(before).ended_at
    assert conflicts(state_of(DONE, Removed()), card())


def test_a_card_of_no_question_is_nothing() -> None:
    unknown = card(id="q9")
    assert conflicts(state_of(), unknown)
    assert state_of(unknown).cards == {}


def test_an_entry_without_records_after_the_end_is_harmless() -> None:
    state = state_of(DONE)
    fold(state, 4, Envelope(op="x", at=200.0, records=[]))
    assert state.tail == 4


def test_a_question_is_undelivered_once_and_only_while_it_is_open() -> None:
    failed = card("failed", ref="", reason="gone")
    nobody = Undelivered(id="q1", role="dev")
    assert not conflicts(state_of(failed), nobody)
    state = state_of(failed, nobody)
    assert [each.undelivered for each in state.cards["q1"]] == [True]
    assert conflicts(state, nobody)
    assert conflicts(state_of(failed, Answered(id="q1", text="yes")), nobody)
    assert conflicts(state_of(), Undelivered(id="q9", role="dev"))


def test_undelivered_without_any_card_is_harmless() -> None:
    assert state_of(Undelivered(id="q1", role="dev")).cards == {}


def test_an_earlier_release_does_not_read_the_parked_state_of_a_run_with_cards() -> None:
    assert state_of().form == FORM
    assert state_of(card()).form == FORM_WITH_CARDS
    assert FORM_WITH_CARDS in FORMS


def test_votes_do_not_hide_that_there_are_cards() -> None:
    several = Proposed(
        frame="w",
        key="pay",
        id="q2",
        role="dev",
        question="Pay?",
        deadline=500.0,
        form={"type": "boolean"},
        quorum=Quorum(number=2),
    )
    assert state_of(card(), several).form == FORM_WITH_CARDS


@pytest.mark.parametrize("status", ["sent", "failed", "held"])
def test_people_see_what_became_of_a_card(status: str) -> None:
    state = state_of(card(status, reason="why", until=900.0))
    [shown] = parked_question(state, state.questions["q1"]).cards
    assert (shown.channel, shown.status, shown.reason) == ("slack", status, "why")
    assert shown.until == "1970-01-01T00:15:00.000Z"
    assert state == msgspec.json.decode(msgspec.json.encode(state), type=RunState)
