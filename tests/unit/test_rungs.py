"""What the campaign `ladders` holds Layby against: rungs in the log, messages in the stream."""

from __future__ import annotations

from typing import Any

import pytest

from layby.runtime.ladder_records import PlannedRung, Reached
from tests.chaos.rungs import Edit, Entry, Ladder, Message, World, lost_edits, wrongs

PLANNED = [
    PlannedRung(kind="reminder", at=102.0, rota="desk"),
    PlannedRung(kind="escalation", at=103.0, to="role:lead"),
    PlannedRung(kind="escalation", at=104.0, to="person:cto"),
]
EDITS = [Edit("amy", 90.0, 90.1, on=True), Edit("ben", 101.5, 101.6, on=True)]


def entry(place: int, at: float, *, n: int = 0, last: bool = True, **more: Any) -> Entry:
    return Entry(n or 2 + place, at, Reached(id="q1", rung=place, **more), last)


ENTRIES = [
    entry(0, 102.1, told=["amy"]),
    entry(1, 103.1),
    entry(2, 104.1, told=["cto"]),
]
MESSAGES = [
    Message(102.2, "desk", 0, ("amy",)),
    Message(103.2, "lead", 1, ()),
    Message(104.2, "desk", 2, ("cto",)),
]


def kinds(
    entries: list[Entry] | None = None, messages: list[Message] | None = None, **more: Any
) -> set[str]:
    about: dict[str, Any] = {"deadline": 160.0, "closed_n": 9, "closed_at": 140.0, **more}
    ladder = Ladder(
        "q1",
        ("desk",),
        PLANNED,
        entries=ENTRIES if entries is None else entries,
        messages=MESSAGES if messages is None else messages,
        **about,
    )
    return {each.kind for each in wrongs(ladder, World(EDITS))}


def test_a_ladder_that_was_climbed_as_planned_is_right() -> None:
    assert kinds() == set()


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ({"entries": [*ENTRIES, entry(1, 103.4, n=7)]}, "rung reached twice"),
        ({"messages": [*MESSAGES, MESSAGES[1]]}, "rung published twice"),
        ({"closed_n": 3, "closed_at": 103.0}, "rung after the end"),
        ({"deadline": 102.5, "closed_at": 110.0}, "rung after the end"),
        (
            {"messages": [*MESSAGES[:2], MESSAGES[2]._replace(at=142.0)]},
            "rung after the end",
        ),
        ({"entries": [entry(0, 101.8, told=["amy"]), *ENTRIES[1:]]}, "rung before its time"),
        (
            {"entries": [ENTRIES[0], entry(1, 102.5, early=True), ENTRIES[2]]},
            "rung before its time",
        ),
        ({"messages": [MESSAGES[0]._replace(at=101.0), *MESSAGES[1:]]}, "rung before its time"),
        ({"entries": ENTRIES[:2], "messages": MESSAGES[:2]}, "rung missed"),
        ({"messages": MESSAGES[:2]}, "rung without its message"),
        ({"entries": [entry(0, 102.1, told=["zoe"]), *ENTRIES[1:]]}, "wrong person told"),
        ({"entries": [entry(0, 102.1), *ENTRIES[1:]]}, "wrong person told"),
        ({"entries": [*ENTRIES[:2], entry(2, 104.1)]}, "wrong person told"),
        ({"messages": [MESSAGES[0]._replace(told=("ben",)), *MESSAGES[1:]]}, "wrong person told"),
    ],
)
def test_what_is_wrong_with_a_ladder_is_found(found: dict[str, Any], kind: str) -> None:
    assert kind in kinds(**found)


def test_either_name_is_right_while_a_rota_is_edited() -> None:
    assert kinds([entry(0, 102.1, told=["amy", "ben"]), *ENTRIES[1:]], MESSAGES[1:]) <= {
        "rung without its message"
    }


def test_an_escalation_is_early_only_if_nobody_is_on_duty() -> None:
    nobody = entry(0, 80.0, n=2, last=False, nobody=True)
    early = entry(1, 80.0, n=2, early=True)
    found = kinds([nobody, early, ENTRIES[2]], [Message(80.1, "lead", 1, ()), MESSAGES[2]])
    assert found == {"rung before its time"}, "the first one was not due at all"


def test_a_message_may_come_late_from_a_worker_that_was_stopped() -> None:
    late = [*MESSAGES[:2], MESSAGES[2]._replace(at=142.0)]
    ladder = Ladder("q1", ("desk",), PLANNED, 160.0, ENTRIES, late, 9, 140.0)
    assert not list(wrongs(ladder, World(EDITS, [(139.0, 141.5)])))


def test_an_edit_that_was_overwritten_is_found() -> None:
    assert not list(lost_edits(EDITS, {"amy": True, "ben": True}))
    assert [each.kind for each in lost_edits(EDITS, {"ben": True})] == ["rota edit lost"]


def test_while_nobody_is_up_nothing_is_missed() -> None:
    ladder = Ladder("q1", ("desk",), PLANNED, 160.0, ENTRIES[:2], MESSAGES[:1], 9, 120.0)
    missed = [each.kind for each in wrongs(ladder, World(EDITS))]
    assert missed == ["rung without its message", "rung missed"]
    assert not list(wrongs(ladder, World(EDITS, absences=[(102.5, 110.0)])))
    late = World(EDITS, absences=[(90.0, 102.9), (119.0, 130.0)])
    assert [each.kind for each in wrongs(ladder, late)] == missed
    assert World(absences=[(0.0, 2.0), (5.0, 6.0)]).waited(1.0, 8.0) == 5.0
