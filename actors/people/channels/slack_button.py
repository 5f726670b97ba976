"""What a button of a card stands for, as the text that Slack gives back. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Final, Literal

import msgspec

Act = Literal[
    "approve", "reject", "explain", "choose", "open", "claim", "decline", "pass", "ask-back"
]
"""`explain` opens a form for the reason of a rejection, `open` one for any answer, `pass` one for
who to pass it to, `ask-back` one for what is asked back."""

PREFIX: Final = "layby:"
"""Begins the id of each button."""
LONGEST: Final = 2_000
"""Characters that the value of a button may have in Slack."""


class Pressed(msgspec.Struct, frozen=True, array_like=True):
    """A button of one question. What comes back is checked against the question itself."""

    act: Act
    ticket: str
    question: str
    role: str
    choice: int = -1
    """For `choose`: which of the question's choices."""
    digest: str = ""
    """For `approve`: the digest of the call that the card showed."""


def value_of(pressed: Pressed) -> str:
    """A button's value: letters, digits, `-` and `_`, which Slack does not escape."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(pressed)).decode().rstrip("=")


def pressed_in(value: object) -> Pressed | None:
    """The button that a value belongs to; None: it is not one of ours."""
    if not isinstance(value, str) or not value or len(value) > LONGEST:
        return None
    try:
        data = base64.b64decode(f"{value}{'=' * (-len(value) % 4)}", altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(data, type=Pressed)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None
