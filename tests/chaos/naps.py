"""Quiet hours of a few seconds, again and again, in place of `layby.runtime.quiet.Quiet`."""

from __future__ import annotations

from typing import Final

EVERY: Final = 10.0
QUIET: Final = 6.0
"""Seconds of each ten in which nobody is told."""


class Naps:
    """Some seconds of every ten."""

    def until(self, at: float) -> float:
        """When they are over, Unix seconds; `at` itself if they do not hold then."""
        since = at % EVERY
        return at - since + QUIET if since < QUIET else at
