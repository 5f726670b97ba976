"""After which silence a read is sent again."""

from __future__ import annotations

from layby.bus.reply_times import ReplyTimes


def _after(*seconds: float) -> float:
    times = ReplyTimes()
    for each in seconds:
        times.note(each)
    return times.patience


def test_nothing_is_asked_twice_soon_before_it_is_known_how_long_replies_take() -> None:
    assert _after() == 0.5


def test_a_read_is_sent_again_soon_where_replies_are_quick() -> None:
    assert _after(*[0.002] * 20) == 0.1


def test_a_server_that_is_far_away_is_given_its_time() -> None:
    assert 0.15 < _after(*[0.15] * 20) < 0.5


def test_a_server_that_becomes_slow_is_not_asked_everything_twice() -> None:
    assert _after(*[0.002] * 20, *[0.4] * 3) == 0.5


def test_a_server_that_becomes_quick_again_is_known_to_be() -> None:
    assert _after(*[0.4] * 20, *[0.002] * 60) == 0.1
