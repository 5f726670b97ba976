"""When a card is tried again: a rest costs the rest, and only failures double the pause."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest

from layby.actors.people.card_attempts import GIVE_UP, CardAttempts
from layby.channels import ChannelError
from layby.runtime import clock

DOWN = ChannelError("down")
LIMITED = ChannelError("slow down", retry_after=2.0)
AT_ONCE = ChannelError("others are first", retry_after=0.0)


class Came(NamedTuple):
    """A delivery of a card's message."""

    num_delivered: int = 1
    at: float = 1_000.0
    seq: int = 7


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages are those that a test gives."""
    monkeypatch.setattr(clock, "now", lambda: 10_000.0)


def aged(seconds: float, num_delivered: int = 1) -> Came:
    return Came(num_delivered, 10_000.0 - seconds)


def test_failures_double_the_pause_up_to_a_minute() -> None:
    attempts = CardAttempts()
    pauses = [attempts.pause(aged(0.0, 1 + number), DOWN) for number in range(10)]
    for pause, exact in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60], strict=True):
        assert 0.75 * exact <= pause <= 1.25 * exact


@pytest.mark.parametrize(("error", "rest"), [(LIMITED, 2.0), (AT_ONCE, 0.0)])
def test_a_rest_is_just_that_and_a_little_more(error: ChannelError, rest: float) -> None:
    attempts = CardAttempts()
    pauses = [attempts.pause(aged(60.0, 1 + number), error) for number in range(40)]
    assert rest + 0.25 <= min(pauses)
    assert max(pauses) <= rest + 0.75
    assert all(one != other for one, other in pairwise(pauses))


def test_rests_before_a_failure_do_not_double_its_pause() -> None:
    attempts = CardAttempts()
    for number in range(12):
        attempts.pause(aged(1.0 * number, 1 + number), LIMITED)
    assert attempts.pause(aged(12.0, 13), DOWN) <= 3.0 * 1.25


def test_failures_that_other_workers_saw_count_with_the_age() -> None:
    assert CardAttempts().pause(aged(100.0, 9), DOWN) >= 25.0 * 0.75
    assert CardAttempts().pause(aged(9_000.0, 1), DOWN) <= 1.25  # nobody was up


def test_what_is_done_with_is_forgotten() -> None:
    attempts = CardAttempts()
    for _ in range(5):
        attempts.pause(aged(0.0), DOWN)
    attempts.forget(aged(0.0))
    assert attempts.pause(aged(0.0), DOWN) <= 1.25


def failed(times: int, message: Came) -> CardAttempts:
    attempts = CardAttempts()
    for _ in range(times):
        attempts.pause(message, DOWN)
    return attempts


def test_a_card_that_fails_for_long_is_hopeless() -> None:
    late = aged(GIVE_UP, 6)
    assert failed(6, late).is_hopeless(late, DOWN, 0.0)
    for other in (aged(GIVE_UP, 5), aged(GIVE_UP - 1.0, 6)):
        assert not failed(6, other).is_hopeless(other, DOWN, 0.0)


def test_a_card_that_has_waited_long_and_fails_then_is_not() -> None:
    late = aged(GIVE_UP + 1.0, 50)
    assert not failed(1, late).is_hopeless(late, DOWN, 0.0)


@pytest.mark.parametrize("error", [LIMITED, AT_ONCE])
def test_a_channel_that_only_rests_is_given_up_unless_it_gets_on(error: ChannelError) -> None:
    late, attempts = aged(GIVE_UP + 1.0, 50), CardAttempts()
    assert not attempts.is_hopeless(late, error, GIVE_UP - 1.0)
    assert attempts.is_hopeless(late, error, GIVE_UP)
    assert attempts.is_hopeless(aged(90_000.0, 5_000), error, 0.0)
