"""A channel on which people answer is listened to again, whatever it does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from layby.testing import MemoryChannel
from layby.worker import listening
from layby.worker.listening import Listener
from tests.engine import until


class Breaking(MemoryChannel):
    """Breaks the first time, hangs up the second time, and then listens."""

    def __init__(self) -> None:
        super().__init__()
        self.listens = 0
        self.well = asyncio.Event()

    async def listen(self, desk: Any) -> None:
        del desk
        self.listens += 1
        if self.listens == 1:
            raise RuntimeError("no dial tone")
        if self.listens == 3:
            self.well.set()
            await asyncio.Event().wait()


async def listens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(listening, "_PROVEN", 0.05)
    channel: Any = Breaking()
    listener = Listener("phone", channel, desk=object())  # type: ignore[arg-type]
    running = asyncio.ensure_future(listener.run())

    async def is_heard() -> bool:
        return listener.heard

    well = asyncio.ensure_future(channel.well.wait())
    try:
        done, _ = await asyncio.wait({running, well}, timeout=30, return_when="FIRST_COMPLETED")
        assert done == {well}
        assert not listener.heard
        await until(is_heard)
    finally:
        for task in (running, well):
            task.cancel()
        await asyncio.wait({running, well})
        if not running.cancelled():
            running.exception()


async def test_a_channel_that_broke_or_hung_up_is_listened_to_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await listens_again(monkeypatch)


async def test_giving_up_on_a_channel_that_broke_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unguarded(listener: Any) -> str:
        await listener._channel.listen(listener._desk)
        return ""

    monkeypatch.setattr(Listener, "_listen", unguarded)
    with pytest.raises(AssertionError):
        await listens_again(monkeypatch)
