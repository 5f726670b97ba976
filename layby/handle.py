"""A run in a program's hands: what it tells, how it ended, and the way to end it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from .events import AnyEvent, number
from .lookup import is_id

if TYPE_CHECKING:
    from .client import Client
    from .rows import RunDetail, RunRow


class Run:
    """One run, made by `Client.run` or `Client.run_of`; costs nothing until it is used."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name
        """What it was asked for by: an id, the beginning of one, or a ticket."""

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    async def id(self) -> str:
        """Its id; of several runs for a ticket, that of the newest. Raises NoSuchRun."""
        if not is_id(self.name):
            self.name = (await self._client.show(self.name)).id
        return self.name

    def events(self, after: str | int | None = None) -> AsyncGenerator[AnyEvent]:
        """What it tells of itself, as `Client.events` does: what has happened, then what happens.

        A run that is named by its id is waited for; one that is named by a ticket must be there.

        Raises:
            NoSuchRun: there is no run for that ticket.
            ValueError: `after` is no event's number.
        """
        if after is not None:
            number(after)
        return self._events(after)

    async def _events(self, after: str | int | None) -> AsyncGenerator[AnyEvent]:
        async with aclosing(self._client.events(await self.id(), after)) as events:
            async for event in events:
                yield event

    async def ended(self) -> RunDetail:
        """The run once it is over, however it ended; one that has not begun is waited for too.

        Raises:
            NoSuchRun: there is no run for that ticket.
        """
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        return await self.show()

    async def show(self) -> RunDetail:
        """The run with its history, as it is now. Raises NoSuchRun."""
        return await self._client.show(await self.id())

    async def cancel(self, reason: str = "") -> RunRow:
        """Cancel it, as `Client.cancel` does. Raises NoSuchRun, RunOver."""
        return await self._client.cancel(await self.id(), reason)
