"""A question's ladder as its log has it, and the rungs as users declare them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from layby import Rung
from layby.runtime.duration import InvalidDuration
from layby.runtime.errors import InvalidSetup
from layby.runtime.ladder import NO_LADDER, Ladder, LadderRung
from layby.runtime.ladder_records import Reached, RungKind, named, told
from layby.runtime.rung import checked_person, checked_reminders, checked_rungs


def rung(kind: RungKind = "reminder", to: str = "", **more: Any) -> LadderRung:
    return LadderRung(kind=kind, at=1.0, to=to, **more)


LEAD = rung("escalation", "role:lead", reached=5.0)
CTO = rung("escalation", "person:cto", reached=6.0)
PASSED = rung("escalation", "person:dan", of="legal", by="ada", reached=7.0)


def test_a_rung_for_a_person_asks_no_other_role_unless_it_was_passed_for_one() -> None:
    assert [each.role for each in (LEAD, CTO, PASSED, rung())] == ["lead", "", "legal", ""]


def test_a_question_is_escalated_to_a_role_once_its_rung_was_reached() -> None:
    later = rung("escalation", "role:board")
    assert Ladder(rungs=[LEAD, CTO, PASSED, LEAD, later]).roles == ("lead", "legal")
    assert NO_LADDER.roles == ()


def test_passes_are_counted_apart_from_what_was_planned() -> None:
    ladder = Ladder(rungs=[rung(), LEAD, PASSED, rung(), CTO, PASSED])
    assert [ladder.number_of(place) for place in range(6)] == [1, 1, 1, 2, 2, 2]


def test_a_rung_that_does_not_exist_counts_as_reached() -> None:
    ladder = Ladder(rungs=[rung(), LEAD])
    assert [ladder.was_reached(place) for place in (-1, 0, 1, 2)] == [True, False, True, True]


def test_the_next_escalation_is_the_first_open_one_after_a_rung() -> None:
    first, second = rung("escalation", "role:lead"), rung("escalation", "person:cto")
    ladder = Ladder(rungs=[first, rung(), second])
    assert [ladder.next_escalation(after) for after in (-1, 0, 1, 2)] == [0, 2, 2, None]
    first.reached = second.reached = 3.0
    assert ladder.next_escalation(-1) is None


# -- who is told, in words --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reached", "words"),
    [
        (Reached(id="q", rung=0), ""),
        (Reached(id="q", rung=0, told=["ada", "bob"]), "ada, bob"),
        (Reached(id="q", rung=0, told=["ada"], absent={"ada": "eve"}), "ada for eve"),
        (Reached(id="q", rung=0, told=["ada"], claimed=True), "ada only, who is on it"),
        (Reached(id="q", rung=0, nobody=True), "nobody is on duty"),
    ],
)
def test_a_timeline_says_who_was_told(reached: Reached, words: str) -> None:
    assert told(reached) == words


@pytest.mark.parametrize(
    ("kind", "role", "names"),
    [
        ("reminder", "finance", ["ada"]),
        ("reminder", "legal", []),
        ("reminder", "lead", ["ada"]),
        ("escalation", "legal", ["ada"]),
    ],
)
def test_names_from_a_rota_are_those_of_the_first_role(
    kind: str, role: str, names: list[str]
) -> None:
    assert named(["ada"], kind, role, ["finance", "legal"]) == names


# -- as users declare them --------------------------------------------------------------------


def test_a_rung_names_a_role_or_a_person() -> None:
    assert Rung("2h", to="role:lead").role == "lead"
    assert Rung(timedelta(hours=1), to="person:cto").role == ""


@pytest.mark.parametrize(
    "to", ["lead", "role:", "role:Lead", "role:2nd", "person:", "person:a b", "team:x", None, 7]
)
def test_whatever_else_a_rung_names_is_refused(to: Any) -> None:
    with pytest.raises(InvalidSetup, match="write 'role:lead' or 'person:cto'"):
        Rung("2h", to=to)


@pytest.mark.parametrize("after", ["soon", "0s", -1, "2"])
def test_a_rung_needs_a_time_that_can_be_waited(after: Any) -> None:
    with pytest.raises(InvalidDuration):
        Rung(after, to="role:lead")


def test_reminders_are_put_in_order() -> None:
    assert checked_reminders(["3h", 60, timedelta(minutes=5)], "x") == (60.0, 300.0, 10_800.0)
    assert checked_reminders((), "x") == ()


@pytest.mark.parametrize(
    ("remind", "why"),
    [
        ("1h", r"role 'x': remind='1h': give a list, remind=\['1h'\]"),
        (["1h", "60m"], "role 'x': remind has the same time twice"),
        (["1h", "never"], "role 'x': remind: The duration 'never' cannot be read"),
    ],
)
def test_reminders_that_cannot_be_say_whose_they_are(remind: Any, why: str) -> None:
    with pytest.raises(InvalidSetup, match=why):
        checked_reminders(remind, "role 'x'")


def test_escalations_are_put_in_order() -> None:
    late, soon = Rung("2h", to="role:lead"), Rung("90m", to="person:cto")
    assert checked_rungs([late, soon], "x") == (soon, late)


@pytest.mark.parametrize(
    ("escalate", "why"),
    [
        ("role:lead", "give a list of Rung"),
        (["role:lead"], "give a list of Rung"),
        (
            [Rung("1h", to="role:lead"), Rung("2h", to="role:lead")],
            "role 'x' escalates to role:lead twice: the first time asks them already",
        ),
    ],
)
def test_escalations_that_cannot_be_say_why(escalate: Any, why: str) -> None:
    with pytest.raises(InvalidSetup, match=why):
        checked_rungs(escalate, "role 'x'")


def test_a_question_may_be_meant_for_one_person() -> None:
    assert checked_person("person:ada", "x") == "person:ada"
    assert checked_person(None, "x") == ""


@pytest.mark.parametrize("to", ["", "ada", "role:lead", "person:", "person:a.b", 7])
def test_a_role_is_asked_by_its_name_and_not_by_to(to: Any) -> None:
    with pytest.raises(InvalidSetup, match=r"x: to=.*write 'person:ada'; a role is asked by"):
        checked_person(to, "x")
