"""The record that somebody has looked at an open question."""

from __future__ import annotations

from typing import Final, TypeAlias

from .act_records import ActRecord, Said
from .ask_back_records import AskedBack, Replied

OPENED: Final = "opened"
"""The second word of the subjects on which this is reported."""


class OpenedQuestion(ActRecord, frozen=True, kw_only=True, gc=False, tag="opened"):
    """Somebody has looked at an open question for the first time."""

    channel: str = ""
    """Where they looked: `console`, `slack`; empty: not known."""


Heard: TypeAlias = Said | AskedBack | Replied | OpenedQuestion
"""What people do with an open question besides answering it."""
