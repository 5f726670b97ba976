"""What the campaign `claims` holds Layby against: what was said, was recorded, and was told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layby.runtime.act_records import ClaimedQuestion, Declined, Passed, Said
from layby.runtime.ladder_records import PlannedRung, Reached
from tests.chaos.deeds import Deed, Entry, Message, Question, Told, holder, out, wrongs
from tests.chaos.history import ActSent

PLANNED = [
    PlannedRung(kind="reminder", at=112.0),
    PlannedRung(kind="escalation", at=150.0, to="role:boss"),
]


def sent(
    seq: int, verb: str, by: str, at: float, body: Any = None, *, role: str = "squad"
) -> ActSent:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return ActSent(seq, role, verb, "T1", by, at, data)


def claimed(seq: int, by: str, at: float, minutes: float = 30) -> ClaimedQuestion:
    until = at + 60 * minutes
    return ClaimedQuestion(id="q1", by=by, at=at, seq=seq, vouched="nats", until=until)


def passed(seq: int, by: str, at: float, to: str, rung: int = 2, **more: Any) -> Passed:
    return Passed(id="q1", by=by, at=at, seq=seq, vouched="nats", to=to, rung=rung, **more)


def declined(seq: int, by: str, at: float) -> Declined:
    return Declined(id="q1", by=by, at=at, seq=seq, vouched="nats")


def reached(rung: int, *told: str, early: bool = False) -> Reached:
    return Reached(id="q1", rung=rung, told=list(told), claimed=bool(told), early=early)


def entry(n: int, record: Said | Reached, *others: Any, at: float = 0.0) -> Entry:
    stored = at or getattr(record, "at", 0.0) + 0.1
    return Entry(n, stored, record, (record, *others))


def told(outcome: str, by: str = "", reason: str = "") -> set[Told]:
    return {Told(outcome, reason, by)}


def kinds(
    said: list[ActSent],
    entries: list[Entry],
    receipts: dict[int, set[Told]],
    *,
    listed: tuple[str, list[str]] | None = None,
    delays: tuple[tuple[float, float], ...] = (),
    **more: Any,
) -> set[str]:
    about: dict[str, Any] = {
        "shown": {"squad": 100.0},
        "planned": PLANNED,
        "messages": [],
        "deadline": 160.0,
        "closed_n": 90,
        "closed_at": 155.0,
        **more,
    }
    question = Question("q1", entries=entries, said=said, told=receipts, listed=listed, **about)

    def was_delayed(since: float, until: float) -> bool:
        return any(a <= until and since <= b for a, b in delays)

    return {each.kind for each in wrongs(question, was_delayed)}


SAID = [sent(1, "claim", "ada", 110.0), sent(2, "claim", "bob", 111.0)]
ENTRIES = [entry(5, claimed(1, "ada", 110.0))]
TOLD = {1: told("recorded", "ada"), 2: told("already_claimed", "ada")}


def test_a_claim_and_one_that_meets_it_are_right() -> None:
    assert kinds(SAID, ENTRIES, TOLD, listed=("ada", [])) == set()


@pytest.mark.parametrize(
    ("receipts", "kind"),
    [
        ({1: TOLD[1]}, "answer without receipt"),
        ({**TOLD, 2: told("recorded", "bob")}, "wrong receipt"),
        ({**TOLD, 2: told("already_claimed", "bob")}, "wrong receipt"),
        ({**TOLD, 1: TOLD[1] | told("invalid")}, "receipts disagree"),
        ({**TOLD, 1: told("too_late")}, "wrong receipt"),
    ],
)
def test_a_receipt_that_is_not_true_is_found(receipts: Any, kind: str) -> None:
    assert kind in kinds(SAID, ENTRIES, receipts)


def test_what_is_recorded_twice_out_of_order_or_against_another_claim_is_found() -> None:
    wrong = "act recorded wrongly"
    bob = entry(6, claimed(2, "bob", 111.0))
    assert wrong in kinds(SAID, [*ENTRIES, entry(6, claimed(1, "ada", 110.0))], TOLD)
    assert wrong in kinds(SAID, [*ENTRIES, bob], TOLD), "ada is on it"
    both = {1: told("recorded", "ada"), 2: told("recorded", "bob")}
    released = [SAID[0], SAID[1], sent(3, "claim", "ada", 112.0, {"minutes": 0})]
    late = [entry(5, claimed(2, "bob", 111.0)), entry(6, claimed(1, "ada", 110.0))]
    assert wrong in kinds(released, late, {**both, 3: told("invalid")})


def test_a_claim_expires_to_the_millisecond() -> None:
    """As logs have it: times are rounded, and so nobody is ahead of an expiry by less than that."""
    until = claimed(1, "ada", 110.0, 0.05).until
    entries = [entry(5, claimed(1, "ada", 110.0, 0.05)), entry(6, claimed(2, "bob", until))]
    receipts = {1: TOLD[1], 2: told("recorded", "bob")}
    for before in (0.0, 0.0004):
        said = [SAID[0], sent(2, "claim", "bob", until - before)]
        assert kinds(said, entries, receipts) == set()
    early = [SAID[0], sent(2, "claim", "bob", until - 0.0006)]
    assert "act recorded wrongly" in kinds(early, entries, receipts)


def test_a_receipt_for_an_unrecorded_act_is_found() -> None:
    assert kinds(SAID[:1], [], {1: TOLD[1]}) == {"act recorded wrongly", "act lost"}
    said = [sent(1, "claim", "ada", 154.5)]
    assert kinds(said, [], {1: told("already_answered")}) == set(), "the answer was first"
    assert "wrong receipt" in kinds(said, [], {1: told("unknown_ticket")})


def test_a_second_decline_is_recorded_without_an_entry() -> None:
    said = [sent(1, "decline", "ada", 110.0), sent(2, "decline", "ada", 111.0)]
    receipts = {1: told("recorded", "ada"), 2: told("recorded", "ada")}
    entries = [entry(5, declined(1, "ada", 110.0))]
    assert kinds(said, entries, receipts, listed=("", ["ada"])) == set()
    assert "claim shown wrongly" in kinds(said, entries, receipts, listed=("ada", []))


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (sent(1, "claim", "ada", 110.0, b"mine"), "invalid"),
        (sent(1, "claim", "ada", 110.0, b"\xff"), "invalid"),
        (sent(1, "claim", "", 110.0), "invalid"),
        (sent(1, "claim", "ada", 110.0, {"minutes": -1}), "invalid"),
        (sent(1, "claim", "ada", 110.0, {"minutes": 0}), "invalid"),
        (sent(1, "pass", "ada", 110.0, b"role:nobody"), "invalid"),
        (sent(1, "pass", "ada", 110.0, b"person:ada"), "invalid"),
        (sent(1, "claim", "ada", 110.0, {"questionId": "q2"}), "invalid"),
        (sent(1, "claim", "ada", 90.0), "unknown_ticket"),
        (sent(1, "claim", "boss", 110.0, role="boss"), "unknown_ticket"),
        (sent(1, "claim", "ada", 156.0), "already_answered"),
        (sent(1, "claim", "ada", 161.0), "too_late"),
    ],
)
def test_what_cannot_count_is_told_so(act: ActSent, outcome: str) -> None:
    assert kinds([act], [], {1: told(outcome)}) == set()
    assert "wrong receipt" in kinds([act], [], {1: told("ambiguous")})


def test_an_act_that_was_overtaken_may_be_refused_only_if_it_names_no_question() -> None:
    reason = "something that was said later is recorded already: say it again"
    said = [sent(1, "decline", "bob", 110.0), sent(2, "claim", "ada", 110.1)]
    entries = [entry(5, claimed(2, "ada", 110.1))]
    receipts = {1: told("invalid", "bob", reason), 2: told("recorded", "ada")}
    assert kinds(said, entries, receipts) == set()
    named = [said[0]._replace(data=b'{"questionId": "q1"}'), said[1]]
    assert kinds(named, entries, receipts) == {"wrong receipt", "act lost"}


def test_a_reminder_goes_to_the_person_on_it() -> None:
    told_all, told_ada = [entry(6, reached(0), at=114.0)], [entry(6, reached(0, "ada"), at=114.0)]
    assert kinds(SAID, [*ENTRIES, *told_ada], TOLD) == {"rung without its message"}
    assert "claim not kept" in kinds(SAID, [*ENTRIES, *told_all], TOLD)
    assert "claim not kept" not in kinds(SAID, [*ENTRIES, *told_all], TOLD, delays=((113, 115),))
    at_once = [entry(6, reached(0), at=110.5)]
    assert "claim not kept" not in kinds(SAID, [*ENTRIES, *at_once], TOLD), "they met"
    assert "claim not kept" in kinds([], [entry(6, reached(0, "bob"), at=114.0)], {})


def test_after_a_claim_has_expired_everybody_is_reminded() -> None:
    entries = [entry(5, claimed(1, "ada", 105.0, 0.05)), entry(6, reached(0), at=114.0)]
    said = [sent(1, "claim", "ada", 105.0, {"minutes": 0.05})]
    messages = [Message("squad", 0, "", "")]
    assert kinds(said, entries, {1: TOLD[1]}, messages=messages) == set()
    entries[1] = entry(6, reached(0, "ada"), at=114.0)
    assert "claim not kept" in kinds(said, entries, {1: TOLD[1]}, messages=messages)


DECLINES = [(1, "ada"), (2, "bob"), (3, "cleo")]


def test_when_everybody_has_declined_the_next_is_asked_in_the_same_entry() -> None:
    said = [sent(seq, "decline", by, 110.0 + seq) for seq, by in DECLINES]
    receipts = {seq: told("recorded", by) for seq, by in DECLINES}
    entries = [entry(4 + seq, declined(seq, by, 110.0 + seq)) for seq, by in DECLINES]
    early = reached(1, early=True)
    messages = [Message("boss", 1, "", "")]
    last = entry(7, declined(3, "cleo", 113.0), early)
    told_too = Entry(7, 113.1, early, (last.record, early))
    right = [*entries[:2], last, told_too]
    assert kinds(said, right, receipts, messages=messages) == set()
    assert kinds(said, entries, receipts) == {"declined by all"}
    hasty = [entries[0], entry(6, declined(2, "bob", 112.0), early), entries[2]]
    assert "declined by all" in kinds(said, hasty, receipts)
    alone = [*ENTRIES, Entry(7, 113.1, early, (early,))]
    assert "rung before its time" in kinds(SAID, alone, TOLD, messages=messages)


def test_the_person_it_is_passed_to_gets_it_once() -> None:
    said = [sent(1, "pass", "ada", 110.0, {"to": "role:boss"})]
    entries, receipts = [entry(5, passed(1, "ada", 110.0, "role:boss"))], {1: TOLD[1]}
    message = Message("boss", 2, "ada", "")
    assert kinds(said, entries, receipts, messages=[message]) == set()
    assert kinds(said, entries, receipts) == {"pass lost"}
    assert kinds(said, entries, receipts, closed_at=120.0) == set(), "it was answered soon"
    twice = [message, message]
    assert kinds(said, entries, receipts, messages=twice) == {"rung published twice"}
    other = [message._replace(passed_by="bob")]
    assert kinds(said, entries, receipts, messages=other) == {"wrong person told"}
    person = [sent(1, "pass", "ada", 110.0, {"to": "person:bob"})]
    entries = [entry(5, passed(1, "ada", 110.0, "person:bob", told=["bob"]))]
    messages = [Message("squad", 2, "ada", "bob")]
    assert kinds(person, entries, receipts, messages=messages) == set()


def test_the_holder_and_the_decliners_follow_from_the_acts() -> None:
    def deed(verb: str, by: str, until: float = 0.0, to: str = "") -> Deed:
        return Deed(1, verb, by, 100.0, until, to)

    ada = deed("claim", "ada", 200.0)
    assert holder([ada], 150.0) == ada
    assert holder([ada], 200.0) is None, "it has expired"
    assert holder([ada, deed("claim", "ada", 100.0)], 150.0) is None, "it was released"
    assert holder([ada, deed("decline", "ada")], 150.0) is None
    assert holder([ada, deed("decline", "bob")], 150.0) == ada
    gone = [deed("decline", "bob"), deed("pass", "ada", to="person:bob"), deed("decline", "cleo")]
    assert out(gone) == ["ada", "cleo"], "it was passed to bob"
    assert out([*gone, deed("claim", "cleo", 200.0)]) == ["ada"]
