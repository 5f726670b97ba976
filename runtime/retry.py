"""How often, and how soon, something that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .duration import seconds
from .errors import NonRetriableError, RetryAfter


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Exponential back-off with full jitter: attempt n waits up to `first * factor ** (n - 1)`.

    Half of each wait is fixed and half is drawn, so that many failures at once spread out. The
    rule is that of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), "equal jitter".
    """

    attempts: int = 5
    """Tries in all, the first included; 1 never tries again."""
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
        ceiling = min(seconds(self.longest), seconds(self.first) * self.factor ** (attempt - 1))
        return ceiling / 2 + random.random() * ceiling / 2  # noqa: S311


NEVER = Retry(attempts=1)


def is_final(error: BaseException) -> bool:
    """Whether the error itself says that trying again cannot help."""
    if isinstance(error, NonRetriableError):
        return True
    return getattr(error, "retryable", True) is False


def retry_after(error: BaseException) -> float | None:
    """The wait in seconds that the error itself asks for."""
    if isinstance(error, RetryAfter):
        return error.seconds
    wished = getattr(error, "retry_after", None)
    return float(wished) if isinstance(wished, int | float) else None
