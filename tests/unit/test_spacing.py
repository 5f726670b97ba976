"""Turns that may follow each other at once, and are spaced in the long run."""

from __future__ import annotations

import asyncio

import pytest

from layby.console.spacing import Spacing


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; they take no time."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(round(seconds, 3))

    monkeypatch.setattr(asyncio, "sleep", pause)
    return pauses


async def test_a_few_turns_come_at_once_and_many_are_spaced(
    paused: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, now = asyncio.get_running_loop(), 100.0
    monkeypatch.setattr(loop, "time", lambda: now)
    spacing = Spacing(0.05, burst=3.0)

    for _ in range(5):
        await spacing.wait()
    assert paused == [0.0, 0.0, 0.0, 0.05, 0.1], "each waits for those before it"

    now += 10.0
    for _ in range(4):
        await spacing.wait()
    assert paused[5:] == [0.0, 0.0, 0.0, 0.05], "a rest gives no more than it takes"
