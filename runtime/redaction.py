"""Secrets in what errors say, replaced before anybody records, logs or shows it.

What is replaced: the values of environment variables whose names say that they hold a secret, the
login in a URL, and what an app's own `redact=` finds. Only the messages of exceptions go through
here: what a step returns is data, and is kept as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Final

Redact = Callable[[str], str]
"""Gets what an error says, and returns what may be read of it."""

MASK: Final = "[redacted]"
_NAMES: Final = re.compile(
    r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|DSN)(_|$)|APIKEY",
    re.IGNORECASE,
)
_LOGIN: Final = re.compile(r"(?<=://)[^/\s@:]*:[^/\s@]+(?=@)")
_SHORTEST: Final = 8
"""Characters: what is shorter stands in too many texts that are no secret."""
_hooks: list[Redact] = []


def use(hook: Redact | None) -> None:
    """Have an app's hook, if it has one, see every message from now on, in this process."""
    if hook is not None and hook not in _hooks:
        _hooks.append(hook)


def redacted(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """What may be read of a message."""
    for name, value in environ.items():
        if len(value) >= _SHORTEST and value in text and _NAMES.search(name):
            text = text.replace(value, MASK)
    text = _LOGIN.sub(MASK, text)
    for hook in _hooks:
        try:
            text = hook(text)
        except Exception as error:  # noqa: BLE001  what cannot be checked is not shown
            text = f"{MASK}: redact= raised {type(error).__name__}"
    return text
