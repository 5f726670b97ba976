"""The records of a question's cards: what became of each on each channel of a role."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

SENT: Final = "sent"
FAILED: Final = "failed"
HELD: Final = "held"
CardStatus = Literal["sent", "failed", "held"]
"""What became of a card: a channel took it, or gave up; or quiet hours hold it."""
FIRST: Final = -1
"""Instead of the place of a rung: the card that is sent because the question was asked."""


class Notified(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="k",
    tag="notified",
):
    """What became of a card. It may come after its question, or its run, has ended."""

    id: str
    role: str
    """Who is asked."""
    channel: str
    rung: int = FIRST
    """The rung that it was sent for, by its place in the ladder."""
    status: CardStatus
    ref: str = ""
    """If it was sent: its reference on its channel."""
    reason: str = ""
    """Why it could not be sent."""
    until: float = 0.0
    """Until when it is, or was, held, Unix seconds."""
    seq: int = 0
    """The sequence of the message for which it was sent, in the stream QUESTIONS; 0 if no process
    has taken that message in time."""


class Undelivered(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="k",
    tag="undelivered",
):
    """All channels of a role have given up a card: nobody has been told."""

    id: str
    role: str
    rung: int = FIRST
