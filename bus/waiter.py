"""One open request, until its reply comes or it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .errors import BusError
from .wire import Message

Accept = Callable[["asyncio.Future[Any]", Message], bool]
"""Handles one reply; returns True when the request is complete."""


class Waiter:
    """One open request: what handles its replies, and until when it waits."""

    __slots__ = ("accept", "again", "ask_at", "deadline", "future", "sent_at", "subject")

    def __init__(
        self, subject: str, future: asyncio.Future[Any], deadline: float, accept: Accept
    ) -> None:
        self.subject = subject
        self.future = future
        self.deadline = deadline
        self.accept = accept
        self.again: Callable[[], None] | None = None
        """Sends the request again; None: that is not to be done."""
        self.ask_at = 0.0
        """When to send it again."""
        self.sent_at = 0.0
        """When it was sent, until there is a reply; 0: it does not matter."""

    def fail(self, error: BusError) -> None:
        """Let who waits have an error in place of a reply."""
        if not self.future.done():
            self.future.set_exception(error)
