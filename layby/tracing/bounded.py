"""Values as attributes of spans: short, valid, and without secrets."""

from __future__ import annotations

from typing import Final

from ..runtime.redaction import redacted

LONGEST: Final = 256
"""Characters of an attribute."""
_LONGEST_MESSAGE: Final = 500
_CUT: Final = "…"


def shown(text: str, longest: int = LONGEST) -> str:
    """A text as an attribute: cut, and in valid UTF-8, without which its batch would be lost."""
    text = text if len(text) <= longest else text[: longest - 1] + _CUT
    return text.encode("utf-8", "replace").decode()


def message(error: BaseException) -> str:
    """What an error says, without secrets."""
    return shown(redacted(str(error)), _LONGEST_MESSAGE)
