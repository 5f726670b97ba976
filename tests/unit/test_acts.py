"""What people say to an open question, as the log folds it: claims, passes and declines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.actors.people.act import (
    DEFAULT_CLAIM,
    LONGEST_CLAIM,
    GivenAct,
    Place,
    place_of,
    understood_act,
)
from layby.actors.people.answer import Refused
from layby.actors.people.card import Place as CardPlace
from layby.actors.people.card import card_of
from layby.actors.people.parked_question import parked_question
from layby.actors.people.shown_acts import ShownClaim
from layby.bus.names import Names
from layby.runtime import acts
from layby.runtime.act_records import VERBS, ClaimedQuestion, Declined, Passed, Said
from layby.runtime.acts import MOST, MOST_OF_ONE, Act, claim_at, declined, is_anybody_left
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import ROOT, Answered, Asked, Raw, Record, Started
from layby.runtime.envelope import Envelope
from layby.runtime.journal import fold
from layby.runtime.ladder_records import Laddered, PlannedRung, Reached
from layby.runtime.state import FORM, FORM_WITH_ACTS, FORMS, RunState

HALF_AN_HOUR = 1_800.0


def claim(
    by: str, at: float, *, until: float | None = None, seq: int | None = None
) -> ClaimedQuestion:
    end = at + HALF_AN_HOUR if until is None else until
    place = int(at) if seq is None else seq
    return ClaimedQuestion(id="q1", by=by, at=at, seq=place, vouched="nats", until=end)


def passed(by: str, at: float, to: str = "role:lead", *, rung: int = 0, role: str = "") -> Passed:
    return Passed(id="q1", by=by, at=at, seq=int(at), vouched="nats", rung=rung, to=to, role=role)


def decline(by: str, at: float) -> Declined:
    return Declined(id="q1", by=by, at=at, seq=int(at), vouched="nats")


def said(*records: Said) -> list[Act]:
    return [acts.act_of(each) for each in records]


def state_of(*records: Record) -> RunState:
    """A run that has asked `q1`, after these records."""
    started = Started(workflow="w", actor="w", version="1", ticket="T1", event=Raw(b"{}"))
    asked = Asked(frame=ROOT, key="ask", id="q1", role="developer", question="Known?", deadline=1e6)
    state = RunState(id="run")
    everything: list[Record] = [started, asked, *records]
    for n, record in enumerate(everything, 1):
        fold(state, n, Envelope(op=str(n), at=float(n), records=[record]))
    return state


# -- claims ------------------------------------------------------------------------------------


def test_a_claim_holds_until_it_expires() -> None:
    claimed = said(claim("ada", 100.0))
    held = claim_at(claimed, 100.0 + HALF_AN_HOUR - 0.001)
    assert held is not None
    assert held.by == "ada"
    assert claim_at(claimed, 100.0 + HALF_AN_HOUR) is None


def test_a_claim_ends_when_its_holder_releases_passes_or_declines() -> None:
    for end in (claim("ada", 200.0, until=200.0), passed("ada", 200.0), decline("ada", 200.0)):
        assert claim_at(said(claim("ada", 100.0), end), 201.0) is None


def test_a_claim_outlasts_what_others_say() -> None:
    for other in (passed("bob", 200.0), decline("bob", 200.0)):
        held = claim_at(said(claim("ada", 100.0), other), 201.0)
        assert held is not None
        assert held.by == "ada"


def test_the_log_refuses_a_second_claim_while_one_holds_and_takes_one_after_it() -> None:
    state = state_of(claim("ada", 100.0))
    assert conflicts(state, claim("bob", 200.0))
    assert not conflicts(state, claim("ada", 200.0)), "the holder may renew it"
    assert not conflicts(state, claim("bob", 100.0 + HALF_AN_HOUR)), "it has expired"


def test_a_void_claim_changes_nothing_even_in_the_log() -> None:
    state = state_of(claim("ada", 100.0), claim("bob", 200.0))
    assert [each.by for each in state.acts["q1"]] == ["ada"]


def test_only_the_holder_can_release_a_claim() -> None:
    state = state_of(claim("ada", 100.0))
    assert conflicts(state, claim("bob", 200.0, until=200.0))
    assert not conflicts(state, claim("ada", 200.0, until=200.0))
    assert conflicts(state_of(), claim("ada", 200.0, until=200.0)), "there is nothing to release"


def test_what_was_stored_earlier_is_refused_after_what_was_stored_later() -> None:
    state = state_of(decline("ada", 200.0))
    assert conflicts(state, claim("bob", 100.0))
    assert conflicts(state, decline("ada", 200.0)), "it is the same"


def test_a_closed_question_takes_no_claim() -> None:
    state = state_of(Answered(id="q1", text="yes", by="ada", at=50.0, seq=50))
    for late in (claim("bob", 100.0), passed("bob", 100.0), decline("bob", 100.0)):
        assert conflicts(state, late)
    assert conflicts(
        state_of(), ClaimedQuestion(id="q9", by="ada", at=1.0, seq=1, vouched="nats", until=2.0)
    ), "nobody asked that"


def test_one_person_cannot_use_up_what_others_may_say() -> None:
    own = [claim("ada", 100.0 + n) for n in range(MOST_OF_ONE)]
    assert acts.why_not(said(*own), acts.act_of(claim("ada", 900.0)))
    assert not acts.why_not(said(*own), acts.act_of(decline("bob", 900.0)))


def test_a_log_does_not_grow_without_limit() -> None:
    everybody = [decline(f"p{n}", 100.0 + n) for n in range(MOST)]
    assert "no more" in acts.why_not(said(*everybody), acts.act_of(decline("eve", 900.0)))


# -- passes ------------------------------------------------------------------------------------


def test_passing_on_is_an_escalation_that_has_been_reached() -> None:
    ladder = Laddered(id="q1", rungs=[PlannedRung(kind="escalation", at=500.0, to="role:lead")])
    started = state_of()
    state = RunState(id="run")
    records: list[Record] = [
        Started(workflow="w", actor="w", version="1", ticket="T1", event=Raw(b"{}")),
        ladder,
        Asked(frame=ROOT, key="ask", id="q1", role="developer", question="?", deadline=1e6),
        passed("ada", 100.0, "role:legal", rung=1),
    ]
    for n, record in enumerate(records, 1):
        fold(state, n, Envelope(op=str(n), at=float(n), records=[record]))
    planned, made = state.ladders["q1"].rungs
    assert not planned.reached
    assert (made.by, made.to, made.reached) == ("ada", "role:legal", 4.0)
    assert state.roles_of(state.questions["q1"]) == ("developer", "legal")
    assert state.ladders["q1"].next_escalation(-1) == 0
    assert state.ladders["q1"].number_of(1) == 1, "counted apart from what was planned"
    assert started.roles_of(started.questions["q1"]) == ("developer",)


def test_two_passes_cannot_take_the_same_place_in_the_ladder() -> None:
    state = state_of(passed("ada", 100.0))
    assert conflicts(state, passed("bob", 200.0, "role:legal", rung=0))
    assert not conflicts(state, passed("bob", 200.0, "role:legal", rung=1))


def test_a_person_to_whom_a_lead_passes_is_asked_for_the_lead() -> None:
    state = state_of(passed("ada", 100.0), passed("cto", 200.0, "person:dan", rung=1, role="lead"))
    assert [each.role for each in state.ladders["q1"].rungs] == ["lead", "lead"]


def test_a_card_of_a_pass_says_for_whom_it_is_and_who_is_on_it() -> None:
    state = state_of(passed("ada", 100.0, "person:dan"), claim("dan", 200.0))
    state.updated_at = 300.0
    card = card_of(state, state.questions["q1"], CardPlace("developer", rung=0), Names(""))
    assert (card.kind, card.number, card.to) == ("escalation", 1, "person:dan")
    assert (card.claimed_by, card.claimed_until) == ("dan", 200.0 + HALF_AN_HOUR)
    state.updated_at = 200.0 + HALF_AN_HOUR
    card = card_of(state, state.questions["q1"], CardPlace("developer"), Names(""))
    assert card.claimed_by == ""


# -- declines ----------------------------------------------------------------------------------

PEOPLE = {"developer": ["ada", "bob"]}


def test_somebody_is_left_until_everybody_of_the_role_has_declined() -> None:
    one = said(decline("ada", 100.0))
    both = said(decline("ada", 100.0), decline("bob", 200.0))
    assert is_anybody_left(one, ["role:developer"], PEOPLE)
    assert not is_anybody_left(both, ["role:developer"], PEOPLE)
    assert is_anybody_left(both, ["role:developer", "role:lead"], PEOPLE), "anybody may be a lead"


def test_the_only_person_who_was_asked_may_decline_for_all() -> None:
    assert not is_anybody_left(said(decline("ada", 100.0)), ["person:ada"], PEOPLE)
    assert is_anybody_left(said(decline("bob", 100.0)), ["person:ada"], PEOPLE)


def test_a_person_who_passes_is_out_and_the_receiver_is_in_again() -> None:
    there = said(passed("ada", 100.0, "person:bob"))
    assert declined(there) == ("ada",)
    back = [*there, *said(passed("bob", 200.0, "person:ada", rung=1))]
    assert declined(back) == ("bob",)


def test_a_claim_takes_back_an_earlier_decline() -> None:
    assert declined(said(decline("ada", 100.0), claim("ada", 200.0))) == ()


def test_the_record_of_a_ticket_shows_who_is_on_it_and_who_declined() -> None:
    state = state_of(claim("ada", 100.0), decline("bob", 200.0))
    shown = parked_question(state, state.questions["q1"])
    assert shown.claim is not None
    assert shown.claim == ShownClaim(by="ada", until="1970-01-01T00:31:40.000Z")
    assert shown.claim.holds(1_899.999)
    assert not shown.claim.holds(1_900.0)
    assert shown.declined == ["bob"]


def test_an_earlier_release_does_not_take_such_a_state_for_one_it_knows() -> None:
    assert state_of().form == FORM
    assert state_of(claim("ada", 100.0)).form == FORM_WITH_ACTS
    assert FORM_WITH_ACTS in FORMS


def test_a_reminder_can_be_for_the_person_who_is_on_it_alone() -> None:
    state = RunState(id="run")
    records: list[Record] = [
        Started(workflow="w", actor="w", version="1", ticket="T1", event=Raw(b"{}")),
        Laddered(id="q1", rungs=[PlannedRung(kind="reminder", at=500.0)]),
        Asked(frame=ROOT, key="ask", id="q1", role="developer", question="?", deadline=1e6),
        Reached(id="q1", rung=0, told=["ada"], claimed=True),
    ]
    for n, record in enumerate(records, 1):
        fold(state, n, Envelope(op=str(n), at=float(n), records=[record]))
    [rung] = state.ladders["q1"].rungs
    assert (rung.told, rung.claimed) == (["ada"], True)


# -- what people send --------------------------------------------------------------------------

ADA = Place("claim", "T1", "ada", "nats")


@pytest.mark.parametrize(
    ("subject", "place"),
    [
        ("developer.claim.T1.ada", ADA),
        ("developer.pass.T1.ada", Place("pass", "T1", "ada", "nats")),
        ("developer.decline.T=2E1.ada.via-slack", Place("decline", "T=2E1", "ada", "slack")),
        ("developer.claim.T1.ada.via-token", Place("claim", "T1", "ada", "token")),
    ],
)
def test_a_subject_says_who_says_what(subject: str, place: Place) -> None:
    assert place_of(subject) == place


@pytest.mark.parametrize(
    "subject",
    [
        "developer.claim.T1",
        "developer.claim.T1.a=2Eb",
        "developer.claim.T1.ada.bob",
        "developer.claim.T1.ada.via-nats",
        "developer.claim.T1.ada.via-slack.more",
        "developer.claim.T1.ada..",
        f"developer.claim.T1.{'a' * 201}",
        "developer.steal.T1.ada",
        "developer.response.T1.ada",
        "developer",
    ],
)
def test_any_other_subject_is_refused_with_the_reason(subject: str) -> None:
    place = place_of(subject)
    assert isinstance(place, Refused)
    assert "YOUR_NAME" in place.reason or "knows no act" in place.reason


def test_the_body_may_be_empty_and_a_claim_lasts_half_an_hour() -> None:
    for body in (b"", b"  ", b"{}"):
        assert understood_act(ADA, body, "T1") == GivenAct("claim", "ada", "nats")
    assert DEFAULT_CLAIM == 30


@pytest.mark.parametrize("body", [b"role:lead", b'{"to": "role:lead"}', b" role:lead\n"])
def test_a_pass_says_to_whom(body: bytes) -> None:
    given_act = understood_act(ADA._replace(verb="pass"), body, "T1")
    assert isinstance(given_act, GivenAct)
    assert given_act.to == "role:lead"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"lead",
        b"role:",
        b"role:Lead",
        b"person:",
        b"person:a b",
        b'{"to": ["role:lead"]}',
        b'{"to": null}',
        b"role:lead\nrole:legal",
        "person:adä".encode(),
    ],
)
def test_a_pass_to_nobody_is_refused(body: bytes) -> None:
    found = understood_act(ADA._replace(verb="pass"), body, "T1")
    assert isinstance(found, Refused)
    assert "role:lead" in found.reason


@pytest.mark.parametrize("minutes", [0, 0.5, 30, LONGEST_CLAIM])
def test_a_claim_may_say_how_long(minutes: float) -> None:
    found = understood_act(ADA, json.dumps({"minutes": minutes}).encode(), "T1")
    assert isinstance(found, GivenAct)
    assert found.minutes == minutes


@pytest.mark.parametrize(
    "body",
    [
        b'{"minutes": -1}',
        b'{"minutes": 1441}',
        b'{"minutes": true}',
        b'{"minutes": "30"}',
        b'{"minutes": NaN}',
        b'{"minutes": Infinity}',
        b'{"minutes": 1e999}',
        b'{"minutes": []}',
        b'{"minutes": ' + b"9" * 4000 + b"}",
        b"30",
        b"[30]",
        b"{",
        b"\xff",
        b'{"questionId": 7}',
        b'{"questionId": "\\ud800"}',
        b'{"ticketId": "T2"}',
        b'{"ticketId": {}}',
        b"{" * 100000,
    ],
)
def test_a_body_that_makes_no_sense_is_refused(body: bytes) -> None:
    assert isinstance(understood_act(ADA, body, "T1"), Refused)


@given(st.sampled_from(VERBS), st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_body_raises_and_no_reason_is_unprintable(verb: str, body: bytes) -> None:
    place = place_of(f"developer.{verb}.T1.ada")
    assert isinstance(place, Place)
    found = understood_act(place, body, "T1")
    if isinstance(found, Refused):
        found.reason.encode()


@given(st.text(max_size=300))
def test_no_subject_raises(text: str) -> None:
    found = place_of(text)
    if isinstance(found, Place):
        assert found.person.isascii()
