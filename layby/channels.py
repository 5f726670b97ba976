"""Ways to people: what a channel is made of. docs/channels.md."""

from __future__ import annotations

from .actors.people.channels.email import email
from .actors.people.channels.slack import slack
from .actors.people.channels.webhook import webhook
from .runtime.channel import (
    Card,
    CardAskBack,
    CardVote,
    Channel,
    ChannelError,
    Desk,
    Finding,
    Inbound,
    Listening,
    Outcome,
    Undeliverable,
)

__all__ = [
    "Card",
    "CardAskBack",
    "CardVote",
    "Channel",
    "ChannelError",
    "Desk",
    "Finding",
    "Inbound",
    "Listening",
    "Outcome",
    "Undeliverable",
    "email",
    "slack",
    "webhook",
]
