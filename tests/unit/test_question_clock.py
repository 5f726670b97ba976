"""The clock of a question that stands while something asked back has no reply."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.runtime.ladder import Ladder, LadderRung
from layby.runtime.question_clock import given as time_given
from layby.runtime.question_clock import start, stop
from layby.runtime.state import Question
from tests.examples import examples

HOUR = 3_600.0
ASKED = 10_000.0


def question(hours: float = 4, *, stops: bool = True) -> Question:
    return Question(
        id="q1",
        frame="w",
        key="ask",
        role="developer",
        question="?",
        asked_at=ASKED,
        deadline=ASKED + hours * HOUR,
        stops=stops,
    )


def ladder(*hours: float) -> Ladder:
    return Ladder(rungs=[LadderRung(kind="reminder", at=ASKED + each * HOUR) for each in hours])


def hours_of(found: Ladder) -> list[float]:
    return [(each.at - ASKED) / HOUR for each in found.rungs]


def test_an_asker_who_never_replies_cannot_keep_it_open_for_ever() -> None:
    asked = question()
    stop(asked, None, ASKED + HOUR)
    start(asked, None, ASKED + 100 * HOUR)
    assert (asked.deadline, asked.stood) == (ASKED + 8 * HOUR, 4 * HOUR)
    stop(asked, None, ASKED + 7 * HOUR)
    assert asked.deadline == ASKED + 8 * HOUR, "all the time that it may stand is used up"


def test_a_clock_that_stands_is_not_stopped_again() -> None:
    asked = question()
    stop(asked, None, ASKED + HOUR)
    stop(asked, None, ASKED + 2 * HOUR)
    assert (asked.deadline, asked.stopped_at) == (ASKED + 8 * HOUR, ASKED + HOUR)


def test_a_clock_that_runs_is_not_started_and_one_that_never_stops_is_left_alone() -> None:
    running, never = question(), question(stops=False)
    start(running, None, ASKED + HOUR)
    stop(never, None, ASKED + HOUR)
    assert running == question()
    assert never == question(stops=False)


def test_a_reply_from_a_clock_that_is_behind_takes_no_time_away() -> None:
    asked = question()
    stop(asked, None, ASKED + HOUR)
    start(asked, None, ASKED)
    assert (asked.deadline, asked.stood) == (ASKED + 4 * HOUR, 0.0)


def test_rungs_that_were_not_reached_move_with_the_deadline() -> None:
    asked, rungs = question(), ladder(1, 2, 3)
    rungs.rungs[0].reached = ASKED + HOUR
    stop(asked, rungs, ASKED + 1.5 * HOUR)
    assert hours_of(rungs) == [1, 6, 7]
    start(asked, rungs, ASKED + 2 * HOUR)
    assert hours_of(rungs) == [1, 2.5, 3.5]


@settings(deadline=None, database=None, max_examples=examples(200))
@given(
    st.floats(0.1, 48),
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), max_size=6),
)
def test_it_stands_no_longer_than_it_was_given_and_never_loses_time(
    hours: float, pauses: list[tuple[float, float]]
) -> None:
    asked, rungs = question(hours), ladder(hours / 2)
    first, between = asked.deadline, asked.deadline - rungs.rungs[0].at
    now = ASKED
    for runs, stands in pauses:
        now += runs * HOUR
        stop(asked, rungs, now)
        now += stands * HOUR
        start(asked, rungs, now)
        assert first - 0.01 <= asked.deadline <= first + hours * HOUR + 0.01
        assert asked.deadline - rungs.rungs[0].at == pytest.approx(between, abs=0.01)
        assert asked.stood == pytest.approx(asked.deadline - first, abs=0.01)
        assert time_given(asked) == pytest.approx(hours * HOUR, abs=0.01)
