"""What the text of an answer may mean. Pure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

_WORDS = {"yes": True, "no": False, "true": True, "false": False}


def candidates(text: str) -> list[Any]:
    """What a text may mean: its JSON value, then yes or no, then the text itself."""
    found: list[Any] = []
    with suppress(ValueError, RecursionError):
        found.append(json.loads(text))
    lowered = text.strip().lower()
    if lowered in _WORDS:
        found.append(_WORDS[lowered])
    return [*found, text]
