"""The sessions of a console: in memory, bounded, and over after a time without a request."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

from .session import Session

IDLE: Final = 12 * 3600.0
"""Seconds without a request after which a session is over."""
MOST: Final = 1_000
"""How many sessions there may be: the least recently used one makes room for another."""


class Sessions:
    """Sessions by the value of their cookie."""

    def __init__(
        self,
        *,
        idle: float = IDLE,
        most: int = MOST,
        clock: Callable[[], float] = time.monotonic,
        ended: Callable[[Session], None] = lambda _: None,
    ) -> None:
        self._idle = idle
        self._most = most
        self._clock = clock
        self._ended = ended
        self._found: dict[str, tuple[Session, float]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, session: Session) -> str:
        """Keep a session; returns the value of its cookie, which nobody can guess or choose."""
        self.sweep()
        while len(self._found) >= self._most:
            self.end(next(iter(self._found)))
        key = secrets.token_urlsafe(24)
        self._found[key] = (session, self._clock())
        return key

    def get(self, key: str) -> Session | None:
        """The session of a cookie, which lives on by that."""
        found = self._found.pop(key, None)
        if found is None:
            return None
        session, used = found
        now = self._clock()
        if now - used > self._idle:
            self._ended(session)
            return None
        self._found[key] = (session, now)  # the last in the order: used most recently
        return session

    def has(self, key: str) -> bool:
        """Whether there is such a session; it does not live on by that."""
        return key in self._found

    def end(self, key: str) -> None:
        """End a session, as signing out does."""
        found = self._found.pop(key, None)
        if found is not None:
            self._ended(found[0])

    def sweep(self) -> None:
        """End the sessions that nobody used for too long."""
        now = self._clock()
        for key, (_, used) in list(self._found.items()):
            if now - used <= self._idle:
                return  # they are in the order of their last use
            self.end(key)

    def end_all(self) -> None:
        """End all of them."""
        for key in list(self._found):
            self.end(key)
