"""Where the waterfall draws times: a line that only grows, with long waits folded into columns."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.console.waterfall.geometry import (
    NARROWEST,
    ROOM,
    SHORTEST_FOLD,
    WHOLE,
    Scale,
    Stretch,
    Wait,
    gaps,
    scale,
    ticks,
)

NEAR = 1e-6
HOUR = 3600.0
START = 1_795_340_000.0

seconds = st.floats(0, 100_000, allow_nan=False)


@st.composite
def stretches(draw: st.DrawFn) -> list[Stretch]:
    """Times in which something works, in any order, some of them at once."""
    found = draw(st.lists(st.tuples(seconds, st.floats(0, 500)), max_size=30))
    return [Stretch(START + begin, START + begin + length) for begin, length in found]


@st.composite
def scales(draw: st.DrawFn) -> tuple[Scale, list[Stretch]]:
    """Scales of any run, zoomed or not."""
    busy = draw(stretches())
    begin, length = draw(seconds), draw(st.floats(0, 200_000))
    shown = Stretch(START + begin, START + begin + length)
    waits = [Wait("people", a, b) for a, b in draw(stretches())]
    made = scale(shown, busy, waits, running=draw(st.booleans()), folded=draw(st.booleans()))
    return made, busy


@given(scales(), seconds, seconds)
def test_a_scale_only_grows_and_stays_within_the_row(
    made: tuple[Scale, list[Stretch]], one: float, other: float
) -> None:
    drawn, _ = made
    early, late = sorted((START + one, START + other))
    assert 0.0 <= drawn.x(early) <= drawn.x(late) <= WHOLE
    assert drawn.x(drawn.start) == 0.0
    end = WHOLE - ROOM if drawn.now is not None else WHOLE
    assert drawn.x(drawn.end) == pytest.approx(end)
    for before, after in pairwise(drawn.places):
        assert before <= after + NEAR


@given(scales(), seconds, st.floats(0, 100_000))
def test_a_bar_is_within_the_row_and_can_be_seen(
    made: tuple[Scale, list[Stretch]], begin: float, length: float
) -> None:
    drawn, _ = made
    bar = drawn.bar(START + begin, START + begin + length)
    shown = START + begin <= drawn.end and START + begin + length >= drawn.start
    assert (bar is not None) == shown
    if bar is not None:
        assert bar.x >= 0.0
        assert bar.width >= NARROWEST - NEAR
        assert bar.x + bar.width <= WHOLE + NEAR


@given(scales())
def test_columns_have_one_width_and_overlap_neither_one_another_nor_work(
    made: tuple[Scale, list[Stretch]],
) -> None:
    drawn, busy = made
    for fold in drawn.folds:
        assert fold.width == pytest.approx(drawn.folds[0].width)
        assert drawn.x(fold.start) == pytest.approx(fold.x, abs=1e-3)
        assert fold.end - fold.start >= SHORTEST_FOLD
        for work in busy:
            assert work.end <= fold.start or work.start >= fold.end
    for before, after in pairwise(drawn.folds):
        assert before.x + before.width <= after.x + NEAR
        assert before.end <= after.start


@given(scales())
def test_labels_are_in_order_and_on_the_row(made: tuple[Scale, list[Stretch]]) -> None:
    labels = ticks(made[0])
    assert all(0 <= label.x <= WHOLE for label in labels)
    for before, after in pairwise(labels):
        assert after.x > before.x
        assert after.at > before.at


@given(stretches(), seconds, st.floats(0, 200_000))
def test_gaps_are_what_work_leaves(busy: list[Stretch], begin: float, length: float) -> None:
    shown = Stretch(START + begin, START + begin + length)
    free = gaps(shown, busy)
    for gap in free:
        assert shown.start <= gap.start < gap.end <= shown.end
        assert not any(
            work.start < gap.end and work.end > gap.start for work in busy if work.seconds
        )
    for before, after in pairwise(free):
        assert before.end <= after.start


def test_a_call_of_200_ms_and_a_wait_of_84_minutes_can_both_be_read() -> None:
    work = [Stretch(0, 0.2), Stretch(84 * 60, 84 * 60 + 0.2)]
    drawn = scale(Stretch(0, 84 * 60 + 0.2), work, [Wait("people", 0.2, 84 * 60)])
    (fold,) = drawn.folds
    assert fold.kind == "people"
    assert drawn.x(0.2) > 40
    assert fold.width > 10


def test_a_true_scale_shows_the_clock_as_it_was() -> None:
    work = [Stretch(0, 10), Stretch(HOUR - 10, HOUR)]
    drawn = scale(Stretch(0, HOUR), work, folded=False)
    assert not drawn.folds
    assert drawn.x(HOUR / 2) == pytest.approx(50)


def test_a_short_wait_is_not_folded() -> None:
    drawn = scale(Stretch(0, 10), [Stretch(0, 4), Stretch(5, 10)], [Wait("people", 4, 5)])
    assert not drawn.folds


def test_a_column_says_what_was_waited_for() -> None:
    work = [Stretch(0, 1), Stretch(HOUR, HOUR + 1), Stretch(2 * HOUR, 2 * HOUR + 1)]
    waits = [Wait("sleep", 1, HOUR)]
    drawn = scale(Stretch(0, 2 * HOUR + 1), work, waits)
    assert [fold.kind for fold in drawn.folds] == ["sleep", "idle"]


def test_waiting_for_people_wins_over_other_waits() -> None:
    waits = [Wait("event", 1, HOUR), Wait("people", 2, HOUR)]
    drawn = scale(Stretch(0, HOUR + 1), [Stretch(0, 1), Stretch(HOUR, HOUR + 1)], waits)
    assert [fold.kind for fold in drawn.folds] == ["people"]


def test_a_running_bar_grows_at_the_rate_of_the_scale() -> None:
    drawn = scale(Stretch(0, 46), [Stretch(0, 46)], running=True)
    assert drawn.now == WHOLE - ROOM
    assert drawn.rate == pytest.approx(2.0)


def test_nothing_grows_while_the_present_is_folded() -> None:
    drawn = scale(Stretch(0, HOUR), [Stretch(0, 1)], [Wait("people", 1, HOUR)], running=True)
    assert drawn.rate == 0.0


def test_a_run_without_length_can_be_drawn() -> None:
    drawn = scale(Stretch(5, 5), [])
    assert drawn.bar(5, 5) is not None
    assert ticks(drawn)


def test_labels_between_two_times_of_day_are_round() -> None:
    drawn = scale(Stretch(0, 60), [Stretch(0, 60)])
    assert [label.since for label in ticks(drawn)] == [0.0, 15.0, 30.0, 45.0]
    quick = scale(Stretch(0, 0.3), [Stretch(0, 0.3)])
    assert [label.since for label in ticks(quick)] == pytest.approx([0.0, 0.1, 0.2])
