"""How long to pause between two looks at what a test waits for.

A look may be a command or a request to a server, and costs CPU time that the awaited thing needs.
"""

from __future__ import annotations

from collections.abc import Iterator

_SHORTEST = 0.005
_GROWTH = 1.25
LONGEST = 0.1
"""Seconds between two looks in the end: after a second of waiting."""


def pauses(longest: float = LONGEST) -> Iterator[float]:
    """Seconds to wait after each look: few at first, then a share of what has passed."""
    pause = _SHORTEST
    while True:
        yield pause
        pause = min(longest, pause * _GROWTH)
