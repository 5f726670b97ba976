"""The database of the catalogue, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .question_table import QuestionTable
from .run_table import RunTable
from .schema import SCHEMA, SETTINGS

T = TypeVar("T")


class Store:
    """Tables, and the one thread that reads and writes them: the event loop never waits."""

    def __init__(self, db: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._db = db
        self._thread = thread
        self.runs = RunTable(db)
        self.questions = QuestionTable(db)

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, file: Path | None = None) -> AsyncGenerator[Store]:
        """An empty store, in memory or in a file, which is emptied and removed at the end."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="catalogue") as thread:
            db = await loop.run_in_executor(thread, _connected, file)
            try:
                yield cls(db, thread)
            finally:
                await loop.run_in_executor(thread, db.close)
                await loop.run_in_executor(thread, _remove, file)

    async def do(self, work: Callable[[], T]) -> T:
        """Do `work` in the thread of the database, as one transaction."""

        def transaction() -> T:
            with self._db:
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)


def _connected(file: Path | None) -> sqlite3.Connection:
    _remove(file)
    db = sqlite3.connect(":memory:" if file is None else file)
    db.executescript(SETTINGS)
    db.executescript(SCHEMA)
    return db


def _remove(file: Path | None) -> None:
    if file is not None:
        file.unlink(missing_ok=True)
