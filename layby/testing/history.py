"""Records a run's history for tests, from wherever it ran."""

from __future__ import annotations

from ..bus.opened import opened
from ..bus.settings import ConnectionSettings
from ..views.recording import History, read_history

__all__ = ["History", "read_history", "record"]


async def record(settings: ConnectionSettings, run: str) -> History:
    """The history of a run, by its id, from the server that `settings` lead to."""
    async with opened(settings) as bus:
        return await read_history(bus.requests, run)
