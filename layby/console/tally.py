"""What the rail of every page says: how many there are of what, and whether NATS is away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from dataclasses import dataclass, field

from ..bus.connection import Connection
from ..runtime.times import iso
from .catalogue.catalogue import Catalogue
from .login.session import Rights


@dataclass(slots=True)
class Tally:
    """What the rail says; kept up to date by `keep`.

    Attributes:
        runs: Runs in the catalogue.
        open_by_roles: Open questions by the roles that are asked.
        newest: The question that was asked last.
        newest_roles: The roles that it was put to.
        away: Since when the console has had no connection to NATS; empty: it has one.
    """

    runs: int = 0
    open_by_roles: Counter[frozenset[str]] = field(default_factory=Counter[frozenset[str]])
    newest: str = ""
    newest_roles: tuple[str, ...] = ()
    away: str = ""
    _followers: set[asyncio.Event] = field(default_factory=set[asyncio.Event])

    def seen_by(self, rights: Rights) -> dict[str, int | str]:
        """What a person with these rights is shown."""
        open_ = sum(
            count for roles, count in self.open_by_roles.items() if any(map(rights.sees, roles))
        )
        newest = self.newest if any(map(rights.sees, self.newest_roles)) else ""
        runs = self.runs if rights.view else 0
        return {"runs": runs, "open": open_, "newest": newest, "away": self.away}

    async def refresh(self, catalogue: Catalogue) -> None:
        """Count again."""
        before = (self.runs, self.open_by_roles, self.newest)
        self.runs = sum((await catalogue.counts()).values())
        self.open_by_roles, last = await catalogue.open_questions()
        self.newest = "" if last is None else f"{last.ticket}: {last.question}"[:200]
        self.newest_roles = () if last is None else last.roles
        if before != (self.runs, self.open_by_roles, self.newest):
            self._tell()

    def lost(self) -> None:
        """NATS has gone away."""
        self.away = self.away or iso(time.time())
        self._tell()

    def found(self) -> None:
        """NATS is back."""
        self.away = ""
        self._tell()

    def _tell(self) -> None:
        for follower in self._followers:
            follower.set()

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncGenerator[AsyncIterator[None]]:
        """Yields whenever it has changed."""
        changed = asyncio.Event()
        self._followers.add(changed)
        try:
            yield _each(changed)
        finally:
            self._followers.discard(changed)


async def _each(changed: asyncio.Event) -> AsyncIterator[None]:
    while True:
        await changed.wait()
        changed.clear()
        yield


async def keep(tally: Tally, catalogue: Catalogue, connection: Connection) -> None:
    """Keep it up to date until cancelled."""
    with _watched(tally, connection):
        async with catalogue.changes() as batches:
            await tally.refresh(catalogue)
            async for _ in batches:
                await tally.refresh(catalogue)
                await asyncio.sleep(_SPACED)


@contextlib.contextmanager
def _watched(tally: Tally, connection: Connection) -> Generator[None]:
    """Has the tally know whether NATS is away, in this block."""
    connection.on_disconnect.append(tally.lost)
    connection.on_reconnect.append(tally.found)
    if not connection.nc.is_connected:
        tally.lost()
    try:
        yield
    finally:
        connection.on_disconnect.remove(tally.lost)
        connection.on_reconnect.remove(tally.found)


_SPACED = 0.2
"""Seconds between two counts: the rail may be that late."""
