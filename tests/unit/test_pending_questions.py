"""How long an answer waits for a question that is being published."""

from __future__ import annotations

from itertools import accumulate

from layby.actors.people import pending_questions
from layby.actors.people.pending_questions import RETRY_DELAY, retry_delay


def test_an_answer_is_retried_for_a_minute_and_slowly_after_the_first_seconds() -> None:
    """Nobody may keep a worker busy with answers to questions that never come."""
    waits = list(map(retry_delay, range(1, pending_questions._MAX_RETRIES + 1)))
    looks = [at for at in accumulate(waits) if at < 5.5]
    assert waits == sorted(waits)
    assert (waits[0], len(looks)) == (RETRY_DELAY, 25)
    assert 55 <= sum(waits) <= 65
    assert len(waits) <= 100
