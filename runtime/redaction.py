"""Replaces secrets in error messages before they are recorded, logged or shown.

It replaces the values of environment variables whose names suggest a secret, the login in a URL,
and what an app's own `redact=` finds. Only the messages of exceptions pass through here: what a
step returns is data, and is kept unchanged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Final

Redact = Callable[[str], str]
"""Gets an error message, and returns it without secrets."""

MASK: Final = "[redacted]"
_NAMES: Final = re.compile(
    r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|DSN)(_|$)|APIKEY",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]+(?=@)")
_SHORTEST: Final = 8
"""Characters: shorter values occur in too many texts that are not secret."""
_hooks: list[Redact] = []


def use(hook: Redact | None) -> None:
    """Pass every error message of this process through an app's hook, if it has one."""
    if hook is not None and hook not in _hooks:
        _hooks.append(hook)


def redacted(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """A message without secrets."""
    for name, value in environ.items():
        if len(value) >= _SHORTEST and value in text and _NAMES.search(name):
            text = text.replace(value, MASK)
    text = _LOGIN.sub(MASK, text)
    for hook in _hooks:
        try:
            text = hook(text)
        except Exception as error:  # noqa: BLE001  an unchecked message is not shown
            text = f"{MASK}: redact= raised {type(error).__name__}"
    return text
