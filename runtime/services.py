"""What a body's steps need of the app and the worker they run in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec
import structlog

from ..bus.timers import Timers
from .retry import Retry

log = structlog.get_logger("layby.step")


class Due(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a wake-up: what is due."""

    kind: str
    """`wake` for a sleep or back-off, `question` for a deadline."""
    run: str
    at: float
    frame: str = ""
    key: str = ""
    role: str = ""
    ticket: str = ""
    question: str = ""


@dataclass(frozen=True, kw_only=True)
class Services:
    """Settings and ports that every step of an app shares."""

    timers: Timers
    ask_timeout: float = 4 * 3600.0
    """Seconds that a person has to answer."""
    max_questions: int = 5
    roles: tuple[str, ...] = ("developer",)
    retry: Retry = field(default_factory=Retry)

    async def arm_wake(self, name: str, at: float, run: str, frame: str, key: str) -> None:
        """Wake `key` of a run's frame at `at` (Unix seconds)."""
        due = Due(kind="wake", run=run, at=at, frame=frame, key=key)
        await self.timers.arm(name, at, msgspec.json.encode(due))

    def log_failure(
        self, run: str, key: str, error: Exception, attempt: int, pause: float | None
    ) -> None:
        """Tell the log that a try failed."""
        log.warning(
            "step.failed",
            run=run,
            step=key,
            error=f"{type(error).__name__}: {error}",
            attempt=attempt,
            again_at=None if pause is None else round(time.time() + pause),
            exc_info=error,
        )
