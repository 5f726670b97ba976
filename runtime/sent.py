"""What a step sent outside, recorded with its result, for people to read.

Nothing ever depends on it: a run without it, or with one that cannot be read, continues like any
other.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from .entry import NULL, Raw
from .spent import Spent


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One request, without the parts of it that the run's log already holds.

    Its fields are lists of marks, one for each part of their value; a mark is a sign and a digest.
    """

    id: str
    """The digest of the whole request."""
    form: str = ""
    """Whose form of a request it has: `anthropic`, `openai`, `responses` or `layby`."""
    base: str = ""
    """The earlier request that it repeats in part; empty: none."""
    gone: list[str] = []
    """Fields of the base that it does not have."""
    kept: dict[str, int] = {}
    """How many marks of a field are those of the base. Fields not named here are as in the base."""
    marks: dict[str, list[str]] = {}
    """The marks of each field that follow those."""
    parts: Raw = NULL
    """A list of the parts that no earlier request had."""


class Sending(Protocol):
    """Knows what a step has sent, and what that used."""

    async def sent(self) -> Raw:
        """What its latest try sent, as it is recorded; null: nothing."""
        ...

    def spent(self, result: Any) -> Spent | None:
        """What the try with this `result` used; None: nothing."""
        ...


_decode = msgspec.json.Decoder(Sent).decode


def sent_of(raw: Raw) -> Sent | None:
    """Read what is recorded; None: nothing, or what a later release wrote."""
    data = bytes(raw)
    if data == b"null":
        return None
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def outline_of(raw: Raw) -> Sent | None:
    """Like `sent_of`, without the parts themselves."""
    found = sent_of(raw)
    return None if found is None else msgspec.structs.replace(found, parts=NULL)
