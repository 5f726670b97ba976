"""Text that models, customers and strangers wrote, made safe for a terminal."""

from __future__ import annotations

import json
import re
from typing import Any

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    r"""Show control characters instead of obeying them: an escape becomes `\x1b`.

    Line breaks and tabs stay. Escape sequences could otherwise repaint the screen, and
    right-to-left overrides could make one answer look like another.
    """
    return _UNSAFE.sub(_escape, text)


def one_line(value: Any, limit: int = 0) -> str:
    """Any value on one line, safe for a terminal; cut after `limit` characters unless that is 0."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    flat = safe(" ".join(text.split()))
    return f"{flat[: limit - 1]}…" if 0 < limit < len(flat) else flat


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
