"""The record that somebody has looked at an open question."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from .act_records import Said
from .ask_back_records import AskedBack, Replied

OPENED: Final = "opened"
"""The second word of the subjects on which it is said."""


class OpenedQuestion(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    tag_field="k",
    tag="opened",
):
    """Somebody has looked at an open question for the first time."""

    id: str
    by: str
    at: float
    """When the stream of answers stored it, Unix seconds."""
    seq: int
    """Its sequence in that stream."""
    vouched: str
    """Who vouches for `by`, as of an answer."""
    channel: str = ""
    """Where they looked: `console`, `slack`; empty: not known."""


Heard: TypeAlias = Said | AskedBack | Replied | OpenedQuestion
"""What is heard of people about an open question, besides answers."""
