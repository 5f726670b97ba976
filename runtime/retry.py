"""How often, and how soon, a failure is retried."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from .duration import LONGEST, seconds
from .errors import NonRetriableError, RetryAfter

_GROWS = 60
"""Tries after which the wait has reached `longest`, whatever the factor."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Exponential back-off with equal jitter.

    After try n the wait is between half and all of `first * factor ** (n - 1)`, or of `longest` if
    that is less: half is fixed and half is random, so that many failures at the same time spread
    out. ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
    """

    attempts: int = 5
    """Tries in total, including the first; 1 means no retry."""
    first: str | float = 1.0
    factor: float = 2.0
    longest: str | float = "5m"

    def pause(self, attempt: int, error: BaseException) -> float | None:
        """Seconds until the next try after failed try `attempt` (from 1); None to give up."""
        if attempt >= self.attempts or is_final(error):
            return None
        wished = retry_after(error)
        if wished is not None:
            return wished
        growth = self.factor ** min(attempt - 1, _GROWS)
        ceiling = min(seconds(self.longest), seconds(self.first) * growth)
        return ceiling / 2 + random.random() * ceiling / 2  # noqa: S311


NEVER = Retry(attempts=1)


def is_final(error: BaseException) -> bool:
    """Whether the error itself says that trying again cannot help."""
    if isinstance(error, NonRetriableError):
        return True
    return getattr(error, "retryable", True) is False


def retry_after(error: BaseException) -> float | None:
    """The wait in seconds that the error itself requests, limited to the longest duration."""
    own = error.seconds if isinstance(error, RetryAfter) else None
    wished = getattr(error, "retry_after", own)
    if not isinstance(wished, int | float) or math.isnan(wished):
        return None
    return min(max(float(wished), 0.0), LONGEST)
