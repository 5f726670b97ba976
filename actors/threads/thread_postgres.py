"""Threads in PostgreSQL, for teams that want them next to their other data. Needs `psycopg`."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ...bus.install import installing
from ...runtime.errors import InvalidSetup, LaybyError
from .thread import LAST, checked_last
from .turn import Said

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_LOCK = 7_120_811
"""The key of an advisory lock: `create table if not exists` can fail when two run at once."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Said]).decode


class HistoryLost(LaybyError):
    """PostgreSQL cannot be reached; trying again may help."""

    retryable = True


class PostgresHistory:
    """A `HistoryStore` in one table, made by `postgres_history()`; one connection per worker."""

    def __init__(self, conninfo: str, table: str, last: int) -> None:
        self._last = last
        self._conninfo = conninfo
        self._table = table
        self._connection: AsyncConnection[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"postgres_history(..., table={self._table!r})"

    async def create_thread(self, thread: str) -> None:
        """Do nothing: the first entry creates the thread."""

    async def load(self, thread: str) -> list[Said]:
        """The latest `last` messages of a thread, oldest first. Raises HistoryLost."""
        rows = await self._run(
            f"select said from {self._table} where thread = %s "  # noqa: S608  checked
            "order by seq desc limit %s",
            (thread, self._last),
        )
        found = [said for (entry,) in reversed(rows) for said in _decode(entry)]
        return found[-self._last :]

    async def append_user_message(self, thread: str, key: str, said: Said) -> None:
        """Add a user's message. Raises HistoryLost."""
        await self._append(thread, f"{key}-user", [said])

    async def append_results(self, thread: str, key: str, said: Sequence[Said]) -> None:
        """Add the agents' messages. Raises HistoryLost."""
        await self._append(thread, f"{key}-results", said)

    async def erase(self, thread: str) -> int:
        """Delete a thread permanently. Returns how many entries it had. Raises HistoryLost."""
        rows = await self._run(
            f"delete from {self._table} where thread = %s returning 1",  # noqa: S608  checked
            (thread,),
        )
        return len(rows)

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None and self._loop is asyncio.get_running_loop():
            await connection.close()

    async def _append(self, thread: str, key: str, said: Sequence[Said]) -> None:
        # As text, because PostgreSQL's jsonb cannot hold the character U+0000.
        await self._run(
            f"insert into {self._table} (thread, key, said) values (%s, %s, %s) "  # noqa: S608
            "on conflict (thread, key) do nothing",
            (thread, key, _encode(said).decode()),
        )

    async def _run(self, statement: str, values: tuple[str | int, ...]) -> list[Any]:
        import psycopg  # noqa: PLC0415  an extra, and slow to load

        if self._loop is not asyncio.get_running_loop():
            self._loop, self._lock = asyncio.get_running_loop(), asyncio.Lock()
            self._connection = None
        async with self._lock:
            try:
                connection = await self._connected()
                async with connection.cursor() as cursor:
                    await cursor.execute(statement.encode(), values)
                    return await cursor.fetchall() if cursor.description else []
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                await self.aclose()
                # Its text names the host and the user, but never the password.
                raise HistoryLost(f"PostgreSQL: {str(error).strip()}") from None

    async def _connected(self) -> AsyncConnection[Any]:
        from psycopg import AsyncConnection  # noqa: PLC0415

        if self._connection is None or self._connection.closed:
            connection = await AsyncConnection.connect(self._conninfo, autocommit=True)
            async with connection.transaction():
                await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
                await connection.execute(
                    f"create table if not exists {self._table} ("
                    "seq bigint generated always as identity, thread text not null, "
                    "key text not null, said text not null, "
                    "at timestamptz not null default now(), primary key (thread, key))".encode()
                )
            self._connection = connection
        return self._connection


def postgres_history(
    conninfo: str, *, table: str = "layby_threads", last: int = LAST
) -> PostgresHistory:
    """Store threads in PostgreSQL: `App(history=postgres_history("postgresql://..."))`.

    The table is created on first use, with one row per entry: `thread`, `key`, `said` (JSON), `at`.
    A network gets the latest `last` messages of its thread.

    Raises:
        InvalidSetup: the extra `postgres` is not installed, `table` is not a valid name, or `last`
            is not positive.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise InvalidSetup(f"postgres_history() needs psycopg: {installing('postgres')}")
    if not _NAME.fullmatch(table):
        raise InvalidSetup(f"table={table!r}: use at most 51 lower-case letters, digits and `_`")
    return PostgresHistory(conninfo, table, checked_last(last))
