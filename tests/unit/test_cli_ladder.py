"""What `layby questions` says of a question's ladder: who was told, who is on it, what is next."""

from __future__ import annotations

from typing import Any

import pytest

from layby.actors.people.shown_acts import ShownClaim
from layby.actors.people.shown_ask_back import ShownAskBack
from layby.actors.people.shown_ladder import ShownRung
from layby.actors.people.shown_openings import ShownOpening
from layby.cli.screen import times
from layby.cli.screen.ladder import ladder_lines
from layby.views.rows import QuestionRow

NOON = times.parse("2026-03-01T12:00:00Z")
EARLIER = "2026-03-01T11:50:00Z"
LATER = "2026-03-01T12:30:00Z"


def said(**fields: Any) -> list[str]:
    row = QuestionRow(
        id="q1",
        ticket="T1",
        role="dev",
        question="Known?",
        context="",
        agent="Anna",
        run="r1",
        asked_at=EARLIER,
        deadline="2026-03-01T16:00:00Z",
        **fields,
    )
    return ladder_lines(row, NOON)


def rung(kind: Any = "reminder", *, reached: str = EARLIER, **fields: Any) -> ShownRung:
    return ShownRung(kind=kind, at=EARLIER if reached else LATER, reached=reached, **fields)


def test_nothing_is_said_of_a_question_without_a_ladder() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"to": "person:ada"}, "for ada"),
        ({"to": "person:ada", "only": "ada"}, "for ada alone"),
        ({"asked_of": "first_line"}, "escalated from first_line"),
        ({"claim": ShownClaim(by="ada", until=LATER)}, "ada is on it for 30 min"),
        ({"declined": ["ada", "bob"]}, "declined by ada, bob"),
        ({"stopped_at": EARLIER}, "the clock is stopped until there is a reply"),
        ({"opened": [ShownOpening(by="ada", at=EARLIER)]}, "opened by ada 10 min ago"),
    ],
)
def test_one_line_says_who_it_is_for_and_who_is_on_it(fields: dict[str, Any], line: str) -> None:
    assert said(**fields) == [line]


@pytest.mark.parametrize(("people", "tail"), [(5, "p4 10 min ago"), (6, "and 1 more")])
def test_five_people_who_looked_at_it_are_named_and_the_others_counted(
    people: int, tail: str
) -> None:
    (line,) = said(opened=[ShownOpening(by=f"p{n}", at=EARLIER) for n in range(people)])
    assert line.endswith(tail)
    assert line.count("10 min ago") == 5


@pytest.mark.parametrize(
    ("reached", "line"),
    [
        (rung(told=["ada", "bob"]), "reminded 10 min ago: ada, bob"),
        (rung(), "reminded 10 min ago"),
        (rung("asked", told=["ada"]), "on duty 10 min ago: ada"),
        (rung("asked", nobody=True), "on duty 10 min ago: nobody on duty"),
        (rung("escalation", to="role:lead"), "asked role:lead too 10 min ago"),
        (
            rung("escalation", to="role:lead", by="ada"),
            "ada passed it to role:lead 10 min ago",
        ),
        (
            rung(told=["cy", "bob"], absent={"cy": "ada"}),
            "reminded 10 min ago: cy for ada, bob",
        ),
    ],
)
def test_a_rung_that_was_reached_says_who_was_told_and_when(reached: ShownRung, line: str) -> None:
    assert said(ladder=[reached]) == [line]


@pytest.mark.parametrize(
    ("coming", "line"),
    [
        (rung(reached=""), "next: a reminder in 30 min"),
        (rung("escalation", reached="", to="role:lead"), "next: asks role:lead too in 30 min"),
        (rung("asked", reached=""), "next: duty in 30 min"),
        (ShownRung(kind="reminder", at=EARLIER), "next: a reminder is due"),
        (rung(reached="", held=EARLIER), "next: a reminder in 30 min, held by quiet hours"),
    ],
)
def test_what_comes_next_says_when(coming: ShownRung, line: str) -> None:
    assert said(ladder=[coming]) == [line]


def test_only_the_first_of_the_coming_rungs_is_said_and_after_those_reached() -> None:
    coming = rung(reached="")
    last = rung("escalation", reached="", to="role:cto")
    assert said(ladder=[rung(), coming, last]) == [
        "reminded 10 min ago",
        "next: a reminder in 30 min",
    ]


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        ({}, "  no reply yet"),
        ({"reply": "Since Monday", "replied_by": "Anna", "replied_at": LATER}, "Anna: Since"),
        ({"reply": "Since Monday", "replied_at": LATER}, "  the app: Since Monday"),
        (
            {"reply": "too long", "replied_at": LATER, "failed": True},
            "  there is no reply: too long",
        ),
    ],
)
def test_what_was_asked_back_is_shown_with_its_reply(reply: dict[str, Any], line: str) -> None:
    asked = ShownAskBack(by="ada", at=EARLIER, text="Since when?", **reply)
    lines = said(asked_back=[asked])
    assert lines[:2] == ["ada asked back 10 min ago", "  Since when?"]
    assert line in lines[2]


def test_text_of_people_stays_on_its_line_and_cannot_move_the_cursor() -> None:
    asked = ShownAskBack(
        by="ada", at=EARLIER, text="a\n\x1b[2Jb", reply="c\nd", replied_at=LATER, replied_by="bob"
    )
    _, text, reply = said(asked_back=[asked])
    assert text == "  a \\x1b[2Jb"
    assert reply == "  bob: c d"
