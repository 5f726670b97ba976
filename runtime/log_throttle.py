"""Limits how often the same warning is logged: nobody outside can flood a worker's log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

_MOST = 20
"""Messages about one subject that are logged in a window."""
_WINDOW = 10.0
"""Seconds."""


class LogThrottle:
    """Counts the messages about each subject, and logs only the first in a window."""

    def __init__(self, on_suppressed: Callable[[str, int], None]) -> None:
        self._on_suppressed = on_suppressed
        """Gets a subject and how many of its messages were suppressed, at the end of a window."""
        self._counts: Counter[str] = Counter()

    def allows(self, subject: str) -> bool:
        """Whether to log this message."""
        if not self._counts:
            asyncio.get_running_loop().call_later(_WINDOW, self._end)
        self._counts[subject] += 1
        return self._counts[subject] <= _MOST

    def _end(self) -> None:
        counts, self._counts = self._counts, Counter()
        for subject, count in counts.items():
            if count > _MOST:
                self._on_suppressed(subject, count - _MOST)
