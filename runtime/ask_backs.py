"""What people asked back, and the replies, as the log has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from .ask_back_records import Replier
from .spent import NOTHING, Spent

MOST = 10
"""How often people may ask back about one question: each time may cost a model's response."""
LONGEST = 2_000
"""Characters of what somebody asks back."""
LONGEST_REPLY = 4_000
"""Characters of a reply that are recorded."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The reply to what somebody asked back; see `Replied`."""

    kind: Replier
    by: str = ""
    text: str
    at: float
    """When it was recorded, Unix seconds."""
    failed: bool = False
    spent: Spent = NOTHING
    n: int
    """Its position in the log."""
    owner: int
    """The mail whose handler wrote it."""


class AskBack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What somebody asked back; see `AskedBack`."""

    role: str
    by: str
    at: float
    seq: int
    vouched: str
    text: str
    n: int
    """Its position in the log."""
    reply: Reply | None = None


def why_not(asked: Sequence[AskBack], seq: int) -> str:
    """Why nobody can ask back after what was asked before; empty if they can."""
    if len(asked) >= MOST:
        return f"people have asked back {MOST} times about this question: answer it, or decline it"
    if asked and seq <= asked[-1].seq:
        return "something that was asked back later is recorded already: ask again"
    return ""


def awaits_reply(asked: Iterable[AskBack]) -> bool:
    """Whether anything that was asked back has no reply yet."""
    return any(each.reply is None for each in asked)


def found(asked: Iterable[AskBack], seq: int) -> AskBack | None:
    """What was asked back at a place of the stream; None: nothing."""
    return next((each for each in asked if each.seq == seq), None)


def moves_of(asked: Iterable[AskBack]) -> list[tuple[int, int]]:
    """The positions that let a body reply, each with its owner: one reply at a time.

    Nothing after the first one without a reply counts yet: the handler that replies continues.
    """
    moves: list[tuple[int, int]] = []
    for each in asked:
        moves.append((each.n, each.n))
        if each.reply is None:
            break
        moves.append((each.reply.n, each.reply.owner))
    return moves


def spent_on(asked: Iterable[AskBack]) -> Spent:
    """What the agent's model used for the replies."""
    total = NOTHING
    for each in asked:
        total += each.reply.spent if each.reply is not None else NOTHING
    return total


def request_key(key: str, seq: int) -> str:
    """The key under which a person is asked for the reply to what was asked back."""
    return f"{key}{_MARK}{seq}"


def is_request(key: str) -> bool:
    """Whether a key is one under which a person is asked for a reply."""
    _, mark, seq = key.rpartition(_MARK)
    return bool(mark) and seq.isdecimal()


_MARK = "~asked-back-"
