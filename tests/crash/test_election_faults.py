"""A fault of what waits for a leader, which a test of three real servers catches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from layby.bus import outbox
from layby.bus.errors import StreamMissing
from layby.client import command_sender
from tests.nats.test_elections import led_by_one, waited_for

pytestmark = [pytest.mark.proof, pytest.mark.nats, pytest.mark.timeout(240)]


@pytest.mark.parametrize("sender", [outbox, command_sender])
async def test_taking_an_election_for_a_missing_stream_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sender: Any
) -> None:
    async def at_once(_: Any, __: str, store: Callable[[], Awaitable[Any]]) -> Any:
        return await store()

    monkeypatch.setattr(sender, "when_led", at_once)
    async with led_by_one(tmp_path) as (cluster, settings):
        with pytest.raises(StreamMissing):
            await waited_for(cluster, settings)
