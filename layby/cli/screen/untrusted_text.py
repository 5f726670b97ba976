"""Text from outside, such as that of models and customers, made safe for a terminal."""

from __future__ import annotations

import json
from typing import Any

from ...runtime.untrusted_text import safe

__all__ = ["one_line", "safe"]


def one_line(value: Any, limit: int = 0) -> str:
    """Any value on one line, safe for a terminal; cut after `limit` characters unless that is 0."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    flat = safe(" ".join(text.split()))
    return f"{flat[: limit - 1]}…" if 0 < limit < len(flat) else flat
