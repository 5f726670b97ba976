"""Workers at zero: a fault in the list of consumers that wake them is seen by its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layby import App
from layby.operations import scaling
from tests.acceptance import test_scaling
from tests.acceptance.test_scaling import (
    test_no_worker_runs_while_everybody_waits_and_anything_starts_one as at_zero,
)

pytestmark = [pytest.mark.nats, pytest.mark.proof]

Consumers = Callable[..., Iterator[tuple[str, str]]]
HONEST: Consumers = scaling._consumers


def with_what_nobody_acknowledges(app: App, *, channels: bool) -> Iterator[tuple[str, str]]:
    yield from HONEST(app, channels=channels)
    yield from ((each.stream, each.name) for each in app.topology().consumers if each.lookahead)


def without_timers(app: App, *, channels: bool) -> Iterator[tuple[str, str]]:
    return (each for each in HONEST(app, channels=channels) if each[0] != "TIMERS")


@pytest.mark.parametrize("fault", [with_what_nobody_acknowledges, without_timers])
async def test_workers_that_never_stop_or_never_start_are_caught(
    fault: Consumers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_scaling, "WITHIN", 8.0)
    monkeypatch.setattr(scaling, "_consumers", fault)
    with pytest.raises(TimeoutError):
        await at_zero(tmp_path)
