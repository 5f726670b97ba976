"""What a card says of the reply to something that was asked back."""

from __future__ import annotations

from typing import Final

from ....runtime.channel import CardAskBack

CONFIDENTIAL: Final = "(confidential)"
"""In place of a text that a channel may not show."""
_WITHOUT: Final = {"waiting": "no reply yet", "failed": "there is no reply"}


def reply_words(asked: CardAskBack, lead: str) -> str:
    """The reply after `lead`, or why there is none."""
    return _WITHOUT.get(asked.status) or f"{lead}: {asked.reply or CONFIDENTIAL}"
