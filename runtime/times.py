"""Points in time as people and programs read them."""

from __future__ import annotations

import time
from datetime import datetime
from functools import lru_cache
from typing import Final

_LAST: Final = 253_402_300_799.0
"""The end of the year 9999."""


@lru_cache(maxsize=1_024)
def _whole(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@lru_cache(maxsize=1_024)  # a question's times are written several times
def iso(at: float) -> str:
    """Unix seconds as ISO 8601 in UTC, to the millisecond."""
    millis = round(min(max(at, 0.0), _LAST) * 1000)
    return f"{_whole(millis // 1000)}.{millis % 1000:03d}Z"


def check_times(*texts: str) -> None:
    """Check that each text is empty or a time with a time zone. Raises ValueError."""
    for text in texts:
        if text and datetime.fromisoformat(text).tzinfo is None:
            raise ValueError(f"{text[:40]!r} has no time zone")
