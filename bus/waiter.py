"""One open request, until its reply comes or it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .errors import BusError
from .wire import Message

Accept = Callable[["asyncio.Future[Any]", Message], bool]
"""Handles one reply; returns True when the request is complete."""

_NEXT = 5.0
"""Seconds until the next of several replies."""
_LONGEST = 55.0
"""Seconds that several replies may take more than one: 64 MiB at 10 Mbit/s take 54."""


class Waiter:
    """One open request: what handles its replies, and until when it waits."""

    __slots__ = (
        "accept",
        "again",
        "ask_at",
        "deadline",
        "future",
        "latest",
        "sent_at",
        "subject",
    )

    def __init__(
        self, subject: str, future: asyncio.Future[Any], deadline: float, accept: Accept
    ) -> None:
        self.subject = subject
        self.future = future
        self.deadline = deadline
        self.latest = deadline + _LONGEST
        """Until when it waits at most, however many replies come."""
        self.accept = accept
        self.again: Callable[[], None] | None = None
        """Sends the request again; None: it must not be sent again."""
        self.ask_at = 0.0
        """When to send it again."""
        self.sent_at = 0.0
        """When it was sent, until there is a reply; 0: it does not matter."""

    def go_on(self, now: float) -> None:
        """Allow more time, for the next of several replies."""
        self.deadline = min(max(self.deadline, now + _NEXT), self.latest)

    def fail(self, error: BusError) -> None:
        """Give the caller that waits an error in place of a reply."""
        if not self.future.done():
            self.future.set_exception(error)
