from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layby.bus.disk_pace import DiskPace


def burst(pace: DiskPace, at: float, count: int, each: float, way: float = 0.0005) -> float:
    """So many messages at once, stored one after another; when the last was acknowledged."""
    now = at
    for number in range(1, count + 1):
        now = at + way + number * each
        pace.note_single(at, now, count - number)
    return now


def test_a_disk_is_quick_until_the_opposite_is_known() -> None:
    pace = DiskPace()
    assert not pace.is_slow
    burst(pace, 1.0, 64, 0.0002)
    assert not pace.is_slow
    assert pace.single == pytest.approx(0.0002, rel=0.2)


def test_a_disk_with_two_milliseconds_a_message_is_slow_after_one_burst() -> None:
    pace = DiskPace()
    burst(pace, 1.0, 16, 0.002)
    assert pace.is_slow
    assert pace.single == pytest.approx(0.002, rel=0.1)


def test_a_server_far_away_is_not_a_slow_disk() -> None:
    pace = DiskPace()
    for number in range(50):
        pace.note_single(number, number + 0.05, 0)  # one at a time
        burst(pace, number + 0.1, 40, 0.0001, way=0.02)
    assert not pace.is_slow


def test_a_busy_client_that_reads_all_acknowledgements_at_once_sees_the_same_time() -> None:
    pace = DiskPace()
    for number in range(20):
        for left in reversed(range(32)):
            pace.note_single(number, number + 32 * 0.003, left)
    assert 0.001 < pace.single < 0.009


def test_an_outage_says_nothing_about_the_disk() -> None:
    pace = DiskPace()
    burst(pace, 1.0, 64, 0.0002)
    pace.note_single(2.0, 600.0, 5)
    assert pace.single < 0.02


def test_the_first_batch_is_tried_with_eight_messages() -> None:
    pace = DiskPace()
    burst(pace, 1.0, 16, 0.002)
    assert pace.worth == 8


def test_a_batch_is_worth_it_from_where_single_messages_take_longer() -> None:
    pace = DiskPace()
    now = burst(pace, 1.0, 64, 0.002)
    pace.note_batch(now, now + 0.02)
    assert pace.worth in {10, 11}
    for number in range(40):
        pace.note_batch(number + 10.0, number + 10.01)
    assert pace.worth in {5, 6}


def test_a_batch_is_never_worth_it_for_fewer_than_it_waits_for_the_disk() -> None:
    pace = DiskPace()
    now = burst(pace, 1.0, 64, 0.05)
    pace.note_batch(now, now + 0.001)
    assert pace.worth == 4


def test_one_batch_that_took_long_is_not_the_last_one() -> None:
    pace = DiskPace()
    now = burst(pace, 1.0, 64, 0.002)
    pace.note_batch(now, now + 60.0)
    before = pace.worth
    assert before > 200
    for number in range(16):
        burst(pace, 100.0 + number, 32, 0.002)
    assert pace.worth < before / 5


def test_a_disk_that_has_become_quick_is_seen_to_be() -> None:
    pace = DiskPace()
    now = burst(pace, 1.0, 64, 0.004)
    assert pace.is_slow
    assert not pace.is_stale(now + 4.9)
    assert pace.is_stale(now + 5.1)
    for number in range(8):
        burst(pace, 10.0 + number, 16, 0.0001)
    assert not pace.is_slow


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 1e6), st.floats(0, 1e4), st.integers(0, 500)),
        max_size=50,
    )
)
def test_whatever_was_timed_a_batch_has_a_number_of_messages(
    noted: list[tuple[bool, float, float, int]],
) -> None:
    pace = DiskPace()
    for is_batch, sent, took, behind in noted:
        if is_batch:
            pace.note_batch(sent, sent + took)
        else:
            pace.note_single(sent, sent + took, behind)
        assert pace.worth >= 4
        assert pace.single <= 0.5
        assert pace.batch <= 0.5
