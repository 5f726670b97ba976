"""A fault of what puts deadlines off, which an acceptance test catches."""

from __future__ import annotations

import pytest

from layby.actors.people.act_taking import Acts
from tests.acceptance.test_ask_backs import (
    test_an_answer_after_the_first_deadline_counts_before_what_was_asked_back_is_read as stops,
)
from tests.engine import Engine

pytestmark = [pytest.mark.proof, pytest.mark.nats]


async def test_judging_an_answer_without_what_was_asked_back_before_it_is_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> bool:
        return False

    monkeypatch.setattr(Acts, "was_put_off", never)
    with pytest.raises(AssertionError):
        await stops(engine, named=True)
