"""Conversations that go on over several runs: `from layby.history import nats_history`."""

from __future__ import annotations

from .actors.thread import HistoryStore, MemoryHistory
from .actors.thread_nats import NatsHistory, nats_history
from .actors.thread_postgres import HistoryLost, PostgresHistory, postgres_history
from .actors.turn import Said

__all__ = [
    "HistoryLost",
    "HistoryStore",
    "MemoryHistory",
    "NatsHistory",
    "PostgresHistory",
    "Said",
    "nats_history",
    "postgres_history",
]
