"""When a card is tried again: a rest costs the rest, and only failures lengthen the pause."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest

from layby.actors.people.card_attempts import GIVE_UP, CardAttempts
from layby.actors.people.channel_pace import Pace
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


class Known(Pace):
    """A channel of which a test says what is known."""

    def __init__(self) -> None:
        self.at, self.is_down, self.left, self.stuck = 0.0, False, 0.0, 0.0

    @property
    def now(self) -> float:
        return self.at

    @property
    def fails(self) -> bool:
        return self.is_down

    @property
    def rest(self) -> float:
        return self.left

    @property
    def stuck_for(self) -> float:
        return self.stuck


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages are those that a test gives."""
    monkeypatch.setattr(clock, "now", lambda: 10_000.0)


@pytest.fixture
def channel() -> Known:
    """A channel that is well, as far as is known."""
    return Known()


def aged(seconds: float, num_delivered: int = 1) -> Came:
    return Came(num_delivered, 10_000.0 - seconds)


def test_a_pause_is_a_quarter_of_the_time_for_which_a_card_has_failed(channel: Known) -> None:
    attempts, tries = CardAttempts(channel), 0
    while channel.at < GIVE_UP:
        pause, exact = attempts.pause(aged(0.0), DOWN), min(max(1.0, channel.at / 4.0), 60.0)
        assert 0.75 * exact <= pause <= 1.25 * exact
        channel.at += pause
        tries += 1
    assert 20 <= tries <= 40


@pytest.mark.parametrize(("error", "rest"), [(LIMITED, 2.0), (AT_ONCE, 0.0)])
def test_a_rest_is_just_that_and_a_little_more(
    error: ChannelError, rest: float, channel: Known
) -> None:
    attempts = CardAttempts(channel)
    pauses = [attempts.pause(aged(60.0, 1 + number), error) for number in range(40)]
    assert rest + 0.25 <= min(pauses)
    assert max(pauses) <= rest + 0.75
    assert all(one != other for one, other in pairwise(pauses))


def test_rests_between_two_failures_do_not_lengthen_a_pause(channel: Known) -> None:
    attempts = CardAttempts(channel)
    attempts.pause(aged(0.0), DOWN)
    for number in range(100):
        channel.at = 2.0 * number
        attempts.pause(aged(channel.at, 1 + number), LIMITED)
    assert attempts.pause(aged(200.0, 101), DOWN) <= 2.0 * 1.25


def test_a_card_that_fails_with_its_channel_waits_until_the_channel_is_tried(
    channel: Known,
) -> None:
    attempts = CardAttempts(channel)
    for number in range(20):
        channel.at = 15.0 * number
        attempts.pause(aged(0.0), DOWN)
    channel.is_down, channel.left = True, 3.0
    assert 3.25 <= attempts.pause(aged(0.0), DOWN) <= 3.75


def test_what_is_done_with_is_forgotten(channel: Known) -> None:
    attempts = CardAttempts(channel)
    for _ in range(5):
        attempts.pause(aged(0.0), DOWN)
    channel.at = 100.0
    attempts.forget(aged(0.0))
    assert attempts.pause(aged(0.0), DOWN) <= 1.25


def failed(times: int, message: Came) -> CardAttempts:
    attempts = CardAttempts(Known())
    for _ in range(times):
        attempts.pause(message, DOWN)
    return attempts


def test_a_card_that_fails_for_long_is_hopeless() -> None:
    late = aged(GIVE_UP, 6)
    assert failed(6, late).is_hopeless(late, DOWN)
    for other in (aged(GIVE_UP, 5), aged(GIVE_UP - 1.0, 6)):
        assert not failed(6, other).is_hopeless(other, DOWN)


def test_a_card_that_has_waited_long_and_fails_then_is_not() -> None:
    late = aged(GIVE_UP + 1.0, 50)
    assert not failed(1, late).is_hopeless(late, DOWN)


@pytest.mark.parametrize("error", [LIMITED, AT_ONCE])
def test_a_channel_that_only_rests_is_given_up_unless_it_gets_on(
    error: ChannelError, channel: Known
) -> None:
    late, attempts = aged(GIVE_UP + 1.0, 50), CardAttempts(channel)
    channel.stuck = GIVE_UP - 1.0
    assert not attempts.is_hopeless(late, error)
    channel.stuck = GIVE_UP
    assert attempts.is_hopeless(late, error)
    channel.stuck = 0.0
    assert attempts.is_hopeless(aged(90_000.0, 5_000), error)
