"""What a decision's file says of cards, ladders and those who looked: it must be in the log."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from layby.client.card_checks import check_cards, deliveries, in_words
from layby.client.decision_file import (
    Check,
    Decision,
    Delivery,
    Ended,
    Logged,
    Matter,
    Rung,
    Seen,
    Sent,
    Shown,
)
from layby.client.ladder_checks import check_ladder, ladder_of
from layby.client.ladder_checks import in_words as rung_in_words
from layby.client.message_checks import check_messages, in_time, roles_asked, unix
from layby.client.opened_checks import check_opened, seen_by
from layby.runtime.card_records import Notified, Undelivered
from layby.runtime.entry import Answered, Record
from layby.runtime.ladder_records import Laddered, PlannedRung, Reached
from layby.runtime.opened_records import OpenedQuestion
from layby.runtime.quorum import Quorum
from layby.runtime.times import iso

MATTER = Matter(
    id="q1",
    ticket="T1",
    run="r1",
    role="developer",
    question="Known?",
    context="",
    agent="",
    form=None,
    call=None,
    accept=[],
    digest="",
    sha256="",
    asked_at="",
    deadline="2026-03-01T12:00:00Z",
)


def decision(**parts: Any) -> Decision:
    known: dict[str, Any] = {"made_at": "", "question": MATTER, "outcome": Ended(status="open")}
    known |= {"shown": [], "answers": [], "receipts": [], "entries": [], **parts}
    return Decision(**known)


def entry(n: int, at: str) -> Logged:
    return Logged(n=n, seq=n, at=at, subject="", body="")


def wrong(checks: Any) -> list[str]:
    found: list[Check] = list(checks)
    return [each.what for each in found if not each.ok]


SENT = Notified(id="q1", role="developer", channel="slack", status="sent", ref="C1", seq=4)
NOBODY = Undelivered(id="q1", role="developer", rung=0)
OTHERS = Notified(id="q2", role="developer", channel="slack", status="sent")
CARDS: list[tuple[int, Record]] = [(2, SENT), (3, OTHERS), (4, NOBODY)]
TIMES = {2: "at-2", 4: "at-4"}
ENTRIES = [entry(n, at) for n, at in TIMES.items()]


def test_the_cards_of_a_question_are_those_of_its_log_in_its_order() -> None:
    first, second = deliveries("q1", CARDS, TIMES)
    assert (first.channel, first.status, first.rung, first.ref) == ("slack", "sent", None, "C1")
    assert (first.entry, first.at, first.message) == (2, "at-2", 4)
    assert (second.channel, second.status, second.rung, second.at) == ("", "undelivered", 0, "at-4")


def test_a_file_that_says_what_the_log_says_passes() -> None:
    found = decision(cards=deliveries("q1", CARDS, TIMES), entries=ENTRIES)
    checks = list(check_cards(found, CARDS))
    assert [each.ok for each in checks] == [True, True]
    assert checks[0].what == "the card to developer on slack was sent"
    assert checks[1].what == "no channel could tell developer for rung 0"


def test_a_file_of_an_earlier_release_says_nothing_of_cards_and_ladders() -> None:
    found = decision()
    assert not [*check_cards(found, CARDS), *check_ladder(found, []), *check_opened(found, [])]


@pytest.mark.parametrize(
    "change",
    [
        {"role": "lead"},
        {"channel": "mail"},
        {"rung": 0},
        {"status": "failed"},
        {"reason": "x"},
        {"ref": "C2"},
        {"message": 5},
        {"entry": 4},
    ],
)
def test_a_card_that_the_log_does_not_have_is_found(change: dict[str, Any]) -> None:
    cards = deliveries("q1", CARDS, TIMES)
    cards[0] = msgspec.structs.replace(cards[0], **change)
    assert len(wrong(check_cards(decision(cards=cards, entries=ENTRIES), CARDS))) == 1


def test_a_card_with_another_time_or_that_is_left_out_is_found() -> None:
    cards = deliveries("q1", CARDS, TIMES)
    late = [msgspec.structs.replace(cards[0], at="at-9"), cards[1]]
    assert wrong(check_cards(decision(cards=late, entries=ENTRIES), CARDS)) == [
        "the card to developer on slack was sent: not at at-9, says its entry"
    ]
    assert wrong(check_cards(decision(cards=cards[1:], entries=ENTRIES), CARDS)) == [
        "the log says what became of 1 more cards"
    ]


def test_a_card_that_failed_says_why() -> None:
    card = Delivery(role="lead", channel="mail", rung=1, status="failed", reason="full", entry=2)
    assert in_words(card) == "the card to lead on mail for rung 1 was failed: full"


PLANNED = Laddered(
    id="q1",
    rungs=[
        PlannedRung(kind="reminder", at=60.0, rota="desk"),
        PlannedRung(kind="escalation", at=120.0, to="role:lead"),
    ],
)
REACHED = Reached(id="q1", rung=0, told=["ada"], absent={"ada": "bob"}, early=True)


def test_a_ladder_is_as_it_was_planned_and_as_far_as_it_was_reached() -> None:
    first, second = ladder_of("q1", [PLANNED, REACHED], [5, 8])
    assert (first.kind, first.due, first.rota, first.entry) == ("reminder", iso(60.0), "desk", 8)
    assert (first.told, first.absent, first.early) == (["ada"], {"ada": "bob"}, True)
    assert (second.kind, second.to, second.entry) == ("escalation", "role:lead", 0)
    assert ladder_of("q2", [PLANNED, REACHED]) == []


@pytest.mark.parametrize(
    "ignored",
    [
        Reached(id="q2", rung=1),
        Reached(id="q1", rung=2),
        Reached(id="q1", rung=-1),
        Laddered(id="q1", rungs=[]),
        Reached(id="q1", rung=0, told=["eve"]),
    ],
)
def test_what_the_fold_passes_over_changes_no_ladder(ignored: Record) -> None:
    assert ladder_of("q1", [PLANNED, REACHED, ignored]) == ladder_of("q1", [PLANNED, REACHED])


def test_a_rung_is_not_reached_after_the_answer() -> None:
    end = Answered(id="q1", text="yes", by="ada", at=1.0, seq=1, vouched="nats")
    other = msgspec.structs.replace(end, id="q2")
    assert not ladder_of("q1", [PLANNED, end, REACHED])[0].entry
    assert ladder_of("q1", [PLANNED, other, REACHED])[0].entry


def rungs(**change: Any) -> list[Rung]:
    first, second = ladder_of("q1", [PLANNED, REACHED], [5, 8])
    return [msgspec.structs.replace(first, reached="at-8", **change), second]


def of_rungs(ladder: list[Rung], **parts: Any) -> list[str]:
    found = decision(ladder=ladder, entries=[entry(8, "at-8")], **parts)
    return wrong(check_ladder(found, [PLANNED, REACHED]))


def test_a_ladder_of_the_log_passes_and_says_how_far_it_came() -> None:
    found = decision(ladder=rungs(), entries=[entry(8, "at-8")])
    [check] = check_ladder(found, [PLANNED, REACHED])
    assert check == Check(ok=True, what="1 of 2 rungs were reached")


@pytest.mark.parametrize(
    "change",
    [{"due": iso(61.0)}, {"kind": "asked"}, {"rota": ""}, {"told": []}, {"nobody": True}],
)
def test_another_rung_than_that_of_the_log_is_found(change: dict[str, Any]) -> None:
    assert of_rungs(rungs(**change)) == ["the log has another rung 0: reminder, reached (ada)"]


def test_a_rung_that_is_left_out_or_dated_otherwise_is_found() -> None:
    assert of_rungs(rungs()[:1]) == ["the file has 1 rungs, and the log 2"]
    late = [msgspec.structs.replace(rungs()[0], reached="at-9"), rungs()[1]]
    assert of_rungs(late) == ["the entry 8 of a rung was not stored at at-9"]


@pytest.mark.parametrize(
    ("rung", "told", "role", "why"),
    [
        (0, ["ada"], "developer", ""),
        (None, ["eve"], "developer", ""),
        (0, ["eve"], "developer", "told eve, and the log says: reminder, reached (ada)"),
        (0, [], "developer", "told nobody by name"),
        (1, [], "developer", "asked again for rung 1, which was not reached"),
        (7, [], "developer", "asked again for rung 7, which was not reached"),
        (-1, [], "developer", "which was not reached"),
    ],
)
def test_a_message_of_a_reminder_tells_those_whom_its_rung_told(
    rung: int | None, told: list[str], role: str, why: str
) -> None:
    shown = Shown(subject="s", seq=3, at="", role=role, rung=rung, told=told)
    found = of_rungs(rungs(), shown=[shown])
    assert (not found) if not why else why in found[0]


@pytest.mark.parametrize(
    ("rung", "words"),
    [
        (Rung(kind="reminder", due=""), "reminder, not reached"),
        (Rung(kind="reminder", due="", entry=2), "reminder, reached"),
        (Rung(kind="asked", due="", entry=2, nobody=True), "asked, reached (nobody was on duty)"),
        (
            Rung(kind="escalation", due="", to="role:lead", entry=2, told=["ada", "bob"]),
            "escalation to role:lead, reached (ada, bob)",
        ),
    ],
)
def test_a_rung_in_words(rung: Rung, words: str) -> None:
    assert rung_in_words(rung) == words


LOOKED = OpenedQuestion(id="q1", by="ada", at=60.0, seq=6, vouched="nats", channel="slack")


def test_who_looked_at_it_is_who_the_log_says() -> None:
    records: list[tuple[int, Record]] = [(3, LOOKED), (4, msgspec.structs.replace(LOOKED, id="x"))]
    [seen] = seen_by("q1", records)
    assert seen == Seen(by="ada", at=iso(60.0), vouched="nats", channel="slack", message=6, entry=3)
    [check] = check_opened(decision(opened=[seen]), records)
    assert check == Check(ok=True, what=f"ada looked at it, {iso(60.0)}")
    assert wrong(check_opened(decision(opened=[]), records)) == [
        "the log says that ada looked at it too"
    ]
    other = msgspec.structs.replace(seen, by="eve")
    assert wrong(check_opened(decision(opened=[seen, other]), records)) == [
        f"the log does not say: eve looked at it, {iso(60.0)}"
    ]


def sent(**change: Any) -> Sent:
    known: dict[str, Any] = {"subject": "developer.response.T1.ada", "seq": 7, "by": "ada"}
    known |= {"at": "", "vouched": "nats", "body": '{"answer": "yes"}', **change}
    return Sent(**known)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (sent(), ""),
        (sent(vouched="signature"), ""),
        (sent(subject="developer.response.T1.ada.via-slack", vouched="slack"), ""),
        (sent(by="eve"), "message 7 is from 'ada', and the file says from 'eve'"),
        (sent(vouched="slack"), "message 7 is vouched for by 'nats', not 'slack'"),
        (sent(subject="developer.response.T1", by="", vouched="none"), ""),
        (sent(body="", by="eve"), ""),
    ],
)
def test_a_message_is_from_whom_its_subject_says(message: Sent, why: str) -> None:
    assert wrong(check_messages(decision(answers=[message]))) == ([why] if why else [])


@pytest.mark.parametrize(
    ("at", "ok"),
    [
        ("2026-03-01T11:59:59Z", True),
        ("2026-03-01T12:00:00Z", True),
        ("2026-03-01T12:00:01Z", False),
        ("no time", False),
        ("", True),
    ],
)
def test_an_answer_is_in_time_until_the_deadline(at: str, *, ok: bool) -> None:
    assert in_time(sent(at=at), MATTER).ok == ok
    assert in_time(sent(at=at), msgspec.structs.replace(MATTER, deadline="")).ok


def test_a_time_that_cannot_be_read_never_comes() -> None:
    assert unix("soon") == float("inf")
    assert unix("1970-01-01T00:00:02Z") == 2.0


def test_those_may_answer_who_were_asked_or_whom_it_was_escalated_to() -> None:
    ladder = [
        Rung(kind="escalation", due="", to="role:lead", entry=5),
        Rung(kind="escalation", due="", to="role:cto"),
        Rung(kind="escalation", due="", to="person:ada", entry=6),
        Rung(kind="escalation", due="", to="role:developer", entry=7),
    ]
    assert roles_asked(decision(ladder=ladder)) == ["developer", "lead"]
    groups = Quorum(number=2, groups={"legal": 1, "developer": 1})
    several = msgspec.structs.replace(MATTER, quorum=groups)
    assert roles_asked(decision(question=several)) == ["developer", "legal"]
