"""How often and how soon a failure is retried."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby import NonRetriableError, Retry, RetryAfter
from layby.actors.models.model import ModelError
from layby.runtime.duration import LONGEST
from layby.runtime.retry import NEVER, is_final, retry_after
from tests.examples import examples

FAILED = OSError("down")
calmly = settings(deadline=None, database=None, max_examples=examples(200))


@calmly
@given(st.integers(1, 10_000), st.floats(0.001, 1e4), st.floats(1.0, 10.0), st.floats(0.001, 1e5))
def test_a_wait_is_between_half_and_all_of_its_ceiling(
    attempt: int, first: float, factor: float, longest: float
) -> None:
    retry = Retry(attempts=100_000, first=first, factor=factor, longest=longest)
    ceiling = longest if attempt > 700 and factor > 1.2 else None
    try:
        ceiling = ceiling or min(longest, first * factor ** (attempt - 1))
    except OverflowError:
        ceiling = longest
    pause = retry.pause(attempt, FAILED)
    assert pause is not None
    if attempt <= 60:
        assert ceiling / 2 <= pause <= ceiling
    assert pause <= longest


def test_waits_are_random_so_that_failures_spread_out() -> None:
    retry = Retry(attempts=9, first=1.0)
    assert len({retry.pause(3, FAILED) for _ in range(20)}) > 10


def test_waits_may_be_given_as_people_write_them() -> None:
    retry = Retry(attempts=9, first="2m", longest="3m")
    assert 60 <= (retry.pause(1, FAILED) or 0) <= 120
    assert 90 <= (retry.pause(5, FAILED) or 0) <= 180


@pytest.mark.parametrize(("attempts", "attempt"), [(1, 1), (3, 3), (3, 4)])
def test_after_the_last_try_there_is_no_retry(attempts: int, attempt: int) -> None:
    assert Retry(attempts=attempts).pause(attempt, FAILED) is None


def test_never_is_never() -> None:
    assert NEVER.pause(1, FAILED) is None
    assert NEVER.pause(1, RetryAfter(1)) is None


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (OSError("down"), False),
        (NonRetriableError("no"), True),
        (RetryAfter(1), False),
        (ModelError("bad request"), True),
        (ModelError("busy", retryable=True), False),
    ],
)
def test_errors_say_whether_a_retry_can_help(error: Exception, *, final: bool) -> None:
    assert is_final(error) is final
    assert (Retry().pause(1, error) is None) is final


def test_an_error_may_set_the_wait() -> None:
    assert Retry().pause(1, RetryAfter(12.5)) == 12.5
    assert Retry().pause(1, ModelError("busy", retryable=True, retry_after=3)) == 3.0
    assert retry_after(OSError()) is None


@pytest.mark.parametrize("wished", [-1.0, math.nan, math.inf, 1e300, True])
def test_the_wait_that_an_error_sets_is_limited(wished: float) -> None:
    for error in (ModelError("busy", retryable=True, retry_after=wished), RetryAfter(wished)):
        pause = Retry().pause(1, error)
        assert pause is not None
        assert 0 <= pause <= LONGEST


def test_retry_after_may_be_pickled() -> None:
    import pickle  # noqa: PLC0415

    error = pickle.loads(pickle.dumps(RetryAfter(2, "busy")))  # noqa: S301
    assert (error.seconds, str(error)) == (2, "busy")
