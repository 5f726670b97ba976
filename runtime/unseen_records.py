"""The records about a run that make no event and no line of its timeline."""

from __future__ import annotations

import msgspec


class _Unseen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="k"):
    """Something that nobody needs to see."""


class Claimed(_Unseen, frozen=True, kw_only=True, gc=False, tag="claimed"):
    """The parent, reopened at its position `at`, waits for this run: an earlier cancel is void."""

    at: int


class Removed(_Unseen, frozen=True, kw_only=True, gc=False, tag="removed"):
    """An ended run is being removed: it can no longer be reopened."""
