"""Conversations that span several runs: `from layby.history import nats_history`."""

from __future__ import annotations

from .actors.threads.thread import HistoryStore, MemoryHistory
from .actors.threads.thread_nats import NatsHistory, nats_history
from .actors.threads.thread_postgres import HistoryLost, PostgresHistory, postgres_history
from .actors.threads.turn import Said

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
