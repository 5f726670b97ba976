"""Sessions that have a connection each: they end with it, and it is closed with them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ...bus.connection import Connection
from .own_connection import OwnConnection
from .session import Session
from .sessions import Sessions

MOST: Final = 200
"""How many there are at most."""
_EACH: Final = 8
"""How many of them one login may have: the oldest makes room for another."""
_RETURNS: Final = 10.0
"""Seconds in which a connection that was lost is back, if the server still takes its login."""


class OwnSessions:
    """Sessions by their key, as long as the server keeps their login.

    Args:
        connection: The console's own connection, which tells an outage from a lost login.
        most: How many there are at most.
    """

    def __init__(self, connection: Connection, *, most: int = MOST) -> None:
        self.own: Final[dict[str, OwnConnection]] = {}
        """The connections, by the form token of the session."""
        self._connection = connection
        self._sessions = Sessions(most=most, ended=self._ended)
        self._keys: dict[str, list[str]] = {}
        """The sessions' keys of each login, the oldest first."""
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, session: Session, own: OwnConnection) -> str:
        """Keep a session with its connection; returns its key, which nobody can guess."""
        self.own[session.form_token] = own
        key = self._sessions.add(session)
        self._make_room(own.login, key)
        connection = own.bus.connection
        connection.on_reconnect.append(partial(self._check_again, key, own))
        connection.on_disconnect.append(lambda: self._start(self._await_return(key, session)))
        return key

    def get(self, key: str) -> Session | None:
        """The session of a key, which lives on by that."""
        session = self._sessions.get(key)
        if session is None:
            return None
        own = self.own.get(session.form_token)
        if own is None or own.bus.connection.nc.is_closed:
            self.end(key)
            return None
        return session

    def end(self, key: str) -> None:
        """End a session, and close its connection."""
        self._sessions.end(key)

    async def close(self) -> None:
        """End all of them."""
        self._sessions.end_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _make_room(self, login: str, key: str) -> None:
        keys = [each for each in self._keys.pop(login, []) if self._sessions.has(each)]
        while len(keys) >= _EACH:
            self.end(keys.pop(0))
        self._keys[login] = [*keys, key]
        for each, found in list(self._keys.items()):
            if not any(map(self._sessions.has, found)):
                del self._keys[each]

    async def _check_again(self, key: str, own: OwnConnection) -> None:
        """After an outage: end the session if the server now grants something else."""
        if not await own.is_unchanged():
            self.end(key)

    async def _await_return(self, key: str, session: Session) -> None:
        """End a session that the server no longer lets in: it sees what was read for others."""
        while not session.over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETURNS):  # `wait_for` may lose a cancellation
                    await session.over.wait()
            own = self.own.get(session.form_token)
            if own is None or own.bus.connection.nc.is_connected:
                return
            if self._connection.nc.is_connected:
                self.end(key)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ended(self, session: Session) -> None:
        session.over.set()
        own = self.own.pop(session.form_token, None)
        if own is not None:
            self._start(own.stack.aclose())
