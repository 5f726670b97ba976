"""A ladder: what is planned when a question is asked, and what the log makes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from layby import App, Role, Rung
from layby.runtime.conflicts import conflicts
from layby.runtime.entry import ROOT, Answered, Asked, Raw, Record, Started
from layby.runtime.envelope import Envelope
from layby.runtime.errors import InvalidSetup
from layby.runtime.journal import fold
from layby.runtime.ladder_records import Laddered, PlannedRung, Reached
from layby.runtime.ladders import LadderOptions, Ladders
from layby.runtime.state import RunState
from tests.signing_desk import ADA

HOUR = 3600.0
DAY = datetime(2026, 11, 29, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
EVENING = DAY + 9 * HOUR
NIGHT = "22:00-07:00 Europe/Berlin"


def asked(role: str = "developer", *, now: float = DAY, hours: float = 4) -> Asked:
    deadline = now + hours * HOUR
    return Asked(frame=ROOT, key="ask", id="q1", role=role, question="?", deadline=deadline)


def plan(
    *roles: Role, now: float = DAY, hours: float = 4, **options: Any
) -> list[tuple[str, float, str]]:
    """The rungs as kind, hours after the question was asked, and whom."""
    made = Ladders(roles).plan(asked(now=now, hours=hours), now, LadderOptions(**options))
    return [(each.kind, (each.at - now) / HOUR, each.to) for each in made.rungs] if made else []


LEAD = Role("lead")
DEVELOPER = Role(
    "developer",
    remind=["3h", "1h"],
    escalate=[Rung("2h", to="role:lead"), Rung("3h", "person:cto")],
)


def test_rungs_come_in_the_order_of_their_times() -> None:
    assert plan(DEVELOPER, LEAD) == [
        ("reminder", 1, ""),
        ("escalation", 2, "role:lead"),
        ("reminder", 3, ""),
        ("escalation", 3, "person:cto"),
    ]


def test_without_rungs_nothing_is_planned() -> None:
    assert plan(LEAD) == []
    assert plan(DEVELOPER, LEAD, remind=[], escalate=[]) == []
    assert Ladders([LEAD]).plan(asked(), DAY, LadderOptions()) is None


def test_a_question_has_its_own_rungs_instead() -> None:
    assert plan(DEVELOPER, LEAD, remind=["10m"], escalate=[]) == [("reminder", 10 / 60, "")]
    made = Ladders([LEAD]).plan(asked(), DAY, LadderOptions(to="person:ada"))
    assert made is not None
    assert (made.to, made.rungs) == ("person:ada", [])


def test_rungs_of_the_role_that_a_short_question_has_no_time_for_are_left_out() -> None:
    assert plan(DEVELOPER, LEAD, hours=2) == [("reminder", 1, "")]


def test_quiet_hours_hold_a_reminder_until_they_end() -> None:
    role = Role("developer", remind=["30m", "90m", "3h"], quiet=NIGHT)
    assert plan(role, now=EVENING, hours=20) == [("reminder", 0.5, ""), ("reminder", 10, "")]
    made = Ladders([role]).plan(asked(now=EVENING, hours=20), EVENING, LadderOptions())
    assert made is not None
    assert made.rungs[1].held == EVENING + 3 * HOUR


def test_a_deadline_in_the_quiet_hours_overrides_them() -> None:
    role = Role("developer", remind=["2h"], quiet=NIGHT)
    assert plan(role, now=EVENING, hours=10) == [("reminder", 2, "")]
    assert plan(role, now=EVENING, hours=10.01) == [("reminder", 10, "")]


def test_what_is_urgent_goes_through() -> None:
    role = Role("developer", remind=["2h"], quiet=NIGHT)
    assert plan(role, now=EVENING, hours=20, urgent=True) == [("reminder", 2, "")]


def test_the_quiet_hours_of_those_who_are_told_hold() -> None:
    quiet_lead = Role("lead", quiet=NIGHT)
    role = Role("developer", remind=["2h"], escalate=[Rung("2h", "role:lead")])
    assert plan(role, quiet_lead, now=EVENING, hours=20) == [
        ("reminder", 2, ""),
        ("escalation", 10, "role:lead"),
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"remind": ["4h"]}, "only 4 h to answer"),
        ({"escalate": [Rung("5h", "role:lead")]}, "only 4 h to answer"),
        ({"escalate": [Rung("1h", "role:boss")]}, "no role 'boss'"),
        ({"escalate": [Rung("1h", "role:developer")]}, "escalates to itself"),
        ({"escalate": [Rung("1h", "role:lead"), Rung("2h", "role:lead")]}, "twice"),
        ({"escalate": ["role:lead"]}, "Rung"),
        ({"remind": "1h"}, "give a list"),
        ({"remind": ["1h", "60m"]}, "twice"),
        ({"remind": ["soon"]}, "soon"),
        ({"to": "ada"}, "person:ada"),
        ({"to": "role:lead"}, "by its name"),
    ],
)
def test_a_question_whose_ladder_cannot_work_is_refused(options: Any, why: str) -> None:
    with pytest.raises(InvalidSetup, match=why):
        plan(Role("developer"), LEAD, **options)


def test_an_app_whose_ladders_cannot_work_is_refused() -> None:
    with pytest.raises(InvalidSetup, match="no role 'lead'"):
        App("desk", roles=[DEVELOPER])
    with pytest.raises(InvalidSetup, match="people have 3 h"):
        App("desk", roles=[DEVELOPER, LEAD], ask_timeout="3h")
    signing = Role("lead", keys={"ada": ADA.public})
    with pytest.raises(InvalidSetup, match="signed answers"):
        App("desk", roles=[DEVELOPER, signing])
    for to in ("lead", "role:Lead", "person:a.b", "person:", ""):
        with pytest.raises(InvalidSetup, match="role:lead"):
            Rung("1h", to=to)


# -- the log -----------------------------------------------------------------------------------

STARTED = Started(
    workflow="desk", actor="workflow-desk", version="1", ticket="T1", event=Raw(b"{}")
)
LADDER = Laddered(
    id="q1",
    rungs=[
        PlannedRung(kind="reminder", at=1.0),
        PlannedRung(kind="escalation", at=2.0, to="role:lead"),
    ],
)


def folded(*records: Record) -> RunState:
    state = RunState(id="run")
    for n, record in enumerate([STARTED, *records], 1):
        fold(state, n, Envelope(op=f"{n}", at=float(n), records=[record]))
    return state


def test_a_rung_is_reached_once_and_only_while_the_question_is_open() -> None:
    first, again = Reached(id="q1", rung=0, told=["ada"]), Reached(id="q1", rung=0, told=["eve"])
    state = folded(LADDER, asked(), first, again)
    [rung, other] = state.ladders["q1"].rungs
    assert (rung.reached, rung.told, other.reached) == (4.0, ["ada"], 0.0)
    assert conflicts(state, again)
    assert not conflicts(state, Reached(id="q1", rung=1))
    state = folded(LADDER, asked(), Answered(id="q1", text="yes"), first)
    assert not state.ladders["q1"].rungs[0].reached
    assert conflicts(state, first)


@pytest.mark.parametrize("rung", [-1, 2, 10**9])
def test_a_rung_that_does_not_exist_is_never_reached(rung: int) -> None:
    state = folded(LADDER, asked(), Reached(id="q1", rung=rung))
    assert not any(each.reached for each in state.ladders["q1"].rungs)
    assert conflicts(state, Reached(id="q1", rung=rung))
    assert conflicts(state, Reached(id="q2", rung=0))


def test_an_escalated_question_may_be_answered_by_both_roles() -> None:
    state = folded(LADDER, asked())
    assert state.roles_of(state.questions["q1"]) == ("developer",)
    state = folded(LADDER, asked(), Reached(id="q1", rung=1))
    assert state.roles_of(state.questions["q1"]) == ("developer", "lead")


def test_a_ladder_never_changes_once_its_question_is_asked() -> None:
    assert not conflicts(folded(LADDER), LADDER), "a crash left it without its question"
    other = Laddered(id="q1", rungs=[])
    state = folded(LADDER, asked(), other)
    assert len(state.ladders["q1"].rungs) == 2
    assert conflicts(state, other)
