"""Who has looked at a question, and when: reported, or shown by what else they did. Pure.

Anybody who answers a question, votes on it, claims it, passes it on, declines it or asks back has
looked at it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .state import ANSWERED, OPEN, RunState
from .vouched import VIA

MOST = 100
"""The most people who are recorded for one question, whose log has no other limit."""


class Opening(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A person's first look at a question."""

    by: str
    at: float
    """Unix seconds."""
    channel: str = ""
    """Where; empty: not known."""


def openings(state: RunState, question: str) -> tuple[Opening, ...]:
    """Who has looked at a question, each person once, the first one first."""
    first: dict[str, Opening] = {}
    for each in sorted(_all(state, question), key=lambda opening: opening.at):
        if each.by:
            first.setdefault(each.by, each)
    return tuple(first.values())


def is_news(state: RunState, question: str, by: str) -> bool:
    """Whether the log can record that somebody has looked at a question, and does not have it."""
    asked = state.questions.get(question)
    if asked is None or asked.status != OPEN or len(state.opened.get(question, ())) >= MOST:
        return False
    return by not in people(state, question)


def people(state: RunState, question: str) -> set[str]:
    """Who has looked at a question."""
    return {each.by for each in _all(state, question)}


def _all(state: RunState, question: str) -> Iterator[Opening]:
    for said in state.opened.get(question, ()):
        yield Opening(by=said.by, at=said.at, channel=said.channel)
    for act in state.acts.get(question, ()):
        yield Opening(by=act.by, at=act.at)
    for back in state.asked_back.get(question, ()):
        yield Opening(by=back.by, at=back.at, channel=_channel(back.vouched))
    asked = state.questions.get(question)
    if asked is None:
        return
    for vote in asked.votes:
        yield Opening(by=vote.by, at=vote.at, channel=_channel(vote.vouched))
    if asked.status == ANSWERED and asked.quorum is None:
        yield Opening(by=asked.by, at=asked.at, channel=_channel(asked.vouched))


def _channel(vouched: str) -> str:
    """Where somebody answered, as far as what vouches for them shows it."""
    return vouched if vouched in VIA else ""
