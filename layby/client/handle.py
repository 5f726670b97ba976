"""A handle to one run: its events, its outcome, and how to cancel it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from ..events import AnyEvent, number
from ..runtime.ids import is_run_id
from ..views.rows import RunDetail, RunRow


class Runs(Protocol):
    """What a handle needs from a client."""

    async def show(self, name: str, /) -> RunDetail:
        """A run with its history."""
        ...

    def events(
        self, name: str, after: str | int | None = None, /, *, wait: bool = False
    ) -> AsyncGenerator[AnyEvent]:
        """The events of a run."""
        ...

    async def cancel(self, name: str, reason: str = "", /, *, by: str | None = None) -> RunRow:
        """Cancel a run."""
        ...


class Run:
    """One run, made by `Client.run` or `Client.run_of`; costs nothing until it is used."""

    def __init__(self, client: Runs, name: str, *, awaited: bool = False) -> None:
        self._client = client
        self._awaited = awaited
        """Whether to wait until it exists."""
        self.name = name
        """The id, the beginning of one, or the ticket that names it."""

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    async def id(self) -> str:
        """Its id; if a ticket has several runs, that of the newest. Raises NoSuchRun."""
        if not is_run_id(self.name):
            self.name = (await self._client.show(self.name)).id
        return self.name

    def events(self, after: str | int | None = None) -> AsyncGenerator[AnyEvent]:
        """Its events, as `Client.events` yields them: those so far, then those that follow.

        A handle from `Client.run_of` also waits for a run that does not exist yet.

        Raises:
            NoSuchRun: there is no such run.
            ValueError: `after` is not an event's number.
        """
        if after is not None:
            number(after)
        return self._events(after)

    async def _events(self, after: str | int | None) -> AsyncGenerator[AnyEvent]:
        events = self._client.events(await self.id(), after, wait=self._awaited)
        async with aclosing(events):
            async for event in events:
                yield event

    async def ended(self) -> RunDetail:
        """The run once it is over, however it ended.

        A handle from `Client.run_of` also waits for a run that does not exist yet.

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
