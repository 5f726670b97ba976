"""Points in time as people and programs read them."""

from __future__ import annotations

import time
from functools import lru_cache


@lru_cache(maxsize=4)
def _whole(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def iso(at: float) -> str:
    """Unix seconds as ISO 8601 in UTC, to the millisecond."""
    millis = round(at * 1000)
    return f"{_whole(millis // 1000)}.{millis % 1000:03d}Z"
