"""A run in a program's hands: what it tells, how it ended, and the way to end it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from .events import AnyEvent, number
from .runtime.ids import is_run_id

if TYPE_CHECKING:
    from .client import Client
    from .rows import RunDetail, RunRow


class Run:
    """One run, made by `Client.run` or `Client.run_of`; costs nothing until it is used."""

    def __init__(self, client: Client, name: str, *, comes: bool = False) -> None:
        self._client = client
        self._comes = comes
        """Whether it may be waited for until it exists."""
        self.name = name
        """What it was asked for by: an id, the beginning of one, or a ticket."""

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    async def id(self) -> str:
        """Its id; of several runs for a ticket, that of the newest. Raises NoSuchRun."""
        if not is_run_id(self.name):
            self.name = (await self._client.show(self.name)).id
        return self.name

    def events(self, after: str | int | None = None) -> AsyncGenerator[AnyEvent]:
        """What it tells of itself, as `Client.events` does: what has happened, then what happens.

        A run that is about to exist is waited for where the handle is one of `Client.run_of`.

        Raises:
            NoSuchRun: there is no such run.
            ValueError: `after` is no event's number.
        """
        if after is not None:
            number(after)
        return self._events(after)

    async def _events(self, after: str | int | None) -> AsyncGenerator[AnyEvent]:
        events = self._client.events(await self.id(), after, wait=self._comes)
        async with aclosing(events):
            async for event in events:
                yield event

    async def ended(self) -> RunDetail:
        """The run once it is over, however it ended.

        A run that is about to exist is waited for where the handle is one of `Client.run_of`.

        Raises:
            NoSuchRun: there is no such run.
        """
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        return await self.show()

    async def show(self) -> RunDetail:
        """The run with its history, as it is now. Raises NoSuchRun."""
        return await self._client.show(await self.id())

    async def cancel(self, reason: str = "", *, by: str | None = None) -> RunRow:
        """Cancel it, as `Client.cancel` does. Raises NoSuchRun, RunOver, NotDoneYet."""
        return await self._client.cancel(await self.id(), reason, by=by)
