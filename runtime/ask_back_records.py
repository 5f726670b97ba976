"""The records of people who ask back: what they ask before they answer, and the reply."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from .spent import Spent

ASK_BACK: Final = "ask-back"
"""The second word of the subjects on which people ask back."""
Replier = Literal["agent", "code", "person"]
"""Who replies: the model of the agent that asked, the app's code, or somebody who was asked to."""


class AskedBack(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="k",
    tag="asked_back",
):
    """Somebody asked back about an open question. Mail to the actor that asked the question."""

    id: str
    """The id of the open question."""
    role: str
    """The role on whose subject it was said."""
    by: str
    at: float
    """When the stream of answers stored it, Unix seconds."""
    seq: int
    """Its sequence in that stream."""
    vouched: str
    """Who vouches for `by`, as of an answer."""
    text: str


class Replied(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="k",
    tag="replied",
):
    """What somebody asked back has a reply, or will never get one. Mail to the role's actor."""

    id: str
    """The id of the open question."""
    seq: int
    """The sequence of what was asked back."""
    kind: Replier
    by: str = ""
    """The agent or person who replies; empty: the app's code."""
    text: str
    """The reply; if it failed, the reason."""
    failed: bool = False
    spent: Spent | None = None
    """What the agent's model used for it."""
