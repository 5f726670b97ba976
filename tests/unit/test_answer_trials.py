"""Handlers that share what they have judged come to what judging every answer comes to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layby.actors.people.answer import Sent
from layby.bus.errors import CopyLags
from tests.chaos.answer_trials import Trial
from tests.examples import examples


@given(st.integers(0, 2**32))
@settings(max_examples=examples(300), deadline=None)
def test_no_change_of_what_is_asked_leaves_an_answer_judged_by_what_was(seed: int) -> None:
    Trial(Random(seed)).run()  # noqa: S311


async def test_those_who_wait_for_a_reading_that_fails_do_not_each_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial, tried = Trial(Random(1)), list[int]()  # noqa: S311
    for _ in range(5):
        trial.ask()
    trial.answer()

    async def down(_: Any, asked: Any, after: int, last: int) -> AsyncGenerator[Sent]:
        tried.append(last)
        for _ in range(50):
            await asyncio.sleep(0)  # all others wait by then
        raise CopyLags(f"{asked.roles} {after}")
        yield trial.answers[0]

    monkeypatch.setattr(type(trial.handlers), "_sent", down)
    judging = [trial.handlers.contest("T1", 100 + number) for number in range(5)]
    failed = await asyncio.gather(*judging, return_exceptions=True)
    assert all(isinstance(each, CopyLags) for each in failed)
    assert len(tried) == 1
    with pytest.raises(CopyLags):
        await trial.handlers.contest("T1", 200)
    assert len(tried) == 2, "who comes later tries again"
