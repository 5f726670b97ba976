"""The records of what people say to an open question besides answering it."""

from __future__ import annotations

from typing import Literal

import msgspec

Verb = Literal["claim", "pass", "decline", "ask-back"]
"""I am on it; somebody else should answer it; it is not mine; tell me more before I answer."""
VERBS: tuple[Verb, ...] = ("claim", "pass", "decline", "ask-back")


class ActRecord(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="k"
):
    """Something that a person did with an open question besides answering it."""

    id: str
    by: str
    at: float
    """When the stream of answers stored it, Unix seconds."""
    seq: int
    """Its sequence in that stream."""
    vouched: str
    """Who vouches for `by`, as of an answer."""


class ClaimedQuestion(ActRecord, frozen=True, kw_only=True, gc=False, tag="claimed_question"):
    """Somebody will answer the question, and says until when; nobody else has claimed it."""

    until: float
    """When the claim expires, Unix seconds; equal to `at`: it is released."""


class Passed(ActRecord, frozen=True, kw_only=True, gc=False, tag="passed"):
    """Somebody asked somebody else too. Mail to the actor of the role that is asked."""

    rung: int
    """The place in the question's ladder that it takes, from 0."""
    to: str
    """Who is asked: `role:lead` or `person:bob`."""
    role: str = ""
    """If a person is asked: the role for which they are; empty: the one that was asked first."""
    rota: str = ""
    """The rota that says who is told; empty: none."""
    told: list[str] = []
    absent: dict[str, str] = {}
    nobody: bool = False
    """These are as in `Reached`."""


class Declined(ActRecord, frozen=True, kw_only=True, gc=False, tag="declined"):
    """Somebody will not answer the question."""


Said = ClaimedQuestion | Passed | Declined
"""What a person said."""
